//! What must be in a table after a change, and what the change costs without a table: said by DuckDB
//! and DataFusion, which see the bare files from before and the list of changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use datafusion::prelude::SessionContext;
use lakehouse::{Error, Result};
use lakehouse_testkit::Answer;

use super::super::duckdb::DuckDb;
use super::super::engine::bare_datafusion;
use super::super::fingerprint::fingerprint;
use super::Measured;
use super::cases::{Case, Keys, LINES, Mode, Statement};
use super::tables::Tables;

/// The engines that know the files from before, and what they have answered.
pub(super) struct Model {
    datafusion: SessionContext,
    duckdb: DuckDb,
    scale: f64,
    lines: Vec<String>,
    /// Where DuckDB writes to.
    target: PathBuf,
    expected: BTreeMap<(Statement, Keys), Vec<Answer>>,
}

impl Model {
    /// Starts both on the bare files.
    pub(super) async fn of(tables: &Tables, scale: f64, scratch: &Path) -> Result<Self> {
        let lines = tables.bare.0.iter().find(|files| files.name == LINES);
        let missing = || Error::internal("the order lines have no files");
        std::fs::create_dir_all(scratch)?;
        Ok(Self {
            datafusion: bare_datafusion(&tables.bare).await?,
            duckdb: DuckDb::start("duckdb", "parquet", &tables.bare)?,
            scale,
            lines: lines.ok_or_else(missing)?.data.clone(),
            target: scratch.join("bound.parquet"),
            expected: BTreeMap::new(),
        })
    }

    /// DuckDB's version.
    pub(super) fn version(&self) -> &str {
        self.duckdb.version()
    }

    /// Refuses rows that are not those that must be there.
    pub(super) async fn check(&mut self, case: &Case, reader: &str, found: &Answer) -> Result<()> {
        let change = (case.statement, case.keys);
        if !self.expected.contains_key(&change) {
            let rows = case.rows_after(LINES, self.scale);
            let sql = fingerprint(&format!("({rows}) AS t"));
            let batches = self.datafusion.sql(&sql).await?.collect().await?;
            let answers = vec![Answer::of(&batches)?, self.duckdb.run(&sql)?.answer];
            self.expected.insert(change, answers);
        }
        let expected = self.expected.get(&change).into_iter().flatten();
        for expected in expected {
            if let Some(text) = expected.difference(found, &[]) {
                let text = format!("{reader} reads other rows than must be there: {text}");
                return Err(Error::internal(text));
            }
        }
        Ok(())
    }

    /// Rows that a change replaces, removes or adds.
    pub(super) fn changed_rows(&mut self, case: &Case) -> Result<u64> {
        let counted = match case.statement {
            Statement::Merge => case.keys.source(),
            _ => format!("{LINES} WHERE {}", case.condition(self.scale)),
        };
        let answer = self
            .duckdb
            .run(&format!("SELECT count(*) FROM {counted}"))?;
        let rows = answer.answer.rows;
        let count = rows
            .first()
            .and_then(|row| row.first()?.as_ref()?.parse().ok());
        count.ok_or_else(|| Error::internal("DuckDB counted no rows"))
    }

    /// The time DuckDB takes to write what the change has to write, to a bare Parquet file of equal
    /// packing: the files that the change touches without or with their changed rows, or the
    /// changed rows alone. None where nothing has to be written.
    pub(super) fn bound(&mut self, case: &Case, runs: usize) -> Result<Option<Measured>> {
        if case.keys == Keys::Month {
            return Ok(None);
        }
        let all = files(&self.lines, true);
        let rows = match case.mode {
            Mode::MergeOnRead | Mode::Unset => case.rows_written(&all, self.scale),
            Mode::CopyOnWrite => {
                let condition = case.condition(self.scale);
                let touched = format!("SELECT DISTINCT filename FROM {all} WHERE {condition}");
                let touched = self.duckdb.run(&touched)?.answer.rows;
                let touched: Vec<String> = touched.into_iter().flatten().flatten().collect();
                case.rows_after(&files(&touched, false), self.scale)
            }
        };
        let target = self.target.to_string_lossy().replace('\'', "''");
        let copy = format!("COPY ({rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)");
        let mut measured = Measured::default();
        for _ in 0..runs {
            let run = self.duckdb.run(&copy)?;
            measured.runs.push(run.elapsed);
            measured.peak_bytes = run.peak_bytes;
        }
        std::fs::remove_file(&self.target)?;
        Ok(Some(measured))
    }
}

/// Data files as DuckDB reads them.
fn files(paths: &[String], places: bool) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| {
            let path = path.strip_prefix("file://").unwrap_or(path);
            format!("'{}'", path.replace('\'', "''"))
        })
        .collect();
    let places = match places {
        true => ", filename = true, file_row_number = true",
        false => "",
    };
    format!("read_parquet([{}]{places})", paths.join(", "))
}
