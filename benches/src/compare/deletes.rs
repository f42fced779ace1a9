//! Scans of a table with deletes beside the same data files without: deletion vectors for one row in
//! a hundred, and fifty files of equality deletes.

mod report;
mod tables;

use std::time::Duration;

use datafusion::prelude::SessionContext;
use lakehouse::{Error, Lakehouse, Result};
use lakehouse_testkit::Answer;

use super::duckdb::DuckDb;
use super::engine::{self, Drained, Engine, Files, without_columns};
use super::fingerprint::fingerprint;
use super::{Measured, Options, lake_folder, prepared, within_budget};
use crate::tpch;
use tables::{Deletes, VERSIONS};

/// An engine that took longer for one statement is not asked again.
const SLOW: Duration = Duration::from_secs(20);

/// A statement on one version of the table.
struct Statement {
    name: &'static str,
    sql: String,
    /// Whether its rows are only counted, because they are all rows.
    is_drained: bool,
}

/// What one engine took for each statement on each version.
#[derive(Debug)]
struct Row {
    engine: String,
    statement: &'static str,
    /// In the order of [`VERSIONS`].
    versions: Vec<Measured>,
}

/// All that was found.
#[derive(Debug)]
struct Found {
    options: Options,
    deletes: Deletes,
    rows: Vec<Row>,
    not_run: Vec<(String, String)>,
}

/// An engine on one version of the table, by place in [`VERSIONS`].
struct Reader {
    engine: Engine,
    version: usize,
    relation: String,
    /// Why it is not asked any more.
    given_up: Option<String>,
}

/// Makes the tables, compares answers, takes times, and tells them.
pub(super) async fn run(options: &Options) -> Result<()> {
    let folder = lake_folder(options, "deletes")?;
    let load = async |lake: &Lakehouse| tables::make(lake, &folder, options.scale).await;
    let lake = prepared(&folder, options.scale, load).await?;
    let deletes = tables::found(&lake, &folder).await?;
    let lake = within_budget(lake, &folder, options.memory_budget_mib).await?;
    // What scans cost is measured, and the versions of the table have data files in common.
    let lake = without_columns(&lake, &folder).await?;
    let mut found = Found {
        options: options.clone(),
        deletes,
        rows: Vec::new(),
        not_run: Vec::new(),
    };
    let mut readers = readers(&lake, &mut found)?;
    let mut expected = Expected::of(&found).await?;
    let mut groups = vec![readers.drain(..VERSIONS.len()).collect::<Vec<_>>()];
    groups.extend((!readers.is_empty()).then_some(readers));
    for statement in 0..statements("").len() {
        measure(&mut groups, statement, &mut expected, &mut found).await?;
    }
    if let Err(error) = expected.duckdb {
        let name = "duckdb-parquet, for answers".to_owned();
        found.not_run.push((name, error.to_string()));
    }
    report::publish(&found)
}

/// The lake's readers of all versions, then DuckDB's of those that it can read.
fn readers(lake: &Lakehouse, found: &mut Found) -> Result<Vec<Reader>> {
    let mut readers = Vec::new();
    for (version, name) in VERSIONS.iter().enumerate() {
        readers.push(Reader {
            engine: Engine::Lakehouse {
                name: "lakehouse",
                session: lake.session()?,
            },
            version,
            relation: format!("{} VERSION AS OF '{}'", tables::TABLE, name.branch),
            given_up: None,
        });
    }
    for (version, name) in VERSIONS.iter().enumerate() {
        let files = Files(vec![found.deletes.version(version)?]);
        match DuckDb::start("duckdb-iceberg", "iceberg", &files) {
            Ok(engine) => readers.push(Reader {
                engine: Engine::DuckDb(engine),
                version,
                relation: tables::LINES.to_owned(),
                given_up: None,
            }),
            Err(error) => {
                let name = format!("duckdb-iceberg, {}", name.title);
                found.not_run.push((name, error.to_string()));
            }
        }
    }
    Ok(readers)
}

/// The statements on a relation.
fn statements(relation: &str) -> Vec<Statement> {
    let query = |number| {
        let sql = tpch::query(number).unwrap_or_default();
        sql.replacen("\n  lineitem\n", &format!("\n  {relation}\n"), 1)
    };
    vec![
        Statement {
            name: "Q1",
            sql: query(1),
            is_drained: false,
        },
        Statement {
            name: "Q6",
            sql: query(6),
            is_drained: false,
        },
        Statement {
            name: "all 16 columns",
            sql: format!("SELECT * FROM {relation}"),
            is_drained: true,
        },
    ]
}

/// Who says what is right: engines that know nothing of deletes, on the bare data files joined with
/// lists of the rows and keys that are deleted.
struct Expected {
    context: SessionContext,
    /// DuckDB, or why it is not asked (any more).
    duckdb: Result<DuckDb>,
}

impl Expected {
    async fn of(found: &Found) -> Result<Self> {
        let files = found.deletes.bare_files()?;
        let context = engine::bare_datafusion(&files).await?;
        let mut duckdb = DuckDb::start("duckdb-parquet", "parquet", &files);
        for version in VERSIONS {
            let view = format!("CREATE VIEW {} AS {}", version.branch, version.without);
            context.sql(&view).await?.collect().await?;
            duckdb = duckdb.and_then(|mut engine| engine.run(&view).map(|_| engine));
        }
        Ok(Self { context, duckdb })
    }

    /// The answers of all of them.
    async fn answers(&mut self, sql: &str) -> Result<Vec<Answer>> {
        let batches = self.context.sql(sql).await?.collect().await?;
        let mut answers = vec![Answer::of(&batches)?];
        if let Ok(engine) = &mut self.duckdb {
            match engine.run(sql) {
                Ok(run) => answers.push(run.answer),
                Err(error) => self.duckdb = Err(error),
            }
        }
        Ok(answers)
    }
}

/// Compares the answers of one statement on all versions, then takes times, engines and versions in
/// turn.
async fn measure(
    groups: &mut [Vec<Reader>],
    statement: usize,
    expected: &mut Expected,
    found: &mut Found,
) -> Result<()> {
    let mut rows = Vec::new();
    for readers in groups.iter_mut() {
        let not_read = |_| Measured {
            note: Some("not read".to_owned()),
            ..Measured::default()
        };
        let mut versions: Vec<Measured> = VERSIONS.iter().map(not_read).collect();
        let mut name = String::new();
        for reader in readers.iter_mut() {
            name = reader.engine.name().to_owned();
            let first = first_run(reader, statement, expected).await?;
            if let Some(note) = &first.note {
                eprintln!("{name}, {}: {note}", VERSIONS[reader.version].title);
            }
            versions[reader.version] = first;
        }
        rows.push(Row {
            engine: name,
            statement: statements("")[statement].name,
            versions,
        });
    }
    eprintln!("{}", statements("")[statement].name);
    for _ in 0..found.options.runs {
        for (readers, row) in groups.iter_mut().zip(&mut rows) {
            for reader in readers {
                let measured = &mut row.versions[reader.version];
                if measured.note.is_none() && reader.given_up.is_none() {
                    match time(reader, statement).await {
                        Ok(elapsed) => measured.runs.push(elapsed),
                        Err(error) => measured.note = Some(format!("failed: {error}")),
                    }
                }
            }
        }
    }
    found.rows.extend(rows);
    Ok(())
}

/// Compares the answer of a reader. The time of this run counts only when there is no other, because
/// the reader is too slow for one.
async fn first_run(
    reader: &mut Reader,
    statement: usize,
    expected: &mut Expected,
) -> Result<Measured> {
    let noted = |note: String| Measured {
        note: Some(note),
        ..Measured::default()
    };
    if let Some(reason) = &reader.given_up {
        return Ok(noted(reason.clone()));
    }
    let view = VERSIONS[reader.version].branch;
    let asked = |relation: &str| {
        let statement = statements(relation).swap_remove(statement);
        match statement.is_drained {
            true => fingerprint(relation),
            false => statement.sql,
        }
    };
    let answers = expected.answers(&asked(view)).await?;
    let run = match reader.engine.run(&asked(&reader.relation)).await {
        Ok(run) => run,
        Err(error) => return Ok(noted(format!("failed: {error}"))),
    };
    let mut answers = answers.iter();
    if let Some(text) = answers.find_map(|answer| answer.difference(&run.answer, &[])) {
        return Ok(noted(format!("differs: {text}")));
    }
    let mut measured = Measured::default();
    let statement = statements(&reader.relation).swap_remove(statement);
    let mut elapsed = run.elapsed;
    if statement.is_drained && elapsed <= SLOW {
        // The fingerprint begins with the number of rows.
        let rows = run.answer.rows.first().and_then(|row| row.first()?.clone());
        let drained = reader.engine.drain(&statement.sql).await?;
        if rows != Some(drained.rows.to_string()) {
            return Ok(noted(format!("differs: {} rows came", drained.rows)));
        }
        elapsed = drained.elapsed;
    }
    if elapsed > SLOW {
        let seconds = elapsed.as_secs_f64();
        let reason = format!("not asked again: {} took {seconds:.0} s", statement.name);
        reader.given_up = Some(reason);
        if !statement.is_drained {
            measured.runs.push(elapsed);
        }
    }
    Ok(measured)
}

async fn time(reader: &mut Reader, statement: usize) -> Result<Duration> {
    let statement = statements(&reader.relation).swap_remove(statement);
    Ok(match statement.is_drained {
        true => {
            let Drained { elapsed, .. } = reader.engine.drain(&statement.sql).await?;
            elapsed
        }
        false => reader.engine.run(&statement.sql).await?.elapsed,
    })
}

fn no_version(version: usize) -> Error {
    Error::internal(format!("there is no version {version} of the table"))
}
