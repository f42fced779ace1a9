//! A schema while it is changed: fields found by name, edited in place at every depth.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, Schema, StructType, TableMetadata, Type,
};

use super::ColumnPath;
use crate::error::{Error, Result};
use crate::name::{hint, quote};

/// How deep columns may nest.
pub(super) const DEPTH_MAX: usize = 32;

/// The current columns of a table with the changes so far.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub(super) metadata: &'a TableMetadata,
    pub(super) fields: Vec<NestedFieldRef>,
    pub(super) identifiers: BTreeSet<i32>,
    /// Columns that this change added, by id, with all that is in them.
    pub(super) added: BTreeSet<i32>,
    last_id: i32,
}

/// A field and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) field: NestedFieldRef,
    /// The fields around it, outermost first.
    pub(super) parents: Vec<NestedFieldRef>,
}

impl Found {
    /// The names that lead to the field, as stored.
    pub(super) fn shown(&self) -> String {
        let names = self.parents.iter().chain([&self.field]);
        let names: Vec<&str> = names.map(|field| field.name.as_str()).collect();
        quote(&names.join("."))
    }

    /// The innermost field around it.
    pub(super) fn parent(&self) -> Option<&NestedFieldRef> {
        self.parents.last()
    }

    /// Whether the field is named by its struct or table, and not by its place in a list or map.
    pub(super) fn is_named(&self) -> bool {
        self.parent()
            .is_none_or(|parent| parent.field_type.is_struct())
    }

    /// Whether the field is the key of a map, or in one.
    pub(super) fn is_in_key(&self) -> bool {
        let ids = self
            .parents
            .iter()
            .chain([&self.field])
            .map(|field| field.id);
        ids.zip(std::iter::once(None).chain(self.parents.iter().map(Some)))
            .any(
                |(id, parent)| match parent.map(|parent| parent.field_type.as_ref()) {
                    Some(Type::Map(map)) => map.key_field.id == id,
                    _ => false,
                },
            )
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(metadata: &'a TableMetadata) -> Self {
        let schema = metadata.current_schema();
        Self {
            metadata,
            fields: schema.as_struct().fields().to_vec(),
            identifiers: schema.identifier_field_ids().collect(),
            added: BTreeSet::new(),
            last_id: metadata.last_column_id(),
        }
    }

    /// An id that no column ever had.
    pub(super) fn fresh_id(&mut self) -> Result<i32> {
        self.last_id = self.last_id.checked_add(1).ok_or_else(|| {
            Error::unsupported("the table has used up the ids that its columns can have")
        })?;
        Ok(self.last_id)
    }

    /// The field at a path, if there is one.
    ///
    /// # Errors
    /// When a name is ambiguous, or an outer part of the path is not there.
    pub(super) fn try_find(&self, path: &ColumnPath) -> Result<Option<Found>> {
        let Some((last, outer)) = path.names().split_last() else {
            return Err(Error::invalid("expected the name of a column"));
        };
        let mut parents: Vec<NestedFieldRef> = Vec::with_capacity(outer.len());
        let mut level = self.fields.clone();
        for name in outer {
            let field = name.find(&level, |field| &field.name)?;
            let field = Arc::clone(field.ok_or_else(|| missing(path, name.as_str(), &level))?);
            level = children(&field.field_type);
            parents.push(field);
        }
        let field = last.find(&level, |field| &field.name)?.map(Arc::clone);
        Ok(field.map(|field| Found { field, parents }))
    }

    /// The field at a path.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] with the nearest names when there is none.
    pub(super) fn find(&self, path: &ColumnPath) -> Result<Found> {
        if let Some(found) = self.try_find(path)? {
            return Ok(found);
        }
        let (last, outer) = match path.names().split_last() {
            Some((last, outer)) => (last.as_str(), outer),
            None => ("", &[][..]),
        };
        let level = match outer {
            [] => self.fields.clone(),
            outer => {
                let parent = self.find(&ColumnPath::new(outer.iter().cloned()))?;
                children(&parent.field.field_type)
            }
        };
        Err(missing(path, last, &level))
    }

    /// A field that may be changed: everything but the keys of maps.
    pub(super) fn find_changeable(&self, path: &ColumnPath) -> Result<Found> {
        let found = self.find(path)?;
        if found.is_in_key() {
            return Err(Error::invalid(format!(
                "column {} is the key of a map or in one, and keys of maps are never changed: \
                 keys that differ could become equal",
                found.shown()
            )));
        }
        Ok(found)
    }

    /// Changes a field in its place.
    pub(super) fn change(
        &mut self,
        found: &Found,
        edit: impl FnOnce(&mut NestedField) -> Result<()>,
    ) -> Result<()> {
        let id = found.field.id;
        self.edit_siblings(&found.parents, |siblings| {
            let field = siblings.iter_mut().find(|field| field.id == id);
            let field = field.ok_or_else(|| Error::internal("a column was lost while changed"))?;
            edit(Arc::make_mut(field))
        })
    }

    /// Edits the fields in a struct, in order; those of the table without `parents`.
    pub(super) fn edit_siblings(
        &mut self,
        parents: &[NestedFieldRef],
        edit: impl FnOnce(&mut Vec<NestedFieldRef>) -> Result<()>,
    ) -> Result<()> {
        self.fields = edited(self.fields.clone(), parents, edit)?;
        Ok(())
    }

    /// The columns as a schema of this id.
    pub(super) fn schema(&self, schema_id: i32) -> Result<Schema> {
        Schema::builder()
            .with_schema_id(schema_id)
            .with_fields(self.fields.iter().map(Arc::clone))
            .with_identifier_field_ids(self.identifiers.iter().copied())
            .build()
            .map_err(|error| {
                let error = Error::from(error);
                Error::invalid(format!(
                    "the columns would make no schema: {}",
                    error.message()
                ))
                .with_source(error)
            })
    }
}

/// The ids of a field and of all in it.
pub(super) fn ids(field: &NestedField) -> Vec<i32> {
    let mut found = vec![field.id];
    for child in children(&field.field_type) {
        found.extend(ids(&child));
    }
    found
}

/// The fields directly in a type.
pub(in crate::commit) fn children(field_type: &Type) -> Vec<NestedFieldRef> {
    match field_type {
        Type::Primitive(_) => Vec::new(),
        Type::Struct(fields) => fields.fields().to_vec(),
        Type::List(list) => vec![Arc::clone(&list.element_field)],
        Type::Map(map) => vec![Arc::clone(&map.key_field), Arc::clone(&map.value_field)],
    }
}

/// How deep a type nests.
pub(super) fn depth(field_type: &Type) -> usize {
    let children = children(field_type);
    let depths = children.iter().map(|child| depth(&child.field_type));
    1 + depths.max().unwrap_or(0)
}

/// The same kind of type around other fields.
pub(super) fn with_children(field_type: &Type, children: Vec<NestedFieldRef>) -> Result<Type> {
    let lost = || Error::internal("a nested type lost a part while it was changed");
    Ok(match field_type {
        Type::Primitive(_) if children.is_empty() => field_type.clone(),
        Type::Primitive(_) => return Err(lost()),
        Type::Struct(_) => Type::Struct(StructType::new(children)),
        Type::List(_) => {
            let [element] = <[_; 1]>::try_from(children).map_err(|_| lost())?;
            Type::List(ListType::new(element))
        }
        Type::Map(_) => {
            let [key, value] = <[_; 2]>::try_from(children).map_err(|_| lost())?;
            Type::Map(MapType::new(key, value))
        }
    })
}

fn edited(
    mut level: Vec<NestedFieldRef>,
    parents: &[NestedFieldRef],
    edit: impl FnOnce(&mut Vec<NestedFieldRef>) -> Result<()>,
) -> Result<Vec<NestedFieldRef>> {
    let Some((first, rest)) = parents.split_first() else {
        edit(&mut level)?;
        return Ok(level);
    };
    let parent = level.iter_mut().find(|field| field.id == first.id);
    let parent = parent.ok_or_else(|| Error::internal("a column was lost while changed"))?;
    let parent = Arc::make_mut(parent);
    let inner = edited(children(&parent.field_type), rest, edit)?;
    *parent.field_type = with_children(&parent.field_type, inner)?;
    Ok(level)
}

fn missing(path: &ColumnPath, name: &str, level: &[NestedFieldRef]) -> Error {
    let names = level.iter().map(|field| field.name.as_str());
    Error::not_found(format!("there is no column {path}{}", hint(name, names)))
}
