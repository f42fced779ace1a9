//! Key columns of equality deletes: where a scan finds them, and how delete files store them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Float64Type, Schema as ArrowSchema};
use iceberg::spec::{
    NameMapping, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, TableMetadata,
    Type,
};

use super::super::field_mapping::TableColumns;
use super::super::metadata_column::MetadataColumns;
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
        Ok(with_one_nan(array))
    }
}

/// Bits tell NaN apart; as a key there is one.
fn with_one_nan(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => Arc::new(
            array
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value }),
        ),
        DataType::Float64 => Arc::new(
            array
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value }),
        ),
        _ => array,
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

/// Finds key columns in a table, and gathers those that its schema no longer has.
#[derive(Debug)]
pub(crate) struct KeyColumns<'a> {
    metadata: &'a TableMetadata,
    schema: &'a Schema,
    name_mapping: Option<&'a NameMapping>,
    /// Top-level columns that the schema does not have, but equality deletes compare; a scan reads
    /// them behind the schema's own columns.
    pub(crate) dropped: Vec<NestedFieldRef>,
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
    /// nested column; [`crate::error::ErrorKind::Unsupported`] for fields of lists and maps, and
    /// for a field that was dropped from a struct that is still there.
    pub(crate) fn key(&mut self, equality_ids: &[i32]) -> Result<Key> {
        if equality_ids.is_empty() {
            return Err(Error::corrupt(
                "an equality delete file names no columns to compare (no equality ids)",
            ));
        }
        let mut scanned = Vec::with_capacity(equality_ids.len());
        let mut roots: Vec<NestedFieldRef> = Vec::new();
        let mut width_bytes = 0;
        for &id in equality_ids {
            let (path, root, kind) = self.column(id)?;
            scanned.push(path);
            if roots.iter().all(|known| known.id != root.id) {
                roots.push(root);
            }
            width_bytes += width(&kind);
        }
        let kept = |optional| -> Vec<NestedFieldRef> {
            roots
                .iter()
                .filter_map(|root| pruned(root, equality_ids, optional))
                .collect()
        };
        // Every key column has to be there, and each value may be NULL.
        let required = Schema::builder().with_fields(kept(false)).build()?;
        let optional = Schema::builder().with_fields(kept(true)).build()?;
        let stored_paths = equality_ids
            .iter()
            .map(|id| path_to(required.as_struct(), *id).map(|(path, _)| path))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::internal("a key column is not among those kept for it"))?;
        let read = table::read_schema(&optional)?;
        Ok(Key {
            scanned,
            stored: TableColumns {
                iceberg: Arc::new(required),
                read: Arc::new(read),
                metadata: MetadataColumns::none(self.metadata),
                name_mapping: self.name_mapping.cloned(),
            },
            stored_paths,
            width_bytes,
        })
    }

    /// Where a scan has a column, the top-level column it belongs to, and its type.
    fn column(&mut self, id: i32) -> Result<(ColumnPath, NestedFieldRef, PrimitiveType)> {
        let own = self.schema.as_struct();
        if let Some((path, field)) = path_to(own, id) {
            let root = Arc::clone(&own.fields()[path.root]);
            return Ok((path, root, leaf_type(&field)?));
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
        let found = path_to(last.as_struct(), id);
        let name = last.name_by_field_id(id).unwrap_or_default();
        let Some((path, field)) = found.filter(|_| self.schema.field_by_id(id).is_none()) else {
            return Err(Error::unsupported(format!(
                "equality deletes on {name:?} (field id {id}), which lies inside a list or map, \
                 are not applied; rewrite the table's data files with the engine that deletes"
            )));
        };
        let root = &last.as_struct().fields()[path.root];
        if self.schema.field_by_id(root.id).is_some() {
            return Err(Error::unsupported(format!(
                "equality deletes on {name:?} (field id {id}), a field that was dropped from a \
                 struct, are not applied; rewrite the table's data files with the engine that \
                 deletes"
            )));
        }
        let position = self
            .dropped
            .iter()
            .position(|known| known.id == root.id)
            .unwrap_or_else(|| {
                self.dropped.push(dropped_column(root));
                self.dropped.len() - 1
            });
        let scanned = ColumnPath {
            root: own.fields().len() + position,
            ..path
        };
        Ok((
            scanned,
            Arc::clone(&self.dropped[position]),
            leaf_type(&field)?,
        ))
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
        metadata: columns.metadata.clone(),
        name_mapping: columns.name_mapping.clone(),
    })
}

/// A column of an older schema under a name that no column of the current one can have by chance.
/// Files written before it was added, or after it was dropped, do not have it.
fn dropped_column(field: &NestedFieldRef) -> NestedFieldRef {
    let mut column = field.as_ref().clone();
    column.name = format!("{} (dropped, field id {})", field.name, field.id);
    column.required = false;
    Arc::new(column)
}

/// The way to a field through structs alone.
fn path_to(fields: &StructType, id: i32) -> Option<(ColumnPath, NestedFieldRef)> {
    fn down(fields: &StructType, id: i32, path: &mut Vec<usize>) -> Option<NestedFieldRef> {
        for (position, field) in fields.fields().iter().enumerate() {
            path.push(position);
            if field.id == id {
                return Some(Arc::clone(field));
            }
            if let Type::Struct(inner) = field.field_type.as_ref()
                && let Some(found) = down(inner, id, path)
            {
                return Some(found);
            }
            path.pop();
        }
        None
    }
    let mut path = Vec::new();
    let field = down(fields, id, &mut path)?;
    let (root, fields) = path.split_first()?;
    let path = ColumnPath {
        root: *root,
        fields: fields.to_vec(),
    };
    Some((path, field))
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

/// A field with nothing below it but the fields `ids` and the way to them.
fn pruned(field: &NestedFieldRef, ids: &[i32], optional: bool) -> Option<NestedFieldRef> {
    let field_type = match field.field_type.as_ref() {
        Type::Primitive(kind) if ids.contains(&field.id) => Type::Primitive(kind.clone()),
        Type::Struct(inner) => {
            let kept: Vec<_> = inner
                .fields()
                .iter()
                .filter_map(|field| pruned(field, ids, optional))
                .collect();
            (!kept.is_empty()).then(|| Type::Struct(StructType::new(kept)))?
        }
        _ => return None,
    };
    let field = NestedField::new(field.id, &field.name, field_type, !optional);
    Some(Arc::new(field))
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
