//! DuckDB, run by a Python script in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lakehouse::Result;
use serde_json::{Value, json};

use super::engine::{Drained, Files, Run};
use super::line_process::{self, LineProcess, misunderstood, python};
use super::machine;

/// A statement may take so long; then the process is killed, because it listens to nothing else
/// while it works.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// A DuckDB with views on all tables.
pub(super) struct DuckDb {
    process: LineProcess,
    version: String,
}

impl DuckDb {
    /// Starts DuckDB; `source` is `parquet` for the bare files or `iceberg` for the tables.
    pub(super) fn start(name: &'static str, source: &str, files: &Files) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("duckdb_run.py");
        let mut command = Command::new(python("interop-venv")?);
        let mut process = LineProcess::start(name, command.arg(script))?;
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
        let started = process
            .ask(&json!({ "source": source, "threads": machine::cores(), "tables": tables }))?;
        let version = line_process::text(&started, "version")?.to_owned();
        Ok(Self { process, version })
    }

    /// The name in results.
    pub(super) fn name(&self) -> &str {
        self.process.name()
    }

    /// DuckDB's version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Runs a query; the time is the script's, without the way through the pipe.
    pub(super) fn run(&mut self, sql: &str) -> Result<Run> {
        let response = self.ask(&json!({ "sql": sql }))?;
        Ok(Run {
            elapsed: line_process::elapsed(&response)?,
            answer: line_process::answer(&response)?,
            peak_bytes: response["peak_bytes"].as_u64(),
        })
    }

    /// Runs a query whose rows the script counts and drops.
    pub(super) fn drain(&mut self, sql: &str) -> Result<Drained> {
        let response = self.ask(&json!({ "sql": sql, "drain": true }))?;
        let rows = response["count"].as_u64();
        Ok(Drained {
            elapsed: line_process::elapsed(&response)?,
            rows: rows.ok_or_else(|| misunderstood("count"))?,
        })
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        self.process.ask_within(request, STATEMENT_MAX)
    }
}
