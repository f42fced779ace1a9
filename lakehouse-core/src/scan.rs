//! From a predicate and a snapshot to a plan of files to read: pure planning over manifests that
//! were read before.

mod added_file;
mod avro_blocks;
mod avro_header;
mod column_cache;
mod context;
mod delete_file;
mod delete_index;
mod deleted_rows;
mod deletion_vector;
mod equality_set;
mod evaluate;
mod file_filter;
mod footer;
mod manifest;
mod manifest_cache;
mod metadata_column;
mod metadata_table;
mod partition;
mod partition_set;
mod placed_file;
mod plan;
mod planning;
mod predicate;
mod predicate_text;
mod puffin_footer;
mod strict;
mod summary;
#[cfg(test)]
mod testing;
mod thrift;
mod value;
mod whole_files;

pub(crate) use added_file::surely_matches;
pub(crate) use avro_blocks::{RowSchema, map_rows};
pub(crate) use avro_header::{AvroHeader, partition_fields, put_long, take_bytes, take_long};
pub(crate) use column_cache::{ColumnCache, ColumnKey, KeptColumn};
pub use context::ScanContext;
pub(crate) use delete_file::{DELETED_PATH_ID, DELETED_POSITION_ID};
pub use delete_file::{DeleteFile, DeleteKind, FileDeletes};
pub(crate) use delete_index::DeleteIndex;
pub(crate) use deleted_rows::DeletedRows;
pub(crate) use deletion_vector::{VECTOR_BYTES_MAX, parse_vector};
pub(crate) use equality_set::{EqualitySet, EqualitySets};
pub(crate) use file_filter::{
    Matched, delete_may_match, delete_must_match, manifest_may_hold, manifest_may_match,
    matched_rows,
};
pub(crate) use footer::{Footer, FooterCache, PageIndex, read_footer};
pub use manifest::{ColumnBound, ColumnCount, ListedFile};
pub(crate) use manifest::{
    MANIFEST_READS_MAX, ReadManifest, manifest_from_bytes, read_list as read_manifest_list,
    read_manifests,
};
pub use manifest_cache::ManifestCache;
pub(crate) use manifest_cache::ManifestReads;
pub use metadata_column::MetadataColumn;
pub use metadata_table::MetadataTable;
pub(crate) use metadata_table::{MetadataRead, PartitionUnion, PositionReader, Positions};
pub use partition::{PartitionColumn, PartitionLayout};
pub(crate) use partition_set::PartitionSet;
pub(crate) use placed_file::{PlacedFile, compare_values, is_vector, only, placed_files, promoted};
pub use plan::{PlanCounts, ScanFile, ScanPlan, plan, plan_limit};
pub(crate) use planning::Planning;
pub use predicate::{Comparison, Predicate};
pub(crate) use predicate_text::predicate_text;
pub(crate) use puffin_footer::{VectorNames, puffin_footer_bytes, vector_names};
pub use summary::{BoundSummary, ColumnSummary};
pub(crate) use thrift::PageSizes;
pub use whole_files::selects_whole_files;
