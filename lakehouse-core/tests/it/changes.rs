//! Changes of a table's files on a catalog in SQLite and files in a folder, read back by scans.

mod conflicts;
mod manifests;
mod operations;
mod publish;
mod races;
mod random;
mod replaced_partitions;
mod streams;
mod world;
