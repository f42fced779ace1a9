//! Values of columns as names of folders, as Hive, Spark and DuckDB write and read them.

use std::any::Any;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use crate::of_columns::of_columns;

/// What stands for NULL.
const NULL_TEXT: &str = "__HIVE_DEFAULT_PARTITION__";

/// What is written as `%` and two digits, beside control characters.
const ENCODED: &[char] = &[
    '"', '#', '%', '\'', '*', '/', ':', '=', '?', '\\', '{', '[', ']', '^',
];

/// The values of a column as names of folders have them; an error for a text that reads as NULL.
pub(crate) fn hive_texts(column: &str, values: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::from(HiveTexts {
        signature: Signature::any(1, Volatility::Immutable),
        column: column.to_owned(),
    }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![values]))
}

/// A text with what means something in a name of a folder encoded.
pub(crate) fn hive_text(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_ascii_control() || ENCODED.contains(&character) {
            // Writing into a text does not fail.
            true => {
                let _ = write!(encoded, "%{:02X}", u32::from(character));
            }
            false => encoded.push(character),
        }
    }
    encoded
}

/// Values as texts of folders.
#[derive(Debug, PartialEq, Eq, Hash)]
struct HiveTexts {
    signature: Signature,
    column: String,
}

impl HiveTexts {
    fn texts(&self, values: &ArrayRef) -> EngineResult<ArrayRef> {
        let options = FormatOptions::default()
            .with_display_error(false)
            .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
        let formatter = ArrayFormatter::try_new(values.as_ref(), &options)?;
        let nulls = values.logical_nulls();
        let mut texts = StringBuilder::new();
        for row in 0..values.len() {
            match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                true => texts.append_value(NULL_TEXT),
                false => texts.append_value(self.text(&formatter.value(row).try_to_string()?)?),
            }
        }
        Ok(Arc::new(texts.finish()))
    }

    fn text(&self, value: &str) -> Result<String> {
        match value == NULL_TEXT {
            true => Err(Error::invalid(format!(
                "column {} has the text '{NULL_TEXT}', which means NULL in the name of a folder; \
                 leave it out of PARTITION_BY",
                quote(&self.column)
            ))),
            false => Ok(hive_text(value)),
        }
    }
}

impl ScalarUDFImpl for HiveTexts {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "hive_texts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| self.texts(values))
    }
}
