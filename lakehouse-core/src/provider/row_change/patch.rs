//! New values in the place of old ones, batch by batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{interleave, nullif};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};

use crate::error::{Error, Result};
use crate::runtime::Reservation;

/// The new values of a data file's updated rows.
#[derive(Debug)]
pub(super) struct Patch {
    /// Where the rows are in the file, ascending.
    positions: Vec<i64>,
    /// One column for each of the columns that are updated.
    values: Vec<ArrayRef>,
    _memory: Reservation,
}

/// How the batches of a file look that are patched.
#[derive(Debug)]
pub(super) struct PatchShape {
    /// The columns that are updated, by position in the table.
    pub(super) update_columns: Vec<usize>,
    /// Which of a patch's columns of values each of them gets.
    pub(super) values: Vec<usize>,
    /// How many columns the table has; behind them is each row's place in its file.
    pub(super) width: usize,
    /// What comes out: the table's columns, and the rows' lineage where tables have it.
    pub(super) schema: SchemaRef,
    /// Whether the id of each row and the sequence number of its last change follow its place.
    pub(super) has_row_lineage: bool,
}

impl PatchShape {
    /// The columns that are updated, each with the patch's column of its values.
    fn updates(&self) -> impl Iterator<Item = (usize, usize)> {
        let columns = self.update_columns.iter().copied();
        columns.zip(self.values.iter().copied())
    }
}

impl Patch {
    pub(super) fn new(positions: Vec<i64>, values: Vec<ArrayRef>, memory: Reservation) -> Self {
        Self {
            positions,
            values,
            _memory: memory,
        }
    }

    /// Whether no row is updated.
    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// How many of the rows are within a range of places.
    pub(super) fn count(&self, range: &std::ops::Range<u64>) -> u64 {
        self.places(range).len() as u64
    }

    /// The places of the rows within a range, and their new values.
    pub(super) fn within(&self, range: &std::ops::Range<u64>) -> (&[i64], Vec<ArrayRef>) {
        let places = self.places(range);
        let values = self.values.iter();
        let values = values.map(|values| values.slice(places.start, places.len()));
        let values = values.collect();
        (&self.positions[places], values)
    }

    /// Which of the rows are within a range of places.
    fn places(&self, range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
        let before = |end: u64| {
            let end = i64::try_from(end).unwrap_or(i64::MAX);
            self.positions.partition_point(|position| *position < end)
        };
        before(range.start)..before(range.end)
    }

    /// The rows of a batch with their new values, and how many got any.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Internal`] when an updated row is missing between the others.
    pub(super) fn apply(
        &self,
        batch: &RecordBatch,
        shape: &PatchShape,
    ) -> Result<(RecordBatch, usize)> {
        let places = batch.column(shape.width).as_primitive_opt::<Int64Type>();
        let places = places.ok_or_else(|| Error::internal("rows came without their places"))?;
        let places = places.values();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.remove(shape.width);
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Ok((RecordBatch::try_new(Arc::clone(&shape.schema), columns)?, 0));
        };
        let start = self.positions.partition_point(|position| position < first);
        let end = self.positions.partition_point(|position| position <= last);
        let updated = &self.positions[start..end];
        if !updated.is_empty() {
            let sequence_number = shape.width + 1;
            if updated == &places[..] {
                for (column, values) in shape.updates() {
                    columns[column] = self.values[values].slice(start, updated.len());
                }
                if shape.has_row_lineage {
                    let none = Int64Array::new_null(updated.len());
                    columns[sequence_number] = Arc::new(none);
                }
            } else {
                let rows = rows_of(updated, places)?;
                let mut sources: Vec<(usize, usize)> =
                    (0..places.len()).map(|row| (0, row)).collect();
                for (row, value) in rows.iter().zip(start..) {
                    sources[*row] = (1, value);
                }
                for (column, values) in shape.updates() {
                    let values = &self.values[values];
                    columns[column] = interleave(&[&columns[column], values], &sources)?;
                }
                if shape.has_row_lineage {
                    let is_updated = sources.iter().map(|(source, _)| Some(*source == 1));
                    let is_updated: BooleanArray = is_updated.collect();
                    columns[sequence_number] = nullif(&columns[sequence_number], &is_updated)?;
                }
            }
        }
        let batch = RecordBatch::try_new(Arc::clone(&shape.schema), columns)?;
        Ok((batch, updated.len()))
    }

    /// The new values as whole rows, when all columns are updated: behind them the rows' ids, where
    /// tables have lineage.
    pub(super) fn rows(&self, shape: &PatchShape) -> Result<RecordBatch> {
        let mut columns = self.values.clone();
        if shape.has_row_lineage {
            columns.push(arrow::array::new_null_array(
                &DataType::Int64,
                self.positions.len(),
            ));
        }
        Ok(RecordBatch::try_new(Arc::clone(&shape.schema), columns)?)
    }
}

/// The rows of a batch that are at `updated` places; `places` are those of all its rows.
fn rows_of(updated: &[i64], places: &[i64]) -> Result<Vec<usize>> {
    let missing = || Error::internal("an updated row is not among the live rows of its file");
    let mut rows = Vec::with_capacity(updated.len());
    let mut from = 0;
    for position in updated {
        // Without a gap the distance from the last row found tells the place.
        let ahead = usize::try_from(position - places[from]).map_err(|_| missing())?;
        let row = match places.get(from + ahead) {
            Some(place) if place == position => from + ahead,
            _ => {
                let rest = &places[from..];
                from + rest.binary_search(position).map_err(|_| missing())?
            }
        };
        rows.push(row);
        from = row;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use arrow::datatypes::{Field, Schema};
    use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

    use super::*;
    use crate::error::ErrorKind;

    /// A table of a number and a text of which the text is updated.
    fn shape(has_row_lineage: bool) -> PatchShape {
        let mut fields = vec![
            Field::new("n", DataType::Int64, true),
            Field::new("t", DataType::Utf8View, true),
        ];
        if has_row_lineage {
            fields.push(Field::new("_row_id", DataType::Int64, true));
            fields.push(Field::new("number", DataType::Int64, true));
        }
        PatchShape {
            update_columns: vec![1],
            values: vec![0],
            width: 2,
            schema: Arc::new(Schema::new(fields)),
            has_row_lineage,
        }
    }

    fn longs(values: Vec<i64>) -> ArrayRef {
        Arc::new(Int64Array::from(values))
    }

    fn texts(values: Vec<Option<&str>>) -> ArrayRef {
        Arc::new(StringViewArray::from(values))
    }

    fn patch(positions: Vec<i64>, values: Vec<Option<&str>>) -> Patch {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let memory = Reservation::unspillable(&pool, "a test");
        Patch::new(positions, vec![texts(values)], memory)
    }

    /// Rows of a file at some places, of which the text says the place.
    fn rows(places: Vec<i64>) -> RecordBatch {
        let names: Vec<String> = places.iter().map(|place| format!("row {place}")).collect();
        let numbers = Int64Array::from_value(5, places.len());
        let columns = [
            ("n", longs(places.clone())),
            (
                "t",
                texts(names.iter().map(|name| Some(name.as_str())).collect()),
            ),
            ("_pos", longs(places.clone())),
            ("_row_id", longs(places)),
            ("number", Arc::new(numbers) as ArrayRef),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn column(batch: &RecordBatch) -> Vec<Option<String>> {
        let texts = batch.column(1).as_string_view().iter();
        texts.map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn new_values_go_where_their_rows_are() {
        let patch = patch(
            vec![3, 8, 20],
            vec![Some("a text that is longer than a view"), None, Some("x")],
        );
        let text = |text: &str| Some(text.to_owned());
        let long = text("a text that is longer than a view");
        let shape = shape(true);
        let (batch, updated) = patch.apply(&rows(vec![0, 3, 4, 8, 9]), &shape).unwrap();
        assert_eq!(updated, 2);
        let expected = [
            text("row 0"),
            long.clone(),
            text("row 4"),
            None,
            text("row 9"),
        ];
        assert_eq!(column(&batch), expected);
        let numbers = batch.column(3).as_primitive::<Int64Type>().iter();
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(numbers, [Some(5), None, Some(5), None, Some(5)]);
        let ids = batch.column(2).as_primitive::<Int64Type>().values();
        assert_eq!(&ids[..], [0, 3, 4, 8, 9]);
        // All of the rows, and none.
        let (batch, updated) = patch.apply(&rows(vec![3, 8]), &shape).unwrap();
        assert_eq!((column(&batch), updated), (vec![long, None], 2));
        assert_eq!(batch.column(3).null_count(), 2);
        let (batch, updated) = patch.apply(&rows(vec![9, 10]), &shape).unwrap();
        assert_eq!(
            (column(&batch), updated),
            (vec![text("row 9"), text("row 10")], 0)
        );
        assert_eq!(patch.count(&(0..8)), 1);
        assert_eq!(patch.count(&(3..21)), 3);
    }

    #[test]
    fn a_row_that_is_not_there_is_an_error() {
        let patch = patch(vec![3, 8], vec![Some("a"), Some("b")]);
        for places in [vec![2, 3, 9], vec![2, 8, 9], vec![3, 7, 9]] {
            let error = patch.apply(&rows(places), &shape(true)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
    }
}
