//! From Arrow rows to data files with metrics: files nobody sees until a commit names them.
//!
//! [`TableWriter`] takes batches in the table's current schema: `conform` makes them exactly the
//! stored types or refuses, `partition` splits them by partition tuple, `parquet_file` encodes one
//! data file, and `metrics` makes of its footer what planning prunes by. Nothing here touches a
//! catalog.

mod bounds;
mod conform;
mod distribution;
mod ended;
mod file_name;
mod metrics;
mod metrics_mode;
mod parquet_file;
mod parquet_options;
mod partition;
mod properties;
mod spool;
mod table_writer;
pub(crate) mod transform;

use iceberg::spec::DataFile;

pub(crate) use distribution::Distribution;
pub(crate) use ended::EndedFiles;
pub(crate) use partition::nested_column;
pub use table_writer::{RowOrder, TableWriter, WriteOptions};

/// A data file that was written and that no snapshot names yet.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenFile {
    /// Path, partition, sizes, counts and bounds.
    pub data_file: DataFile,
    /// The partition spec its partition values belong to; the format crate's [`DataFile`] does
    /// not tell.
    pub spec_id: i32,
}
