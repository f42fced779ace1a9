//! What the actors of a run know: statements with their outcomes, and what readers saw.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lakehouse::ErrorKind;

use crate::model::Row;
use crate::statement::Statement;

/// What a writer was told of its statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It runs.
    Running,
    /// It took place: visible exactly once. With the count it answered.
    Committed(Option<u64>),
    /// It did not take place and never will: visible nowhere.
    Failed(ErrorKind),
    /// Nobody was told: visible wholly or not at all.
    Unknown,
}

/// A statement and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) writer: String,
    pub(crate) statement: Statement,
    /// Where a rollback goes to, or the snapshot that is published.
    pub(crate) target: Option<i64>,
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: Option<u64>,
    pub(crate) outcome: Outcome,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The table's columns, and all rows, sorted.
    Rows(Vec<String>, Vec<Row>),
    /// Their number.
    Count(u64),
}

/// A reader's look at the table.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) reader: String,
    /// The snapshot asked for; none for the current one.
    pub(crate) snapshot: Option<i64>,
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: u64,
    pub(crate) seen: Result<Seen, (ErrorKind, String)>,
}

/// What all actors of a run know together.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: Mutex<Vec<Record>>,
    reads: Mutex<Vec<Read>>,
}

impl Ledger {
    /// Enters what `make` makes of the number it gets, and that number.
    pub(crate) fn begin(&self, make: impl FnOnce(i64) -> Record) -> i64 {
        let mut records = lock(&self.records);
        let id = i64::try_from(records.len()).unwrap() + 1;
        records.push(make(id));
        id
    }

    /// Notes a statement's outcome.
    pub(crate) fn end(&self, id: i64, now_ms: u64, outcome: Outcome) {
        let mut records = lock(&self.records);
        let record = &mut records[usize::try_from(id - 1).unwrap()];
        record.outcome = outcome;
        record.ended_ms = Some(now_ms);
    }

    /// Notes where a rollback goes to, or what is published.
    pub(crate) fn aim(&self, id: i64, target: i64) {
        lock(&self.records)[usize::try_from(id - 1).unwrap()].target = Some(target);
    }

    pub(crate) fn read(&self, read: Read) {
        lock(&self.reads).push(read);
    }

    /// The statements in the order they began; `id` is the place counted from 1.
    pub(crate) fn records(&self) -> Vec<Record> {
        lock(&self.records).clone()
    }

    pub(crate) fn reads(&self) -> Vec<Read> {
        lock(&self.reads).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
