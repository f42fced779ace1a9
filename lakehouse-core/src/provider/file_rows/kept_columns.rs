//! Rows of row groups of which columns may be kept in memory: only the others are decoded.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema as ArrowSchema, SchemaRef};
use datafusion::physical_plan::metrics::Count;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelector};

use super::super::file_reader::FileReader;
use super::{WantedRows, decoded, other_count, row_count};
use crate::error::Result;
use crate::scan::{ColumnCache, ColumnKey, KeptColumn};

/// What a value takes that has no fixed width, beside its bytes in the file.
const VALUE_BYTES: usize = 16;

/// A file's place in the cache of columns.
#[derive(Debug, Clone)]
pub(in crate::provider) struct FileColumns {
    pub(in crate::provider) cache: Arc<ColumnCache>,
    pub(in crate::provider) location: Arc<str>,
    /// Columns of row groups that were asked for.
    pub(in crate::provider) asked: Count,
    /// Those of them that were in the cache.
    pub(in crate::provider) kept: Count,
}

impl FileColumns {
    /// Where a column of a row group comes from; one that is wanted in part is not kept.
    fn column(&self, row_group: usize, root: usize, data_type: &DataType, is_part: bool) -> Column {
        let key = ColumnKey {
            location: Arc::clone(&self.location),
            row_group,
            root,
            data_type: data_type.clone(),
        };
        match self.cache.get(&key) {
            Some(column) => Column::Kept(Cursor::new(column)),
            None => {
                let arrays = Vec::new();
                let is_wanted = !is_part && self.cache.wants(&key);
                Column::Decoded(is_wanted.then_some(Gathered { key, arrays }))
            }
        }
    }
}

/// The wanted rows of one row group after the other.
pub(super) fn rows(
    reader: FileReader,
    metadata: ArrowReaderMetadata,
    wanted: WantedRows,
    columns: FileColumns,
) -> impl Stream<Item = Result<RecordBatch>> + Send + use<> {
    let groups = stream::iter(wanted.row_groups.clone());
    let mut selection = wanted.selection.clone();
    let batches = groups.map(move |group| {
        let rows = row_count(metadata.metadata(), &[group]);
        let selection = selection.as_mut().map(|rest| rest.split_off(rows));
        let one = WantedRows {
            row_groups: vec![group],
            selection: selection.filter(|selection| selection.row_count() < rows),
            ..wanted.clone()
        };
        group_rows(reader.clone(), metadata.clone(), one, group, &columns)
    });
    batches.try_flatten()
}

fn group_rows(
    reader: FileReader,
    metadata: ArrowReaderMetadata,
    wanted: WantedRows,
    group: usize,
    file: &FileColumns,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let rows = wanted.row_count(metadata.metadata());
    let is_part = wanted.selection.is_some();
    let fields = metadata.schema().fields();
    let fields: Vec<_> = wanted
        .roots
        .iter()
        .filter_map(|root| Some((*root, Arc::clone(fields.get(*root)?))))
        .collect();
    let mut columns = Vec::with_capacity(fields.len());
    let mut missing = Vec::new();
    for (root, field) in &fields {
        let column = file.column(group, *root, field.data_type(), is_part);
        if matches!(column, Column::Decoded(_)) {
            missing.push(*root);
        }
        columns.push(column);
    }
    file.asked.add(columns.len());
    if is_part && !missing.is_empty() {
        return Ok(decoded(reader, metadata, wanted)?.boxed());
    }
    file.kept.add(columns.len() - missing.len());
    if expected_bytes(&metadata, group, &columns) > file.cache.group_bytes_max() {
        columns.iter_mut().for_each(Column::do_not_keep);
    }
    let batch_size = wanted.batch_size;
    let schema = ArrowSchema::new(
        fields
            .into_iter()
            .map(|(_, field)| field)
            .collect::<Vec<_>>(),
    );
    let runs = wanted.selection.as_ref().map(|selection| {
        let runs = selection.iter().copied();
        runs.collect::<VecDeque<_>>()
    });
    let decoded = if missing.is_empty() {
        None
    } else {
        let missing = WantedRows {
            roots: missing,
            ..wanted
        };
        Some(decoded(reader, metadata, missing)?.boxed())
    };
    let state = GroupRows {
        schema: Arc::new(schema),
        columns,
        decoded,
        left: rows,
        runs: runs.unwrap_or_else(|| [RowSelector::select(rows)].into()),
        batch_size,
        cache: Arc::clone(&file.cache),
    };
    Ok(stream::try_unfold(state, GroupRows::next).boxed())
}

/// What the columns that are to be kept may take in memory.
fn expected_bytes(metadata: &ArrowReaderMetadata, group: usize, columns: &[Column]) -> u64 {
    let schema = metadata.parquet_schema();
    let group = metadata.metadata().row_group(group);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0);
    let gathered = columns.iter().filter_map(|column| match column {
        Column::Decoded(Some(gathered)) => Some(&gathered.key),
        _ => None,
    });
    gathered.fold(0, |sum: u64, key| {
        let leaves = group.columns().iter().enumerate();
        let leaves = leaves.filter(|(leaf, _)| schema.get_column_root_idx(*leaf) == key.root);
        let stored = leaves.map(|(_, leaf)| u64::try_from(leaf.uncompressed_size()).unwrap_or(0));
        let width = key.data_type.primitive_width().unwrap_or(VALUE_BYTES);
        let values = rows.saturating_mul(width as u64);
        stored.fold(sum.saturating_add(values), u64::saturating_add)
    })
}

/// The rows of one row group, on their way.
struct GroupRows {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// The columns that are not kept, in the same order.
    decoded: Option<BoxStream<'static, Result<RecordBatch>>>,
    /// Rows still to come.
    left: usize,
    /// Which rows of the kept columns they are.
    runs: VecDeque<RowSelector>,
    batch_size: usize,
    cache: Arc<ColumnCache>,
}

impl GroupRows {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let decoded = match &mut self.decoded {
            Some(decoded) => decoded.try_next().await?,
            None => None,
        };
        let rows = match &decoded {
            Some(batch) => batch.num_rows(),
            None if self.decoded.is_some() => 0,
            None => self.batch_size.min(self.left),
        };
        if rows == 0 {
            self.keep();
            return Ok(None);
        }
        self.left = self.left.checked_sub(rows).ok_or_else(other_count)?;
        let runs = next_runs(&mut self.runs, rows);
        let mut decoded = decoded.iter().flat_map(|batch| batch.columns());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let array = match column {
                Column::Kept(cursor) => cursor.take(&runs)?,
                Column::Decoded(gathered) => {
                    let array = decoded.next().map(Arc::clone).ok_or_else(other_count)?;
                    if let Some(gathered) = gathered {
                        gathered.arrays.push(Arc::clone(&array));
                    }
                    array
                }
            };
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)?;
        Ok(Some((batch, self)))
    }

    /// Gives the cache what was gathered, when it is all of the row group.
    fn keep(&mut self) {
        if self.left > 0 {
            return;
        }
        for column in self.columns.drain(..) {
            if let Column::Decoded(Some(Gathered { key, arrays })) = column {
                self.cache.insert(key, arrays);
            }
        }
    }
}

/// The runs up to the next `rows` rows that are selected.
fn next_runs(runs: &mut VecDeque<RowSelector>, mut rows: usize) -> Vec<RowSelector> {
    let mut next = Vec::new();
    while rows > 0 {
        let Some(mut run) = runs.pop_front() else {
            break;
        };
        if !run.skip {
            if run.row_count > rows {
                runs.push_front(RowSelector::select(run.row_count - rows));
                run.row_count = rows;
            }
            rows -= run.row_count;
        }
        next.push(run);
    }
    next
}

/// Where the values of a column come from.
enum Column {
    Kept(Cursor),
    /// Its values are gathered when it is to be kept.
    Decoded(Option<Gathered>),
}

impl Column {
    fn do_not_keep(&mut self) {
        if let Self::Decoded(gathered) = self {
            *gathered = None;
        }
    }
}

struct Gathered {
    key: ColumnKey,
    arrays: Vec<ArrayRef>,
}

/// A place in a kept column.
struct Cursor {
    column: KeptColumn,
    array: usize,
    row: usize,
}

impl Cursor {
    fn new(column: KeptColumn) -> Self {
        Self {
            column,
            array: 0,
            row: 0,
        }
    }

    /// The next values, of the runs that are selected: the array that is kept, where it was decoded
    /// in batches of this size.
    fn take(&mut self, runs: &[RowSelector]) -> Result<ArrayRef> {
        let mut parts: Vec<ArrayRef> = Vec::new();
        for run in runs {
            let mut missing = run.row_count;
            while missing > 0 {
                let array = self.column.arrays().get(self.array);
                let array = array.ok_or_else(other_count)?;
                let found = missing.min(array.len() - self.row);
                if run.skip {
                    // Nothing of it is wanted.
                } else if found == array.len() {
                    parts.push(Arc::clone(array));
                } else if found > 0 {
                    parts.push(array.slice(self.row, found));
                }
                self.row += found;
                missing -= found;
                if self.row == array.len() {
                    (self.array, self.row) = (self.array + 1, 0);
                }
            }
        }
        match &parts[..] {
            [] => Err(other_count()),
            [one] => Ok(Arc::clone(one)),
            parts => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                Ok(concat(&parts)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn a_column_is_given_in_batches_of_any_size() {
        let array = |range| Arc::new(Int32Array::from_iter_values(range)) as ArrayRef;
        let column = KeptColumn::from(vec![array(0..4), array(4..8), array(8..10)]);
        for size in 1..=10 {
            let mut cursor = Cursor::new(column.clone());
            let mut all = Vec::new();
            while all.len() < 10 {
                let rows = size.min(10 - all.len());
                let taken = cursor.take(&[RowSelector::select(rows)]).unwrap();
                all.extend(taken.as_primitive::<Int32Type>().values().iter().copied());
            }
            assert_eq!(all, (0..10).collect::<Vec<_>>(), "{size}");
            assert!(cursor.take(&[RowSelector::select(1)]).is_err());
        }
        let first = [RowSelector::select(4)];
        let whole = Cursor::new(column.clone()).take(&first).unwrap();
        assert!(Arc::ptr_eq(&whole, &column.arrays()[0]));

        let selected = [(true, 3), (false, 2), (true, 1), (false, 3), (true, 1)];
        let selected = selected.map(|(skip, row_count)| RowSelector { row_count, skip });
        for size in 1..=5 {
            let mut runs = VecDeque::from(selected);
            let mut cursor = Cursor::new(column.clone());
            let mut all = Vec::new();
            while all.len() < 5 {
                let runs = next_runs(&mut runs, size.min(5 - all.len()));
                let taken = cursor.take(&runs).unwrap();
                all.extend(taken.as_primitive::<Int32Type>().values().iter().copied());
            }
            assert_eq!(all, [3, 4, 6, 7, 8], "{size}");
        }
    }
}
