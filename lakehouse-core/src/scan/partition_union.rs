//! The partition values of files of all a table's specs, side by side.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::Field;
use iceberg::spec::{Literal, PrimitiveType, Struct, TableMetadata, Transform};

use super::metadata_table::literals;
use super::partition::PartitionLayout;
use super::plan::spec_layout;
use super::value::Value;
use crate::error::Result;

/// A partition field of any of the table's specs.
#[derive(Debug)]
struct UnionColumn {
    name: String,
    source_id: i32,
    transform: Transform,
    kind: PrimitiveType,
}

/// Each combination of source and transform that a spec has or had, under its newest name.
#[derive(Debug)]
pub(crate) struct PartitionUnion {
    columns: Vec<UnionColumn>,
}

impl PartitionUnion {
    /// The union of a table's specs.
    pub(crate) fn new(metadata: &TableMetadata) -> Self {
        let mut specs: Vec<_> = metadata.partition_specs_iter().collect();
        specs.sort_by_key(|spec| std::cmp::Reverse(spec.spec_id()));
        let layouts = specs
            .iter()
            .filter_map(|spec| spec_layout(metadata, spec.spec_id()));
        let mut columns: Vec<(i32, UnionColumn)> = Vec::new();
        for column in layouts.flat_map(|layout| layout.columns) {
            let (transform, source_id) = (column.transform, column.source_id);
            // What a version 1 table dropped from its partitioning has no values.
            let seen = columns
                .iter()
                .any(|(_, seen)| seen.source_id == source_id && seen.transform == transform);
            let (false, Some(kind)) = (seen || transform == Transform::Void, column.result_type)
            else {
                continue;
            };
            let taken = columns.iter().any(|(_, seen)| seen.name == column.name);
            let name = if taken {
                format!("{}_{}", column.name, column.field_id)
            } else {
                column.name
            };
            let column_of = UnionColumn {
                name,
                source_id,
                transform,
                kind,
            };
            columns.push((column.field_id, column_of));
        }
        columns.sort_by_key(|(field_id, _)| *field_id);
        Self {
            columns: columns.into_iter().map(|(_, column)| column).collect(),
        }
    }

    /// Whether the table never was partitioned.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Structs of the values of files, each given by its spec and its values; what a file's spec
    /// does not have is NULL.
    ///
    /// # Errors
    /// When a type of a partition value cannot be expressed in Arrow.
    pub(crate) fn array(&self, files: &[(&PartitionLayout, &Struct)]) -> Result<ArrayRef> {
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let values: Vec<_> = files
                .iter()
                .map(|(layout, tuple)| {
                    let position = layout.columns.iter().position(|own| {
                        own.source_id == column.source_id && own.transform == column.transform
                    })?;
                    let kind = layout.columns[position].result_type.as_ref()?;
                    match tuple.fields().get(position)? {
                        Some(Literal::Primitive(value)) => {
                            Value::of(kind, value)?.to_datum(&column.kind)
                        }
                        _ => None,
                    }
                })
                .collect();
            let array = literals(&column.kind, &values)?;
            fields.push(Field::new(&column.name, array.data_type().clone(), true));
            arrays.push(array);
        }
        Ok(Arc::new(StructArray::try_new_with_length(
            fields.into(),
            arrays,
            None,
            files.len(),
        )?))
    }
}
