//! Delete files of a snapshot, and which of them apply to one data file.

use std::sync::Arc;

use iceberg::spec::{DataContentType, DataFileFormat};

use super::manifest::{ColumnBound, ListedEntry, ListedFile, ReadManifest};
use super::partition::PartitionLayout;
use super::plan::sequence_number;
use super::value::Value;
use crate::error::{Error, Result};

/// The field id of the column in which a position delete file names data files.
pub(crate) const DELETED_PATH_ID: i32 = 2_147_483_546;
/// The field id of the column in which a position delete file names rows.
pub(crate) const DELETED_POSITION_ID: i32 = 2_147_483_545;

/// How the bytes of a delete file say what is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteKind {
    /// A bitmap of the deleted rows of one data file, within a Puffin file.
    Vector,
    /// Pairs of data file and row, in a Parquet file.
    Positions,
    /// Values of key columns: each row that has them is deleted, in a Parquet file.
    Equality,
}

/// A live delete file, or deletion vector, of a snapshot.
#[derive(Debug, Clone)]
pub struct DeleteFile {
    entry: Arc<ListedEntry>,
    layout: Arc<PartitionLayout>,
    kind: DeleteKind,
    /// The id of the partition spec that the file was written with.
    pub spec_id: i32,
    /// The data sequence number: position deletes apply to data files with this or a smaller one,
    /// equality deletes only to those with a smaller one.
    pub sequence_number: i64,
}

impl DeleteFile {
    /// The delete file of a live entry.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] when the entry says what cannot be.
    pub(crate) fn new(entry: &Arc<ListedEntry>, read: &ReadManifest) -> Result<Self> {
        let of = |error: Error| {
            error
                .with_context("file", entry.file_path())
                .with_context("manifest", &read.file.manifest_path)
        };
        let kind = match (entry.content_type(), entry.file_format()) {
            (DataContentType::PositionDeletes, DataFileFormat::Puffin) => DeleteKind::Vector,
            (DataContentType::PositionDeletes, _) => DeleteKind::Positions,
            (DataContentType::EqualityDeletes, _) => DeleteKind::Equality,
            (DataContentType::Data, _) => {
                return Err(of(Error::corrupt(
                    "a data file is listed among delete files; rewrite the manifest",
                )));
            }
        };
        let sequence_number = sequence_number(entry, &read.file).ok_or_else(|| {
            of(Error::corrupt(
                "an existing delete file has no sequence number, and only added files inherit \
                 one; rewrite the manifest",
            ))
        })?;
        let file = Self {
            entry: Arc::clone(entry),
            layout: Arc::clone(&read.manifest.layout),
            kind,
            spec_id: read.file.partition_spec_id,
            sequence_number,
        };
        if kind == DeleteKind::Vector {
            file.checked_blob().map_err(of)?;
        }
        Ok(file)
    }

    /// Path, sizes, counts, equality ids.
    pub fn data_file(&self) -> &ListedFile {
        self.entry.data_file()
    }

    /// The file's location, byte for byte as the manifest has it; deletion vectors share files.
    pub fn path(&self) -> &str {
        self.entry.file_path()
    }

    /// The entry of the file in its manifest.
    pub(crate) fn entry(&self) -> &Arc<ListedEntry> {
        &self.entry
    }

    /// The ids of the partition fields, in the order of the file's partition values.
    pub(crate) fn partition_field_ids(&self) -> impl Iterator<Item = i32> {
        self.layout.columns.iter().map(|column| column.field_id)
    }

    /// How the file says what is deleted.
    pub fn kind(&self) -> DeleteKind {
        self.kind
    }

    /// Where a deletion vector lies in its file: offset and length, in bytes.
    pub(crate) fn blob(&self) -> Option<(u64, u64)> {
        let file = self.data_file();
        let offset = u64::try_from(file.content_offset()?).ok()?;
        let length = u64::try_from(file.content_size_in_bytes()?).ok()?;
        // Whether the file is long enough is asked when it is read: manifests of tables that were
        // moved may say another size.
        offset.checked_add(length).map(|_| (offset, length))
    }

    /// What no deletion vector can be without.
    fn checked_blob(&self) -> Result<()> {
        let file = self.data_file();
        if file.referenced_data_file().is_none() {
            return Err(Error::corrupt(
                "a deletion vector does not say which data file it is for; restore the manifest",
            ));
        }
        if file.content_offset().is_none() || file.content_size_in_bytes().is_none() {
            return Err(Error::corrupt(
                "a deletion vector does not say where in its file it is; restore the manifest",
            ));
        }
        if self.blob().is_none() {
            return Err(Error::corrupt(
                "a deletion vector lies where no file has bytes; restore the manifest",
            ));
        }
        Ok(())
    }

    /// The one data file that the deletes are for, when they are for one.
    pub(crate) fn referenced_path(&self) -> Option<String> {
        let file = self.data_file();
        if let Some(path) = file.referenced_data_file() {
            return Some(path);
        }
        // All values lie between the bounds, so equal bounds are the only value.
        match self.path_bounds() {
            (Some(lower), Some(upper)) if lower == upper => Some(lower.to_owned()),
            _ => None,
        }
    }

    /// Whether the bounds admit that the file names the data file at `path`.
    pub(crate) fn may_name(&self, path: &str) -> bool {
        let (lower, upper) = self.path_bounds();
        lower.is_none_or(|lower| lower <= path) && upper.is_none_or(|upper| path <= upper)
    }

    fn path_bounds(&self) -> (Option<&str>, Option<&str>) {
        let text = |kind| match self.data_file().bound_value(kind, DELETED_PATH_ID) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        (text(ColumnBound::Lower), text(ColumnBound::Upper))
    }

    /// Refuses a file that cannot be read: encrypted, or not of the one format of its kind.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`].
    pub(crate) fn refuse_unreadable(&self) -> Result<()> {
        let file = self.data_file();
        if file.key_metadata().is_some_and(|key| !key.is_empty()) {
            return Err(Error::unsupported(
                "the delete file is encrypted, and encrypted tables are not read; read the table \
                 with an engine that has its keys",
            )
            .with_context("file", self.path()));
        }
        match (self.kind, file.file_format()) {
            (DeleteKind::Vector, _) | (_, DataFileFormat::Parquet) => Ok(()),
            (_, other) => Err(Error::unsupported(format!(
                "the delete file has the format {other}, only Parquet is read; rewrite the table's \
                 data files with the engine that deletes (in Spark: CALL \
                 system.rewrite_data_files with delete-file-threshold 1)"
            ))
            .with_context("file", self.path())),
        }
    }
}

/// The delete files that apply to one data file, after sequence numbers, partitions and bounds.
#[derive(Debug, Clone, Default)]
pub struct FileDeletes {
    /// The deletion vector; where there is one, no position delete file applies.
    pub vector: Option<Arc<DeleteFile>>,
    /// The position delete files that may name the data file.
    pub positions: Vec<Arc<DeleteFile>>,
    /// The equality delete files that may match rows of the data file.
    pub equality: Vec<Arc<DeleteFile>>,
}

impl FileDeletes {
    /// Whether every row of the data file is live.
    pub fn is_empty(&self) -> bool {
        self.vector.is_none() && self.positions.is_empty() && self.equality.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DeleteFile>> {
        let positions = self.vector.iter().chain(&self.positions);
        positions.chain(&self.equality)
    }

    /// The number of live rows of a data file of `rows`: at least this many, and whether exactly.
    pub(crate) fn live_rows(&self, rows: u64) -> (u64, bool) {
        if let Some(vector) = &self.vector {
            let live = rows.saturating_sub(vector.data_file().record_count());
            return if self.equality.is_empty() {
                (live, true)
            } else {
                (0, false)
            };
        }
        (if self.is_empty() { rows } else { 0 }, self.is_empty())
    }
}
