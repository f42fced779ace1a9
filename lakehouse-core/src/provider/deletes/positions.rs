//! Reads the rows of one position delete file that are about a scan's data files.

mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Int64Type};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::file::metadata::ParquetMetaData;

use super::super::file_reader::{FileReader, footer_at_end};
use super::super::file_rows::{WantedRows, file_rows};
use super::{Borrowed, Memory, RowsByFile};
use crate::error::{Error, Result};
use crate::scan::{DELETED_PATH_ID, DELETED_POSITION_ID, DeletedRows, PageIndex, Positions};

const BATCH_ROWS: usize = 32 << 10;
/// After so many rows the memory they take is counted again.
const COUNTED_ROWS: u64 = 256 << 10;

/// The two columns of a position delete file, by their place among the file's top-level columns.
#[derive(Debug, Clone, Copy)]
struct Columns {
    path: usize,
    position: usize,
}

/// Reads what `wanted` data files lose, by their stored locations and numbers of rows.
pub(super) async fn read(
    reader: FileReader,
    wanted: &BTreeMap<String, u64>,
    memory: &Memory,
) -> Result<RowsByFile> {
    let found = footer_at_end(reader.clone(), PageIndex::Read).await?;
    let (reader, footer) = (reader.of_size(found.file_bytes), found.metadata);
    let columns = Columns::find(&footer)?;
    let plan = wanted::plan(&footer, columns, wanted)?;
    let mut rows = Collected::new(wanted, memory);
    if !plan.row_groups.is_empty() {
        let mut batches = columns.rows(reader, footer, plan.row_groups, plan.selection)?;
        while let Some(batch) = batches.try_next().await? {
            let (paths, positions) = columns.of(&batch)?;
            rows.add(&paths, &positions)?;
        }
    }
    rows.finish()
}

/// All data files and rows that a position delete file names, as it names them.
pub(super) async fn read_all(reader: FileReader) -> Result<BoxStream<'static, Result<Positions>>> {
    let found = footer_at_end(reader.clone(), PageIndex::Skip).await?;
    let (reader, footer) = (reader.of_size(found.file_bytes), found.metadata);
    let columns = Columns::find(&footer)?;
    let row_groups = (0..footer.num_row_groups()).collect();
    let batches = columns.rows(reader, footer, row_groups, None)?;
    Ok(batches.map(move |batch| columns.of(&batch?)).boxed())
}

impl Columns {
    /// Rows of the two columns.
    fn rows(
        self,
        reader: FileReader,
        footer: Arc<ParquetMetaData>,
        row_groups: Vec<usize>,
        selection: Option<RowSelection>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::try_new(footer, options)?;
        let wanted = WantedRows {
            roots: vec![self.path, self.position],
            row_groups,
            selection,
            limit: None,
            batch_size: BATCH_ROWS,
        };
        Ok(file_rows(reader, metadata, wanted, None)?.boxed())
    }

    /// The columns by field id, or by name in files without ids.
    fn find(footer: &ParquetMetaData) -> Result<Self> {
        let fields = footer
            .file_metadata()
            .schema_descr()
            .root_schema()
            .get_fields();
        let has_ids = fields.iter().any(|field| field.get_basic_info().has_id());
        let find = |id: i32, name: &str| {
            let mut places = fields.iter().enumerate().filter(|(_, field)| {
                let known = field.get_basic_info();
                field.is_primitive()
                    && if has_ids {
                        known.has_id() && known.id() == id
                    } else {
                        known.name() == name
                    }
            });
            match (places.next(), places.next()) {
                (Some((place, _)), None) => Ok(place),
                _ => Err(Error::corrupt(format!(
                    "a position delete file has no column {name:?} (field {id}), or more than \
                     one; restore the file"
                ))),
            }
        };
        Ok(Self {
            path: find(DELETED_PATH_ID, "file_path")?,
            position: find(DELETED_POSITION_ID, "pos")?,
        })
    }

    /// The columns of a batch, after a look for what must not be there.
    fn of(self, batch: &RecordBatch) -> Result<Positions> {
        let at = |place: bool| batch.columns().get(usize::from(place));
        let (Some(paths), Some(positions)) =
            (at(self.path > self.position), at(self.position > self.path))
        else {
            return Err(Error::internal("a position delete file lost a column"));
        };
        let typed = matches!(
            (paths.data_type(), positions.data_type()),
            (
                DataType::Utf8 | DataType::Binary,
                DataType::Int64 | DataType::Int32
            )
        );
        if !typed {
            return Err(Error::corrupt(format!(
                "a position delete file has columns of the types {} and {} where a string and a \
                 long belong; restore the file",
                paths.data_type(),
                positions.data_type()
            )));
        }
        if paths.null_count() > 0 || positions.null_count() > 0 {
            return Err(Error::corrupt(
                "a position delete file has a NULL where a data file or a row must be named; \
                 restore the file, or delete again with an engine that writes it right",
            ));
        }
        let paths = arrow::compute::cast(paths, &DataType::Utf8View)?;
        // What is no text became NULL.
        if paths.null_count() > 0 {
            return Err(Error::corrupt(
                "a position delete file names a data file in bytes that are no text",
            ));
        }
        let positions = arrow::compute::cast(positions, &DataType::Int64)?;
        let positions = positions.as_primitive::<Int64Type>().clone();
        if let Some(negative) = positions.values().iter().find(|position| **position < 0) {
            return Err(Error::corrupt(format!(
                "a position delete file names the row {negative}, which no file has; restore the \
                 file, or delete again with an engine that writes it right"
            )));
        }
        Ok((paths.as_string_view().clone(), positions))
    }
}

/// The deleted rows so far.
struct Collected<'a> {
    wanted: &'a BTreeMap<String, u64>,
    rows: HashMap<&'a str, DeletedRows>,
    held: Borrowed<&'a Memory>,
    uncounted_rows: u64,
}

impl<'a> Collected<'a> {
    fn new(wanted: &'a BTreeMap<String, u64>, memory: &'a Memory) -> Self {
        Self {
            wanted,
            rows: HashMap::new(),
            held: Borrowed::new(memory),
            uncounted_rows: 0,
        }
    }

    /// Adds rows; those of one data file usually follow each other, by ascending position.
    fn add(&mut self, paths: &StringViewArray, positions: &Int64Array) -> Result<()> {
        let positions = positions.values();
        let views = paths.views();
        let mut start = 0;
        while start < views.len() {
            let path = paths.value(start);
            // Equal views show the same bytes; others may still be the same text.
            let same = |row: usize| views[row] == views[start] || paths.value(row) == path;
            let end = (start + 1..views.len())
                .find(|row| !same(*row))
                .unwrap_or(views.len());
            if let Some((path, rows)) = self.wanted.get_key_value(path) {
                let of_file = self.rows.entry(path.as_str()).or_default();
                insert_runs(of_file, &positions[start..end], *rows);
                self.uncounted_rows += (end - start) as u64;
            }
            start = end;
        }
        if self.uncounted_rows > COUNTED_ROWS {
            self.count()?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.uncounted_rows = 0;
        let bytes = self.rows.values().map(DeletedRows::size_bytes).sum();
        self.held.resize(bytes)
    }

    fn finish(mut self) -> Result<RowsByFile> {
        self.count()?;
        self.held.keep();
        let rows = self.rows.into_iter();
        Ok(rows
            .map(|(path, rows)| (path.to_owned(), Arc::new(rows)))
            .collect())
    }
}

/// Adds positions, none of them negative, run by run. Those past the file's end delete nothing.
fn insert_runs(into: &mut DeletedRows, positions: &[i64], rows: u64) {
    let mut run = 0..0_u64;
    for position in positions {
        let position = position.unsigned_abs();
        if position >= rows {
            continue;
        }
        if position == run.end && run.start < run.end {
            run.end += 1;
        } else {
            into.insert(run);
            run = position..position + 1;
        }
    }
    into.insert(run);
}
