//! Changes of what a table is: columns, partitioning, sort order, format version, location.
//!
//! Each change is a list of operations by name, and planning is a function from a table's metadata
//! to updates, without IO: whoever loses a swap plans the same operations on the newer state, where
//! a name may mean something else or nothing any more.

mod column_path;
mod default_value;
mod draft;
mod format;
mod identifier;
mod merge;
mod new_column;
mod order;
mod partitions;
mod promotion;
mod renamed;
mod replacement;
mod schema;
#[cfg(test)]
mod tests;
mod trace;

pub use column_path::ColumnPath;
pub use format::{SetLocation, UpgradeFormat};
pub use merge::{ACCEPT_ANY_SCHEMA, merge_schema};
pub use order::{DistributionMode, SetSortOrder, SortTerm};
pub use partitions::{
    EvolvePartitions, NewPartitionField, PartitionFieldReference, PartitionOperation,
};
pub use schema::{EvolveSchema, NewColumn, Position, SchemaOperation};

pub(super) use default_value::check_new as check_new_defaults;
pub(super) use draft::children;
pub(super) use format::upgrade;
pub(super) use partitions::check_new as check_new_partitions;
pub(super) use replacement::replacement;
pub(super) use trace::{has_moved, is_added, is_as_asked, requirements};
