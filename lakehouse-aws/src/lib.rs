//! The lakehouse on AWS: tables of a Glue data catalog, files in S3, credentials as AWS' own tools
//! find them.
//!
//! [`GlueCatalog`] is a catalog of the lakehouse like any other: whoever commits through it never
//! loses another engine's commit, because Glue moves a table's pointer only from the version that
//! was read. [`S3Stores`] are the stores of its tables' files.
//!
//! Retries and time-outs, which nobody has to set:
//!
//! | Call | Tried again | How long |
//! |---|---|---|
//! | Glue, reading | after throttling, lost answers and failures of the server, up to 8 attempts | pauses from 0.1 s, doubled each time, up to 10 s; each attempt up to `call_ms_max` |
//! | Glue, changing | after throttling as above; after a lost answer only once the table was read again | the same |
//! | S3 | after throttling, lost answers and failures of the server, up to 10 retries in 3 minutes | pauses from 0.1 s up to 15 s; each attempt up to `call_ms_max` |
//! | S3, a body that comes | as above, and again from where it was cut, as long as bytes come | no limit in all |
//! | S3, making an object | up to 4 attempts more, each once the object was read and was not there | pauses from 0.2 s, doubled each time |
//! | S3, ending a file of many parts | as S3, and the object is looked at where nobody knows whether it was made | the same |
//! | credentials | renewed 5 minutes before they expire, or after half of a shorter life | 60 s; what is still valid is used while they cannot be renewed |
//!
//! Secrets are in no setting and in no `Debug` form, and error messages hold only the code and the
//! message that AWS sends.

mod answer;
mod chain;
mod credentials;
mod doctor;
mod glue;
mod s3;

pub use credentials::RenewedCredentials;
pub use doctor::{Check, Diagnosis, Examination, Finding, Step, examine, examine_with};
pub use glue::{
    GlueCatalog, GluePointers, SeenTable, open as open_glue, open_with as open_glue_with,
};
pub use lakehouse_core::settings::{GlueSettings, S3PrefixSettings};
pub use s3::S3Stores;
