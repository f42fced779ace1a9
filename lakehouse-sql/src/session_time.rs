//! The present, and numbers and texts as times: in microseconds, with the session's zone.
//!
//! The engine makes nanoseconds of them, which end in 1677 and 2262. A column compared with them
//! would be cast to those: it fails for years beyond, and no file is skipped by it.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::{cast, cast_with_options};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, TimeUnit,
};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::error::Result as EngineResult;
use datafusion::functions::datetime::from_unixtime::FromUnixtimeFunc;
use datafusion::functions::datetime::to_timestamp::ToTimestampMicrosFunc;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::local_time::{Misfit, is_utc, read_times};

/// Digits behind the second of a microsecond.
const MICROSECOND_DIGITS: i8 = 6;
const SECOND_MICROSECONDS: f64 = 1e6;

/// The functions of this module in the zone of a session, which take another when it changes.
pub(crate) fn session_times(options: &ConfigOptions) -> Vec<ScalarUDF> {
    let zone: Arc<str> = Arc::from(options.execution.time_zone.as_deref().unwrap_or("UTC"));
    vec![
        ScalarUDF::from(Now {
            signature: Signature::nullary(Volatility::Stable),
            aliases: vec!["current_timestamp".to_owned()],
            zone: Arc::clone(&zone),
        }),
        ScalarUDF::from(ToTimestamp {
            signature: Signature::variadic_any(Volatility::Immutable),
            formats: ToTimestampMicrosFunc::new_with_config(options),
            zone: Arc::clone(&zone),
        }),
        ScalarUDF::from(FromUnixtime {
            engine: FromUnixtimeFunc::new(),
            zone,
        }),
    ]
}

/// The function of this name in the session's zone of now.
fn updated(name: &str, options: &ConfigOptions) -> Option<ScalarUDF> {
    let mut functions = session_times(options).into_iter();
    functions.find(|function| function.name() == name)
}

/// `now()` and `current_timestamp`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    signature: Signature,
    aliases: Vec<String>,
    zone: Arc<str>,
}

impl ScalarUDFImpl for Now {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        updated(self.name(), options)
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(micros(&self.zone))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), micros(&self.zone), false)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Err(Error::internal("the present is known when a statement is planned").into())
    }

    fn simplify(
        &self,
        args: Vec<Expr>,
        context: &SimplifyContext,
    ) -> EngineResult<ExprSimplifyResult> {
        let Some(now) = context.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let zone = Some(Arc::clone(&self.zone));
        let now = ScalarValue::TimestampMicrosecond(Some(now.timestamp_micros()), zone);
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(now, None)))
    }
}

/// `to_timestamp`: numbers are seconds since 1970.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp {
    signature: Signature,
    /// Reads texts in formats of their own.
    formats: ToTimestampMicrosFunc,
    zone: Arc<str>,
}

impl ScalarUDFImpl for ToTimestamp {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "to_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        updated(self.name(), options)
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        Ok(match types.first() {
            // Nothing of a finer time is lost.
            Some(DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
                DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::clone(&self.zone)))
            }
            _ => micros(&self.zone),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        if let [_, _, ..] = args.args.as_slice() {
            return self.formats.invoke_with_args(args);
        }
        let target = args.return_field.data_type().clone();
        let [value] = args.args.as_slice() else {
            return Err(Error::invalid("to_timestamp takes a value, and formats of a text").into());
        };
        let times = self.times(&value.to_array(1)?, &target)?;
        Ok(match value {
            ColumnarValue::Scalar(_) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&times, 0)?)
            }
            ColumnarValue::Array(_) => ColumnarValue::Array(times),
        })
    }
}

impl ToTimestamp {
    fn times(&self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        match values.data_type() {
            DataType::Timestamp(_, Some(_)) => {
                Ok(cast_with_options(values, target, &DEFAULT_CAST_OPTIONS)?)
            }
            text if text.is_string() => read_times(values, target, &self.zone, Misfit::Cut),
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64
                if !is_utc(&self.zone) =>
            {
                read_times(values, target, &self.zone, Misfit::Cut)
            }
            number if number.is_numeric() => Ok(cast(&micros_of_seconds(values)?, target)?),
            _ => Ok(cast_with_options(values, target, &DEFAULT_CAST_OPTIONS)?),
        }
    }
}

/// Seconds as microseconds; doubles are rounded to them, and decimals cut.
fn micros_of_seconds(seconds: &ArrayRef) -> Result<Int64Array> {
    let too_many = || Error::invalid("a number of seconds is too large for a timestamp");
    if seconds.data_type().is_floating() {
        let seconds = cast(seconds, &DataType::Float64)?;
        let seconds = seconds.as_primitive::<Float64Type>();
        let micros: Float64Array = seconds.unary(|seconds| (seconds * SECOND_MICROSECONDS).round());
        let micros = cast_with_options(&micros, &DataType::Int64, &DEFAULT_CAST_OPTIONS);
        let micros = micros.map_err(|error| too_many().with_source(error))?;
        return Ok(micros.as_primitive::<Int64Type>().clone());
    }
    let decimal = DataType::Decimal128(38, MICROSECOND_DIGITS);
    let micros = cast_with_options(seconds, &decimal, &DEFAULT_CAST_OPTIONS)?;
    let micros = micros.as_primitive::<Decimal128Type>();
    let held = |micros| i64::try_from(micros).map_err(|_| too_many());
    let held = micros.iter().map(|number| number.map(held).transpose());
    held.collect()
}

fn micros(zone: &Arc<str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(zone)))
}

/// `from_unixtime`: an instant, in the session's zone unless it is told another.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FromUnixtime {
    engine: FromUnixtimeFunc,
    zone: Arc<str>,
}

impl ScalarUDFImpl for FromUnixtime {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        updated(self.name(), options)
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        self.engine.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        if args.arg_fields.len() > 1 {
            return self.engine.return_field_from_args(args);
        }
        let instant = DataType::Timestamp(TimeUnit::Second, Some(Arc::clone(&self.zone)));
        Ok(Arc::new(Field::new(self.name(), instant, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        match args.args.as_slice() {
            [seconds] => seconds.cast_to(args.return_field.data_type(), None),
            _ => self.engine.invoke_with_args(args),
        }
    }
}
