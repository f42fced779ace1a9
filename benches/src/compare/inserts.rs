//! Order lines inserted into a new table, beside DuckDB's COPY of the same rows into Parquet files.

mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lakehouse::core::settings::Durability;
use lakehouse::sql::Session;
use lakehouse::{Clock, Error, Lakehouse, Result, Settings, SystemClock};
use lakehouse_testkit::Answer;

use super::duckdb::DuckDb;
use super::engine::{Files, TableFiles, data_files};
use super::fingerprint::fingerprint;
use super::{Measured, Options, lake_folder, machine, prepared};
use crate::tpch;

/// The table that is read.
const LINES: &str = "lineitem";
/// The table and the folder that are made new for each run.
const COPY: &str = "written";
/// Rows of a row group at most, for both.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// The level of compression, for both.
const ZSTD_LEVEL: usize = 3;

/// What is made of the rows.
struct Target {
    title: &'static str,
    /// A column behind the table's own, by which it is partitioned.
    partition: Option<&'static str>,
}

const TARGETS: [Target; 2] = [
    Target {
        title: "one table",
        partition: None,
    },
    Target {
        title: "1,000 partitions",
        partition: Some("CAST(l_partkey % 1000 AS INTEGER)"),
    },
];

/// What one engine took for each target.
#[derive(Debug)]
struct Row {
    engine: &'static str,
    target: &'static str,
    measured: Measured,
    files: usize,
    bytes: u64,
}

/// All that was found.
#[derive(Debug)]
struct Found {
    options: Options,
    lines: u64,
    rows: Vec<Row>,
}

/// Writes the rows by both in turn, compares what was written, and tells the times.
pub(super) async fn run(options: &Options) -> Result<()> {
    let folder = lake_folder(options, "tpch")?;
    let load = async |lake: &Lakehouse| {
        let load = tpch::Load::at_scale(options.scale);
        tpch::load(lake, load, |_| true, "").await
    };
    let lake = prepared(&folder, options.scale, load).await?;
    let lines = TableFiles {
        name: LINES,
        metadata: String::new(),
        snapshot_id: None,
        data: data_files(&lake.session()?, LINES).await?,
    };
    drop(lake);
    // The peer does not wait for the disk, so neither does the lake.
    let settings = Settings {
        durability: Durability::None,
        memory_budget_bytes: options.memory_budget_mib.map(|mib| mib << 20),
        ..Settings::default()
    };
    let builder = Lakehouse::builder().location(folder.to_string_lossy());
    let session = builder.settings(settings).build().await?.session()?;
    let expected = answer(&session, &fingerprint(LINES)).await?;
    let mut found = Found {
        options: options.clone(),
        lines: count(&expected),
        rows: Vec::new(),
    };
    for target in TARGETS {
        eprintln!("{}", target.title);
        found
            .rows
            .extend(measure(&session, &target, &lines, &expected, options).await?);
    }
    report::publish(&found)
}

async fn measure(
    session: &Session,
    target: &Target,
    lines: &TableFiles,
    expected: &Answer,
    options: &Options,
) -> Result<Vec<Row>> {
    let mut ours = Row::new("lakehouse", target);
    let mut peer = Row::new("duckdb", target);
    let mut duckdb = DuckDb::start("duckdb", "parquet", &Files(vec![lines.clone()]))?;
    duckdb.run("SET preserve_insertion_order = false")?;
    let folder = machine::target_folder()?.join("compare").join(COPY);
    // The first run is not timed: what it wrote is compared.
    for run in 0..=options.runs {
        let is_timed = run > 0;
        machine::reset_peak();
        let elapsed = insert(session, target).await?;
        ours.measured.peak_bytes = ours.measured.peak_bytes.max(machine::peak_bytes());
        match is_timed {
            true => ours.measured.runs.push(elapsed),
            false => {
                ours.compare(expected, &answer(session, &fingerprint(COPY)).await?);
                let written = data_files(session, COPY).await?;
                ours.take_files(written.iter().map(|file| plain(file)))?;
            }
        }
        run_all(session, &format!("DROP TABLE {COPY} PURGE")).await?;
        remove(&folder)?;
        let copied = duckdb.run(&copy(target, &folder))?;
        peer.measured.peak_bytes = peer.measured.peak_bytes.max(copied.peak_bytes);
        match is_timed {
            true => peer.measured.runs.push(copied.elapsed),
            false => {
                let files = files_below(&folder)?;
                let list: Vec<String> =
                    files.iter().map(|f| format!("'{}'", f.display())).collect();
                let relation = format!("read_parquet([{}])", list.join(", "));
                peer.compare(expected, &duckdb.run(&fingerprint(&relation))?.answer);
                peer.take_files(files.into_iter())?;
            }
        }
    }
    remove(&folder)?;
    Ok(vec![ours, peer])
}

/// Makes the table and fills it; only the filling is timed.
async fn insert(session: &Session, target: &Target) -> Result<Duration> {
    let clause = match target.partition {
        Some(_) => "PARTITIONED BY (part)",
        None => "",
    };
    let source = source(target);
    run_all(
        session,
        &format!(
            "CREATE TABLE {COPY} {clause} TBLPROPERTIES ('write.parquet.compression-codec' = \
             'zstd', 'write.parquet.compression-level' = '{ZSTD_LEVEL}') AS {source} LIMIT 0"
        ),
    )
    .await?;
    let clock = SystemClock;
    let started = clock.instant();
    run_all(session, &format!("INSERT INTO {COPY} {source}")).await?;
    Ok(clock.instant().duration_since(started))
}

fn source(target: &Target) -> String {
    match target.partition {
        Some(partition) => format!("SELECT *, {partition} AS part FROM {LINES}"),
        None => format!("SELECT * FROM {LINES}"),
    }
}

fn copy(target: &Target, folder: &Path) -> String {
    let by = match target.partition {
        Some(_) => ", PARTITION_BY (part), WRITE_PARTITION_COLUMNS true",
        None => ", PER_THREAD_OUTPUT true",
    };
    format!(
        "COPY ({}) TO '{}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {ZSTD_LEVEL}, \
         ROW_GROUP_SIZE {ROW_GROUP_ROWS}{by})",
        source(target),
        folder.display()
    )
}

async fn run_all(session: &Session, sql: &str) -> Result<()> {
    session.sql(sql).await?.collect().await?;
    Ok(())
}

async fn answer(session: &Session, sql: &str) -> Result<Answer> {
    Answer::of(&session.sql(sql).await?.collect().await?)
}

/// The fingerprint begins with the number of rows.
fn count(answer: &Answer) -> u64 {
    let first = answer.rows.first().and_then(|row| row.first()?.as_deref());
    first.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn plain(location: &str) -> PathBuf {
    PathBuf::from(location.strip_prefix("file://").unwrap_or(location))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    Ok(files)
}

impl Row {
    fn new(engine: &'static str, target: &Target) -> Self {
        Self {
            engine,
            target: target.title,
            measured: Measured::default(),
            files: 0,
            bytes: 0,
        }
    }

    fn compare(&mut self, expected: &Answer, written: &Answer) {
        let difference = expected.difference(written, &[]);
        self.measured.note = difference.map(|text| format!("differs: {text}"));
    }

    fn take_files(&mut self, files: impl Iterator<Item = PathBuf>) -> Result<()> {
        for file in files {
            let size = std::fs::metadata(&file).map_err(Error::from);
            self.bytes += size
                .map_err(|error| error.with_context("file", file.display()))?
                .len();
            self.files += 1;
        }
        Ok(())
    }
}
