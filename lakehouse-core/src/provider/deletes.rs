//! What deletes rows of a scan's files, read once for all of its partitions.

mod listing;
mod positions;
mod vectors;

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::physical_plan::metrics::Count;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::file_reader::FileReader;
use super::scan_counters::ReadMeter;
use crate::cache::SharedLoad;
use crate::error::{Error, Result};
use crate::runtime::{self, Reservation};
use crate::scan::{DeletedRows, ScanFile, ScanPlan};
use crate::storage::Storage;
use crate::table::Table;
pub(super) use listing::DeleteListing;
use vectors::Blob;

/// How many delete files one data file waits for at a time.
const READS_MAX: usize = 8;

/// Deleted rows by the location of their data file.
type RowsByFile = HashMap<String, Arc<DeletedRows>>;

/// The position delete files and deletion vectors of a scan's plan.
///
/// Each is read when the first of its data files is opened, and kept until the scan is dropped;
/// whoever else needs it meanwhile waits. Rows of other files than the plan's are not kept.
#[derive(Debug)]
pub(crate) struct ScanDeletes {
    storage: Storage,
    /// The folder of the table.
    folder: String,
    memory: Arc<Memory>,
    vectors: HashMap<String, VectorFile>,
    positions: HashMap<String, PositionFile>,
}

/// A Puffin file with the vectors in it that the plan needs.
#[derive(Debug)]
struct VectorFile {
    size_bytes: u64,
    blobs: Arc<Vec<Blob>>,
    rows: SharedLoad<RowsByFile>,
}

/// A position delete file with the data files it is read for, and how many rows those have.
#[derive(Debug)]
struct PositionFile {
    size_bytes: u64,
    wanted: Arc<BTreeMap<String, u64>>,
    rows: SharedLoad<RowsByFile>,
}

/// What counts the reading of delete files, in the scan operator's metrics.
#[derive(Debug, Clone)]
pub(super) struct DeleteMetrics {
    /// Bytes and times of the data file whose opening asked first.
    pub(super) file: ParquetFileMetrics,
    /// Delete files that were read.
    pub(super) files_read: Count,
    /// Bytes of delete files.
    pub(super) read: ReadMeter,
}

impl ScanDeletes {
    /// What the files of `plan`, which are `table`'s, need; nothing is read yet. Memory comes from
    /// `pool`.
    pub(super) fn new(plan: &ScanPlan, table: &Table, pool: &Arc<dyn MemoryPool>) -> Self {
        // By the data file too: one that is listed twice has its vector once.
        let mut vectors: HashMap<&str, (u64, BTreeMap<&str, Blob>)> = HashMap::new();
        let mut positions: HashMap<&str, (u64, BTreeMap<String, u64>)> = HashMap::new();
        for file in &plan.files {
            let (path, rows) = (file.path(), file.data_file().record_count());
            if let Some(vector) = &file.deletes.vector {
                let size = vector.data_file().file_size_in_bytes();
                let blobs = vectors.entry(vector.path());
                let blobs = &mut blobs.or_insert((size, BTreeMap::new())).1;
                let (offset, length) = vector.blob().unwrap_or_default();
                blobs.entry(path).or_insert_with(|| Blob {
                    bytes: offset..offset.saturating_add(length),
                    data_file: path.to_owned(),
                    deleted: vector.data_file().record_count(),
                    rows,
                });
            }
            for delete in &file.deletes.positions {
                let size = delete.data_file().file_size_in_bytes();
                let wanted = positions.entry(delete.path());
                let wanted = &mut wanted.or_insert((size, BTreeMap::new())).1;
                wanted.insert(path.to_owned(), rows);
            }
        }
        let vectors = vectors.into_iter().map(|(path, (size_bytes, blobs))| {
            let blobs = Arc::new(blobs.into_values().collect());
            let rows = SharedLoad::new();
            (
                path.to_owned(),
                VectorFile {
                    size_bytes,
                    blobs,
                    rows,
                },
            )
        });
        let positions = positions.into_iter().map(|(path, (size_bytes, wanted))| {
            let (wanted, rows) = (Arc::new(wanted), SharedLoad::new());
            (
                path.to_owned(),
                PositionFile {
                    size_bytes,
                    wanted,
                    rows,
                },
            )
        });
        Self {
            vectors: vectors.collect(),
            positions: positions.collect(),
            memory: Arc::new(Memory::new(pool)),
            storage: table.storage().clone(),
            folder: table.location().to_owned(),
        }
    }

    /// The deleted rows of one of the plan's files, to be asked for once per file: memory for
    /// rows that several files delete is taken each time.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] for a damaged delete file,
    /// [`crate::error::ErrorKind::ResourcesExhausted`] when the deletes do not fit into memory.
    pub(super) async fn rows_of(
        &self,
        file: &ScanFile,
        metrics: &DeleteMetrics,
    ) -> Result<FoundRows> {
        let path = file.path();
        let shared = |rows: Option<&Arc<DeletedRows>>| FoundRows {
            rows: rows.map(Arc::clone),
            merged: None,
        };
        if let Some(vector) = &file.deletes.vector {
            let rows = self.vectors_in(vector.path(), metrics).await?;
            let of_file = rows.get(path).ok_or_else(unplanned)?;
            return Ok(shared(Some(of_file)));
        }
        // Boxed, because the compiler does not see that the futures of borrowed files can be sent.
        let reads: Vec<BoxFuture<'_, _>> = file
            .deletes
            .positions
            .iter()
            .map(|delete| self.positions_in(delete.path(), metrics).boxed())
            .collect();
        let reads: Vec<Arc<RowsByFile>> = futures::stream::iter(reads)
            .buffered(READS_MAX)
            .try_collect()
            .await?;
        let found: Vec<_> = reads.iter().filter_map(|rows| rows.get(path)).collect();
        match found.as_slice() {
            [] => Ok(shared(None)),
            [one] => Ok(shared(Some(one))),
            many => {
                let mut all = DeletedRows::default();
                many.iter().for_each(|rows| all.insert_all(rows));
                let mut merged = Borrowed::new(Arc::clone(&self.memory));
                merged.resize(all.size_bytes())?;
                Ok(FoundRows {
                    rows: Some(Arc::new(all)),
                    merged: Some(merged),
                })
            }
        }
    }

    async fn vectors_in(&self, path: &str, metrics: &DeleteMetrics) -> Result<Arc<RowsByFile>> {
        let file = self.vectors.get(path).ok_or_else(unplanned)?;
        let mut reader = self.reader(path, file.size_bytes, metrics)?;
        let (blobs, memory) = (Arc::clone(&file.blobs), Arc::clone(&self.memory));
        let (storage, files_read) = (self.storage.clone(), metrics.files_read.clone());
        let folder = self.folder.clone();
        let load = move || async move {
            files_read.add(1);
            let named = vectors::check_names(reader.clone(), &storage, &folder, &blobs, &memory);
            let read = vectors::read(&mut reader, &storage, &blobs, &memory);
            let (rows, ()) = futures::try_join!(read, named)?;
            Ok(rows)
        };
        let rows = file.rows.get(|| runtime::contained_future(load())).await;
        rows.map_err(|error| error.in_file(path))
    }

    async fn positions_in(&self, path: &str, metrics: &DeleteMetrics) -> Result<Arc<RowsByFile>> {
        let file = self.positions.get(path).ok_or_else(unplanned)?;
        let reader = self.reader(path, file.size_bytes, metrics)?;
        let (wanted, memory) = (Arc::clone(&file.wanted), Arc::clone(&self.memory));
        let files_read = metrics.files_read.clone();
        let load = move || async move {
            files_read.add(1);
            positions::read(reader, &wanted, &memory).await
        };
        let rows = file.rows.get(|| runtime::contained_future(load())).await;
        rows.map_err(|error| error.in_file(path))
    }

    fn reader(&self, path: &str, size_bytes: u64, metrics: &DeleteMetrics) -> Result<FileReader> {
        let reader = FileReader::new(&self.storage, path, size_bytes, metrics.file.clone())?;
        Ok(reader.metered(&metrics.read))
    }
}

/// The deleted rows of a data file.
#[derive(Debug)]
pub(super) struct FoundRows {
    rows: Option<Arc<DeletedRows>>,
    /// Memory of rows that are not those of one delete file; given back with this.
    merged: Option<Borrowed<Arc<Memory>>>,
}

impl FoundRows {
    /// The rows, whose memory stays with the scan; `None` when there are none.
    pub(super) fn keep(self) -> Option<Arc<DeletedRows>> {
        if let Some(merged) = self.merged {
            merged.keep();
        }
        self.rows
    }
}

fn unplanned() -> Error {
    Error::internal("a delete file of a scan is not among those that were planned")
}

/// The share of the memory budget that a scan's deletes take.
#[derive(Debug)]
struct Memory {
    reservation: Mutex<Reservation>,
}

impl Memory {
    fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let name = "the row-level deletes of a scan";
        Self {
            reservation: Mutex::new(Reservation::unspillable(pool, name)),
        }
    }

    /// Takes `bytes` more.
    fn grow(&self, bytes: usize) -> Result<()> {
        // Nothing that can panic runs under the lock.
        let mut held = self
            .reservation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let size = held.size_bytes().saturating_add(bytes);
        held.resize(size)
    }

    /// Gives `bytes` back.
    fn shrink(&self, bytes: usize) -> Result<()> {
        let mut held = self
            .reservation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let size = held.size_bytes().saturating_sub(bytes);
        held.resize(size)
    }
}

/// Memory that is given back when the work it was taken for has ended.
#[derive(Debug)]
struct Borrowed<M: Deref<Target = Memory>> {
    memory: M,
    bytes: usize,
}

impl<M: Deref<Target = Memory>> Borrowed<M> {
    fn new(memory: M) -> Self {
        Self { memory, bytes: 0 }
    }

    /// Makes the share `bytes` large.
    fn resize(&mut self, bytes: usize) -> Result<()> {
        if bytes > self.bytes {
            self.memory.grow(bytes - self.bytes)?;
        } else {
            self.memory.shrink(self.bytes - bytes)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Leaves the share with the scan.
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl<M: Deref<Target = Memory>> Drop for Borrowed<M> {
    fn drop(&mut self) {
        // Giving back cannot fail.
        let _ = self.memory.shrink(self.bytes);
    }
}
