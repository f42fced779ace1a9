//! Times compared with times of a finer unit: the coarser one is read in the finer unit.
//!
//! The engine compares in the coarser unit and cuts the other side's last digits towards zero, so
//! that a nanosecond before 1970 is not before 1970, and one after a time is equal to it. A time
//! that nanoseconds cannot hold, before 1677 or after 2262, is an error beside them.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::expr::Cast;
use datafusion::prelude::Expr;

/// `value` in nanoseconds, when it is a time in a coarser unit and `other` is one in nanoseconds.
pub(super) fn in_nanoseconds(value: &Expr, other: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Ok(DataType::Timestamp(TimeUnit::Nanosecond, _)) = other.get_type(schema) else {
        return None;
    };
    match value.get_type(schema) {
        Ok(DataType::Timestamp(unit, zone)) if unit != TimeUnit::Nanosecond => {
            let exact = DataType::Timestamp(TimeUnit::Nanosecond, zone);
            Some(Expr::Cast(Cast::new(Box::new(value.clone()), exact)))
        }
        _ => None,
    }
}
