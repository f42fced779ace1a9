//! Maps whose keys come twice, in a file or because they became equal: a map has one value of a key.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, MapArray, OffsetSizeTrait};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;
use lakehouse_core::name::quote;

use crate::of_columns::of_columns;

/// Whether values of a type may hold maps.
pub(crate) fn has_maps(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| has_maps(field.data_type())),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _) => has_maps(inner.data_type()),
        other => matches!(other, DataType::Map(..)),
    }
}

/// The values at a place, where each key of a map comes once; an error otherwise.
pub(crate) fn unique_keys(place: String, values: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::from(UniqueKeys {
        signature: Signature::any(1, Volatility::Immutable),
        place,
    }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![values]))
}

/// The first key that a map of the values has twice.
fn find(values: &ArrayRef) -> EngineResult<Option<String>> {
    if !has_maps(values.data_type()) {
        return Ok(None);
    }
    match values.data_type() {
        DataType::Struct(_) => {
            let mut found = values.as_struct().columns().iter().map(find);
            found.find_map(Result::transpose).transpose()
        }
        DataType::List(_) => find(&elements(values.as_list::<i32>())),
        DataType::LargeList(_) => find(&elements(values.as_list::<i64>())),
        DataType::ListView(_) => find(values.as_list_view::<i32>().values()),
        DataType::LargeListView(_) => find(values.as_list_view::<i64>().values()),
        DataType::FixedSizeList(..) => find(values.as_fixed_size_list().values()),
        _ => {
            let maps = values.as_map();
            match find_in_maps(maps)? {
                None => find(maps.values()),
                found => Ok(found),
            }
        }
    }
}

/// The elements of the lists that are there: a slice has those of the whole.
fn elements<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> ArrayRef {
    let offsets = lists.offsets();
    let (first, end) = (offsets[0].as_usize(), offsets[lists.len()].as_usize());
    lists.values().slice(first, end - first)
}

fn find_in_maps(maps: &MapArray) -> EngineResult<Option<String>> {
    let keys = maps.keys();
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    let rows = converter.convert_columns(&[Arc::clone(keys)])?;
    let mut known = HashSet::new();
    for row in (0..maps.len()).filter(|row| maps.is_valid(*row)) {
        known.clear();
        let begin = maps.value_offsets()[row];
        for key in (begin..begin + maps.value_length(row)).filter_map(|at| usize::try_from(at).ok())
        {
            if !known.insert(rows.row(key)) {
                return Ok(Some(array_value_to_string(keys, key)?));
            }
        }
    }
    Ok(None)
}

/// Values as they are; a map with a key twice is an error.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UniqueKeys {
    signature: Signature,
    place: String,
}

impl ScalarUDFImpl for UniqueKeys {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "unique_keys"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        match types {
            [only] => Ok(only.clone()),
            _ => Err(Error::internal("keys of maps are looked for in one column").into()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| match find(values)? {
            None => Ok(Arc::clone(values)),
            Some(key) => Err(Error::invalid(format!(
                "{} has a map with the key {} twice; expected each key once",
                self.place,
                quote(&key)
            ))
            .into()),
        })
    }
}
