//! What stands in a Glue database beside Iceberg tables, and how it is refused.

use aws_sdk_glue::types::Table;
use lakehouse_core::error::Error;

/// The parameter that says what kind of table it is.
pub(super) const TABLE_TYPE: &str = "table_type";
/// The parameter that names the current metadata file.
pub(super) const METADATA_LOCATION: &str = "metadata_location";
/// The parameter that names the metadata file before.
pub(super) const PREVIOUS_METADATA_LOCATION: &str = "previous_metadata_location";
/// Left under the old name of a table whose renaming was cut off; names the new one.
pub(super) const RENAMED_TO: &str = "lakehouse.renamed-to";

/// Left where a table was whose files were to go with it, when that was cut off; tells one such
/// dropping from another.
pub(super) const PURGING: &str = "lakehouse.purging";

/// What tells the copy of one renaming from that of another, until the first commit to it.
pub(super) const RENAMING: &str = "lakehouse.renaming";

const ICEBERG: &str = "ICEBERG";

/// Whether the table says that it is one of Iceberg's.
pub(crate) fn is_iceberg(table: &Table) -> bool {
    parameter(table, TABLE_TYPE).is_some_and(|kind| kind.eq_ignore_ascii_case(ICEBERG))
}

/// What is left of a table that was renamed or dropped with its files.
pub(super) fn is_remainder(table: &Table) -> bool {
    parameter(table, RENAMED_TO).is_some() || parameter(table, PURGING).is_some()
}

/// What else the table is, in words.
pub(super) fn kind(table: &Table) -> String {
    let provider = parameter(table, "spark.sql.sources.provider");
    let stated = parameter(table, TABLE_TYPE).or(provider);
    if let Some(to) = parameter(table, RENAMED_TO) {
        return format!("remainder of a table that is {to} now");
    }
    if parameter(table, PURGING).is_some() {
        let last = parameter(table, PREVIOUS_METADATA_LOCATION).unwrap_or_default();
        return format!(
            "remainder of a table whose DROP TABLE … PURGE was cut off; its files are still there \
             (metadata file {last:?})"
        );
    }
    if table.table_type() == Some("VIRTUAL_VIEW") {
        return "view".to_owned();
    }
    if let Some(stated) = stated {
        return format!("{} table", stated.to_lowercase());
    }
    "hive table".to_owned()
}

/// That a table is not one of Iceberg's, and what can be done with it.
pub(super) fn refused(table: &Table, shown: &str) -> Error {
    let kind = kind(table);
    let location = table
        .storage_descriptor()
        .and_then(|descriptor| descriptor.location())
        .filter(|location| !location.is_empty());
    let hint = match (table.table_type(), location) {
        _ if is_remainder(table) => "drop it, without PURGE".to_owned(),
        (Some("VIRTUAL_VIEW"), _) => "query it where it was made".to_owned(),
        (_, Some(location)) => format!(
            "read its files with SELECT … FROM '{location}', or make an Iceberg table of them with \
             CREATE TABLE … AS SELECT"
        ),
        (_, None) => "read its files, or make an Iceberg table of them".to_owned(),
    };
    Error::unsupported(format!("{shown} is a {kind} and no Iceberg table: {hint}"))
}

pub(super) fn parameter<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table
        .parameters()
        .and_then(|parameters| parameters.get(key))
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use aws_sdk_glue::types::StorageDescriptor;

    use super::*;

    fn table(parameters: &[(&str, &str)]) -> aws_sdk_glue::types::builders::TableBuilder {
        let mut built = Table::builder().name("t");
        for (key, value) in parameters {
            built = built.parameters(*key, *value);
        }
        built
    }

    #[test]
    fn tables_of_other_formats_are_named_and_told_how_to_be_read() {
        let iceberg = table(&[(TABLE_TYPE, "iceberg")]).build().unwrap();
        assert!(is_iceberg(&iceberg));
        let at = StorageDescriptor::builder().location("s3://b/raw/").build();
        let hive = table(&[("classification", "parquet")])
            .table_type("EXTERNAL_TABLE")
            .storage_descriptor(at)
            .build()
            .unwrap();
        assert!(!is_iceberg(&hive));
        let error = refused(&hive, "\"a.t\"").to_string();
        assert!(error.contains("hive table") && error.contains("FROM 's3://b/raw/'"));
        let left = table(&[
            (PURGING, "1"),
            (PREVIOUS_METADATA_LOCATION, "s3://b/m.json"),
        ]);
        let left = refused(&left.build().unwrap(), "\"a.t\"").to_string();
        assert!(
            left.contains("s3://b/m.json") && left.contains("drop it"),
            "{left}"
        );
        let delta = table(&[("spark.sql.sources.provider", "delta")]).build();
        assert_eq!(kind(&delta.unwrap()), "delta table");
        let view = table(&[]).table_type("VIRTUAL_VIEW").build().unwrap();
        assert_eq!(kind(&view), "view");
    }
}
