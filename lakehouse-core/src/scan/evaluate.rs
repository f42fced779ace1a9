//! Whether rows described by bounds and counts may match a predicate.

use std::cmp::Ordering;

use iceberg::spec::Datum;

use super::predicate::{Comparison, Predicate};
use super::value::Value;

/// What is known of one column in a set of rows. What is absent is unknown, never zero.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    /// No value that is neither NULL nor NaN lies below.
    pub(crate) lower: Option<Value<'a>>,
    /// No value that is neither NULL nor NaN lies above.
    pub(crate) upper: Option<Value<'a>>,
    /// How many values are NULL.
    pub(crate) nulls: Option<u64>,
    /// How many values are NaN.
    pub(crate) nans: Option<u64>,
    /// How many values there are, NULL and NaN among them.
    pub(crate) values: Option<u64>,
}

impl Facts<'_> {
    fn only_null(&self) -> bool {
        self.nulls.is_some() && self.nulls == self.values
    }

    fn only_null_or_nan(&self) -> bool {
        match (self.nulls, self.nans, self.values) {
            (Some(nulls), Some(nans), Some(values)) => nulls.checked_add(nans) == Some(values),
            _ => self.only_null(),
        }
    }

    pub(super) fn lower_is(&self, order: Ordering, value: Value<'_>) -> bool {
        self.lower
            .is_some_and(|lower| lower.compare(value) == Some(order))
    }

    pub(super) fn upper_is(&self, order: Ordering, value: Value<'_>) -> bool {
        self.upper
            .is_some_and(|upper| upper.compare(value) == Some(order))
    }

    /// A value that equals `literal` may be there.
    fn may_equal(&self, literal: &Datum) -> bool {
        let Some(value) = Value::of_datum(literal) else {
            return true;
        };
        !self.only_null_or_nan()
            && !self.lower_is(Ordering::Greater, value)
            && !self.upper_is(Ordering::Less, value)
    }

    /// A value other than `literal` may be there.
    fn may_differ(&self, literal: &Datum) -> bool {
        let Some(value) = Value::of_datum(literal) else {
            return true;
        };
        !self.only_null()
            && (self.may_hold_nan(value)
                || !self.lower_is(Ordering::Equal, value)
                || !self.upper_is(Ordering::Equal, value))
    }

    /// A value below (or above, by `order`) `literal` may be there, or one that equals it.
    fn may_lie(&self, order: Ordering, literal: &Datum, or_equal: bool) -> bool {
        let Some(value) = Value::of_datum(literal) else {
            return true;
        };
        if self.only_null() {
            return false;
        }
        // NaN is the largest value, a NaN with its sign set the smallest: both match some ranges
        // and neither is inside the bounds.
        if self.may_hold_nan(value) {
            return true;
        }
        // `x < v` needs a bound below `v` at the end where the smallest values are.
        let nearest_is = |wanted| match order {
            Ordering::Less => self.lower_is(wanted, value),
            _ => self.upper_is(wanted, value),
        };
        !(nearest_is(order.reverse()) || !or_equal && nearest_is(Ordering::Equal))
    }

    fn may_start_with(&self, prefix: &str) -> bool {
        if self.only_null() {
            return false;
        }
        // Everything with the prefix lies at or after it, and before what is larger without it.
        let below = matches!(self.upper, Some(Value::Text(upper)) if upper < prefix);
        let above = matches!(
            self.lower,
            Some(Value::Text(lower)) if lower > prefix && !lower.starts_with(prefix)
        );
        !below && !above
    }

    fn may_hold_nan(&self, literal: Value<'_>) -> bool {
        matches!(literal, Value::Float(_)) && self.nans != Some(0)
    }
}

/// Where facts about columns come from: a file's metrics, a partition tuple, a manifest's summary.
pub(crate) trait ColumnFacts {
    /// What is known of a column; [`Facts::default`] when nothing is.
    fn facts(&self, field_id: i32) -> Facts<'_>;
}

/// Whether one of the rows that `columns` describes may match. `false` is certain.
pub(crate) fn may_match(predicate: &Predicate, columns: &impl ColumnFacts) -> bool {
    match predicate {
        Predicate::AlwaysTrue => true,
        Predicate::AlwaysFalse => false,
        Predicate::And(parts) => parts.iter().all(|part| may_match(part, columns)),
        Predicate::Or(parts) => parts.iter().any(|part| may_match(part, columns)),
        Predicate::Compare {
            field_id,
            comparison,
            literal,
        } => {
            let facts = columns.facts(*field_id);
            match comparison {
                Comparison::Eq => facts.may_equal(literal),
                Comparison::NotEq => facts.may_differ(literal),
                Comparison::Lt => facts.may_lie(Ordering::Less, literal, false),
                Comparison::LtEq => facts.may_lie(Ordering::Less, literal, true),
                Comparison::Gt => facts.may_lie(Ordering::Greater, literal, false),
                Comparison::GtEq => facts.may_lie(Ordering::Greater, literal, true),
            }
        }
        Predicate::In { field_id, literals } => {
            let facts = columns.facts(*field_id);
            literals.iter().any(|literal| facts.may_equal(literal))
        }
        Predicate::NotIn { field_id, literals } => {
            let facts = columns.facts(*field_id);
            !facts.only_null() && literals.iter().all(|literal| facts.may_differ(literal))
        }
        Predicate::IsNull { field_id } => columns.facts(*field_id).nulls != Some(0),
        // A hash says nothing about bounds.
        Predicate::IsNotNull { field_id } | Predicate::Bucket { field_id, .. } => {
            !columns.facts(*field_id).only_null()
        }
        Predicate::StartsWith { field_id, prefix } => {
            columns.facts(*field_id).may_start_with(prefix)
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
