//! The window functions `lead` and `lag` where rows are counted that have a value, or far away.
//!
//! With `IGNORE NULLS` the engine's miscount rows ahead, and its limits cut off rows that they would
//! have come to. An offset that is NULL leads nowhere, and to the engine to the row itself.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_window::lead_lag::WindowShift;
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::Literal;
use lakehouse_core::error::Error;

/// Offsets that the engine counts right, either way.
const NEAR_ROWS_MAX: u64 = 1 << 31;

/// The function `lead`.
pub(crate) fn lead() -> WindowUDF {
    let engine = WindowShift::lead();
    WindowUDF::from(Shift {
        engine,
        is_lead: true,
    })
}

/// The function `lag`.
pub(crate) fn lag() -> WindowUDF {
    let engine = WindowShift::lag();
    WindowUDF::from(Shift {
        engine,
        is_lead: false,
    })
}

/// One of the engine's functions, and what it does not get right.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    engine: WindowShift,
    is_lead: bool,
}

impl WindowUDFImpl for Shift {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<PhysicalExprRef> {
        self.engine.expressions(args)
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let offset = offset(args.input_exprs())?;
        let is_near = offset.is_some_and(|offset| offset.unsigned_abs() <= NEAR_ROWS_MAX);
        if is_near && !args.ignore_nulls() {
            return self.engine.partition_evaluator(args);
        }
        let default = match args.input_exprs().get(2).map(literal).transpose()? {
            Some(default) => default.clone(),
            None => ScalarValue::Null,
        };
        Ok(Box::new(Shifted {
            ahead: offset
                .map(i128::from)
                .map(|rows| match self.is_lead == args.is_reversed() {
                    true => -rows,
                    false => rows,
                }),
            default,
            ignores_nulls: args.ignore_nulls(),
        }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.engine.field(args)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        let reversed = if self.is_lead { lead() } else { lag() };
        ReversedUDWF::Reversed(Arc::new(reversed))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }

    fn limit_effect(&self, args: &[PhysicalExprRef]) -> LimitEffect {
        // Whether NULLs are ignored is not told here, nor how many there are.
        match offset(args) {
            Ok(None) => LimitEffect::None,
            Ok(Some(rows)) if !self.is_lead && rows >= 0 => LimitEffect::None,
            _ => LimitEffect::Unknown,
        }
    }
}

/// The second argument of a call; NULL for `None`.
fn offset(args: &[PhysicalExprRef]) -> Result<Option<i64>> {
    let Some(argument) = args.get(1) else {
        return Ok(Some(1));
    };
    match literal(argument)?.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(rows)) => Ok(rows),
        _ => Err(not_constant().into()),
    }
}

fn literal(argument: &PhysicalExprRef) -> Result<&ScalarValue> {
    let literal = argument.as_any().downcast_ref::<Literal>();
    Ok(literal.ok_or_else(not_constant)?.value())
}

fn not_constant() -> Error {
    Error::invalid("lead and lag take a number of rows and a default that are constants")
}

/// Values of other rows.
#[derive(Debug)]
struct Shifted {
    /// How many rows further on a value stands.
    ahead: Option<i128>,
    /// What stands for rows that are not there.
    default: ScalarValue,
    /// Whether rows without a value are not counted.
    ignores_nulls: bool,
}

impl Shifted {
    /// Where a row's value comes from; `counted` are the rows that count, in their order.
    fn source(&self, row: usize, counted: &[usize]) -> Option<usize> {
        let ahead = self.ahead?;
        let place = match ahead {
            0 => return Some(row),
            1.. => counted.partition_point(|counted| *counted <= row) as i128 + ahead - 1,
            _ => counted.partition_point(|counted| *counted < row) as i128 + ahead,
        };
        counted.get(usize::try_from(place).ok()?).copied()
    }
}

impl PartitionEvaluator for Shifted {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let [values] = values else {
            return Err(Error::internal("lead and lag are of one value").into());
        };
        let nulls = values.logical_nulls().filter(|_| self.ignores_nulls);
        let counts = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        let counted: Vec<usize> = (0..rows).filter(counts).collect();
        let default = match self.ahead {
            Some(_) => self.default.cast_to(values.data_type())?,
            None => ScalarValue::try_from(values.data_type())?,
        };
        let default = default.to_array()?;
        let sources = (0..rows).map(|row| match self.source(row, &counted) {
            Some(source) => (0, source),
            None => (1, 0),
        });
        let sources: Vec<(usize, usize)> = sources.collect();
        Ok(interleave(&[values.as_ref(), default.as_ref()], &sources)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn shifted(ahead: Option<i128>, ignores_nulls: bool) -> Vec<Option<i32>> {
        let values = Int32Array::from(vec![Some(0), None, Some(2), None, None, Some(5)]);
        let mut shifted = Shifted {
            ahead,
            default: ScalarValue::Int64(Some(-1)),
            ignores_nulls,
        };
        let found = shifted.evaluate_all(&[Arc::new(values)], 6).unwrap();
        found.as_primitive::<Int32Type>().iter().collect()
    }

    #[test]
    fn rows_without_a_value_are_not_counted() {
        let by_place = |ahead| shifted(Some(ahead), true);
        let (none, first, last) = (Some(-1), Some(0), Some(5));
        assert_eq!(by_place(1), [Some(2), Some(2), last, last, last, none]);
        assert_eq!(by_place(2), [last, last, none, none, none, none]);
        assert_eq!(
            by_place(-1),
            [none, first, first, Some(2), Some(2), Some(2)]
        );
        assert_eq!(by_place(-2), [none, none, none, first, first, first]);
        assert_eq!(by_place(0), [first, None, Some(2), None, None, last]);
    }

    #[test]
    fn far_rows_are_not_there_and_an_offset_of_null_leads_nowhere() {
        assert_eq!(shifted(Some(i64::MAX.into()), false), [Some(-1); 6]);
        assert_eq!(shifted(Some(i64::MIN.into()), true), [Some(-1); 6]);
        assert_eq!(shifted(None, false), [None; 6]);
    }
}
