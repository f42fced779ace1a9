//! TPC-H data and queries, and the comparison with other engines on the same files.

pub mod compare;
pub mod tpch;
