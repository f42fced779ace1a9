//! From a predicate and a snapshot to a plan of files to read: pure planning over manifests that
//! were read before.

mod predicate;

pub use predicate::{Comparison, Predicate};
