//! Tables whose definition changes: rows written before are read as they were meant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use lakehouse::core::clock::{Clock, SystemClock};
use lakehouse::core::commit::FileChange;
use lakehouse::core::runtime::Reservation;
use lakehouse::core::table::write_schema;
use lakehouse::core::write::{TableWriter, WriteOptions};
use proptest::prelude::*;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner,
};
use tokio::runtime::Builder;

use crate::lake::TestLake;

/// Tables that are tried.
const TABLES: u32 = 24;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[tokio::test]
async fn a_table_whose_times_lie_ahead_of_the_machines_clock_is_changed_as_others() {
    let lake = TestLake::folder().await;
    let ahead_ms = SystemClock.now_ms() + 3_600_000;
    lake.clock.set_ms(ahead_ms);
    lake.run("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)")
        .await;
    lake.clock.advance_ms(1_000);
    lake.run("INSERT INTO t VALUES (2)").await;
    let first = lake.one("SELECT min_by(snapshot_id, committed_at) FROM t.snapshots");
    let first = first.await;
    // This machine's clock is right.
    lake.clock.set_ms(SystemClock.now_ms());
    let before = lake.rows("SELECT * FROM t.history").await;
    lake.run(
        "ALTER TABLE t ADD COLUMN c INT; ALTER TABLE t SET TBLPROPERTIES ('a' = 'b'); \
         ALTER TABLE t CREATE BRANCH b; ALTER TABLE t CREATE TAG g; \
         INSERT INTO t.branch_b VALUES (3, 3); INSERT INTO t VALUES (4, 4)",
    )
    .await;
    // What was logged keeps its time, and no time goes back.
    let after = lake.rows("SELECT * FROM t.history").await;
    assert_eq!(after[..2], before);
    let moved = format!("CALL system.rollback_to_snapshot('t', {first})");
    lake.run(&moved).await;
    lake.run("CALL system.fast_forward('t', 'main', 'b')").await;
    lake.run("CREATE OR REPLACE TABLE t AS SELECT 9 AS id")
        .await;
    let table = lake.lake.table("t").await.unwrap();
    let times = table.metadata().history().iter();
    let times: Vec<i64> = times.map(|entry| entry.timestamp_ms()).collect();
    assert_eq!(times.len(), 6);
    assert_eq!(times[..2], [ahead_ms, ahead_ms + 1_000]);
    assert!(times.is_sorted(), "{times:?}");
    assert!(table.metadata().last_updated_ms() >= times[5]);
    let lake = lake.reopened().await;
    assert_eq!(lake.rows("SELECT id FROM t").await, ["9"]);
    assert_eq!(
        lake.sorted("SELECT id FROM t.branch_b").await,
        ["1", "2", "3"]
    );
}

#[tokio::test]
async fn s04_rows_written_with_the_old_columns_come_into_the_new_ones() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (id INT, v VARCHAR) PARTITIONED BY (id) \
         TBLPROPERTIES ('format-version' = '3')",
    )
    .await;
    let table = lake.lake.table("t").await.unwrap();
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let options = WriteOptions::new(Reservation::new(&pool, "write"), SystemClock.new_uuid());
    let mut writer = TableWriter::try_new(&table, options).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 2])),
        Arc::new(StringArray::from(vec!["one", "two"])),
    ];
    let schema = Arc::new(write_schema(table.schema()).unwrap());
    let batch = RecordBatch::try_new(schema, columns).unwrap();
    writer.write(batch).await.unwrap();
    let files = writer.close().await.unwrap();

    lake.run(
        "ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t ADD COLUMN v VARCHAR FIRST; \
         ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 7; \
         ALTER TABLE t ALTER COLUMN id TYPE BIGINT; \
         ALTER TABLE t REPLACE PARTITION FIELD id WITH bucket(4, id)",
    )
    .await;
    let commits = lake.lake.lake().commits();
    let append = FileChange::append(&table, files);
    let catalog = lake.lake.catalog("lake").unwrap();
    let _ = commits
        .commit(catalog, table.ident(), append)
        .await
        .unwrap();
    lake.run("INSERT INTO t (id, w) VALUES (5000000000, 'big')")
        .await;
    assert_eq!(
        lake.rows("SELECT * FROM t ORDER BY id").await,
        ["NULL|1|one|7", "NULL|2|two|7", "NULL|5000000000|big|7"]
    );
    assert_eq!(lake.rows("SELECT w FROM t WHERE id = 2").await, ["two"]);
    assert_eq!(lake.rows("SELECT id FROM t WHERE v = 'one'").await, [""; 0]);
    assert_eq!(
        lake.one("SELECT count(DISTINCT spec_id) FROM t.files")
            .await,
        "2"
    );
}

#[tokio::test]
async fn t13_a_dropped_source_would_make_old_files_unreadable() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (id INT, part VARCHAR) PARTITIONED BY (part); \
         INSERT INTO t VALUES (1, 'x'); ALTER TABLE t DROP PARTITION FIELD part; \
         INSERT INTO t VALUES (2, 'y')",
    )
    .await;
    let error = lake.fails("ALTER TABLE t DROP COLUMN part").await;
    assert!(
        error.to_string().contains("earlier partition spec 0"),
        "{error}"
    );
    assert_eq!(lake.sorted("SELECT * FROM t").await, ["1|x", "2|y"]);
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Long,
    Float,
    Double,
    Text,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Long => "BIGINT",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Text => "VARCHAR",
        }
    }

    fn wider(self) -> Option<Self> {
        match self {
            Self::Int => Some(Self::Long),
            Self::Float => Some(Self::Double),
            Self::Long | Self::Double | Self::Text => None,
        }
    }

    /// A value as SQL writes it and as it is shown.
    fn value(self, number: u32) -> (String, String) {
        match self {
            Self::Int => (number.to_string(), number.to_string()),
            Self::Long => {
                let value = (5_000_000_000 + u64::from(number)).to_string();
                (value.clone(), value)
            }
            Self::Float | Self::Double => (format!("{number}.5"), format!("{number}.5")),
            Self::Text => (format!("'t{number}'"), format!("t{number}")),
        }
    }
}

/// A column by an id of the model's own; the table's ids are not looked at.
#[derive(Debug, Clone)]
struct Column {
    id: u32,
    name: &'static str,
    kind: Kind,
    /// What rows have that were there before it.
    initial: Option<String>,
}

#[derive(Debug, Default)]
struct Model {
    columns: Vec<Column>,
    /// What each row was written with, by column.
    rows: Vec<BTreeMap<u32, String>>,
    /// Columns that partition fields are made of, also dropped ones, and those that there are.
    sources: BTreeSet<u32>,
    buckets: BTreeMap<u32, u32>,
    next: u32,
}

impl Model {
    fn free_name(&self) -> Option<&'static str> {
        let taken = |name: &&&str| self.columns.iter().any(|column| column.name == **name);
        NAMES.iter().find(|name| !taken(name)).copied()
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The statement of one step and what it makes of the model; `None` where there is nothing to
    /// do.
    fn step(&mut self, (what, which): (u8, u8)) -> Option<String> {
        let index = usize::from(which) % self.columns.len();
        match what % 9 {
            0 | 1 => self.add(which),
            2 => {
                let column = &self.columns[index];
                if self.columns.len() == 1 || self.sources.contains(&column.id) {
                    return None;
                }
                let column = self.columns.remove(index);
                Some(format!("ALTER TABLE t DROP COLUMN {}", column.name))
            }
            3 => {
                let to = self.free_name()?;
                let column = &mut self.columns[index];
                let from = std::mem::replace(&mut column.name, to);
                Some(format!("ALTER TABLE t RENAME COLUMN {from} TO {to}"))
            }
            4 => {
                let column = &mut self.columns[index];
                column.kind = column.kind.wider()?;
                let (name, kind) = (column.name, column.kind.sql());
                Some(format!("ALTER TABLE t ALTER COLUMN {name} TYPE {kind}"))
            }
            5 => {
                let column = self.columns.remove(index);
                let name = column.name;
                self.columns.insert(0, column);
                Some(format!("ALTER TABLE t ALTER COLUMN {name} FIRST"))
            }
            6 => {
                let column = &self.columns[index];
                let (id, name) = (column.id, column.name);
                if matches!(column.kind, Kind::Float | Kind::Double) {
                    return None;
                }
                self.sources.insert(id);
                Some(match self.buckets.remove(&id) {
                    Some(buckets) => {
                        format!("ALTER TABLE t DROP PARTITION FIELD bucket({buckets}, {name})")
                    }
                    None => {
                        let buckets = 2 + u32::from(which % 2);
                        self.buckets.insert(id, buckets);
                        // A name of its own: a column may come to have the one it would get.
                        format!(
                            "ALTER TABLE t ADD PARTITION FIELD bucket({buckets}, {name}) AS \
                             p{id}_{buckets}"
                        )
                    }
                })
            }
            _ => Some(self.insert()),
        }
    }

    fn add(&mut self, which: u8) -> Option<String> {
        const KINDS: [Kind; 5] = [Kind::Int, Kind::Text, Kind::Float, Kind::Long, Kind::Double];
        let name = self.free_name()?;
        let kind = KINDS[usize::from(which) % KINDS.len()];
        let id = self.fresh();
        let (sql, initial) = kind.value(id);
        let default = which.is_multiple_of(2);
        self.columns.push(Column {
            id,
            name,
            kind,
            initial: default.then_some(initial),
        });
        let default = match default {
            true => format!(" NOT NULL DEFAULT {sql}"),
            false => String::new(),
        };
        Some(format!(
            "ALTER TABLE t ADD COLUMN {name} {}{default}",
            kind.sql()
        ))
    }

    fn insert(&mut self) -> String {
        let mut row = BTreeMap::new();
        let mut values = Vec::new();
        for column in self.columns.clone() {
            let (sql, shown) = column.kind.value(self.fresh());
            row.insert(column.id, shown);
            values.push(sql);
        }
        self.rows.push(row);
        format!("INSERT INTO t VALUES ({})", values.join(", "))
    }

    fn shown(&self) -> Vec<String> {
        let null = "NULL".to_owned();
        let cell = |row: &BTreeMap<u32, String>, column: &Column| {
            let written = row.get(&column.id).or(column.initial.as_ref());
            written.unwrap_or(&null).clone()
        };
        let rows = self.rows.iter().map(|row| {
            let cells: Vec<String> = self
                .columns
                .iter()
                .map(|column| cell(row, column))
                .collect();
            cells.join("|")
        });
        let mut rows: Vec<String> = rows.collect();
        rows.sort_unstable();
        rows
    }

    /// A question about the values of one column, and its answer.
    fn question(&self, which: u8) -> (String, usize) {
        let column = &self.columns[usize::from(which) % self.columns.len()];
        let value =
            |row: &BTreeMap<u32, String>| row.get(&column.id).or(column.initial.as_ref()).cloned();
        let wanted = self.rows.iter().rev().find_map(value);
        let count = self.rows.iter().filter(|row| value(row) == wanted).count();
        let condition = match &wanted {
            None => "IS NULL".to_owned(),
            Some(text) if column.kind == Kind::Text => format!("= '{text}'"),
            Some(number) => format!("= {number}"),
        };
        (
            format!("SELECT count(*) FROM t WHERE {} {condition}", column.name),
            count,
        )
    }
}

async fn check(steps: Vec<(u8, u8)>) -> Result<(), TestCaseError> {
    let lake = TestLake::memory().await;
    let mut model = Model::default();
    let id = model.fresh();
    model.columns.push(Column {
        id,
        name: "a",
        kind: Kind::Int,
        initial: None,
    });
    lake.run("CREATE TABLE t (a INT) TBLPROPERTIES ('format-version' = '3')")
        .await;
    let mut said = Vec::new();
    for step in steps {
        let Some(statement) = model.step(step) else {
            continue;
        };
        lake.run(&statement).await;
        said.push(statement);
        let rows = lake.sorted("SELECT * FROM t").await;
        prop_assert_eq!(rows, model.shown(), "{:#?}", said);
        let (question, count) = model.question(step.1);
        prop_assert_eq!(
            lake.one(&question).await,
            count.to_string(),
            "{} {:#?}",
            question,
            said
        );
    }
    Ok(())
}

#[test]
fn s01_s03_random_changes_read_as_a_model_of_columns_says() {
    let config = Config {
        cases: TABLES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 100,
        ..Config::default()
    };
    // From one seed: a run that failed fails again. Another can be tried by hand.
    let seed = std::env::var("LAKE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1_u8);
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, random);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let steps = prop::collection::vec(any::<(u8, u8)>(), 4..24);
    let checked = runner.run(&steps, |steps| runtime.block_on(check(steps)));
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}
