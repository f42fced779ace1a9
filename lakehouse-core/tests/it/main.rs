//! The integration tests of the crate, in one binary.

mod catalog;
mod commit;
mod reader;
mod write;
