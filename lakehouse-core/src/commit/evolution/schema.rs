//! Changes of a table's columns.

use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, Literal, Schema, TableMetadata, Transform, Type};

use super::draft::{Draft, Found, ids};
use super::{ColumnPath, default_value, identifier, new_column, promotion, renamed};
use crate::catalog::foreign_type::refuse_write;
use crate::commit::change::{Step, apply};
use crate::error::{Error, Result};
use crate::name::{Name, quote};
use crate::table::Table;

/// Changes the columns of a table, all operations or none.
///
/// Columns keep their ids whatever becomes of their names and places, so that files written before
/// are read as they were meant; new columns get ids that no column ever had.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EvolveSchema {
    /// What is changed, one after the other: later ones see what earlier ones did.
    pub operations: Vec<SchemaOperation>,
}

/// One change of a table's columns.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaOperation {
    /// Adds a column.
    Add(NewColumn),
    /// Drops a column with all that is in it; its values stay in the files and are never seen
    /// again, whatever is added under the name.
    Drop {
        /// The column.
        column: ColumnPath,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// Gives a column another name.
    Rename {
        /// The column.
        column: ColumnPath,
        /// The new name of its last part.
        name: String,
        /// Whether a missing one is no error.
        if_exists: bool,
    },
    /// Gives a column a type that holds every value of the old one.
    SetType {
        /// The column, of no nested type.
        column: ColumnPath,
        /// The wider type.
        data_type: Type,
    },
    /// Makes a column required. Only one that was added with a default in the same change can be:
    /// nobody knows that there is no NULL in the files.
    SetRequired {
        /// The column.
        column: ColumnPath,
    },
    /// Lets a column be NULL.
    SetOptional {
        /// The column.
        column: ColumnPath,
    },
    /// Sets or removes a column's comment.
    SetDoc {
        /// The column.
        column: ColumnPath,
        /// The comment; none when unset.
        doc: Option<String>,
    },
    /// Moves a column among its siblings.
    Move {
        /// The column.
        column: ColumnPath,
        /// Where it goes.
        position: Position,
    },
    /// Sets or removes the value that rows get that are written without one; rows that are there
    /// keep theirs. Format version 3.
    SetWriteDefault {
        /// The column.
        column: ColumnPath,
        /// The value; NULL when unset.
        default: Option<Literal>,
    },
    /// Says which columns identify a row, in place of those before.
    SetIdentifiers {
        /// The columns: required, of no nested or floating type, not in lists or maps.
        columns: Vec<ColumnPath>,
    },
    /// Takes columns out of those that identify a row.
    DropIdentifiers {
        /// The columns, each of them an identifier.
        columns: Vec<ColumnPath>,
    },
}

/// A column to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewColumn {
    /// The struct it is added to, or the list or map of structs; the table when unset.
    pub parent: Option<ColumnPath>,
    /// Its name.
    pub name: String,
    /// Its type; ids within are given anew.
    pub data_type: Type,
    /// Whether it must not be NULL, which needs a default.
    pub required: bool,
    /// Its comment.
    pub doc: Option<String>,
    /// What rows have that are there, and those that are written without a value. Format version 3.
    pub default: Option<Literal>,
    /// Its place; behind all others when unset.
    pub position: Option<Position>,
    /// Whether nothing is done when there is a column of the name.
    pub if_not_exists: bool,
}

impl NewColumn {
    /// A column of a table that may be NULL, behind all others.
    pub fn new(name: impl Into<String>, data_type: Type) -> Self {
        Self {
            parent: None,
            name: name.into(),
            data_type,
            required: false,
            doc: None,
            default: None,
            position: None,
            if_not_exists: false,
        }
    }
}

/// The place of a column among its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Before all others.
    First,
    /// Behind this one.
    After(Name),
}

impl EvolveSchema {
    /// What these changes come to on a table's state; nothing when it is so already.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] for a column that is not there,
    /// [`crate::error::ErrorKind::AlreadyExists`] for a name that is taken,
    /// [`crate::error::ErrorKind::InvalidInput`] for what the format forbids, by its rule, and
    /// [`crate::error::ErrorKind::Unsupported`] for what the table's format version does not have.
    pub fn updates(&self, metadata: &TableMetadata) -> Result<Vec<TableUpdate>> {
        refuse_write(metadata)?;
        let draft = self.applied(metadata).map_err(|(_, error)| error)?;
        finish(&draft)
    }

    /// The operation, by its place, that [`Self::updates`] refuses on this state; `None` when it
    /// refuses none of them by itself.
    pub fn refused(&self, metadata: &TableMetadata) -> Option<usize> {
        match self.applied(metadata) {
            Err((index, _)) => Some(index),
            // What a single operation comes to is its own doing.
            Ok(draft) if self.operations.len() == 1 => finish(&draft).err().map(|_| 0),
            Ok(_) => None,
        }
    }

    fn applied<'a>(
        &self,
        metadata: &'a TableMetadata,
    ) -> std::result::Result<Draft<'a>, (usize, Error)> {
        let mut draft = Draft::new(metadata);
        for (index, operation) in self.operations.iter().enumerate() {
            operation
                .apply(&mut draft)
                .map_err(|error| (index, error))?;
        }
        Ok(draft)
    }

    /// The table as these changes make it, viewed where it is.
    ///
    /// # Errors
    /// As [`Self::updates`].
    pub(crate) fn applied_to(&self, table: &Table) -> Result<Table> {
        let updates = self.updates(table.metadata())?;
        Ok(table.with_definition(apply(table.metadata(), &updates)?))
    }

    pub(in crate::commit) fn plan(&self, table: &Table) -> Result<Step> {
        Ok(Step::of_metadata(table, self.updates(table.metadata())?))
    }
}

impl SchemaOperation {
    fn apply(&self, draft: &mut Draft<'_>) -> Result<()> {
        match self {
            Self::Add(new) => new_column::add(draft, new),
            Self::Drop { column, if_exists } => drop(draft, column, *if_exists),
            Self::Rename {
                column,
                name,
                if_exists,
            } => rename(draft, column, name, *if_exists),
            Self::SetType { column, data_type } => promotion::promote(draft, column, data_type),
            Self::SetRequired { column } => require(draft, column),
            Self::SetOptional { column } => {
                let found = draft.find_changeable(column)?;
                draft.change(&found, |field| {
                    field.required = false;
                    Ok(())
                })?;
                identifier::check_all(draft)
            }
            Self::SetDoc { column, doc } => {
                let found = draft.find_changeable(column)?;
                refuse_unnamed(&found, "has no comment")?;
                let doc = doc.clone().filter(|doc| !doc.is_empty());
                draft.change(&found, |field| {
                    field.doc = doc;
                    Ok(())
                })
            }
            Self::Move { column, position } => place(draft, column, position),
            Self::SetWriteDefault { column, default } => {
                set_default(draft, column, default.as_ref())
            }
            Self::SetIdentifiers { columns } => identifier::set(draft, columns),
            Self::DropIdentifiers { columns } => identifier::drop(draft, columns),
        }
    }
}

/// The error for what only a later format version has.
pub(super) fn version_needed(what: &str, version: FormatVersion) -> Error {
    let version = version as u8;
    Error::unsupported(format!(
        "{what} needs format version {version}; raise the table's with SET TBLPROPERTIES \
         ('format-version' = '{version}')"
    ))
}

fn drop(draft: &mut Draft<'_>, path: &ColumnPath, if_exists: bool) -> Result<()> {
    if if_exists && draft.try_find(path)?.is_none() {
        return Ok(());
    }
    let found = draft.find_changeable(path)?;
    refuse_unnamed(&found, "cannot be dropped without it")?;
    let gone = ids(&found.field);
    refuse_drop_of_used(draft, &found, &gone)?;
    let id = found.field.id;
    draft.edit_siblings(&found.parents, |siblings| {
        if siblings.len() == 1 {
            return Err(Error::invalid(format!(
                "column {} is the only one left: a table and a struct have one column at least",
                found.shown()
            )));
        }
        siblings.retain(|field| field.id != id);
        Ok(())
    })
}

/// Refuses to drop what tells where files are, how they are sorted, or what a row is.
fn refuse_drop_of_used(draft: &Draft<'_>, found: &Found, gone: &[i32]) -> Result<()> {
    let metadata = draft.metadata;
    let current = metadata.default_partition_spec();
    let mut specs: Vec<_> = metadata.partition_specs_iter().collect();
    specs.sort_by_key(|spec| (spec.spec_id() != current.spec_id(), -spec.spec_id()));
    for spec in specs {
        let is_current = spec.spec_id() == current.spec_id();
        // Files of an old spec are still found by their partition values, and those by the column.
        let source = spec
            .fields()
            .iter()
            .find(|field| gone.contains(&field.source_id) && field.transform != Transform::Void);
        if let Some(field) = source {
            let (which, advice) = match is_current {
                true => ("current", "drop the partition field first"),
                false => ("earlier", "files may still be partitioned by it"),
            };
            return Err(Error::invalid(format!(
                "column {} is the source of partition field {:?} of the {which} partition spec \
                 {}; {advice}",
                found.shown(),
                field.name,
                spec.spec_id()
            )));
        }
    }
    let order = metadata.default_sort_order();
    if order
        .fields
        .iter()
        .any(|field| gone.contains(&field.source_id))
    {
        return Err(Error::invalid(format!(
            "column {} is in the table's sort order; change that first (WRITE ORDERED BY, WRITE \
             UNORDERED)",
            found.shown()
        )));
    }
    if gone.iter().any(|id| draft.identifiers.contains(id)) {
        return Err(Error::invalid(format!(
            "column {} is or holds an identifier field; DROP IDENTIFIER FIELDS first",
            found.shown()
        )));
    }
    Ok(())
}

fn rename(draft: &mut Draft<'_>, path: &ColumnPath, name: &str, if_exists: bool) -> Result<()> {
    if if_exists && draft.try_find(path)?.is_none() {
        return Ok(());
    }
    let found = draft.find_changeable(path)?;
    refuse_unnamed(&found, "has no name of its own")?;
    if name.is_empty() {
        return Err(Error::invalid("a column needs a name"));
    }
    let id = found.field.id;
    draft.edit_siblings(&found.parents, |siblings| {
        let others: Vec<_> = siblings.iter().filter(|f| f.id != id).cloned().collect();
        if let Some(twin) = new_column::twin(&others, name) {
            return Err(Error::new(
                crate::error::ErrorKind::AlreadyExists,
                format!(
                    "column {} cannot be called {}: there is a column {} already",
                    found.shown(),
                    quote(name),
                    quote(&twin.name)
                ),
            ));
        }
        for field in siblings.iter_mut().filter(|field| field.id == id) {
            name.clone_into(&mut Arc::make_mut(field).name);
        }
        Ok(())
    })
}

fn require(draft: &mut Draft<'_>, path: &ColumnPath) -> Result<()> {
    let found = draft.find_changeable(path)?;
    let field = &found.field;
    if field.required {
        return Ok(());
    }
    if !draft.added.contains(&field.id) || field.initial_default.is_none() {
        return Err(Error::invalid(format!(
            "column {} cannot be made required: rows that are there may hold NULL in it",
            found.shown()
        )));
    }
    draft.change(&found, |field| {
        field.required = true;
        Ok(())
    })
}

fn place(draft: &mut Draft<'_>, path: &ColumnPath, position: &Position) -> Result<()> {
    let found = draft.find_changeable(path)?;
    refuse_unnamed(&found, "has one place")?;
    let id = found.field.id;
    draft.edit_siblings(&found.parents, |siblings| {
        if let Position::After(peer) = position
            && let Some(peer) = peer.find(siblings, |field| &field.name)?
            && peer.id == id
        {
            return Err(Error::invalid(format!(
                "column {} cannot stand behind itself",
                found.shown()
            )));
        }
        siblings.retain(|field| field.id != id);
        let place = new_column::place(siblings, Some(position))?;
        siblings.insert(place, Arc::clone(&found.field));
        Ok(())
    })
}

fn set_default(draft: &mut Draft<'_>, path: &ColumnPath, default: Option<&Literal>) -> Result<()> {
    let found = draft.find_changeable(path)?;
    if let Some(default) = default {
        refuse_unnamed(&found, "has no default")?;
        default_value::check_version(draft.metadata.format_version(), &found.field.name)?;
        default_value::check(default, &found.field.field_type, &found.field.name)?;
    }
    draft.change(&found, |field| {
        field.write_default = default.cloned();
        Ok(())
    })
}

/// Refuses elements of lists, and keys and values of maps.
fn refuse_unnamed(found: &Found, why: &str) -> Result<()> {
    match found.is_named() {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "column {} is a part of its list or map and {why}",
            found.shown()
        ))),
    }
}

/// The updates that make the changed columns the current ones.
fn finish(draft: &Draft<'_>) -> Result<Vec<TableUpdate>> {
    let metadata = draft.metadata;
    let current = metadata.current_schema();
    let next_id = metadata
        .schemas_iter()
        .map(|schema| schema.schema_id())
        .max();
    let schema = draft.schema(next_id.map_or(0, |highest| highest.saturating_add(1)))?;
    if is_same(&schema, current) {
        return Ok(Vec::new());
    }
    check_partition_names(metadata, &schema)?;
    let mut updates = match metadata
        .schemas_iter()
        .find(|known| is_same(&schema, known))
    {
        Some(known) => vec![TableUpdate::SetCurrentSchema {
            schema_id: known.schema_id(),
        }],
        None => vec![
            TableUpdate::AddSchema {
                schema: schema.clone(),
            },
            TableUpdate::SetCurrentSchema { schema_id: -1 },
        ],
    };
    updates.extend(renamed::properties(metadata, &schema)?);
    Ok(updates)
}

/// Whether two schemas are the same but for their ids.
pub(super) fn is_same(left: &Schema, right: &Schema) -> bool {
    use std::collections::BTreeSet;
    let identifiers = |schema: &Schema| schema.identifier_field_ids().collect::<BTreeSet<_>>();
    left.as_struct() == right.as_struct() && identifiers(left) == identifiers(right)
}

/// Refuses names of new or renamed columns that partition fields have: in a partition's values one
/// name must mean one thing.
fn check_partition_names(metadata: &TableMetadata, schema: &Schema) -> Result<()> {
    let current = metadata.default_partition_spec().spec_id();
    for spec in metadata.partition_specs_iter() {
        for field in spec.fields() {
            let Some(column) = schema.field_by_name(&field.name) else {
                continue;
            };
            let is_its_source =
                field.transform == Transform::Identity && field.source_id == column.id;
            let was_there = metadata
                .schemas_iter()
                .any(|known| known.field_by_name(&field.name).is_some());
            if !is_its_source && (spec.spec_id() == current || !was_there) {
                return Err(Error::invalid(format!(
                    "a column cannot be called {}: a partition field has that name",
                    quote(&field.name)
                )));
            }
        }
    }
    Ok(())
}
