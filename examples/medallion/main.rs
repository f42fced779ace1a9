//! Raw files become tables that can be trusted: bronze is what arrived, silver is typed, valid and
//! without duplicates, gold is what people ask for. Jobs crash, run twice and run at once, files
//! come late, and every row is accounted for.
//!
//! ```text
//! cargo run --example medallion
//! cargo run --features aws --example medallion -- --config lake.toml
//! ```
//!
//! The first makes a lake in a temporary folder. The second runs in the lake of a settings file, for
//! one what Terraform puts out; its databases are used as they are, and the tables stay.
//!
//! The job is in `job.rs`; what it is fed, and what should come of it, in `landing.rs`. Jobs of
//! other processes are this program again. Every claim that is printed is also asserted.

mod job;
mod landing;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use job::{Changed, Job};
use lakehouse::arrow::util::display::array_value_to_string;
use lakehouse::arrow::util::pretty::pretty_format_batches;
use lakehouse::sql::Session;
use lakehouse::{ErrorKind, Lakehouse};
use landing::{Landing, Truth, date, money};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How a process ends that dies in the middle of its work.
const DIED: i32 = 3;
/// The option that names a settings file, as for the command `lake`.
const CONFIG: &str = "--config";
const ROWS_OF_A_FILE: usize = 60;
const SENDERS: [&str; 3] = ["pos.csv", "app.json", "partner.parquet"];
const TABLES: [&str; 5] = [
    "bronze.events",
    "silver.events",
    "silver.quarantine",
    "silver.files",
    "gold.daily",
];

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (config, others) = match arguments.as_slice() {
        [option, file, others @ ..] if option == CONFIG => (Some(PathBuf::from(file)), others),
        others => (None, others),
    };
    if let [home, dies_after @ ..] = others {
        let dies_after = dies_after.first().map(|text| text.parse()).transpose()?;
        return other_process(Path::new(home), config.as_deref(), dies_after).await;
    }
    let home = tempfile::tempdir()?;
    let lake = open(home.path(), config.as_deref()).await?;
    let story = Story {
        session: lake.session()?,
        home: home.path().to_path_buf(),
        config,
        lake,
    };
    story.refuse_tables_of_others().await?;
    job::create_tables(&story.session).await?;
    let mut landing = Landing::new(home.path(), 2026)?;

    for day in 0..2 {
        deliver(&mut landing, day).await?;
    }
    story.crash(&landing).await?;
    story.two_at_once(&landing).await?;
    story.again().await?;
    for day in 2..4 {
        deliver(&mut landing, day).await?;
    }
    story.more_days(&landing).await?;
    story.late_file(&mut landing).await?;
    story.show().await
}

/// A job in a process of its own.
async fn other_process(home: &Path, config: Option<&Path>, dies_after: Option<usize>) -> Outcome {
    let lake = open(home, config).await?;
    let changed = Job::new(&lake, home, dies_after)?.run().await?;
    println!("  a job has ended: {changed:?}");
    Ok(())
}

/// The lake of a settings file; without one, the lake in `home`.
async fn open(home: &Path, config: Option<&Path>) -> Outcome<Lakehouse> {
    let builder = match config {
        Some(file) => Lakehouse::builder().settings(lakehouse::read_settings(file)?),
        None => Lakehouse::builder().location(home.join("lake").to_string_lossy()),
    };
    Ok(builder.build().await?)
}

/// The files of one day.
async fn deliver(landing: &mut Landing, day: u32) -> Outcome {
    for sender in SENDERS {
        landing.deliver(day, sender, ROWS_OF_A_FILE, None).await?;
    }
    Ok(())
}

struct Story {
    lake: Lakehouse,
    session: Session,
    home: PathBuf,
    config: Option<PathBuf>,
}

impl Story {
    /// A lake that others use may have tables of these names, whose rows are not ours to count or to
    /// delete.
    async fn refuse_tables_of_others(&self) -> Outcome {
        for table in TABLES {
            match self.lake.table(table).await {
                Ok(_) => {
                    return Err(format!("{table} exists: drop it, or name another lake").into());
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn crash(&self, landing: &Landing) -> Outcome {
        chapter("Two days of files have arrived, and a job dies after two of six");
        let status = self.start(Some(2))?.wait()?;
        assert_eq!(status.code(), Some(DIED));
        let rows = 2 * ROWS_OF_A_FILE;
        let files = "SELECT count(DISTINCT _source_file), count(*) FROM bronze.events";
        assert_eq!(self.rows(files).await?, [format!("2 | {rows}")]);
        assert_eq!(
            self.rows("SELECT count(*) FROM silver.events").await?,
            ["0"]
        );
        println!("  two files are in bronze, whole: {rows} rows");

        chapter("The next one goes on, and dies between silver and quarantine");
        let status = self.start(Some(5))?.wait()?;
        assert_eq!(status.code(), Some(DIED));
        self.bronze_is(&landing.truth).await?;
        assert_ne!(
            self.rows("SELECT count(*) FROM silver.events").await?,
            ["0"]
        );
        for behind in ["silver.quarantine", "silver.files", "gold.daily"] {
            assert_eq!(
                self.rows(&format!("SELECT count(*) FROM {behind}")).await?,
                ["0"]
            );
        }
        println!("  bronze and silver are ahead of quarantine and gold");
        Ok(())
    }

    async fn two_at_once(&self, landing: &Landing) -> Outcome {
        chapter("Two jobs begin at the same time");
        // Bronze is empty again, so that both have everything to do.
        for table in TABLES {
            self.rows(&format!("TRUNCATE TABLE {table}")).await?;
        }
        for mut job in [self.start(None)?, self.start(None)?] {
            assert!(job.wait()?.success(), "a job has failed");
        }
        self.accounts(&landing.truth).await
    }

    /// A job with nothing to do does nothing, not even a commit.
    async fn again(&self) -> Outcome {
        chapter("The job runs again, and once more");
        let before = self.snapshots().await?;
        for _ in 0..2 {
            let changed = Job::new(&self.lake, &self.home, None)?.run().await?;
            assert_eq!(changed, Changed::default());
        }
        assert_eq!(self.snapshots().await?, before);
        println!("  nothing has changed");
        Ok(())
    }

    async fn more_days(&self, landing: &Landing) -> Outcome {
        chapter("Two days more");
        let changed = Job::new(&self.lake, &self.home, None)?.run().await?;
        println!("  {changed:?}\n");
        assert_eq!(changed.bronze, 6 * ROWS_OF_A_FILE as u64);
        self.accounts(&landing.truth).await
    }

    /// A file that comes late changes the days that it tells of, and no other.
    async fn late_file(&self, landing: &mut Landing) -> Outcome {
        chapter("A file comes days late, and tells of the second day only");
        self.rows("ALTER TABLE gold.daily CREATE TAG before_late")
            .await?;
        let other_days = format!(
            "SELECT partition.day, file_path FROM gold.daily.data_files
             WHERE partition.day <> DATE '{}' ORDER BY 1, 2",
            date(1)
        );
        let files = self.rows(&other_days).await?;
        landing
            .deliver(5, "late.csv", ROWS_OF_A_FILE, Some(1))
            .await?;
        let changed = Job::new(&self.lake, &self.home, None)?.run().await?;
        println!("  {changed:?}\n");
        assert_eq!(changed.bronze, ROWS_OF_A_FILE as u64);
        assert!(changed.silver > 0 && changed.gold > 0);
        let days = self
            .rows(
                "SELECT DISTINCT day FROM (
                     SELECT * FROM gold.daily
                     EXCEPT SELECT * FROM gold.daily FOR VERSION AS OF 'before_late'
                 ) AS changed",
            )
            .await?;
        assert_eq!(days, [date(1)]);
        assert_eq!(self.rows(&other_days).await?, files);
        self.accounts(&landing.truth).await
    }

    async fn show(&self) -> Outcome {
        chapter("Gold");
        let gold = "SELECT day, sum(events) AS events, sum(amount) AS amount FROM gold.daily
                    GROUP BY day ORDER BY day";
        let batches = self.session.sql(gold).await?.collect().await?;
        println!("{}", pretty_format_batches(&batches)?);
        Ok(())
    }

    /// Every row of every layer is where it should be, once.
    async fn accounts(&self, truth: &Truth) -> Outcome {
        let raw = self.bronze_is(truth).await?;
        let quarantined = self.quarantine_is(truth).await?;
        let silver = self.silver_is(truth).await?;
        self.gold_is(truth).await?;
        // Counted on its own: rows that are good and no event's first row with its newest version.
        let duplicates = self
            .rows(
                "SELECT count(*) - count(DISTINCT b.event_id) FROM bronze.events AS b
                 LEFT ANTI JOIN silver.quarantine AS q
                 ON q._source_file = b._source_file AND q._source_row = b._source_row",
            )
            .await?;
        let duplicates: usize = duplicates[0].parse()?;
        assert_eq!(raw, silver + duplicates + quarantined);
        let files = "SELECT count(*), sum(row_count), sum(quarantined) FROM silver.files";
        let expected = format!("{} | {raw} | {quarantined}", truth.files.len());
        assert_eq!(self.rows(files).await?, [expected]);
        println!(
            "  {} files, {raw} rows = {silver} events + {duplicates} old or sent again \
             + {quarantined} broken",
            truth.files.len()
        );
        Ok(())
    }

    /// Bronze has the rows of each file once; gives their number.
    async fn bronze_is(&self, truth: &Truth) -> Outcome<usize> {
        let files = self
            .rows(
                "SELECT _source_file, count(*), count(DISTINCT _source_row) FROM bronze.events
                 GROUP BY _source_file ORDER BY _source_file",
            )
            .await?;
        let expected = truth.files.iter();
        let expected = expected.map(|(file, rows)| format!("{file} | {rows} | {rows}"));
        assert_eq!(files, expected.collect::<Vec<_>>());
        Ok(truth.files.values().sum())
    }

    async fn quarantine_is(&self, truth: &Truth) -> Outcome<usize> {
        let reasons = self
            .rows("SELECT reason, count(*) FROM silver.quarantine GROUP BY reason ORDER BY reason")
            .await?;
        let expected = truth.broken.iter();
        let expected = expected.map(|(reason, rows)| format!("{reason} | {rows}"));
        assert_eq!(reasons, expected.collect::<Vec<_>>());
        Ok(truth.broken.values().sum())
    }

    async fn silver_is(&self, truth: &Truth) -> Outcome<usize> {
        let events = self
            .rows(
                "SELECT event_id, version, CAST(occurred_at AS DATE), shop, amount
                 FROM silver.events ORDER BY event_id",
            )
            .await?;
        let expected = truth.newest.values().map(|event| {
            let (day, amount) = (date(event.day), money(event.cents));
            let (id, version, shop) = (&event.id, event.version, event.shop);
            format!("{id} | {version} | {day} | {shop} | {amount}")
        });
        assert_eq!(events, expected.collect::<Vec<_>>());
        Ok(events.len())
    }

    async fn gold_is(&self, truth: &Truth) -> Outcome {
        let mut sums: BTreeMap<(u32, &str), (u64, u64)> = BTreeMap::new();
        for event in truth.newest.values() {
            let (events, cents) = sums.entry((event.day, event.shop)).or_default();
            *events += 1;
            *cents += event.cents;
        }
        let expected = sums.iter().map(|((day, shop), (events, cents))| {
            format!("{} | {shop} | {events} | {}", date(*day), money(*cents))
        });
        let gold = self
            .rows("SELECT day, shop, events, amount FROM gold.daily ORDER BY day, shop")
            .await?;
        assert_eq!(gold, expected.collect::<Vec<_>>());
        let totals =
            "SELECT (SELECT sum(amount) FROM gold.daily) = (SELECT sum(amount) FROM silver.events)";
        assert_eq!(self.rows(totals).await?, ["true"]);
        Ok(())
    }

    /// Where every table stands.
    async fn snapshots(&self) -> Outcome<Vec<Option<i64>>> {
        let mut ids = Vec::new();
        for table in TABLES {
            ids.push(self.lake.table(table).await?.snapshot_id());
        }
        Ok(ids)
    }

    fn start(&self, dies_after: Option<usize>) -> Outcome<Child> {
        let mut job = Command::new(std::env::current_exe()?);
        if let Some(config) = &self.config {
            job.arg(CONFIG).arg(config);
        }
        job.arg(&self.home);
        job.args(dies_after.map(|commits| commits.to_string()));
        Ok(job.spawn()?)
    }

    /// The rows of an answer as text.
    async fn rows(&self, sql: &str) -> Outcome<Vec<String>> {
        let mut rows = Vec::new();
        for batch in self.session.sql(sql).await?.collect().await? {
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| array_value_to_string(column, row))
                    .collect::<Result<_, _>>()?;
                rows.push(cells.join(" | "));
            }
        }
        Ok(rows)
    }
}

fn chapter(title: &str) {
    println!("\n== {title} ==\n");
}
