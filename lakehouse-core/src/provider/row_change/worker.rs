//! Reads, patches and writes the pieces of a change.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::DataType;
use futures::StreamExt;
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use super::patch::Patch;
use super::row_groups::GroupPiece;
use super::stop::Stop;
use super::target::Target;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::provider::file::LakeFile;
use crate::runtime::Reservation;
use crate::table::Table;
use crate::write::{DeleteWriter, DeletedPositions, TableWriter, WriteOptions, WrittenFile};

/// A part of a change that one task does.
#[derive(Debug)]
pub(super) enum Piece {
    /// New rows.
    Insert(RecordBatch),
    /// Updated rows, of which all columns are new.
    Whole(Arc<Patch>),
    /// Rows of a file that are written with new values in the place of old ones.
    Read {
        file: Arc<LakeFile>,
        patch: Arc<Patch>,
        /// How many of the rows are updated.
        updated: u64,
    },
    /// A row group of a file that is written without decoding all of it.
    Group(GroupPiece),
    /// Rows of a file that are deleted.
    Delete(Box<DeletedPositions>),
}

/// The pieces of a change, for whoever has time.
pub(super) type Pieces = Arc<Mutex<mpsc::Receiver<Piece>>>;

/// What writers of a change have in common.
#[derive(Debug, Clone)]
pub(super) struct Writers {
    pub(super) lake: Lake,
    pub(super) table: Table,
    pub(super) query_id: Uuid,
    pub(super) has_row_lineage: bool,
}

impl Writers {
    fn options(&self, task: u32) -> WriteOptions {
        let runtime = self.lake.runtime();
        WriteOptions::new(runtime.reserve("changed rows"), self.query_id)
            .with_task(task)
            .with_spill_space(runtime.spill_space())
    }

    /// What writes rows.
    pub(super) fn rows(&self, task: u32) -> Result<TableWriter> {
        let options = self.options(task);
        let options = match self.has_row_lineage {
            true => options.with_row_lineage(),
            false => options,
        };
        TableWriter::try_new(&self.table, options)
    }

    /// What writes deletes.
    pub(super) fn deletes(&self, task: u32) -> Result<DeleteWriter> {
        DeleteWriter::try_new(&self.table, self.options(task))
    }
}

/// What a worker made.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) files: Vec<WrittenFile>,
    /// Rows that were written as they had been.
    pub(super) copied: u64,
}

/// One of the tasks of a change.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) target: Arc<Target>,
    writers: Writers,
    task: u32,
    pub(super) stop: Stop,
    rows: Option<TableWriter>,
    deletes: Option<DeleteWriter>,
    pub(super) copied: u64,
}

impl Worker {
    pub(super) fn new(target: Arc<Target>, writers: Writers, task: u32, stop: Stop) -> Self {
        Self {
            target,
            writers,
            task,
            stop,
            rows: None,
            deletes: None,
            copied: 0,
        }
    }

    /// Does pieces until there are no more. When one fails, all tasks are stopped, and what this
    /// one wrote is deleted.
    pub(super) async fn run(mut self, pieces: Pieces) -> Result<Made> {
        let done = self.work(pieces).await;
        match done {
            Ok(()) => self.close().await,
            Err(error) => Err(self.give_up(error).await),
        }
    }

    async fn work(&mut self, pieces: Pieces) -> Result<()> {
        loop {
            let next = {
                let stop = self.stop.clone();
                let mut pieces = pieces.lock().await;
                stop.or(pieces.recv()).await?
            };
            match next {
                Some(piece) => self.piece(piece).await?,
                None => return Ok(()),
            }
        }
    }

    async fn close(mut self) -> Result<Made> {
        let mut made = Made {
            files: Vec::new(),
            copied: self.copied,
        };
        if let Some(rows) = self.rows.take() {
            match rows.close().await {
                Ok(files) => made.files.extend(files),
                Err(error) => return Err(self.give_up(error).await),
            }
        }
        if let Some(deletes) = self.deletes.take() {
            match deletes.close().await {
                Ok(files) => made.files.extend(files),
                Err(error) => {
                    delete_files(&self.writers.table, &made.files).await;
                    return Err(self.give_up(error).await);
                }
            }
        }
        Ok(made)
    }

    async fn give_up(mut self, error: Error) -> Error {
        self.stop.stop();
        let rows = match self.rows.take() {
            Some(rows) => rows.abort().await,
            None => Ok(()),
        };
        let deletes = match self.deletes.take() {
            Some(deletes) => deletes.abort().await,
            None => Ok(()),
        };
        if let Err(left) = rows.and(deletes) {
            tracing::warn!(error = %left, "files of a failed change were left behind");
        }
        error
    }

    async fn piece(&mut self, piece: Piece) -> Result<()> {
        match piece {
            Piece::Insert(rows) => {
                let rows = self.with_lineage(&rows)?;
                self.write(rows).await
            }
            Piece::Whole(patch) => {
                let rows = patch.rows(&self.target.shape)?;
                self.write(rows).await
            }
            Piece::Read {
                file,
                patch,
                updated,
            } => self.read(file, &patch, updated).await,
            Piece::Group(piece) => self.row_group(piece).await,
            Piece::Delete(deleted) => {
                let writer = match &mut self.deletes {
                    Some(writer) => writer,
                    None => self.deletes.insert(self.writers.deletes(self.task)?),
                };
                writer.add(*deleted).await
            }
        }
    }

    pub(super) async fn read(
        &mut self,
        file: Arc<LakeFile>,
        patch: &Patch,
        updated: u64,
    ) -> Result<()> {
        let location = file.data_file().file_path().to_owned();
        let mut batches = self.target.opener().open_named(file, None).await?;
        let mut patched = 0;
        while let Some(batch) = batches.next().await {
            self.stop.check()?;
            let (rows, new) = patch
                .apply(&batch?, &self.target.shape)
                .map_err(|error| error.with_context("file", &location))?;
            patched += new as u64;
            self.copied += (rows.num_rows() - new) as u64;
            self.write(rows).await?;
        }
        match patched == updated {
            true => Ok(()),
            false => Err(Error::internal(format!(
                "{updated} rows of a file were to be updated, and {patched} of them are live"
            ))
            .with_context("file", location)),
        }
    }

    /// New rows have no lineage: they get it from their file.
    fn with_lineage(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let schema = &self.target.shape.schema;
        let mut columns = rows.columns().to_vec();
        columns.resize_with(schema.fields().len(), || {
            new_null_array(&DataType::Int64, rows.num_rows())
        });
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.rows_writer()?.write(rows).await
    }

    /// What writes this task's rows.
    pub(super) fn rows_writer(&mut self) -> Result<&mut TableWriter> {
        match &mut self.rows {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(self.writers.rows(self.task)?)),
        }
    }

    /// Whether the change gives a column of the table new values.
    pub(super) fn updates_column(&self, at: usize) -> bool {
        self.target.shape.update_columns.contains(&at)
    }

    /// A part of the memory budget.
    pub(super) fn reserve(&self, name: &'static str) -> Reservation {
        self.writers.lake.runtime().reserve(name)
    }
}

/// Deletes files that no snapshot names.
pub(super) async fn delete_files(table: &Table, files: &[WrittenFile]) {
    // Deletion vectors share files.
    let mut locations: Vec<&str> = files
        .iter()
        .map(|file| file.data_file.file_path())
        .collect();
    locations.sort_unstable();
    locations.dedup();
    for location in locations {
        // What cannot be deleted is a file that nobody names; the cause matters more.
        if let Err(error) = table.storage().delete(location).await {
            tracing::warn!(%error, "a file of a failed change was left behind");
        }
    }
}
