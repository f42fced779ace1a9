//! What a plan's files say together of a column, for the optimiser.

use std::cmp::Ordering;

use iceberg::spec::{Datum, PrimitiveType};

use super::evaluate::{ColumnFacts, Facts};
use super::plan::{FileFacts, ScanPlan};
use super::value::Value;

/// What is known of a column over all files of a plan. What is absent is unknown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnSummary {
    /// How many values are NULL, exactly.
    pub null_count: Option<u64>,
    /// How many values are NaN, exactly.
    pub nan_count: Option<u64>,
    /// No value that is neither NULL nor NaN lies below.
    pub min: Option<BoundSummary>,
    /// No value that is neither NULL nor NaN lies above.
    pub max: Option<BoundSummary>,
}

/// A bound of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundSummary {
    /// The bound, of the column's type.
    pub value: Datum,
    /// Whether one of the values equals the bound, so that it answers `MIN` or `MAX`.
    pub exact: bool,
}

impl ScanPlan {
    /// What the plan's files say together of a column that is no part of a list or map, with
    /// bounds of `column_type`, the column's type now.
    pub fn column_summary(&self, field_id: i32, column_type: &PrimitiveType) -> ColumnSummary {
        let metrics: Vec<_> = self
            .files
            .iter()
            .map(|file| FileFacts(file.data_file()))
            .collect();
        let facts: Vec<_> = metrics.iter().map(|file| file.facts(field_id)).collect();
        let sum = |counts: fn(&Facts<'_>) -> Option<u64>| {
            facts
                .iter()
                .map(counts)
                .try_fold(0_u64, |sum, count| sum.checked_add(count?))
        };
        ColumnSummary {
            null_count: sum(|facts| facts.nulls),
            nan_count: sum(|facts| facts.nans),
            min: outermost(&facts, column_type, Ordering::Less),
            max: outermost(&facts, column_type, Ordering::Greater),
        }
    }
}

/// The smallest lower bound or the largest upper bound, when each file with values has one.
fn outermost(
    facts: &[Facts<'_>],
    column_type: &PrimitiveType,
    order: Ordering,
) -> Option<BoundSummary> {
    let mut outermost: Option<Value<'_>> = None;
    let mut exact = are_tight(column_type);
    for file in facts {
        let bound = match order {
            Ordering::Less => file.lower,
            _ => file.upper,
        };
        let Some(bound) = bound else {
            // Without values there is nothing to bound.
            if file.nulls.is_some() && file.nulls == file.values {
                continue;
            }
            return None;
        };
        exact &= is_exact(bound, column_type, file);
        outermost = match outermost {
            None => Some(bound),
            Some(so_far) => match bound.compare(so_far) {
                Some(found) if found == order => Some(bound),
                Some(_) => Some(so_far),
                // Zeros have no order here, but both bound the same values.
                None if is_zero(bound) && is_zero(so_far) => Some(so_far),
                None => return None,
            },
        };
    }
    let value = outermost.filter(|value| !is_nan(*value))?;
    Some(BoundSummary {
        value: value.to_datum(column_type)?,
        exact,
    })
}

/// Whether bounds of the type are values of the column: texts and bytes may be cut.
fn are_tight(column_type: &PrimitiveType) -> bool {
    !matches!(
        column_type,
        PrimitiveType::String | PrimitiveType::Binary | PrimitiveType::Fixed(_)
    )
}

/// NaN lies outside of bounds, and a bound of zero does not tell its sign. Times of whole
/// milliseconds may be rounded ones: there are writers whose statistics know no finer times.
fn is_exact(bound: Value<'_>, column_type: &PrimitiveType, file: &Facts<'_>) -> bool {
    const MILLISECOND_NS: i128 = 1_000_000;
    match bound {
        Value::Moment(ns, _) => *column_type == PrimitiveType::Date || ns % MILLISECOND_NS != 0,
        Value::Float(_) => file.nans == Some(0) && !is_zero(bound),
        _ => true,
    }
}

fn is_zero(value: Value<'_>) -> bool {
    matches!(value, Value::Float(v) if v == 0.0)
}

fn is_nan(value: Value<'_>) -> bool {
    matches!(value, Value::Float(v) if v.is_nan())
}

#[cfg(test)]
mod tests;
