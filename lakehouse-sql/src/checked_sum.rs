//! Sums and averages of decimals fail when they leave their type.
//!
//! The engine adds decimals of 128 bits without a check: 2 × 10^38 comes back as another number.
//! A `sum` has ten digits more than its values, so only values of more than 28 digits can leave it
//! with fewer than 10^10 rows; for those, functions of ours take the place of `sum` and `avg`. They
//! have the engine's names, types and states.

mod groups;
mod total;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef, i256};
use arrow::datatypes::{Decimal128Type, DecimalType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ExprSchemable, GroupsAccumulator, LogicalPlan,
    ReversedUDAF, SetMonotonicity, Signature,
};
use datafusion::optimizer::AnalyzerRule;
use lakehouse_core::error::Error;

use crate::aggregate_call::{AggregateCall, with_functions};
use groups::{GroupAverages, GroupSums};
use total::{DistinctTotal, Total};

/// Digits that a sum has more than its values.
const SUM_DIGITS: u8 = 10;

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct CheckedSumRule;

impl AnalyzerRule for CheckedSumRule {
    fn name(&self) -> &str {
        "lakehouse_checked_sums"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        with_functions(plan, checked)
    }
}

/// The function to call instead, if the results of this one may leave their type.
fn checked(call: &AggregateCall<'_>) -> Result<Option<Arc<AggregateUDF>>> {
    let engine = call.function.inner().as_any();
    let kind = match () {
        () if engine.is::<Sum>() => Kind::Sum,
        () if engine.is::<Avg>() => Kind::Average,
        () => return Ok(None),
    };
    let [argument] = call.arguments else {
        return Ok(None);
    };
    let DataType::Decimal128(precision, _) = argument.get_type(call.schema)? else {
        return Ok(None);
    };
    if precision <= DECIMAL128_MAX_PRECISION - SUM_DIGITS {
        return Ok(None);
    }
    let engine = Arc::clone(call.function);
    let checked = AggregateUDF::from(CheckedSum { kind, engine });
    Ok(Some(Arc::new(checked)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Average,
}

/// The engine's function with other accumulators.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CheckedSum {
    kind: Kind,
    engine: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for CheckedSum {
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

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engine.inner().return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let results = Results::of(self.kind, &args)?;
        if args.is_distinct {
            let engine = self.engine.accumulator(args)?;
            return Ok(Box::new(DistinctTotal::new(results, engine)));
        }
        Ok(Box::new(Total::new(results)))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        // The engine's refuse what they cannot do.
        if args.is_distinct {
            return self.engine.create_sliding_accumulator(args);
        }
        self.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.engine.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let results = Results::of(self.kind, &args)?;
        Ok(match self.kind {
            Kind::Sum => Box::new(GroupSums::new(results)),
            Kind::Average => Box::new(GroupAverages::new(results)),
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.engine.inner().set_monotonicity(data_type)
    }
}

/// What is made of a sum, and its type.
#[derive(Debug, Clone, Copy)]
struct Results {
    kind: Kind,
    /// Precision and scale of the values.
    values: (u8, i8),
    /// Precision and scale of the results.
    results: (u8, i8),
}

impl Results {
    fn of(kind: Kind, args: &AccumulatorArgs<'_>) -> Result<Self> {
        let values = args.expr_fields.first().map(|field| field.data_type());
        let (Some(DataType::Decimal128(precision, scale)), DataType::Decimal128(wider, finer)) =
            (values, args.return_type())
        else {
            return internal_err!("{} is of decimals here", args.name);
        };
        Ok(Self {
            kind,
            values: (*precision, *scale),
            results: (*wider, *finer),
        })
    }

    /// The type of the results.
    fn data_type(&self) -> DataType {
        DataType::Decimal128(self.results.0, self.results.1)
    }

    /// Precision and scale of the sums in a state.
    fn of_state(&self) -> (u8, i8) {
        match self.kind {
            Kind::Sum => self.results,
            Kind::Average => self.values,
        }
    }

    /// The type of the sums in a state.
    fn state_type(&self) -> DataType {
        let (precision, scale) = self.of_state();
        DataType::Decimal128(precision, scale)
    }

    /// The result of a sum of so many values.
    fn result(&self, sum: i256, count: u64) -> Result<i128> {
        let (precision, _) = self.results;
        let result = match self.kind {
            Kind::Sum => Some(sum),
            Kind::Average => self.average(sum, count),
        };
        result
            .and_then(i256::to_i128)
            .filter(|result| Decimal128Type::is_valid_decimal_precision(*result, precision))
            .ok_or_else(|| self.left())
    }

    /// The average, cut behind its last digit as the engine's is.
    fn average(&self, sum: i256, count: u64) -> Option<i256> {
        let digits = u32::try_from(self.results.1 - self.values.1).ok()?;
        let factor = i256::from_i128(10_i128.checked_pow(digits)?);
        let count = i256::from_i128(i128::from(count));
        sum.checked_mul(factor)?.checked_div(count)
    }

    /// The error of a result, or a part of it, that the type does not hold.
    fn left(&self) -> datafusion::error::DataFusionError {
        let name = match self.kind {
            Kind::Sum => "sum",
            Kind::Average => "average",
        };
        let (precision, scale) = self.results;
        Error::invalid(format!(
            "the {name} leaves DECIMAL({precision}, {scale}); cast the values to fewer decimal \
             places or to DOUBLE"
        ))
        .into()
    }
}

#[cfg(test)]
mod tests;
