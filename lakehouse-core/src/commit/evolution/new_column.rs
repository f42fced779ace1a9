//! New columns: where they go, what they may be, and ids that no column ever had.

use std::sync::Arc;

use iceberg::spec::{FormatVersion, NestedField, NestedFieldRef, PrimitiveType, Type};

use super::ColumnPath;
use super::default_value;
use super::draft::{DEPTH_MAX, Draft, children, depth, ids, with_children};
use super::schema::{NewColumn, Position, version_needed};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{hint, quote};
use crate::table::type_text;

/// Adds a column.
pub(super) fn add(draft: &mut Draft<'_>, new: &NewColumn) -> Result<()> {
    let parents = parents(draft, new.parent.as_ref())?;
    let mut siblings = draft.fields.clone();
    if let Some(parent) = parents.last() {
        siblings = children(&parent.field_type);
    }
    if new.name.is_empty() {
        return Err(Error::invalid("a column needs a name"));
    }
    if let Some(twin) = twin(&siblings, &new.name) {
        if new.if_not_exists {
            return Ok(());
        }
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "column {} exists already (names of columns differ in more than case)",
                quote(&twin.name)
            ),
        ));
    }
    check(draft, new, parents.len())?;
    let place = place(&siblings, new.position.as_ref())?;
    let id = draft.fresh_id()?;
    let field_type = with_fresh_ids(draft, &new.data_type)?;
    let mut field = NestedField::new(id, &new.name, field_type, new.required);
    field.doc = new.doc.clone();
    field.initial_default = new.default.clone();
    field.write_default = new.default.clone();
    draft.added.extend(ids(&field));
    draft.edit_siblings(&parents, |siblings| {
        siblings.insert(place, Arc::new(field));
        Ok(())
    })
}

/// The field of a name among others, in any case.
pub(super) fn twin<'a>(siblings: &'a [NestedFieldRef], name: &str) -> Option<&'a NestedFieldRef> {
    let folded = name.to_lowercase();
    siblings
        .iter()
        .find(|field| field.name.to_lowercase() == folded)
}

/// Where a field of this position goes among others.
///
/// # Errors
/// [`ErrorKind::NotFound`] when the field to stand behind is not there.
pub(super) fn place(siblings: &[NestedFieldRef], position: Option<&Position>) -> Result<usize> {
    match position {
        None => Ok(siblings.len()),
        Some(Position::First) => Ok(0),
        Some(Position::After(name)) => {
            let found = name.find(siblings, |field| &field.name)?;
            let index = found.and_then(|found| siblings.iter().position(|f| f.id == found.id));
            index.map(|index| index + 1).ok_or_else(|| {
                let names = siblings.iter().map(|field| field.name.as_str());
                Error::not_found(format!(
                    "there is no column {name} to stand behind in the same table or struct{}",
                    hint(name.as_str(), names)
                ))
            })
        }
    }
}

/// The fields around a new one: a struct at last, also one that is a list's element or a map's
/// value.
fn parents(draft: &Draft<'_>, parent: Option<&ColumnPath>) -> Result<Vec<NestedFieldRef>> {
    let Some(path) = parent else {
        return Ok(Vec::new());
    };
    let found = draft.find_changeable(path)?;
    let shown = found.shown();
    let mut parents = found.parents;
    let inner = match found.field.field_type.as_ref() {
        Type::List(list) => Some(Arc::clone(&list.element_field)),
        Type::Map(map) => Some(Arc::clone(&map.value_field)),
        Type::Primitive(_) | Type::Struct(_) => None,
    };
    parents.push(found.field);
    parents.extend(inner);
    match parents.last().map(|last| last.field_type.is_struct()) {
        Some(true) => Ok(parents),
        _ => Err(Error::invalid(format!(
            "column {shown} is no struct: columns are added to tables and structs"
        ))),
    }
}

fn check(draft: &Draft<'_>, new: &NewColumn, outer: usize) -> Result<()> {
    let format = draft.metadata.format_version();
    if outer + depth(&new.data_type) > DEPTH_MAX {
        return Err(Error::unsupported(format!(
            "column {} nests more than {DEPTH_MAX} deep",
            quote(&new.name)
        )));
    }
    refuse_newer_types(&new.data_type, &new.name, format)?;
    match &new.default {
        Some(default) => {
            default_value::check_version(draft.metadata.format_version(), &new.name)?;
            default_value::check(default, &new.data_type, &new.name)
        }
        None if new.required => Err(Error::invalid(format!(
            "column {} cannot be required: rows that are there have no value for it; let it be \
             NULL, or give it a default (format version 3)",
            quote(&new.name)
        ))),
        None => Ok(()),
    }
}

fn refuse_newer_types(field_type: &Type, column: &str, format: FormatVersion) -> Result<()> {
    if let Type::Primitive(PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) = field_type
        && format < FormatVersion::V3
    {
        let what = format!("type {} of column {}", type_text(field_type), quote(column));
        return Err(version_needed(&what, FormatVersion::V3));
    }
    let children = children(field_type);
    for (index, child) in children.iter().enumerate() {
        if child.name.is_empty() {
            return Err(Error::invalid("a field of a struct needs a name"));
        }
        if let Some(twin) = twin(&children[..index], &child.name) {
            return Err(Error::invalid(format!(
                "fields {} and {} of column {} have the same name",
                quote(&twin.name),
                quote(&child.name),
                quote(column)
            )));
        }
        refuse_newer_types(&child.field_type, column, format)?;
    }
    Ok(())
}

/// The same type with ids that no column ever had: those of one level before those below.
fn with_fresh_ids(draft: &mut Draft<'_>, field_type: &Type) -> Result<Type> {
    let mut fields = children(field_type);
    for field in &mut fields {
        Arc::make_mut(field).id = draft.fresh_id()?;
    }
    for field in &mut fields {
        let field = Arc::make_mut(field);
        *field.field_type = with_fresh_ids(draft, &field.field_type)?;
    }
    with_children(field_type, fields)
}
