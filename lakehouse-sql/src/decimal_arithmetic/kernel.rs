//! Sums, differences and products of decimals by loops that check a batch, not every value.
//!
//! Decimals are 128-bit numbers, and the engine checks each operation on them for overflow: one
//! branch and, for a product, one call per value, also where a scale is aligned by a factor of 1.
//! Here the batch is measured instead. A value's *magnitude* is the least `m` for which it is in
//! `[-2^m, 2^m)`. From the magnitudes follows whether any result can overflow:
//!
//! - `x * y` is within `2^(m + n)`, which 128 bits hold for `m + n <= 126`;
//! - `x * f ± y * g`, with `f` and `g` the factors that align the scales, is within twice
//!   `2^(m + bits of the factor)`, which they hold if neither exponent is above 125.
//!
//! As `2^126 < 10^38`, no such result has more digits than a decimal, either.
//!
//! The measure is of the values as they are. Precisions would not do: a damaged file holds values
//! beyond them, the engine's kernels do not enforce them, and the precision of a product of
//! products is soon capped, while its values are small. Two loops follow:
//!
//! - *narrow*: every value is a 64-bit number (a magnitude of at most 63, for which no result
//!   overflows). That is assumed, and found out while calculating; a product is one instruction.
//! - *wide*: the magnitudes are measured first.
//!
//! Where neither is sure, the engine's own kernel calculates, so that an overflow is its error
//! at its value. Values beneath NULLs are measured and calculated like others; they can make a
//! batch take a slower loop, never a wrong one.

use arrow::array::{Array, ArrayRef, AsArray, Datum, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr_common::datum::apply;

/// Values after which the narrow loop looks whether it is still right.
const CHUNK_ROWS: usize = 1024;

/// The largest magnitude of a 64-bit number.
const NARROW_BITS: u32 = 63;
/// The largest magnitude of a product that is known to fit.
const PRODUCT_BITS: u32 = 126;
/// The largest magnitude of a term of a sum that is known to fit.
const TERM_BITS: u32 = 125;

/// What is calculated of two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
}

impl Operation {
    /// The operation of an operator, where these loops know it.
    pub(super) fn of(operator: &Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Subtract),
            Operator::Multiply => Some(Self::Multiply),
            _ => None,
        }
    }

    /// The engine's kernel, whose results, types and errors are the measure of all here.
    pub(super) fn checked(
        self,
        left: &dyn Datum,
        right: &dyn Datum,
    ) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Add => add(left, right),
            Self::Subtract => sub(left, right),
            Self::Multiply => mul(left, right),
        }
    }
}

/// One side of an operation: its values and their scale.
#[derive(Clone, Copy)]
struct Operand<'a> {
    values: Values<'a>,
    scale: i8,
}

#[derive(Clone, Copy)]
enum Values<'a> {
    Column(&'a [i128]),
    Literal(i128),
}

impl<'a> Operand<'a> {
    /// `None` for what is no decimal of 128 bits, or a literal NULL.
    fn of(value: &'a ColumnarValue) -> Option<Self> {
        let (values, scale) = match value {
            ColumnarValue::Array(array) => {
                let array = array.as_primitive_opt::<Decimal128Type>()?;
                (Values::Column(array.values()), array.scale())
            }
            ColumnarValue::Scalar(ScalarValue::Decimal128(Some(literal), _, scale)) => {
                (Values::Literal(*literal), *scale)
            }
            ColumnarValue::Scalar(_) => return None,
        };
        Some(Self { values, scale })
    }

    /// What a value is multiplied by to have a larger scale.
    fn factor(&self, scale: i8) -> Option<i64> {
        let digits = scale.checked_sub(self.scale)?;
        10_i64.checked_pow(u32::try_from(digits).ok()?)
    }
}

/// The results, if it is certain that none overflows; `None` leaves them to the engine's kernel.
pub(super) fn unchecked(
    operation: Operation,
    left: &ColumnarValue,
    right: &ColumnarValue,
) -> Option<Decimal128Array> {
    let data_type = result_type(operation, left, right)?;
    let DataType::Decimal128(_, scale) = data_type else {
        return None;
    };
    let (left_side, right_side) = (Operand::of(left)?, Operand::of(right)?);
    let values = match operation {
        Operation::Multiply => products(left_side.values, right_side.values),
        Operation::Add => sums::<false>(left_side, right_side, scale),
        Operation::Subtract => sums::<true>(left_side, right_side, scale),
    }?;
    let nulls = NullBuffer::union(nulls_of(left), nulls_of(right));
    let array = Decimal128Array::new(values.into(), nulls);
    Some(array.with_data_type(data_type))
}

fn nulls_of(value: &ColumnarValue) -> Option<&NullBuffer> {
    match value {
        ColumnarValue::Array(array) => array.nulls(),
        ColumnarValue::Scalar(_) => None,
    }
}

/// The type of the results, asked of the engine's kernel by calculating no rows.
fn result_type(
    operation: Operation,
    left: &ColumnarValue,
    right: &ColumnarValue,
) -> Option<DataType> {
    let no_rows = |value: &ColumnarValue| match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(0, 0)),
        ColumnarValue::Scalar(literal) => ColumnarValue::Scalar(literal.clone()),
    };
    let kernel = |left: &dyn Datum, right: &dyn Datum| operation.checked(left, right);
    match apply(&no_rows(left), &no_rows(right), kernel).ok()? {
        ColumnarValue::Array(array) => Some(array.data_type().clone()),
        ColumnarValue::Scalar(_) => None,
    }
}

fn products(left: Values<'_>, right: Values<'_>) -> Option<Vec<i128>> {
    match (left, right) {
        (Values::Column(left), Values::Column(right)) => {
            let fits = |left, right| left + right <= PRODUCT_BITS;
            of_two(left, right, fits, i128::wrapping_mul)
        }
        (Values::Column(values), Values::Literal(literal))
        | (Values::Literal(literal), Values::Column(values)) => {
            let literal = i64::try_from(literal).ok()?;
            let bits = magnitude(i128::from(literal));
            let fits = |values| values + bits <= PRODUCT_BITS;
            of_one(values, fits, |value| {
                value.wrapping_mul(i128::from(literal))
            })
        }
        (Values::Literal(_), Values::Literal(_)) => None,
    }
}

/// The sums, or the differences, of what is brought to one scale.
fn sums<const SUBTRACT: bool>(
    left: Operand<'_>,
    right: Operand<'_>,
    scale: i8,
) -> Option<Vec<i128>> {
    let (left_factor, right_factor) = (left.factor(scale)?, right.factor(scale)?);
    match (left.values, right.values) {
        (Values::Column(left), Values::Column(right)) => {
            let fits = |left, right| is_term(left, left_factor) && is_term(right, right_factor);
            if left_factor == 1 && right_factor == 1 {
                of_two(left, right, fits, signed_sum::<SUBTRACT>)
            } else {
                let (left_factor, right_factor) = (left_factor.into(), right_factor.into());
                of_two(left, right, fits, |left, right| {
                    let left = left.wrapping_mul(left_factor);
                    signed_sum::<SUBTRACT>(left, right.wrapping_mul(right_factor))
                })
            }
        }
        (Values::Column(values), Values::Literal(literal)) => {
            let literal = term(literal, right_factor)?;
            let factor = i128::from(left_factor);
            let fits = |bits| is_term(bits, left_factor);
            of_one(values, fits, |value| {
                signed_sum::<SUBTRACT>(value.wrapping_mul(factor), literal)
            })
        }
        (Values::Literal(literal), Values::Column(values)) => {
            let literal = term(literal, left_factor)?;
            let factor = i128::from(right_factor);
            let fits = |bits| is_term(bits, right_factor);
            of_one(values, fits, |value| {
                signed_sum::<SUBTRACT>(literal, value.wrapping_mul(factor))
            })
        }
        (Values::Literal(_), Values::Literal(_)) => None,
    }
}

fn signed_sum<const SUBTRACT: bool>(left: i128, right: i128) -> i128 {
    if SUBTRACT {
        left.wrapping_sub(right)
    } else {
        left.wrapping_add(right)
    }
}

/// Whether values of a magnitude are still small enough to be added after the alignment.
fn is_term(bits: u32, factor: i64) -> bool {
    bits + magnitude(i128::from(factor)) <= TERM_BITS
}

/// A literal at the scale of the result, if it is small enough to be added to.
fn term(literal: i128, factor: i64) -> Option<i128> {
    let aligned = literal.checked_mul(i128::from(factor))?;
    (magnitude(aligned) <= TERM_BITS).then_some(aligned)
}

/// `calculate` of each two values, if `fits` says of the magnitudes that no result overflows.
fn of_two(
    left: &[i128],
    right: &[i128],
    fits: impl Fn(u32, u32) -> bool,
    calculate: impl Fn(i128, i128) -> i128,
) -> Option<Vec<i128>> {
    if left.len() != right.len() {
        return None;
    }
    let narrow = fits(NARROW_BITS, NARROW_BITS).then(|| narrow_of_two(left, right, &calculate));
    narrow.flatten().or_else(|| {
        let pairs = || left.iter().zip(right);
        fits(magnitude_max(left), magnitude_max(right)).then(|| {
            pairs()
                .map(|(left, right)| calculate(*left, *right))
                .collect()
        })
    })
}

/// `calculate` of each value, if `fits` says of their magnitude that no result overflows.
fn of_one(
    values: &[i128],
    fits: impl Fn(u32) -> bool,
    calculate: impl Fn(i128) -> i128,
) -> Option<Vec<i128>> {
    let narrow = fits(NARROW_BITS).then(|| narrow_of_one(values, &calculate));
    narrow.flatten().or_else(|| {
        fits(magnitude_max(values)).then(|| values.iter().map(|value| calculate(*value)).collect())
    })
}

/// Takes every value for one of 64 bits; `None` when one is not.
fn narrow_of_two(
    left: &[i128],
    right: &[i128],
    calculate: impl Fn(i128, i128) -> i128,
) -> Option<Vec<i128>> {
    let mut results = Vec::with_capacity(left.len());
    for (left, right) in left.chunks(CHUNK_ROWS).zip(right.chunks(CHUNK_ROWS)) {
        let mut beyond = 0;
        results.extend(left.iter().zip(right).map(|(&left, &right)| {
            beyond |= beyond_narrow(left) | beyond_narrow(right);
            calculate(narrowed(left), narrowed(right))
        }));
        if beyond != 0 {
            return None;
        }
    }
    Some(results)
}

/// Takes every value for one of 64 bits; `None` when one is not.
fn narrow_of_one(values: &[i128], calculate: impl Fn(i128) -> i128) -> Option<Vec<i128>> {
    let mut results = Vec::with_capacity(values.len());
    for values in values.chunks(CHUNK_ROWS) {
        let mut beyond = 0;
        results.extend(values.iter().map(|&value| {
            beyond |= beyond_narrow(value);
            calculate(narrowed(value))
        }));
        if beyond != 0 {
            return None;
        }
    }
    Some(results)
}

/// The value if it has 64 bits, said so that the compiler knows it has.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what does not fit is found by `beyond_narrow`, and its result thrown away"
)]
fn narrowed(value: i128) -> i128 {
    i128::from(value as i64)
}

/// Not 0 for a value that 64 bits do not hold.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the halves of the value are compared"
)]
fn beyond_narrow(value: i128) -> u64 {
    ((value >> 64) as u64) ^ (((value as i64) >> 63) as u64)
}

/// The least `m` for which the value is in `[-2^m, 2^m)`.
fn magnitude(value: i128) -> u32 {
    i128::BITS - (value ^ (value >> 127)).leading_zeros()
}

fn magnitude_max(values: &[i128]) -> u32 {
    // The bits above the magnitude are copies of the sign; without it they are 0.
    let bits = values
        .iter()
        .fold(0, |bits, &value| bits | (value ^ (value >> 127)));
    magnitude(bits)
}

#[cfg(test)]
mod tests;
