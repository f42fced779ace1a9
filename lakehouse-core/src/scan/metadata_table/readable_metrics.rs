//! What files say of each column, in the column's own type.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::Field;
use iceberg::spec::{PrimitiveType, Schema, Type};

use super::arrays::{literals, long, longs};
use crate::error::Result;
use crate::scan::manifest::{ColumnBound, ColumnCount, ListedFile};

/// A column that files may have metrics of.
#[derive(Debug)]
struct LeafColumn {
    field_id: i32,
    name: String,
    kind: PrimitiveType,
}

/// The primitive columns of a schema by full name, nested ones too.
#[derive(Debug)]
pub(super) struct ReadableMetrics {
    leaves: Vec<LeafColumn>,
}

impl ReadableMetrics {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut leaves = Vec::new();
        let root = Type::Struct(schema.as_struct().clone());
        collect_leaves(schema, &root, None, &mut leaves);
        leaves.sort_by(|a, b| a.name.cmp(&b.name));
        Self { leaves }
    }

    /// A struct per file with a struct per column.
    pub(super) fn array(&self, files: &[&ListedFile]) -> Result<ArrayRef> {
        let mut fields = Vec::with_capacity(self.leaves.len());
        let mut arrays = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            let metrics = leaf_metrics(leaf, files)?;
            fields.push(Field::new(&leaf.name, metrics.data_type().clone(), false));
            arrays.push(metrics);
        }
        Ok(Arc::new(StructArray::try_new_with_length(
            fields.into(),
            arrays,
            None,
            files.len(),
        )?))
    }
}

fn collect_leaves(schema: &Schema, kind: &Type, id: Option<i32>, leaves: &mut Vec<LeafColumn>) {
    match kind {
        Type::Primitive(kind) => {
            let named = id.and_then(|id| Some((id, schema.name_by_field_id(id)?)));
            leaves.extend(named.map(|(field_id, name)| LeafColumn {
                field_id,
                name: name.to_owned(),
                kind: kind.clone(),
            }));
        }
        Type::Struct(fields) => {
            for field in fields.fields() {
                collect_leaves(schema, &field.field_type, Some(field.id), leaves);
            }
        }
        Type::List(list) => {
            let element = &list.element_field;
            collect_leaves(schema, &element.field_type, Some(element.id), leaves);
        }
        Type::Map(map) => {
            for field in [&map.key_field, &map.value_field] {
                collect_leaves(schema, &field.field_type, Some(field.id), leaves);
            }
        }
    }
}

fn leaf_metrics(leaf: &LeafColumn, files: &[&ListedFile]) -> Result<ArrayRef> {
    let id = leaf.field_id;
    let count = |kind| longs(files.iter().map(|file| long(file.count(kind, id)?)));
    let bound = |kind| -> Result<ArrayRef> {
        let values = files.iter().map(|file| file.bound_value(kind, id));
        let values: Vec<_> = values.map(|value| value?.to_datum(&leaf.kind)).collect();
        literals(&leaf.kind, &values)
    };
    let columns = [
        ("column_size", count(ColumnCount::Size)),
        ("value_count", count(ColumnCount::Values)),
        ("null_value_count", count(ColumnCount::Nulls)),
        ("nan_value_count", count(ColumnCount::Nans)),
        ("lower_bound", bound(ColumnBound::Lower)?),
        ("upper_bound", bound(ColumnBound::Upper)?),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    Ok(Arc::new(StructArray::try_new(fields.into(), arrays, None)?))
}
