//! Test support: a clock moved by hand, stores that fail on purpose, and the contracts that every
//! catalog keeps.

pub mod catalog_contract;
mod failing_store;
mod fake_clock;

pub use failing_store::{FailingStore, Fault, StoreCall};
pub use fake_clock::FakeClock;
