//! `ALTER TABLE`: properties and the table's folder.

use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::Result;

use super::AlterAction;
use crate::parse::{Cursor, invalid_at, unsupported_at};
use crate::statement::{if_exists, properties};

/// Iceberg's key for the file format of new files.
const DEFAULT_FORMAT: &str = "write.format.default";
/// Iceberg's key for the version of the table's metadata.
const FORMAT_VERSION: &str = "format-version";

/// Keys that Spark shows among the properties and that other statements change.
const ELSEWHERE: &[(&str, &str)] = &[
    ("location", "write SET LOCATION"),
    ("sort-order", "write WRITE ORDERED BY"),
    ("identifier-fields", "write SET IDENTIFIER FIELDS"),
    ("provider", "a table stays an Iceberg table"),
];

/// `TBLPROPERTIES (…)` (Spark, Athena), `PROPERTIES …` (Trino) and `LOCATION '…'`, behind `SET`;
/// `None` for anything else.
pub(super) fn set(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if cursor.accept(&["LOCATION"]) {
        return Ok(Some(AlterAction::SetLocation(cursor.string("a location")?)));
    }
    let mut set = Vec::new();
    if cursor.accept(&["TBLPROPERTIES"]) {
        for property in properties::list(cursor)? {
            push(&mut set, &property.key, property.value, property.location)?;
        }
    } else if cursor.accept(&["PROPERTIES"]) {
        trino(cursor, &mut set)?;
    } else {
        return Ok(None);
    }
    Ok(Some(AlterAction::SetProperties(set)))
}

/// `TBLPROPERTIES [IF EXISTS] ('key', …)`, behind `UNSET`; `None` for anything else.
pub(super) fn unset(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if !cursor.accept(&["TBLPROPERTIES"]) {
        return Ok(None);
    }
    // A property that is not set is no error anyway.
    if_exists(cursor)?;
    cursor.expect_token(&Token::LParen)?;
    let mut keys = Vec::new();
    loop {
        let location = cursor.location();
        let key = properties::key(cursor)?;
        refuse_elsewhere(&key, location)?;
        keys.push(key);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(Some(AlterAction::UnsetProperties(keys)))
}

/// `key = value, …` with Trino's names.
fn trino(cursor: &mut Cursor, set: &mut Vec<(String, String)>) -> Result<()> {
    loop {
        let location = cursor.location();
        let key = properties::key(cursor)?;
        match key.to_ascii_lowercase().as_str() {
            "partitioning" => {
                return Err(unsupported_at(
                    location,
                    "`partitioning` is changed field by field: ADD, DROP or REPLACE PARTITION \
                     FIELD",
                ));
            }
            "sorted_by" => {
                return Err(unsupported_at(
                    location,
                    "`sorted_by` is changed by WRITE ORDERED BY",
                ));
            }
            _ => {}
        }
        cursor.expect_token(&Token::Eq)?;
        if cursor.peek_words(&["DEFAULT"]) {
            return Err(cursor.unsupported("DEFAULT is not offered: UNSET TBLPROPERTIES removes"));
        }
        let value = properties::value(cursor)?;
        let key = match key.to_ascii_lowercase().as_str() {
            "format_version" => FORMAT_VERSION.to_owned(),
            _ => key,
        };
        push(set, &key, value, location)?;
        if !cursor.accept_token(&Token::Comma) {
            return Ok(());
        }
    }
}

fn push(
    set: &mut Vec<(String, String)>,
    key: &str,
    value: String,
    location: Location,
) -> Result<()> {
    refuse_elsewhere(key, location)?;
    let (key, value) = match key {
        // Athena's short name.
        "format" => (DEFAULT_FORMAT, value.to_lowercase()),
        _ => (key, value),
    };
    if set.iter().any(|(known, _)| known == key) {
        let message = format!("property `{key}` is given twice");
        return Err(invalid_at(location, message));
    }
    set.push((key.to_owned(), value));
    Ok(())
}

fn refuse_elsewhere(key: &str, location: Location) -> Result<()> {
    match ELSEWHERE.iter().find(|(known, _)| *known == key) {
        Some((_, advice)) => Err(invalid_at(
            location,
            format!("`{key}` is no property to set or remove: {advice}"),
        )),
        None => Ok(()),
    }
}
