//! The partition tuple that files of all of a table's specs share.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::Field;
use iceberg::spec::{Datum, Literal, PrimitiveType, Struct, TableMetadata, Transform};

use super::arrays::literals;
use crate::error::Result;
use crate::scan::partition::{PartitionColumn, PartitionLayout};
use crate::scan::plan::spec_layout;
use crate::scan::value::Value;

/// A partition field of any of the table's specs.
#[derive(Debug)]
pub(super) struct UnionColumn {
    /// Its newest name.
    pub(super) name: String,
    /// The type of its values.
    pub(super) kind: PrimitiveType,
    field_id: i32,
    source_id: i32,
    transform: Transform,
}

impl UnionColumn {
    /// Whether a field of one spec is this one. What a version 1 table dropped keeps its id and
    /// becomes `void`; an id that means another column or transform is another field.
    fn is(&self, own: &PartitionColumn) -> bool {
        let same = self.transform == own.transform
            || self.transform == Transform::Void
            || own.transform == Transform::Void;
        self.field_id == own.field_id && self.source_id == own.source_id && same
    }

    /// The field's value in a tuple of another layout; `None` is NULL.
    fn value(&self, own: Option<(usize, &PrimitiveType)>, tuple: &Struct) -> Option<Datum> {
        let (position, kind) = own?;
        match tuple.fields().get(position)? {
            Some(Literal::Primitive(value)) => Value::of(kind, value)?.to_datum(&self.kind),
            _ => None,
        }
    }
}

/// All partition fields that a table has or had, in order of their ids.
#[derive(Debug, Default)]
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
        let mut columns: Vec<UnionColumn> = Vec::new();
        for own in layouts.flat_map(|layout| layout.columns) {
            let Some(kind) = own.result_type.clone() else {
                continue;
            };
            match columns.iter_mut().find(|column| column.is(&own)) {
                // The type is that of the values, which `void` has none of.
                Some(column) if column.transform == Transform::Void => {
                    (column.transform, column.kind) = (own.transform, kind);
                }
                Some(_) => {}
                None => columns.push(UnionColumn {
                    name: own.name,
                    kind,
                    field_id: own.field_id,
                    source_id: own.source_id,
                    transform: own.transform,
                }),
            }
        }
        name_apart(&mut columns);
        columns.sort_by_key(|column| column.field_id);
        Self { columns }
    }

    /// Whether the table was never partitioned.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    pub(super) fn columns(&self) -> &[UnionColumn] {
        &self.columns
    }

    /// The id that the field at `place` has in a layout.
    pub(super) fn own_field_id(&self, place: usize, layout: &PartitionLayout) -> Option<i32> {
        let column = self.columns.get(place)?;
        let own = layout.columns.iter().find(|own| column.is(own))?;
        Some(own.field_id)
    }

    /// Where the fields stand in the tuples of a layout, and their types there.
    pub(super) fn positions<'a>(
        &self,
        layout: &'a PartitionLayout,
    ) -> Vec<Option<(usize, &'a PrimitiveType)>> {
        let position = |column: &UnionColumn| {
            let own = layout.columns.iter().position(|own| column.is(own))?;
            Some((own, layout.columns[own].result_type.as_ref()?))
        };
        self.columns.iter().map(position).collect()
    }

    /// A tuple's values, one per field; `None` is NULL.
    pub(super) fn values(
        &self,
        positions: &[Option<(usize, &PrimitiveType)>],
        tuple: &Struct,
    ) -> Vec<Option<Datum>> {
        let columns = self.columns.iter().zip(positions);
        columns
            .map(|(column, own)| column.value(*own, tuple))
            .collect()
    }

    /// Tuples of one layout as structs.
    pub(super) fn array<'a>(
        &self,
        layout: &PartitionLayout,
        tuples: impl Iterator<Item = &'a Struct> + Clone,
    ) -> Result<ArrayRef> {
        let positions = self.positions(layout);
        let values = self.columns.iter().zip(positions).map(|(column, own)| {
            tuples
                .clone()
                .map(|tuple| column.value(own, tuple))
                .collect()
        });
        self.structs(values)
    }

    /// Structs of the values of files, each given by its layout and its tuple.
    ///
    /// # Errors
    /// When a type of a partition value cannot be expressed in Arrow.
    pub(crate) fn of_files(&self, files: &[(&PartitionLayout, &Struct)]) -> Result<ArrayRef> {
        let tuples: Vec<_> = files
            .iter()
            .map(|(layout, tuple)| self.values(&self.positions(layout), tuple))
            .collect();
        let values = (0..self.columns.len())
            .map(|place| tuples.iter().map(|tuple| tuple[place].clone()).collect());
        self.structs(values)
    }

    /// Structs of values by field.
    pub(super) fn structs(
        &self,
        values: impl Iterator<Item = Vec<Option<Datum>>>,
    ) -> Result<ArrayRef> {
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, values) in self.columns.iter().zip(values) {
            let array = literals(&column.kind, &values)?;
            fields.push(Field::new(&column.name, array.data_type().clone(), true));
            arrays.push(array);
        }
        Ok(Arc::new(StructArray::try_new(fields.into(), arrays, None)?))
    }
}

/// Tells fields of one name apart by their ids; the newest keeps the name.
fn name_apart(columns: &mut [UnionColumn]) {
    let mut taken = BTreeSet::new();
    for column in columns {
        while taken.contains(&column.name) {
            column.name = format!("{}_{}", column.name, column.field_id);
        }
        taken.insert(column.name.clone());
    }
}
