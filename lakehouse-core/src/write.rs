//! From Arrow rows to files with metrics: files nobody sees until a commit names them.
//!
//! [`TableWriter`] takes batches in the table's current schema: `conform` makes them exactly the
//! stored types or refuses, `partition` splits them by partition tuple, `parquet_file` encodes one
//! data file, and `metrics` makes of its footer what planning prunes by. [`DeleteWriter`] takes
//! positions of deleted rows. Nothing here touches a catalog.

mod bounds;
mod conform;
mod delete_writer;
mod distribution;
mod ended;
mod file_encoder;
mod file_name;
mod metrics;
mod metrics_mode;
mod new_values;
pub(crate) mod page_rewrite;
mod parquet_file;
mod parquet_options;
mod partition;
mod position_files;
mod properties;
mod puffin;
mod ready_group;
mod spool;
mod table_writer;
pub(crate) mod transform;
mod vector_files;
mod write_options;

use iceberg::spec::DataFile;

pub use delete_writer::{DeleteWriter, DeletedPositions};
pub(crate) use distribution::Distribution;
pub(crate) use ended::EndedFiles;
pub(crate) use file_encoder::FileOptions;
pub(crate) use file_name::partition_name;
pub(crate) use partition::nested_column;
pub(crate) use ready_group::ReadyGroup;
pub use table_writer::TableWriter;
pub use write_options::{RowOrder, WriteOptions};

/// A data or delete file that was written and that no snapshot names yet; deletion vectors share
/// files.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenFile {
    /// Path, partition, sizes, counts and bounds.
    pub data_file: DataFile,
    /// The partition spec its partition values belong to; the format crate's [`DataFile`] does
    /// not tell.
    pub spec_id: i32,
}
