//! An accumulator of the engine that does not know when it is empty.

use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{filter, is_not_null};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

/// The engine's accumulator, asked only while there are values.
#[derive(Debug)]
pub(super) struct WhileKnown {
    engine: Box<dyn Accumulator>,
    /// The result without a value: NULL.
    none: ScalarValue,
    /// Values in the window that are not NULL.
    count: usize,
}

impl WhileKnown {
    pub(super) fn new(engine: Box<dyn Accumulator>, none: ScalarValue) -> Self {
        Self {
            engine,
            none,
            count: 0,
        }
    }
}

impl Accumulator for WhileKnown {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = without_nulls(values)?;
        self.count += rows(&values);
        self.engine.update_batch(&values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = without_nulls(values)?;
        self.count -= rows(&values);
        self.engine.retract_batch(&values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.engine.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.count {
            0 => Ok(self.none.clone()),
            _ => self.engine.evaluate(),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.engine.size()
    }
}

fn rows(values: &[ArrayRef]) -> usize {
    values.first().map_or(0, |values| values.len())
}

fn without_nulls(arrays: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let known = arrays.iter().map(|array| match array.null_count() {
        0 => Ok(ArrayRef::clone(array)),
        _ => Ok(filter(array, &is_not_null(array)?)?),
    });
    known.collect()
}
