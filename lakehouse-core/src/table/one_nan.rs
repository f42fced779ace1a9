//! One NaN: floats are ordered and compared as keys by their bits, and NaN has many.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};

/// The floats of an array with one NaN, which lies above all numbers. All else, nested values among
/// it, stays as it is; nothing is copied where nothing changes.
///
/// What x86 computes for `0.0 / 0.0` has its sign bit set, and would lie below all numbers.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, AsArray, Float64Array};
/// use arrow::datatypes::Float64Type;
///
/// let computed: ArrayRef = Arc::new(Float64Array::from(vec![-f64::NAN, 1.0]));
/// let one = lakehouse_core::table::with_one_nan(&computed);
/// assert!(one.as_primitive::<Float64Type>().value(0).is_sign_positive());
/// ```
pub fn with_one_nan(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => replaced::<Float32Type>(array, f32::NAN, |value| {
            value.is_nan() && value.to_bits() != f32::NAN.to_bits()
        }),
        DataType::Float64 => replaced::<Float64Type>(array, f64::NAN, |value| {
            value.is_nan() && value.to_bits() != f64::NAN.to_bits()
        }),
        _ => Arc::clone(array),
    }
}

fn replaced<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    nan: T::Native,
    is_other: impl Fn(T::Native) -> bool,
) -> ArrayRef {
    let floats = array.as_primitive::<T>();
    // To the end in any case: that way it takes several values at a time.
    let values = floats.values().iter();
    if !values.fold(false, |found, value| found | is_other(*value)) {
        return Arc::clone(array);
    }
    Arc::new(floats.unary::<_, T>(|value| if is_other(value) { nan } else { value }))
}
