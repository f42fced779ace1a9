//! Lengths of time by numbers, which the engine lacks: `n * INTERVAL '1 day'`, `(b - a) / 2`.
//!
//! Whole numbers of an interval's months, days and nanoseconds are multiplied each by itself. By a
//! fraction, and divided, a day has 24 hours; a month has no length of its own, so what is left of
//! one is an error.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray};
use arrow::compute::{cast, cast_with_options};
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::DFSchema;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use lakehouse_core::error::{Error, Result};

use crate::length::DAY_NANOSECONDS;
use crate::of_columns::of_columns;

/// Plans products and quotients of lengths of time and numbers.
#[derive(Debug)]
pub(crate) struct LengthProducts;

impl ExprPlanner for LengthProducts {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let is_quotient = match expr.op {
            BinaryOperator::Multiply => false,
            BinaryOperator::Divide => true,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let types = (expr.left.get_type(schema), expr.right.get_type(schema));
        let (Ok(left), Ok(right)) = types else {
            return Ok(PlannerResult::Original(expr));
        };
        let is_known = match (is_length(&left), is_length(&right)) {
            (true, false) => is_number(&right),
            (false, true) => is_number(&left) && !is_quotient,
            _ => false,
        };
        if !is_known {
            return Ok(PlannerResult::Original(expr));
        }
        let function = ScalarUDF::from(LengthProduct {
            signature: Signature::any(2, Volatility::Immutable),
            is_quotient,
        });
        let call = ScalarFunction::new_udf(Arc::new(function), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

fn is_length(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_null()
}

/// See the module documentation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LengthProduct {
    signature: Signature,
    is_quotient: bool,
}

impl ScalarUDFImpl for LengthProduct {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        match self.is_quotient {
            true => "length_quotient",
            false => "length_product",
        }
    }

    /// As the engine names products.
    fn schema_name(&self, args: &[Expr]) -> EngineResult<String> {
        let names: Vec<String> = args
            .iter()
            .map(|arg| arg.schema_name().to_string())
            .collect();
        Ok(names.join(if self.is_quotient { " / " } else { " * " }))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        let mut differences = types
            .iter()
            .filter(|kind| matches!(kind, DataType::Duration(_)));
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        Ok(differences.next().cloned().unwrap_or(interval))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[left, right]| {
            let (lengths, numbers) = match is_length(left.data_type()) {
                true => (left, right),
                false => (right, left),
            };
            Ok(self.products(lengths, &Factors::of(numbers)?)?)
        })
    }
}

/// The numbers beside lengths: exact where they are whole.
enum Factors {
    Whole(Int64Array),
    Fractions(ArrayRef),
}

/// One of them.
#[derive(Clone, Copy)]
enum Factor {
    Whole(i64),
    Fraction(f64),
}

impl Factors {
    fn of(numbers: &ArrayRef) -> EngineResult<Self> {
        Ok(match numbers.data_type().is_integer() {
            true => {
                // One that is too large is an error, not NULL.
                let whole = cast_with_options(numbers, &DataType::Int64, &DEFAULT_CAST_OPTIONS)?;
                Self::Whole(whole.as_primitive().clone())
            }
            false => Self::Fractions(cast(numbers, &DataType::Float64)?),
        })
    }

    fn iter(&self) -> Box<dyn Iterator<Item = Option<Factor>> + '_> {
        match self {
            Self::Whole(numbers) => {
                Box::new(numbers.iter().map(|number| number.map(Factor::Whole)))
            }
            Self::Fractions(numbers) => {
                let numbers = numbers.as_primitive::<Float64Type>();
                Box::new(numbers.iter().map(|number| number.map(Factor::Fraction)))
            }
        }
    }
}

impl LengthProduct {
    fn products(&self, lengths: &ArrayRef, factors: &Factors) -> Result<ArrayRef> {
        let kind = lengths.data_type();
        if matches!(kind, DataType::Duration(_)) {
            let numbers = cast(lengths, &DataType::Int64)?;
            let pairs = numbers.as_primitive::<Int64Type>().iter();
            let products = pairs.zip(factors.iter()).map(|pair| match pair {
                (Some(length), Some(factor)) => {
                    let product = self.scaled(i128::from(length), factor)?;
                    i64::try_from(product).map(Some).map_err(|_| too_long())
                }
                _ => Ok(None),
            });
            let products: Int64Array = products.collect::<Result<_>>()?;
            return Ok(cast(&products, kind)?);
        }
        let intervals = cast(lengths, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let pairs = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
        let products = pairs.zip(factors.iter()).map(|pair| match pair {
            (Some(interval), Some(factor)) => self.interval(interval, factor).map(Some),
            _ => Ok(None),
        });
        let products: IntervalMonthDayNanoArray = products.collect::<Result<_>>()?;
        Ok(Arc::new(products))
    }

    fn interval(
        &self,
        interval: IntervalMonthDayNano,
        factor: Factor,
    ) -> Result<IntervalMonthDayNano> {
        let months = self.whole_months(interval.months, factor)?;
        let (days, nanoseconds) = match factor {
            Factor::Whole(number) if !self.is_quotient => {
                let number = i128::from(number);
                let days = i128::from(interval.days) * number;
                (days, i128::from(interval.nanoseconds) * number)
            }
            _ => {
                let days = self.scaled(i128::from(interval.days) * DAY_NANOSECONDS, factor)?;
                let rest = self.scaled(i128::from(interval.nanoseconds), factor)?;
                let whole = days / DAY_NANOSECONDS;
                (whole, days % DAY_NANOSECONDS + rest)
            }
        };
        Ok(IntervalMonthDayNano {
            months,
            days: i32::try_from(days).map_err(|_| too_long())?,
            nanoseconds: i64::try_from(nanoseconds).map_err(|_| too_long())?,
        })
    }

    fn whole_months(&self, months: i32, factor: Factor) -> Result<i32> {
        let is_whole = match factor {
            Factor::Whole(number) if self.is_quotient => {
                number == 0 || i64::from(months) % number == 0
            }
            Factor::Whole(_) => true,
            Factor::Fraction(number) if self.is_quotient => {
                number == 0.0 || (f64::from(months) / number).fract() == 0.0
            }
            Factor::Fraction(number) => (f64::from(months) * number).fract() == 0.0,
        };
        if !is_whole {
            return Err(Error::invalid(
                "a part of a month has no length: an interval with months or years can only be \
                 multiplied and divided so that whole months come out",
            ));
        }
        let product = self.scaled(i128::from(months), factor)?;
        i32::try_from(product).map_err(|_| too_long())
    }

    /// Rounded to the nearest number, a half away from zero.
    fn scaled(&self, units: i128, factor: Factor) -> Result<i128> {
        match factor {
            Factor::Whole(0) if self.is_quotient => Err(by_zero()),
            Factor::Fraction(0.0) if self.is_quotient => Err(by_zero()),
            Factor::Whole(number) if self.is_quotient => {
                let number = i128::from(number);
                let (whole, rest) = (units / number, units % number);
                let is_half = rest.abs() * 2 >= number.abs();
                let away = units.signum() * number.signum();
                Ok(whole + if is_half { away } else { 0 })
            }
            Factor::Whole(number) => Ok(units * i128::from(number)),
            Factor::Fraction(number) => {
                #[expect(clippy::cast_precision_loss, reason = "beside a double")]
                let units = units as f64;
                let product = match self.is_quotient {
                    true => units / number,
                    false => units * number,
                };
                whole(product.round()).ok_or_else(too_long)
            }
        }
    }
}

fn whole(number: f64) -> Option<i128> {
    // Far more than any length has room for.
    const END: f64 = 1e30;
    if number.is_nan() || number.abs() > END {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and not too large"
    )]
    let number = number as i128;
    Some(number)
}

fn too_long() -> Error {
    Error::invalid("the product or quotient of a length of time has no room in an interval")
}

fn by_zero() -> Error {
    Error::invalid("a length of time is divided by zero")
}
