//! `TBLPROPERTIES` (Spark, Athena) and `WITH (…)` (Trino, Athena), under Iceberg's property keys.

use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::Result;

use super::CreateTable;
use crate::parse::{Cursor, invalid_at, nearest, unsupported_at};
use crate::statement::partition::{self, PartitionTerm};
use crate::statement::properties;

/// Iceberg's key for the file format of new files.
const DEFAULT_FORMAT: &str = "write.format.default";
/// Iceberg's key for the version of the table's metadata.
const FORMAT_VERSION: &str = "format-version";

/// The keys of `WITH` that mean something here.
const WITH_KEYS: &[&str] = &[
    "format",
    "format_version",
    "location",
    "partitioning",
    "table_type",
    "is_external",
];

/// `TBLPROPERTIES ('key' = 'value', …)`.
pub(super) fn table_properties(cursor: &mut Cursor, table: &mut CreateTable) -> Result<()> {
    for property in properties::list(cursor)? {
        let location = property.location;
        match property.key.as_str() {
            // Athena's way to say `USING iceberg`, and its short name of a property.
            "table_type" => require_iceberg(&property.value, location)?,
            "format" => push(
                table,
                DEFAULT_FORMAT,
                property.value.to_lowercase(),
                location,
            )?,
            _ => push(table, &property.key, property.value, location)?,
        }
    }
    Ok(())
}

/// `WITH (key = value, …)`; the keys are a closed set.
pub(super) fn with_options(cursor: &mut Cursor, table: &mut CreateTable) -> Result<()> {
    cursor.expect_token(&Token::LParen)?;
    let mut seen: Vec<String> = Vec::new();
    loop {
        let location = cursor.location();
        let key = match cursor.peek() {
            Token::SingleQuotedString(_) => cursor.string("a key")?,
            _ => cursor.identifier("a key")?.value,
        }
        .to_ascii_lowercase();
        cursor.expect_token(&Token::Eq)?;
        if seen.contains(&key) {
            return Err(invalid_at(location, format!("`{key}` is given twice")));
        }
        with_option(cursor, table, &key, location)?;
        seen.push(key);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)
}

fn with_option(
    cursor: &mut Cursor,
    table: &mut CreateTable,
    key: &str,
    location: Location,
) -> Result<()> {
    match key {
        "format" => {
            let format = cursor
                .string("a file format such as 'PARQUET'")?
                .to_lowercase();
            push(table, DEFAULT_FORMAT, format, location)
        }
        "format_version" => {
            let version = properties::value(cursor)?;
            push(table, FORMAT_VERSION, version, location)
        }
        "location" => {
            if table.location.is_some() {
                return Err(invalid_at(location, "the location is given twice"));
            }
            table.location = Some(cursor.string("a location")?);
            Ok(())
        }
        "partitioning" => {
            if !table.partitioned_by.is_empty() {
                return Err(invalid_at(location, "the partitioning is given twice"));
            }
            table.partitioned_by = partitioning(cursor)?;
            Ok(())
        }
        "table_type" => {
            let value = cursor.string("'ICEBERG'")?;
            require_iceberg(&value, location)
        }
        "is_external" => match properties::value(cursor)?.as_str() {
            "false" => Ok(()),
            _ => Err(unsupported_at(
                location,
                "an Iceberg table cannot be external",
            )),
        },
        "sorted_by" | "extra_properties" => Err(unsupported_at(
            location,
            format!("`{key}` is not offered in WITH yet"),
        )),
        _ => {
            let hint = match nearest(key, WITH_KEYS) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known are {}", WITH_KEYS.join(", ")),
            };
            Err(invalid_at(
                location,
                format!("`{key}` is not known in WITH: {hint}"),
            ))
        }
    }
}

/// `ARRAY['month(d)', 'bucket(x, 10)']`.
fn partitioning(cursor: &mut Cursor) -> Result<Vec<PartitionTerm>> {
    cursor.expect(&["ARRAY"])?;
    cursor.expect_token(&Token::LBracket)?;
    let mut terms = Vec::new();
    while !cursor.accept_token(&Token::RBracket) {
        let span = cursor.span();
        let text = cursor.string("a partition term such as 'month(d)'")?;
        terms.push(partition::from_text(&text, span)?);
        if !cursor.accept_token(&Token::Comma) {
            cursor.expect_token(&Token::RBracket)?;
            break;
        }
    }
    Ok(terms)
}

fn require_iceberg(value: &str, location: Location) -> Result<()> {
    if value.eq_ignore_ascii_case("iceberg") {
        return Ok(());
    }
    Err(unsupported_at(
        location,
        "only tables of type ICEBERG are offered",
    ))
}

fn push(table: &mut CreateTable, key: &str, value: String, location: Location) -> Result<()> {
    if table.properties.iter().any(|(known, _)| known == key) {
        return Err(invalid_at(
            location,
            format!("property `{key}` is given twice"),
        ));
    }
    table.properties.push((key.to_string(), value));
    Ok(())
}
