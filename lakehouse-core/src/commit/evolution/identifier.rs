//! The columns that identify a row.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::{PrimitiveType, Type};

use super::ColumnPath;
use super::draft::{Draft, Found, children};
use crate::error::{Error, Result};

/// Makes these columns the ones that identify a row.
pub(super) fn set(draft: &mut Draft<'_>, columns: &[ColumnPath]) -> Result<()> {
    let mut identifiers = BTreeSet::new();
    for column in columns {
        let found = draft.find(column)?;
        check(&found)?;
        identifiers.insert(found.field.id);
    }
    draft.identifiers = identifiers;
    Ok(())
}

/// Takes columns out of those that identify a row.
pub(super) fn drop(draft: &mut Draft<'_>, columns: &[ColumnPath]) -> Result<()> {
    for column in columns {
        let found = draft.find(column)?;
        if !draft.identifiers.remove(&found.field.id) {
            return Err(Error::not_found(format!(
                "column {} is no identifier field",
                found.shown()
            )));
        }
    }
    Ok(())
}

/// Refuses a change after which an identifier field could no longer be one.
pub(super) fn check_all(draft: &Draft<'_>) -> Result<()> {
    let mut parents = Vec::new();
    check_level(draft, &draft.fields, &mut parents)
}

fn check_level(
    draft: &Draft<'_>,
    level: &[iceberg::spec::NestedFieldRef],
    parents: &mut Vec<iceberg::spec::NestedFieldRef>,
) -> Result<()> {
    for field in level {
        if draft.identifiers.contains(&field.id) {
            check(&Found {
                field: Arc::clone(field),
                parents: parents.clone(),
            })?;
        }
        parents.push(Arc::clone(field));
        check_level(draft, &children(&field.field_type), parents)?;
        parents.pop();
    }
    Ok(())
}

fn check(found: &Found) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::invalid(format!(
            "column {} cannot be an identifier field: {why}",
            found.shown()
        )))
    };
    match found.field.field_type.as_ref() {
        Type::Primitive(PrimitiveType::Float | PrimitiveType::Double) => {
            return refused("floating-point numbers do not tell rows apart");
        }
        Type::Primitive(_) => {}
        _ => return refused("its type is nested"),
    }
    if found
        .parents
        .iter()
        .any(|parent| !parent.field_type.is_struct())
    {
        return refused("it is in a list or map");
    }
    if !found.field.required {
        return refused("it may be NULL");
    }
    if found.parents.iter().any(|parent| !parent.required) {
        return refused("a struct around it may be NULL");
    }
    Ok(())
}
