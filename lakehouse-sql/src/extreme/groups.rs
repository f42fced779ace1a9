//! The least or greatest value of each group.

use std::cmp::Ordering;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray,
};
use arrow::buffer::NullBuffer;
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::Kind;

/// One value per group, or none, by the total order, which of floats is that of IEEE 754.
#[derive(Debug)]
pub(super) struct GroupExtremes<T: ArrowPrimitiveType> {
    /// How a value that takes the place of another compares to it.
    wins: Ordering,
    values: Vec<T::Native>,
    has_value: Vec<bool>,
}

impl<T: ArrowPrimitiveType> GroupExtremes<T> {
    pub(super) fn new(kind: Kind) -> Self {
        let wins = match kind {
            Kind::Min => Ordering::Less,
            Kind::Max => Ordering::Greater,
        };
        Self {
            wins,
            values: Vec::new(),
            has_value: Vec::new(),
        }
    }

    /// Takes values out, with the groups that have none as NULL.
    fn take(&mut self, emit_to: EmitTo) -> ArrayRef {
        let values = emit_to.take_needed(&mut self.values);
        let has_value = emit_to.take_needed(&mut self.has_value);
        let nulls = NullBuffer::from(has_value);
        let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for GroupExtremes<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = typed::<T>(values)?;
        self.values.resize(total_num_groups, T::Native::default());
        self.has_value.resize(total_num_groups, false);
        let (bests, has_value) = (&mut self.values, &mut self.has_value);
        let wins = self.wins;
        let mut add = |group: usize, value: T::Native| {
            if !has_value[group] || value.compare(bests[group]) == wins {
                bests[group] = value;
                has_value[group] = true;
            }
        };
        let rows = group_indices.iter().zip(values.values());
        match added_rows(values, opt_filter) {
            None => rows.for_each(|(group, value)| add(*group, *value)),
            Some(added) => {
                for ((group, value), is_added) in rows.zip(&added) {
                    if is_added {
                        add(*group, *value);
                    }
                }
            }
        }
        Ok(())
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
        Ok(self.take(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.take(emit_to)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = typed::<T>(values)?;
        let added = added_rows(values, opt_filter);
        let states = PrimitiveArray::<T>::new(values.values().clone(), added);
        Ok(vec![Arc::new(states)])
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.has_value.capacity()
    }
}

/// The rows with a value that pass the filter; none when all do.
fn added_rows<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    filter: Option<&BooleanArray>,
) -> Option<NullBuffer> {
    let passed = filter.map(|filter| {
        let is_true = match filter.nulls() {
            Some(known) => filter.values() & known.inner(),
            None => filter.values().clone(),
        };
        NullBuffer::new(is_true)
    });
    NullBuffer::union(values.nulls(), passed.as_ref()).filter(|added| added.null_count() > 0)
}

fn typed<T: ArrowPrimitiveType>(arrays: &[ArrayRef]) -> Result<&PrimitiveArray<T>> {
    arrays
        .first()
        .and_then(|array| array.as_primitive_opt::<T>())
        .ok_or_else(|| internal_datafusion_err!("an extreme is given values of another type"))
}
