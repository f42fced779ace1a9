//! What writers were told of their statements, against what the history shows of them.

use lakehouse::ErrorKind;

use super::Checker;
use crate::ledger::{Outcome, Record};
use crate::model::Action;

impl Checker<'_> {
    /// Committed statements are visible.
    pub(super) fn outcome(&mut self, record: &Record) {
        let id = record.statement.id;
        match &record.outcome {
            Outcome::Running => {
                self.find(format!("statement {id} of {} has no end", record.writer));
            }
            Outcome::Committed(_) if !self.is_visible(record) => self.find(format!(
                "statement {id} ({:?}) was committed, and nothing shows it",
                record.statement.action
            )),
            Outcome::Failed(kind @ (ErrorKind::Internal | ErrorKind::Corrupt)) => {
                self.find(format!("statement {id} failed: {kind}"));
            }
            Outcome::Failed(kind @ ErrorKind::Unavailable) if !self.may_fail => {
                self.find(format!(
                    "statement {id} failed, and nothing else did: {kind}"
                ));
            }
            _ => {}
        }
    }

    fn is_visible(&self, record: &Record) -> bool {
        let statement = &record.statement;
        if self.visible.contains_key(&statement.id) || self.named.contains(&statement.id) {
            return true;
        }
        let mut during = self.states_during(record.began_ms, record.ended_ms.unwrap_or(u64::MAX));
        let branch = statement.branch.unwrap_or("main");
        match &statement.action {
            Action::Rollback(_) => during.any(|state| state.head() == record.target),
            Action::Publish { .. } | Action::Stage(_) => false,
            Action::FastForward { .. } | Action::Name { .. } => self.is_as_asked(record),
            Action::Alter(text) => match text.strip_prefix("SET TBLPROPERTIES") {
                Some(_) => self.is_noted(record),
                None => true,
            },
            // A statement that changes nothing makes no snapshot.
            _ => during.any(|state| {
                let rows = self.rows(state.refs.get(branch).copied());
                self.expected(record, rows, rows) == rows
            }),
        }
    }

    /// Whether a note is to be seen, or another of the same process that it shared a swap with.
    fn is_noted(&self, record: &Record) -> bool {
        let process = |record: &Record| record.writer.split('.').next().map(str::to_owned);
        let first_state = |id: i64| {
            let id = id.to_string();
            self.states
                .iter()
                .find(|state| state.metadata.properties().get("note") == Some(&id))
        };
        let end_ms = record.ended_ms.unwrap_or(u64::MAX);
        let mut notes = self.records.iter().filter(|other| {
            other.statement.id == record.statement.id
                || matches!(&other.statement.action, Action::Alter(text) if text.starts_with("SET"))
                    && process(other) == process(record)
        });
        notes.any(|other| {
            first_state(other.statement.id).is_some_and(|state| {
                other.statement.id == record.statement.id
                    || (record.began_ms..=end_ms).contains(&state.since_ms)
            })
        })
    }
}
