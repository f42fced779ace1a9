//! Functions whose results are as large as their arguments say: no larger than memory can hold.
//!
//! `repeat('x', 10000000000)` and `range(0, 10000000000)` make what they are told to, and a process
//! that cannot get the memory ends, with all that it does beside. So the size of what a call makes
//! for a batch of rows is computed first, and beyond a bound the call is an error. The optimiser,
//! which computes constants, leaves such a call to the execution, where the error is told.

mod constant;
mod series;
mod size;

use std::any::Any;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use datafusion::prelude::{Expr, SessionContext};
use lakehouse_core::error::Error;

pub(crate) use constant::BoundedConstants;
use size::{Arguments, Size};

/// What a call may make for one batch, whatever the memory budget.
const RESULT_BYTES_MAX: u64 = 1 << 30;

/// The functions by name, with how large their results are.
const FUNCTIONS: &[(&str, Size)] = &[
    ("array_repeat", size::repeated_elements),
    ("array_resize", size::resized),
    ("concat", size::joined),
    ("concat_ws", size::joined),
    ("generate_series", series::to_the_end),
    ("lpad", size::padded),
    ("range", series::before_the_end),
    ("repeat", size::repeated_text),
    ("replace", size::replaced),
    ("rpad", size::padded),
];

/// Puts the functions of a session in place of the engine's; a budget is what all queries together
/// may hold in memory, in bytes.
pub(crate) fn bound_calls(context: &SessionContext, budget_bytes: Option<u64>) {
    let within_budget = bytes_max(budget_bytes);
    let functions = context.state().scalar_functions().clone();
    for (place, (name, _)) in FUNCTIONS.iter().enumerate() {
        if let Some(engine) = functions.get(*name) {
            // What is joined is held already, and makes no more.
            let bytes_max = match *name {
                "concat" | "concat_ws" => RESULT_BYTES_MAX,
                _ => within_budget,
            };
            context.register_udf(ScalarUDF::from(BoundedCall {
                engine: engine.as_ref().clone(),
                place,
                bytes_max,
            }));
        }
    }
}

/// What may be made for one batch within a memory budget.
fn bytes_max(budget_bytes: Option<u64>) -> u64 {
    budget_bytes.map_or(RESULT_BYTES_MAX, |budget| budget.min(RESULT_BYTES_MAX))
}

/// A function of the engine, kept from making more than a number of bytes at once.
///
/// It is not simplified as the engine's is: what came out would be the engine's own again.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedCall {
    engine: ScalarUDF,
    /// Its place among [`FUNCTIONS`].
    place: usize,
    bytes_max: u64,
}

impl ScalarUDFImpl for BoundedCall {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn aliases(&self) -> &[String] {
        self.engine.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.engine.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.engine.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engine.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.engine.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (_, size) = FUNCTIONS[self.place];
        // Constants make one result, which all rows share.
        let is_constant = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let bytes = size(&Arguments::try_new(&args.args, rows)?)?;
        if bytes > u128::from(self.bytes_max) {
            return Err(self.refused(bytes, rows));
        }
        self.engine.invoke_with_args(args)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.engine.output_ordering(input)
    }

    fn preserves_lex_ordering(&self, input: &[ExprProperties]) -> Result<bool> {
        self.engine.preserves_lex_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }
}

impl BoundedCall {
    fn refused(&self, bytes: u128, rows: usize) -> DataFusionError {
        let (name, bytes_max) = (self.name(), self.bytes_max);
        let wanted = match bytes {
            size::ENDLESS => "bytes without end".to_owned(),
            bytes => format!("{bytes} bytes"),
        };
        let batch = match rows {
            1 => String::new(),
            rows => format!(" for a batch of {rows} rows"),
        };
        DataFusionError::from(Error::invalid(format!(
            "{name} would make {wanted}{batch}, and {bytes_max} is the most it may; ask it for less"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_the_functions_that_are_bounded() {
        let context = SessionContext::new();
        bound_calls(&context, None);
        let functions = context.state().scalar_functions().clone();
        for (name, _) in FUNCTIONS {
            let function = functions.get(*name).map(|function| function.inner());
            assert!(
                function.is_some_and(|function| function.as_any().is::<BoundedCall>()),
                "{name}"
            );
        }
        let alias = functions.get("list_repeat").unwrap().inner();
        assert!(alias.as_any().is::<BoundedCall>());
    }
}
