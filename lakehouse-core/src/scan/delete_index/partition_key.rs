//! Partitions as things to compare: the same spec and the same values, whatever their width.

use iceberg::spec::{Literal, PartitionSpec, PrimitiveLiteral, Struct, Transform};

use crate::scan::partition::PartitionLayout;

/// What a spec of the table looks like, to tell manifests that show only a part of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::scan) struct SpecShape {
    /// How many fields the spec has.
    pub(in crate::scan) fields: usize,
    /// Whether all rows are in one partition.
    pub(in crate::scan) is_unpartitioned: bool,
}

impl SpecShape {
    pub(in crate::scan) fn of(spec: &PartitionSpec) -> Self {
        Self {
            fields: spec.fields().len(),
            is_unpartitioned: spec.is_unpartitioned(),
        }
    }
}

/// One partition of one spec; values by field id, so that their order does not matter.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::scan) struct PartitionKey {
    spec_id: i32,
    values: Vec<(i32, KeyValue)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum KeyValue {
    Null,
    /// Whole numbers, as wide as they get: a column may have been promoted between two manifests.
    Number(i64),
    /// The bits of a double: the zeros are two values, all NaN are one.
    Float(u64),
    Other(Literal),
}

impl PartitionKey {
    /// The partition of a tuple; `None` when the manifest's layout or the tuple lacks fields of the
    /// spec, so that two partitions could look like one.
    pub(in crate::scan) fn new(
        spec_id: i32,
        shape: &SpecShape,
        layout: &PartitionLayout,
        tuple: &Struct,
    ) -> Option<Self> {
        let (columns, fields) = (&layout.columns, tuple.fields());
        if columns.len() != shape.fields || fields.len() != shape.fields {
            return None;
        }
        let mut values: Vec<_> = columns
            .iter()
            .zip(fields)
            // Writers differ in what they put where a field was dropped.
            .filter(|(column, _)| column.transform != Transform::Void)
            .map(|(column, value)| (column.field_id, KeyValue::of(value.as_ref())))
            .collect();
        values.sort_unstable_by_key(|(field_id, _)| *field_id);
        Some(Self { spec_id, values })
    }
}

/// Whether two values of one partition field are the same.
pub(in crate::scan) fn is_same_value(one: Option<&Literal>, other: Option<&Literal>) -> bool {
    KeyValue::of(one) == KeyValue::of(other)
}

impl KeyValue {
    fn of(value: Option<&Literal>) -> Self {
        let float = |value: f64| {
            let canonical = if value.is_nan() { f64::NAN } else { value };
            Self::Float(canonical.to_bits())
        };
        match value {
            None => Self::Null,
            Some(Literal::Primitive(PrimitiveLiteral::Int(v))) => Self::Number(i64::from(*v)),
            Some(Literal::Primitive(PrimitiveLiteral::Long(v))) => Self::Number(*v),
            Some(Literal::Primitive(PrimitiveLiteral::Float(v))) => float(f64::from(v.0)),
            Some(Literal::Primitive(PrimitiveLiteral::Double(v))) => float(v.0),
            Some(other) => Self::Other(other.clone()),
        }
    }
}
