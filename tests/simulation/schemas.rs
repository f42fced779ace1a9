//! Columns that come and go: each snapshot is read with its own, and rows keep what they hold.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{Schema, TableMetadata};
use lakehouse::Result;

use crate::history::State;
use crate::model::extra;
use crate::scan::Found;

fn names(schema: &Schema) -> Vec<String> {
    let fields = schema.as_struct().fields().iter();
    fields.map(|field| field.name.clone()).collect()
}

/// The columns of a table as it is.
pub(crate) fn current(metadata: &TableMetadata) -> Vec<String> {
    names(metadata.current_schema())
}

fn schema_of(metadata: &TableMetadata, snapshot: i64) -> Option<&Schema> {
    let snapshot = metadata.snapshot_by_id(snapshot)?;
    let schema = metadata.schema_by_id(snapshot.schema_id()?);
    schema.map(AsRef::as_ref)
}

/// The columns of a snapshot.
pub(crate) fn of_snapshot(metadata: &TableMetadata, snapshot: i64) -> Option<Vec<String>> {
    schema_of(metadata, snapshot).map(names)
}

/// Holds the columns of all snapshots, and the values in those that came later, against the
/// snapshots' schemas and parents.
pub(crate) fn check(
    states: &[State],
    found: &HashMap<i64, Result<Found>>,
    findings: &mut Vec<String>,
) {
    let metadata = &states[states.len() - 1].metadata;
    let mut snapshots: Vec<_> = found.iter().collect();
    snapshots.sort_unstable_by_key(|(id, _)| **id);
    for (id, found_here) in snapshots {
        let (Ok(here), Some(schema)) = (found_here, schema_of(metadata, *id)) else {
            continue;
        };
        let expected = names(schema);
        if here.columns != expected {
            let seen = &here.columns;
            findings.push(format!(
                "snapshot {id} has {seen:?}, its schema {expected:?}"
            ));
        }
        let parent = metadata.snapshot_by_id(*id);
        let parent = parent.and_then(|snapshot| snapshot.parent_snapshot_id());
        let before = parent.and_then(|id| Some((schema_of(metadata, id)?, found.get(&id)?)));
        for ((name, key), values) in &here.extras {
            for value in values {
                if value.is_some() && *value != extra(name, *key) {
                    findings.push(format!("key {key} has {value:?} in {name} at {id}"));
                }
            }
            let Some((schema_before, Ok(before))) = before else {
                continue;
            };
            let kept = kept(schema, schema_before, name);
            let old = kept.and_then(|name| before.extras.get(&(name, *key)));
            if let (Some([old]), [new]) = (old.map(Vec::as_slice), values.as_slice())
                && old != new
            {
                findings.push(format!(
                    "key {key} has {new:?} in {name} at {id}, had {old:?}"
                ));
            }
        }
    }
}

/// The name that a column had in another schema, when it is the same column.
fn kept(schema: &Schema, before: &Schema, name: &str) -> Option<String> {
    let ids: BTreeMap<i32, &str> = before
        .as_struct()
        .fields()
        .iter()
        .map(|field| (field.id, field.name.as_str()))
        .collect();
    let field = schema.field_by_name(name)?;
    ids.get(&field.id).map(|name| (*name).to_owned())
}
