//! The columns that every table has beside its own: where a row is, and where it comes from.

use arrow::datatypes::{DataType, Field};

use super::metadata_table::PartitionUnion;
use crate::error::Result;
use crate::table::Table;

/// A column that no schema lists and no `*` shows; it is there for those who name it.
///
/// A table's own column of the same name hides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetadataColumn {
    /// The location of the row's data file, as the manifest has it.
    File,
    /// The row's place in its file, counted from 0 over all rows that the file holds.
    Pos,
    /// Whether the row is deleted. Where this is read, deleted rows are read too.
    Deleted,
    /// The id of the partition spec that the file was written with.
    SpecId,
    /// The file's partition values: a struct with the fields of all the table's specs. Tables that
    /// never were partitioned do not have it.
    Partition,
    /// The row's id, which it keeps through updates and compaction; NULL in files from before the
    /// table had row lineage.
    RowId,
    /// The sequence number of the commit that wrote the row last; NULL as [`Self::RowId`] is.
    LastUpdatedSequenceNumber,
}

impl MetadataColumn {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 7] = [
        Self::File,
        Self::Pos,
        Self::Deleted,
        Self::SpecId,
        Self::Partition,
        Self::RowId,
        Self::LastUpdatedSequenceNumber,
    ];

    /// The name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "_file",
            Self::Pos => "_pos",
            Self::Deleted => "_deleted",
            Self::SpecId => "_spec_id",
            Self::Partition => "_partition",
            Self::RowId => "_row_id",
            Self::LastUpdatedSequenceNumber => "_last_updated_sequence_number",
        }
    }

    /// The field id that the format reserves for it.
    pub const fn field_id(self) -> i32 {
        match self {
            Self::File => 2_147_483_646,
            Self::Pos => 2_147_483_645,
            Self::Deleted => 2_147_483_644,
            Self::SpecId => 2_147_483_643,
            Self::Partition => 2_147_483_642,
            Self::RowId => 2_147_483_540,
            Self::LastUpdatedSequenceNumber => 2_147_483_539,
        }
    }

    /// The metadata column of a name, compared exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// The metadata column of a reserved field id.
    pub(crate) fn from_field_id(id: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.field_id() == id)
    }

    /// The metadata columns that a table has: those that its own columns do not hide.
    pub fn of_table(table: &Table) -> Vec<Self> {
        let own = table.schema().as_struct().fields();
        let union = PartitionUnion::new(table.metadata());
        Self::ALL
            .into_iter()
            .filter(|column| own.iter().all(|field| field.name != column.name()))
            .filter(|column| *column != Self::Partition || !union.is_empty())
            .collect()
    }

    /// The column as it is read.
    ///
    /// # Errors
    /// When a type of a partition value cannot be expressed in Arrow.
    pub(crate) fn field(self, union: &PartitionUnion) -> Result<Field> {
        let (data_type, nullable) = match self {
            Self::File => (DataType::Utf8View, false),
            Self::Pos => (DataType::Int64, false),
            // Never NULL. Said to be, so that no condition on it is simplified away: it is read
            // where it is named, and deleted rows with it.
            Self::Deleted => (DataType::Boolean, true),
            Self::SpecId => (DataType::Int32, false),
            Self::Partition => (union.of_files(&[])?.data_type().clone(), false),
            Self::RowId | Self::LastUpdatedSequenceNumber => (DataType::Int64, true),
        };
        Ok(Field::new(self.name(), data_type, nullable))
    }
}
