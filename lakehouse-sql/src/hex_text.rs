//! Bytes written as hexadecimal digits, as `COPY … TO` writes them into files of text.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::of_columns::of_columns;

/// Whether values of a type are bytes.
pub(crate) fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

/// The bytes that an expression's texts say, as values of type `target`, which is one of bytes.
pub(crate) fn bytes_of_hex(text: Expr, target: &DataType) -> Expr {
    let function = Arc::new(ScalarUDF::from(BytesOfHex {
        signature: Signature::any(1, Volatility::Immutable),
        target: target.clone(),
    }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![text]))
}

/// The bytes that a text says.
fn parse(text: &str) -> Result<Vec<u8>> {
    let digit = |digit: &u8| {
        char::from(*digit)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} says no bytes; expected two hexadecimal digits for each byte, such as '00ff'"
        ))
    })
}

/// Texts as bytes; a text that says none is an error.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BytesOfHex {
    signature: Signature,
    target: DataType,
}

impl BytesOfHex {
    fn parse_all(&self, texts: &ArrayRef) -> EngineResult<ArrayRef> {
        let texts = cast(texts, &DataType::Utf8)?;
        let values = texts.as_string::<i32>().iter();
        let values = values.map(|text| text.map(|text| self.parse(text)).transpose());
        let values: Vec<Option<Vec<u8>>> = values.collect::<Result<_>>()?;
        if let DataType::FixedSizeBinary(length) = self.target {
            let values = values.into_iter();
            let values = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, length)?;
            return Ok(Arc::new(values));
        }
        let values: BinaryArray = values.iter().map(Option::as_deref).collect();
        Ok(cast(&values, &self.target)?)
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>> {
        let bytes = parse(text)?;
        match self.target {
            DataType::FixedSizeBinary(length) if usize::try_from(length) != Ok(bytes.len()) => {
                Err(Error::invalid(format!(
                    "{text:?} says {} bytes, the column takes {length}",
                    bytes.len()
                )))
            }
            _ => Ok(bytes),
        }
    }
}

impl ScalarUDFImpl for BytesOfHex {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "bytes_of_hex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[texts]| self.parse_all(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_digits_are_bytes() {
        assert!(parse("").unwrap().is_empty());
        assert_eq!(parse("00fFa5").unwrap(), [0, 255, 0xA5]);
        for text in ["0", "0g", "+f", "\\x00", " 00", "äb"] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains("hexadecimal"), "{error}");
        }
    }
}
