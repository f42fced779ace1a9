//! `WITH ('key' = 'value', …)` behind the table that a statement writes to.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::{Error, Result};

use super::properties::{self, Property};
use crate::parse::{Cursor, invalid_at};

/// The options of a write, by the names that Spark gives them.
const OPTIONS: &[&str] = &[
    "app-id",
    "compression-codec",
    "compression-level",
    "distribution-mode",
    "isolation-level",
    "merge-schema",
    "overwrite-mode",
    "snapshot-property.<key>",
    "target-file-size-bytes",
];

/// The option whose rest is a key of the snapshot's summary.
const SUMMARY: &str = "snapshot-property.";
/// The key of a snapshot's summary that names the program behind it.
const APP_ID: &str = "app-id";

/// How one statement writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// `'isolation-level'`, as written.
    pub isolation: Option<String>,
    /// `'overwrite-mode'`, as written.
    pub overwrite_mode: Option<String>,
    /// `'merge-schema'`: whether rows may bring columns that the table does not have.
    pub merge_schema: Option<bool>,
    /// Table properties for this statement alone.
    pub properties: BTreeMap<String, String>,
    /// Keys of the snapshot's summary.
    pub summary: BTreeMap<String, String>,
}

impl WriteOptions {
    /// These options, and others where these say nothing.
    pub(crate) fn or(&self, others: &Self) -> Self {
        let both = |own: &BTreeMap<String, String>, others: &BTreeMap<String, String>| {
            let mut all = others.clone();
            all.extend(own.clone());
            all
        };
        Self {
            isolation: self.isolation.clone().or_else(|| others.isolation.clone()),
            overwrite_mode: self
                .overwrite_mode
                .clone()
                .or_else(|| others.overwrite_mode.clone()),
            merge_schema: self.merge_schema.or(others.merge_schema),
            properties: both(&self.properties, &others.properties),
            summary: both(&self.summary, &others.summary),
        }
    }

    /// Sets an option by its name, or takes it back.
    ///
    /// # Errors
    /// For values that it does not have; `None` for a name that is no option.
    pub(crate) fn set(&mut self, key: &str, value: Option<&str>) -> Option<Result<()>> {
        let property = match key {
            "target-file-size-bytes" => "write.target-file-size-bytes",
            "compression-codec" => "write.parquet.compression-codec",
            "compression-level" => "write.parquet.compression-level",
            "distribution-mode" => "write.distribution-mode",
            "isolation-level" => {
                self.isolation = value.map(str::to_owned);
                return Some(Ok(()));
            }
            "overwrite-mode" => {
                self.overwrite_mode = value.map(str::to_owned);
                return Some(Ok(()));
            }
            "merge-schema" | "mergeschema" => {
                let switch = value.map(|text| match text.trim().to_ascii_lowercase().as_str() {
                    "true" => Ok(true),
                    "false" => Ok(false),
                    _ => Err(Error::invalid(format!(
                        "merge-schema is true or false, found {text:?}"
                    ))),
                });
                return Some(switch.transpose().map(|switch| self.merge_schema = switch));
            }
            APP_ID => {
                put(&mut self.summary, APP_ID, value);
                return Some(Ok(()));
            }
            other => {
                let key = other.strip_prefix(SUMMARY).filter(|key| !key.is_empty())?;
                put(&mut self.summary, key, value);
                return Some(Ok(()));
            }
        };
        put(&mut self.properties, property, value);
        Some(Ok(()))
    }
}

fn put(map: &mut BTreeMap<String, String>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => map.insert(key.to_owned(), value.to_owned()),
        None => map.remove(key),
    };
}

/// Reads the options of a write, if they come next.
pub(super) fn accept(cursor: &mut Cursor, options: &mut WriteOptions) -> Result<()> {
    if !cursor.peek_words(&["WITH"]) || *cursor.peek_nth(1) != Token::LParen {
        return Ok(());
    }
    cursor.advance();
    for option in properties::list(cursor)? {
        let key = option.key.to_ascii_lowercase();
        // A key of the summary is stored as it is written.
        let key = match key.starts_with(SUMMARY) {
            true => option.key.as_str(),
            false => key.as_str(),
        };
        let set = options.set(key, Some(&option.value));
        set.unwrap_or_else(|| Err(unknown(&option)))
            .map_err(|error| at(error, option.location))?;
    }
    Ok(())
}

fn unknown(option: &Property) -> Error {
    option.unknown(OPTIONS)
}

fn at(error: Error, location: Location) -> Error {
    match error.context().iter().any(|(key, _)| *key == "line") {
        true => error,
        false => invalid_at(location, error.message()),
    }
}
