//! Numbers compared with text: the text is read as a number.
//!
//! The engine turns both sides into text, for which 10 is less than '5'. People who write
//! `id < '5'` mean the number, and every other engine reads it so. A text that is no number is an
//! error instead of an answer to another question.

mod time;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

use self::time::in_nanoseconds;

/// Reads text literals as numbers where they are compared with numbers, and times in the finer of
/// two units. Stands before the engine's own coercion.
#[derive(Debug)]
pub(crate) struct ComparedTextRule;

impl AnalyzerRule for ComparedTextRule {
    fn name(&self) -> &str {
        "lakehouse_compared_text"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let read = plan.transform_up_with_subqueries(|node| {
            let mut schema = merge_schema(&node.inputs());
            if let LogicalPlan::TableScan(scan) = &node {
                schema.merge(&scan.projected_schema);
            }
            let names = NamePreserver::new(&node);
            node.map_expressions(|expression| {
                let name = names.save(&expression);
                let read = expression.transform_up(|inner| read_texts(inner, &schema))?;
                Ok(read.update_data(|inner| name.restore(inner)))
            })
        })?;
        Ok(read.data)
    }
}

fn read_texts(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let left = beside(*left, &right, schema)?;
            let right = beside(*right, &left, schema)?;
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(left),
                op,
                Box::new(right),
            ))))
        }
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let list = list
                .into_iter()
                .map(|value| beside(value, &expr, schema))
                .collect::<Result<Vec<_>>>()?;
            Ok(Transformed::yes(Expr::InList(InList::new(
                expr, list, negated,
            ))))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let low = beside(*low, &expr, schema)?;
            let high = beside(*high, &expr, schema)?;
            let between = Between::new(expr, negated, Box::new(low), Box::new(high));
            Ok(Transformed::yes(Expr::Between(between)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// `value`, read as a number when it is a text beside a number, and in nanoseconds beside those.
fn beside(value: Expr, other: &Expr, schema: &DFSchema) -> Result<Expr> {
    if let Some(exact) = in_nanoseconds(&value, other, schema) {
        return Ok(exact);
    }
    let Expr::Literal(literal, metadata) = &value else {
        return Ok(value);
    };
    let Some(Some(text)) = literal.try_as_str() else {
        return Ok(value);
    };
    let Ok(data_type) = other.get_type(schema) else {
        return Ok(value);
    };
    if !data_type.is_numeric() {
        return Ok(value);
    }
    let number = number(text.trim(), &data_type).ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is compared with a number ({other}) and is none"
        ))
    })?;
    Ok(Expr::Literal(number, metadata.clone()))
}

/// The text as a whole number, else as an exact decimal, else as a floating-point number.
fn number(text: &str, beside: &DataType) -> Option<ScalarValue> {
    if beside.is_floating() {
        return text
            .parse()
            .ok()
            .map(|number| ScalarValue::Float64(Some(number)));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(ScalarValue::Int64(Some(whole)));
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let scale = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let (precision, scale) = (u8::try_from(digits.max(1)).ok()?, i8::try_from(scale).ok()?);
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    if is_plain && precision <= 38 {
        let text = ScalarValue::Utf8(Some(text.to_owned()));
        let decimal = text.cast_to(&DataType::Decimal128(precision, scale)).ok()?;
        return Some(decimal).filter(|decimal| !decimal.is_null());
    }
    text.parse()
        .ok()
        .map(|number| ScalarValue::Float64(Some(number)))
}
