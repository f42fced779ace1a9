//! Properties that name columns, after the columns have changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iceberg::TableUpdate;
use iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, MappedField, NameMapping, NestedFieldRef, Schema, TableMetadata,
};

use super::draft::children;
use crate::error::{Error, Result};

/// Properties whose keys end in the name of a column.
const OF_COLUMN: [&str; 6] = [
    "write.metadata.metrics.column.",
    "write.parquet.bloom-filter-enabled.column.",
    "write.parquet.bloom-filter-fpp.column.",
    "write.parquet.bloom-filter-ndv.column.",
    "write.parquet.stats-enabled.column.",
    "write.parquet.dict-encoding-enabled.column.",
];

/// Updates of the properties that name columns: those of renamed columns follow them, those of
/// dropped ones go, and the name mapping learns the new names.
pub(super) fn properties(metadata: &TableMetadata, schema: &Schema) -> Result<Vec<TableUpdate>> {
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut removed: BTreeSet<String> = BTreeSet::new();
    let current = metadata.current_schema();
    for (key, value) in metadata.properties() {
        let Some((prefix, column)) = OF_COLUMN
            .iter()
            .find_map(|prefix| Some((prefix, key.strip_prefix(prefix)?)))
        else {
            continue;
        };
        // A property of a column that there never was is somebody's mistake, and stays.
        let Some(field) = current.field_by_name(column) else {
            continue;
        };
        let name = schema.name_by_field_id(field.id);
        if name != Some(column) {
            removed.insert(key.clone());
            if let Some(name) = name {
                set.insert(format!("{prefix}{name}"), value.clone());
            }
        }
    }
    if let Some(json) = metadata.properties().get(DEFAULT_SCHEMA_NAME_MAPPING) {
        let mapping = mapped(json, schema)?;
        if mapping != *json {
            set.insert(DEFAULT_SCHEMA_NAME_MAPPING.to_owned(), mapping);
        }
    }
    // Two columns may have changed places.
    removed.retain(|key| !set.contains_key(key));
    let mut updates = Vec::new();
    if !removed.is_empty() {
        updates.push(TableUpdate::RemoveProperties {
            removals: removed.into_iter().collect(),
        });
    }
    if !set.is_empty() {
        updates.push(TableUpdate::SetProperties {
            updates: HashMap::from_iter(set),
        });
    }
    Ok(updates)
}

/// A name mapping that knows the present names too. Files without field ids keep their old names,
/// so names are added to a column and only taken from one that is gone.
fn mapped(json: &str, schema: &Schema) -> Result<String> {
    let mapping: NameMapping = serde_json::from_str(json).map_err(|error| {
        Error::corrupt(format!(
            "table property {DEFAULT_SCHEMA_NAME_MAPPING:?} is no name mapping; remove it or set \
             it right before columns are changed"
        ))
        .with_source(error)
    })?;
    let known: Vec<&MappedField> = mapping.fields().iter().collect();
    let fields = level(&known, schema.as_struct().fields());
    let new = NameMapping::new(fields);
    if new == mapping {
        return Ok(json.to_owned());
    }
    Ok(serde_json::to_string(&new)?)
}

fn level(known: &[&MappedField], fields: &[NestedFieldRef]) -> Vec<MappedField> {
    let mut mapped: Vec<MappedField> = Vec::with_capacity(known.len());
    let field = |id: Option<i32>| fields.iter().find(|field| Some(field.id) == id);
    for old in known {
        // A name that a column of another id has now is that column's.
        let own = field(old.field_id());
        let is_taken = |name: &String| {
            let holder = fields.iter().find(|field| field.name == *name);
            holder.is_some_and(|holder| Some(holder.id) != old.field_id())
        };
        let mut names: Vec<String> = old.names().to_vec();
        names.retain(|name| !is_taken(name));
        let inner: Vec<&MappedField> = old.fields().iter().map(AsRef::as_ref).collect();
        let inner = match own {
            Some(own) => {
                if !names.contains(&own.name) {
                    names.push(own.name.clone());
                }
                level(&inner, &children(&own.field_type))
            }
            None => inner.into_iter().cloned().collect(),
        };
        mapped.push(MappedField::new(old.field_id(), names, inner));
    }
    for field in fields {
        if !known.iter().any(|old| old.field_id() == Some(field.id)) {
            let inner = level(&[], &children(&field.field_type));
            mapped.push(MappedField::new(
                Some(field.id),
                vec![field.name.clone()],
                inner,
            ));
        }
    }
    mapped
}
