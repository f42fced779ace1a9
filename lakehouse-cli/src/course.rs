//! How far the statement under way has come: what is left of it when the run ends before its
//! answer was given.

use std::cell::Cell;

use lakehouse::core::commit::CommitCounts;
use lakehouse::sql::Statement;
use lakehouse::{Error, Lakehouse};

use crate::failure::{CANCELLED, Failure};

/// What is said where nobody knows whether a table was changed.
const MAY_STAND: &str = "cancelled; if its commit had begun it may stand: see the table's history";

/// How far the statements of a run have come, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Course {
    stage: Cell<Stage>,
    has_changed: Cell<bool>,
}

/// How far one statement has come.
#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    /// It changes nothing, whatever becomes of it.
    #[default]
    Reading,
    /// It changes a table by one commit, before which the lake's commits stood so.
    Committing(CommitCounts),
    /// It changes a table, by commits and in other ways.
    Altering,
    /// It changes something else.
    Changing,
    /// It was done, and its answer is on the way.
    Done,
}

/// Whether something may be other than before when a statement was run, or was not run.
pub(crate) fn may_change(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Show(_)
        | Statement::Describe(_)
        | Statement::Set(_)
        | Statement::Reset(_)
        | Statement::Use(_) => false,
        Statement::Explain(explain) => explain.analyze && may_change(&explain.statement),
        _ => true,
    }
}

impl Course {
    /// A statement begins.
    pub(crate) fn begin(&self, statement: &Statement, lake: &Lakehouse) {
        let stage = match statement {
            reading if !may_change(reading) => Stage::Reading,
            Statement::Insert(_)
            | Statement::Delete(_)
            | Statement::Update(_)
            | Statement::Merge(_)
            | Statement::CreateTable(_) => Stage::Committing(lake.lake().commits().counts()),
            Statement::AlterTable(_) | Statement::Call(_) | Statement::Explain(_) => {
                Stage::Altering
            }
            _ => Stage::Changing,
        };
        self.stage.set(stage);
    }

    /// No statement is under way.
    pub(crate) fn rest(&self) {
        self.stage.set(Stage::Reading);
    }

    /// The statement was done; its answer was not given yet.
    pub(crate) fn executed(&self) {
        if !matches!(self.stage.get(), Stage::Reading) {
            self.stage.set(Stage::Done);
            self.has_changed.set(true);
        }
    }

    /// Why a statement's answer could not be given, and that it was done all the same; so many
    /// statements `follow`.
    pub(crate) fn unanswered(&self, failure: Failure, follow: usize) -> Failure {
        match self.stage.get() {
            Stage::Done if follow == 0 => done_but(
                "the statement was done, but its answer could not be written",
                failure,
            ),
            Stage::Done => done_but(
                "the statement was done, but its answer could not be written; those after it \
                 were not run",
                failure,
            ),
            _ => failure,
        }
    }

    /// Why the answers of all statements could not be given, and that they were done.
    pub(crate) fn all_unanswered(&self, failure: Failure) -> Failure {
        match self.has_changed.get() {
            true => done_but(
                "the statements were done, but their answers could not be written",
                failure,
            ),
            false => failure,
        }
    }

    /// What to say of a statement that was cancelled, when the lake's work `has_ended`.
    pub(crate) fn cancelled(&self, lake: &Lakehouse, has_ended: bool) -> &'static str {
        match self.stage.get() {
            Stage::Reading => CANCELLED,
            Stage::Done => "cancelled; the statement was done",
            Stage::Committing(before) => {
                let now = lake.lake().commits().counts();
                if now.committed > before.committed {
                    "cancelled; the statement was done"
                } else if has_ended && now == before {
                    "cancelled; the statement changed nothing"
                } else {
                    MAY_STAND
                }
            }
            Stage::Altering => MAY_STAND,
            Stage::Changing => {
                "cancelled; it may have been done all the same: look before it is run again"
            }
        }
    }
}

fn done_but(message: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Lake(error) => Failure::Lake(Error::new(error.kind(), message).with_source(error)),
        other => other,
    }
}
