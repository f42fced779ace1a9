//! The rows of one Parquet file: measured before they are decoded, and counted afterwards.

mod kept_columns;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use futures::future::Either;
use futures::{Stream, StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::file::metadata::ParquetMetaData;

pub(super) use kept_columns::FileColumns;

use super::file_reader::{ColumnChunks, FileReader};
use crate::error::{Error, Result};
use crate::runtime;

/// What is wanted of a file.
#[derive(Debug, Clone)]
pub(super) struct WantedRows {
    /// Top-level columns, ascending.
    pub(super) roots: Vec<usize>,
    pub(super) row_groups: Vec<usize>,
    /// Rows of the row groups; without one, all of them.
    pub(super) selection: Option<RowSelection>,
    /// How many of the selected rows are enough.
    pub(super) limit: Option<usize>,
    pub(super) batch_size: usize,
}

impl WantedRows {
    /// How many rows are wanted of a file.
    pub(super) fn row_count(&self, footer: &ParquetMetaData) -> usize {
        let rows = match &self.selection {
            Some(selection) => selection.row_count(),
            None => row_count(footer, &self.row_groups),
        };
        self.limit.map_or(rows, |limit| rows.min(limit))
    }
}

/// The wanted rows, in the order of the file; with `columns`, from memory as far as they are kept
/// there.
///
/// # Errors
/// When the metadata does not fit what is wanted. The stream gives
/// [`crate::error::ErrorKind::Corrupt`] when the file cannot be decoded, when its pages would take
/// more memory than their bytes explain, and when it ends before all rows have come.
pub(super) fn file_rows(
    reader: FileReader,
    metadata: ArrowReaderMetadata,
    wanted: WantedRows,
    columns: Option<FileColumns>,
) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
    let rows = wanted.row_count(metadata.metadata());
    let columns = columns.filter(|_| wanted.limit.is_none() && !wanted.roots.is_empty());
    let batches = match columns {
        Some(columns) => Either::Left(kept_columns::rows(reader, metadata, wanted, columns)),
        None => Either::Right(decoded(reader, metadata, wanted)?),
    };
    Ok(runtime::contained_stream(AllRows {
        batches: batches.boxed(),
        missing: Some(rows),
    }))
}

/// The wanted rows, read and decoded.
fn decoded(
    reader: FileReader,
    metadata: ArrowReaderMetadata,
    wanted: WantedRows,
) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
    let columns = ProjectionMask::roots(metadata.parquet_schema(), wanted.roots);
    let chunks = ColumnChunks::new(metadata.metadata(), &wanted.row_groups, &columns);
    let mut builder =
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader.of_pages(chunks), metadata)
            .with_projection(columns)
            .with_batch_size(wanted.batch_size)
            .with_row_groups(wanted.row_groups);
    if let Some(selection) = wanted.selection {
        builder = builder.with_row_selection(selection);
    }
    if let Some(limit) = wanted.limit {
        builder = builder.with_limit(limit);
    }
    Ok(builder.build()?.map_err(Error::from))
}

/// The rows of some row groups, whose numbers were checked with the footer.
pub(super) fn row_count(footer: &ParquetMetaData, groups: &[usize]) -> usize {
    let groups = groups
        .iter()
        .filter_map(|group| footer.row_groups().get(*group));
    groups.fold(0, |rows: usize, group| {
        rows.saturating_add(usize::try_from(group.num_rows()).unwrap_or(0))
    })
}

/// Batches that must hold as many rows as were asked for.
struct AllRows<S> {
    batches: S,
    /// Rows still to come; nothing after the end.
    missing: Option<usize>,
}

impl<S: Stream<Item = Result<RecordBatch>> + Unpin> Stream for AllRows<S> {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(missing) = self.missing else {
            return Poll::Ready(None);
        };
        let batch = ready!(self.batches.poll_next_unpin(cx));
        self.missing = match &batch {
            Some(Ok(batch)) => missing.checked_sub(batch.num_rows()),
            _ => None,
        };
        let is_sound = match &batch {
            Some(Ok(_)) => self.missing.is_some(),
            Some(Err(_)) => true,
            None => missing == 0,
        };
        Poll::Ready(if is_sound {
            batch
        } else {
            Some(Err(other_count()))
        })
    }
}

fn other_count() -> Error {
    Error::corrupt(
        "the file is damaged: its columns do not hold the rows that its footer says; restore the \
         file",
    )
}
