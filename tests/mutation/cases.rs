//! One case: a table is changed and read, and what came of it is judged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use lakehouse::{Error, ErrorKind, Result};
use lakehouse_test_allocator as allocator;
use lakehouse_testkit::Random;

use crate::change::{Change, Rule, change};
use crate::read::{Rows, read};
use crate::tables::TestTable;

/// More than any of the tables needs: they are of a few kilobytes.
const BYTES_MAX: usize = 64 << 20;

/// Panics that nobody caught, and how many were turned into errors.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static CONTAINED: AtomicU64 = AtomicU64::new(0);

/// Lets panics of the test itself be seen, which happen before the first case.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Tells apart the panics that become errors from those that reach the caller.
pub(crate) fn watch_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !STARTED.load(Ordering::Relaxed) {
            usual(panic);
        } else if lakehouse::core::runtime::is_contained() {
            CONTAINED.fetch_add(1, Ordering::Relaxed);
        } else {
            PANICS.lock().unwrap().push(panic.to_string());
        }
    }));
}

/// What came of one case.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The kind of file that was changed, and how the read ended.
    pub(crate) label: String,
    pub(crate) what: String,
    /// Why it is not good enough.
    pub(crate) finding: Option<String>,
}

/// Tables, and what is in them.
pub(crate) struct World {
    tables: Vec<TestTable>,
    whole: Vec<Rows>,
}

impl World {
    /// Reads all tables as they are.
    pub(crate) async fn new(tables: Vec<TestTable>) -> Self {
        let mut whole = Vec::new();
        for table in &tables {
            let rows = read(table, None).await;
            whole.push(rows.unwrap_or_else(|error| panic!("{}: {error}", table.name)));
        }
        STARTED.store(true, Ordering::Relaxed);
        Self { tables, whole }
    }

    /// Runs one case of a seed.
    pub(crate) async fn run(&self, seed: u64, case: u64) -> Outcome {
        let mut random = Random::of_case(seed, case);
        let (table, change) = change(&self.tables, &mut random);
        let whole = &self.whole[table];
        let table = &self.tables[table];
        let file = &table.files[change.file];
        let bytes = Bytes::from(change.bytes.clone());
        let contained = CONTAINED.load(Ordering::Relaxed);

        let held = allocator::start();
        let ended = read(table, Some((change.file, &bytes))).await;
        let allocated = allocator::stop(held);

        let mut label = format!("{:?}: {}", file.kind, label(&ended, whole));
        if CONTAINED.load(Ordering::Relaxed) > contained {
            label.push_str(", a panic caught");
        }
        let mut finding = judge(&ended, whole, &change);
        let panics = std::mem::take(&mut *PANICS.lock().unwrap());
        if !panics.is_empty() {
            finding = Some(format!("panicked: {}", panics.join("; ")));
        }
        if allocated.peak_bytes.max(allocated.largest_bytes) > BYTES_MAX {
            finding = Some(format!("took too much memory: {allocated:?}"));
        }
        let what = format!(
            "table {} file {}: {}",
            table.name, file.location, change.what
        );
        let what = match &ended {
            Err(error) => format!("{what} => {}: {error}", error.kind()),
            Ok(_) => what,
        };
        Outcome {
            label,
            what: what.replace('\n', " "),
            finding,
        }
    }
}

fn label(ended: &Result<Rows>, whole: &Rows) -> String {
    match ended {
        Ok(rows) if rows == whole => "the right rows".to_owned(),
        Ok(_) => "other rows".to_owned(),
        Err(error) => format!("error {}", error.kind()),
    }
}

fn judge(ended: &Result<Rows>, whole: &Rows, change: &Change) -> Option<String> {
    match ended {
        Ok(rows) if rows == whole => None,
        Ok(rows) => match change.rule {
            Rule::Anything => None,
            Rule::SameCount if rows.all.len() == whole.all.len() => None,
            rule => Some(format!(
                "other rows ({} of {}), {rule:?}",
                rows.all.len(),
                whole.all.len()
            )),
        },
        Err(error) => unclear(error),
    }
}

/// Why an error is not one that its reader can act upon.
fn unclear(error: &Error) -> Option<String> {
    let expected = matches!(
        error.kind(),
        ErrorKind::Corrupt
            | ErrorKind::Unsupported
            | ErrorKind::NotFound
            | ErrorKind::InvalidInput
            | ErrorKind::ResourcesExhausted
    );
    let text = error.to_string();
    if !expected {
        return Some("an error of a kind that blames no file".to_owned());
    }
    // A list that was changed may name a manifest that never was.
    let names_file = [
        "memory:",
        "(location: ",
        ".parquet",
        ".avro",
        ".json",
        ".puffin",
        "manifest \"",
        "manifest list: ",
    ]
    .iter()
    .any(|part| text.contains(part));
    if !names_file {
        return Some("an error that names no file".to_owned());
    }
    text.contains('\n')
        .then(|| "an error of many lines".to_owned())
}
