//! Cuts a batch into pieces of so many bytes, each with its values to itself.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions,
    StructArray, UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;

/// Buffers of this many bytes beyond the values' own are not worth a copy.
const SLACK_BYTES: usize = 1024;

/// Slices of `batch` of so many bytes and rows at most, in order; a row that is larger is alone.
pub(super) fn pieces(batch: &RecordBatch, bytes_max: usize, rows_max: usize) -> Vec<RecordBatch> {
    let mut pieces = Vec::new();
    // The next one is the last.
    let mut rest = vec![batch.clone()];
    while let Some(piece) = rest.pop() {
        let rows = piece.num_rows();
        if rows <= 1 || (rows <= rows_max && batch_bytes(&piece) <= bytes_max) {
            pieces.push(piece);
        } else {
            let half = rows / 2;
            rest.push(piece.slice(half, rows - half));
            rest.push(piece.slice(0, half));
        }
    }
    pieces
}

/// What the values of a batch take by themselves, in bytes.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(array_bytes).sum()
}

/// The same rows without the rest of larger buffers.
///
/// # Errors
/// When a column has a type whose values cannot be copied.
pub(super) fn compact(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.columns().iter().any(is_sparse) {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch
        .columns()
        .iter()
        .map(|column| match is_sparse(column) {
            true => copied(column),
            false => Ok(Arc::clone(column)),
        });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

/// Whether a good part of the buffers behind an array are no values of it.
fn is_sparse(array: &ArrayRef) -> bool {
    let bytes = array_bytes(array);
    array.get_buffer_memory_size() > bytes + bytes / 4 + SLACK_BYTES
}

fn array_bytes(array: &ArrayRef) -> usize {
    // Of views, what they point at is extra; of nested values, those of the slice count.
    let inner_bytes = match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used(),
        DataType::List(_) => return list_bytes(array.as_list::<i32>()),
        DataType::LargeList(_) => return list_bytes(array.as_list::<i64>()),
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            return columns.map(array_bytes).sum::<usize>() + array.len() / 8;
        }
        _ => 0,
    };
    let bytes = array.to_data().get_slice_memory_size();
    inner_bytes + bytes.unwrap_or_else(|_| array.get_buffer_memory_size())
}

fn list_bytes<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> usize {
    let offsets = lists.offsets();
    let start = offsets.first().map_or(0, |start| start.as_usize());
    let end = offsets.last().map_or(start, |end| end.as_usize());
    let own_bytes = size_of_val::<[O]>(offsets) + lists.len() / 8;
    own_bytes + array_bytes(&lists.values().slice(start, end - start))
}

fn copied(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let rows = UInt64Array::from_iter_values(0..array.len() as u64);
    // Views are copied with what they point at where it was.
    dense(&take(array, &rows, None)?)
}

/// The same array, with views into buffers of their own.
fn dense(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::List(item) => Arc::new(dense_list(array.as_list::<i32>(), item)?),
        DataType::LargeList(item) => Arc::new(dense_list(array.as_list::<i64>(), item)?),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().map(dense);
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let nulls = array.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                nulls,
                array.len(),
            )?)
        }
        _ => Arc::clone(array),
    })
}

fn dense_list<O: OffsetSizeTrait>(
    lists: &GenericListArray<O>,
    item: &FieldRef,
) -> Result<GenericListArray<O>, ArrowError> {
    GenericListArray::try_new(
        Arc::clone(item),
        lists.offsets().clone(),
        dense(lists.values())?,
        lists.nulls().cloned(),
    )
}

#[cfg(test)]
mod tests {
    use std::iter;

    use arrow::array::{
        BinaryViewArray, Int64Array, ListBuilder, StringArray, StringViewArray, StringViewBuilder,
    };
    use arrow::compute::concat_batches;
    use datafusion::common::utils::memory::get_record_batch_memory_size;

    use super::*;

    const ROWS: i64 = 10_000;

    fn batch() -> RecordBatch {
        let texts = || (0..ROWS).map(|n| (n % 3 != 0).then(|| format!("a text beyond views {n}")));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
        RecordBatch::try_from_iter_with_nullable([
            ("n", numbers, false),
            ("text", Arc::new(StringArray::from_iter(texts())), true),
            ("view", Arc::new(StringViewArray::from_iter(texts())), true),
            ("texts", lists(), true),
            ("bytes", Arc::new(BinaryViewArray::from_iter(texts())), true),
        ])
        .unwrap()
    }

    /// Lists of texts, as the states of distinct counts are.
    fn lists() -> ArrayRef {
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for n in 0..ROWS {
            for item in 0..n % 4 {
                let text = format!("a text of a list beyond views {n} {item}");
                lists.values().append_value(text);
            }
            lists.append(n % 5 != 0);
        }
        Arc::new(lists.finish())
    }

    #[test]
    fn pieces_are_the_rows_in_order_and_within_the_bound() {
        const BYTES_MAX: usize = 20_000;
        let whole = batch();
        let slice = whole.slice(7, 9_000);
        let cut = pieces(&slice, BYTES_MAX, 100).into_iter().map(compact);
        let cut: Vec<RecordBatch> = cut.collect::<Result<_, _>>().unwrap();
        assert!(cut.len() > 40, "{}", cut.len());
        for piece in &cut {
            assert!(piece.num_rows() <= 100 && batch_bytes(piece) <= BYTES_MAX);
            let memory = get_record_batch_memory_size(piece);
            assert!(memory < BYTES_MAX * 3 / 2, "{memory}");
        }
        assert_eq!(concat_batches(&whole.schema(), &cut).unwrap(), slice);
    }

    #[test]
    fn what_is_small_and_dense_is_not_copied() {
        let whole = compact(batch()).unwrap();
        let [piece] = pieces(&whole, usize::MAX, usize::MAX).try_into().unwrap();
        let piece = compact(piece).unwrap();
        for (column, other) in iter::zip(piece.columns(), whole.columns()) {
            assert!(Arc::ptr_eq(column, other));
        }
    }

    #[test]
    fn a_row_beyond_the_bound_is_alone() {
        let cut = pieces(&batch().slice(0, 5), 1, usize::MAX);
        assert!(cut.iter().all(|piece| piece.num_rows() == 1));
        assert_eq!(cut.len(), 5);
    }

    #[test]
    fn rows_without_columns_stay() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap();
        let cut = pieces(&batch, 1, usize::MAX);
        assert_eq!(cut.len(), 1);
        assert_eq!(compact(cut[0].clone()).unwrap().num_rows(), 3);
    }
}
