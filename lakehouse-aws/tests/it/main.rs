//! The Glue catalog and S3 against an emulator of AWS behind a proxy that fails on purpose.

mod bad_answers;
mod contract;
mod emulated;
mod foreign_tables;
mod lost_answers;
mod objects;
mod requests;
mod scripted;
mod shared_catalogs;
