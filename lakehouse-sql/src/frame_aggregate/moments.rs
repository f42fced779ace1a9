//! Sum, mean and variance of the floats in a frame that moves, made of those in it alone.
//!
//! The values wait in two stacks. The older ones are kept with what they and all behind them come
//! to, so that the oldest goes without arithmetic; the newer ones with what all of them come to.
//! Each value is merged three times at most, however large the frame.

use std::mem::{size_of, size_of_val};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

/// What is asked of the values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    Sum,
    Average,
    Variance { is_sample: bool },
    Deviation { is_sample: bool },
}

/// What some values come to.
#[derive(Debug, Clone, Copy, Default)]
struct Summary {
    count: u64,
    sum: f64,
    mean: f64,
    /// The sum of squares of distances from the mean.
    squares: f64,
}

impl Summary {
    fn of(value: f64) -> Self {
        Self {
            count: 1,
            sum: value,
            mean: value,
            // There is no distance of infinities and NaN.
            squares: if value.is_finite() { 0.0 } else { f64::NAN },
        }
    }

    fn and(self, newer: Self) -> Self {
        if self.count == 0 {
            return newer;
        }
        if newer.count == 0 {
            return self;
        }
        let count = self.count + newer.count;
        let distance = newer.mean - self.mean;
        let share = newer.count as f64 / count as f64;
        Self {
            count,
            sum: self.sum + newer.sum,
            mean: self.mean + distance * share,
            squares: self.squares + newer.squares + distance * distance * share * self.count as f64,
        }
    }

    fn variance(self, is_sample: bool) -> Option<f64> {
        match (self.count, is_sample) {
            (0, _) | (1, true) => None,
            // The engine's variance of one value, also where it is infinite.
            (1, false) => Some(0.0),
            (count, true) => Some(self.squares / (count - 1) as f64),
            (count, false) => Some(self.squares / count as f64),
        }
    }
}

impl Moment {
    fn of(self, values: Summary) -> Option<f64> {
        match self {
            Self::Sum => (values.count > 0).then_some(values.sum),
            Self::Average => (values.count > 0).then(|| values.sum / values.count as f64),
            Self::Variance { is_sample } => values.variance(is_sample),
            Self::Deviation { is_sample } => values.variance(is_sample).map(f64::sqrt),
        }
    }
}

/// A moment of the values in a frame.
#[derive(Debug)]
pub(super) struct MomentsOfFrame {
    moment: Moment,
    /// Each of the older values with all behind it among them; the oldest last.
    older: Vec<Summary>,
    /// The newer values, the newest last.
    newer: Vec<f64>,
    all_newer: Summary,
}

impl MomentsOfFrame {
    pub(super) fn new(moment: Moment) -> Self {
        Self {
            moment,
            older: Vec::new(),
            newer: Vec::new(),
            all_newer: Summary::default(),
        }
    }

    fn push(&mut self, value: f64) {
        self.newer.push(value);
        self.all_newer = self.all_newer.and(Summary::of(value));
    }

    /// Takes out the oldest value.
    fn pop(&mut self) -> Result<()> {
        if self.older.is_empty() {
            let mut behind = Summary::default();
            for value in self.newer.drain(..).rev() {
                behind = Summary::of(value).and(behind);
                self.older.push(behind);
            }
            self.all_newer = Summary::default();
        }
        match self.older.pop() {
            Some(_) => Ok(()),
            None => internal_err!("a value leaves a frame that it is not in"),
        }
    }

    fn all(&self) -> Summary {
        let older = self.older.last().copied().unwrap_or_default();
        older.and(self.all_newer)
    }
}

impl Accumulator for MomentsOfFrame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in known(values)? {
            self.push(value);
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for _ in known(values)? {
            self.pop()?;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.moment.of(self.all())))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.older.capacity() * size_of::<Summary>()
            + self.newer.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("frames have no states to merge")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("frames have no states to merge")
    }
}

/// The values that are not NULL.
fn known(values: &[ArrayRef]) -> Result<impl Iterator<Item = f64>> {
    let values = values
        .first()
        .and_then(|values| values.as_primitive_opt::<Float64Type>());
    match values {
        Some(values) => Ok(values.iter().flatten()),
        None => internal_err!("statistics of floats are of DOUBLE here"),
    }
}
