//! How a table wants rows brought to its writers.

use std::collections::HashMap;

use super::properties::Properties;
use crate::error::{Error, Result};
use crate::table::Table;

const KEY: &str = "write.distribution-mode";

/// Which writer gets which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// As they come.
    Any,
    /// All rows of a partition go to one writer.
    ByPartition,
    /// All rows in the table's sort order: files hold ranges of it that do not overlap.
    ByRange,
}

impl Distribution {
    /// What `statement` asks for, else the table's properties, else what its shape suggests:
    /// ranges for a sorted table, partitions for a partitioned one.
    ///
    /// # Errors
    /// For a mode that is not known.
    pub(crate) fn of(table: &Table, statement: &HashMap<String, String>) -> Result<Self> {
        let properties = Properties {
            statement,
            table: table.properties(),
        };
        let is_partitioned = !table.partition_spec().is_unpartitioned();
        let is_sorted = !table.metadata().default_sort_order().is_unsorted();
        let mode = properties.text(KEY).map(str::to_ascii_lowercase);
        let shape = || match (is_sorted, is_partitioned) {
            (true, _) => Self::ByRange,
            (false, true) => Self::ByPartition,
            (false, false) => Self::Any,
        };
        Ok(match mode.as_deref() {
            None => shape(),
            Some("none") => Self::Any,
            // A mode that makes no sense for the table is no error: engines pass over it.
            Some("hash") if is_partitioned => Self::ByPartition,
            Some("range") => shape(),
            Some("hash") => Self::Any,
            Some(other) => {
                return Err(Error::invalid(format!(
                    "property {KEY:?} must be none, hash or range, it is {other:?}"
                ))
                .with_context("table", table.ident()));
            }
        })
    }
}
