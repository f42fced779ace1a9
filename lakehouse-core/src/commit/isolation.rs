//! How much of what others commit meanwhile a change tolerates.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::table::Table;

/// What a change that read rows checks of the commits that came after its read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// The change is refused when somebody added rows that its filter may match, or added, changed
    /// or deleted rows of the same table that it read elsewhere, as in a subquery.
    Serializable,
    /// Rows that somebody added do not matter; rows that somebody changed or deleted do, but to a
    /// DELETE by position deletes, which only needs its data files to be there: as in Iceberg's Java
    /// library, another's new version of a row that it deletes stays.
    Snapshot,
    /// Only what would make the table wrong is checked: that the files which the change replaces
    /// or refers to are still there, with the same deletes.
    None,
}

impl Isolation {
    /// As Iceberg writes it in properties and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serializable => "serializable",
            Self::Snapshot => "snapshot",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Isolation {
    type Err = Error;

    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for any other word.
    fn from_str(text: &str) -> Result<Self> {
        [Self::Serializable, Self::Snapshot, Self::None]
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "{text:?} is no isolation level; use serializable, snapshot or none"
                ))
            })
    }
}

/// A statement that changes rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowStatement {
    /// `DELETE`
    Delete,
    /// `UPDATE`
    Update,
    /// `MERGE`
    Merge,
}

impl RowStatement {
    /// As in the names of table properties: `write.<name>.mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Merge => "merge",
        }
    }

    /// The isolation level that the table's property `write.<name>.isolation-level` asks for;
    /// serializable when it is not set.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] when the property is no level.
    pub fn isolation(self, table: &Table) -> Result<Isolation> {
        let key = format!("write.{}.isolation-level", self.as_str());
        match table.properties().get(&key) {
            None => Ok(Isolation::Serializable),
            Some(text) => text
                .parse()
                .map_err(|error: Error| error.with_context("property", key)),
        }
    }
}
