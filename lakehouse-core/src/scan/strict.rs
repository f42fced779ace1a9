//! Whether rows described by bounds, counts or a partition surely all match a predicate.

use std::cmp::Ordering;

use iceberg::spec::Datum;

use super::evaluate::{ColumnFacts, Facts};
use super::partition::{PartitionLayout, TupleFacts, strict_conditions};
use super::predicate::{Comparison, Predicate};
use super::value::Value;

impl Facts<'_> {
    fn never_null(&self) -> bool {
        self.nulls == Some(0)
    }

    /// Every value is `literal`.
    fn must_equal(&self, literal: &Datum) -> bool {
        let Some(value) = Value::of_datum(literal) else {
            return false;
        };
        self.never_null()
            && self.never_nan(value)
            && self.lower_is(Ordering::Equal, value)
            && self.upper_is(Ordering::Equal, value)
    }

    /// No value is `literal`, and none is NULL. NaN differs from every literal.
    fn must_differ(&self, literal: &Datum) -> bool {
        let Some(value) = Value::of_datum(literal) else {
            return false;
        };
        self.never_null()
            && (self.lower_is(Ordering::Greater, value) || self.upper_is(Ordering::Less, value))
    }

    /// Every value lies below (or above, by `order`) `literal`, or equals it.
    fn must_lie(&self, order: Ordering, literal: &Datum, or_equal: bool) -> bool {
        let Some(value) = Value::of_datum(literal) else {
            return false;
        };
        // NaN is the largest value or, with its sign set, the smallest; some engines compare it
        // with nothing.
        if !self.never_null() || !self.never_nan(value) {
            return false;
        }
        // `x < v` needs the bound below `v` at the end where the largest values are.
        let furthest_is = |wanted| match order {
            Ordering::Less => self.upper_is(wanted, value),
            _ => self.lower_is(wanted, value),
        };
        furthest_is(order) || or_equal && furthest_is(Ordering::Equal)
    }

    /// What lies between two texts with a prefix has it too, so cut bounds do as well.
    fn must_start_with(&self, prefix: &str) -> bool {
        let starts =
            |bound| matches!(bound, Some(Value::Text(text)) if str::starts_with(text, prefix));
        self.never_null() && starts(self.lower) && starts(self.upper)
    }

    fn never_nan(&self, literal: Value<'_>) -> bool {
        !matches!(literal, Value::Float(_)) || self.nans == Some(0)
    }
}

/// Whether all rows that `columns` describes match. `true` is certain.
pub(crate) fn must_match(predicate: &Predicate, columns: &impl ColumnFacts) -> bool {
    match predicate {
        Predicate::AlwaysTrue => true,
        Predicate::And(parts) => parts.iter().all(|part| must_match(part, columns)),
        Predicate::Or(parts) => parts.iter().any(|part| must_match(part, columns)),
        Predicate::Compare {
            field_id,
            comparison,
            literal,
        } => {
            let facts = columns.facts(*field_id);
            match comparison {
                Comparison::Eq => facts.must_equal(literal),
                Comparison::NotEq => facts.must_differ(literal),
                Comparison::Lt => facts.must_lie(Ordering::Less, literal, false),
                Comparison::LtEq => facts.must_lie(Ordering::Less, literal, true),
                Comparison::Gt => facts.must_lie(Ordering::Greater, literal, false),
                Comparison::GtEq => facts.must_lie(Ordering::Greater, literal, true),
            }
        }
        Predicate::In { field_id, literals } => {
            let facts = columns.facts(*field_id);
            literals.iter().any(|literal| facts.must_equal(literal))
        }
        Predicate::NotIn { field_id, literals } => {
            let facts = columns.facts(*field_id);
            facts.never_null() && literals.iter().all(|literal| facts.must_differ(literal))
        }
        Predicate::IsNull { field_id } => {
            let facts = columns.facts(*field_id);
            facts.nulls.is_some() && facts.nulls == facts.values
        }
        Predicate::IsNotNull { field_id } => columns.facts(*field_id).never_null(),
        Predicate::StartsWith { field_id, prefix } => {
            columns.facts(*field_id).must_start_with(prefix)
        }
        // A hash says nothing about bounds.
        Predicate::AlwaysFalse | Predicate::Bucket { .. } => false,
    }
}

/// Whether all rows of a file surely match, each condition by the file's columns or by its
/// partition.
pub(super) fn file_must_match(
    predicate: &Predicate,
    columns: &impl ColumnFacts,
    layout: &PartitionLayout,
    tuple: &TupleFacts<'_>,
) -> bool {
    let must = |part: &Predicate| file_must_match(part, columns, layout, tuple);
    match predicate {
        Predicate::And(parts) => parts.iter().all(must),
        Predicate::Or(parts) => parts.iter().any(must),
        leaf => {
            must_match(leaf, columns)
                || strict_conditions(leaf, layout)
                    .iter()
                    .any(|condition| must_match(condition, tuple) || tuple.is_zero_of(condition))
        }
    }
}

#[cfg(test)]
mod tests;
