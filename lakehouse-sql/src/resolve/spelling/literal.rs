//! Literals in a form that the engine reads whole.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, TypedString, UnaryOperator, Value, ValueWithSpan,
};
use lakehouse_core::error::{Error, Result};

/// Digits behind the second of a microsecond.
const MICROSECOND_DIGITS: usize = 6;
/// Digits behind the second of a nanosecond.
const NANOSECOND_DIGITS: u64 = 9;

/// Decimal digits that every double keeps.
const DOUBLE_DIGITS: usize = 15;

/// Digits of the widest decimal.
const DECIMAL_DIGITS: usize = 38;

/// A number that neither a whole number of 64 bits nor a double holds, as the decimal it says: the
/// engine reads it as a double, and a value on its way into a DECIMAL column would lose its last
/// digits. A whole number beneath its sign is looked at with it.
///
/// # Errors
/// Numbers of more digits than a decimal and a double hold.
pub(super) fn exact_number(expr: &Expr) -> Result<Option<Expr>> {
    match expr {
        Expr::Value(number) => exact_decimal(number, false),
        Expr::UnaryOp {
            op: op @ UnaryOperator::Minus,
            expr,
        } => {
            let Expr::Value(number) = expr.as_ref() else {
                return Ok(None);
            };
            let exact = exact_decimal(number, true)?;
            Ok(exact.map(|exact| Expr::UnaryOp {
                op: *op,
                expr: Box::new(exact),
            }))
        }
        _ => Ok(None),
    }
}

fn exact_decimal(number: &ValueWithSpan, is_negative: bool) -> Result<Option<Expr>> {
    let at_place = |error: Error| {
        error
            .with_context("line", number.span.start.line)
            .with_context("column", number.span.start.column)
    };
    let Some(digits) = Digits::of(&number.value) else {
        return match is_infinite(&number.value) {
            true => Err(at_place(Error::invalid(format!(
                "the number {} is larger than a double holds",
                number.value
            )))),
            false => Ok(None),
        };
    };
    if !digits.has_point && is_whole_64(digits.whole, is_negative)
        || digits.has_point && digits.len() <= DOUBLE_DIGITS
    {
        return Ok(None);
    }
    // Zeros at the end say nothing that the type has no place for.
    let shortest = Digits {
        fraction: digits.fraction.trim_end_matches('0'),
        ..digits
    };
    if let Some(exact) = digits.decimal().or_else(|| shortest.decimal()) {
        return Ok(Some(exact));
    }
    if shortest.significant() <= DOUBLE_DIGITS {
        return Ok(None);
    }
    let exponent = match digits.has_point {
        true => "e0",
        false => ".0e0",
    };
    Err(at_place(Error::invalid(format!(
        "the number {} has more digits than a decimal, which has {DECIMAL_DIGITS}; shorten it, or \
         write {exponent} behind it for a double",
        number.value
    ))))
}

/// Whether a number is beyond a double, which would be infinite.
fn is_infinite(number: &Value) -> bool {
    let Value::Number(text, _) = number else {
        return false;
    };
    text.to_string().parse().is_ok_and(f64::is_infinite)
}

/// A number with a point that a decimal holds, as the decimal it says.
pub(in crate::resolve) fn decimal(value: &Value) -> Option<Expr> {
    Digits::of(value)
        .filter(|digits| digits.has_point)?
        .decimal()
}

/// Whether the engine reads the digits as a whole number.
fn is_whole_64(digits: &str, is_negative: bool) -> bool {
    match is_negative {
        true => format!("-{digits}").parse::<i64>().is_ok(),
        false => digits.is_empty() || digits.parse::<u64>().is_ok(),
    }
}

/// A number without exponent.
#[derive(Clone, Copy)]
struct Digits<'a> {
    /// Before the point, without the zeros at the beginning.
    whole: &'a str,
    /// Behind the point.
    fraction: &'a str,
    has_point: bool,
}

impl<'a> Digits<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let Value::Number(text, _) = value else {
            return None;
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        (is_plain(whole) && is_plain(fraction)).then(|| Self {
            whole: whole.trim_start_matches('0'),
            fraction,
            has_point: text.contains('.'),
        })
    }

    fn len(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    /// Digits between the first and the last that are not 0.
    fn significant(&self) -> usize {
        let digits = [self.whole, self.fraction].concat();
        digits.trim_matches('0').len()
    }

    fn decimal(&self) -> Option<Expr> {
        if !(1..=DECIMAL_DIGITS).contains(&self.len()) {
            return None;
        }
        let scale = i64::try_from(self.fraction.len()).ok()?;
        let precision = u64::try_from(self.len()).ok()?;
        let text = match self.fraction {
            "" => self.whole.to_owned(),
            fraction => format!("{}.{fraction}", self.whole),
        };
        Some(Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(Expr::value(Value::SingleQuotedString(text))),
            data_type: DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)),
            array: false,
            format: None,
        })
    }
}

/// A timestamp that says more than microseconds is one of nanoseconds; what cannot hold it refuses
/// it later, instead of cutting it now.
pub(super) fn keep_nanoseconds(typed: &mut TypedString) {
    let (DataType::Timestamp(precision @ None, _), Value::SingleQuotedString(text)) =
        (&mut typed.data_type, &typed.value.value)
    else {
        return;
    };
    let fraction = text.rsplit_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    if digits.skip(MICROSECOND_DIGITS).any(|digit| digit != b'0') {
        *precision = Some(NANOSECOND_DIGITS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: &str, is_negative: bool) -> Option<String> {
        let number = Expr::value(Value::Number(number.to_owned(), false));
        let expr = match is_negative {
            true => Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: Box::new(number),
            },
            false => number,
        };
        let exact = exact_number(&expr).unwrap_or_else(|error| panic!("{error}"));
        exact.map(|exact| exact.to_string())
    }

    #[test]
    fn numbers_that_the_engine_holds_stay_numbers() {
        for number in ["0", "007", "9223372036854775807", "18446744073709551615"] {
            assert_eq!(shown(number, false), None, "{number}");
        }
        for number in [
            "1.5",
            "0.",
            ".5",
            "123456789012.345",
            "1e40",
            "1.5e300",
            "12345678901234567890e0",
        ] {
            assert_eq!(shown(number, false), None, "{number}");
            assert_eq!(shown(number, true), None, "-{number}");
        }
        assert_eq!(shown("9223372036854775808", true), None);
    }

    #[test]
    fn numbers_of_more_digits_are_decimals() {
        let nines = "9".repeat(38);
        for (number, text, scale) in [
            ("18446744073709551616", "18446744073709551616", 0),
            ("00100000000000000000000000", "100000000000000000000000", 0),
            (nines.as_str(), nines.as_str(), 0),
            ("12345678901234567890.12", "12345678901234567890.12", 2),
            ("0.1234567890123456", ".1234567890123456", 16),
            (
                "100000000000000000000000.00000000000000000000",
                "100000000000000000000000",
                0,
            ),
        ] {
            let precision = text.bytes().filter(u8::is_ascii_digit).count();
            let cast = format!("CAST('{text}' AS DECIMAL({precision},{scale}))");
            assert_eq!(shown(number, false), Some(cast.clone()), "{number}");
            assert_eq!(shown(number, true), Some(format!("-{cast}")), "-{number}");
        }
        let cast = "-CAST('9223372036854775809' AS DECIMAL(19,0))";
        assert_eq!(shown("9223372036854775809", true).as_deref(), Some(cast));
    }

    #[test]
    fn what_no_decimal_holds_is_a_double_only_if_that_holds_it() {
        let zeros = "0".repeat(60);
        assert_eq!(shown(&format!("123{zeros}"), false), None);
        assert_eq!(shown(&format!("0.{zeros}123"), false), None);
        for number in ["1".repeat(39), format!("1{}.1", "0".repeat(38))] {
            let number = Expr::value(Value::Number(number, false));
            let error = exact_number(&number).expect_err("too many digits");
            assert!(error.to_string().contains("more digits than a decimal"));
        }
        let number = Expr::value(Value::Number("1e309".to_owned(), false));
        let error = exact_number(&number).expect_err("no double");
        assert!(error.to_string().contains("larger than a double holds"));
    }
}
