//! `date_trunc` of times that nanoseconds do not hold: right, or an error.
//!
//! The engine counts in nanoseconds, which reach from 1677 to 2262, and lets the numbers wrap
//! around beyond. Only where it need not ask a calendar, it does without.

use std::any::Any;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::datetime::date_trunc::DateTruncFunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use lakehouse_core::error::Error;

/// The engine's function, kept from wrapping around.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DateTrunc {
    engine: DateTruncFunc,
}

impl ScalarUDFImpl for DateTrunc {
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
        self.engine.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.engine.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [unit, time] = args.args.as_slice() else {
            return self.engine.invoke_with_args(args);
        };
        if is_held(time)? {
            return self.engine.invoke_with_args(args);
        }
        if !is_without_calendar(unit, &time.data_type()) {
            let message = "date_trunc reaches from 1677 to 2262: leave out other times, or take \
                           them apart by extract";
            return Err(DataFusionError::from(Error::unsupported(message)));
        }
        // Single values go through nanoseconds whatever the unit; arrays do not.
        let is_scalar = matches!(time, ColumnarValue::Scalar(_));
        let times = time.to_array(1)?;
        args.args[1] = ColumnarValue::Array(times);
        match self.engine.invoke_with_args(args)? {
            ColumnarValue::Array(cut) if is_scalar => {
                ScalarValue::try_from_array(&cut, 0).map(ColumnarValue::Scalar)
            }
            cut => Ok(cut),
        }
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.engine.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }
}

/// Whether nanoseconds hold all of these times.
fn is_held(times: &ColumnarValue) -> Result<bool> {
    let scale = match times.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        _ => return Ok(true),
    };
    let numbers = cast(&times.to_array(1)?, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    // The first years are left out: what they are cut to may lie before.
    let largest = i64::MAX / scale;
    let range = -largest / 100 * 99..=largest;
    Ok(numbers
        .iter()
        .flatten()
        .all(|number| range.contains(&number)))
}

/// Whether cutting to this unit is arithmetic on the number alone.
fn is_without_calendar(unit: &ColumnarValue, time: &DataType) -> bool {
    let ColumnarValue::Scalar(unit) = unit else {
        return false;
    };
    let Some(Some(unit)) = unit.try_as_str() else {
        return false;
    };
    let has_zone = matches!(time, DataType::Timestamp(_, Some(_)));
    match unit.to_lowercase().as_str() {
        "microsecond" | "millisecond" | "second" | "minute" => true,
        "hour" | "day" => !has_zone,
        _ => false,
    }
}
