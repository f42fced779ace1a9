//! Leaves rows out of decoded batches, in place where nobody else holds their values.

use std::ops::Range;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::compute::{FilterBuilder, FilterPredicate, filter_record_batch};

use crate::error::{Error, Result};

/// Batches of which fewer rows than one in so many are kept are copied: that is little to write, and
/// their large buffers are given back.
const IN_PLACE_ONE_OF: usize = 2;

/// The rows of `batch` that are in `keep`.
///
/// # Errors
/// When `keep` is about another number of rows.
pub(super) fn compacted(batch: RecordBatch, keep: BooleanBuffer) -> Result<RecordBatch> {
    if keep.len() != batch.num_rows() {
        return Err(Error::internal("rows are kept of another number of rows"));
    }
    let kept = keep.count_set_bits();
    if kept == batch.num_rows() {
        return Ok(batch);
    }
    let keep = BooleanArray::new(keep, None);
    if kept.saturating_mul(IN_PLACE_ONE_OF) < batch.num_rows() {
        return Ok(filter_record_batch(&batch, &keep)?);
    }
    let runs: Vec<_> = keep.values().set_slices().map(|(s, e)| s..e).collect();
    let copying = FilterBuilder::new(&keep).optimize().build();
    let (schema, columns, _) = batch.into_parts();
    let columns = columns.into_iter();
    let columns = columns.map(|column| compacted_column(column, &runs, &copying));
    let columns = columns.collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(kept));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

fn compacted_column(
    column: ArrayRef,
    runs: &[Range<usize>],
    copying: &FilterPredicate,
) -> Result<ArrayRef> {
    let Some(width) = column.data_type().primitive_width() else {
        return Ok(copying.filter(&column)?);
    };
    let data = column.to_data();
    // Its buffer is then `data`'s alone, unless a cache or another column has it as well.
    drop(column);
    let (data_type, rows, nulls, offset, mut buffers, _) = data.into_parts();
    let whole = |values: Buffer, nulls: Option<NullBuffer>, rows: usize, offset: usize| {
        let builder = ArrayData::builder(data_type).len(rows).offset(offset);
        builder.nulls(nulls).add_buffer(values).build()
    };
    let values = buffers.pop().unwrap_or_default();
    let mut values = match values.into_mutable() {
        Ok(values) if offset == 0 => values,
        Ok(values) => {
            let column = make_array(whole(values.into(), nulls, rows, offset)?);
            return Ok(copying.filter(&column)?);
        }
        Err(values) => {
            let column = make_array(whole(values, nulls, rows, offset)?);
            return Ok(copying.filter(&column)?);
        }
    };
    let mut end = 0;
    for run in runs {
        let bytes = run.start * width..run.end * width;
        let length = bytes.len();
        if bytes.start > end {
            values.as_slice_mut().copy_within(bytes, end);
        }
        end += length;
    }
    values.truncate(end);
    let nulls = match nulls {
        Some(nulls) if nulls.null_count() > 0 => {
            let valid = BooleanArray::new(nulls.into_inner(), None);
            let valid = copying.filter(&valid)?;
            Some(NullBuffer::new(valid.as_boolean().values().clone()))
        }
        _ => None,
    };
    Ok(make_array(whole(values.into(), nulls, end / width, 0)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Int32Array, Int64Array, StringViewArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;

    /// Columns of several widths, with NULLs and without.
    fn batch(rows: usize) -> RecordBatch {
        let numbers = 0..i32::try_from(rows).unwrap();
        let some = |number: i32| (number % 7 != 3).then_some(number);
        let texts = numbers
            .clone()
            .map(|number| format!("a text of number {number}"));
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "int",
                Arc::new(Int32Array::from_iter_values(numbers.clone())),
            ),
            (
                "maybe",
                Arc::new(Int32Array::from_iter(numbers.clone().map(some))),
            ),
            (
                "long",
                Arc::new(Int64Array::from_iter_values(numbers.clone().map(i64::from))),
            ),
            (
                "decimal",
                Arc::new(Decimal128Array::from_iter_values(numbers.map(i128::from))),
            ),
            ("text", Arc::new(StringViewArray::from_iter_values(texts))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_compacted_in_place_is_what_is_filtered(
            keep in proptest::collection::vec(proptest::bool::weighted(0.9), 1..300),
            first in 0..20_usize,
        ) {
            let rows = keep.len();
            let expected = filter_record_batch(&batch(rows), &BooleanArray::from(keep.clone()));
            let keep = BooleanBuffer::from(keep);
            let expected = expected.unwrap();
            prop_assert_eq!(&compacted(batch(rows), keep.clone()).unwrap(), &expected);
            // Values that somebody else has stay as they are.
            let shared = batch(rows);
            prop_assert_eq!(&compacted(shared.clone(), keep.clone()).unwrap(), &expected);
            prop_assert_eq!(&shared, &batch(rows));
            // Parts of larger batches.
            let first = first.min(rows - 1);
            let keep = keep.slice(first, rows - first);
            let part = batch(rows).slice(first, rows - first);
            let expected = filter_record_batch(&part, &BooleanArray::new(keep.clone(), None));
            prop_assert_eq!(compacted(part, keep).unwrap(), expected.unwrap());
        }
    }

    #[test]
    fn values_that_nobody_else_has_stay_where_they_are() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let values = Arc::new(Int64Array::from_iter_values(0..100));
        let place = values.values().as_ptr();
        let batch = RecordBatch::try_new(Arc::new(schema), vec![values]).unwrap();
        let keep = BooleanBuffer::collect_bool(100, |row| row % 10 != 0);
        let kept = compacted(batch, keep).unwrap();
        let kept = kept
            .column(0)
            .as_any()
            .downcast_ref::<Int64Array>()
            .unwrap();
        assert_eq!(
            (kept.len(), kept.value(89), kept.values().as_ptr()),
            (90, 99, place)
        );
    }

    #[test]
    fn another_number_of_rows_is_an_error() {
        assert!(compacted(batch(10), BooleanBuffer::new_set(9)).is_err());
        assert!(compacted(batch(10), BooleanBuffer::new_set(11)).is_err());
    }
}
