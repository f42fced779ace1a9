//! Results of floats have one NaN, which equals itself and lies above all numbers.
//!
//! The engine orders floats by their bits, and processors set the sign bit of what they compute for
//! `0.0 / 0.0`: such a NaN would lie below all numbers, and differ from others.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Alias, BinaryExpr, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, Operator, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;
use lakehouse_core::table::with_one_nan;

use crate::of_columns::of_columns;

/// The engine's functions that give NaN for numbers.
const FUNCTIONS: [&str; 15] = [
    "acos",
    "acosh",
    "array_distance",
    "asin",
    "atanh",
    "cos",
    "cot",
    "ln",
    "log",
    "log10",
    "log2",
    "power",
    "sin",
    "sqrt",
    "tan",
];

/// Aggregates that give one of the values they get.
const CHOICES: [&str; 8] = [
    "first_value",
    "lag",
    "last_value",
    "lead",
    "max",
    "median",
    "min",
    "nth_value",
];

/// Aggregates that are no NaN for finite values.
const TOTALS: [&str; 2] = ["avg", "sum"];

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct OneNanRule;

impl AnalyzerRule for OneNanRule {
    fn name(&self) -> &str {
        "lakehouse_one_nan"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let with_one = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let with_one = expr.transform_up(|expr| result_with_one(expr, &schema))?;
                Ok(with_one.update_data(|expr| name.restore(expr)))
            })?;
            node.transform_data(|node| match &node {
                LogicalPlan::Aggregate(aggregate) => above(&node, &aggregate.aggr_expr, &schema),
                LogicalPlan::Window(window) => above(&node, &window.window_expr, &schema),
                _ => Ok(Transformed::no(node)),
            })
        })?;
        Ok(with_one.data)
    }
}

/// Rows from outside with one NaN in their columns.
///
/// # Errors
/// Only when the batch is none.
pub(crate) fn batch_with_one_nan(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(with_one_nan).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns,
        &rows,
    )?)
}

/// An operation on floats, or a call, with one NaN as its result; what is computed on the way to it
/// needs none.
fn result_with_one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !may_compute(&expr, schema)? || !expr.get_type(schema)?.is_floating() {
        return Ok(Transformed::no(expr));
    }
    let expr = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (on_the_way(*left), on_the_way(*right));
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
        }
        Expr::Negative(inner) => Expr::Negative(Box::new(on_the_way(*inner))),
        other => other,
    };
    Ok(Transformed::yes(one_nan(expr)))
}

/// Whether an expression may be a NaN that none of its parts is.
fn may_compute(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Plus | Operator::Minus | Operator::Multiply => {
                !(is_finite(left, schema)? && is_finite(right, schema)?)
            }
            Operator::Divide | Operator::Modulo => true,
            _ => false,
        },
        Expr::Negative(inner) => !is_finite(inner, schema)?,
        Expr::ScalarFunction(call) => FUNCTIONS.contains(&call.name()),
        // A text may say a NaN with a sign.
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            expr.get_type(schema)?.is_string()
        }
        _ => false,
    })
}

/// Whether an expression is a whole number or a decimal as a float, or a finite literal.
fn is_finite(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(match expr {
        Expr::Literal(ScalarValue::Float64(number), _) => number.is_none_or(f64::is_finite),
        Expr::Literal(ScalarValue::Float32(number), _) => number.is_none_or(f32::is_finite),
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            let kind = expr.get_type(schema)?;
            kind.is_integer() || kind.is_decimal()
        }
        _ => false,
    })
}

/// What a result has the call around it for, if it has one.
pub(crate) fn within_one_nan(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.inner().as_any().is::<OneNan>() => {
            call.args.first()
        }
        _ => None,
    }
}

fn one_nan(expr: Expr) -> Expr {
    let call = ScalarFunction::new_udf(Arc::new(ScalarUDF::from(OneNan::new())), vec![expr]);
    Expr::ScalarFunction(call)
}

/// A result without the call around it.
fn on_the_way(expr: Expr) -> Expr {
    within_one_nan(&expr).cloned().unwrap_or(expr)
}

/// The rows of aggregates or windows, of which these were computed, with one NaN.
fn above(
    node: &LogicalPlan,
    computed: &[Expr],
    input: &DFSchema,
) -> Result<Transformed<LogicalPlan>> {
    let schema = node.schema();
    let first = schema.fields().len() - computed.len();
    let mut results = vec![false; first];
    for (expr, field) in computed.iter().zip(schema.fields().iter().skip(first)) {
        results.push(field.data_type().is_floating() && may_be_other(expr, input)?);
    }
    if !results.contains(&true) {
        return Ok(Transformed::no(node.clone()));
    }
    let columns = schema.iter().zip(&results);
    let columns = columns.map(|((relation, field), is_result)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        match is_result {
            true => Expr::Alias(Alias::new(one_nan(column), relation.cloned(), field.name())),
            false => column,
        }
    });
    // A builder would refuse the names of `dt` and `CAST(dt AS TIMESTAMP)`, which are the same.
    let plan = Projection::try_new(columns.collect(), Arc::new(node.clone()))?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}

/// Whether an aggregate or window function may give a NaN that it did not get.
fn may_be_other(computed: &Expr, input: &DFSchema) -> Result<bool> {
    let (name, arguments) = match unaliased(computed) {
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args),
        Expr::WindowFunction(call) => (call.fun.name(), &call.params.args),
        _ => return Ok(false),
    };
    if TOTALS.contains(&name) {
        for argument in arguments {
            if !is_finite(argument, input)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    Ok(!CHOICES.contains(&name))
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// See [`with_one_nan`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneNan {
    signature: Signature,
}

impl OneNan {
    fn new() -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for OneNan {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// None: plans show the call as a pair of brackets.
    fn name(&self) -> &str {
        ""
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [kind] = types else {
            return Err(Error::internal("a number is one value").into());
        };
        Ok(kind.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [number] = args.arg_fields else {
            return Err(Error::internal("a number is one value").into());
        };
        let (kind, is_nullable) = (number.data_type().clone(), number.is_nullable());
        Ok(Arc::new(Field::new(self.name(), kind, is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_columns(&args, |[numbers]| Ok(with_one_nan(numbers)))
    }
}
