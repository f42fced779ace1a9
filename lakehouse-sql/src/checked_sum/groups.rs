//! Sums and averages of the values of each group.
//!
//! A group's sum has 128 bits, as its state has. An addition that leaves them is an error, also
//! where values of the other sign would have brought the sum back.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Decimal128Type, DecimalType, UInt64Type, i256};
use datafusion::common::{DataFusionError, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::Results;

/// One sum per group.
#[derive(Debug)]
pub(super) struct GroupSums {
    results: Results,
    sums: Vec<i128>,
    /// Whether a group has a value; all have while there is no list.
    has_value: Option<Vec<bool>>,
}

impl GroupSums {
    pub(super) fn new(results: Results) -> Self {
        Self {
            results,
            sums: Vec::new(),
            has_value: None,
        }
    }

    /// Adds each value to its group's sum. Every group from those known to `groups_len` has a row
    /// here.
    fn add(
        &mut self,
        values: &Decimal128Array,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        groups_len: usize,
    ) -> Result<()> {
        let known = self.sums.len();
        self.sums.resize(groups_len, 0);
        let sums = self.sums.as_mut_slice();
        let mut overflowed = false;
        let mut add = |group: usize, value: i128| {
            let sum = &mut sums[group];
            let (next, is_beyond) = sum.overflowing_add(value);
            *sum = next;
            overflowed |= is_beyond;
        };
        match added_rows(values, filter) {
            None => {
                for (group, value) in groups.iter().zip(values.values()) {
                    add(*group, *value);
                }
                if let Some(has_value) = &mut self.has_value {
                    has_value.resize(groups_len, false);
                    groups.iter().for_each(|group| has_value[*group] = true);
                }
            }
            Some(added) => {
                let has_value = self.has_value.get_or_insert_with(|| vec![true; known]);
                has_value.resize(groups_len, false);
                let rows = groups.iter().zip(values.values()).zip(&added);
                for ((group, value), is_added) in rows {
                    if is_added {
                        add(*group, *value);
                        has_value[*group] = true;
                    }
                }
            }
        }
        match overflowed {
            true => Err(self.results.left()),
            false => Ok(()),
        }
    }

    /// Takes sums out, with the groups that have none as NULL.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i128>, Option<NullBuffer>) {
        let sums = emit_to.take_needed(&mut self.sums);
        let taken = self.has_value.as_mut();
        let taken = taken.map(|has_value| emit_to.take_needed(has_value));
        if self.sums.is_empty() {
            self.has_value = None;
        }
        (sums, taken.map(NullBuffer::from))
    }

    fn states(&self, sums: Vec<i128>, nulls: Option<NullBuffer>) -> ArrayRef {
        let sums = Decimal128Array::new(sums.into(), nulls);
        Arc::new(sums.with_data_type(self.results.state_type()))
    }
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = decimals(values.first())?;
        self.add(values, group_indices, opt_filter, total_num_groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, nulls) = self.take(emit_to);
        let (precision, _) = self.results.results;
        let fits = |sum: &i128| Decimal128Type::is_valid_decimal_precision(*sum, precision);
        if !sums.iter().all(fits) {
            return Err(self.results.left());
        }
        let sums = Decimal128Array::new(sums.into(), nulls);
        Ok(Arc::new(sums.with_data_type(self.results.data_type())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, nulls) = self.take(emit_to);
        Ok(vec![self.states(sums, nulls)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let sums = decimals(values.first())?;
        let sums = Decimal128Array::new(sums.values().clone(), added_rows(sums, opt_filter));
        Ok(vec![Arc::new(
            sums.with_data_type(self.results.state_type()),
        )])
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        let flags = self.has_value.as_ref().map_or(0, Vec::capacity);
        self.sums.capacity() * size_of::<i128>() + flags
    }
}

/// One sum and one count per group.
#[derive(Debug)]
pub(super) struct GroupAverages {
    sums: GroupSums,
    counts: Vec<u64>,
}

impl GroupAverages {
    pub(super) fn new(results: Results) -> Self {
        Self {
            sums: GroupSums::new(results),
            counts: Vec::new(),
        }
    }
}

impl GroupsAccumulator for GroupAverages {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = decimals(values.first())?;
        self.counts.resize(total_num_groups, 0);
        match added_rows(values, opt_filter) {
            None => group_indices
                .iter()
                .for_each(|group| self.counts[*group] += 1),
            Some(added) => {
                for (group, is_added) in group_indices.iter().zip(&added) {
                    self.counts[*group] += u64::from(is_added);
                }
            }
        }
        self.sums
            .add(values, group_indices, opt_filter, total_num_groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let counts = counts(values.first())?;
        let sums = decimals(values.get(1))?;
        self.counts.resize(total_num_groups, 0);
        let added = added_rows(sums, opt_filter);
        for (row, (group, count)) in group_indices.iter().zip(counts.values()).enumerate() {
            if added.as_ref().is_none_or(|added| added.is_valid(row)) {
                self.counts[*group] += count;
            }
        }
        self.sums
            .add(sums, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let counts = emit_to.take_needed(&mut self.counts);
        let (sums, _) = self.sums.take(emit_to);
        let results = self.sums.results;
        let averages = sums.into_iter().zip(counts).map(|(sum, count)| {
            let average = (count > 0).then(|| results.result(i256::from_i128(sum), count));
            average.transpose()
        });
        let averages: Decimal128Array = averages.collect::<Result<_>>()?;
        Ok(Arc::new(averages.with_data_type(results.data_type())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = emit_to.take_needed(&mut self.counts);
        let (sums, nulls) = self.sums.take(emit_to);
        let counts = UInt64Array::new(counts.into(), nulls.clone());
        Ok(vec![Arc::new(counts), self.sums.states(sums, nulls)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let sums = self.sums.convert_to_state(values, opt_filter)?;
        let nulls = sums.first().and_then(|sums| sums.nulls().cloned());
        let rows = values.first().map_or(0, |values| values.len());
        let counts = UInt64Array::new(vec![1; rows].into(), nulls);
        let counts: ArrayRef = Arc::new(counts);
        Ok([vec![counts], sums].concat())
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.sums.size() + self.counts.capacity() * size_of::<u64>()
    }
}

/// The rows whose values count; all do where there is no list.
fn added_rows(values: &Decimal128Array, filter: Option<&BooleanArray>) -> Option<NullBuffer> {
    let passed = filter.map(|filter| {
        let is_true = match filter.nulls() {
            Some(known) => filter.values() & known.inner(),
            None => filter.values().clone(),
        };
        NullBuffer::new(is_true)
    });
    NullBuffer::union(values.nulls(), passed.as_ref()).filter(|added| added.null_count() > 0)
}

fn decimals(array: Option<&ArrayRef>) -> Result<&Decimal128Array> {
    array
        .and_then(|array| array.as_primitive_opt::<Decimal128Type>())
        .ok_or_else(no_state)
}

fn counts(array: Option<&ArrayRef>) -> Result<&UInt64Array> {
    array
        .and_then(|array| array.as_primitive_opt::<UInt64Type>())
        .ok_or_else(no_state)
}

fn no_state() -> DataFusionError {
    internal_datafusion_err!("a sum of decimals is given something else")
}
