//! Floating-point numbers that JSON has no number for, as texts: `null` would be another value.

use std::sync::LazyLock;

use arrow::array::{Array, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};

/// How numbers are written that JSON has.
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// Writes NaN and the infinities as the texts that a DOUBLE is read from.
#[derive(Debug)]
pub(crate) struct JsonNumbers;

impl EncoderFactory for JsonNumbers {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if !array.data_type().is_floating() {
            return Ok(None);
        }
        let doubles = cast(array, &DataType::Float64)?;
        let numbers = Numbers {
            doubles: doubles.as_primitive::<Float64Type>().clone(),
            plain: make_encoder(field, array, &PLAIN)?,
        };
        let nulls = array.nulls().cloned();
        Ok(Some(NullableEncoder::new(Box::new(numbers), nulls)))
    }
}

struct Numbers<'a> {
    doubles: Float64Array,
    plain: NullableEncoder<'a>,
}

impl Encoder for Numbers<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let text = match self.doubles.value(index) {
            number if number.is_finite() => return self.plain.encode(index, out),
            number if number.is_nan() => "\"NaN\"",
            number if number > 0.0 => "\"Infinity\"",
            _ => "\"-Infinity\"",
        };
        out.extend_from_slice(text.as_bytes());
    }
}
