//! Decimals that texts say: digits with a sign, a point and an exponent, or an error.
//!
//! The engine takes a text without digits for 0, so that every `-` and every blank that stands for
//! "no amount" would be one, and reads no exponents.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Field, FieldRef,
};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::of_columns::of_columns;

/// An expression's texts as decimals of type `target`; what is none is an error, or NULL.
pub(crate) fn decimal_of_text(text: Expr, target: DataType, is_try: bool) -> Expr {
    let function = ScalarUDF::from(DecimalOfText {
        signature: Signature::any(1, Volatility::Immutable),
        target,
        is_try,
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![text]))
}

/// Whether values of a type are texts.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => values.is_string(),
        other => other.is_string(),
    }
}

/// Whether a function is one of [`decimal_of_text`] that fails where a text says no decimal.
pub(crate) fn may_refuse(function: &ScalarUDF) -> bool {
    let call = function.inner().as_any().downcast_ref::<DecimalOfText>();
    call.is_some_and(|call| !call.is_try)
}

/// Texts as decimals of type `target`; what is none is an error, or NULL.
///
/// # Errors
/// For texts that say no number, or one that the type has no place for, unless `is_try`.
pub(crate) fn read_decimals(texts: &ArrayRef, target: &DataType, is_try: bool) -> Result<ArrayRef> {
    match *target {
        DataType::Decimal32(precision, scale) => {
            read::<Decimal32Type>(texts, precision, scale, is_try)
        }
        DataType::Decimal64(precision, scale) => {
            read::<Decimal64Type>(texts, precision, scale, is_try)
        }
        DataType::Decimal128(precision, scale) => {
            read::<Decimal128Type>(texts, precision, scale, is_try)
        }
        DataType::Decimal256(precision, scale) => {
            read::<Decimal256Type>(texts, precision, scale, is_try)
        }
        _ => Err(Error::internal(format!("{target} is no type of decimals"))),
    }
}

fn read<T: DecimalType>(
    texts: &ArrayRef,
    precision: u8,
    scale: i8,
    is_try: bool,
) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8View)?;
    let texts = texts.as_string_view();
    let mut decimals = PrimitiveArray::<T>::builder(texts.len());
    for text in texts {
        let decimal = text.map(|text| parse::<T>(text, precision, scale));
        match decimal.transpose() {
            Ok(decimal) => decimals.append_option(decimal),
            Err(_) if is_try => decimals.append_null(),
            Err(error) => return Err(error),
        }
    }
    let decimals = decimals.finish().with_precision_and_scale(precision, scale);
    Ok(Arc::new(decimals?))
}

/// The decimal that a text says, rounded half away from zero to the places of its type.
fn parse<T: DecimalType>(text: &str, precision: u8, scale: i8) -> Result<T::Native> {
    let written = Written::of(text).ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is no number, and a DECIMAL({precision}, {scale}) takes one, such as \
             '-12.50' or '1.5e3'"
        ))
    })?;
    let decimal = written.rounded::<T>(precision, scale.into());
    decimal.ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is too large for a DECIMAL({precision}, {scale})"
        ))
    })
}

/// The parts of a number in a text.
struct Written<'a> {
    is_negative: bool,
    /// Before the point.
    whole: &'a [u8],
    /// Behind the point.
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Written<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        (has_digits && is_digits(whole) && is_digits(fraction)).then(|| Self {
            is_negative: text.starts_with('-'),
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
            exponent,
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// The number in units of the last place; `None` where it has more digits than the type.
    fn rounded<T: DecimalType>(&self, precision: u8, scale: i64) -> Option<T::Native> {
        let zero = T::Native::usize_as(0);
        let zeros = self.digits().take_while(|digit| *digit == b'0').count();
        if zeros == self.whole.len() + self.fraction.len() {
            return Some(zero);
        }
        // Digits from the first that is not 0 to the last place.
        let places = i64::try_from(self.whole.len()).ok()? - i64::try_from(zeros).ok()?;
        let kept = places.saturating_add(self.exponent).saturating_add(scale);
        if kept > precision.into() {
            return None;
        }
        let Ok(kept) = usize::try_from(kept) else {
            return Some(zero);
        };
        let mut digits = self.digits().skip(zeros);
        let mut value = zero;
        for _ in 0..kept {
            let digit = digits.next().unwrap_or(b'0') - b'0';
            value = value.mul_wrapping(T::Native::usize_as(10));
            value = value.add_wrapping(T::Native::usize_as(digit.into()));
        }
        if digits.next().is_some_and(|digit| digit >= b'5') {
            value = value.add_wrapping(T::Native::usize_as(1));
        }
        if !T::is_valid_decimal_precision(value, precision) {
            return None;
        }
        Some(match self.is_negative {
            true => value.neg_wrapping(),
            false => value,
        })
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An exponent; one that 64 bits do not hold is as good as the largest.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !is_digits(digits) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX);
    Some(match text.starts_with('-') {
        true => -size,
        false => size,
    })
}

/// See [`decimal_of_text`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct DecimalOfText {
    signature: Signature,
    target: DataType,
    is_try: bool,
}

impl ScalarUDFImpl for DecimalOfText {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "decimal_of_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let nullable = self.is_try || args.arg_fields.iter().any(|field| field.is_nullable());
        let field = Field::new(self.name(), self.target.clone(), nullable);
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[texts]| {
            Ok(read_decimals(texts, &self.target, self.is_try)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_rounded_half_away_from_zero() {
        for (text, wanted) in [
            ("0", 0),
            ("-0.00", 0),
            ("12", 1_200),
            (" +1.5\t", 150),
            (".5", 50),
            ("5.", 500),
            ("0.005", 1),
            ("-0.005", -1),
            ("0.00499999999999999999999999999999999999999999", 0),
            ("1.005", 101),
            ("999.994", 99_999),
            ("0000000000000000000000000000000000000000000012.5", 1_250),
            ("1e2", 10_000),
            ("1.25E+1", 1_250),
            ("12345e-3", 1_235),
            ("4e-3", 0),
            ("5e-3", 1),
            ("0.0009e3", 90),
            ("1e-99999999999999999999", 0),
            ("0e99999999999999999999", 0),
        ] {
            let read = parse::<Decimal128Type>(text, 5, 2).unwrap();
            assert_eq!(read, wanted, "{text:?}");
        }
    }

    #[test]
    fn a_text_without_digits_is_no_number() {
        for text in [
            "", " ", "\t", "-", "+", ".", "-.", "+.", "e3", ".e3", "1e", "1e+", "1e1.5", "--1",
            "+-1", "1-", "1 2", "1.2.3", "1,5", "0x10", "1_000", "NaN", "inf", "five", "\u{0661}",
        ] {
            let error = parse::<Decimal128Type>(text, 5, 2).unwrap_err().to_string();
            assert!(error.contains("is no number"), "{text:?}: {error}");
            assert!(error.contains("DECIMAL(5, 2)"), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_the_type_has_no_place_for_is_too_large() {
        let widest = "9".repeat(38);
        assert!(parse::<Decimal128Type>(&widest, 38, 0).is_ok());
        assert!(parse::<Decimal256Type>(&widest, 40, 2).is_ok());
        for (text, precision, scale) in [
            ("1000", 5, 2),
            ("999.995", 5, 2),
            ("-999.995", 5, 2),
            ("1e3", 5, 2),
            ("1e99999999999999999999", 5, 2),
            (&format!("{widest}.5"), 38, 0),
        ] {
            let error = parse::<Decimal128Type>(text, precision, scale);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("too large"), "{text:?}: {error}");
        }
    }
}
