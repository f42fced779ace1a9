//! `min` and `max` of floats and dates in groups.
//!
//! The engine's accumulators of groups compare floats so that a NaN wins or loses by the order of
//! rows, and know no value beyond the finite ones. Ours take their places: NaN is greater than every
//! number, as in comparisons and `ORDER BY`.
//!
//! Of a group without dates the engine's leave the first or last date there could be, as a NULL; a
//! cast to a time, which computes with what is under a NULL, then overflows. Ours leave the zero.
//!
//! Structs are refused: of two with a NULL in a field, none is the greater one to the engine.

mod groups;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, Date32Type, FieldRef, Float16Type, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ExprSchemable, GroupsAccumulator, LogicalPlan,
    ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion::optimizer::AnalyzerRule;
use lakehouse_core::error::Error;

use crate::aggregate_call::{AggregateCall, with_functions};
use groups::GroupExtremes;

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct ExtremeRule;

impl AnalyzerRule for ExtremeRule {
    fn name(&self) -> &str {
        "lakehouse_extremes"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        with_functions(plan, extreme)
    }
}

/// The function to call instead of one that may be wrong.
fn extreme(call: &AggregateCall<'_>) -> Result<Option<Arc<AggregateUDF>>> {
    let engine = call.function.inner().as_any();
    let kind = match () {
        () if engine.is::<Min>() => Kind::Min,
        () if engine.is::<Max>() => Kind::Max,
        () => return Ok(None),
    };
    let [argument] = call.arguments else {
        return Ok(None);
    };
    let data_type = argument.get_type(call.schema)?;
    if matches!(data_type, DataType::Struct(_)) {
        let message = "min and max of structs, which the engine compares by the order of rows \
                       where a field is NULL; take those of a field, or the first row by ORDER BY";
        return Err(Error::unsupported(message).into());
    }
    if call.is_windowed || !(data_type.is_floating() || data_type == DataType::Date32) {
        return Ok(None);
    }
    let engine = Arc::clone(call.function);
    Ok(Some(Arc::new(AggregateUDF::from(Extreme { kind, engine }))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Min,
    Max,
}

/// The engine's function with other accumulators.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    kind: Kind,
    engine: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Extreme {
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
        self.engine.inner().return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.engine.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.engine.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.engine.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match args.return_field.data_type() {
            DataType::Date32 => Box::new(GroupExtremes::<Date32Type>::new(self.kind)),
            DataType::Float16 => Box::new(GroupExtremes::<Float16Type>::new(self.kind)),
            DataType::Float32 => Box::new(GroupExtremes::<Float32Type>::new(self.kind)),
            DataType::Float64 => Box::new(GroupExtremes::<Float64Type>::new(self.kind)),
            _ => return self.engine.create_groups_accumulator(args),
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn is_descending(&self) -> Option<bool> {
        self.engine.is_descending()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.engine.value_from_stats(statistics)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.engine.inner().set_monotonicity(data_type)
    }
}

#[cfg(test)]
mod tests;
