//! Entries of a manifest straight from its rows.
//!
//! The format crate makes a tree of Avro values of each row, resolves it against the schema that it
//! expects, and takes the entry out of that. Here a row's bytes are walked over once, by the schema
//! that the file has. Whatever is not as writers of this format write it ends the walk, and the
//! format crate decides what it is.

mod slot;

use std::sync::Arc;

use iceberg::spec::{
    DataContentType, FormatVersion, Literal, ManifestMetadata, ManifestStatus, PrimitiveLiteral,
    PrimitiveType, Struct,
};
use serde_json::Value as Json;

use super::column_statistics::{ColumnBound, ColumnCount, ColumnTypes, StatisticsBuilder};
use super::listed_file::{ListedEntry, ListedFile};
use crate::scan::avro_blocks::take_block;
use crate::scan::avro_header::{AvroHeader, take_bytes, take_long};
use crate::scan::partition::PartitionLayout;
use slot::{FixedTypes, Shape, Slot, take_fixed, take_some};

/// The entries of a manifest whose blocks are known to be whole; `None` when it is an unusual one.
pub(super) fn entries(
    header: &AvroHeader<'_>,
    metadata: &ManifestMetadata,
    layout: &PartitionLayout,
    types: Arc<ColumnTypes>,
) -> Option<Vec<Arc<ListedEntry>>> {
    if header
        .text("avro.codec")
        .is_some_and(|codec| codec != "null")
    {
        return None;
    }
    let schema = header.json("avro.schema")?;
    let is_v1 = *metadata.format_version() == FormatVersion::V1;
    let rows = EntryRows::new(&schema, layout, is_v1)?;
    let mut statistics = StatisticsBuilder::new(types);
    let (sync, mut blocks) = header.blocks();
    let mut entries = Vec::new();
    while !blocks.is_empty() {
        let (count, mut block) = take_block(&mut blocks, sync)?;
        for _ in 0..count {
            entries.push(Arc::new(rows.take(&mut block, &mut statistics)?));
        }
    }
    Some(entries)
}

/// The fields of an entry, in the order of the file.
#[derive(Debug)]
struct EntryRows {
    fields: Vec<(EntryField, Slot)>,
    file: Vec<(FileField, Slot)>,
    /// The partition tuple's fields, each with its place in the spec and its type there.
    partition: Vec<(usize, PrimitiveType, Slot)>,
    is_v1: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryField {
    Status,
    SnapshotId,
    SequenceNumber,
    FileSequenceNumber,
    DataFile,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileField {
    Content,
    FilePath,
    FileFormat,
    Partition,
    RecordCount,
    FileSize,
    Counts(ColumnCount),
    Bounds(ColumnBound),
    KeyMetadata,
    SplitOffsets,
    EqualityIds,
    SortOrderId,
    FirstRowId,
    ReferencedDataFile,
    ContentOffset,
    ContentSize,
    Unknown,
}

impl EntryField {
    /// Entries of version 1 have no sequence numbers, whatever the file says.
    fn of(name: &str, is_v1: bool) -> Self {
        match name {
            "status" => Self::Status,
            "snapshot_id" => Self::SnapshotId,
            "data_file" => Self::DataFile,
            "sequence_number" if !is_v1 => Self::SequenceNumber,
            "file_sequence_number" if !is_v1 => Self::FileSequenceNumber,
            _ => Self::Unknown,
        }
    }
}

impl FileField {
    /// In version 1 there are data files only.
    fn of(name: &str, is_v1: bool) -> Self {
        match name {
            "file_path" => Self::FilePath,
            "file_format" => Self::FileFormat,
            "partition" => Self::Partition,
            "record_count" => Self::RecordCount,
            "file_size_in_bytes" => Self::FileSize,
            "column_sizes" => Self::Counts(ColumnCount::Size),
            "value_counts" => Self::Counts(ColumnCount::Values),
            "null_value_counts" => Self::Counts(ColumnCount::Nulls),
            "nan_value_counts" => Self::Counts(ColumnCount::Nans),
            "lower_bounds" => Self::Bounds(ColumnBound::Lower),
            "upper_bounds" => Self::Bounds(ColumnBound::Upper),
            "key_metadata" => Self::KeyMetadata,
            "split_offsets" => Self::SplitOffsets,
            "sort_order_id" => Self::SortOrderId,
            _ if is_v1 => Self::Unknown,
            "content" => Self::Content,
            "equality_ids" => Self::EqualityIds,
            "first_row_id" => Self::FirstRowId,
            "referenced_data_file" => Self::ReferencedDataFile,
            "content_offset" => Self::ContentOffset,
            "content_size_in_bytes" => Self::ContentSize,
            _ => Self::Unknown,
        }
    }
}

/// The fields of a record by name.
fn fields(record: &Json) -> Option<impl Iterator<Item = Option<(&str, &Json)>>> {
    if record["type"] != "record" {
        return None;
    }
    let fields = record["fields"].as_array()?.iter();
    Some(fields.map(|field| Some((field["name"].as_str()?, field.get("type")?))))
}

impl EntryRows {
    fn new(schema: &Json, layout: &PartitionLayout, is_v1: bool) -> Option<Self> {
        let mut rows = Self {
            fields: Vec::new(),
            file: Vec::new(),
            partition: Vec::new(),
            is_v1,
        };
        for field in fields(schema)? {
            let (name, kind) = field?;
            let field = EntryField::of(name, is_v1);
            if field == EntryField::DataFile {
                rows.read_file(kind, layout)?;
            }
            rows.fields.push((field, Slot::new(kind)?));
        }
        rows.is_complete(layout).then_some(rows)
    }

    fn read_file(&mut self, record: &Json, layout: &PartitionLayout) -> Option<()> {
        for field in fields(record)? {
            let (name, kind) = field?;
            let field = FileField::of(name, self.is_v1);
            if field == FileField::Partition {
                self.read_partition(kind, layout)?;
            }
            self.file.push((field, Slot::new(kind)?));
        }
        Some(())
    }

    /// The fields of the partition tuple, which are known by their ids: their names are made
    /// Avro names by some writers.
    fn read_partition(&mut self, record: &Json, layout: &PartitionLayout) -> Option<()> {
        let mut fixed_types = FixedTypes::default();
        for column in record["fields"].as_array()? {
            let mut known = layout.columns.iter();
            let place = known.position(|known| column["field-id"] == known.field_id)?;
            let result_type = layout.columns[place].result_type.clone()?;
            let kind = fixed_types.spelled_out(column.get("type")?);
            let slot = Slot::new(&kind)?;
            self.partition.push((place, result_type, slot));
        }
        Some(())
    }

    /// Whether there is all that an entry cannot be without, and each field once.
    fn is_complete(&self, layout: &PartitionLayout) -> bool {
        let entry = |wanted| {
            self.fields
                .iter()
                .filter(|(field, _)| *field == wanted)
                .count()
        };
        let file = |wanted| {
            self.file
                .iter()
                .filter(|(field, _)| *field == wanted)
                .count()
        };
        let mut places: Vec<usize> = self.partition.iter().map(|(place, ..)| *place).collect();
        places.sort_unstable();
        let wanted = [
            FileField::FilePath,
            FileField::FileFormat,
            FileField::Partition,
            FileField::RecordCount,
            FileField::FileSize,
        ];
        [
            EntryField::Status,
            EntryField::SnapshotId,
            EntryField::DataFile,
        ]
        .into_iter()
        .all(|field| entry(field) == 1)
            && wanted.into_iter().all(|field| file(field) == 1)
            && (self.is_v1 || file(FileField::Content) == 1)
            && places.into_iter().eq(0..layout.columns.len())
    }

    fn take(&self, row: &mut &[u8], statistics: &mut StatisticsBuilder) -> Option<ListedEntry> {
        let number = self.is_v1.then_some(0);
        let mut entry = ListedEntry {
            status: ManifestStatus::Existing,
            snapshot_id: None,
            sequence_number: number,
            file_sequence_number: number,
            file: ListedFile::default(),
        };
        for (field, slot) in &self.fields {
            match field {
                EntryField::Status => {
                    let status = i32::try_from(slot.integer(row)??).ok()?;
                    entry.status = ManifestStatus::try_from(status).ok()?;
                }
                EntryField::SnapshotId => entry.snapshot_id = slot.integer(row)?,
                EntryField::SequenceNumber => entry.sequence_number = slot.integer(row)?,
                EntryField::FileSequenceNumber => entry.file_sequence_number = slot.integer(row)?,
                EntryField::DataFile => self.take_file(row, &mut entry.file, statistics)?,
                EntryField::Unknown => slot.skip(row)?,
            }
        }
        // Version 1 has no entries without a snapshot.
        (!self.is_v1 || entry.snapshot_id.is_some()).then_some(entry)
    }

    fn take_file(
        &self,
        row: &mut &[u8],
        file: &mut ListedFile,
        statistics: &mut StatisticsBuilder,
    ) -> Option<()> {
        for (field, slot) in &self.file {
            match field {
                FileField::Content => {
                    let content = i32::try_from(slot.integer(row)??).ok()?;
                    file.content = DataContentType::try_from(content).ok()?;
                }
                FileField::FilePath => file.file_path = slot.text(row)??.to_owned(),
                FileField::FileFormat => file.file_format = slot.text(row)??.parse().ok()?,
                FileField::Partition => file.partition = self.take_partition(row)?,
                FileField::RecordCount => {
                    file.record_count = u64::try_from(slot.integer(row)??).ok()?;
                }
                FileField::FileSize => {
                    file.file_size_in_bytes = u64::try_from(slot.integer(row)??).ok()?;
                }
                FileField::Counts(kind) => slot.counts(row, *kind, statistics)?,
                FileField::Bounds(kind) => slot.bounds(row, *kind, statistics)?,
                FileField::KeyMetadata => {
                    file.key_metadata = slot.bytes(row)?.map(<[u8]>::to_vec);
                }
                FileField::SplitOffsets => file.split_offsets = slot.integers(row)?,
                FileField::EqualityIds => file.equality_ids = slot.integers(row)?,
                FileField::SortOrderId => {
                    let order = slot.integer(row)?.map(i32::try_from);
                    file.sort_order_id = order.transpose().ok()?;
                }
                FileField::FirstRowId => file.first_row_id = slot.integer(row)?,
                FileField::ReferencedDataFile => {
                    file.referenced_data_file = slot.text(row)?.map(str::to_owned);
                }
                FileField::ContentOffset => file.content_offset = slot.integer(row)?,
                FileField::ContentSize => file.content_size_in_bytes = slot.integer(row)?,
                FileField::Unknown => slot.skip(row)?,
            }
        }
        file.statistics = statistics.finish();
        Some(())
    }

    fn take_partition(&self, row: &mut &[u8]) -> Option<Struct> {
        if self.partition.is_empty() {
            return Some(Struct::empty());
        }
        let mut values = vec![None; self.partition.len()];
        for (place, result_type, slot) in &self.partition {
            *values.get_mut(*place)? = partition_value(result_type, slot, row)?;
        }
        Some(Struct::from_iter(values))
    }
}

/// A value of a partition tuple, of the types whose bytes are as they stand.
fn partition_value(kind: &PrimitiveType, slot: &Slot, row: &mut &[u8]) -> Option<Option<Literal>> {
    if !slot.is_some(row)? {
        return Some(None);
    }
    let literal = match (kind, &slot.shape) {
        (PrimitiveType::Boolean, Shape::Boolean) => match take_fixed(row)? {
            [0] => PrimitiveLiteral::Boolean(false),
            [1] => PrimitiveLiteral::Boolean(true),
            _ => return None,
        },
        (PrimitiveType::Int | PrimitiveType::Date, Shape::Integer) => {
            PrimitiveLiteral::Int(i32::try_from(take_long(row)?).ok()?)
        }
        (
            PrimitiveType::Long
            | PrimitiveType::Time
            | PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::TimestampNs
            | PrimitiveType::TimestamptzNs,
            Shape::Integer,
        ) => PrimitiveLiteral::Long(take_long(row)?),
        (PrimitiveType::Float, Shape::Float) => {
            PrimitiveLiteral::Float(f32::from_le_bytes(take_fixed(row)?).into())
        }
        (PrimitiveType::Double, Shape::Double) => {
            PrimitiveLiteral::Double(f64::from_le_bytes(take_fixed(row)?).into())
        }
        (PrimitiveType::Uuid, Shape::Fixed(16)) => {
            PrimitiveLiteral::UInt128(u128::from_be_bytes(take_fixed(row)?))
        }
        (PrimitiveType::Fixed(size), Shape::Fixed(held)) if *size == *held as u64 => {
            PrimitiveLiteral::Binary(take_some(row, *held)?.to_vec())
        }
        (PrimitiveType::Decimal { .. }, Shape::Fixed(size)) => {
            PrimitiveLiteral::Int128(whole_number(take_some(row, *size)?)?)
        }
        (PrimitiveType::Decimal { .. }, Shape::Bytes) => {
            PrimitiveLiteral::Int128(whole_number(take_bytes(row)?)?)
        }
        (PrimitiveType::Binary, Shape::Bytes) => {
            PrimitiveLiteral::Binary(take_bytes(row)?.to_vec())
        }
        (PrimitiveType::String, Shape::Bytes) => {
            let text = std::str::from_utf8(take_bytes(row)?).ok()?;
            PrimitiveLiteral::String(text.to_owned())
        }
        _ => return None,
    };
    Some(Some(Literal::Primitive(literal)))
}

/// A number in two's complement, its highest byte first.
fn whole_number(bytes: &[u8]) -> Option<i128> {
    const SIZE: usize = size_of::<i128>();
    let sign = bytes.first()? & 0x80 != 0;
    let mut number = [if sign { u8::MAX } else { 0 }; SIZE];
    number
        .get_mut(SIZE.checked_sub(bytes.len())?..)?
        .copy_from_slice(bytes);
    Some(i128::from_be_bytes(number))
}

#[cfg(test)]
mod tests;
