//! Test support: a clock moved by hand, numbers from a seed, stores and servers that fail on
//! purpose, emulated AWS, the contracts that every catalog keeps, delete files as other engines
//! write them, files packed and footers written as they rarely are, and answers compared with
//! theirs.

mod answer;
mod avro_file;
mod aws_account;
pub mod catalog_contract;
mod delete_files;
mod emulators;
mod failing_store;
mod fake_clock;
mod fault_proxy;
mod parquet_footer;
mod random;
mod row_delta;

pub use answer::{Answer, Kind};
pub use avro_file::repack_avro;
pub use aws_account::AwsAccount;
pub use delete_files::{
    PATH_ID, POSITION_ID, PositionDeletes, vector_blob, write_deletion_vectors,
    write_equality_deletes,
};
pub use emulators::Emulators;
pub use failing_store::{FailingStore, Fault, StoreCall};
pub use fake_clock::FakeClock;
pub use fault_proxy::{FaultProxy, HttpCall, HttpCalls, HttpCounts, HttpFault, HttpRule, When};
pub use parquet_footer::{edit_column_chunks, edit_row_groups};
pub use random::Random;
pub use row_delta::RowDelta;
