//! Raising a table's format version, and moving its folder.

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, TableMetadata};

use crate::catalog::foreign_type::refuse_write;
use crate::commit::change::Step;
use crate::error::{Error, Result};
use crate::table::Table;

/// Raises the format version of a table; it is never lowered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeFormat {
    /// The version wanted; the one the table has is no change.
    pub version: FormatVersion,
}

impl UpgradeFormat {
    /// What the change comes to on a table's state.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for a version below the table's.
    pub fn updates(&self, metadata: &TableMetadata) -> Result<Vec<TableUpdate>> {
        refuse_write(metadata)?;
        let present = metadata.format_version();
        if self.version < present {
            return Err(Error::invalid(format!(
                "the table has format version {}, which cannot be lowered to {}: readers of the \
                 older one would not understand what is there",
                present as u8, self.version as u8
            )));
        }
        Ok(match self.version == present {
            true => Vec::new(),
            false => vec![TableUpdate::UpgradeFormatVersion {
                format_version: self.version,
            }],
        })
    }

    pub(in crate::commit) fn plan(&self, table: &Table) -> Result<Step> {
        Ok(Step::of_metadata(table, self.updates(table.metadata())?))
    }
}

/// The updates for a format version given as the text of a property.
pub(in crate::commit) fn upgrade(text: &str, metadata: &TableMetadata) -> Result<Vec<TableUpdate>> {
    let version = match text.trim() {
        "1" => FormatVersion::V1,
        "2" => FormatVersion::V2,
        "3" => FormatVersion::V3,
        other => {
            return Err(Error::unsupported(format!(
                "format-version {other:?} is not offered; expected 1, 2 or 3"
            )));
        }
    };
    UpgradeFormat { version }.updates(metadata)
}

/// Lets new files of a table go to another folder; files that are there stay where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLocation {
    /// The folder.
    pub location: String,
}

impl SetLocation {
    pub(in crate::commit) fn plan(&self, table: &Table) -> Result<Step> {
        refuse_write(table.metadata())?;
        let location = self.location.trim_end_matches('/');
        if location.is_empty() {
            return Err(Error::invalid("a table's location must not be empty"));
        }
        // A place that cannot be written to would be found out by the next insert only.
        table.storage().resolve(location)?;
        let updates = match location == table.location() {
            true => Vec::new(),
            false => vec![TableUpdate::SetLocation {
                location: location.to_owned(),
            }],
        };
        Ok(Step::of_metadata(table, updates))
    }
}
