//! Cuts a batch into pieces of so many bytes, each with its values to itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Buffers of this many bytes beyond the values' own are not worth a copy.
const SLACK_BYTES: usize = 1024;

/// Slices of `batch` of `bytes_max` at most, in order; a row that is larger is alone.
pub(super) fn pieces(batch: &RecordBatch, bytes_max: usize) -> Vec<RecordBatch> {
    let mut pieces = Vec::new();
    // The next one is the last.
    let mut rest = vec![batch.clone()];
    while let Some(piece) = rest.pop() {
        let rows = piece.num_rows();
        if rows <= 1 || batch_bytes(&piece) <= bytes_max {
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
    let columns = batch.columns().iter().map(|column| match is_sparse(column) {
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
    let text_bytes = match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used(),
        _ => 0,
    };
    // Of views, these are the views alone.
    let bytes = array.to_data().get_slice_memory_size();
    text_bytes + bytes.unwrap_or_else(|_| array.get_buffer_memory_size())
}

fn copied(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let rows = UInt64Array::from_iter_values(0..array.len() as u64);
    // Views are copied with what they point at where it was.
    let array = take(array, &rows, None)?;
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => array,
    })
}

#[cfg(test)]
mod tests {
    use std::iter;

    use arrow::array::{BinaryViewArray, Int64Array, StringArray, StringViewArray};
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
            (
                "bytes",
                Arc::new(BinaryViewArray::from_iter(texts())),
                true,
            ),
        ])
        .unwrap()
    }

    #[test]
    fn pieces_are_the_rows_in_order_and_within_the_bound() {
        const BYTES_MAX: usize = 20_000;
        let whole = batch();
        let slice = whole.slice(7, 9_000);
        let cut = pieces(&slice, BYTES_MAX).into_iter().map(compact);
        let cut: Vec<RecordBatch> = cut.collect::<Result<_, _>>().unwrap();
        assert!(cut.len() > 40, "{}", cut.len());
        for piece in &cut {
            assert!(batch_bytes(piece) <= BYTES_MAX);
            let memory = get_record_batch_memory_size(piece);
            assert!(memory < BYTES_MAX * 3 / 2, "{memory}");
        }
        assert_eq!(concat_batches(&whole.schema(), &cut).unwrap(), slice);
    }

    #[test]
    fn what_is_small_and_dense_is_not_copied() {
        let whole = batch();
        let [piece] = pieces(&whole, usize::MAX).try_into().unwrap();
        let piece = compact(piece).unwrap();
        for (column, other) in iter::zip(piece.columns(), whole.columns()) {
            assert!(Arc::ptr_eq(column, other));
        }
    }

    #[test]
    fn a_row_beyond_the_bound_is_alone() {
        let cut = pieces(&batch().slice(0, 5), 1);
        assert!(cut.iter().all(|piece| piece.num_rows() == 1));
        assert_eq!(cut.len(), 5);
    }

    #[test]
    fn rows_without_columns_stay() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap();
        let cut = pieces(&batch, 1);
        assert_eq!(cut.len(), 1);
        assert_eq!(compact(cut[0].clone()).unwrap().num_rows(), 3);
    }
}
