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
    /// How many columns the table has; behind them is each row's place in its file.
    pub(super) width: usize,
    /// What comes out: the table's columns, and the rows' lineage where tables have it.
    pub(super) schema: SchemaRef,
    /// Whether the id of each row and the sequence number of its last change follow its place.
    pub(super) has_row_lineage: bool,
}

impl Patch {
    pub(super) fn new(positions: Vec<i64>, values: Vec<ArrayRef>, memory: Reservation) -> Self {
        Self {
            positions,
            values,
            _memory: memory,
        }
    }

    /// How many of the rows are within a range of places.
    pub(super) fn count(&self, range: &std::ops::Range<u64>) -> u64 {
        let before = |end: u64| {
            let end = i64::try_from(end).unwrap_or(i64::MAX);
            self.positions.partition_point(|position| *position < end) as u64
        };
        before(range.end) - before(range.start)
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
                for (column, values) in shape.update_columns.iter().zip(&self.values) {
                    columns[*column] = values.slice(start, updated.len());
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
                for (column, values) in shape.update_columns.iter().zip(&self.values) {
                    columns[*column] = interleave(&[&columns[*column], values], &sources)?;
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
