//! A file as a manifest lists it.

use std::collections::HashMap;
use std::mem::{size_of, size_of_val};

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, ManifestEntry,
    ManifestStatus, Struct,
};

use super::column_statistics::{ColumnBound, ColumnCount, ColumnStatistics, StatisticsBuilder};
use crate::error::{Error, Result};
use crate::scan::value::Value;

/// An entry of a manifest; what entries inherit from the manifest list is not filled in.
#[derive(Debug, Clone)]
pub(crate) struct ListedEntry {
    /// Whether the snapshot of the manifest added, kept or deleted the file.
    pub(crate) status: ManifestStatus,
    /// The snapshot that added the file, or deleted it.
    pub(crate) snapshot_id: Option<i64>,
    /// The data sequence number.
    pub(crate) sequence_number: Option<i64>,
    /// The sequence number of the commit that added the file.
    pub(crate) file_sequence_number: Option<i64>,
    /// The file.
    pub(crate) file: ListedFile,
}

impl ListedEntry {
    /// Whether the file is part of the snapshot.
    pub(crate) fn is_alive(&self) -> bool {
        self.status != ManifestStatus::Deleted
    }

    pub(crate) fn status(&self) -> ManifestStatus {
        self.status
    }

    pub(crate) fn content_type(&self) -> DataContentType {
        self.file.content
    }

    pub(crate) fn file_format(&self) -> DataFileFormat {
        self.file.file_format
    }

    pub(crate) fn file_path(&self) -> &str {
        &self.file.file_path
    }

    pub(crate) fn record_count(&self) -> u64 {
        self.file.record_count
    }

    pub(crate) fn data_file(&self) -> &ListedFile {
        &self.file
    }

    /// Memory that the entry takes, estimated.
    pub(super) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.file.size_bytes()
    }

    /// The entry as the format crate decoded it, with bounds of the types in `statistics`; bounds
    /// that were decoded as bytes are taken for what they are bytes of.
    pub(super) fn of(entry: &ManifestEntry, statistics: &mut StatisticsBuilder) -> Result<Self> {
        let file = entry.data_file();
        put_statistics(file, statistics)?;
        Ok(Self {
            status: entry.status(),
            snapshot_id: entry.snapshot_id,
            sequence_number: entry.sequence_number,
            file_sequence_number: entry.file_sequence_number,
            file: ListedFile {
                content: file.content_type(),
                file_path: file.file_path().to_owned(),
                file_format: file.file_format(),
                partition: file.partition().clone(),
                record_count: file.record_count(),
                file_size_in_bytes: file.file_size_in_bytes(),
                key_metadata: file.key_metadata().map(<[u8]>::to_vec),
                split_offsets: file.split_offsets().map(<[i64]>::to_vec),
                equality_ids: file.equality_ids(),
                sort_order_id: file.sort_order_id(),
                first_row_id: file.first_row_id(),
                referenced_data_file: file.referenced_data_file(),
                content_offset: file.content_offset(),
                content_size_in_bytes: file.content_size_in_bytes(),
                statistics: statistics.finish(),
            },
        })
    }
}

fn put_statistics(file: &DataFile, statistics: &mut StatisticsBuilder) -> Result<()> {
    let counts = [
        (ColumnCount::Size, file.column_sizes()),
        (ColumnCount::Values, file.value_counts()),
        (ColumnCount::Nulls, file.null_value_counts()),
        (ColumnCount::Nans, file.nan_value_counts()),
    ];
    for (kind, map) in counts {
        for (id, count) in map {
            statistics.put_count(kind, *id, i64::try_from(*count).unwrap_or(-1));
        }
        statistics.end_map();
    }
    let bounds = [
        (ColumnBound::Lower, file.lower_bounds()),
        (ColumnBound::Upper, file.upper_bounds()),
    ];
    for (kind, map) in bounds {
        for (id, bound) in map {
            let put = statistics.put_bound(kind, *id, &bound.to_bytes()?);
            put.ok_or_else(|| Error::corrupt("a file has bounds of more than four gigabytes"))?;
        }
        statistics.end_map();
    }
    Ok(())
}

/// A data or delete file as a manifest lists it: where it is, how large, and what is in it.
#[derive(Debug, Clone)]
pub struct ListedFile {
    pub(super) content: DataContentType,
    pub(super) file_path: String,
    pub(super) file_format: DataFileFormat,
    pub(super) partition: Struct,
    pub(super) record_count: u64,
    pub(super) file_size_in_bytes: u64,
    pub(super) key_metadata: Option<Vec<u8>>,
    pub(super) split_offsets: Option<Vec<i64>>,
    pub(super) equality_ids: Option<Vec<i32>>,
    pub(super) sort_order_id: Option<i32>,
    pub(super) first_row_id: Option<i64>,
    pub(super) referenced_data_file: Option<String>,
    pub(super) content_offset: Option<i64>,
    pub(super) content_size_in_bytes: Option<i64>,
    pub(super) statistics: ColumnStatistics,
}

impl Default for ListedFile {
    /// A file of nothing.
    fn default() -> Self {
        Self {
            content: DataContentType::Data,
            file_path: String::new(),
            file_format: DataFileFormat::Parquet,
            partition: Struct::empty(),
            record_count: 0,
            file_size_in_bytes: 0,
            key_metadata: None,
            split_offsets: None,
            equality_ids: None,
            sort_order_id: None,
            first_row_id: None,
            referenced_data_file: None,
            content_offset: None,
            content_size_in_bytes: None,
            statistics: ColumnStatistics::default(),
        }
    }
}

impl ListedFile {
    /// What the file holds: data, or deletes.
    pub fn content_type(&self) -> DataContentType {
        self.content
    }

    /// The file's location, byte for byte as the manifest has it.
    pub fn file_path(&self) -> &str {
        &self.file_path
    }

    /// The format of the file.
    pub fn file_format(&self) -> DataFileFormat {
        self.file_format
    }

    /// The partition tuple, by the spec of the manifest.
    pub fn partition(&self) -> &Struct {
        &self.partition
    }

    /// The rows in the file, or in a deletion vector.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// The size of the file.
    pub fn file_size_in_bytes(&self) -> u64 {
        self.file_size_in_bytes
    }

    /// How the file is encrypted, where it is.
    pub fn key_metadata(&self) -> Option<&[u8]> {
        self.key_metadata.as_deref()
    }

    /// Where the row groups begin, in bytes.
    pub fn split_offsets(&self) -> Option<&[i64]> {
        self.split_offsets.as_deref()
    }

    /// The ids of the columns that a file of equality deletes compares.
    pub fn equality_ids(&self) -> Option<Vec<i32>> {
        self.equality_ids.clone()
    }

    /// The sort order that the file was written in.
    pub fn sort_order_id(&self) -> Option<i32> {
        self.sort_order_id
    }

    /// The row id of the first row, where the file has one of its own.
    pub fn first_row_id(&self) -> Option<i64> {
        self.first_row_id
    }

    /// The one data file that the deletes are for, where the entry says so.
    pub fn referenced_data_file(&self) -> Option<String> {
        self.referenced_data_file.clone()
    }

    /// Where a deletion vector begins in its file, in bytes.
    pub fn content_offset(&self) -> Option<i64> {
        self.content_offset
    }

    /// The length of a deletion vector, in bytes.
    pub fn content_size_in_bytes(&self) -> Option<i64> {
        self.content_size_in_bytes
    }

    /// What is counted of a column, where it was.
    pub fn count(&self, kind: ColumnCount, field_id: i32) -> Option<u64> {
        self.statistics.count(kind, field_id)
    }

    /// What is counted of all columns, by ascending field id.
    pub fn counts(&self, kind: ColumnCount) -> impl Iterator<Item = (i32, u64)> {
        self.statistics.counts(kind)
    }

    /// A bound of a column, of the type that the column had when the manifest was written. `None`
    /// when there is none, or none that is a value of the type.
    pub fn bound(&self, kind: ColumnBound, field_id: i32) -> Option<Datum> {
        let (data_type, value) = self.statistics.bound(kind, field_id)?;
        value.to_datum(data_type)
    }

    /// The bounds of all columns, by ascending field id.
    pub fn bounds(&self, kind: ColumnBound) -> impl Iterator<Item = (i32, Datum)> {
        let bounds = self.statistics.bounds(kind);
        bounds.filter_map(|(id, data_type, value)| Some((id, value.to_datum(data_type)?)))
    }

    /// As [`Self::bound`], to compare with.
    pub(crate) fn bound_value(&self, kind: ColumnBound, field_id: i32) -> Option<Value<'_>> {
        self.statistics
            .bound(kind, field_id)
            .map(|(_, value)| value)
    }

    /// The file in the format crate's form, for a manifest of the spec that it belongs to.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Internal`] when that form wants more than manifests have.
    pub fn to_data_file(&self, partition_spec_id: i32) -> Result<DataFile> {
        self.to_carried(partition_spec_id, self.partition.clone(), self.first_row_id)
    }

    /// As [`Self::to_data_file`], with partition values and row ids that the entry does not have
    /// itself.
    pub(crate) fn to_carried(
        &self,
        partition_spec_id: i32,
        partition: Struct,
        first_row_id: Option<i64>,
    ) -> Result<DataFile> {
        let counts = |kind| self.counts(kind).collect::<HashMap<_, _>>();
        let bounds = |kind| self.bounds(kind).collect::<HashMap<_, _>>();
        let mut builder = DataFileBuilder::default();
        builder
            .content(self.content)
            .file_path(self.file_path.clone())
            .file_format(self.file_format)
            .partition(partition)
            .record_count(self.record_count)
            .file_size_in_bytes(self.file_size_in_bytes)
            .column_sizes(counts(ColumnCount::Size))
            .value_counts(counts(ColumnCount::Values))
            .null_value_counts(counts(ColumnCount::Nulls))
            .nan_value_counts(counts(ColumnCount::Nans))
            .lower_bounds(bounds(ColumnBound::Lower))
            .upper_bounds(bounds(ColumnBound::Upper))
            .key_metadata(self.key_metadata.clone())
            .split_offsets(self.split_offsets.clone())
            .equality_ids(self.equality_ids.clone())
            .first_row_id(first_row_id)
            .partition_spec_id(partition_spec_id)
            .referenced_data_file(self.referenced_data_file.clone())
            .content_offset(self.content_offset)
            .content_size_in_bytes(self.content_size_in_bytes);
        if let Some(order) = self.sort_order_id {
            builder.sort_order_id(order);
        }
        builder
            .build()
            .map_err(|error| Error::internal("a data file must be complete").with_source(error))
    }

    fn size_bytes(&self) -> usize {
        self.file_path.len()
            + self.referenced_data_file.as_ref().map_or(0, String::len)
            + size_of_val(self.partition.fields())
            + self.split_offsets.as_deref().map_or(0, size_of_val)
            + self.equality_ids.as_deref().map_or(0, size_of_val)
            + self.key_metadata.as_ref().map_or(0, Vec::len)
            + self.statistics.size_bytes()
    }
}

#[cfg(test)]
impl From<ManifestEntry> for ListedEntry {
    /// With bounds of the types that they have themselves.
    fn from(entry: ManifestEntry) -> Self {
        let file = entry.data_file();
        let bounds = file.lower_bounds().iter().chain(file.upper_bounds());
        let types = bounds.map(|(id, bound)| (*id, bound.data_type().clone()));
        let types = std::sync::Arc::new(types.collect());
        Self::of(&entry, &mut StatisticsBuilder::new(types)).unwrap()
    }
}

#[cfg(test)]
impl From<DataFile> for ListedFile {
    fn from(data_file: DataFile) -> Self {
        let entry = ManifestEntry::builder()
            .status(ManifestStatus::Added)
            .data_file(data_file);
        ListedEntry::from(entry.build()).file
    }
}
