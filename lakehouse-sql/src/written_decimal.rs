//! Numbers written with a point as the decimals they are, digit by digit.
//!
//! The engine reads them as doubles. Made decimals of fifteen places beside a decimal column,
//! 99999.99 is 99999.990000000008192 there, and equal to nothing.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::prelude::Expr;

/// Digits of a decimal beside which a column of two places keeps all that it may have.
const DIGITS_MAX: usize = 20;

/// A double made of literals alone, computed in decimals; `None` where decimals would not have its
/// value.
pub(crate) fn written_decimal(value: &Expr) -> Option<Expr> {
    match value {
        Expr::Literal(ScalarValue::Float64(number), metadata) => {
            let decimal = match number {
                Some(number) => decimal(*number)?,
                None => ScalarValue::Null,
            };
            Some(Expr::Literal(decimal, metadata.clone()))
        }
        Expr::Literal(number, _) if number.data_type().is_integer() => Some(value.clone()),
        Expr::Negative(inner) => Some(Expr::Negative(Box::new(written_decimal(inner)?))),
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply) =>
        {
            let (left, right) = (written_decimal(left)?, written_decimal(right)?);
            let computed = BinaryExpr::new(Box::new(left), *op, Box::new(right));
            Some(Expr::BinaryExpr(computed))
        }
        _ => None,
    }
}

/// The shortest decimal that reads as this double: what was written, with up to 15 digits.
fn decimal(number: f64) -> Option<ScalarValue> {
    if !number.is_finite() {
        return None;
    }
    let text = number.to_string();
    let digits: String = text.chars().filter(|letter| *letter != '.').collect();
    let scale = text.split_once('.').map_or(0, |(_, places)| places.len());
    let count = digits.trim_start_matches('-').trim_start_matches('0').len();
    let precision = count.max(scale).max(1);
    if precision > DIGITS_MAX {
        return None;
    }
    let value = digits.parse::<i128>().ok()?;
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    Some(ScalarValue::Decimal128(Some(value), precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_decimal_that_was_written() {
        for (number, wanted) in [
            (99999.99, Some((9_999_999, 7, 2))),
            (-0.05, Some((-5, 2, 2))),
            (0.0, Some((0, 1, 0))),
            (10.0, Some((10, 2, 0))),
            (0.1, Some((1, 1, 1))),
            (1e19, Some((10_000_000_000_000_000_000, 20, 0))),
            (1e-19, Some((1, 19, 19))),
            (1e20, None),
            (1e-30, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            let wanted = wanted.map(|(value, precision, scale)| {
                ScalarValue::Decimal128(Some(value), precision, scale)
            });
            assert_eq!(decimal(number), wanted, "{number}");
        }
    }
}
