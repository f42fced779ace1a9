//! Floating-point numbers that JSON has no number for: NaN and the infinities.
//!
//! The engine writes `null` for them, which is another value when it is read.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;
use lakehouse_core::name::quote;

use crate::of_columns::of_columns;

/// Whether values of a type may hold such numbers.
pub(crate) fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _) => has_floats(inner.data_type()),
        other => other.is_floating(),
    }
}

/// The values of a column, where all of them can be written; an error otherwise.
pub(crate) fn json_numbers(column: &str, values: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::from(JsonNumbers {
        signature: Signature::any(1, Volatility::Immutable),
        column: column.to_owned(),
    }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![values]))
}

/// The first such number in the rows that are there.
fn find(values: &ArrayRef, is_there: &dyn Fn(usize) -> bool) -> EngineResult<Option<f64>> {
    if !has_floats(values.data_type()) {
        return Ok(None);
    }
    let is_value = |row: usize| values.is_valid(row) && is_there(row);
    let in_rows = |inner: &dyn Fn(usize) -> ArrayRef| {
        let rows = (0..values.len()).filter(|row| is_value(*row));
        let mut found = rows.map(|row| find(&inner(row), &|_| true));
        found.find_map(Result::transpose).transpose()
    };
    match values.data_type() {
        DataType::Struct(_) => {
            let fields = values.as_struct().columns().iter();
            let mut found = fields.map(|field| find(field, &is_value));
            found.find_map(Result::transpose).transpose()
        }
        DataType::List(_) => in_rows(&|row| values.as_list::<i32>().value(row)),
        DataType::LargeList(_) => in_rows(&|row| values.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => in_rows(&|row| values.as_fixed_size_list().value(row)),
        DataType::Map(..) => in_rows(&|row| Arc::new(values.as_map().value(row))),
        _ => {
            let doubles = cast(values, &DataType::Float64)?;
            let doubles = doubles.as_primitive::<Float64Type>().iter().enumerate();
            let mut there = doubles.filter_map(|(row, value)| value.filter(|_| is_value(row)));
            Ok(there.find(|value| !value.is_finite()))
        }
    }
}

/// Values as they are; one that JSON has no number for is an error.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonNumbers {
    signature: Signature,
    column: String,
}

impl ScalarUDFImpl for JsonNumbers {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "json_numbers"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        match types {
            [only] => Ok(only.clone()),
            _ => Err(Error::internal("numbers of JSON are of one column").into()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| match find(values, &|_| true)? {
            None => Ok(Arc::clone(values)),
            Some(number) => Err(Error::invalid(format!(
                "column {} has the value {number}, which JSON has no number for; write it as text \
                 with CAST(… AS VARCHAR), leave it out with nullif, or copy into CSV or Parquet",
                quote(&self.column)
            ))
            .into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float32Array, Float64Array, Int32Array, ListArray, StructArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn has(values: ArrayRef) -> bool {
        find(&values, &|_| true).unwrap().is_some()
    }

    #[test]
    fn numbers_without_a_form_are_found_where_there_are_values() {
        assert!(has(Arc::new(Float64Array::from(vec![1.0, f64::NAN]))));
        assert!(has(Arc::new(Float32Array::from(vec![f32::NEG_INFINITY]))));
        assert!(!has(Arc::new(Float64Array::from(vec![Some(1e300), None]))));
        assert!(!has(Arc::new(Int32Array::from(vec![1]))));
        let lists = vec![
            Some(vec![Some(1.0)]),
            None,
            Some(vec![None, Some(f64::INFINITY)]),
        ];
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
        assert!(!has(Arc::new(lists.slice(0, 2))));
        assert!(has(Arc::new(lists)));
        let fields = Fields::from(vec![Field::new("x", DataType::Float64, true)]);
        let structs = |nulls: Vec<bool>| -> ArrayRef {
            let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0]));
            let nulls = Some(NullBuffer::from(nulls));
            Arc::new(StructArray::new(fields.clone(), vec![values], nulls))
        };
        assert!(has(structs(vec![true, true])));
        assert!(!has(structs(vec![false, true])));
    }
}
