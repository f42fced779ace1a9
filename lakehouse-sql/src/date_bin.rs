//! `date_bin` of times that nanoseconds do not hold is refused: the engine's wraps around.

use std::any::Any;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::functions::datetime::date_bin::DateBinFunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use lakehouse_core::error::Error;

use crate::local_time::is_held;

/// The engine's function, kept from wrapping around.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DateBin {
    engine: DateBinFunc,
}

impl DateBin {
    pub(crate) fn new() -> Self {
        Self {
            engine: DateBinFunc::new(),
        }
    }
}

impl ScalarUDFImpl for DateBin {
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

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.engine.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        for time in &args.args {
            if !is_held(time)? {
                let message = "date_bin reaches from 1677 to 2262: leave out other times, or use \
                               date_trunc";
                return Err(Error::unsupported(message).into());
            }
        }
        self.engine.invoke_with_args(args)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.engine.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }
}
