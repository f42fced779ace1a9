//! Processes that insert single rows into one table at the same time, beside the rate at which the
//! catalog alone changes a row of its file.

mod report;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use lakehouse::core::name::{NamespaceIdent, TableIdent};
use lakehouse::{Clock, Error, Lakehouse, Result, SystemClock};
use lakehouse_testkit::Answer;
use serde_json::{Value, json};

use super::line_process::{ANSWER_WITHIN, LineProcess};
use super::{Options, lake_folder};

const PROCESSES: usize = 8;
const TASKS: usize = 4;

/// Commits of each task.
const INSERTS: usize = 25;

/// Changes of the catalog alone by each process.
const RENAMES: usize = 200;

const TABLE: &str = "default.t";

/// What some processes did together.
#[derive(Debug)]
struct Together {
    processes: usize,
    tasks: usize,
    succeeded: u64,
    asked: u64,
    /// From the first request to the last answer.
    elapsed: Duration,
    /// Of each commit, in milliseconds; empty where it was not taken.
    latencies_ms: Vec<f64>,
    errors: Vec<String>,
}

/// All that was found.
#[derive(Debug)]
struct Found {
    options: Options,
    /// One row of the catalog changed again and again, by one process and by all of them.
    bare: Vec<Together>,
    /// Inserts by one task, by the tasks of one process, and by all processes.
    inserts: Vec<Inserts>,
}

/// Inserts into one table.
#[derive(Debug)]
struct Inserts {
    together: Together,
    rows: u64,
    /// Data files in the table's folder: one for each insert, unless one was written again.
    data_files: u64,
    snapshots: u64,
    /// Metadata files in the table's folder: commits that share a swap share one.
    swaps: u64,
}

/// Takes the rates, and tells them.
pub(super) async fn run(options: &Options) -> Result<()> {
    let folder = lake_folder(options, "commits")?;
    let mut found = Found {
        options: options.clone(),
        bare: Vec::new(),
        inserts: Vec::new(),
    };
    for processes in [1, PROCESSES] {
        fresh(&folder).await?;
        let request = json!({ "do": "rename", "times": RENAMES });
        found.bare.push(together(&folder, processes, 1, &request)?);
    }
    for (processes, tasks) in [(1, 1), (1, TASKS), (PROCESSES, TASKS)] {
        let lake = fresh(&folder).await?;
        let request = json!({ "do": "insert", "tasks": tasks, "times": INSERTS });
        let together = together(&folder, processes, tasks, &request)?;
        found.inserts.push(inserts(&lake, &folder, together).await?);
    }
    std::fs::remove_dir_all(&folder)?;
    report::publish(&found)
}

/// A new lake with an empty table for all, and one for each process.
async fn fresh(folder: &Path) -> Result<Lakehouse> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let lake = Lakehouse::open(folder.to_string_lossy()).await?;
    let session = lake.session()?;
    let create = format!("CREATE TABLE {TABLE} (process INT, task INT, n INT)");
    session.sql(&create).await?.collect().await?;
    for process in 0..PROCESSES {
        let create = format!("CREATE TABLE default.own_{process}_a (n INT)");
        session.sql(&create).await?.collect().await?;
    }
    Ok(lake)
}

/// Lets processes do the same at the same time.
fn together(folder: &Path, processes: usize, tasks: usize, request: &Value) -> Result<Together> {
    eprintln!("{}: {processes} processes of {tasks} tasks", request["do"]);
    let mut started = Vec::new();
    for process in 0..processes {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = LineProcess::start("lakehouse", command.arg("--make-commits").arg(folder))?;
        child.ask(&json!({ "do": "start", "process": process }))?;
        started.push(child);
    }
    let clock = SystemClock;
    let begun = clock.instant();
    for child in &mut started {
        child.send(request)?;
    }
    let mut together = Together {
        processes,
        tasks,
        succeeded: 0,
        asked: 0,
        elapsed: Duration::ZERO,
        latencies_ms: Vec::new(),
        errors: Vec::new(),
    };
    for child in &mut started {
        let response = child.receive_within(ANSWER_WITHIN)?;
        together.succeeded += response["succeeded"].as_u64().unwrap_or(0);
        together.asked += response["asked"].as_u64().unwrap_or(0);
        let latencies = response["latencies_ms"].as_array().into_iter().flatten();
        let latencies = latencies.filter_map(Value::as_f64);
        together.latencies_ms.extend(latencies);
        let errors = response["errors"].as_array().into_iter().flatten();
        let errors = errors.filter_map(Value::as_str).map(str::to_owned);
        together.errors.extend(errors);
    }
    together.elapsed = clock.instant().duration_since(begun);
    together.latencies_ms.sort_by(f64::total_cmp);
    Ok(together)
}

/// What is in the table after the inserts.
async fn inserts(lake: &Lakehouse, folder: &Path, together: Together) -> Result<Inserts> {
    let session = lake.session()?;
    let number = async |sql: String| {
        let batches = session.sql(&sql).await?.collect().await?;
        let rows = Answer::of(&batches)?.rows;
        let number = rows
            .first()
            .and_then(|row| row.first()?.as_ref()?.parse::<u64>().ok());
        number.ok_or_else(|| Error::internal("the lake counted nothing"))
    };
    let distinct = format!("SELECT count(DISTINCT (process * 100 + task) * 1000 + n) FROM {TABLE}");
    let rows = number(format!("SELECT count(*) FROM {TABLE}")).await?;
    if number(distinct).await? != rows {
        return Err(Error::internal("a row was inserted twice"));
    }
    let snapshots = number(format!("SELECT count(*) FROM {TABLE}.snapshots")).await?;
    let table = lake.table(TABLE).await?;
    let location = table.metadata().location();
    let location = Path::new(location.strip_prefix("file://").unwrap_or(location));
    if !location.starts_with(folder) {
        return Err(Error::internal("the table is not in the lake's folder"));
    }
    let count = |part: &str, ending: &str| -> Result<u64> {
        let mut count = 0;
        for entry in std::fs::read_dir(location.join(part))? {
            count += u64::from(entry?.file_name().to_string_lossy().ends_with(ending));
        }
        Ok(count)
    };
    Ok(Inserts {
        together,
        rows,
        data_files: count("data", ".parquet")?,
        snapshots,
        // The first metadata file is that of the empty table.
        swaps: count("metadata", ".metadata.json")?.saturating_sub(1),
    })
}

/// What each process does: changes on request, in the lake of this folder.
///
/// # Errors
/// When the lake cannot be opened or the pipes break. A commit that fails is counted.
pub async fn make_commits(folder: &Path) -> Result<()> {
    let builder = Lakehouse::builder().location(folder.to_string_lossy());
    let lake = builder.create(false).build().await?;
    let mut process = 0;
    let mut stdout = std::io::stdout();
    for line in std::io::stdin().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let number = |key: &str| request[key].as_u64().unwrap_or(0);
        let response = match request["do"].as_str() {
            Some("rename") => rename(&lake, process, number("times")).await?,
            Some("insert") => insert(&lake, process, number("tasks"), number("times")).await?,
            _ => {
                process = number("process");
                lake.table(TABLE).await?;
                json!({})
            }
        };
        writeln!(stdout, "{response}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// Changes one row of the catalog's file again and again: the transaction that a swap is, with no
/// file written for it.
async fn rename(lake: &Lakehouse, process: u64, times: u64) -> Result<Value> {
    let catalog = lake.catalog(lake.default_catalog())?;
    let ident = |name: &str| {
        let name = format!("own_{process}_{name}");
        TableIdent::new(NamespaceIdent::new("default".to_owned()), name)
    };
    let names = [ident("a"), ident("b")];
    let mut outcomes = Outcomes::default();
    for time in 0..times {
        let (from, to) = match time % 2 {
            0 => (&names[0], &names[1]),
            _ => (&names[1], &names[0]),
        };
        outcomes.take(catalog.rename_table(from, to).await.err(), None);
    }
    Ok(outcomes.told())
}

async fn insert(lake: &Lakehouse, process: u64, tasks: u64, times: u64) -> Result<Value> {
    let tasks = (0..tasks).map(async |task| -> Result<Outcomes> {
        let session = lake.session()?;
        let clock = SystemClock;
        let mut outcomes = Outcomes::default();
        for n in 0..times {
            let sql = format!("INSERT INTO {TABLE} VALUES ({process}, {task}, {n})");
            let begun = clock.instant();
            let done = match session.sql(&sql).await {
                Ok(result) => result.collect().await.err(),
                Err(error) => Some(error),
            };
            outcomes.take(done, Some(clock.instant().duration_since(begun)));
        }
        Ok(outcomes)
    });
    let mut all = Outcomes::default();
    for outcomes in join_all(tasks).await {
        let outcomes = outcomes?;
        all.succeeded += outcomes.succeeded;
        all.errors.extend(outcomes.errors);
        all.latencies_ms.extend(outcomes.latencies_ms);
    }
    Ok(all.told())
}

/// How changes ended.
#[derive(Debug, Default)]
struct Outcomes {
    succeeded: u64,
    errors: Vec<String>,
    latencies_ms: Vec<f64>,
}

impl Outcomes {
    fn take(&mut self, error: Option<Error>, elapsed: Option<Duration>) {
        match error {
            None => self.succeeded += 1,
            Some(error) => self.errors.push(error.to_string()),
        }
        self.latencies_ms
            .extend(elapsed.map(|elapsed| elapsed.as_secs_f64() * 1e3));
    }

    fn told(&self) -> Value {
        json!({
            "succeeded": self.succeeded,
            "asked": self.succeeded + self.errors.len() as u64,
            "errors": self.errors,
            "latencies_ms": self.latencies_ms,
        })
    }
}
