//! Commits over a catalog that fails on purpose, read back with the format crate's own parsers.

mod append;
mod cancel;
mod catalog;
mod catalogs;
mod create;
mod evolution;
mod fixture;
mod outcome;
mod references;
mod removal;
mod replace;
