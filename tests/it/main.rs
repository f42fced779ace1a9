//! Tests of the whole lake through its public door, in one binary.
//!
//! SQL scripts stand in `tests/slt`; `LAKE_COMPLETE=1 cargo test -p lakehouse-tests scripts` writes
//! what the engine answers into them, to be read before it is believed.

/// Memory is counted, for tests that have a process of their own.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: lakehouse_test_allocator::Counting = lakehouse_test_allocator::Counting;

// The lints know test code by this attribute.
#[cfg(test)]
#[cfg(feature = "aws")]
mod aws;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cancelled;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod catalogs;
#[cfg(test)]
mod changed_rows;
#[cfg(test)]
mod column_cache;
#[cfg(test)]
mod columns;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod copy_folder;
#[cfg(test)]
mod copy_from;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod evolution;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod function_pruning;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod lake;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod many_manifests;
#[cfg(test)]
mod many_writers;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod metadata_columns;
#[cfg(test)]
mod metadata_tables;
#[cfg(test)]
mod name_races;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod process;
#[cfg(test)]
mod pruning;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod script;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod session_tables;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod sql_pages;
#[cfg(test)]
mod streamed;
#[cfg(test)]
mod tpch;
#[cfg(test)]
mod typed_changes;
#[cfg(test)]
mod types;
#[cfg(test)]
mod wide_rows;
