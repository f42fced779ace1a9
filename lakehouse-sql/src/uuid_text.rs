//! UUIDs written as text: compared with columns of UUIDs, on the way into them, and made of them.
//!
//! In Arrow a UUID is sixteen bytes, for which the engine takes no text, and of which it makes none.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{AsArray, FixedSizeBinaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};
use uuid::Uuid;

use crate::of_columns::of_columns;

/// Bytes of a UUID.
const BYTES: i32 = 16;

/// The type of UUIDs.
pub(crate) const UUID: DataType = DataType::FixedSizeBinary(BYTES);

/// Whether values of a type may be UUIDs: `fixed[16]` looks the same.
pub(crate) fn may_be_uuid(data_type: &DataType) -> bool {
    *data_type == UUID
}

/// The UUID that a text says.
///
/// # Errors
/// When it says none.
pub(crate) fn parse_uuid(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text.trim()).map_err(|error| {
        Error::invalid(format!(
            "{text:?} is no UUID; expected 32 hexadecimal digits, such as \
             'f79c3e09-677c-4bbd-a479-3f349cb785e7'"
        ))
        .with_source(error)
    })
}

/// A UUID as a value of its column.
pub(crate) fn uuid_value(uuid: Uuid) -> ScalarValue {
    ScalarValue::FixedSizeBinary(BYTES, Some(uuid.as_bytes().to_vec()))
}

/// The UUIDs that an expression's texts say.
pub(crate) fn uuid_of_text(text: Expr) -> Expr {
    call(text, false)
}

/// The UUIDs that an expression's texts say, NULL where a text says none.
pub(crate) fn uuid_if_any(text: Expr) -> Expr {
    call(text, true)
}

/// Whether an expression may be a UUID.
pub(crate) fn is_uuid(value: &Expr, schema: &DFSchema) -> bool {
    let given = value.get_type(schema);
    given.is_ok_and(|given| may_be_uuid(&given))
}

/// The text of a UUID; other values as they are.
pub(crate) fn as_text(value: Expr, schema: &DFSchema) -> Expr {
    match is_uuid(&value, schema) {
        true => text_of_uuid(value, DataType::Utf8),
        false => value,
    }
}

/// The texts of an expression's UUIDs, as values of a type of texts.
pub(crate) fn text_of_uuid(uuid: Expr, target: DataType) -> Expr {
    let function = Arc::new(ScalarUDF::from(TextOfUuid {
        signature: Signature::any(1, Volatility::Immutable),
        target,
    }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![uuid]))
}

fn call(text: Expr, is_try: bool) -> Expr {
    let function = Arc::new(ScalarUDF::from(UuidOfText::new(is_try)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![text]))
}

/// Texts as UUIDs; a text that is none is an error, or NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UuidOfText {
    signature: Signature,
    is_try: bool,
}

impl UuidOfText {
    fn new(is_try: bool) -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            is_try,
        }
    }
}

impl ScalarUDFImpl for UuidOfText {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "uuid_of_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(UUID)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[texts]| {
            let texts = cast(texts, &DataType::Utf8)?;
            let values = texts.as_string::<i32>().iter().map(|text| {
                let value = match text.map(parse_uuid).transpose() {
                    Err(_) if self.is_try => None,
                    value => value?,
                };
                Ok(value.map(Uuid::into_bytes))
            });
            let values: Vec<Option<[u8; 16]>> = values.collect::<EngineResult<_>>()?;
            let values = values.into_iter();
            let values = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, BYTES)?;
            Ok(Arc::new(values))
        })
    }
}

/// UUIDs as texts with dashes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOfUuid {
    signature: Signature,
    target: DataType,
}

impl ScalarUDFImpl for TextOfUuid {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "text_of_uuid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[uuids]| {
            let uuids = cast(uuids, &UUID)?;
            let write = |bytes| Uuid::from_slice(bytes).map(|uuid| uuid.hyphenated().to_string());
            let texts = uuids.as_fixed_size_binary().iter();
            let texts: StringArray = texts
                .map(|bytes| bytes.map(write).transpose())
                .collect::<std::result::Result<_, _>>()
                .map_err(|error| Error::internal("a UUID has sixteen bytes").with_source(error))?;
            Ok(cast(&texts, &self.target)?)
        })
    }
}
