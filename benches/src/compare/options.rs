//! The command line of the comparison.

use std::path::PathBuf;

use lakehouse::{Error, Result};

use crate::tpch::QUERY_COUNT;

/// What the command line of `compare` asks for.
#[derive(Debug)]
pub enum Command {
    /// Compare engines.
    Compare(Options),
    /// Show the usage.
    Help,
    /// Open this lake, print a row and end: what a new process is measured by.
    FirstRow(PathBuf),
    /// Run the queries by this engine alone, and tell what memory they took.
    Alone(String, Options),
    /// Change tables on request, with a lake of its own in this folder.
    Changes(PathBuf, Options),
    /// Make commits in this lake beside other processes.
    Commits(PathBuf),
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The 22 queries of TPC-H by all engines.
    Tpch,
    /// The 22 queries within a memory budget, and what memory they took.
    Memory,
    /// Scans of a table with deletes, beside the same table without.
    Deletes,
    /// Rows written into new tables, beside a copy into Parquet files.
    Insert,
    /// MERGE, UPDATE and DELETE beside other engines that write Iceberg tables.
    Changes,
    /// Processes that commit to one table at the same time.
    Commits,
}

/// How to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to measure, in this order.
    pub parts: Vec<Part>,
    /// TPC-H's scale: 1 is about 1 GB of text.
    pub scale: f64,
    /// Timed runs of each query by each engine; the best one counts.
    pub runs: usize,
    /// The engines by name, the one that the others' answers are compared with first; those of the
    /// part unless given.
    pub engines: Option<Vec<String>>,
    /// The numbers of the queries.
    pub queries: Vec<usize>,
    /// Words that are in the names of the changes to measure; all unless given.
    pub cases: Option<String>,
    /// Where the lake is; below the build folder unless given.
    pub lake: Option<PathBuf>,
    /// Where raw numbers are kept; nowhere unless given.
    pub results: Option<PathBuf>,
    /// The memory budget of the lake under test, in MiB; that of the part unless given.
    pub memory_budget_mib: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: PARTS.map(|(_, part)| part).to_vec(),
            scale: 1.0,
            runs: 5,
            engines: None,
            queries: (1..=QUERY_COUNT).collect(),
            cases: None,
            lake: None,
            results: None,
            memory_budget_mib: None,
        }
    }
}

impl Part {
    /// The part's name on the command line.
    pub(super) fn name(self) -> &'static str {
        let mut names = PARTS.iter().filter(|(_, part)| *part == self);
        names.next().map_or("", |(name, _)| *name)
    }
}

/// The parts by their names.
const PARTS: [(&str, Part); 6] = [
    ("tpch", Part::Tpch),
    ("memory", Part::Memory),
    ("deletes", Part::Deletes),
    ("insert", Part::Insert),
    ("changes", Part::Changes),
    ("commits", Part::Commits),
];

/// The engines that change tables.
pub(super) const WRITERS: [&str; 4] = ["lakehouse", "spark", "pyiceberg", "duckdb"];

/// Every engine that queries.
pub(super) const ENGINES: [&str; 6] = [
    "lakehouse",
    "lakehouse-files",
    "datafusion",
    "iceberg-datafusion",
    "duckdb-parquet",
    "duckdb-iceberg",
];

/// How the command is used.
pub const USAGE: &str = "\
compare [tpch|memory|deletes|insert|changes|commits] [--scale N] [--runs N]
        [--engines A,B] [--queries 1,6] [--cases WORDS] [--lake FOLDER] [--results FOLDER]
        [--memory-budget-mib N]

tpch     the 22 queries by all engines, and from a new process to its first row
memory   the 22 queries within a memory budget (256 MiB), and the memory they took
deletes  a table with deletion vectors or equality deletes, beside the same one without
insert   order lines into new tables within a memory budget (600 MiB), beside DuckDB's COPY
changes  MERGE, UPDATE and DELETE of a hundredth of a table, beside Spark and others
commits  eight processes that insert into one table, beside bare swaps of its pointer

Without one of these names: all of them. --lake is for one of them only.
--cases \"DELETE v3\" measures the changes with these words in their names.
engines: lakehouse, lakehouse-files (keeps no columns in memory), datafusion, iceberg-datafusion, duckdb-parquet, duckdb-iceberg;
of changes: lakehouse, spark, pyiceberg, duckdb";

impl Command {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// [`lakehouse::ErrorKind::InvalidInput`] for arguments that are not in [`USAGE`].
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Options::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            if name == "--help" || name == "-h" {
                return Ok(Self::Help);
            }
            if let Some(part) = part(&name) {
                options.parts = vec![part];
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| Error::invalid(format!("{name} needs a value\n\n{USAGE}")))?;
            match name.as_str() {
                "--scale" => options.scale = number(&name, &value)?,
                "--runs" => options.runs = number::<usize>(&name, &value)?.max(1),
                "--engines" => options.engines = Some(engines(&value)?),
                "--queries" => options.queries = queries(&name, &value)?,
                "--lake" => options.lake = Some(value.into()),
                "--results" => options.results = Some(value.into()),
                "--memory-budget-mib" => {
                    options.memory_budget_mib = Some(number(&name, &value)?);
                }
                "--alone" => return Ok(Self::Alone(value, options)),
                "--cases" => options.cases = Some(value),
                "--serve-changes" => return Ok(Self::Changes(value.into(), options)),
                "--make-commits" => return Ok(Self::Commits(value.into())),
                "--first-row" => return Ok(Self::FirstRow(value.into())),
                _ => return Err(Error::invalid(format!("there is no {name}\n\n{USAGE}"))),
            }
        }
        if options.lake.is_some() && options.parts.len() > 1 {
            return Err(Error::invalid(format!(
                "--lake is for one part of the comparison\n\n{USAGE}"
            )));
        }
        Ok(Self::Compare(options))
    }
}

fn part(name: &str) -> Option<Part> {
    let found = PARTS.iter().find(|(known, _)| *known == name);
    found.map(|(_, part)| *part)
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| Error::invalid(format!("{name} is no such number: {value}")))
}

fn engines(value: &str) -> Result<Vec<String>> {
    let named = value.split(',').map(str::trim);
    named
        .map(
            |name| match ENGINES.contains(&name) || WRITERS.contains(&name) {
                true => Ok(name.to_owned()),
                false => Err(Error::invalid(format!(
                    "there is no engine {name}\n\n{USAGE}"
                ))),
            },
        )
        .collect()
}

fn queries(name: &str, value: &str) -> Result<Vec<usize>> {
    let numbers = value
        .split(',')
        .map(|text| number::<usize>(name, text.trim()));
    numbers
        .map(|number| match number? {
            number @ 1..=QUERY_COUNT => Ok(number),
            other => Err(Error::invalid(format!("TPC-H has no query {other}"))),
        })
        .collect()
}
