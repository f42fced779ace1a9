//! Branches are read in the table's current schema: their rows must have what it requires.

use iceberg::spec::{NestedFieldRef, Schema};

use super::evolution;
use crate::error::{Error, Result};
use crate::name::quote;
use crate::table::{MAIN_BRANCH, ReferenceKind, Table};

/// Refuses to let a branch name a snapshot whose rows lack values that the table requires now.
pub(super) fn require_readable(table: &Table, snapshot_id: i64, branch: &str) -> Result<()> {
    let metadata = table.metadata();
    let Some(snapshot) = metadata.snapshot_by_id(snapshot_id) else {
        return Ok(());
    };
    let known = snapshot.schema(metadata)?;
    let current = metadata.current_schema().as_struct().fields();
    match lacking(&known, current, "") {
        None => Ok(()),
        Some(path) => Err(Error::invalid(format!(
            "column {} is required, and snapshot {snapshot_id} has rows without it, which branch \
             {} could not be read with; drop its NOT NULL first",
            quote(&path),
            quote(branch)
        ))),
    }
}

/// Refuses a definition in which other branches, which are read in it, lack required values.
pub(super) fn require_readable_branches(table: &Table, new: &Schema) -> Result<()> {
    let metadata = table.metadata();
    for branch in table.refs()? {
        if branch.kind != ReferenceKind::Branch || branch.name == MAIN_BRANCH {
            continue;
        }
        let Some(head) = metadata.snapshot_by_id(branch.snapshot_id) else {
            continue;
        };
        let known = head.schema(metadata)?;
        if let Some(path) = lacking(&known, new.as_struct().fields(), "") {
            return Err(Error::invalid(format!(
                "column {} of the new definition is required, and branch {} has rows without it, \
                 which could no longer be read; drop the branch first, or leave NOT NULL away",
                quote(&path),
                quote(&branch.name)
            )));
        }
    }
    Ok(())
}

/// The first required field that rows of an older schema do not have.
fn lacking(known: &Schema, new: &[NestedFieldRef], parent: &str) -> Option<String> {
    new.iter().find_map(|field| {
        let path = match parent {
            "" => field.name.clone(),
            _ => format!("{parent}.{}", field.name),
        };
        match known.field_by_id(field.id) {
            // Rows without an optional field have nothing inside of it that could be required.
            None => (field.required && field.initial_default.is_none()).then_some(path),
            Some(own) if field.required && !own.required => Some(path),
            Some(_) => lacking(known, &evolution::children(&field.field_type), &path),
        }
    })
}
