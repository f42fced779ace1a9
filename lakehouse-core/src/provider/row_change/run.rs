//! The whole of a change: from the plan's rows to the commit.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use iceberg::spec::FormatVersion;
use roaring::RoaringTreemap;
use tokio::sync::{Mutex, mpsc};

use super::RowChange;
use super::changes::{Change, FileChanges, Gathering, RowCounts};
use super::deletes_in_place::DeletesInPlace;
use super::patch::Patch;
use super::row_groups::GroupedFile;
use super::stop::Stop;
use super::strategy::{Mode, Strategy, piece_count, pieces, within};
use super::target::{Target, TargetFile};
use super::whole_files::live_rows;
use super::worker::{Made, Piece, Worker, Writers, delete_files};
use crate::commit::{FileChange, FilesOnFailure, RowStatement};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::write_terms::written_branch;
use crate::runtime::{self, Reservation, Task};
use crate::scan::{DeleteFile, DeletedRows, ScanFile};
use crate::write::{DeletedPositions, FileOptions, WrittenFile};

/// What a change does to the files that are there.
#[derive(Debug, Default)]
struct Touched {
    removed: Vec<ScanFile>,
    referenced: Vec<ScanFile>,
    superseded: Vec<Arc<DeleteFile>>,
    counts: RowCounts,
    /// Those of the deleted rows whose files stay.
    deleted_in_place: u64,
}

/// Makes a change of the rows that `streams` give, and commits it.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when a row is changed twice or gets values that the table cannot
/// hold, [`ErrorKind::Conflict`] and [`ErrorKind::Unknown`] as [`crate::commit::Commits::commit`],
/// [`ErrorKind::Cancelled`] when it was given up; else what the streams or the store answer.
pub(super) async fn run(
    change: Arc<RowChange>,
    streams: Vec<SendableRecordBatchStream>,
    tasks: usize,
    stop: Stop,
) -> Result<RowCounts> {
    let of_table = |error: Error| match error.context().iter().any(|(key, _)| *key == "table") {
        true => error,
        false => error.with_context("table", change.table().ident()),
    };
    let branch = written_branch(change.table())?;
    let (touched, files, copied) = apply(&change, streams, tasks, &stop)
        .await
        .map_err(of_table)?;
    let counts = touched.counts;
    if touched.removed.is_empty() && touched.referenced.is_empty() && files.is_empty() {
        // No row, no snapshot: the history stays as it is.
        return Ok(counts);
    }
    if let Err(error) = stop.check() {
        delete_files(change.table(), &files).await;
        return Err(error);
    }
    let commits = change.lake.commits();
    let target = &change.target;
    if let Some(whole) = change.whole_delete(branch) {
        let commit = commits.commit(&target.catalog, target.table.ident(), whole);
        let committed = stop.or(Box::pin(commit)).await??;
        // The change has taken place: what cannot be counted any more does not undo it.
        let counted = change.rows_of_whole_delete(&committed).await;
        let deleted = counted.unwrap_or_else(|error| {
            tracing::warn!(%error, "the rows of a committed delete could not be counted");
            live_rows(&change.removed)
        });
        return Ok(RowCounts { deleted, ..counts });
    }
    let deletes = DeletesInPlace::of(&change, &touched.referenced, touched.deleted_in_place);
    let files = file_change(&change, branch, touched, files, copied);
    // From here on the commit says what becomes of the files.
    let commit = commits.commit(&target.catalog, target.table.ident(), files);
    let committed = stop.or(Box::pin(commit)).await??;
    let twice = deletes.deleted_before(&change, &committed).await;
    let twice = twice.unwrap_or_else(|error| {
        tracing::warn!(%error, "the rows of a committed delete could not be counted");
        0
    });
    let deleted = counts.deleted.saturating_sub(twice);
    Ok(RowCounts { deleted, ..counts })
}

fn file_change(
    change: &RowChange,
    branch: &str,
    touched: Touched,
    files: Vec<WrittenFile>,
    copied: u64,
) -> FileChange {
    let mut files = FileChange::row_level(change.table(), change.statement)
        .with_branch(branch)
        .add(files)
        .with_conflict_filter(change.conflict_filter.clone())
        .with_files_on_failure(FilesOnFailure::Delete);
    files = touched.removed.iter().fold(files, FileChange::remove);
    files = touched
        .referenced
        .iter()
        .fold(files, FileChange::referencing);
    for deletes in &touched.superseded {
        files = files.supersede(deletes);
    }
    if let Some(read) = &change.read_filter {
        files = files.with_read_filter(read.clone());
    }
    files = change.terms.apply(files);
    match change.statement {
        RowStatement::Merge => files.with_summary(merge_summary(&touched.counts, copied)),
        RowStatement::Delete | RowStatement::Update => files,
    }
}

/// The keys that other engines tell of a MERGE.
fn merge_summary(counts: &RowCounts, copied: u64) -> Vec<(String, String)> {
    let keys = [
        ("copied", copied),
        ("deleted", counts.deleted),
        ("updated", counts.updated),
        ("inserted", counts.inserted),
        ("matched-updated", counts.updated - counts.updated_by_source),
        ("matched-deleted", counts.deleted - counts.deleted_by_source),
        ("not-matched-by-source-updated", counts.updated_by_source),
        ("not-matched-by-source-deleted", counts.deleted_by_source),
    ];
    let text = |(key, count): (&str, u64)| {
        let key = format!("spark.merge-into.num-target-rows-{key}");
        (key, count.to_string())
    };
    keys.into_iter().map(text).collect()
}

/// Writes all files; when anything fails, none is left.
async fn apply(
    change: &Arc<RowChange>,
    streams: Vec<SendableRecordBatchStream>,
    tasks: usize,
    stop: &Stop,
) -> Result<(Touched, Vec<WrittenFile>, u64)> {
    let writers = Writers {
        lake: change.lake.clone(),
        table: change.table().clone(),
        query_id: change.lake.clock().new_uuid(),
        has_row_lineage: change.has_row_lineage(),
        properties: change.terms.properties.clone(),
    };
    // What is not written is refused before there is work.
    let options = writers.rows(0)?.file_options().clone();
    let mode = Mode::of(change.table(), change.statement)?;
    if mode != Mode::CopyOnWrite {
        writers.deletes(0)?;
    }
    let target = Arc::new(stop.or(Target::plan(change)).await??);
    let tasks = tasks.max(1);
    let (sender, receiver) = mpsc::channel(tasks);
    let gatherers: Vec<Task<Result<Touched>>> = streams
        .into_iter()
        .map(|rows| {
            let gatherer = Gatherer {
                change: Arc::clone(change),
                target: Arc::clone(&target),
                mode,
                options: options.clone(),
                tasks,
                pieces: sender.clone(),
                stop: stop.clone(),
                touched: Touched::default(),
            };
            runtime::spawn(gatherer.run(rows))
        })
        .collect();
    drop(sender);
    let receiver = Arc::new(Mutex::new(receiver));
    let workers: Vec<_> = (0..tasks)
        .map(|task| {
            let task = u32::try_from(task).unwrap_or(u32::MAX);
            let worker = Worker::new(Arc::clone(&target), writers.clone(), task, stop.clone());
            runtime::spawn(worker.run(Arc::clone(&receiver)))
        })
        .collect();
    // Or those who send would wait for ever when all workers have failed.
    drop(receiver);
    gathered(change, gatherers, workers, stop).await
}

/// What all tasks of a change did, once all have ended.
async fn gathered(
    change: &RowChange,
    gatherers: Vec<Task<Result<Touched>>>,
    workers: Vec<Task<Result<Made>>>,
    stop: &Stop,
) -> Result<(Touched, Vec<WrittenFile>, u64)> {
    let mut touched = Touched::default();
    touched.removed.clone_from(&change.removed);
    touched.counts.deleted = live_rows(&change.removed);
    let mut outcome = Ok(());
    for gatherer in gatherers {
        match gatherer.await.and_then(|done| done) {
            Ok(part) => touched.add(part),
            Err(error) => outcome = first(outcome, error, stop),
        }
    }
    let (mut files, mut copied) = (Vec::new(), 0);
    for worker in workers {
        match worker.await.and_then(|made| made) {
            Ok(made) => {
                files.extend(made.files);
                copied += made.copied;
            }
            Err(error) => outcome = first(outcome, error, stop),
        }
    }
    match outcome {
        Ok(()) => Ok((touched, files, copied)),
        Err(error) => {
            delete_files(change.table(), &files).await;
            Err(error)
        }
    }
}

/// The error to tell: the first that is not about another.
fn first(known: Result<()>, error: Error, stop: &Stop) -> Result<()> {
    stop.stop();
    match known {
        Err(known) if known.kind() != ErrorKind::Cancelled => Err(known),
        _ => Err(error),
    }
}

impl Touched {
    fn add(&mut self, other: Self) {
        self.removed.extend(other.removed);
        self.referenced.extend(other.referenced);
        self.superseded.extend(other.superseded);
        self.counts.add(other.counts);
        self.deleted_in_place += other.deleted_in_place;
    }
}

/// Makes pieces of the rows of one of the plan's partitions.
#[derive(Debug)]
struct Gatherer {
    change: Arc<RowChange>,
    target: Arc<Target>,
    mode: Mode,
    /// How data files are encoded.
    options: FileOptions,
    tasks: usize,
    pieces: mpsc::Sender<Piece>,
    stop: Stop,
    touched: Touched,
}

impl Gatherer {
    async fn run(mut self, rows: SendableRecordBatchStream) -> Result<Touched> {
        match self.gather(rows).await {
            Ok(()) => Ok(self.touched),
            Err(error) => {
                self.stop.stop();
                Err(error)
            }
        }
    }

    async fn gather(&mut self, mut rows: SendableRecordBatchStream) -> Result<()> {
        let has_all_columns = self.change.update_columns.len() == self.target.shape.width;
        let mut gathering = Gathering::try_new(&self.change, has_all_columns)?;
        let mut whole = Vec::new();
        while let Some(batch) = self.stop.or(rows.next()).await? {
            gathering.add(&batch?, || self.reserve(), &mut whole)?;
            for change in whole.drain(..) {
                self.dispatch(change).await?;
            }
        }
        if let Some(last) = gathering.finish()? {
            self.dispatch(last).await?;
        }
        self.touched.counts = gathering.counts;
        Ok(())
    }

    fn reserve(&self) -> Reservation {
        let pool = &self.change.lake.runtime().env().memory_pool;
        Reservation::unspillable(pool, "the new values of a data file's rows")
    }

    async fn send(&self, piece: Piece) -> Result<()> {
        let sent = self.stop.or(self.pieces.send(piece)).await?;
        sent.map_err(|_| Error::new(ErrorKind::Cancelled, "the writers of a change have ended"))
    }

    async fn dispatch(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Inserted(rows) => self.send(Piece::Insert(rows)).await,
            Change::File(changes) => self.file(*changes).await,
        }
    }

    /// Decides what becomes of a file and hands out the work.
    async fn file(&mut self, changes: FileChanges) -> Result<()> {
        let file = self.target.take(&changes.path)?;
        let rows = file.planned.data_file().record_count();
        let before = self.target.deleted_rows(&file).await?;
        let before_count = before.as_ref().map_or(0, |before| before.len());
        let mut gone = changes.deleted;
        let changed = gone.len();
        if let Some(before) = &before {
            gone |= before.rows();
        }
        let updated: RoaringTreemap = changes
            .updated
            .iter()
            .map(|position| position.unsigned_abs())
            .collect();
        let last = gone.max().max(updated.max());
        let is_sound = gone.len() == before_count + changed
            && gone.is_disjoint(&updated)
            && last.is_none_or(|last| last < rows);
        if !is_sound {
            return Err(Error::internal(format!(
                "of {rows} rows of a file {before_count} are deleted, and {changed} that go and {} \
                 that change are not all among the others",
                updated.len()
            ))
            .with_context("file", changes.path));
        }
        let strategy = self
            .mode
            .strategy(rows, gone.len(), before_count, updated.len());
        let values = changes.values.columns().to_vec();
        let patch = Arc::new(Patch::new(changes.updated, values, changes.memory));
        match strategy {
            Strategy::Rewrite => {
                let gone = (!gone.is_empty()).then(|| Arc::new(DeletedRows::from_rows(gone)));
                self.rewrite(&file, &patch, gone.as_ref()).await?;
                self.touched.removed.push(file.planned);
            }
            Strategy::Remove => {
                self.write_updated(&file, &patch, &updated).await?;
                self.touched.removed.push(file.planned);
            }
            Strategy::Delete => {
                self.write_updated(&file, &patch, &updated).await?;
                self.touched.deleted_in_place += changed;
                gone |= updated;
                self.delete(file.planned, gone, before.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// Writes a file's rows anew, but those that are gone.
    async fn rewrite(
        &self,
        file: &TargetFile,
        patch: &Arc<Patch>,
        gone: Option<&Arc<DeletedRows>>,
    ) -> Result<()> {
        let grouped = GroupedFile::plan(&self.target, &self.options, file, gone, patch).await?;
        if let Some(grouped) = grouped {
            for piece in Arc::new(grouped).pieces() {
                self.send(Piece::Group(piece)).await?;
            }
            return Ok(());
        }
        let ranges = self.ranges(file).await?;
        let is_whole = ranges.len() == 1;
        for range in ranges {
            let updated = patch.count(&range);
            let chosen = (!is_whole).then(|| {
                let mut rows = DeletedRows::default();
                rows.insert(range);
                rows
            });
            let file = Arc::new(file.live_rows(gone, chosen));
            let patch = Arc::clone(patch);
            self.send(Piece::Read {
                file,
                patch,
                updated,
            })
            .await?;
        }
        Ok(())
    }

    /// Writes the updated rows of a file elsewhere.
    async fn write_updated(
        &self,
        file: &TargetFile,
        patch: &Arc<Patch>,
        updated: &RoaringTreemap,
    ) -> Result<()> {
        if updated.is_empty() {
            return Ok(());
        }
        if self.change.update_columns.len() == self.target.shape.width {
            return self.send(Piece::Whole(Arc::clone(patch))).await;
        }
        for range in self.ranges(file).await? {
            let chosen = within(updated, &range);
            if chosen.is_empty() {
                continue;
            }
            let updated = chosen.len();
            let file = Arc::new(file.rows(DeletedRows::from_rows(chosen)));
            let patch = Arc::clone(patch);
            self.send(Piece::Read {
                file,
                patch,
                updated,
            })
            .await?;
        }
        Ok(())
    }

    /// The rows of a file by the tasks that read them.
    async fn ranges(&self, file: &TargetFile) -> Result<Vec<std::ops::Range<u64>>> {
        let planned = file.planned.data_file();
        match piece_count(planned.file_size_in_bytes(), self.tasks) {
            1 => Ok(pieces(&[planned.record_count()], 1)),
            count => {
                let whole = file.live_rows(None, None);
                let groups = self.target.opener().group_rows(&whole).await?;
                Ok(pieces(&groups, count))
            }
        }
    }

    /// Deletes rows of a file that stays; `before` are those of them that deletes named already.
    async fn delete(
        &mut self,
        file: ScanFile,
        mut gone: RoaringTreemap,
        before: Option<&DeletedRows>,
    ) -> Result<()> {
        let of_file =
            |deletes: &&Arc<DeleteFile>| deletes.referenced_path().as_deref() == Some(file.path());
        let positions = file.deletes.positions.iter().filter(of_file);
        let superseded: Vec<_> = file.deletes.vector.iter().chain(positions).collect();
        // Deletes that stay need not be said again, but a vector is all that counts.
        if superseded.is_empty()
            && self.target.format < FormatVersion::V3
            && let Some(before) = before
        {
            gone -= before.rows();
        }
        let superseded = superseded.into_iter().map(Arc::clone);
        self.touched.superseded.extend(superseded);
        let deleted = DeletedPositions {
            data_file: file.path().to_owned(),
            spec_id: file.spec_id(),
            partition: file.data_file().partition().clone(),
            positions: gone,
        };
        self.touched.referenced.push(file);
        self.send(Piece::Delete(Box::new(deleted))).await
    }
}
