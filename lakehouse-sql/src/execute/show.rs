//! Names and definitions as rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use iceberg::NamespaceIdent;
use iceberg::spec::{
    FormatVersion, NestedField, NestedFieldRef, NullOrder, PartitionSpec, Schema as TableSchema,
    SortDirection, SortField, Transform, Type,
};
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::{FoundTable, Selector, dotted};
use lakehouse_core::name::quote;
use lakehouse_core::table::{ReferenceKind, Table, iceberg_type, type_text};

use super::QueryResult;
use super::create::default_partition_name;
use crate::default_text::{default_text, literal};
use crate::environment::Environment;
use crate::resolve::Show;

/// Answers a `SHOW` or `DESCRIBE`.
pub(super) async fn show(show: Show, session: &Environment) -> Result<QueryResult> {
    match show {
        Show::Catalogs { pattern } => {
            let names = session.access().lake().catalogs().keys().cloned();
            one_column("catalog", matching(names, pattern.as_deref()))
        }
        Show::Namespaces {
            catalog,
            parent,
            pattern,
        } => namespaces(catalog.as_ref(), parent.as_ref(), pattern.as_deref()).await,
        Show::Tables {
            catalog_name,
            catalog,
            namespace,
            own,
            pattern,
        } => {
            let tables = catalog.list_tables(&namespace).await?;
            let names = tables
                .iter()
                .filter(|ident| session.access().may_list(&catalog_name, ident))
                .map(|ident| ident.name().to_owned());
            let names: BTreeSet<String> = names.chain(own).collect();
            let names = matching(names.into_iter(), pattern.as_deref());
            let namespaces = vec![dotted(&namespace); names.len()];
            texts(&["namespace", "table_name"], vec![namespaces, names])
        }
        Show::OwnColumns { schema, described } => match described {
            true => description(described_columns(&own_columns(&schema)), Vec::new()),
            false => columns(&own_columns(&schema)),
        },
        Show::Columns(found) => columns(&columns_of(&found)?),
        Show::Describe { table, extended } => describe(&table, extended),
        Show::CreateTable(found) => {
            let chosen = found.catalog.new_table_location(found.table.ident()).await;
            let text = create_table_text(&found.table, &found.catalog_name, &chosen?)?;
            one_column("create_statement", vec![text])
        }
        Show::Tags(found) => references(&found.table, ReferenceKind::Tag),
        Show::Branches(found) => references(&found.table, ReferenceKind::Branch),
        Show::Properties { table, key } => properties(&table, key.as_deref()),
        Show::CurrentNamespace => {
            let current = session.variables();
            let namespace = dotted(&current.namespace);
            texts(
                &["catalog", "namespace"],
                vec![vec![current.catalog], vec![namespace]],
            )
        }
    }
}

async fn namespaces(
    catalog: &dyn Catalog,
    parent: Option<&NamespaceIdent>,
    pattern: Option<&str>,
) -> Result<QueryResult> {
    let all = catalog.list_namespaces().await?;
    let below = all.iter().filter(|namespace| {
        parent.is_none_or(|parent| {
            namespace.len() > parent.len() && namespace.as_ref().starts_with(parent.as_ref())
        })
    });
    one_column("namespace", matching(below.map(dotted), pattern))
}

/// Names that a `LIKE` pattern matches, without regard to case.
fn matching(names: impl Iterator<Item = String>, pattern: Option<&str>) -> Vec<String> {
    match pattern {
        None => names.collect(),
        Some(pattern) => {
            // Spark separates several patterns by `|`, which may also stand in a name.
            let pattern = pattern.to_lowercase();
            let patterns: Vec<Vec<char>> = [pattern.as_str()]
                .into_iter()
                .chain(pattern.split('|'))
                .map(|pattern| pattern.chars().collect())
                .collect();
            names
                .filter(|name| {
                    let name: Vec<char> = name.to_lowercase().chars().collect();
                    patterns.iter().any(|pattern| like(&name, pattern))
                })
                .collect()
        }
    }
}

/// SQL's `LIKE`, and `*` as Spark's `SHOW` reads it; in steps of at most one length times the other.
fn like(text: &[char], pattern: &[char]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Behind the last wildcard: its place in the pattern, and how far it reaches in the text. The
    // wildcards before it need not reach further, because this one can.
    let mut wildcard: Option<(usize, usize)> = None;
    while at < text.len() {
        match (pattern.get(place), &mut wildcard) {
            (Some('%' | '*'), _) => {
                place += 1;
                wildcard = Some((place, at));
            }
            (Some(expected), _) if *expected == '_' || *expected == text[at] => {
                place += 1;
                at += 1;
            }
            (_, Some((behind, reach))) => {
                *reach += 1;
                (place, at) = (*behind, *reach);
            }
            (_, None) => return false,
        }
    }
    pattern[place..]
        .iter()
        .all(|rest| matches!(rest, '%' | '*'))
}

/// A column as it is shown.
struct Column {
    name: String,
    data_type: String,
    required: bool,
    comment: Option<String>,
}

impl Column {
    fn of(table: &Table, field: &NestedField) -> Result<Self> {
        Ok(Self {
            name: field.name.clone(),
            data_type: table.type_text(field)?,
            required: field.required,
            comment: field.doc.clone(),
        })
    }
}

/// The columns of a table of the session alone, whose types the lake need not know.
fn own_columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &Arc<Field>| Column {
        name: field.name().clone(),
        data_type: iceberg_type(field.data_type(), FormatVersion::V3)
            .map_or_else(|_| field.data_type().to_string(), |kind| type_text(&kind)),
        required: !field.is_nullable(),
        comment: None,
    };
    schema.fields().iter().map(column).collect()
}

/// The columns of a table, or of the metadata table that its name selects.
fn columns_of(found: &FoundTable) -> Result<Vec<Column>> {
    let Some(Selector::Metadata(kind)) = &found.selector else {
        let fields = found.table.schema().as_struct().fields();
        let column = |field: &NestedFieldRef| Column::of(&found.table, field);
        return fields.iter().map(column).collect();
    };
    let schema = kind.schema(&found.table)?;
    // Field by field: names of metrics hold dots, which one schema would not tell from nesting.
    let field = |field: &Arc<Field>| {
        let kind = iceberg_type(field.data_type(), FormatVersion::V3)?;
        let (name, required) = (field.name(), !field.is_nullable());
        Column::of(&found.table, &NestedField::new(0, name, kind, required))
    };
    schema.fields().iter().map(field).collect()
}

fn columns(columns: &[Column]) -> Result<QueryResult> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("column_name", DataType::Utf8, false),
        Field::new("data_type", DataType::Utf8, false),
        Field::new("is_nullable", DataType::Boolean, false),
        Field::new("comment", DataType::Utf8, true),
    ]));
    let names: StringArray = columns
        .iter()
        .map(|column| Some(column.name.as_str()))
        .collect();
    let types: StringArray = columns
        .iter()
        .map(|column| Some(column.data_type.as_str()))
        .collect();
    let nullable: BooleanArray = columns
        .iter()
        .map(|column| Some(!column.required))
        .collect();
    let comments: StringArray = columns
        .iter()
        .map(|column| column.comment.as_deref())
        .collect();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(names),
        Arc::new(types),
        Arc::new(nullable),
        Arc::new(comments),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(QueryResult::of_batches(schema, vec![batch], true))
}

/// Columns, partitioning, and with `EXTENDED` what the table says of itself.
fn describe(found: &FoundTable, extended: bool) -> Result<QueryResult> {
    let table = &found.table;
    let rows = described_columns(&columns_of(found)?);
    let mut sections = Vec::new();
    let mut section = |title: &'static str, lines: Vec<(String, String)>| {
        sections.push((title, lines));
    };
    let is_metadata = matches!(found.selector, Some(Selector::Metadata(_)));
    let terms = partition_terms(table.partition_spec(), table.schema());
    let parts = terms
        .into_iter()
        .filter(|_| !is_metadata)
        .enumerate()
        .map(|(index, term)| (format!("Part {index}"), term));
    section("Partitioning", parts.collect());
    if !is_metadata {
        section("Sort order", sort_lines(table));
        section("Identifier fields", identifier_lines(table));
        section("Defaults", default_lines(table.schema())?);
    }
    if extended && !is_metadata {
        section("Table", table_facts(found));
        let properties: BTreeMap<_, _> = table.properties().iter().collect();
        let lines = properties
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        section("Properties", lines.collect());
    }
    description(rows, sections)
}

fn described_columns(columns: &[Column]) -> Vec<[String; 3]> {
    columns
        .iter()
        .map(|column| {
            let not_null = if column.required { " NOT NULL" } else { "" };
            let data_type = format!("{}{not_null}", column.data_type);
            let comment = column.comment.clone().unwrap_or_default();
            [column.name.clone(), data_type, comment]
        })
        .collect()
}

/// The rows of `DESCRIBE`: columns, and sections with a title.
fn description(
    mut rows: Vec<[String; 3]>,
    sections: Vec<(&str, Vec<(String, String)>)>,
) -> Result<QueryResult> {
    for (title, lines) in sections {
        if !lines.is_empty() {
            rows.push([format!("# {title}"), String::new(), String::new()]);
            rows.extend(
                lines
                    .into_iter()
                    .map(|(key, value)| [key, value, String::new()]),
            );
        }
    }
    let mut columns = vec![Vec::new(), Vec::new(), Vec::new()];
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    texts(&["col_name", "data_type", "comment"], columns)
}

/// What `DESCRIBE EXTENDED` says of the table itself.
fn table_facts(found: &FoundTable) -> Vec<(String, String)> {
    let table = &found.table;
    let snapshot = table
        .snapshot_id()
        .map_or_else(|| "none".to_owned(), |id| id.to_string());
    [
        ("Name", format!("{}.{}", found.catalog_name, table.ident())),
        ("Location", table.location().to_owned()),
        ("Format version", (table.format_version() as u8).to_string()),
        ("Table uuid", table.metadata().uuid().to_string()),
        ("Metadata file", table.metadata_location().to_owned()),
        ("Current snapshot", snapshot),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// A table's definition as a statement that makes it again, and others for its sort order and
/// identifier fields where it has such. `chosen` is where the catalog would put
/// a table of this name today.
fn create_table_text(table: &Table, catalog: &str, chosen: &str) -> Result<String> {
    let ident = table.ident();
    let fields = table.schema().as_struct().fields().iter();
    let columns = fields.map(|field| column_text(table, field));
    let columns: Vec<String> = columns.collect::<Result<_>>()?;
    let name = format!(
        "{}.{}.{}",
        quote(catalog),
        quote(&dotted(ident.namespace())),
        quote(ident.name())
    );
    let mut text = format!("CREATE TABLE {name} (\n{}\n)", columns.join(",\n"));
    let terms = partition_terms(table.partition_spec(), table.schema());
    if !terms.is_empty() {
        text.push_str(&format!("\nPARTITIONED BY ({})", terms.join(", ")));
    }
    let mut properties: BTreeMap<String, String> = table
        .properties()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(comment) = properties.remove("comment") {
        text.push_str(&format!("\nCOMMENT {}", literal(&comment)));
    }
    // Folders of the catalog's choice differ in an identifier behind the last dash.
    let chosen = chosen.rsplit_once('-').map_or(chosen, |(stem, _)| stem);
    let own = table.location().rsplit_once('-').map(|(stem, _)| stem);
    if own != Some(chosen) {
        text.push_str(&format!("\nLOCATION {}", literal(table.location())));
    }
    properties.insert(
        "format-version".to_owned(),
        (table.format_version() as u8).to_string(),
    );
    let pairs: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("  {} = {}", literal(key), literal(value)))
        .collect();
    text.push_str(&format!("\nTBLPROPERTIES (\n{}\n)", pairs.join(",\n")));
    // What CREATE TABLE has no words for; the distribution of rows is a property already.
    let more = [
        ("WRITE LOCALLY ORDERED BY", sort_lines(table)),
        ("SET IDENTIFIER FIELDS", identifier_lines(table)),
    ];
    for (clause, lines) in more {
        let terms: Vec<String> = lines.into_iter().map(|(_, term)| term).collect();
        if !terms.is_empty() {
            let terms = terms.join(", ");
            text.push_str(&format!(";\nALTER TABLE {name} {clause} {terms}"));
        }
    }
    Ok(text)
}

/// A column as a line of a statement that makes the table.
fn column_text(table: &Table, field: &NestedField) -> Result<String> {
    let not_null = if field.required { " NOT NULL" } else { "" };
    let comment = field.doc.as_ref();
    let comment = comment.map(|doc| format!(" COMMENT {}", literal(doc)));
    let default = default_text(field)?.map(|default| format!(" DEFAULT {default}"));
    Ok(format!(
        "  {} {}{not_null}{}{}",
        quote(&field.name),
        table.type_text(field)?,
        default.unwrap_or_default(),
        comment.unwrap_or_default()
    ))
}

fn default_lines(schema: &TableSchema) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    for field in schema.as_struct().fields() {
        if let Some(default) = default_text(field)? {
            lines.push((field.name.clone(), default));
        }
    }
    Ok(lines)
}

/// The terms of `WRITE ORDERED BY`.
fn sort_lines(table: &Table) -> Vec<(String, String)> {
    let fields = &table.metadata().default_sort_order().fields;
    let line = |(index, field): (usize, &SortField)| {
        let path = path_of(table.schema().as_struct().fields(), field.source_id);
        let source = quoted_path(&path.unwrap_or_default());
        let direction = match field.direction {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        };
        let nulls = match field.null_order {
            NullOrder::First => "NULLS FIRST",
            NullOrder::Last => "NULLS LAST",
        };
        let term = term_text(field.transform, &source);
        (
            format!("Sort {index}"),
            format!("{term} {direction} {nulls}"),
        )
    };
    fields.iter().enumerate().map(line).collect()
}

fn identifier_lines(table: &Table) -> Vec<(String, String)> {
    let mut ids: Vec<i32> = table.schema().identifier_field_ids().collect();
    ids.sort_unstable();
    let paths = ids
        .into_iter()
        .filter_map(|id| path_of(table.schema().as_struct().fields(), id));
    let line = |(index, path): (usize, Vec<&str>)| (format!("Field {index}"), quoted_path(&path));
    paths.enumerate().map(line).collect()
}

fn quoted_path(path: &[&str]) -> String {
    let parts: Vec<String> = path.iter().map(|part| quote(part)).collect();
    parts.join(".")
}

/// A transform of a column as SQL writes it.
fn term_text(transform: Transform, source: &str) -> String {
    match transform {
        Transform::Identity => source.to_owned(),
        Transform::Bucket(buckets) => format!("bucket({buckets}, {source})"),
        Transform::Truncate(width) => format!("truncate({width}, {source})"),
        Transform::Year => format!("years({source})"),
        Transform::Month => format!("months({source})"),
        Transform::Day => format!("days({source})"),
        Transform::Hour => format!("hours({source})"),
        other => format!("{other}({source})"),
    }
}

/// The terms of `PARTITIONED BY`.
fn partition_terms(spec: &PartitionSpec, schema: &TableSchema) -> Vec<String> {
    spec.fields()
        .iter()
        .filter(|field| field.transform != Transform::Void)
        .map(|field| {
            let path = path_of(schema.as_struct().fields(), field.source_id);
            let path = path.unwrap_or_else(|| vec![&field.name]);
            let source = quoted_path(&path);
            let own_name = field.name != default_partition_name(&path.join("."), field.transform);
            let name = match own_name {
                true => format!(" AS {}", quote(&field.name)),
                false => String::new(),
            };
            term_text(field.transform, &source) + &name
        })
        .collect()
}

/// The names that lead to a column, through structs.
fn path_of(fields: &[NestedFieldRef], id: i32) -> Option<Vec<&str>> {
    fields.iter().find_map(|field| {
        let mut path = vec![field.name.as_str()];
        if field.id == id {
            return Some(path);
        }
        let Type::Struct(inner) = field.field_type.as_ref() else {
            return None;
        };
        path.extend(path_of(inner.fields(), id)?);
        Some(path)
    })
}

fn references(table: &Table, kind: ReferenceKind) -> Result<QueryResult> {
    let references: Vec<_> = table
        .refs()?
        .iter()
        .filter(|reference| reference.kind == kind)
        .collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("max_reference_age_in_ms", DataType::Int64, true),
        Field::new("min_snapshots_to_keep", DataType::Int32, true),
        Field::new("max_snapshot_age_in_ms", DataType::Int64, true),
    ]));
    let names: StringArray = references.iter().map(|r| Some(r.name.as_str())).collect();
    let ids: Int64Array = references.iter().map(|r| Some(r.snapshot_id)).collect();
    let ref_ages: Int64Array = references.iter().map(|r| r.ref_age_ms_max).collect();
    let kept: Int32Array = references.iter().map(|r| r.snapshots_min).collect();
    let ages: Int64Array = references.iter().map(|r| r.snapshot_age_ms_max).collect();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(names),
        Arc::new(ids),
        Arc::new(ref_ages),
        Arc::new(kept),
        Arc::new(ages),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(QueryResult::of_batches(schema, vec![batch], true))
}

fn properties(found: &FoundTable, key: Option<&str>) -> Result<QueryResult> {
    let all: BTreeMap<_, _> = found.table.properties().iter().collect();
    let kept: Vec<_> = all
        .into_iter()
        .filter(|(name, _)| key.is_none_or(|key| key == *name))
        .collect();
    if let (Some(key), true) = (key, kept.is_empty()) {
        return Err(Error::not_found(format!(
            "the table has no property {key:?}"
        )));
    }
    let (keys, values) = kept
        .into_iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .unzip();
    texts(&["key", "value"], vec![keys, values])
}

fn one_column(name: &str, values: Vec<String>) -> Result<QueryResult> {
    texts(&[name], vec![values])
}

/// Rows of text columns.
fn texts(names: &[&str], columns: Vec<Vec<String>>) -> Result<QueryResult> {
    let fields: Vec<Field> = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, false))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns
        .into_iter()
        .map(|values| Arc::new(StringArray::from(values)) as ArrayRef)
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(QueryResult::of_batches(schema, vec![batch], true))
}

#[cfg(test)]
mod tests {
    use super::like;

    fn matches(text: &str, pattern: &str) -> bool {
        let [text, pattern] = [text, pattern].map(|part| part.chars().collect::<Vec<_>>());
        like(&text, &pattern)
    }

    #[test]
    fn wildcards_match_as_in_sql() {
        for (text, pattern) in [
            ("", ""),
            ("", "%%"),
            ("abc", "%"),
            ("abc", "a*"),
            ("abc", "_b_"),
            ("abcabd", "%ab_"),
            ("aab", "%ab"),
            ("mississippi", "%iss%pp%"),
        ] {
            assert!(matches(text, pattern), "{text} LIKE {pattern}");
        }
        for (text, pattern) in [("", "_"), ("abc", "ab"), ("abc", "%d%"), ("abab", "a%ba")] {
            assert!(!matches(text, pattern), "{text} NOT LIKE {pattern}");
        }
    }

    #[test]
    fn many_wildcards_take_no_longer() {
        let text = "a".repeat(200);
        let pattern = format!("{}b", "%a".repeat(100));
        assert!(!matches(&text, &pattern));
    }
}
