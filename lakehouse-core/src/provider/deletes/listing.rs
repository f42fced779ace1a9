//! Reads delete files as rows, for the table that lists what they name.

use std::sync::Arc;

use arrow::array::{Int64Array, StringViewArray};
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::super::file_reader::FileReader;
use super::vectors::Blob;
use super::{Memory, positions, vectors};
use crate::error::{Error, Result};
use crate::runtime::Reservation;
use crate::scan::{DeleteFile, DeleteKind, DeletedRows, PositionReader, Positions};
use crate::storage::Storage;

/// Rows of a vector that are shown at a time.
const BATCH_ROWS: usize = 8 << 10;

/// Reads the delete files of one query.
#[derive(Debug, Clone)]
pub(in crate::provider) struct DeleteListing {
    pub(in crate::provider) storage: Storage,
    pub(in crate::provider) pool: Arc<dyn MemoryPool>,
    pub(in crate::provider) metrics: ExecutionPlanMetricsSet,
}

impl PositionReader for DeleteListing {
    fn reservation(&self, name: &'static str) -> Reservation {
        Reservation::unspillable(&self.pool, name)
    }

    fn positions(&self, file: Arc<DeleteFile>) -> BoxStream<'static, Result<Positions>> {
        let (listing, location) = (self.clone(), file.path().to_owned());
        let rows = async move { listing.open(&file).await };
        stream::once(rows)
            .try_flatten()
            .map_err(move |error| error.in_file(&location))
            .boxed()
    }
}

impl DeleteListing {
    async fn open(&self, file: &DeleteFile) -> Result<BoxStream<'static, Result<Positions>>> {
        file.refuse_unreadable()?;
        let size_bytes = file.data_file().file_size_in_bytes();
        let metrics = ParquetFileMetrics::new(0, file.path(), &self.metrics);
        let mut reader = FileReader::new(&self.storage, file.path(), size_bytes, metrics)?;
        if file.kind() != DeleteKind::Vector {
            return positions::read_all(reader).await;
        }
        let (offset, length) = file.blob().unwrap_or_default();
        let blob = Blob {
            bytes: offset..offset.saturating_add(length),
            data_file: file.referenced_path().unwrap_or_default(),
            deleted: file.data_file().record_count(),
            // How many rows the data file has is said in another manifest.
            rows: u64::MAX,
        };
        let memory = Memory::new(&self.pool);
        let blobs = [blob];
        let read = vectors::read(&mut reader, &self.storage, &blobs, &memory).await?;
        let [blob] = blobs;
        let vector = read
            .get(&blob.data_file)
            .map(Arc::clone)
            .ok_or_else(|| Error::internal("a deletion vector was read and is not there"))?;
        Ok(rows_of(vector, blob.data_file, memory))
    }
}

/// The rows of a vector; the memory that it takes is held to the end.
fn rows_of(
    vector: Arc<DeletedRows>,
    data_file: String,
    memory: Memory,
) -> BoxStream<'static, Result<Positions>> {
    let start = (0_u64, memory);
    stream::try_unfold(start, move |(from, memory)| {
        let rows = vector.runs(from..u64::MAX).flatten().take(BATCH_ROWS);
        let rows: Vec<u64> = rows.collect();
        let batch = batch_of(&rows, &data_file);
        async move {
            Ok(match rows.last() {
                Some(last) => Some((batch?, (last.saturating_add(1), memory))),
                None => None,
            })
        }
    })
    .boxed()
}

fn batch_of(rows: &[u64], data_file: &str) -> Result<Positions> {
    let positions = rows
        .iter()
        .map(|row| i64::try_from(*row))
        .collect::<std::result::Result<Vec<i64>, _>>()
        .map_err(|error| {
            Error::corrupt("a deletion vector deletes a row beyond the largest file")
                .with_context("data file", data_file)
                .with_source(error)
        })?;
    let paths = StringViewArray::from_iter_values(positions.iter().map(|_| data_file));
    Ok((paths, Int64Array::from(positions)))
}
