//! The job that carries rows from the landing folder through bronze and silver to gold.
//!
//! It may be run at any time, by any number of processes at once, and may die anywhere: every step
//! is one commit that does nothing when it was done before, and what a step has to do is read from
//! the tables, so there is no other record that could disagree with them.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use lakehouse::arrow::array::AsArray;
use lakehouse::arrow::datatypes::UInt64Type;
use lakehouse::arrow::util::display::array_value_to_string;
use lakehouse::sql::Session;
use lakehouse::{ErrorKind, Lakehouse};

use crate::Outcome;
use crate::landing;

/// Statements that somebody else may commit before are tried so often.
const TRIES_MAX: usize = 50;

const TABLES: [&str; 8] = [
    "CREATE NAMESPACE IF NOT EXISTS bronze",
    "CREATE NAMESPACE IF NOT EXISTS silver",
    "CREATE NAMESPACE IF NOT EXISTS gold",
    // Bronze is what arrived, as it arrived: text, so that no row is too broken to be kept.
    "CREATE TABLE IF NOT EXISTS bronze.events (
         event_id VARCHAR, version VARCHAR, occurred_at VARCHAR, shop VARCHAR, amount VARCHAR,
         _source_file VARCHAR NOT NULL, _source_row BIGINT NOT NULL, _ingest_date DATE NOT NULL)
     PARTITIONED BY (_ingest_date)",
    "CREATE TABLE IF NOT EXISTS silver.events (
         event_id VARCHAR NOT NULL, version INT NOT NULL, occurred_at TIMESTAMP NOT NULL,
         shop VARCHAR, amount DECIMAL(10, 2) NOT NULL, _source_file VARCHAR NOT NULL)
     PARTITIONED BY (days(occurred_at))",
    "CREATE TABLE IF NOT EXISTS silver.quarantine (
         reason VARCHAR NOT NULL, event_id VARCHAR, version VARCHAR, occurred_at VARCHAR,
         shop VARCHAR, amount VARCHAR, _source_file VARCHAR NOT NULL, _source_row BIGINT NOT NULL)",
    // The files of bronze that silver and gold know all about.
    "CREATE TABLE IF NOT EXISTS silver.files (
         _source_file VARCHAR NOT NULL, row_count BIGINT NOT NULL, quarantined BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS gold.daily (
         day DATE NOT NULL, shop VARCHAR NOT NULL, events BIGINT NOT NULL,
         amount DECIMAL(20, 2) NOT NULL)
     PARTITIONED BY (day)",
];

/// Makes the tables of all layers.
pub(crate) async fn create_tables(session: &Session) -> Outcome {
    for table in TABLES {
        session.sql(table).await?.collect().await?;
    }
    Ok(())
}

/// One run of the job.
pub(crate) struct Job {
    session: Session,
    landing: PathBuf,
    /// Commits until the process dies, for a story about crashes.
    commits_left: Cell<Option<usize>>,
}

/// What a run has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Rows that came into bronze.
    pub(crate) bronze: u64,
    /// Rows of silver that are new or newer.
    pub(crate) silver: u64,
    /// Rows that came into quarantine.
    pub(crate) quarantined: u64,
    /// Rows of gold that are new, other or gone.
    pub(crate) gold: u64,
}

impl Job {
    pub(crate) fn new(lake: &Lakehouse, home: &Path, dies_after: Option<usize>) -> Outcome<Self> {
        Ok(Self {
            session: lake.session()?,
            landing: landing::folder(home),
            commits_left: Cell::new(dies_after),
        })
    }

    /// Carries all that is not carried yet.
    pub(crate) async fn run(&self) -> Outcome<Changed> {
        let mut changed = Changed::default();
        for file in self.new_files().await? {
            changed.bronze += self.load(&file).await?;
        }
        // Named once, so that all steps below are about the same files whatever others load
        // meanwhile; those are the business of the run that loads them, or of the next one.
        let pending = self
            .column(
                "SELECT DISTINCT _source_file FROM bronze.events
                 WHERE _source_file NOT IN (SELECT _source_file FROM silver.files)",
            )
            .await?;
        if pending.is_empty() {
            return Ok(changed);
        }
        let pending: Vec<String> = pending.iter().map(|file| text(file)).collect();
        let pending = pending.join(", ");
        changed.silver = self.refine(&pending).await?;
        changed.quarantined = self.set_aside(&pending).await?;
        changed.gold = self.aggregate(&pending).await?;
        // Last of all: who dies before does the steps again, which changes nothing where they were
        // done.
        self.finish(&pending).await?;
        Ok(changed)
    }

    /// Files of the landing folder that bronze does not have.
    async fn new_files(&self) -> Outcome<Vec<String>> {
        let loaded = self
            .column("SELECT DISTINCT _source_file FROM bronze.events")
            .await?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.landing)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !loaded.contains(&name) {
                files.push(name);
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Bronze: one file, once.
    ///
    /// Each row carries the name of its file, and all rows of a file come in one commit: so a file
    /// is loaded if bronze has a row of it, and a job that dies has loaded files whole or not at
    /// all. The list of new files may be out of date when another job loads the same file now. Then
    /// both merges find no row of it; but a MERGE is serializable, and the second to commit is told
    /// that rows which its condition looks for have come meanwhile. Run again it finds them, and
    /// adds nothing. An INSERT would look for nothing, so it would add the rows twice.
    ///
    /// The condition names the file as a constant: merges of different files do not conflict. That
    /// the source is empty once the file is there spares the join of the file with itself.
    async fn load(&self, file: &str) -> Outcome<u64> {
        let source = self.source(file).await?;
        let day = file.get(..10).ok_or("a file's name begins with its day")?;
        let file = text(file);
        self.merge(&format!(
            "MERGE INTO bronze.events AS t
             USING (
                 SELECT event_id, version, occurred_at, shop, amount,
                        {file} AS _source_file, row_number() OVER () AS _source_row,
                        DATE '{day}' AS _ingest_date
                 FROM {source}
                 WHERE NOT EXISTS (SELECT 1 FROM bronze.events WHERE _source_file = {file})
             ) AS s
             ON t._source_file = s._source_file AND t._source_file = {file}
             WHEN NOT MATCHED THEN INSERT *"
        ))
        .await
    }

    /// What stands for a file in a query.
    async fn source(&self, file: &str) -> Outcome<String> {
        let path = text(&self.landing.join(file).to_string_lossy());
        if !file.ends_with(".csv") {
            return Ok(path);
        }
        // A CSV file says nothing of types, and its first rows would be asked for them: `1.50`
        // would be a number, and a row that is broken further down would stop the whole file.
        let columns = landing::COLUMNS.map(|column| format!("{column} VARCHAR"));
        for statement in [
            "DROP TABLE IF EXISTS arrived".to_owned(),
            format!(
                "CREATE EXTERNAL TABLE arrived ({}) STORED AS CSV LOCATION {path}
                 OPTIONS (has_header 'true')",
                columns.join(", ")
            ),
        ] {
            self.session.sql(&statement).await?.collect().await?;
        }
        Ok("arrived".to_owned())
    }

    /// Silver: typed, valid, each event once in its newest version.
    ///
    /// A newer version wins whatever the order in which files come, and an equal one changes
    /// nothing.
    async fn refine(&self, pending: &str) -> Outcome<u64> {
        let checked = checked(pending);
        self.merge(&format!(
            "MERGE INTO silver.events AS t
             USING (
                 SELECT event_id, version, occurred_at, shop, amount, _source_file
                 FROM (
                     SELECT *, row_number() OVER (
                         PARTITION BY event_id ORDER BY version DESC, _source_file, _source_row
                     ) AS place
                     FROM ({checked}) AS checked
                     WHERE reason IS NULL
                 ) AS placed
                 WHERE place = 1
             ) AS s
             ON t.event_id = s.event_id
             WHEN MATCHED AND s.version > t.version THEN UPDATE SET *
             WHEN NOT MATCHED THEN INSERT *"
        ))
        .await
    }

    /// Quarantine: broken rows as they arrived, and why.
    async fn set_aside(&self, pending: &str) -> Outcome<u64> {
        let checked = checked(pending);
        self.merge(&format!(
            "MERGE INTO silver.quarantine AS t
             USING (
                 SELECT checked.reason, b.*
                 FROM ({checked}) AS checked
                 JOIN bronze.events AS b
                 ON b._source_file = checked._source_file AND b._source_row = checked._source_row
                 WHERE checked.reason IS NOT NULL
             ) AS s
             ON t._source_file = s._source_file AND t._source_row = s._source_row
             WHEN NOT MATCHED THEN INSERT *"
        ))
        .await
    }

    /// Gold: totals of the days that the files touch, computed from all of silver.
    ///
    /// A correction may take an event from one day to another, so the days of every version count,
    /// and a day that has lost its last event loses its totals. Two jobs that do this at once
    /// conflict if both change something, and the second reads silver again.
    async fn aggregate(&self, pending: &str) -> Outcome<u64> {
        let days = self
            .column(&format!(
                "SELECT DISTINCT CAST(try_cast(occurred_at AS TIMESTAMP) AS DATE) AS day
                 FROM bronze.events
                 WHERE try_cast(occurred_at AS TIMESTAMP) IS NOT NULL AND event_id IN (
                     SELECT event_id FROM bronze.events WHERE _source_file IN ({pending}))"
            ))
            .await?;
        if days.is_empty() {
            return Ok(0);
        }
        let days: Vec<String> = days.iter().map(|day| format!("DATE '{day}'")).collect();
        let days = days.join(", ");
        self.merge(&format!(
            "MERGE INTO gold.daily AS t
             USING (
                 SELECT CAST(occurred_at AS DATE) AS day, shop,
                        count(*) AS events, sum(amount) AS amount
                 FROM silver.events
                 WHERE CAST(occurred_at AS DATE) IN ({days})
                 GROUP BY CAST(occurred_at AS DATE), shop
             ) AS s
             ON t.day = s.day AND t.shop = s.shop
             WHEN MATCHED AND (t.events <> s.events OR t.amount <> s.amount) THEN UPDATE SET *
             WHEN NOT MATCHED THEN INSERT *
             WHEN NOT MATCHED BY SOURCE AND t.day IN ({days}) THEN DELETE"
        ))
        .await
    }

    async fn finish(&self, pending: &str) -> Outcome {
        let checked = checked(pending);
        self.merge(&format!(
            "MERGE INTO silver.files AS t
             USING (
                 SELECT _source_file, count(*) AS row_count, count(reason) AS quarantined
                 FROM ({checked}) AS checked
                 GROUP BY _source_file
             ) AS s
             ON t._source_file = s._source_file
             WHEN NOT MATCHED THEN INSERT *"
        ))
        .await?;
        Ok(())
    }

    /// Runs a MERGE until nobody else comes first; gives the number of rows it changed.
    async fn merge(&self, sql: &str) -> Outcome<u64> {
        for _ in 0..TRIES_MAX {
            match self.session.sql(sql).await {
                Ok(done) => {
                    let counts = done.collect().await?;
                    self.live_on();
                    return Ok(counts[0].column(0).as_primitive::<UInt64Type>().value(0));
                }
                // Nothing was changed; the next try reads what the other one has committed.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    println!("  somebody else was first, so once more");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err("somebody else was first again and again".into())
    }

    /// Ends the process without a word when its time has come.
    fn live_on(&self) {
        match self.commits_left.get() {
            Some(left) if left <= 1 => std::process::exit(crate::DIED),
            left => self.commits_left.set(left.map(|left| left - 1)),
        }
    }

    /// The only column of a query, as text.
    async fn column(&self, sql: &str) -> Outcome<Vec<String>> {
        let mut values = Vec::new();
        for batch in self.session.sql(sql).await?.collect().await? {
            for row in 0..batch.num_rows() {
                values.push(array_value_to_string(batch.column(0), row)?);
            }
        }
        Ok(values)
    }
}

/// Rows of files in bronze with their types, and the reason why they have none.
///
/// `try_cast` gives NULL where a `CAST` would be an error.
fn checked(files: &str) -> String {
    format!(
        "SELECT *, CASE
             WHEN event_id IS NULL THEN 'no event id'
             WHEN version IS NULL THEN 'version is no number'
             WHEN occurred_at IS NULL THEN 'time is no time'
             WHEN amount IS NULL THEN 'amount is no number'
             WHEN amount < 0 THEN 'amount is negative'
         END AS reason
         FROM (
             SELECT nullif(event_id, '') AS event_id, try_cast(version AS INT) AS version,
                    try_cast(occurred_at AS TIMESTAMP) AS occurred_at, shop,
                    try_cast(amount AS DECIMAL(10, 2)) AS amount, _source_file, _source_row
             FROM bronze.events
             WHERE _source_file IN ({files})
         ) AS typed"
    )
}

/// A text literal.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
