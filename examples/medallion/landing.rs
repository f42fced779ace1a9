//! A landing folder as senders fill it: events late, twice, corrected and broken, from a seed, and
//! what a warehouse should make of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehouse::arrow::array::{ArrayRef, RecordBatch, StringArray};
use lakehouse::datafusion::dataframe::DataFrameWriteOptions;
use lakehouse::datafusion::prelude::SessionContext;
use serde_json::json;

use crate::Outcome;

/// The columns of every file; all values are text, as senders write them.
pub(crate) const COLUMNS: [&str; 5] = ["event_id", "version", "occurred_at", "shop", "amount"];

const SHOPS: [&str; 4] = ["Oslo", "Lima", "Café \"Zum Anker\", Kiel", "Żary"];

/// What can be wrong with a row, in the words of the quarantine.
const FLAWS: [&str; 5] = [
    "no event id",
    "version is no number",
    "time is no time",
    "amount is no number",
    "amount is negative",
];

/// One version of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) version: u32,
    /// Days after 2026-03-01.
    pub(crate) day: u32,
    minute: u32,
    pub(crate) shop: &'static str,
    pub(crate) cents: u64,
}

impl Event {
    fn row(&self) -> [String; 5] {
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        [
            self.id.clone(),
            self.version.to_string(),
            format!("{}T{hour:02}:{minute:02}:00", date(self.day)),
            self.shop.to_owned(),
            money(self.cents),
        ]
    }
}

/// What was delivered so far.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Rows of each file.
    pub(crate) files: BTreeMap<String, usize>,
    /// Broken rows by what is wrong with them.
    pub(crate) broken: BTreeMap<&'static str, usize>,
    /// The newest version of each event.
    pub(crate) newest: BTreeMap<String, Event>,
}

/// A folder that files arrive in.
pub(crate) struct Landing {
    folder: PathBuf,
    random: u64,
    sent: Vec<Event>,
    pub(crate) truth: Truth,
}

impl Landing {
    /// An empty folder in `home`; all that arrives follows from the seed.
    pub(crate) fn new(home: &Path, seed: u64) -> Outcome<Self> {
        let folder = folder(home);
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            random: seed,
            sent: Vec::new(),
            truth: Truth::default(),
        })
    }

    /// Delivers a file; its name begins with the day it arrives and ends with its format. It tells
    /// of the last three days, or of one day only.
    pub(crate) async fn deliver(
        &mut self,
        arrives: u32,
        sender: &str,
        rows: usize,
        only: Option<u32>,
    ) -> Outcome {
        let name = format!("{}_{sender}", date(arrives));
        let rows: Vec<[String; 5]> = (0..rows).map(|_| self.next_row(arrives, only)).collect();
        // A file appears when it is complete, so that no job reads half of it.
        let written = self.folder.with_file_name(&name);
        match written.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => fs::write(&written, csv(&rows)?)?,
            Some("json") => fs::write(&written, json_lines(&rows)?)?,
            _ => parquet(&rows, &written).await?,
        }
        fs::rename(&written, self.folder.join(&name))?;
        self.truth.files.insert(name, rows.len());
        Ok(())
    }

    /// The next row of a file that arrives on a day.
    fn next_row(&mut self, arrives: u32, only: Option<u32>) -> [String; 5] {
        let known: Vec<usize> = (0..self.sent.len())
            .filter(|&index| only.is_none_or(|day| self.is_all_of(&self.sent[index], day)))
            .collect();
        let roll = self.below(100);
        if roll < 7 {
            return self.broken_row(arrives);
        }
        let event = match known.is_empty() {
            false if roll < 17 => {
                let again = self.pick(&known);
                self.sent[again].clone()
            }
            false if roll < 27 => {
                let of = self.pick(&known);
                self.correction(of, only.is_none())
            }
            _ => {
                let late = if roll < 42 { self.below(3) } else { 0 };
                self.event(only.unwrap_or(arrives.saturating_sub(late)))
            }
        };
        let row = event.row();
        let newest = self.truth.newest.entry(event.id.clone());
        let newest = newest.or_insert_with(|| event.clone());
        if newest.version < event.version {
            newest.clone_from(&event);
        }
        self.sent.push(event);
        row
    }

    /// Whether an event was of this day, and still is.
    fn is_all_of(&self, event: &Event, day: u32) -> bool {
        event.day == day && self.truth.newest[&event.id].day == day
    }

    /// An event that nobody has heard of yet.
    fn event(&mut self, day: u32) -> Event {
        let number = self.sent.len() + self.truth.broken.values().sum::<usize>();
        Event {
            id: format!("e-{number:05}"),
            version: 1,
            day,
            minute: self.below(24 * 60),
            shop: SHOPS[self.below(4) as usize],
            cents: u64::from(self.below(50_000)),
        }
    }

    /// The next version of an event: another amount, and now and then another day.
    fn correction(&mut self, of: usize, may_move: bool) -> Event {
        let id = &self.sent[of].id;
        let mut event = self.truth.newest[id].clone();
        event.version += 1;
        event.cents = u64::from(self.below(50_000));
        if may_move && self.below(4) == 0 {
            event.day = event.day.saturating_sub(1);
        }
        event
    }

    fn broken_row(&mut self, arrives: u32) -> [String; 5] {
        let mut row = self.event(arrives).row();
        let flaw = self.below(5) as usize;
        match flaw {
            0 => row[0].clear(),
            1 => "first".clone_into(&mut row[1]),
            2 => "yesterday".clone_into(&mut row[2]),
            3 => "12,50 EUR".clone_into(&mut row[4]),
            _ => row[4].insert_str(0, "-1"),
        }
        *self.truth.broken.entry(FLAWS[flaw]).or_default() += 1;
        row
    }

    fn pick(&mut self, of: &[usize]) -> usize {
        of[self.below(u32::try_from(of.len()).unwrap_or(u32::MAX)) as usize]
    }

    /// A number below `end`: SplitMix64.
    fn below(&mut self, end: u32) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        u32::try_from(mixed % u64::from(end)).unwrap_or(0)
    }
}

/// The landing folder of a home.
pub(crate) fn folder(home: &Path) -> PathBuf {
    home.join("landing")
}

/// A day of the story.
pub(crate) fn date(day: u32) -> String {
    format!("2026-03-{:02}", day + 1)
}

/// An amount of cents as SQL shows it.
pub(crate) fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn csv(rows: &[[String; 5]]) -> Outcome<String> {
    let mut text = COLUMNS.join(",");
    for row in rows {
        let cells = row.each_ref().map(|cell| match cell.contains([',', '"']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        });
        write!(text, "\n{}", cells.join(","))?;
    }
    text.push('\n');
    Ok(text)
}

fn json_lines(rows: &[[String; 5]]) -> Outcome<String> {
    let mut text = String::new();
    for [id, version, at, shop, amount] in rows {
        let line = json!({
            "shop": shop, "amount": amount,
            "event_id": id, "version": version, "occurred_at": at,
        });
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

async fn parquet(rows: &[[String; 5]], path: &Path) -> Outcome {
    let columns = (0..COLUMNS.len()).map(|column| {
        let values = rows.iter().map(|row| row[column].as_str());
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        (COLUMNS[column], values)
    });
    let batch = RecordBatch::try_from_iter(columns)?;
    let frame = SessionContext::new().read_batch(batch)?;
    frame
        .write_parquet(&path.to_string_lossy(), DataFrameWriteOptions::new(), None)
        .await?;
    Ok(())
}
