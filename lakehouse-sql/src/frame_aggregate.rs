//! Aggregates over windows whose frame moves: what has left a frame leaves no trace.
//!
//! The engine takes values out of its accumulators by the inverse of putting them in. After a NaN or
//! an infinity there is none, large floats take small ones with them, and several of its
//! accumulators do not know that they are empty again, or take the wrong values out. Here floats are
//! merged anew from what is in the frame, other sums and counts are the engine's while they have
//! values, and everything else is computed again for each frame, also what the engine cannot do.

mod known;
mod moments;
mod recomputed;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::count::Count;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::functions_aggregate::stddev::{Stddev, StddevPop};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::functions_aggregate::variance::{VariancePopulation, VarianceSample};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, LogicalPlan, ReversedUDAF, SetMonotonicity,
    Signature, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

use crate::aggregate_call::with_functions;
use crate::checked_sum::CheckedSum;
use known::WhileKnown;
use moments::{Moment, MomentsOfFrame};
use recomputed::Recomputed;

/// Functions that are 0, and not NULL, of no values; the engine knows it of `count` alone.
const ZERO_OF_NOTHING: &[&str] = &["regr_count", "approx_distinct"];

/// See the module documentation. Stands behind the rules that give aggregates other functions.
#[derive(Debug)]
pub(crate) struct FrameAggregateRule;

impl AnalyzerRule for FrameAggregateRule {
    fn name(&self) -> &str {
        "lakehouse_frame_aggregates"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| node.apply_expressions(|expr| expr.apply(refuse_gaps)))?;
        with_functions(plan, |call| {
            let engine = Arc::clone(call.function);
            let moving = || Arc::new(AggregateUDF::from(FrameAggregate { engine }));
            Ok(call.is_windowed.then(moving))
        })
    }
}

/// Refuses frames by which the engine loses its place: one without rows between others that have
/// some. It goes on from there as if nothing had been in the accumulator.
fn refuse_gaps(expr: &Expr) -> Result<TreeNodeRecursion> {
    if let Expr::WindowFunction(call) = expr {
        let WindowFunction { fun, params } = call.as_ref();
        let is_aggregate = matches!(fun, WindowFunctionDefinition::AggregateUDF(_));
        if is_aggregate && may_have_gaps(&params.window_frame) {
            return Err(Error::unsupported(format!(
                "{} over a RANGE frame that ends before the current row or starts behind it; let it \
                 start or end at CURRENT ROW or UNBOUNDED, use ROWS or GROUPS, or join the rows",
                fun.name()
            ))
            .into());
        }
    }
    Ok(TreeNodeRecursion::Continue)
}

/// Whether a frame may have no rows where an earlier and a later one have. Frames by rows and by
/// groups have some except at the ends of a partition.
fn may_have_gaps(frame: &WindowFrame) -> bool {
    let (start, end) = (&frame.start_bound, &frame.end_bound);
    let is_bounded = !start.is_unbounded() && !end.is_unbounded();
    frame.units == WindowFrameUnits::Range
        && is_bounded
        && (matches!(end, WindowFrameBound::Preceding(_))
            || matches!(start, WindowFrameBound::Following(_)))
}

/// The engine's function with other accumulators for frames that move.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FrameAggregate {
    engine: Arc<AggregateUDF>,
}

impl FrameAggregate {
    /// What a float's statistics are merged into, if the function is one of them.
    fn moment(&self, args: &AccumulatorArgs<'_>) -> Option<Moment> {
        let values = args.expr_fields.first().map(|field| field.data_type());
        if args.is_distinct || values != Some(&DataType::Float64) || args.expr_fields.len() > 1 {
            return None;
        }
        let engine = self.engine.inner().as_any();
        Some(match () {
            () if engine.is::<Sum>() => Moment::Sum,
            () if engine.is::<Avg>() => Moment::Average,
            () if engine.is::<VarianceSample>() => Moment::Variance { is_sample: true },
            () if engine.is::<VariancePopulation>() => Moment::Variance { is_sample: false },
            () if engine.is::<Stddev>() => Moment::Deviation { is_sample: true },
            () if engine.is::<StddevPop>() => Moment::Deviation { is_sample: false },
            () => return None,
        })
    }

    /// Whether values leave the engine's accumulator, and ours of decimals, as they came, while one
    /// is left that is not NULL.
    fn is_invertible(&self, args: &AccumulatorArgs<'_>) -> bool {
        let engine = self.engine.inner().as_any();
        let is_sum = engine.is::<Sum>() || engine.is::<Avg>() || engine.is::<CheckedSum>();
        let is_extreme = engine.is::<Min>() || engine.is::<Max>();
        is_extreme || is_sum && !args.is_distinct
    }
}

impl AggregateUDFImpl for FrameAggregate {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn aliases(&self) -> &[String] {
        self.engine.aliases()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.engine.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engine.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.engine.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.engine.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.engine.accumulator(args)
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        if let Some(moment) = self.moment(&args) {
            return Ok(Box::new(MomentsOfFrame::new(moment)));
        }
        if self.engine.inner().as_any().is::<Count>() {
            return self.engine.create_sliding_accumulator(args);
        }
        if self.is_invertible(&args) {
            let none = ScalarValue::try_from(args.return_field.data_type())?;
            let engine = self.engine.create_sliding_accumulator(args)?;
            return Ok(Box::new(WhileKnown::new(engine, none)));
        }
        let engine = Arc::clone(&self.engine);
        Ok(Box::new(Recomputed::new(engine, &args)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.engine.state_fields(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.engine.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.engine.reverse_udf() {
            ReversedUDAF::Reversed(engine) => {
                let reversed = AggregateUDF::from(Self { engine });
                ReversedUDAF::Reversed(Arc::new(reversed))
            }
            other => other,
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.engine.is_descending()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match ZERO_OF_NOTHING.contains(&self.engine.name()) {
            true => ScalarValue::new_zero(data_type),
            false => self.engine.default_value(data_type),
        }
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.engine.supports_null_handling_clause()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.engine.inner().set_monotonicity(data_type)
    }
}

#[cfg(test)]
mod tests;
