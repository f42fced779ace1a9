//! `MAP` of keys and values of which some are the same in all rows, as in `MAP(['a', 'b'], [v, w])`.
//!
//! The engine's function takes what is constant for one row of several elements, and what is not for
//! one element a row: it fails, or gives the values of other rows.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::prelude::Expr;

/// A call of the engine's `map`, with a function that takes constants beside columns.
pub(crate) fn broadcast_map(call: &ScalarFunction) -> Expr {
    let function = ScalarUDF::from(BroadcastMap(Arc::clone(&call.func)));
    let call = ScalarFunction::new_udf(Arc::new(function), call.args.clone());
    Expr::ScalarFunction(call)
}

/// The engine's function, called with columns alone where it is called with one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BroadcastMap(Arc<ScalarUDF>);

impl ScalarUDFImpl for BroadcastMap {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_column = |value: &ColumnarValue| matches!(value, ColumnarValue::Array(_));
        if args.args.iter().any(is_column) {
            for value in &mut args.args {
                let column = value.to_array(args.number_rows)?;
                *value = ColumnarValue::Array(column);
            }
        }
        self.0.invoke_with_args(args)
    }
}
