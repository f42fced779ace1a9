//! What a manifest says of one file, column by column.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, StringArray,
};
use arrow::datatypes::{DataType, Field};

use super::arrays::{ints, long, longs, maps};
use super::partition_union::PartitionUnion;
use crate::error::Result;
use crate::scan::manifest::{ColumnBound, ColumnCount, ListedFile};
use crate::scan::partition::PartitionLayout;

/// A column of `files`, or a field of `data_file` in `entries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileColumn {
    Content,
    FilePath,
    FileFormat,
    SpecId,
    Partition,
    RecordCount,
    FileSizeInBytes,
    ColumnSizes,
    ValueCounts,
    NullValueCounts,
    NanValueCounts,
    LowerBounds,
    UpperBounds,
    KeyMetadata,
    SplitOffsets,
    EqualityIds,
    SortOrderId,
    FirstRowId,
    ReferencedDataFile,
    ContentOffset,
    ContentSizeInBytes,
}

/// Files of one manifest.
pub(super) struct FileRows<'a> {
    pub(super) files: Vec<&'a ListedFile>,
    /// One per file, inherited ones filled in.
    pub(super) first_row_ids: Vec<Option<i64>>,
    /// The spec that the manifest list names for the manifest.
    pub(super) spec_id: i32,
    /// The layout of the files' partition tuples.
    pub(super) layout: &'a PartitionLayout,
}

impl FileColumn {
    /// All of them in their order in the table.
    pub(super) const ALL: [Self; 21] = [
        Self::Content,
        Self::FilePath,
        Self::FileFormat,
        Self::SpecId,
        Self::Partition,
        Self::RecordCount,
        Self::FileSizeInBytes,
        Self::ColumnSizes,
        Self::ValueCounts,
        Self::NullValueCounts,
        Self::NanValueCounts,
        Self::LowerBounds,
        Self::UpperBounds,
        Self::KeyMetadata,
        Self::SplitOffsets,
        Self::EqualityIds,
        Self::SortOrderId,
        Self::FirstRowId,
        Self::ReferencedDataFile,
        Self::ContentOffset,
        Self::ContentSizeInBytes,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::FilePath => "file_path",
            Self::FileFormat => "file_format",
            Self::SpecId => "spec_id",
            Self::Partition => "partition",
            Self::RecordCount => "record_count",
            Self::FileSizeInBytes => "file_size_in_bytes",
            Self::ColumnSizes => "column_sizes",
            Self::ValueCounts => "value_counts",
            Self::NullValueCounts => "null_value_counts",
            Self::NanValueCounts => "nan_value_counts",
            Self::LowerBounds => "lower_bounds",
            Self::UpperBounds => "upper_bounds",
            Self::KeyMetadata => "key_metadata",
            Self::SplitOffsets => "split_offsets",
            Self::EqualityIds => "equality_ids",
            Self::SortOrderId => "sort_order_id",
            Self::FirstRowId => "first_row_id",
            Self::ReferencedDataFile => "referenced_data_file",
            Self::ContentOffset => "content_offset",
            Self::ContentSizeInBytes => "content_size_in_bytes",
        }
    }

    const fn is_nullable(self) -> bool {
        !matches!(
            self,
            Self::Content
                | Self::FilePath
                | Self::FileFormat
                | Self::SpecId
                | Self::Partition
                | Self::RecordCount
                | Self::FileSizeInBytes
        )
    }

    /// The columns of a table's files: those without partitions have no such column.
    pub(super) fn of(partition: &PartitionUnion) -> impl Iterator<Item = Self> {
        let partitioned = !partition.is_empty();
        Self::ALL
            .into_iter()
            .filter(move |column| partitioned || *column != Self::Partition)
    }

    /// The column's field, given its values or those of no files.
    pub(super) fn field(self, values: &ArrayRef) -> Field {
        Field::new(self.name(), values.data_type().clone(), self.is_nullable())
    }

    /// The column's values.
    pub(super) fn array(self, rows: &FileRows<'_>, partition: &PartitionUnion) -> Result<ArrayRef> {
        let files = || rows.files.iter().copied();
        Ok(match self {
            Self::Content => ints(files().map(|file| Some(file.content_type() as i32))),
            Self::FilePath => texts(files().map(|file| Some(file.file_path()))),
            Self::FileFormat => {
                let name = |file: &ListedFile| file.file_format().to_string().to_ascii_uppercase();
                Arc::new(files().map(name).map(Some).collect::<StringArray>())
            }
            Self::SpecId => ints(files().map(|_| Some(rows.spec_id))),
            Self::Partition => partition.array(rows.layout, files().map(ListedFile::partition))?,
            Self::RecordCount => longs(files().map(|file| long(file.record_count()))),
            Self::FileSizeInBytes => longs(files().map(|file| long(file.file_size_in_bytes()))),
            Self::ColumnSizes => counts(files(), ColumnCount::Size)?,
            Self::ValueCounts => counts(files(), ColumnCount::Values)?,
            Self::NullValueCounts => counts(files(), ColumnCount::Nulls)?,
            Self::NanValueCounts => counts(files(), ColumnCount::Nans)?,
            Self::LowerBounds => bounds(files(), ColumnBound::Lower)?,
            Self::UpperBounds => bounds(files(), ColumnBound::Upper)?,
            Self::KeyMetadata => Arc::new(
                files()
                    .map(ListedFile::key_metadata)
                    .collect::<BinaryArray>(),
            ),
            Self::SplitOffsets => split_offsets(files()),
            Self::EqualityIds => equality_ids(files()),
            Self::SortOrderId => ints(files().map(ListedFile::sort_order_id)),
            Self::FirstRowId => longs(rows.first_row_ids.iter().copied()),
            Self::ReferencedDataFile => Arc::new(
                files()
                    .map(ListedFile::referenced_data_file)
                    .collect::<StringArray>(),
            ),
            Self::ContentOffset => longs(files().map(ListedFile::content_offset)),
            Self::ContentSizeInBytes => longs(files().map(ListedFile::content_size_in_bytes)),
        })
    }
}

fn counts<'a>(files: impl Iterator<Item = &'a ListedFile>, kind: ColumnCount) -> Result<ArrayRef> {
    maps(
        Int32Builder::new(),
        Int64Builder::new(),
        files.map(|file| known(file.counts(kind))),
        |keys, values, (key, value)| {
            keys.append_value(key);
            values.append_option(long(value));
        },
    )
}

fn bounds<'a>(files: impl Iterator<Item = &'a ListedFile>, kind: ColumnBound) -> Result<ArrayRef> {
    maps(
        Int32Builder::new(),
        BinaryBuilder::new(),
        files.map(|file| known(file.bounds(kind))),
        |keys, values, (key, value)| {
            keys.append_value(key);
            values.append_option(value.to_bytes().ok());
        },
    )
}

/// The entries of a map; the decoded form does not tell an empty one from an absent one.
fn known<E>(entries: impl Iterator<Item = E>) -> Option<impl Iterator<Item = E>> {
    let mut entries = entries.peekable();
    entries.peek().is_some().then_some(entries)
}

fn split_offsets<'a>(files: impl Iterator<Item = &'a ListedFile>) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new()).with_field(element(DataType::Int64));
    for file in files {
        let offsets = file.split_offsets();
        lists.append_option(offsets.map(|offsets| offsets.iter().copied().map(Some)));
    }
    Arc::new(lists.finish())
}

fn equality_ids<'a>(files: impl Iterator<Item = &'a ListedFile>) -> ArrayRef {
    let mut lists = ListBuilder::new(Int32Builder::new()).with_field(element(DataType::Int32));
    for file in files {
        lists.append_option(file.equality_ids().map(|ids| ids.into_iter().map(Some)));
    }
    Arc::new(lists.finish())
}

fn element(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", kind, false))
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}
