//! Which conditions may skip rows by bounds: the engine's pruning, kept to what is sound.
//!
//! Bounds of floats leave NaN out and may give -0 for 0, and the engine compares floats by their
//! total order, in which NaN lies above or below everything by its sign and -0 before 0. Casts that
//! do not keep the order say nothing about bounds. Conditions that trip over either are left to the
//! filter above the scan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_expr::{PhysicalExpr, PhysicalExprSimplifier, conjunction_opt};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

/// What the bounds and counts of one column may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: they may be missing in part, or be ordered otherwise.
    Nothing,
    /// Equality with a value that is neither zero nor NaN: floats of which some may be NaN.
    Equality,
    /// Every comparison; for floats, with values other than zero.
    Everything,
}

/// What is left of a predicate once it was looked at for one file.
#[derive(Debug)]
pub(super) enum Prunable {
    /// No row of the file matches.
    NoRow,
    /// The conditions that bounds may decide, `None` when there are none.
    Conditions(Option<Arc<dyn PhysicalExpr>>),
}

/// Rewrites a predicate on a table's columns for one file and keeps what may prune soundly.
///
/// `replace` gives what stands for a column of the table; `None` leaves out the whole condition.
/// `trust` speaks about columns of `schema`, which the replacements refer to.
pub(super) fn prunable(
    predicate: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
    replace: impl Fn(&Column) -> Option<Arc<dyn PhysicalExpr>>,
    trust: impl Fn(usize) -> Trust,
) -> Result<Prunable> {
    // Dynamic filters are looked through: what they know at this moment.
    let snapshot = snapshot_physical_expr(Arc::clone(predicate))?;
    let sound = Soundness {
        schema,
        trust: &trust,
    };
    let simplifier = PhysicalExprSimplifier::new(schema);
    let mut kept = Vec::new();
    for condition in split_conjunction(&snapshot) {
        let Some(condition) = replaced(condition, &replace)? else {
            continue;
        };
        // Looked at before and after: the simplifier may move casts and negations.
        if !sound.condition(&condition, false) {
            continue;
        }
        let Ok(simple) = simplifier.simplify(condition) else {
            continue;
        };
        if let Some(literal) = simple.as_any().downcast_ref::<Literal>() {
            match literal.value() {
                ScalarValue::Boolean(Some(true)) => continue,
                ScalarValue::Boolean(_) | ScalarValue::Null => return Ok(Prunable::NoRow),
                _ => continue,
            }
        }
        if sound.condition(&simple, false) {
            kept.push(simple);
        }
    }
    Ok(Prunable::Conditions(conjunction_opt(kept)))
}

fn replaced(
    condition: &Arc<dyn PhysicalExpr>,
    replace: &impl Fn(&Column) -> Option<Arc<dyn PhysicalExpr>>,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let mut complete = true;
    let rewritten = Arc::clone(condition).transform_down(|node| {
        let Some(column) = node.as_any().downcast_ref::<Column>() else {
            return Ok(Transformed::no(node));
        };
        match replace(column) {
            // What was put in is not looked into again: it names the file's columns.
            Some(other) => Ok(Transformed::new(other, true, TreeNodeRecursion::Jump)),
            None => {
                complete = false;
                Ok(Transformed::new(node, false, TreeNodeRecursion::Stop))
            }
        }
    })?;
    Ok(complete.then_some(rewritten.data))
}

struct Soundness<'a> {
    schema: &'a Schema,
    trust: &'a dyn Fn(usize) -> Trust,
}

enum Operand<'a> {
    Column(&'a Column),
    Literal(&'a ScalarValue),
}

impl Soundness<'_> {
    /// Whether the engine's pruning decides `expr` soundly. Below a NOT only columns without NaN
    /// qualify: "not equal" holds for NaN.
    fn condition(&self, expr: &Arc<dyn PhysicalExpr>, negated: bool) -> bool {
        let any = expr.as_any();
        if let Some(binary) = any.downcast_ref::<BinaryExpr>() {
            return self.binary(binary, negated);
        }
        if let Some(not) = any.downcast_ref::<NotExpr>() {
            return self.condition(not.arg(), true);
        }
        if let Some(is_null) = any.downcast_ref::<IsNullExpr>() {
            return self.counted(is_null.arg());
        }
        if let Some(is_not_null) = any.downcast_ref::<IsNotNullExpr>() {
            return self.counted(is_not_null.arg());
        }
        if let Some(list) = any.downcast_ref::<InListExpr>() {
            let op = if list.negated() != negated {
                Operator::NotEq
            } else {
                Operator::Eq
            };
            return list
                .list()
                .iter()
                .all(|value| self.comparison(list.expr(), op, value, negated));
        }
        // LIKE among them: the engine compares its prefix as another type of text than columns are
        // read as, and would fail for all conditions at once. Ranges stand beside it.
        match self.operand(expr) {
            Some(Operand::Literal(_)) => true,
            Some(Operand::Column(column)) => (self.trust)(column.index()) == Trust::Everything,
            None => false,
        }
    }

    fn binary(&self, binary: &BinaryExpr, negated: bool) -> bool {
        match binary.op() {
            Operator::And | Operator::Or => {
                self.condition(binary.left(), negated) && self.condition(binary.right(), negated)
            }
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq => {
                self.comparison(binary.left(), *binary.op(), binary.right(), negated)
            }
            _ => false,
        }
    }

    fn comparison(
        &self,
        left: &Arc<dyn PhysicalExpr>,
        op: Operator,
        right: &Arc<dyn PhysicalExpr>,
        negated: bool,
    ) -> bool {
        let (column, literal) = match (self.operand(left), self.operand(right)) {
            (Some(Operand::Literal(_)), Some(Operand::Literal(_))) => return true,
            (Some(Operand::Column(column)), Some(Operand::Literal(literal)))
            | (Some(Operand::Literal(literal)), Some(Operand::Column(column))) => (column, literal),
            _ => return false,
        };
        let trust = (self.trust)(column.index());
        let Some(field) = self.schema.fields().get(column.index()) else {
            return false;
        };
        if field.data_type().is_floating() && is_edge(literal) {
            return false;
        }
        match trust {
            Trust::Nothing => false,
            Trust::Equality => op == Operator::Eq && !negated,
            Trust::Everything => true,
        }
    }

    /// Whether the number of NULLs of `expr` is known to be that of a column.
    fn counted(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        match self.operand(expr) {
            Some(Operand::Literal(_)) => true,
            Some(Operand::Column(column)) => (self.trust)(column.index()) != Trust::Nothing,
            None => false,
        }
    }

    /// A column or literal below casts that keep the order of values.
    fn operand<'e>(&self, expr: &'e Arc<dyn PhysicalExpr>) -> Option<Operand<'e>> {
        let any = expr.as_any();
        if let Some(column) = any.downcast_ref::<Column>() {
            return Some(Operand::Column(column));
        }
        if let Some(literal) = any.downcast_ref::<Literal>() {
            return Some(Operand::Literal(literal.value()));
        }
        let cast = any.downcast_ref::<CastExpr>()?;
        let inner = self.operand(cast.expr())?;
        let from = cast.expr().data_type(self.schema).ok()?;
        match inner {
            Operand::Column(_) if !keeps_order(&from, cast.cast_type()) => None,
            inner => Some(inner),
        }
    }
}

/// Zero, whose sign bounds do not tell, or NaN.
fn is_edge(literal: &ScalarValue) -> bool {
    match literal {
        ScalarValue::Float64(Some(value)) => *value == 0.0 || value.is_nan(),
        ScalarValue::Float32(Some(value)) => *value == 0.0 || value.is_nan(),
        ScalarValue::Float16(Some(value)) => {
            let value = f32::from(*value);
            value == 0.0 || value.is_nan()
        }
        _ => false,
    }
}

/// Whether `a <= b` implies `cast(a) <= cast(b)`, and no value fails to cast.
pub(super) fn keeps_order(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let digits = |data_type: &DataType| match data_type {
        T::Int8 | T::UInt8 => Some((3, 0)),
        T::Int16 | T::UInt16 => Some((5, 0)),
        T::Int32 | T::UInt32 => Some((10, 0)),
        T::Int64 => Some((19, 0)),
        T::Decimal128(precision, scale) => Some((i16::from(*precision), i16::from(*scale))),
        _ => None,
    };
    match (from, to) {
        (from, to) if from == to => true,
        (T::Int8, T::Int16 | T::Int32 | T::Int64)
        | (T::Int16, T::Int32 | T::Int64)
        | (T::Int32, T::Int64)
        | (T::UInt8 | T::UInt16, T::Int32 | T::Int64)
        | (T::UInt32, T::Int64)
        | (T::Int8 | T::Int16 | T::Int32 | T::Int64, T::Float32 | T::Float64)
        | (T::Float32, T::Float64) => true,
        (from, to) if is_text(from) && is_text(to) => true,
        (_, T::Decimal128(precision, scale)) => {
            let (precision, scale) = (i16::from(*precision), i16::from(*scale));
            digits(from).is_some_and(|(own_precision, own_scale)| {
                scale >= own_scale && precision - scale >= own_precision - own_scale
            })
        }
        // Between zones the instant stays as it is.
        (T::Timestamp(unit, Some(_)), T::Timestamp(other, Some(_))) => unit == other,
        (T::Timestamp(unit, zone), T::Timestamp(other, other_zone)) => {
            unit == other && is_utc(zone.as_deref()) && is_utc(other_zone.as_deref())
        }
        // The day of a time in UTC; every microsecond and nanosecond lies in a day that exists.
        (T::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, zone), T::Date32) => {
            is_utc(zone.as_deref())
        }
        _ => false,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Whether a zone, or none, leaves the stored number as it is.
pub(super) fn is_utc(zone: Option<&str>) -> bool {
    zone.is_none_or(|zone| matches!(zone, "UTC" | "+00:00" | "Z" | "Etc/UTC"))
}
