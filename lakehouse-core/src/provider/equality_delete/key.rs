//! Key columns of equality deletes: where a scan finds them, and how delete files store them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::spec::{
    Literal, NameMapping, NestedField, NestedFieldRef, PrimitiveType, Schema, Struct, StructType,
    TableMetadata, Type,
};

use super::super::field_mapping::TableColumns;
use super::super::metadata_column::MetadataColumns;
use crate::catalog::nano_default;
use crate::error::{Error, Result};
use crate::table;

/// A column by its place: a top-level one and, for a field of a struct, the way down to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ColumnPath {
    /// The position of the top-level column.
    pub(crate) root: usize,
    /// Positions of fields of structs, from the outermost one in.
    pub(crate) fields: Vec<usize>,
}

impl ColumnPath {
    /// The values in one batch of columns, in the form in which keys are compared. A field of a
    /// NULL struct is NULL.
    ///
    /// All NaN are the same key, and -0.0 is another key than 0.0. So the format's Java library
    /// has it, whose readers compare keys as `Double.compareTo` does; the specification is silent.
    ///
    /// # Errors
    /// Only when these are not the columns that the path belongs to.
    pub(crate) fn key(&self, columns: &[ArrayRef]) -> Result<ArrayRef> {
        let lost = || Error::internal("a key column of an equality delete was not decoded");
        let mut array = Arc::clone(columns.get(self.root).ok_or_else(lost)?);
        for &position in &self.fields {
            let parent = array.as_struct_opt().ok_or_else(lost)?;
            let child = parent.columns().get(position).ok_or_else(lost)?;
            let nulls = NullBuffer::union(parent.nulls(), child.nulls());
            let data = child.to_data().into_builder().nulls(nulls).build()?;
            array = make_array(data);
        }
        Ok(table::with_one_nan(&array))
    }
}

/// One key: the columns of one list of equality ids.
#[derive(Debug)]
pub(crate) struct Key {
    /// Where a scan of data files has the columns, in the order of their ids.
    pub(crate) scanned: Vec<ColumnPath>,
    /// The columns as delete files are read. A file without one of them is damaged.
    pub(crate) stored: TableColumns,
    /// Where `stored` has the columns, in the same order.
    pub(crate) stored_paths: Vec<ColumnPath>,
    /// Bytes that one key takes in memory, about.
    pub(crate) width_bytes: u64,
}

/// A column that the schema does not have, or no longer, but equality deletes compare.
#[derive(Debug)]
pub(crate) struct DroppedColumn {
    id: i32,
    /// The column as a scan reads it: itself, or, for a field of a struct, the way down to it alone.
    /// The structs on the way may still be columns, and have ids here that no column of the table
    /// has.
    pub(crate) field: NestedFieldRef,
    /// The field ids that data files have for those structs.
    pub(crate) file_ids: Vec<(i32, i32)>,
}

/// Finds key columns in a table, and gathers those that its schema no longer has.
#[derive(Debug)]
pub(crate) struct KeyColumns<'a> {
    metadata: &'a TableMetadata,
    schema: &'a Schema,
    name_mapping: Option<&'a NameMapping>,
    /// Columns that a scan reads behind the schema's own.
    pub(crate) dropped: Vec<DroppedColumn>,
}

impl<'a> KeyColumns<'a> {
    /// Key columns of a table that is read with `schema`.
    pub(crate) fn new(
        metadata: &'a TableMetadata,
        schema: &'a Schema,
        name_mapping: Option<&'a NameMapping>,
    ) -> Self {
        Self {
            metadata,
            schema,
            name_mapping,
            dropped: Vec::new(),
        }
    }

    /// The key of some equality ids. Columns have the type that the table has for their id now, or
    /// had last.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] for no ids, an id that no schema ever had, or one of a
    /// nested column; [`crate::error::ErrorKind::Unsupported`] for fields of lists and maps.
    pub(crate) fn key(&mut self, equality_ids: &[i32]) -> Result<Key> {
        if equality_ids.is_empty() {
            return Err(Error::corrupt(
                "an equality delete file names no columns to compare (no equality ids)",
            ));
        }
        let mut scanned = Vec::with_capacity(equality_ids.len());
        let mut lines = Vec::with_capacity(equality_ids.len());
        let mut width_bytes = 0;
        for &id in equality_ids {
            let (path, line) = self.column(id)?;
            let leaf = line.last().map(|leaf| leaf_type(leaf)).transpose()?;
            width_bytes += leaf.as_ref().map_or(0, width);
            scanned.push(path);
            lines.push(line);
        }
        let lines: Vec<&[NestedFieldRef]> = lines.iter().map(Vec::as_slice).collect();
        // Every key column has to be there, and each value may be NULL.
        let required = Schema::builder()
            .with_fields(merged(&lines, true))
            .build()?;
        let optional = Schema::builder()
            .with_fields(merged(&lines, false))
            .build()?;
        let stored_paths = equality_ids
            .iter()
            .map(|id| line_to(required.as_struct(), *id).map(|(path, _)| path))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::internal("a key column is not among those kept for it"))?;
        let read = table::read_schema(&optional)?;
        Ok(Key {
            scanned,
            stored: TableColumns {
                iceberg: Arc::new(required),
                read: Arc::new(read),
                file_ids: HashMap::new(),
                metadata: MetadataColumns::none(self.metadata),
                name_mapping: self.name_mapping.cloned(),
            },
            stored_paths,
            width_bytes,
        })
    }

    /// Where a scan has a column, and the fields from the top-level one down to it.
    fn column(&mut self, id: i32) -> Result<(ColumnPath, Vec<NestedFieldRef>)> {
        let own = self.schema.as_struct();
        if let Some(found) = line_to(own, id) {
            return Ok(found);
        }
        let mut older: Vec<_> = self.metadata.schemas_iter().collect();
        older.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
        let known = |schema: &&&Arc<Schema>| schema.field_by_id(id).is_some();
        let Some(last) = older.iter().find(known) else {
            return Err(Error::corrupt(format!(
                "an equality delete file compares the column of field id {id}, which the table \
                 never had"
            )));
        };
        let last = nano_default::with_defaults(self.metadata, last)?;
        let found = line_to(last.as_struct(), id);
        let Some((path, line)) = found.filter(|_| self.schema.field_by_id(id).is_none()) else {
            let name = last.name_by_field_id(id).unwrap_or_default();
            return Err(Error::unsupported(format!(
                "equality deletes on {name:?} (field id {id}), which lies inside a list or map, \
                 are not applied; rewrite the table's data files with the engine that deletes"
            )));
        };
        let known = self.dropped.iter().position(|column| column.id == id);
        let position = known.map_or_else(|| self.drop_column(&line), Ok)?;
        let scanned = ColumnPath {
            root: own.fields().len() + position,
            // Each struct on the way has one field.
            fields: vec![0; path.fields.len()],
        };
        let line = line.iter().map(|field| self.renamed(field)).collect();
        Ok((scanned, line))
    }

    /// Adds the last field of `line`, which an older schema has, to the dropped columns; its place
    /// among them. Files written before it was added, or after it was dropped, do not have it.
    fn drop_column(&mut self, line: &[NestedFieldRef]) -> Result<usize> {
        let lost = || Error::internal("a dropped key column has no place in its schema");
        let (leaf, parents) = line.split_last().ok_or_else(lost)?;
        let mut file_ids = Vec::with_capacity(parents.len());
        let taken: usize = self
            .dropped
            .iter()
            .map(|column| column.file_ids.len())
            .sum();
        let mut private = i32::try_from(taken).map_err(|_| lost())?;
        let mut field = leaf.as_ref().clone();
        field.required = false;
        let (mut id, mut path) = (leaf.id, leaf.name.clone());
        for parent in parents.iter().rev() {
            let default = default_of(parent, id).ok_or_else(lost)?;
            private += 1;
            // Ids of columns are positive.
            file_ids.push((-private, parent.id));
            let alone = Type::Struct(StructType::new(vec![Arc::new(field)]));
            field = NestedField::optional(-private, &parent.name, alone);
            field.initial_default = default;
            (id, path) = (parent.id, format!("{}.{path}", parent.name));
        }
        field.name = dropped_name(&path, leaf.id);
        self.dropped.push(DroppedColumn {
            id: leaf.id,
            field: Arc::new(field),
            file_ids,
        });
        Ok(self.dropped.len() - 1)
    }

    /// A field of an older schema under the name that it has now, or one that no field has.
    fn renamed(&self, field: &NestedFieldRef) -> NestedFieldRef {
        let mut renamed = field.as_ref().clone();
        renamed.name = match self.schema.field_by_id(field.id) {
            Some(own) => own.name.clone(),
            None => dropped_name(&field.name, field.id),
        };
        Arc::new(renamed)
    }
}

/// A table's columns with more of them behind.
///
/// # Errors
/// As [`table::read_schema`].
pub(crate) fn with_columns(
    columns: &TableColumns,
    more: &[NestedFieldRef],
) -> Result<TableColumns> {
    let own = columns.iceberg.as_struct().fields();
    let fields = own.iter().chain(more).map(Arc::clone);
    let more = Schema::builder()
        .with_fields(more.iter().map(Arc::clone))
        .build()?;
    let read = columns.read.fields().iter().map(Arc::clone);
    let more = table::read_schema(&more)?;
    let read: Fields = read.chain(more.fields().iter().map(Arc::clone)).collect();
    Ok(TableColumns {
        iceberg: Arc::new(Schema::builder().with_fields(fields).build()?),
        read: Arc::new(ArrowSchema::new(read)),
        file_ids: columns.file_ids.clone(),
        metadata: columns.metadata.clone(),
        name_mapping: columns.name_mapping.clone(),
    })
}

fn dropped_name(name: &str, id: i32) -> String {
    format!("{name} (dropped, field id {id})")
}

/// The default of a struct with nothing but the field `id`; `None` when it has no such field.
fn default_of(parent: &NestedField, id: i32) -> Option<Option<Literal>> {
    let Type::Struct(inner) = parent.field_type.as_ref() else {
        return None;
    };
    let position = inner.fields().iter().position(|field| field.id == id)?;
    Some(match &parent.initial_default {
        Some(Literal::Struct(given)) => {
            let of_field = given.fields().get(position).cloned().flatten();
            Some(Literal::Struct(Struct::from_iter([of_field])))
        }
        _ => None,
    })
}

/// The way to a field through structs alone, and the fields on it, with the field itself.
fn line_to(fields: &StructType, id: i32) -> Option<(ColumnPath, Vec<NestedFieldRef>)> {
    fn down(
        fields: &StructType,
        id: i32,
        path: &mut Vec<usize>,
        line: &mut Vec<NestedFieldRef>,
    ) -> bool {
        for (position, field) in fields.fields().iter().enumerate() {
            path.push(position);
            line.push(Arc::clone(field));
            if field.id == id {
                return true;
            }
            if let Type::Struct(inner) = field.field_type.as_ref()
                && down(inner, id, path, line)
            {
                return true;
            }
            path.pop();
            line.pop();
        }
        false
    }
    let (mut path, mut line) = (Vec::new(), Vec::new());
    if !down(fields, id, &mut path, &mut line) {
        return None;
    }
    let (root, fields) = path.split_first()?;
    let path = ColumnPath {
        root: *root,
        fields: fields.to_vec(),
    };
    Some((path, line))
}

fn leaf_type(field: &NestedField) -> Result<PrimitiveType> {
    match field.field_type.as_ref() {
        Type::Primitive(kind) => Ok(kind.clone()),
        _ => Err(Error::corrupt(format!(
            "an equality delete file compares column {:?} (field id {}), whose type has parts",
            field.name, field.id
        ))),
    }
}

/// Fields with nothing below them but the ends of `lines` and the way to those.
fn merged(lines: &[&[NestedFieldRef]], required: bool) -> Vec<NestedFieldRef> {
    let mut groups: Vec<(&NestedFieldRef, Vec<&[NestedFieldRef]>)> = Vec::new();
    for line in lines {
        let Some((first, rest)) = line.split_first() else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| known.id == first.id) {
            Some((_, below)) => below.push(rest),
            None => groups.push((first, vec![rest])),
        }
    }
    let field = |(field, below): (&NestedFieldRef, Vec<&[NestedFieldRef]>)| {
        let field_type = match field.field_type.as_ref() {
            Type::Struct(_) => Type::Struct(StructType::new(merged(&below, required))),
            leaf => leaf.clone(),
        };
        Arc::new(NestedField::new(
            field.id,
            &field.name,
            field_type,
            required,
        ))
    };
    groups.into_iter().map(field).collect()
}

/// Bytes of a value, a guess where they differ.
fn width(kind: &PrimitiveType) -> u64 {
    match kind {
        PrimitiveType::Boolean => 1,
        PrimitiveType::Int | PrimitiveType::Float | PrimitiveType::Date => 4,
        PrimitiveType::Decimal { .. } | PrimitiveType::Uuid => 16,
        PrimitiveType::String | PrimitiveType::Binary => 32,
        PrimitiveType::Fixed(length) => *length,
        _ => 8,
    }
}

/// The Arrow types of a key, in its order.
pub(crate) fn key_types(key: &Key) -> Result<Vec<DataType>> {
    let lost = || Error::internal("a key column is not among those kept for it");
    let mut types = Vec::with_capacity(key.stored_paths.len());
    for path in &key.stored_paths {
        let fields = key.stored.read.fields();
        let mut field: &Field = fields.get(path.root).ok_or_else(lost)?;
        for position in &path.fields {
            let DataType::Struct(inner) = field.data_type() else {
                return Err(lost());
            };
            field = inner.get(*position).ok_or_else(lost)?;
        }
        types.push(field.data_type().clone());
    }
    Ok(types)
}
