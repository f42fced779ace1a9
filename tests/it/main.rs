//! Tests of the whole lake through its public door, in one binary.
//!
//! SQL scripts stand in `tests/slt`; `LAKE_COMPLETE=1 cargo test -p lakehouse-tests scripts` writes
//! what the engine answers into them, to be read before it is believed.

mod bad_input;
mod cases;
mod lake;
mod many_writers;
mod process;
mod pruning;
mod script;
mod scripts;
mod types;
