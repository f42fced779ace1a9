//! What a predicate on columns says about partition values, and what partition values say of rows.

mod rows;
mod strict;

use iceberg::spec::{
    Datum, FieldSummary, Literal, PartitionSpec, PrimitiveLiteral, PrimitiveType, Struct,
    Transform, Type,
};

use super::evaluate::{ColumnFacts, Facts};
use super::predicate::{Comparison, Predicate};
use super::value::Value;
use crate::table::transform::{apply, text_prefix};

pub(crate) use rows::rows_of;
pub(crate) use strict::strict_conditions;

/// One value of a partition tuple, as a manifest's own spec and schema describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionColumn {
    /// The partition field's id.
    pub field_id: i32,
    /// The column it is made of.
    pub source_id: i32,
    /// The partition field's name.
    pub name: String,
    /// How it is made of the column.
    pub transform: Transform,
    /// The type of the partition value; `None` when the source column is no longer known.
    pub result_type: Option<PrimitiveType>,
}

/// The partition tuple of a spec: its columns in the tuple's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionLayout {
    /// The spec's id.
    pub spec_id: i32,
    /// One per value of the tuple.
    pub columns: Vec<PartitionColumn>,
}

impl PartitionLayout {
    /// The layout of a spec, given the types of its source columns.
    pub(crate) fn new(
        spec: &PartitionSpec,
        source_type: impl Fn(i32) -> Option<PrimitiveType>,
    ) -> Self {
        let columns = spec.fields().iter().map(|field| PartitionColumn {
            field_id: field.field_id,
            source_id: field.source_id,
            name: field.name.clone(),
            transform: field.transform,
            result_type: source_type(field.source_id)
                .and_then(|source| result_type(field.transform, source)),
        });
        Self {
            spec_id: spec.spec_id(),
            columns: columns.collect(),
        }
    }

    fn position(&self, field_id: i32) -> Option<(usize, &PrimitiveType)> {
        let (position, column) = self
            .columns
            .iter()
            .enumerate()
            .find(|(_, column)| column.field_id == field_id)?;
        Some((position, column.result_type.as_ref()?))
    }
}

/// The type of a transform's results; `None` when it does not take the source type.
pub(crate) fn result_type(transform: Transform, source: PrimitiveType) -> Option<PrimitiveType> {
    match transform.result_type(&Type::Primitive(source)) {
        Ok(Type::Primitive(result)) if transform != Transform::Unknown => Some(result),
        _ => None,
    }
}

/// The partition tuple of one file, as facts about its partition fields.
#[derive(Debug)]
pub(crate) struct TupleFacts<'a> {
    pub(crate) layout: &'a PartitionLayout,
    pub(crate) tuple: &'a Struct,
}

impl TupleFacts<'_> {
    /// Whether a condition asks for the zero that the partition's value is. As a bound, a zero may
    /// be either of the two.
    pub(super) fn is_zero_of(&self, condition: &Predicate) -> bool {
        let Predicate::Compare {
            field_id,
            comparison: Comparison::Eq,
            literal,
        } = condition
        else {
            return false;
        };
        let Some((position, kind)) = self.layout.position(*field_id) else {
            return false;
        };
        let Some(Some(Literal::Primitive(own))) = self.tuple.fields().get(position) else {
            return false;
        };
        match (Value::of(kind, own), Value::of_datum(literal)) {
            (Some(Value::Float(own)), Some(Value::Float(asked))) => {
                own == 0.0 && own.to_bits() == asked.to_bits()
            }
            _ => false,
        }
    }
}

impl ColumnFacts for TupleFacts<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        let Some((position, kind)) = self.layout.position(field_id) else {
            return Facts::default();
        };
        let value = match self.tuple.fields().get(position) {
            Some(Some(Literal::Primitive(value))) => value,
            Some(None) => {
                return Facts {
                    nulls: Some(1),
                    nans: Some(0),
                    values: Some(1),
                    ..Facts::default()
                };
            }
            _ => return Facts::default(),
        };
        let is_nan = value.is_nan();
        let bound = Value::of(kind, value).filter(|_| !is_nan);
        Facts {
            lower: bound,
            upper: bound,
            nulls: Some(0),
            nans: Some(u64::from(is_nan)),
            values: Some(1),
        }
    }
}

/// A manifest's partition summaries, as facts about its partition fields.
#[derive(Debug)]
pub(crate) struct SummaryFacts<'a> {
    pub(crate) layout: &'a PartitionLayout,
    /// One per column of the layout.
    pub(crate) summaries: &'a [FieldSummary],
}

impl<'a> SummaryFacts<'a> {
    /// What is known of a partition field.
    pub(crate) fn of_field(&self, field_id: i32) -> Facts<'a> {
        let known = self.layout.position(field_id);
        let Some((position, kind)) = known else {
            return Facts::default();
        };
        // Summaries that do not fit the spec say nothing.
        if self.summaries.len() != self.layout.columns.len() {
            return Facts::default();
        }
        let summary = &self.summaries[position];
        let (lower, upper) = (&summary.lower_bound, &summary.upper_bound);
        let (mut lower, mut upper) = (lower.as_ref(), upper.as_ref());
        // Old Java writers ordered UUIDs as signed numbers; only one value has no order.
        if *kind == PrimitiveType::Uuid && lower != upper {
            (lower, upper) = (None, None);
        }
        // How many files there are does not matter, so counts are left unknown: absent bounds are
        // absent, not "only NULL" (T08).
        Facts {
            lower: lower.and_then(|bound| Value::decode(kind, bound)),
            upper: upper.and_then(|bound| Value::decode(kind, bound)),
            nulls: (!summary.contains_null).then_some(0),
            nans: (summary.contains_nan == Some(false)).then_some(0),
            values: None,
        }
    }
}

impl ColumnFacts for SummaryFacts<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        self.of_field(field_id)
    }
}

/// A predicate on partition fields that holds for the partition of every row that matches
/// `predicate` (the specification's inclusive projection).
pub(crate) fn project(predicate: &Predicate, layout: &PartitionLayout) -> Predicate {
    match predicate {
        Predicate::AlwaysTrue => Predicate::AlwaysTrue,
        Predicate::AlwaysFalse => Predicate::AlwaysFalse,
        Predicate::And(parts) => all_of(parts.iter().map(|part| project(part, layout))),
        Predicate::Or(parts) => any_of(parts.iter().map(|part| project(part, layout))),
        Predicate::Compare { field_id, .. }
        | Predicate::In { field_id, .. }
        | Predicate::NotIn { field_id, .. }
        | Predicate::IsNull { field_id }
        | Predicate::IsNotNull { field_id }
        | Predicate::StartsWith { field_id, .. }
        | Predicate::Bucket { field_id, .. } => {
            let columns = layout.columns.iter();
            all_of(
                columns
                    .filter(|column| column.source_id == *field_id && column.result_type.is_some())
                    .map(|column| project_leaf(predicate, column).unwrap_or(Predicate::AlwaysTrue)),
            )
        }
    }
}

fn all_of(parts: impl Iterator<Item = Predicate>) -> Predicate {
    let mut kept = Vec::new();
    for part in parts {
        match part {
            Predicate::AlwaysTrue => {}
            Predicate::AlwaysFalse => return Predicate::AlwaysFalse,
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Predicate::AlwaysTrue,
        1 => kept.swap_remove(0),
        _ => Predicate::And(kept),
    }
}

fn any_of(parts: impl Iterator<Item = Predicate>) -> Predicate {
    let mut kept = Vec::new();
    for part in parts {
        match part {
            Predicate::AlwaysFalse => {}
            Predicate::AlwaysTrue => return Predicate::AlwaysTrue,
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Predicate::AlwaysFalse,
        1 => kept.swap_remove(0),
        _ => Predicate::Or(kept),
    }
}

/// `None` when the condition says nothing of the partition field.
fn project_leaf(leaf: &Predicate, column: &PartitionColumn) -> Option<Predicate> {
    let field_id = column.field_id;
    match column.transform {
        Transform::Void | Transform::Unknown => return None,
        Transform::Identity => return on_field(leaf, field_id),
        _ => {}
    }
    match leaf {
        // Every transform but `void` maps NULL to NULL and nothing else to NULL.
        Predicate::IsNull { .. } => Some(Predicate::IsNull { field_id }),
        Predicate::IsNotNull { .. } => Some(Predicate::IsNotNull { field_id }),
        Predicate::Compare {
            comparison,
            literal,
            ..
        } => project_comparison(*comparison, literal, column),
        Predicate::In { literals, .. } => {
            let mut points = Vec::with_capacity(literals.len());
            for literal in literals {
                points.extend(points_of(column.transform, literal)?);
            }
            Some(Predicate::In {
                field_id,
                literals: points,
            })
        }
        Predicate::StartsWith { prefix, .. } => project_prefix(prefix, column),
        Predicate::Bucket {
            buckets,
            comparison,
            number,
            ..
        } if column.transform == Transform::Bucket(*buckets) => Some(Predicate::Compare {
            field_id,
            comparison: *comparison,
            literal: Datum::int(*number),
        }),
        _ => None,
    }
}

/// The same condition on another field.
fn on_field(leaf: &Predicate, field_id: i32) -> Option<Predicate> {
    let mut leaf = leaf.clone();
    match &mut leaf {
        Predicate::Compare { field_id: id, .. }
        | Predicate::In { field_id: id, .. }
        | Predicate::NotIn { field_id: id, .. }
        | Predicate::IsNull { field_id: id }
        | Predicate::IsNotNull { field_id: id }
        | Predicate::StartsWith { field_id: id, .. } => *id = field_id,
        _ => return None,
    }
    Some(leaf)
}

fn project_comparison(
    comparison: Comparison,
    literal: &Datum,
    column: &PartitionColumn,
) -> Option<Predicate> {
    let transform = column.transform;
    let field_id = column.field_id;
    if comparison == Comparison::Eq {
        return Some(Predicate::In {
            field_id,
            literals: points_of(transform, literal)?,
        });
    }
    if matches!(transform, Transform::Bucket(_)) {
        return None;
    }
    // The others never decrease: x < v implies f(x) <= f(v), for discrete values f(x) <= f(v - 1).
    let (comparison, literal) = match comparison {
        Comparison::Lt => (
            Comparison::LtEq,
            apply(
                transform,
                &neighbour(literal, -1).unwrap_or(literal.clone()),
            )?,
        ),
        Comparison::LtEq => (Comparison::LtEq, apply(transform, literal)?),
        Comparison::Gt => (
            Comparison::GtEq,
            apply(transform, &neighbour(literal, 1).unwrap_or(literal.clone()))?,
        ),
        Comparison::GtEq => (Comparison::GtEq, apply(transform, literal)?),
        Comparison::Eq | Comparison::NotEq => return None,
    };
    let literal = match comparison {
        Comparison::LtEq => one_more_when_negative(transform, &literal).unwrap_or(literal),
        _ => literal,
    };
    Some(Predicate::Compare {
        field_id,
        comparison,
        literal,
    })
}

/// The partition values under which rows with exactly this value are found.
fn points_of(transform: Transform, literal: &Datum) -> Option<Vec<Datum>> {
    let point = apply(transform, literal)?;
    let mut points = Vec::with_capacity(2);
    points.extend(one_more_when_negative(transform, &point));
    // Some writers cut nanoseconds before 1970 toward zero before they hash.
    if let (Transform::Bucket(_), Some(next)) = (transform, next_micro(literal)) {
        points.extend(apply(transform, &next));
    }
    points.push(point);
    Some(points)
}

/// Writers such as Java's up to 0.10 rounded times before 1970 toward 1970, so what belongs to a
/// negative partition value may stand under the next one (T02).
fn one_more_when_negative(transform: Transform, point: &Datum) -> Option<Datum> {
    match (transform, point.data_type(), point.literal()) {
        (
            Transform::Year | Transform::Month | Transform::Day | Transform::Hour,
            kind,
            PrimitiveLiteral::Int(value),
        ) if *value < 0 => Some(match kind {
            PrimitiveType::Date => Datum::date(value + 1),
            _ => Datum::int(value + 1),
        }),
        _ => None,
    }
}

/// The next microsecond of a nanosecond value before 1970 that is not whole.
fn next_micro(literal: &Datum) -> Option<Datum> {
    let PrimitiveLiteral::Long(nanos) = literal.literal() else {
        return None;
    };
    let whole = (nanos / 1_000) * 1_000;
    let rounded = *nanos < 0 && whole != *nanos;
    match literal.data_type() {
        PrimitiveType::TimestampNs if rounded => Some(Datum::timestamp_nanos(whole)),
        PrimitiveType::TimestamptzNs if rounded => Some(Datum::timestamptz_nanos(whole)),
        _ => None,
    }
}

/// The value before or after, for types whose values can be counted.
fn neighbour(literal: &Datum, step: i32) -> Option<Datum> {
    let wide = i64::from(step);
    match (literal.data_type(), literal.literal()) {
        (PrimitiveType::Int, PrimitiveLiteral::Int(v)) => v.checked_add(step).map(Datum::int),
        (PrimitiveType::Date, PrimitiveLiteral::Int(v)) => v.checked_add(step).map(Datum::date),
        (PrimitiveType::Long, PrimitiveLiteral::Long(v)) => v.checked_add(wide).map(Datum::long),
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(v)) => {
            v.checked_add(wide).map(Datum::timestamp_micros)
        }
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(v)) => {
            v.checked_add(wide).map(Datum::timestamptz_micros)
        }
        (PrimitiveType::TimestampNs, PrimitiveLiteral::Long(v)) => {
            v.checked_add(wide).map(Datum::timestamp_nanos)
        }
        (PrimitiveType::TimestamptzNs, PrimitiveLiteral::Long(v)) => {
            v.checked_add(wide).map(Datum::timestamptz_nanos)
        }
        (kind @ PrimitiveType::Decimal { .. }, PrimitiveLiteral::Int128(v)) => {
            let next = v.checked_add(i128::from(step))?;
            Datum::try_from_bytes(&next.to_be_bytes(), kind.clone()).ok()
        }
        _ => None,
    }
}

fn project_prefix(prefix: &str, column: &PartitionColumn) -> Option<Predicate> {
    let Transform::Truncate(width) = column.transform else {
        return None;
    };
    let field_id = column.field_id;
    let cut = text_prefix(prefix, usize::try_from(width).ok()?);
    Some(if cut.len() == prefix.len() {
        Predicate::StartsWith {
            field_id,
            prefix: prefix.to_owned(),
        }
    } else {
        Predicate::Compare {
            field_id,
            comparison: Comparison::Eq,
            literal: Datum::string(cut),
        }
    })
}

#[cfg(test)]
mod tests;
