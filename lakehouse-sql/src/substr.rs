//! `substr` from a place before the first: a negative one counts from the end, as in Spark, DuckDB,
//! Trino and Athena. To the engine, as to PostgreSQL, it is a place before the text.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::functions::unicode::substr::SubstrFunc;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};

/// The engine's function with places from the end.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Substr {
    engine: SubstrFunc,
}

impl Substr {
    pub(crate) fn new() -> Self {
        Self {
            engine: SubstrFunc::new(),
        }
    }
}

impl ScalarUDFImpl for Substr {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engine.return_type(types)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        if let [text, start, ..] = args.args.as_mut_slice() {
            let places = start.to_array_of_size(rows)?;
            let places = places.as_primitive::<Int64Type>();
            if places.iter().flatten().any(|place| place < 0) {
                let texts = cast(&text.to_array_of_size(rows)?, &DataType::Utf8View)?;
                let texts = texts.as_string_view().iter();
                let places: Int64Array = texts
                    .zip(places)
                    .map(|(text, place)| Some(from_start(text?, place?)))
                    .collect();
                *start = ColumnarValue::Array(Arc::new(places));
            }
        }
        self.engine.invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }
}

/// A place counted from the start, where 1 is the first character.
fn from_start(text: &str, place: i64) -> i64 {
    match place {
        0.. => place,
        _ => i64::try_from(text.chars().count())
            .unwrap_or(i64::MAX)
            .saturating_add(1)
            .saturating_add(place),
    }
}
