//! The sum or average of all values, or of those in a window that moves.

use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{Decimal128Type, UInt64Type, i256};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

use super::{Kind, Results};

/// A sum of 256 bits, which no number of rows leaves.
#[derive(Debug)]
pub(super) struct Total {
    results: Results,
    sum: i256,
    /// Values that are not NULL; for a sum made of states, the states with a value.
    count: u64,
}

impl Total {
    pub(super) fn new(results: Results) -> Self {
        Self {
            results,
            sum: i256::ZERO,
            count: 0,
        }
    }

    fn add(&mut self, values: &Decimal128Array) {
        self.sum = self.sum.wrapping_add(sum_of(values));
    }

    fn result(&self) -> Result<ScalarValue> {
        let result = (self.count > 0).then(|| self.results.result(self.sum, self.count));
        let (precision, scale) = self.results.results;
        Ok(ScalarValue::Decimal128(
            result.transpose()?,
            precision,
            scale,
        ))
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = decimals(values, 0)?;
        self.count += count_of(values);
        self.add(values);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = decimals(values, 0)?;
        self.count -= count_of(values);
        self.sum = self.sum.wrapping_sub(sum_of(values));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        match self.results.kind {
            Kind::Sum => self.update_batch(states),
            Kind::Average => {
                let Some(counts) = states
                    .first()
                    .and_then(|counts| counts.as_primitive_opt::<UInt64Type>())
                else {
                    return internal_err!("an average without counts");
                };
                self.count += counts.iter().flatten().sum::<u64>();
                self.add(decimals(states, 1)?);
                Ok(())
            }
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = match self.count {
            0 => None,
            _ => Some(self.sum.to_i128().ok_or_else(|| self.results.left())?),
        };
        let (precision, scale) = self.results.of_state();
        let sum = ScalarValue::Decimal128(sum, precision, scale);
        Ok(match self.results.kind {
            Kind::Sum => vec![sum],
            Kind::Average => vec![self.count.into(), sum],
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.result()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum or average of different values, which the engine gathers.
#[derive(Debug)]
pub(super) struct DistinctTotal {
    results: Results,
    engine: Box<dyn Accumulator>,
}

impl DistinctTotal {
    pub(super) fn new(results: Results, engine: Box<dyn Accumulator>) -> Self {
        Self { results, engine }
    }
}

impl Accumulator for DistinctTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.engine.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.engine.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.engine.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = self.engine.state()?;
        let [ScalarValue::List(lists)] = state.as_slice() else {
            return internal_err!("different values are gathered in a list");
        };
        let mut total = Total::new(self.results);
        for values in lists.iter().flatten() {
            total.update_batch(&[values])?;
        }
        total.result()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.engine.size()
    }
}

fn decimals(arrays: &[ArrayRef], place: usize) -> Result<&Decimal128Array> {
    let array = arrays.get(place);
    match array.and_then(|array| array.as_primitive_opt::<Decimal128Type>()) {
        Some(decimals) => Ok(decimals),
        None => internal_err!("a sum of decimals is given something else"),
    }
}

fn count_of(values: &Decimal128Array) -> u64 {
    // A batch has fewer rows than 64 bits count.
    (values.len() - values.null_count()) as u64
}

/// The sum of a batch, in 128 bits as long as these hold it.
fn sum_of(values: &Decimal128Array) -> i256 {
    let mut sum = 0_i128;
    let mut overflowed = false;
    let mut add = |value: i128| {
        let (next, is_beyond) = sum.overflowing_add(value);
        sum = next;
        overflowed |= is_beyond;
    };
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.values().iter().for_each(|value| add(*value)),
        Some(nulls) => values
            .values()
            .iter()
            .zip(nulls)
            .for_each(|(value, is_valid)| add(if is_valid { *value } else { 0 })),
    }
    if !overflowed {
        return i256::from_i128(sum);
    }
    let values = values.iter().flatten().map(i256::from_i128);
    values.fold(i256::ZERO, i256::wrapping_add)
}
