//! From a plan's rows to what becomes of one data file after another.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray, UInt8Array,
};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt8Type};
use roaring::RoaringTreemap;

use super::exec::{ACTION, FILE, POSITION};
use super::{RowAction, RowChange};
use crate::error::{Error, Result};
use crate::runtime::Reservation;

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowCounts {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
    /// Those of the updated rows that no source row matched.
    pub(super) updated_by_source: u64,
    /// Those of the deleted rows that no source row matched.
    pub(super) deleted_by_source: u64,
}

impl RowCounts {
    pub(super) fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.updated_by_source += other.updated_by_source;
        self.deleted_by_source += other.deleted_by_source;
    }
}

/// What becomes of the rows of one data file.
#[derive(Debug)]
pub(super) struct FileChanges {
    /// The file's location.
    pub(super) path: String,
    /// Rows that go, by their places.
    pub(super) deleted: RoaringTreemap,
    /// Rows that get new values, by their places, ascending.
    pub(super) updated: Vec<i64>,
    /// The new values, one row for each of `updated`.
    pub(super) values: RecordBatch,
    /// The memory that these take.
    pub(super) memory: Reservation,
}

/// What a plan's rows amount to.
#[derive(Debug)]
pub(super) enum Change {
    /// The columns of new rows.
    Inserted(RecordBatch),
    /// All that becomes of one file.
    File(Box<FileChanges>),
}

/// Gathers the rows of one partition of a plan, which come file by file in the order of each.
#[derive(Debug)]
pub(super) struct Gathering {
    /// The input's columns of inserted rows.
    inserted: Vec<usize>,
    /// The input's columns of updated rows.
    updated: Vec<usize>,
    schema: SchemaRef,
    /// Whether a row may come several times.
    repeats: bool,
    open: Option<OpenFile>,
    pub(super) counts: RowCounts,
}

/// A file of which more rows may come.
#[derive(Debug)]
struct OpenFile {
    path: String,
    last: i64,
    deleted: RoaringTreemap,
    updated: Vec<i64>,
    values: Vec<RecordBatch>,
    values_bytes: usize,
    memory: Reservation,
}

impl Gathering {
    /// For the rows of a change; `with_row_ids` keeps the ids of updated rows behind their values.
    pub(super) fn try_new(change: &RowChange, with_row_ids: bool) -> Result<Self> {
        let first = POSITION + 1 + usize::from(change.has_row_lineage());
        let columns = change.value_columns();
        let mut updated = Vec::new();
        for wanted in &change.update_columns {
            let place = columns.iter().position(|column| column == wanted);
            let place = place
                .ok_or_else(|| Error::internal("an updated column is not among those given"))?;
            updated.push(first + place);
        }
        if with_row_ids && change.has_row_lineage() {
            updated.push(POSITION + 1);
        }
        Ok(Self {
            inserted: (first..first + columns.len()).collect(),
            updated,
            schema: change.input_schema()?,
            repeats: change.repeats,
            open: None,
            counts: RowCounts::default(),
        })
    }

    /// Takes a batch of rows; `changes` gets what is now whole. `reserve` makes a share of the
    /// memory budget.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] when a row is changed twice,
    /// [`crate::error::ErrorKind::ResourcesExhausted`] when a file's new values do not fit into
    /// memory.
    pub(super) fn add(
        &mut self,
        batch: &RecordBatch,
        reserve: impl Fn() -> Reservation,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conformed(batch, &self.schema)?;
        let files = batch.column(FILE).as_string_view();
        let mut start = 0;
        while start < batch.num_rows() {
            let end = run_end(files, start);
            let rows = batch.slice(start, end - start);
            if files.is_null(start) {
                changes.extend(self.insert(&rows)?);
            } else {
                let path = files.value(start);
                if self.open.as_ref().is_none_or(|open| open.path != path) {
                    changes.extend(self.finish()?);
                    self.open = Some(OpenFile::new(path, reserve()));
                }
                match self.repeats {
                    true => self.change(&self.once(&rows)?)?,
                    false => self.change(&rows)?,
                }
            }
            start = end;
        }
        Ok(())
    }

    /// The rows of the open file, each once; those of one place follow each other.
    fn once(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut last = self.open.as_ref().map_or(-1, |open| open.last);
        let positions = rows.column(POSITION).as_primitive::<Int64Type>();
        let is_new = positions.values().iter().map(|position| {
            let is_new = *position != last;
            last = *position;
            Some(is_new)
        });
        let is_new: BooleanArray = is_new.collect();
        Ok(filter_record_batch(rows, &is_new)?)
    }

    /// What becomes of the last file.
    pub(super) fn finish(&mut self) -> Result<Option<Change>> {
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        let schema = Arc::new(self.schema.project(&self.updated)?);
        let values = match open.values.as_slice() {
            [one] => one.clone(),
            many => concat_batches(&schema, many)?,
        };
        Ok(Some(Change::File(Box::new(FileChanges {
            path: open.path,
            deleted: open.deleted,
            updated: open.updated,
            values,
            memory: open.memory,
        }))))
    }

    fn insert(&mut self, rows: &RecordBatch) -> Result<Option<Change>> {
        let codes = actions(rows)?;
        if self.inserted.is_empty() || codes.iter().any(|code| *code != RowAction::Insert.code()) {
            return Err(Error::internal("a changed row is in no file"));
        }
        self.counts.inserted += rows.num_rows() as u64;
        Ok(Some(Change::Inserted(rows.project(&self.inserted)?)))
    }

    fn change(&mut self, rows: &RecordBatch) -> Result<()> {
        let codes = actions(rows)?;
        let mut of_kind = [0_u64; 5];
        for code in codes {
            match of_kind.get_mut(usize::from(*code)) {
                Some(count) if *code != RowAction::Insert.code() => *count += 1,
                _ => {
                    return Err(Error::internal(
                        "a row of a file has no action that it can have",
                    ));
                }
            }
        }
        let [deleted, updated, _, deleted_by_source, updated_by_source] = of_kind;
        self.counts.add(RowCounts {
            inserted: 0,
            updated: updated + updated_by_source,
            deleted: deleted + deleted_by_source,
            updated_by_source,
            deleted_by_source,
        });
        let Some(open) = &mut self.open else {
            return Err(Error::internal("rows of a file came before it was begun"));
        };
        let positions = rows.column(POSITION).as_primitive::<Int64Type>();
        if positions.null_count() > 0 {
            return Err(Error::internal("a changed row has no place in its file"));
        }
        let positions = positions.values();
        open.check_order(positions)?;
        let is_update = |code: &u8| {
            *code == RowAction::Update.code() || *code == RowAction::UpdateBySource.code()
        };
        let updates = updated + updated_by_source;
        if updates == rows.num_rows() as u64 {
            open.updated.extend(positions);
            open.values.push(rows.project(&self.updated)?);
        } else {
            let pairs = || positions.iter().zip(codes);
            let gone = pairs().filter(|(_, code)| !is_update(code));
            open.deleted
                .extend(gone.map(|(position, _)| position.unsigned_abs()));
            if updates > 0 {
                let stay = pairs().filter(|(_, code)| is_update(code));
                open.updated.extend(stay.map(|(position, _)| *position));
                let mask: BooleanArray = codes.iter().map(|code| Some(is_update(code))).collect();
                let values = rows.project(&self.updated)?;
                open.values.push(filter_record_batch(&values, &mask)?);
            }
        }
        open.take_memory()
    }
}

impl OpenFile {
    fn new(path: &str, memory: Reservation) -> Self {
        Self {
            path: path.to_owned(),
            last: -1,
            deleted: RoaringTreemap::new(),
            updated: Vec::new(),
            values: Vec::new(),
            values_bytes: 0,
            memory,
        }
    }

    /// Refuses rows that were changed before.
    fn check_order(&mut self, positions: &[i64]) -> Result<()> {
        for position in positions {
            if *position == self.last {
                return Err(Error::invalid(format!(
                    "row {position} of the target is matched by more than one row of the source, \
                     so what becomes of it is not known; make the source's rows unique by the \
                     columns of the ON condition"
                ))
                .with_context("file", &self.path)
                .with_context("row", position));
            }
            if *position < self.last {
                return Err(Error::internal(
                    "the changed rows of a file do not come in its order",
                ));
            }
            self.last = *position;
        }
        Ok(())
    }

    fn take_memory(&mut self) -> Result<()> {
        if let Some(values) = self.values.last() {
            let of_column = |column: &ArrayRef| column.to_data().get_slice_memory_size();
            let sizes = values.columns().iter().map(of_column);
            let bytes = sizes.map(|size| size.unwrap_or(0)).sum::<usize>();
            self.values_bytes += bytes;
        }
        let positions = self.updated.len() * size_of::<i64>() + self.deleted.serialized_size();
        self.memory
            .resize(self.values_bytes + positions)
            .map_err(|error| error.with_context("file", &self.path))
    }
}

/// The batch in the types that were asked for; plans may bring strings in other forms.
fn conformed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    const EXACT: CastOptions<'_> = CastOptions {
        safe: false,
        format_options: arrow::util::display::FormatOptions::new(),
    };
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(
        |(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast_with_options(column, field.data_type(), &EXACT),
        },
    );
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Where the rows of one file, or those of none, end that begin at `start`.
fn run_end(files: &StringViewArray, start: usize) -> usize {
    let views = files.views();
    let of_none = files.is_null(start);
    let same = |row: usize| match (of_none, files.is_null(row)) {
        (true, is_null) => is_null,
        (false, true) => false,
        // Equal views show the same bytes; others may still be the same text.
        (false, false) => views[row] == views[start] || files.value(row) == files.value(start),
    };
    (start + 1..files.len())
        .find(|row| !same(*row))
        .unwrap_or(files.len())
}

fn actions(rows: &RecordBatch) -> Result<&[u8]> {
    let codes: Option<&UInt8Array> = rows.column(ACTION).as_primitive_opt::<UInt8Type>();
    let codes = codes.filter(|codes| codes.null_count() == 0);
    let codes = codes.ok_or_else(|| Error::internal("a changed row has no action"))?;
    debug_assert_eq!(rows.column(ACTION).data_type(), &DataType::UInt8);
    Ok(codes.values())
}
