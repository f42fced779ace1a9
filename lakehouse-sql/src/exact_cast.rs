//! Nanoseconds into microseconds on the way into a table: only when nothing is lost.
//!
//! The engine casts the rows of an insert to the table's types and cuts fractions silently. Casts
//! that the engine put there are replaced by one that refuses; casts that the user wrote lie
//! deeper in the plan and stay.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampNanosecondType};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Alias, Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

/// Replaces the outermost casts of a plan that cut nanoseconds.
pub(crate) fn exact_casts(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::Projection(mut projection) => {
            let input = Arc::unwrap_or_clone(projection.input);
            let input = if let LogicalPlan::Values(_) = input {
                exact_casts(input)?
            } else {
                input
            };
            let schema = Arc::clone(input.schema());
            projection.expr = exact_all(projection.expr, &schema)?;
            projection.input = Arc::new(input);
            LogicalPlan::Projection(projection)
        }
        LogicalPlan::Values(mut values) => {
            let empty = DFSchema::empty();
            values.values = values
                .values
                .into_iter()
                .map(|row| exact_all(row, &empty))
                .collect::<EngineResult<_>>()?;
            LogicalPlan::Values(values)
        }
        other => other,
    })
}

fn exact_all(expressions: Vec<Expr>, schema: &DFSchema) -> EngineResult<Vec<Expr>> {
    expressions
        .into_iter()
        .map(|expression| exact(expression, schema))
        .collect()
}

fn exact(expression: Expr, schema: &DFSchema) -> EngineResult<Expr> {
    match expression {
        Expr::Alias(alias) => {
            let inner = exact(*alias.expr, schema)?;
            Ok(Expr::Alias(Alias {
                expr: Box::new(inner),
                ..alias
            }))
        }
        Expr::Cast(Cast { expr, data_type }) => {
            let cuts = matches!(&data_type, DataType::Timestamp(TimeUnit::Microsecond, _))
                && matches!(
                    expr.get_type(schema)?,
                    DataType::Timestamp(TimeUnit::Nanosecond, _)
                );
            if !cuts {
                return Ok(Expr::Cast(Cast { expr, data_type }));
            }
            let function = ScalarUDF::from(ExactMicroseconds::new(data_type));
            let call = ScalarFunction::new_udf(Arc::new(function), vec![*expr]);
            Ok(Expr::ScalarFunction(call))
        }
        other => Ok(other),
    }
}

/// A cast to microseconds that refuses a value with nanoseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactMicroseconds {
    signature: Signature,
    target: DataType,
}

impl ExactMicroseconds {
    fn new(target: DataType) -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            target,
        }
    }
}

impl ScalarUDFImpl for ExactMicroseconds {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "exact_microseconds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let is_scalar = matches!(args.args.as_slice(), [ColumnarValue::Scalar(_)]);
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = arrays.as_slice() else {
            return Err(Error::internal("a cast takes one value").into());
        };
        refuse_nanoseconds(values.as_ref())?;
        let cut = cast(values, &self.target)?;
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cut, 0)?));
        }
        Ok(ColumnarValue::Array(cut))
    }
}

fn refuse_nanoseconds(values: &dyn Array) -> Result<()> {
    let Some(values) = values.as_primitive_opt::<TimestampNanosecondType>() else {
        return Ok(());
    };
    match values.iter().flatten().find(|value| value % 1_000 != 0) {
        None => Ok(()),
        Some(value) => Err(Error::invalid(format!(
            "timestamp {value} ns since 1970 has nanoseconds, which a microsecond column would \
             lose; round it, or use TIMESTAMP_NS in a table of format version 3"
        ))),
    }
}
