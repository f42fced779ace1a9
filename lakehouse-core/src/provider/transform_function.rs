//! Partition transforms as functions of the engine: `bucket(16, id)`, `days(ts)`.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use iceberg::spec::Transform;

use crate::error::{Error, Result};
use crate::write::transform;

/// The partition transforms as functions, each also under its name in `system`: `bucket(n, x)`,
/// `truncate(w, x)`, and `years`, `months`, `days` and `hours` of a time.
///
/// They give the values that tables are partitioned by, so days and hours are those of UTC and
/// years, months and hours count from 1970. NULL gives NULL. A filter on one of them skips files.
pub fn transform_functions() -> Vec<ScalarUDF> {
    [
        Kind::Bucket,
        Kind::Truncate,
        Kind::Years,
        Kind::Months,
        Kind::Days,
        Kind::Hours,
    ]
    .into_iter()
    .map(|kind| ScalarUDF::new_from_impl(TransformFunction::new(kind)))
    .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Bucket,
    Truncate,
    Years,
    Months,
    Days,
    Hours,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Truncate => "truncate",
            Self::Years => "years",
            Self::Months => "months",
            Self::Days => "days",
            Self::Hours => "hours",
        }
    }

    /// Whether a number of buckets, or a width, stands before the value.
    fn has_number(self) -> bool {
        matches!(self, Self::Bucket | Self::Truncate)
    }

    /// The type in which the transform takes values of a type; `None` when it takes none of them.
    fn taken(self, data_type: &DataType) -> Option<DataType> {
        use DataType as T;
        let is_clock = |unit: &TimeUnit| !matches!(unit, TimeUnit::Nanosecond);
        let taken = match data_type {
            T::Null | T::Int8 | T::Int16 | T::UInt8 | T::UInt16 => T::Int32,
            T::UInt32 => T::Int64,
            T::Timestamp(unit, zone) if is_clock(unit) => {
                T::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(Arc::clone))
            }
            T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
            T::Binary | T::LargeBinary | T::BinaryView => T::LargeBinary,
            other => other.clone(),
        };
        let is_time = matches!(taken, T::Date32 | T::Timestamp(..));
        let fits = match self {
            Self::Bucket => {
                is_time
                    || matches!(
                        taken,
                        T::Int32
                            | T::Int64
                            | T::Decimal128(..)
                            | T::Utf8
                            | T::LargeBinary
                            | T::FixedSizeBinary(_)
                            | T::Time64(TimeUnit::Microsecond)
                    )
            }
            Self::Truncate => matches!(
                taken,
                T::Int32 | T::Int64 | T::Decimal128(..) | T::Utf8 | T::LargeBinary
            ),
            Self::Years | Self::Months | Self::Days => is_time,
            Self::Hours => is_time && taken != T::Date32,
        };
        match (fits, data_type) {
            (true, _) => Some(taken),
            (false, T::Null) => Some(T::Timestamp(TimeUnit::Microsecond, None)),
            (false, _) => None,
        }
    }

    fn transform(self, number: Option<u32>) -> Result<Transform> {
        Ok(match (self, number) {
            (Self::Bucket, Some(buckets)) => Transform::Bucket(buckets),
            (Self::Truncate, Some(width)) => Transform::Truncate(width),
            (Self::Years, _) => Transform::Year,
            (Self::Months, _) => Transform::Month,
            (Self::Days, _) => Transform::Day,
            (Self::Hours, _) => Transform::Hour,
            (Self::Bucket | Self::Truncate, None) => {
                return Err(Error::invalid(format!(
                    "the first argument of {} must be a whole number from 1 to {}",
                    self.name(),
                    i32::MAX
                )));
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TransformFunction {
    kind: Kind,
    aliases: Vec<String>,
    signature: Signature,
}

impl TransformFunction {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            aliases: vec![format!("system.{}", kind.name())],
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn apply(&self, args: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let rows = args.number_rows;
        let (number, values) = match args.args.as_slice() {
            [values] => (None, values),
            [ColumnarValue::Scalar(number), values] => (positive(number), values),
            _ => (None, &ColumnarValue::Scalar(ScalarValue::Null)),
        };
        let transform = self.kind.transform(number)?;
        let values = values.to_array(rows)?;
        let values = match values.data_type() {
            // The transforms are those of the instant.
            DataType::Timestamp(unit, Some(_)) => {
                cast(&values, &DataType::Timestamp(*unit, None)).map_err(DataFusionError::from)?
            }
            _ => values,
        };
        transform::apply(transform, &values)
    }
}

fn positive(number: &ScalarValue) -> Option<u32> {
    match number {
        ScalarValue::Int64(Some(number)) => {
            let number = i32::try_from(*number).ok().filter(|number| *number > 0)?;
            u32::try_from(number).ok()
        }
        _ => None,
    }
}

impl ScalarUDFImpl for TransformFunction {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.kind.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> EngineResult<Vec<DataType>> {
        let name = self.name();
        let (number, value) = match types {
            [number, value] if self.kind.has_number() => (Some(number), value),
            [value] if !self.kind.has_number() => (None, value),
            _ if self.kind.has_number() => {
                return plan_err!(
                    "{name} takes a whole number and a value, such as {name}(16, id)"
                );
            }
            _ => return plan_err!("{name} takes one value, a date or a time"),
        };
        if number.is_some_and(|number| !number.is_integer()) {
            return plan_err!("the first argument of {name} must be a whole number");
        }
        let Some(taken) = self.kind.taken(value) else {
            return plan_err!("{name} takes no values of type {value}");
        };
        Ok(number
            .map(|_| DataType::Int64)
            .into_iter()
            .chain([taken])
            .collect())
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        Ok(match (self.kind, types.last()) {
            (Kind::Truncate, Some(value)) => value.clone(),
            (Kind::Days, _) => DataType::Date32,
            _ => DataType::Int32,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let all_scalar = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let array = self.apply(&args)?;
        Ok(match all_scalar && !array.is_empty() {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}
