//! Branches and tags that a swap moved: each as somebody asked for, and nothing is published twice.

use std::collections::{BTreeMap, HashSet};
use std::iter::successors;

use super::{Checker, SOURCE};
use crate::history::State;
use crate::lake::AUDIT;
use crate::ledger::{Outcome, Record};
use crate::model::{Action, Row};

/// The key under which a snapshot's summary names the audit that it publishes.
const PUBLISHED_AUDIT: &str = "published-wap-id";

/// A ref that stands elsewhere after a swap.
#[derive(Clone, Copy)]
pub(super) struct Move<'a> {
    pub(super) name: &'a str,
    pub(super) stood: Option<i64>,
    pub(super) head: i64,
    pub(super) before: &'a State,
    pub(super) after: &'a State,
}

impl Checker<'_> {
    /// A ref was made or moved without a new snapshot: somebody asked for it.
    pub(super) fn moved(&mut self, moved: Move<'_>) {
        if !self.was_asked(moved) {
            let Move {
                name, stood, head, ..
            } = moved;
            self.find(format!(
                "{name} was moved from {stood:?} to {head}, and nobody asked for it"
            ));
        }
    }

    /// Whether somebody asked for that; who did has done it.
    pub(super) fn was_asked(&mut self, moved: Move<'_>) -> bool {
        let asked = self
            .records
            .iter()
            .filter(|record| self.is_asked(record, moved) && self.may_be(record, moved.after));
        // Of several that asked for the same, the one that was told so, one that can only be seen
        // by what it did itself, one that could not do it later, and the one that was told first.
        let asked = asked.min_by_key(|record| {
            let is_told = matches!(record.outcome, Outcome::Committed(_));
            let action = &record.statement.action;
            let replaces = !matches!(
                action,
                Action::Name {
                    replaces: false,
                    ..
                }
            );
            let ended_ms = record.ended_ms.unwrap_or(u64::MAX);
            (!is_told, self.is_as_asked(record), replaces, ended_ms)
        });
        let Some(id) = asked.map(|record| record.statement.id) else {
            return false;
        };
        self.named.insert(id);
        let known = self.rows(moved.stood);
        let rows = self.rows(Some(moved.head)).iter();
        let new: Vec<Row> = rows.filter(|row| !known.contains(row)).copied().collect();
        self.arrive(&new, moved.after.since_ms);
        true
    }

    fn is_asked(&self, record: &Record, moved: Move<'_>) -> bool {
        let target = record.target;
        let Move {
            name, stood, head, ..
        } = moved;
        // Where another ref stands when the swap is planned; others may move that one meanwhile.
        let is_to = |other: &str| {
            let is_new = moved.before.metadata.snapshot_by_id(head).is_none();
            is_new || self.stood_while(record, other, Some(head), moved.after)
        };
        match &record.statement.action {
            Action::Rollback(_) => {
                name == "main" && target == Some(head) && self.is_ancestor(head, stood)
            }
            Action::Publish { .. } => {
                name == "main" && target == Some(head) && self.parent(head) == stood
            }
            Action::FastForward { branch, to } => {
                let is_ahead = stood.is_none_or(|stood| self.is_ancestor(stood, Some(head)));
                name == *branch && is_to(to) && is_ahead
            }
            Action::Name {
                name: asked,
                replaces,
                ..
            } => asked == name && (*replaces || stood.is_none()) && is_to("main"),
            _ => false,
        }
    }

    /// Whether a statement about refs, which moved none itself, found one where it wanted it.
    pub(super) fn is_as_asked(&self, record: &Record) -> bool {
        let end_ms = record.ended_ms.unwrap_or(u64::MAX);
        let heads = |name: &str| {
            let states = self.states_during(record.began_ms, end_ms);
            let heads = states.filter_map(|state| state.refs.get(name).copied());
            heads.collect::<HashSet<i64>>()
        };
        match &record.statement.action {
            Action::FastForward { branch, to } => !heads(branch).is_disjoint(&heads(to)),
            Action::Name {
                name,
                replaces: true,
                ..
            } => !heads(name).is_disjoint(&heads("main")),
            _ => false,
        }
    }

    /// A branch of a table that nothing was written to begins with a snapshot of its own, which
    /// somebody else may have replaced, or stood on, in the same swap.
    pub(super) fn begins_branch(
        &mut self,
        began: i64,
        heads: &mut BTreeMap<String, i64>,
        after: &State,
    ) -> bool {
        let mut snapshots = after.metadata.snapshots();
        let stands_on_it = snapshots.find(|next| next.parent_snapshot_id() == Some(began));
        let written = stands_on_it
            .and_then(|next| self.maker(next))
            .map(|record| record.statement.branch.unwrap_or("main"));
        let asked = self
            .records
            .iter()
            .find(|record| match &record.statement.action {
                Action::Name {
                    kind: "BRANCH",
                    name,
                    ..
                } => {
                    written.is_none_or(|branch| branch == name.as_str())
                        && self.may_be(record, after)
                }
                _ => false,
            });
        let Some(record) = asked else {
            return false;
        };
        if let Some(branch) = written {
            heads.insert(branch.to_owned(), began);
        }
        self.named.insert(record.statement.id)
    }

    /// Whether a ref stood there at some moment from the beginning of a statement to a swap.
    pub(super) fn stood_while(
        &self,
        record: &Record,
        name: &str,
        head: Option<i64>,
        after: &State,
    ) -> bool {
        let mut states = self.states_during(record.began_ms, after.since_ms);
        states.any(|state| state.refs.get(name).copied() == head)
    }

    /// What `main` holds was published once.
    pub(super) fn published_once(&mut self, state: &State) {
        let mut audits = HashSet::new();
        let mut sources = HashSet::new();
        let mut twice = Vec::new();
        for id in self.ancestors(state.head()) {
            let Some(snapshot) = state.metadata.snapshot_by_id(id) else {
                continue;
            };
            let keys = &snapshot.summary().additional_properties;
            let audit = keys.get(PUBLISHED_AUDIT).or_else(|| keys.get(AUDIT));
            let source = keys.get(SOURCE).cloned();
            let source = source.unwrap_or_else(|| id.to_string());
            if audit.is_some_and(|audit| !audits.insert(audit)) || !sources.insert(source) {
                twice.push(format!("what snapshot {id} publishes was published before"));
            }
        }
        twice.into_iter().for_each(|finding| self.find(finding));
    }

    fn parent(&self, snapshot: i64) -> Option<i64> {
        let last = &self.states[self.states.len() - 1].metadata;
        last.snapshot_by_id(snapshot)?.parent_snapshot_id()
    }

    /// A snapshot, its parent, and so on.
    fn ancestors(&self, snapshot: Option<i64>) -> impl Iterator<Item = i64> {
        successors(snapshot, |id| self.parent(*id))
    }

    fn is_ancestor(&self, ancestor: i64, of: Option<i64>) -> bool {
        self.ancestors(of).any(|id| id == ancestor)
    }
}
