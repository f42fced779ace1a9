//! One SQL script: statements and expected answers, run on one lake.
//!
//! Before its SQL a statement may have lines that the lake does not see:
//! `-- clock: 2026-01-01 00:00:00` sets the lake's time, alone or before a statement;
//! `-- let name` keeps the first cell of the answer, and `{name}` stands for it from then on, in SQL
//! and in answers; `-- metadata file: t` keeps where the metadata of `t` is as `{metadata}`;
//! `-- parameters: 1, 'x'` gives the statement's parameters `$1`, `$2`. In answers `{lake}` is where
//! the lake is, and a text of several lines has a row for each; times and bytes of `EXPLAIN` are
//! `{time}` and `{size}`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::datatypes::DataType;
use chrono::NaiveDateTime;
use datafusion::common::ScalarValue;
use lakehouse::{Error, Lakehouse, Result, Session};
use lakehouse_testkit::FakeClock;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};

use crate::lake::{TestLake, cells};

/// Values at least this long are shown by their names.
const NAMED_LENGTH_MIN: usize = 8;

/// A connection of a script: a session, and the names that all of its sessions share.
pub(crate) struct Script {
    lake: Lakehouse,
    session: Session,
    clock: Arc<FakeClock>,
    root: String,
    names: Arc<Mutex<BTreeMap<String, String>>>,
}

/// An error as scripts show it: kind and message on one line.
#[derive(Debug)]
pub(crate) struct ScriptError(String);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

/// What the lines before the SQL ask for.
#[derive(Default)]
struct Directives {
    keep_as: Option<String>,
    parameters: Option<String>,
}

impl Script {
    pub(crate) fn new(
        lake: &TestLake,
        names: Arc<Mutex<BTreeMap<String, String>>>,
    ) -> Result<Self> {
        Ok(Self {
            lake: lake.lake.clone(),
            session: lake.lake.session()?,
            clock: Arc::clone(&lake.clock),
            root: lake.root(),
            names,
        })
    }

    async fn answer(&self, text: &str) -> Result<DBOutput<DefaultColumnType>> {
        let mut directives = Directives::default();
        let mut sql = String::new();
        for line in text.lines() {
            match line.strip_prefix("-- ").filter(|_| sql.is_empty()) {
                Some(directive) => self.directive(directive, &mut directives).await?,
                None => sql += &format!("{line}\n"),
            }
        }
        if sql.is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let sql = self.with_values(sql.trim_end());
        let result = match &directives.parameters {
            Some(list) => {
                self.session
                    .sql_with(&sql, self.parameters(list).await?)
                    .await?
            }
            None => self.session.sql(&sql).await?,
        };
        let is_query = result.is_query();
        let schema = result.schema();
        let batches = result.collect().await?;
        let mut rows: Vec<Vec<String>> = batches.iter().flat_map(cells).collect();
        if sql.starts_with("EXPLAIN") {
            let cells = rows.iter_mut().flatten();
            cells.for_each(|cell| *cell = without_measures(cell));
        }
        if let (Some(name), Some(cell)) =
            (directives.keep_as, rows.first().and_then(|row| row.first()))
        {
            self.names.lock().unwrap().insert(name, cell.clone());
            return Ok(DBOutput::StatementComplete(0));
        }
        let is_count = schema.fields().len() == 1 && schema.field(0).name() == "count";
        if !is_query && (schema.fields().is_empty() || is_count) {
            let count = rows.first().and_then(|row| row[0].parse().ok());
            return Ok(DBOutput::StatementComplete(count.unwrap_or(0)));
        }
        Ok(DBOutput::Rows {
            types: schema
                .fields()
                .iter()
                .map(|field| column_type(field.data_type()))
                .collect(),
            rows: rows.into_iter().flat_map(|row| self.lines(row)).collect(),
        })
    }

    async fn directive(&self, text: &str, directives: &mut Directives) -> Result<()> {
        if let Some(time) = text.strip_prefix("clock: ") {
            let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f");
            let time = time.map_err(|error| Error::invalid(format!("{text}: {error}")))?;
            self.clock.set_ms(time.and_utc().timestamp_millis());
        } else if let Some(name) = text.strip_prefix("let ") {
            directives.keep_as = Some(name.to_owned());
        } else if let Some(table) = text.strip_prefix("metadata file: ") {
            let file = self.lake.table(table).await?.metadata_location().to_owned();
            self.names
                .lock()
                .unwrap()
                .insert("metadata".to_owned(), file);
        } else if let Some(list) = text.strip_prefix("parameters: ") {
            directives.parameters = Some(list.to_owned());
        }
        Ok(())
    }

    async fn parameters(&self, list: &str) -> Result<Vec<ScalarValue>> {
        let batches = self
            .session
            .sql(&format!("SELECT {list}"))
            .await?
            .collect()
            .await?;
        let columns = batches[0].columns().iter();
        Ok(columns
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect::<Result<_, _>>()?)
    }

    fn with_values(&self, text: &str) -> String {
        let names = self.names.lock().unwrap();
        let text = text.replace("{lake}", &self.root);
        names.iter().fold(text, |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }

    /// What differs from run to run, by its name.
    fn with_names(&self, text: &str) -> String {
        let url = format!("file://{}", self.root);
        let text = text.replace(&url, "{lake}").replace(&self.root, "{lake}");
        let names = self.names.lock().unwrap();
        names
            .iter()
            // Short values, such as counts, are not told from others.
            .filter(|(_, value)| value.len() >= NAMED_LENGTH_MIN)
            .fold(without_places(&text), |text, (name, value)| {
                text.replace(value, &format!("{{{name}}}"))
            })
    }

    /// A row, or several when a cell has several lines; each line numbered, its indent visible.
    fn lines(&self, row: Vec<String>) -> Vec<Vec<String>> {
        let row: Vec<String> = row.iter().map(|cell| self.with_names(cell)).collect();
        let is_text = row.iter().any(|cell| cell.contains('\n'));
        if !is_text {
            let visible = |cell: String| {
                if cell.is_empty() {
                    "(empty)".to_owned()
                } else {
                    cell
                }
            };
            return vec![row.into_iter().map(visible).collect()];
        }
        let lines = row.iter().flat_map(|cell| cell.lines());
        lines
            .enumerate()
            .map(|(number, line)| {
                let content = line.trim_start();
                let indent = "-".repeat(line.len() - content.len());
                vec![format!("{:02}){indent}{content}", number + 1)]
            })
            .collect()
    }
}

#[async_trait::async_trait]
impl AsyncDB for Script {
    type Error = ScriptError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, ScriptError> {
        self.answer(sql).await.map_err(|error| {
            let text = format!("{}: {error}", error.kind());
            let text: Vec<&str> = text.split_whitespace().collect();
            let text = text.join(" ");
            ScriptError(self.with_names(&text))
        })
    }

    async fn shutdown(&mut self) {}
}

/// Plans without the files' names, which are new in each run.
fn without_places(text: &str) -> String {
    let Some((before, rest)) = text.split_once("file_groups={") else {
        return text.to_owned();
    };
    match rest.split_once("]]}") {
        Some((groups, rest)) => {
            let files = groups.matches(".parquet").count();
            format!("{before}files={files}{}", without_places(rest))
        }
        None => text.to_owned(),
    }
}

/// A text with `{time}` and `{size}` for the times and the numbers of bytes in it.
pub(crate) fn without_measures(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let unit = word.trim_matches([',', ';', '(', ')']);
            let name = match unit {
                "µs" | "ms" | "s" => "{time}",
                "byte" | "bytes" | "MiB" => "{size}",
                _ => {
                    words.push(word.to_owned());
                    continue;
                }
            };
            let number = words.last().map(|word| word.trim_start_matches('('));
            if number.is_some_and(|number| number.parse::<f64>().is_ok()) {
                let open = words.pop().filter(|number| number.starts_with('('));
                let open = if open.is_some() { "(" } else { "" };
                words.push(format!("{open}{}", word.replace(unit, name)));
            } else {
                words.push(word.to_owned());
            }
        }
        without_widths(words.join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A line of the table of operators, whose columns are as wide as the longest time.
fn without_widths(line: String) -> String {
    if line.split_whitespace().eq(["rows", "time", "operator"]) {
        return "rows time operator".to_owned();
    }
    let content = line.trim_start();
    let (rows, rest) = match content.split_once(' ') {
        Some((rows, rest)) if rows.parse::<u64>().is_ok() => (rows, rest.trim_start()),
        _ => ("", content),
    };
    let time = ["{time}", "-"].into_iter();
    let mut operators = time.filter_map(|time| Some((time, rest.strip_prefix(time)?)));
    match operators.find(|(_, operator)| operator.starts_with("  ")) {
        Some((time, operator)) => format!("{rows} {time}{operator}"),
        None => line,
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    if data_type.is_integer() {
        DefaultColumnType::Integer
    } else if data_type.is_numeric() {
        DefaultColumnType::FloatingPoint
    } else {
        DefaultColumnType::Text
    }
}
