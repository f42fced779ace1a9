//! Test support: a clock moved by hand, numbers from a seed, stores that fail on purpose, the
//! contracts that every catalog keeps, delete files as other engines write them, files packed and
//! footers written as they rarely are, and answers compared with theirs.

mod answer;
mod avro_file;
pub mod catalog_contract;
mod delete_files;
mod failing_store;
mod fake_clock;
mod parquet_footer;
mod random;
mod row_delta;

pub use answer::{Answer, Kind};
pub use avro_file::repack_avro;
pub use delete_files::{
    PATH_ID, POSITION_ID, PositionDeletes, vector_blob, write_deletion_vectors,
    write_equality_deletes,
};
pub use failing_store::{FailingStore, Fault, StoreCall};
pub use fake_clock::FakeClock;
pub use parquet_footer::{edit_column_chunks, edit_row_groups};
pub use random::Random;
pub use row_delta::RowDelta;
