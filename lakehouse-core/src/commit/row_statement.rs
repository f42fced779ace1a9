//! What a change of single rows is called, and what it may meet.

use std::str::FromStr;

use crate::error::{Error, Result};

/// What a change of rows must not have met since the snapshot that it was planned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// No new rows that its condition may match, and no change of those that it read.
    Serializable,
    /// No change of the rows that it read.
    Snapshot,
    /// Nothing is looked for.
    None,
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "serializable" => Ok(Self::Serializable),
            "snapshot" => Ok(Self::Snapshot),
            "none" => Ok(Self::None),
            _ => Err(Error::invalid(format!(
                "an isolation level is serializable, snapshot or none, not {text:?}"
            ))),
        }
    }
}

/// A statement that changes single rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowStatement {
    /// DELETE.
    Delete,
    /// UPDATE.
    Update,
    /// MERGE.
    Merge,
}
