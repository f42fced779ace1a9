//! Functions of columns, called with single values as well.

use arrow::array::ArrayRef;
use datafusion::error::Result;
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use lakehouse_core::error::Error;

/// What a function of `N` columns gives for the arguments of a call: a single value where all of
/// them are single values.
///
/// # Errors
/// What the function answers, and for another number of arguments.
pub(crate) fn of_columns<const N: usize>(
    args: &ScalarFunctionArgs,
    function: impl Fn(&[ArrayRef; N]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let function = |columns: &[ArrayRef]| {
        let count = columns.len();
        let columns = columns.try_into().map_err(|_| {
            Error::internal(format!("a function of {N} values was called with {count}"))
        })?;
        function(columns)
    };
    make_scalar_function(function, Vec::new())(&args.args)
}
