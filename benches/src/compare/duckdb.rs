//! DuckDB, run by a Python script in a process of its own that answers line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use lakehouse::{Error, ErrorKind, Result};
use lakehouse_testkit::{Answer, Kind};
use serde_json::{Value, json};

use super::engine::{Drained, Files, Run};
use super::machine;

/// A statement may take so long; then the process is killed, because it listens to nothing else
/// while it works.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// A DuckDB with views on all tables.
pub(super) struct DuckDb {
    name: &'static str,
    version: String,
    child: Child,
    requests: ChildStdin,
    /// The lines of the script; a pipe itself cannot be waited for with an end.
    responses: Receiver<std::io::Result<String>>,
    /// Whether a statement took too long, so that there is no process any more.
    is_killed: bool,
}

impl DuckDb {
    /// Starts DuckDB; `source` is `parquet` for the bare files or `iceberg` for the tables.
    pub(super) fn start(name: &'static str, source: &str, files: &Files) -> Result<Self> {
        let python = python()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("duckdb_run.py");
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::from(error).with_context("program", python.display()))?;
        let (Some(requests), Some(script_output)) = (child.stdin.take(), child.stdout.take())
        else {
            return Err(Error::internal("the script's pipes are not there"));
        };
        let (lines, responses) = mpsc::channel();
        // Ends with the script's output, which `drop` sees to, or when nobody listens.
        std::thread::spawn(move || {
            let mut read = BufReader::new(script_output).lines();
            read.try_for_each(|line| lines.send(line))
        });
        let mut engine = Self {
            name,
            version: String::new(),
            child,
            requests,
            responses,
            is_killed: false,
        };
        let tables: Vec<Value> = files
            .0
            .iter()
            .map(|table| {
                json!({
                    "name": table.name,
                    "metadata": table.metadata,
                    "snapshot_id": table.snapshot_id,
                    "data": table.data,
                })
            })
            .collect();
        let started = engine
            .ask(&json!({ "source": source, "threads": machine::cores(), "tables": tables }))?;
        engine.version = text(&started, "version")?.to_owned();
        Ok(engine)
    }

    /// The name in results, with DuckDB's version.
    pub(super) fn name(&self) -> &str {
        self.name
    }

    /// Runs a query; the time is the script's, without the way through the pipe.
    pub(super) fn run(&mut self, sql: &str) -> Result<Run> {
        let response = self.ask(&json!({ "sql": sql }))?;
        let seconds = response["seconds"]
            .as_f64()
            .ok_or_else(|| misunderstood("seconds"))?;
        let names = list(&response, "names")?.iter().filter_map(Value::as_str);
        let kinds = list(&response, "kinds")?;
        let rows = list(&response, "rows")?;
        let cell = |value: &Value| value.as_str().map(str::to_owned);
        let row = |row: &Value| match row.as_array() {
            Some(cells) => Ok(cells.iter().map(cell).collect()),
            None => Err(misunderstood("rows")),
        };
        let answer = Answer {
            names: names.map(str::to_owned).collect(),
            kinds: kinds
                .iter()
                .map(|kind| Kind::named(kind.as_str().unwrap_or("")))
                .collect(),
            rows: rows.iter().map(row).collect::<Result<_>>()?,
        };
        let peak_bytes = response["peak_bytes"].as_u64();
        Ok(Run {
            elapsed: Duration::from_secs_f64(seconds),
            answer,
            peak_bytes,
        })
    }

    /// Runs a query whose rows the script counts and drops.
    pub(super) fn drain(&mut self, sql: &str) -> Result<Drained> {
        let response = self.ask(&json!({ "sql": sql, "drain": true }))?;
        let seconds = response["seconds"]
            .as_f64()
            .ok_or_else(|| misunderstood("seconds"))?;
        let rows = response["count"]
            .as_u64()
            .ok_or_else(|| misunderstood("count"))?;
        Ok(Drained {
            elapsed: Duration::from_secs_f64(seconds),
            rows,
        })
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let unavailable = |text: String| Error::new(ErrorKind::Unavailable, text);
        let seconds = STATEMENT_MAX.as_secs();
        if self.is_killed {
            let text = format!("not asked again: a statement took more than {seconds} s");
            return Err(unavailable(text));
        }
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let line = match self.responses.recv_timeout(STATEMENT_MAX) {
            Ok(line) => line?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(unavailable("the DuckDB script ended".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {
                self.is_killed = true;
                self.child.kill()?;
                let text = format!("took more than {seconds} s, and was killed");
                return Err(unavailable(text));
            }
        };
        let response: Value = serde_json::from_str(&line)?;
        match response["error"].as_str() {
            Some(error) => Err(Error::invalid(format!("DuckDB: {error}"))),
            None => Ok(response),
        }
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // The process is of no more use; that it has ended already is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python of the environment below the build folder that has DuckDB, else the system's.
fn python() -> Result<PathBuf> {
    let prepared = machine::target_folder()?.join("interop-venv/bin/python");
    Ok(if prepared.exists() {
        prepared
    } else {
        PathBuf::from("python3")
    })
}

fn text<'a>(response: &'a Value, key: &'static str) -> Result<&'a str> {
    response[key].as_str().ok_or_else(|| misunderstood(key))
}

fn list<'a>(response: &'a Value, key: &'static str) -> Result<&'a Vec<Value>> {
    response[key].as_array().ok_or_else(|| misunderstood(key))
}

fn misunderstood(key: &'static str) -> Error {
    Error::internal("the DuckDB script answered otherwise than expected").with_context("key", key)
}
