//! Lakes for tests, in memory and in a folder, with a clock that tests set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lakehouse::core::clock::Clock;
use lakehouse::core::settings::Durability;
use lakehouse::{Lakehouse, QueryResult, Result, Session, Settings};
use lakehouse_testkit::FakeClock;
use tempfile::TempDir;

/// Where every test's time begins: 2026-01-01T00:00:00Z.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

/// A lake of one test.
pub(crate) struct TestLake {
    pub(crate) lake: Lakehouse,
    pub(crate) session: Session,
    pub(crate) clock: Arc<FakeClock>,
    folder: Option<TempDir>,
}

/// A seed of its own for every lake: identifiers name folders that lakes must not share.
fn next_seed() -> u64 {
    static LAKES: AtomicU64 = AtomicU64::new(0);
    (u64::from(std::process::id()) << 32) | LAKES.fetch_add(1, Ordering::Relaxed)
}

/// Settings that do not make tests wait for the disk.
pub(crate) fn settings() -> Settings {
    Settings {
        durability: Durability::None,
        parallelism: Some(2),
        ..Settings::default()
    }
}

impl TestLake {
    /// A lake that ends with the test.
    pub(crate) async fn memory() -> Self {
        Self::at("memory:", None).await
    }

    /// A lake in a folder of its own.
    pub(crate) async fn folder() -> Self {
        let folder = TempDir::new().unwrap();
        let location = folder.path().join("lake").to_str().unwrap().to_owned();
        Self::at(&location, Some(folder)).await
    }

    async fn at(location: &str, folder: Option<TempDir>) -> Self {
        let clock = Arc::new(FakeClock::new(START_MS, next_seed()));
        let lake = open(location, Arc::clone(&clock) as Arc<dyn Clock>).await;
        let session = lake.session().unwrap();
        Self {
            lake,
            session,
            clock,
            folder,
        }
    }

    /// The lake's folder.
    pub(crate) fn path(&self) -> PathBuf {
        let folder = self.folder.as_ref().expect("a lake in a folder");
        folder.path().join("lake")
    }

    /// The text that locations of this lake begin with.
    pub(crate) fn root(&self) -> String {
        match &self.folder {
            Some(_) => self.path().to_str().unwrap().to_owned(),
            None => "memory://".to_owned(),
        }
    }

    /// A name that no other file of the test has.
    pub(crate) fn clock_name(&self) -> String {
        self.clock.new_uuid().to_string()
    }

    /// The same folder opened again, as another process would.
    pub(crate) async fn reopen(&self) -> Lakehouse {
        let path = self.path();
        open(
            path.to_str().unwrap(),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        )
        .await
    }

    /// This lake without what it has learned of its tables so far.
    pub(crate) async fn reopened(self) -> Self {
        let lake = self.reopen().await;
        let session = lake.session().unwrap();
        Self {
            lake,
            session,
            ..self
        }
    }

    /// Runs statements that must succeed, separated by semicolons.
    pub(crate) async fn run(&self, statements: &str) {
        for statement in lakehouse::sql::parse(statements).unwrap() {
            let ran = self.session.execute(statement).await;
            let ran = match ran {
                Ok(result) => result.collect().await,
                Err(error) => Err(error),
            };
            ran.unwrap_or_else(|error| panic!("{error}\nin {statements}"));
        }
    }

    /// The rows of a query, one text a row, cells between bars.
    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        self.try_rows(query)
            .await
            .unwrap_or_else(|error| panic!("{error}\nin {query}"))
    }

    /// As [`Self::rows`], in no particular order.
    pub(crate) async fn sorted(&self, query: &str) -> Vec<String> {
        let mut rows = self.rows(query).await;
        rows.sort_unstable();
        rows
    }

    /// As [`Self::rows`], for a query that may fail.
    pub(crate) async fn try_rows(&self, query: &str) -> Result<Vec<String>> {
        rows_of(self.session.sql(query).await?).await
    }

    /// The only cell of a query's only row.
    pub(crate) async fn one(&self, query: &str) -> String {
        let rows = self.rows(query).await;
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows[0].clone()
    }

    /// The error of a statement that must fail.
    pub(crate) async fn fails(&self, statement: &str) -> lakehouse::Error {
        match self.try_rows(statement).await {
            Ok(rows) => panic!("{statement} answered {rows:?}"),
            Err(error) => error,
        }
    }
}

/// Opens a lake without waiting for the disk on commits.
pub(crate) async fn open(location: &str, clock: Arc<dyn Clock>) -> Lakehouse {
    Lakehouse::builder()
        .location(location)
        .settings(settings())
        .clock(clock)
        .build()
        .await
        .unwrap()
}

/// All rows of a result as texts.
pub(crate) async fn rows_of(result: QueryResult) -> Result<Vec<String>> {
    let batches = result.collect().await?;
    Ok(batches
        .iter()
        .flat_map(cells)
        .map(|row| row.join("|"))
        .collect())
}

/// The cells of a batch as texts; NULL is written so.
pub(crate) fn cells(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let cells = columns.iter();
            cells
                .map(|column| column.value(row).try_to_string().unwrap())
                .collect()
        })
        .collect()
}

/// Every file below a folder with its size, for tests that nothing was changed.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.path(), entry.metadata().unwrap().len()));
            }
        }
    }
    files.sort();
    files
}
