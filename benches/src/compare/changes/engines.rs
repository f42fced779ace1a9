//! The engines that change tables, each in a process of its own with a catalog of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lakehouse::{Error, ErrorKind, Result};
use lakehouse_testkit::Answer;
use serde_json::{Value, json};

use super::super::line_process::{self, ANSWER_WITHIN, LineProcess, python};
use super::super::machine;
use super::super::options::{Options, WRITERS};
use super::cases::{Case, KEY, Keys, Mode, Statement};
use super::tables::Tables;

/// How long PyIceberg may take for one change.
const PYICEBERG_WITHIN: Duration = Duration::from_secs(180);

/// The variable that names the jars of Spark's Iceberg library.
const JARS_VARIABLE: &str = "LAKEHOUSE_SPARK_JARS";

const LAKEHOUSE: &str = "lakehouse";
const SPARK: &str = "spark";
const PYICEBERG: &str = "pyiceberg";

/// An engine that waits for requests.
pub(super) struct Writer {
    process: LineProcess,
    version: String,
    /// How many tables were named.
    named: usize,
}

/// The engines that could be started, and those that could not with the reason.
pub(super) struct Writers {
    pub(super) all: Vec<Writer>,
    pub(super) not_run: Vec<(String, String)>,
}

/// What a statement did.
pub(super) struct Change {
    pub(super) elapsed: Duration,
    pub(super) peak_bytes: Option<u64>,
    /// The table's metadata file afterwards.
    pub(super) metadata: String,
}

impl Writers {
    /// Starts those that are asked for, and names the tables of merged rows in each.
    pub(super) fn start(options: &Options, tables: &Tables, scratch: &Path) -> Self {
        let mut writers = Self {
            all: Vec::new(),
            not_run: Vec::new(),
        };
        for name in WRITERS {
            let asked = options.engines.as_ref();
            if asked.is_some_and(|names| !names.iter().any(|asked| asked == name)) {
                continue;
            }
            let started = match name {
                LAKEHOUSE => lakehouse(options, scratch),
                SPARK => spark(scratch),
                PYICEBERG => pyiceberg(scratch),
                // DuckDB writes no table; see the model.
                _ => continue,
            };
            match started.and_then(|process| Writer::ready(process, tables)) {
                Ok(writer) => writers.all.push(writer),
                Err(error) => {
                    eprintln!("{name} is not run: {error}");
                    writers.not_run.push((name.to_owned(), error.to_string()));
                }
            }
        }
        writers
    }

    pub(super) fn versions(&self) -> Vec<(&'static str, String)> {
        let versions = self.all.iter();
        versions
            .map(|writer| (writer.name(), writer.version.clone()))
            .collect()
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&mut Writer> {
        self.all.iter_mut().find(|writer| writer.name() == name)
    }
}

impl Writer {
    fn ready(mut process: LineProcess, tables: &Tables) -> Result<Self> {
        let started = process.ask(&json!({ "do": "start" }))?;
        let version = line_process::text(&started, "version")?.to_owned();
        for (table, metadata) in &tables.sources {
            process.ask(&json!({ "do": "name", "table": table, "metadata": metadata }))?;
        }
        Ok(Self {
            process,
            version,
            named: 0,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.process.name()
    }

    /// Whether the engine can make this change at all.
    pub(super) fn takes(&self, case: &Case) -> bool {
        let is_upsert = case.statement == Statement::Merge && case.keys == Keys::Few;
        // It always copies on write, whatever the properties say.
        let by_pyiceberg = is_upsert && case.version == 2 && case.mode != Mode::MergeOnRead;
        self.name() != PYICEBERG || by_pyiceberg
    }

    /// A new name for the table of this metadata file, in the engine's own catalog.
    pub(super) fn name_table(&mut self, metadata: &str) -> Result<String> {
        self.named += 1;
        let table = format!("table_{}", self.named);
        self.process
            .ask(&json!({ "do": "name", "table": table, "metadata": metadata }))?;
        Ok(table)
    }

    /// Makes the change.
    pub(super) fn change(&mut self, table: &str, case: &Case, scale: f64) -> Result<Change> {
        let (request, limit) = match self.name() {
            PYICEBERG => {
                let source = case.keys.source();
                let request =
                    json!({ "do": "change", "table": table, "source": source, "keys": KEY });
                (request, PYICEBERG_WITHIN)
            }
            _ => {
                let sql = case.sql(&format!("default.{table}"), scale);
                let request = json!({ "do": "change", "table": table, "sql": sql });
                (request, ANSWER_WITHIN)
            }
        };
        let response = self.process.ask_within(&request, limit)?;
        Ok(Change {
            elapsed: line_process::elapsed(&response)?,
            peak_bytes: response["peak_bytes"].as_u64(),
            metadata: line_process::text(&response, "metadata")?.to_owned(),
        })
    }

    /// What a query of this engine calls the table of a metadata file; none if it answers none.
    pub(super) fn relation(&mut self, metadata: &str) -> Result<Option<String>> {
        if self.name() == PYICEBERG {
            return Ok(None);
        }
        Ok(Some(format!("default.{}", self.name_table(metadata)?)))
    }

    /// The rows of a query.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Answer> {
        let response: Value = self.process.ask(&json!({ "do": "ask", "sql": sql }))?;
        line_process::answer(&response)
    }
}

/// This program again, as the lake.
fn lakehouse(options: &Options, scratch: &Path) -> Result<LineProcess> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(mib) = options.memory_budget_mib {
        command.args(["--memory-budget-mib", &mib.to_string()]);
    }
    command.arg("--serve-changes").arg(scratch.join(LAKEHOUSE));
    LineProcess::start(LAKEHOUSE, &mut command)
}

fn spark(scratch: &Path) -> Result<LineProcess> {
    let python = python("interop-spark-venv")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = machine::target_folder()?.join("interop-jars");
    let output = Command::new(&python)
        .arg(root.join("../interop/spark_jars.py"))
        .arg(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    if !output.status.success() {
        let text = "the jars are not there; `cargo xtask interop` fetches them";
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    let jars = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut command = script(&python, "spark_run.py", &scratch.join(SPARK));
    // Spark talks a lot.
    std::fs::create_dir_all(scratch)?;
    let log = File::create(scratch.join("spark.log"))?;
    command.env(JARS_VARIABLE, jars).stderr(Stdio::from(log));
    LineProcess::start(SPARK, &mut command)
}

fn pyiceberg(scratch: &Path) -> Result<LineProcess> {
    let python = python("interop-venv")?;
    let mut command = script(&python, "pyiceberg_run.py", &scratch.join(PYICEBERG));
    LineProcess::start(PYICEBERG, &mut command)
}

fn script(python: &Path, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .arg(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
