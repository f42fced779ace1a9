//! Large constants: no more copies of them than memory can hold.
//!
//! A constant column has a copy of its value for every row of a batch, also where the value is one
//! that the optimiser computed, as `range(0, 1000000)`. And an approximate percentile makes room
//! for as many points as it is told to keep.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, WindowExpr};
use lakehouse_core::error::Error;

/// Smaller constants are copied without a look at them.
const LARGE_BYTES: usize = 32 << 10;
/// How many points an approximate percentile may keep.
const POINTS_MAX: u64 = 100_000;
/// Approximate percentiles, with the place of the argument that says how many points they keep.
const PERCENTILES: &[(&str, usize)] = &[
    ("approx_percentile_cont", 2),
    ("approx_percentile_cont_with_weight", 3),
];

/// Bounds the constants of projections, and refuses those of percentiles that are too large.
#[derive(Debug)]
pub(crate) struct BoundedConstants {
    bytes_max: u64,
}

impl BoundedConstants {
    /// The rule for queries that may hold so many bytes in memory.
    pub(crate) fn new(budget_bytes: Option<u64>) -> Self {
        let bytes_max = super::bytes_max(budget_bytes);
        Self { bytes_max }
    }
}

impl PhysicalOptimizerRule for BoundedConstants {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            check_percentiles(&node)?;
            let Some(projection) = node.as_any().downcast_ref::<ProjectionExec>() else {
                return Ok(Transformed::no(node));
            };
            if !projection
                .expr()
                .iter()
                .any(|column| is_large(&column.expr))
            {
                return Ok(Transformed::no(node));
            }
            let columns = projection.expr().iter().map(|column| ProjectionExpr {
                expr: match is_large(&column.expr) {
                    true => Arc::new(BoundedConstant {
                        constant: Arc::clone(&column.expr),
                        bytes_max: self.bytes_max,
                    }),
                    false => Arc::clone(&column.expr),
                },
                alias: column.alias.clone(),
            });
            let bounded = ProjectionExec::try_new(columns, Arc::clone(projection.input()))?;
            Ok(Transformed::yes(Arc::new(bounded) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_bounded_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_large(expr: &PhysicalExprRef) -> bool {
    let literal = expr.as_any().downcast_ref::<Literal>();
    literal.is_some_and(|literal| literal.value().size() > LARGE_BYTES)
}

fn check_percentiles(node: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let any = node.as_any();
    if let Some(aggregate) = any.downcast_ref::<AggregateExec>() {
        let mut calls = aggregate.aggr_expr().iter();
        return calls.try_for_each(|call| check_points(call.fun().name(), &call.expressions()));
    }
    let windows = any
        .downcast_ref::<WindowAggExec>()
        .map(WindowAggExec::window_expr)
        .or_else(|| {
            let bounded = any.downcast_ref::<BoundedWindowAggExec>();
            bounded.map(BoundedWindowAggExec::window_expr)
        });
    let calls: &[Arc<dyn WindowExpr>] = windows.unwrap_or_default();
    calls.iter().try_for_each(|call| {
        let is_called = |(name, _): &&(&str, usize)| call.name().starts_with(&format!("{name}("));
        match PERCENTILES.iter().find(is_called) {
            Some((name, _)) => check_points(name, &call.expressions()),
            None => Ok(()),
        }
    })
}

fn check_points(name: &str, args: &[PhysicalExprRef]) -> Result<()> {
    let percentile = PERCENTILES.iter().find(|(known, _)| *known == name);
    let Some(points) = percentile.and_then(|(_, place)| args.get(*place)) else {
        return Ok(());
    };
    let literal = points.as_any().downcast_ref::<Literal>();
    let points = literal.map(|literal| literal.value().cast_to(&DataType::UInt64));
    match points {
        Some(Ok(ScalarValue::UInt64(Some(points)))) if points > POINTS_MAX => {
            Err(DataFusionError::from(Error::invalid(format!(
                "{name} would keep {points} points, and {POINTS_MAX} is the most it may"
            ))))
        }
        _ => Ok(()),
    }
}

/// A constant with as many copies as memory holds.
#[derive(Debug)]
struct BoundedConstant {
    constant: PhysicalExprRef,
    bytes_max: u64,
}

impl PartialEq for BoundedConstant {
    fn eq(&self, other: &Self) -> bool {
        self.constant.eq(&other.constant)
    }
}

impl Eq for BoundedConstant {}

impl Hash for BoundedConstant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.constant.hash(state);
    }
}

impl fmt::Display for BoundedConstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.constant.fmt(f)
    }
}

impl PhysicalExpr for BoundedConstant {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.constant.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.constant.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.constant.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let value = self.constant.evaluate(batch)?;
        let (rows, bytes_max) = (batch.num_rows(), self.bytes_max);
        if let ColumnarValue::Scalar(constant) = &value {
            let bytes = constant.size() as u128 * rows as u128;
            if bytes > u128::from(bytes_max) {
                return Err(DataFusionError::from(Error::invalid(format!(
                    "a constant column would take {bytes} bytes for a batch of {rows} rows, and \
                     {bytes_max} is the most it may; select it for fewer rows, or make \
                     datafusion.execution.batch_size smaller"
                ))));
            }
        }
        Ok(value)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.constant.fmt_sql(f)
    }
}
