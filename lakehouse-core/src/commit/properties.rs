//! Setting and removing table properties.

use std::collections::HashMap;

use iceberg::TableUpdate;
use iceberg::spec::TableProperties;

use super::change::Step;
use super::evolution;
use crate::catalog::check_folders;
use crate::error::{Error, Result};
use crate::table::Table;

/// The property that stands for a state of the table: set, it raises the table's format version.
const FORMAT_VERSION: &str = "format-version";

/// Sets properties of a table, new or changed; `format-version` raises the format version and is
/// not kept as a property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetProperties {
    /// Keys and their values.
    pub properties: HashMap<String, String>,
}

impl SetProperties {
    /// Whether the format version is raised too.
    pub(super) fn raises_version(&self) -> bool {
        self.properties.contains_key(FORMAT_VERSION)
    }

    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        let settings = self
            .properties
            .iter()
            .filter(|(key, _)| *key != FORMAT_VERSION);
        refuse_reserved(settings.clone().map(|(key, _)| key))?;
        check_folders(&self.properties)?;
        let mut updates = match self.properties.get(FORMAT_VERSION) {
            Some(version) => evolution::upgrade(version, table.metadata())?,
            None => Vec::new(),
        };
        let changed: HashMap<String, String> = settings
            .filter(|(key, value)| table.properties().get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !changed.is_empty() {
            updates.push(TableUpdate::SetProperties { updates: changed });
        }
        Ok(Step::of_metadata(table, updates))
    }
}

/// Removes properties of a table; one that is not set is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveProperties {
    /// The keys to remove.
    pub keys: Vec<String>,
}

impl RemoveProperties {
    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        refuse_reserved(self.keys.iter())?;
        let removals: Vec<String> = self
            .keys
            .iter()
            .filter(|key| table.properties().contains_key(*key))
            .cloned()
            .collect();
        let updates = match removals.is_empty() {
            true => Vec::new(),
            false => vec![TableUpdate::RemoveProperties { removals }],
        };
        Ok(Step::of_metadata(table, updates))
    }
}

/// Checks the properties of a new definition.
pub(super) fn check_new(properties: &HashMap<String, String>) -> Result<()> {
    refuse_reserved(properties.keys())?;
    check_folders(properties)
}

/// Refuses keys that name a state of the table and not a setting.
fn refuse_reserved<'a>(keys: impl Iterator<Item = &'a String>) -> Result<()> {
    for key in keys {
        if TableProperties::RESERVED_PROPERTIES.contains(&key.as_str()) {
            return Err(Error::invalid(format!(
                "table property {key:?} tells a state of the table and cannot be set or removed"
            )));
        }
    }
    Ok(())
}
