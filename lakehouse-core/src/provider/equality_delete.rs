//! Equality deletes: rows that leave a table by the values of their key columns.
//!
//! Delete files of one partition that compare the same columns make one set of keys, read once per
//! scan and looked into by all data files it applies to. Sets that memory does not hold become a
//! sort-merge join instead.

mod join;
mod key;
mod key_bytes;
mod key_set;
mod prepare;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch, not, or};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::physical_plan::metrics::Count;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};

pub(super) use join::{joined_columns, without_deleted};
use key::{ColumnPath, Key, key_types};
use key_set::KeySet;
pub(super) use prepare::{KeyJoin, Prepared, ScanInputs};

use super::file::LakeFile;
use super::opener::LakeOpener;
use super::source::ScanShape;
use crate::cache::SharedLoad;
use crate::error::{Error, Result};

/// How many delete files are read at the same time.
const READS_MAX: usize = 8;

/// A set of equality deletes within a scan, read when the first data file needs it.
#[derive(Debug)]
pub(crate) struct DeletedKeys {
    /// The compared columns.
    pub(crate) key: Arc<Key>,
    /// How its delete files are read.
    pub(crate) shape: Arc<ScanShape>,
    /// The delete files.
    pub(crate) files: Vec<Arc<LakeFile>>,
    /// Who pays for the keys in memory.
    pub(crate) pool: Arc<dyn MemoryPool>,
    keys: SharedLoad<KeySet>,
}

impl DeletedKeys {
    /// A set of which nothing was read yet.
    pub(crate) fn new(
        key: Arc<Key>,
        shape: Arc<ScanShape>,
        files: Vec<Arc<LakeFile>>,
        pool: Arc<dyn MemoryPool>,
    ) -> Self {
        Self {
            key,
            shape,
            files,
            pool,
            keys: SharedLoad::new(),
        }
    }

    /// The keys; `opener` reads them when nobody has yet.
    ///
    /// # Errors
    /// When a delete file cannot be read, or memory does not hold the keys.
    async fn keys(&self, opener: &LakeOpener) -> Result<Arc<KeySet>> {
        self.keys.get(|| self.read(opener)).await
    }

    fn read(&self, opener: &LakeOpener) -> BoxFuture<'static, Result<KeySet>> {
        let opener = opener.all_of(Arc::clone(&self.shape));
        let files = self.files.iter().map(|file| numbered(&opener, file));
        let batches = futures::stream::iter(files.collect::<Vec<_>>());
        let (key, pool) = (Arc::clone(&self.key), Arc::clone(&self.pool));
        async move {
            let mut keys = KeySet::new(&key_types(&key)?, &pool)?;
            let mut batches = batches.flatten_unordered(READS_MAX);
            while let Some((sequence_number, batch)) = batches.try_next().await? {
                let columns = columns(&key.stored_paths, batch.columns())?;
                keys.insert(&columns, sequence_number)?;
            }
            tracing::debug!(keys = keys.len(), "equality deletes read");
            Ok(keys)
        }
        .boxed()
    }
}

/// A delete file's batches with its sequence number; opened when asked for the first one.
fn numbered(
    opener: &LakeOpener,
    file: &Arc<LakeFile>,
) -> BoxStream<'static, Result<(i64, RecordBatch)>> {
    let sequence_number = file.sequence_number();
    opener
        .open_named(Arc::clone(file), None)
        .map_ok(|batches| batches.map_err(Error::from))
        .try_flatten_stream()
        .map_ok(move |batch| (sequence_number, batch))
        .boxed()
}

fn columns(paths: &[ColumnPath], batch: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    paths.iter().map(|path| path.key(batch)).collect()
}

/// What one set deletes of one data file.
#[derive(Debug)]
struct KeyFilter {
    keys: Arc<KeySet>,
    /// Where the file's batches have the key columns.
    columns: Vec<ColumnPath>,
}

/// What equality deletes leave of one data file.
#[derive(Debug)]
pub(crate) struct KeyFilters {
    filters: Vec<KeyFilter>,
    /// The columns that flag deleted rows, by position in batches; without one, the rows go.
    flags: Vec<usize>,
    sequence_number: i64,
    rows_deleted: Count,
}

impl KeyFilters {
    /// Reads what deletes rows of a data file. `columns` are the positions, in a scan's columns, of
    /// those that the file's batches have, and `flags` those among them that flag deleted rows.
    ///
    /// # Errors
    /// As [`DeletedKeys::keys`].
    pub(crate) async fn read(
        opener: &LakeOpener,
        file: &LakeFile,
        columns: &[usize],
        flags: &[usize],
    ) -> Result<Self> {
        let flags = flags
            .iter()
            .filter_map(|flag| columns.binary_search(flag).ok());
        let mut filters = Vec::with_capacity(file.key_sets().len());
        for &set in file.key_sets() {
            let set = opener.shape.deleted_keys(set)?;
            let place = |path: &ColumnPath| {
                let root = columns.binary_search(&path.root).map_err(|_| {
                    Error::internal("a key column of an equality delete is not among those decoded")
                })?;
                let fields = path.fields.clone();
                Ok(ColumnPath { root, fields })
            };
            filters.push(KeyFilter {
                columns: set.key.scanned.iter().map(place).collect::<Result<_>>()?,
                keys: set.keys(opener).await?,
            });
        }
        Ok(Self {
            filters,
            flags: flags.collect(),
            sequence_number: file.sequence_number(),
            rows_deleted: opener.counters.rows_deleted_keys.clone(),
        })
    }

    /// The live rows of one batch; or all of them, with deleted ones flagged.
    ///
    /// # Errors
    /// Only when the batch does not have the key columns.
    pub(crate) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut kept: Option<BooleanArray> = None;
        for filter in &self.filters {
            let columns = columns(&filter.columns, batch.columns())?;
            let by_filter = filter.keys.kept(&columns, self.sequence_number)?;
            kept = match (kept, by_filter) {
                (Some(kept), Some(by_filter)) => Some(and(&kept, &by_filter)?),
                (kept, by_filter) => kept.or(by_filter),
            };
        }
        match kept {
            Some(kept) if !self.flags.is_empty() => flagged(&batch, &self.flags, &kept),
            Some(kept) => {
                let rows = batch.num_rows();
                let batch = filter_record_batch(&batch, &kept)?;
                self.rows_deleted.add(rows - batch.num_rows());
                Ok(batch)
            }
            None => Ok(batch),
        }
    }
}

/// A batch whose columns `flags` flag the rows that are not kept, beside those they flag already.
fn flagged(batch: &RecordBatch, flags: &[usize], kept: &BooleanArray) -> Result<RecordBatch> {
    let deleted = not(kept)?;
    let mut columns = batch.columns().to_vec();
    for flag in flags {
        let known = columns
            .get(*flag)
            .and_then(|column| column.as_boolean_opt());
        let known = known.ok_or_else(|| Error::internal("a column of flags holds none"))?;
        columns[*flag] = Arc::new(or(known, &deleted)?);
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
