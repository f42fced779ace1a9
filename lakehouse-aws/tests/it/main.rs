//! The Glue catalog and S3 against emulators of AWS.

mod contract;
mod emulated;
