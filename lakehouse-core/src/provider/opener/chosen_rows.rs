//! Leaves of a file the rows that were chosen by their places.

use std::sync::Arc;

use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::ParquetMetaData;

use super::super::file::LakeFile;
use super::{LakeOpener, Opened};
use crate::error::Result;
use crate::scan::{DeletedRows, Footer};

impl LakeOpener {
    /// Leaves in `plan` what is chosen of the file's rows, and reads where their pages are.
    pub(super) async fn choose_rows(
        &self,
        file: &LakeFile,
        opened: &mut Opened,
        plan: &mut ParquetAccessPlan,
    ) -> Result<()> {
        let Some(chosen) = file.chosen_rows() else {
            return Ok(());
        };
        if !leave(plan, &opened.footer, chosen) {
            return Ok(());
        }
        let footer = Footer {
            metadata: Arc::clone(&opened.footer),
            file_bytes: opened.reader.size_bytes(),
        };
        let location = opened.reader.location().to_owned();
        let mut reader = opened.reader.clone().metered(&self.counters.page_indexes);
        let footers = &self.shape.footers;
        opened.footer = footers
            .with_page_index(&location, footer, &mut reader)
            .await?;
        Ok(())
    }

    /// How many rows each row group of a file has.
    ///
    /// # Errors
    /// When the file's footer cannot be read.
    pub(in crate::provider) async fn group_rows(&self, file: &LakeFile) -> Result<Vec<u64>> {
        let location = file.data_file().file_path();
        let metrics = ParquetFileMetrics::new(self.partition, location, &self.metrics);
        let reader = self.footer_reader(file, metrics)?;
        let footer = self.footer_of(file, &reader).await?.metadata;
        let groups = footer.row_groups().iter();
        Ok(groups
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .collect())
    }
}

/// Whether a part of a row group is left, and not all of it.
fn leave(plan: &mut ParquetAccessPlan, footer: &ParquetMetaData, chosen: &DeletedRows) -> bool {
    let mut has_parts = false;
    let mut first = 0_u64;
    for (index, group) in footer.row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let range = first..first.saturating_add(rows);
        first = range.end;
        let count = chosen.count(range.clone());
        if count == 0 {
            plan.skip(index);
        } else if count < rows {
            has_parts = true;
            let place = |row: u64| usize::try_from(row - range.start).unwrap_or(usize::MAX);
            let runs = chosen.runs(range.clone());
            let runs = runs.map(|run| place(run.start)..place(run.end));
            let rows = usize::try_from(rows).unwrap_or(usize::MAX);
            plan.scan_selection(index, RowSelection::from_consecutive_ranges(runs, rows));
        }
    }
    has_parts
}
