//! From Arrow rows to data files with metrics: files nobody sees until a commit names them.

use iceberg::spec::DataFile;

/// A data file that was written and that no snapshot names yet.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenFile {
    /// Path, partition, sizes, counts and bounds.
    pub data_file: DataFile,
    /// The partition spec its partition values belong to; the format crate's [`DataFile`] does
    /// not tell.
    pub spec_id: i32,
}
