//! The Glue table of an Iceberg table: what others wrote into it stays, what Iceberg says is
//! written anew.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::builders::TableInputBuilder;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table, TableInput};
use iceberg::spec::{NestedField, TableMetadata};
use lakehouse_core::catalog::NewPointer;
use lakehouse_core::error::{Error, Result};

use super::hive_type::hive_type;
use super::other::{METADATA_LOCATION, PREVIOUS_METADATA_LOCATION, RENAMING, TABLE_TYPE};

const EXTERNAL_TABLE: &str = "EXTERNAL_TABLE";
const FIELD_ID: &str = "iceberg.field.id";
const FIELD_OPTIONAL: &str = "iceberg.field.optional";
const FIELD_CURRENT: &str = "iceberg.field.current";
/// The longest comment of a column that Glue takes, in characters.
const COMMENT_CHARS_MAX: usize = 255;
/// The longest description of a table that Glue takes, in characters.
const DESCRIPTION_CHARS_MAX: usize = 2_048;

/// A new Glue table.
///
/// # Errors
/// When the parts do not make a table, which would be a defect.
pub(super) fn created(name: &str, new: NewPointer<'_>) -> Result<TableInput> {
    let mut parameters = HashMap::new();
    point(&mut parameters, None, new.location);
    let descriptor = described(None, new.metadata)?;
    let mut input = TableInput::builder()
        .name(name)
        .table_type(EXTERNAL_TABLE)
        .set_parameters(Some(parameters))
        .storage_descriptor(descriptor);
    if let Some(comment) = new.metadata.properties().get("comment") {
        input = input.description(cut(comment, DESCRIPTION_CHARS_MAX));
    }
    if let Some(owner) = new.metadata.properties().get("owner") {
        input = input.owner(owner);
    }
    built(input)
}

/// The Glue table `now`, moved to another metadata file.
///
/// # Errors
/// As [`created`].
pub(super) fn moved(now: &Table, new: NewPointer<'_>) -> Result<TableInput> {
    let mut parameters = now.parameters().cloned().unwrap_or_default();
    let previous = parameters.get(METADATA_LOCATION).cloned();
    parameters.remove(RENAMING);
    point(&mut parameters, previous, new.location);
    let descriptor = described(now.storage_descriptor(), new.metadata)?;
    let mut input = kept(now)
        .table_type(EXTERNAL_TABLE)
        .set_parameters(Some(parameters))
        .storage_descriptor(descriptor);
    if let Some(comment) = new.metadata.properties().get("comment") {
        input = input.description(cut(comment, DESCRIPTION_CHARS_MAX));
    }
    built(input)
}

/// The Glue table `now` under another name, or with other parameters.
///
/// # Errors
/// As [`created`].
pub(super) fn copied(
    now: &Table,
    name: &str,
    parameters: HashMap<String, String>,
) -> Result<TableInput> {
    let input = kept(now)
        .name(name)
        .set_table_type(now.table_type().map(str::to_owned))
        .set_parameters(Some(parameters))
        .set_storage_descriptor(now.storage_descriptor().cloned());
    built(input)
}

/// Everything of a table that an update would otherwise lose.
fn kept(now: &Table) -> TableInputBuilder {
    TableInput::builder()
        .name(now.name())
        .set_description(now.description.clone())
        .set_owner(now.owner.clone())
        .set_last_access_time(now.last_access_time)
        .set_last_analyzed_time(now.last_analyzed_time)
        .retention(now.retention)
        .set_partition_keys(now.partition_keys.clone())
        .set_view_original_text(now.view_original_text.clone())
        .set_view_expanded_text(now.view_expanded_text.clone())
        .set_target_table(now.target_table.clone())
}

fn built(input: TableInputBuilder) -> Result<TableInput> {
    input.build().map_err(unbuilt)
}

fn unbuilt(error: BuildError) -> Error {
    Error::internal("a table's form for Glue cannot be made").with_source(error)
}

fn point(parameters: &mut HashMap<String, String>, previous: Option<String>, to: &str) {
    // A parameter's case is kept as it is found: others compare without regard to it.
    let is_stated = parameters
        .get(TABLE_TYPE)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("ICEBERG"));
    if !is_stated {
        parameters.insert(TABLE_TYPE.to_owned(), "ICEBERG".to_owned());
    }
    if let Some(previous) = previous.filter(|previous| !previous.is_empty()) {
        parameters.insert(PREVIOUS_METADATA_LOCATION.to_owned(), previous);
    }
    parameters.insert(METADATA_LOCATION.to_owned(), to.to_owned());
}

fn described(
    now: Option<&StorageDescriptor>,
    metadata: &TableMetadata,
) -> Result<StorageDescriptor> {
    let mut descriptor = now.map_or_else(|| StorageDescriptor::builder().build(), Clone::clone);
    let is_same_place = descriptor.location().is_some_and(|location| {
        location.trim_end_matches('/') == metadata.location().trim_end_matches('/')
    });
    if !is_same_place {
        descriptor.location = Some(metadata.location().to_owned());
    }
    let found = descriptor.columns.take().unwrap_or_default();
    descriptor.columns = Some(columns(metadata, &found)?);
    Ok(descriptor)
}

/// The columns of the current schema in their order, then those of older schemas that have gone,
/// marked as such. Comments and parameters that others gave a column stay with its name.
fn columns(metadata: &TableMetadata, found: &[Column]) -> Result<Vec<Column>> {
    let found: HashMap<String, &Column> = found
        .iter()
        .map(|column| (column.name().to_lowercase(), column))
        .collect();
    let mut named = HashSet::new();
    let mut columns = Vec::new();
    let current = metadata.current_schema().as_struct().fields().iter();
    let schemas: BTreeMap<_, _> = metadata
        .schemas_iter()
        .map(|schema| (schema.schema_id(), schema))
        .collect();
    let older = schemas
        .values()
        .flat_map(|schema| schema.as_struct().fields());
    let all = current
        .map(|field| (field, true))
        .chain(older.map(|field| (field, false)));
    for (field, is_current) in all {
        // Glue keeps lower case; a second column that differs in case alone is in Iceberg only.
        let name = field.name.to_lowercase();
        if named.insert(name.clone()) {
            let before = found.get(&name).copied();
            columns.push(column(field, name, is_current, before)?);
        }
    }
    Ok(columns)
}

fn column(
    field: &NestedField,
    name: String,
    is_current: bool,
    found: Option<&Column>,
) -> Result<Column> {
    let mut parameters = found
        .and_then(|column| column.parameters.clone())
        .unwrap_or_default();
    parameters.insert(FIELD_ID.to_owned(), field.id.to_string());
    parameters.insert(FIELD_OPTIONAL.to_owned(), (!field.required).to_string());
    parameters.insert(FIELD_CURRENT.to_owned(), is_current.to_string());
    let comment = match &field.doc {
        Some(doc) => Some(cut(doc, COMMENT_CHARS_MAX)),
        None => found.and_then(|column| column.comment.clone()),
    };
    Column::builder()
        .name(name)
        .r#type(in_one_line(&hive_type(&field.field_type)))
        .set_comment(comment)
        .set_parameters(Some(parameters))
        .build()
        .map_err(unbuilt)
}

/// The beginning of a text, in the one line that Glue takes.
fn cut(text: &str, chars_max: usize) -> String {
    in_one_line(text).chars().take(chars_max).collect()
}

fn in_one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
