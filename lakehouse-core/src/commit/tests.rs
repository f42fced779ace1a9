//! Commits on a SQLite catalog whose file does not say whether a transaction ended.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, NestedField, PrimitiveType, Schema, Struct,
    Type,
};
use rusqlite::{Connection, ffi};
use tempfile::TempDir;

use super::{Commits, FileChange, FilesOnFailure, NewTable};
use crate::catalog::{Catalog, CatalogParts, End, OpenOptions, SqliteCatalog};
use crate::clock::SystemClock;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{NamespaceIdent, TableIdent};
use crate::runtime;
use crate::settings::Durability;
use crate::storage::Storage;
use crate::table::Table;
use crate::write::WrittenFile;

/// One program's view of a lake in a folder.
struct Program {
    catalog: Arc<dyn Catalog>,
    commits: Commits,
    ident: TableIdent,
}

impl Program {
    async fn open(folder: &Path, end: End) -> Self {
        let clock = Arc::new(SystemClock);
        let storage = Storage::new(clock.as_ref(), Durability::None).unwrap();
        let options = OpenOptions {
            create: true,
            // Whoever lost the answer keeps its turn: nobody waits long for it here.
            lock_wait_ms_max: 100,
            ..OpenOptions::default()
        };
        let parts = CatalogParts::new(storage, Arc::clone(&clock) as _);
        let mut catalog = SqliteCatalog::open(None, folder.join("catalog.db"), options, parts)
            .await
            .unwrap();
        catalog.end_by(end);
        Self {
            catalog: Arc::new(catalog),
            commits: Commits::new(clock),
            ident: TableIdent::from_strs(["n", "t"]).unwrap(),
        }
    }

    async fn make_table(&self) {
        let namespace = NamespaceIdent::new("n".to_owned());
        self.catalog
            .create_namespace(&namespace, [].into())
            .await
            .unwrap();
        let id = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long));
        let schema = Schema::builder().with_fields([Arc::new(id)]).build();
        let mut new = NewTable::new(schema.unwrap());
        new.properties
            .insert("commit.status-check.min-wait-ms".to_owned(), "1".to_owned());
        let staged = self.commits.stage(&self.catalog, &self.ident, new).await;
        self.commits
            .create(&self.catalog, &staged.unwrap(), None)
            .await
            .unwrap();
    }

    async fn table(&self) -> Table {
        let pointer = self.catalog.load_table(&self.ident).await.unwrap();
        Table::new(pointer, self.catalog.storage().clone())
    }

    /// Commits one file of one row that really stands there.
    async fn append(&self, name: &str) -> Result<super::Committed> {
        let table = self.table().await;
        let location = format!("{}/data/{name}", table.metadata().location());
        let storage = self.catalog.storage();
        storage.write_new(&location, "rows".into()).await.unwrap();
        let file = WrittenFile {
            data_file: DataFileBuilder::default()
                .content(DataContentType::Data)
                .file_path(location)
                .file_format(DataFileFormat::Parquet)
                .partition(Struct::empty())
                .record_count(1)
                .file_size_in_bytes(4)
                .build()
                .unwrap(),
            spec_id: 0,
        };
        let change =
            FileChange::append(&table, vec![file]).with_files_on_failure(FilesOnFailure::Delete);
        self.commits
            .commit(&self.catalog, &self.ident, change)
            .await
    }

    /// Rows of the current state, by its summary.
    async fn rows(&self) -> String {
        let table = self.table().await;
        let summary = table.snapshot().unwrap().summary();
        summary.additional_properties["total-records"].clone()
    }
}

async fn lake() -> (TempDir, Program) {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::open(folder.path(), End::default()).await;
    program.make_table().await;
    (folder, program)
}

/// What a disk says that fails while a transaction ends.
fn io_error() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None)
}

/// The first transaction ends by `statement`, then `after` happens, and the answer is an I/O error;
/// later ones are committed.
fn lost_answer(statement: &'static str, after: impl Fn() + Send + Sync + 'static) -> End {
    let is_lost = AtomicBool::new(false);
    End::by(move |connection: &Connection| {
        if is_lost.swap(true, Ordering::SeqCst) {
            return connection.execute_batch("COMMIT");
        }
        connection.execute_batch(statement)?;
        after();
        Err(io_error())
    })
}

/// Files of the lake, by the end of their names.
fn files(folder: &Path, end: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, end),
                false => usize::from(path.to_str().unwrap().ends_with(end)),
            }
        })
        .sum()
}

#[tokio::test]
async fn c01_a_transaction_that_ended_without_an_answer_is_found_committed() {
    let (folder, other) = lake().await;
    let program = Program::open(folder.path(), lost_answer("COMMIT", || ())).await;
    let committed = program.append("a").await.unwrap();
    assert_eq!(committed.attempts, 1);
    assert_eq!(other.rows().await, "1");
    assert_eq!(program.append("b").await.unwrap().attempts, 1);
    assert_eq!(other.rows().await, "2");
}

#[tokio::test]
async fn c03_a_transaction_that_was_undone_without_an_answer_stays_unknown_and_deletes_nothing() {
    let (folder, other) = lake().await;
    let program = Program::open(folder.path(), lost_answer("ROLLBACK", || ())).await;
    let before = other.table().await.metadata_location().to_owned();
    let error = program.append("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
    assert_eq!(other.table().await.metadata_location(), before);
    // Data file, manifest, list and metadata file are all there: the swap might come yet.
    assert_eq!(files(folder.path(), "/a"), 1);
    assert_eq!(files(folder.path(), ".avro"), 2);
    assert_eq!(files(folder.path(), ".metadata.json"), 2);
    // The connection is of use again.
    program.append("b").await.unwrap();
    assert_eq!(other.rows().await, "1");
}

/// Commits while another program commits between the end of the transaction and its lost answer.
async fn overtaken(statement: &'static str) -> (TempDir, Program, Result<super::Committed>) {
    let (folder, other) = lake().await;
    let (ended, has_ended) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let end = lost_answer(statement, move || {
        ended.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
    });
    let program = Program::open(folder.path(), end).await;
    let ours = runtime::spawn(async move { program.append("ours").await });
    runtime::blocking(move || has_ended.recv())
        .await
        .unwrap()
        .unwrap();
    other.append("theirs").await.unwrap();
    go_on.send(()).unwrap();
    let ours = ours.await.unwrap();
    (folder, other, ours)
}

#[tokio::test]
async fn c01_a_transaction_that_others_built_on_is_found_in_the_history() {
    let (_folder, other, ours) = overtaken("COMMIT").await;
    let ours = ours.unwrap();
    assert_eq!(ours.attempts, 1);
    assert_eq!(ours.table.snapshots().len(), 2);
    let parent = ours.table.snapshot().unwrap().parent_snapshot_id();
    assert_eq!(parent, ours.snapshot_id);
    assert_eq!(other.rows().await, "2");
}

#[tokio::test]
async fn c05_a_transaction_that_was_undone_and_overtaken_is_tried_again() {
    let (folder, other, ours) = overtaken("ROLLBACK").await;
    assert_eq!(ours.unwrap().attempts, 2);
    assert_eq!(other.rows().await, "2");
    assert_eq!(files(folder.path(), "/ours"), 1);
}

#[tokio::test]
async fn c03_a_creation_without_an_answer_is_told_from_one_that_failed() {
    for (statement, is_made) in [("COMMIT", true), ("ROLLBACK", false)] {
        let (folder, _other) = lake().await;
        let mut program = Program::open(folder.path(), lost_answer(statement, || ())).await;
        program.ident = TableIdent::from_strs(["n", "new"]).unwrap();
        let id = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long));
        let schema = Schema::builder().with_fields([Arc::new(id)]).build();
        let new = NewTable::new(schema.unwrap());
        let staged = program.commits.stage(&program.catalog, &program.ident, new);
        let staged = staged.await.unwrap();
        let made = program
            .commits
            .create(&program.catalog, &staged, None)
            .await;
        let kind = made.as_ref().err().map(Error::kind);
        assert_eq!(kind, (!is_made).then_some(ErrorKind::Unknown));
        assert_eq!(files(folder.path(), ".metadata.json"), 2);
    }
}
