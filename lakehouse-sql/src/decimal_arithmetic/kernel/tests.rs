//! Results are those of the engine's kernels, and what may overflow is left to them.

use std::sync::Arc;

use super::*;

fn column(values: Vec<i128>, precision: u8, scale: i8) -> ColumnarValue {
    let array =
        Decimal128Array::from(values).with_data_type(DataType::Decimal128(precision, scale));
    ColumnarValue::Array(Arc::new(array))
}

fn literal(value: i128, precision: u8, scale: i8) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Decimal128(Some(value), precision, scale))
}

/// What the engine calculates, or that it fails.
fn checked(
    operation: Operation,
    left: &ColumnarValue,
    right: &ColumnarValue,
) -> Result<ArrayRef, String> {
    let kernel = |left: &dyn Datum, right: &dyn Datum| operation.checked(left, right);
    let results = apply(left, right, kernel).map_err(|error| error.to_string())?;
    results.into_array(1).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_unchecked(operation: Operation, left: &ColumnarValue, right: &ColumnarValue) {
    let results = unchecked(operation, left, right).expect("nothing overflows");
    let expected = checked(operation, left, right).expect("nothing overflows");
    assert_eq!(&results as &dyn Array, expected.as_ref());
}

/// The largest values of a magnitude, on both sides of 0.
fn of_magnitude(bits: u32) -> [i128; 2] {
    let bound = 1_i128.checked_shl(bits).expect("fewer than 128 bits");
    [bound.wrapping_sub(1), bound.wrapping_neg()]
}

#[test]
fn magnitudes_bound_values_of_both_signs() {
    for (value, bits) in [(0, 0), (-1, 0), (1, 1), (-2, 1), (2, 2), (-3, 2)] {
        assert_eq!(magnitude(value), bits, "{value}");
    }
    assert_eq!(magnitude(i128::from(i64::MAX)), NARROW_BITS);
    assert_eq!(magnitude(i128::from(i64::MIN)), NARROW_BITS);
    assert_eq!(magnitude(i128::from(i64::MAX) + 1), NARROW_BITS + 1);
    assert_eq!(magnitude(i128::MIN), 127);
    assert_eq!(magnitude_max(&[1, -9, 3]), 4);
    assert_eq!(magnitude_max(&[]), 0);
}

#[test]
fn products_of_the_largest_magnitudes_fit_and_those_beyond_are_left_to_the_engine() {
    for bits in [0, 1, 62, 63, 64, 100, 126] {
        let left = column(of_magnitude(bits).to_vec(), 38, 0);
        let mut swapped = of_magnitude(PRODUCT_BITS - bits);
        for _ in 0..2 {
            assert_unchecked(Operation::Multiply, &left, &column(swapped.to_vec(), 38, 0));
            swapped.reverse();
        }
        let beyond = of_magnitude(PRODUCT_BITS + 1 - bits).to_vec();
        let beyond = column(beyond, 38, 0);
        assert!(unchecked(Operation::Multiply, &left, &beyond).is_none());
    }
}

#[test]
fn sums_of_the_largest_magnitudes_fit_and_those_beyond_are_left_to_the_engine() {
    for (scale, factor_bits) in [(0, 1), (3, 10)] {
        for operation in [Operation::Add, Operation::Subtract] {
            let within = of_magnitude(TERM_BITS - factor_bits);
            let beyond = of_magnitude(TERM_BITS - factor_bits + 1);
            // The value with no decimal places is brought to the scale of the others.
            let other = column(vec![of_magnitude(TERM_BITS - 1)[1]; 2], 38, scale);
            assert_unchecked(operation, &column(within.to_vec(), 38, 0), &other);
            assert_unchecked(operation, &other, &column(within.to_vec(), 38, 0));
            assert!(unchecked(operation, &column(beyond.to_vec(), 38, 0), &other).is_none());
            assert!(unchecked(operation, &other, &column(beyond.to_vec(), 38, 0)).is_none());
        }
    }
}

#[test]
fn literals_are_operands_on_both_sides() {
    let values = column(vec![0, 5, -10, i128::from(i64::MIN)], 15, 2);
    for operation in [Operation::Add, Operation::Subtract, Operation::Multiply] {
        for literal in [literal(1, 20, 0), literal(-300, 10, 4)] {
            assert_unchecked(operation, &literal, &values);
            assert_unchecked(operation, &values, &literal);
        }
    }
}

#[test]
fn a_large_value_in_a_later_chunk_is_not_cut() {
    for large in [i128::from(i64::MAX) + 1, -(1_i128 << 90)] {
        let mut values = vec![7; 3 * CHUNK_ROWS];
        values[2 * CHUNK_ROWS + 5] = large;
        let values = column(values, 38, 2);
        let factors = column(vec![3; 3 * CHUNK_ROWS], 15, 2);
        for operation in [Operation::Add, Operation::Subtract, Operation::Multiply] {
            assert_unchecked(operation, &values, &factors);
            assert_unchecked(operation, &factors, &values);
            assert_unchecked(operation, &values, &literal(2, 5, 0));
        }
    }
}

#[test]
fn what_lies_beneath_nulls_does_no_harm() {
    let values = vec![i128::MAX, 4, i128::from(i64::MIN)].into();
    let nulls = NullBuffer::from(vec![false, true, true]);
    let array = Decimal128Array::new(values, Some(nulls));
    let array = array.with_data_type(DataType::Decimal128(15, 2));
    let values = ColumnarValue::Array(Arc::new(array));
    let factors = column(vec![i128::MIN, 3, 4], 15, 2);
    // Large values are measured also beneath NULLs, and left to the engine, which finds no overflow.
    assert!(unchecked(Operation::Multiply, &values, &factors).is_none());
    assert!(checked(Operation::Multiply, &values, &factors).is_ok());
    let small = |value: &ColumnarValue| match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(1, 2)),
        ColumnarValue::Scalar(_) => unreachable!("columns only"),
    };
    assert_unchecked(Operation::Multiply, &small(&values), &small(&factors));
    assert_unchecked(Operation::Subtract, &small(&factors), &small(&values));
}

#[test]
fn no_rows_have_the_type_of_the_results() {
    let nothing = column(Vec::new(), 15, 2);
    for operation in [Operation::Add, Operation::Subtract, Operation::Multiply] {
        assert_unchecked(operation, &nothing, &nothing);
        assert_unchecked(operation, &literal(1, 20, 0), &nothing);
    }
}

#[test]
fn the_engine_refuses_what_it_refuses() {
    let values = column(vec![1], 38, 20);
    let text = checked(Operation::Multiply, &values, &values).expect_err("40 decimal places");
    assert!(text.contains("scale"), "{text}");
    assert!(unchecked(Operation::Multiply, &values, &values).is_none());
    let longer = column(vec![1, 2], 38, 2);
    assert!(unchecked(Operation::Add, &values, &longer).is_none());
    let null = ColumnarValue::Scalar(ScalarValue::Decimal128(None, 38, 2));
    assert!(unchecked(Operation::Add, &longer, &null).is_none());
}
