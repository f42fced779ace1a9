//! Replays a run's statements in the order of the table's history, and holds everything that was
//! told, read or left behind against it.

mod outcome;
mod refs;

use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::{Operation, Snapshot};
use lakehouse::{ErrorKind, Result};

use crate::history::State;
use crate::lake::STATEMENT_KEY;
use crate::ledger::{Outcome, Read, Record, Seen};
use crate::model::{Action, Row};
use crate::scan::Found;
use crate::schemas;
use crate::statement::Statement;
use refs::Move;

/// The key under which a snapshot's summary names the one that it applies.
const SOURCE: &str = "source-snapshot-id";

/// What is known of a run, and what is found to be wrong with it.
pub(crate) struct Checker<'a> {
    pub(crate) states: &'a [State],
    pub(crate) records: &'a [Record],
    pub(crate) found: &'a HashMap<i64, Result<Found>>,
    /// Whether calls may have failed on purpose.
    pub(crate) may_fail: bool,
    /// Whether rows that came meanwhile may have been missed.
    pub(crate) misses_new_rows: bool,
    findings: Vec<String>,
    /// When the snapshot of a statement became visible.
    visible: HashMap<i64, u64>,
    /// When the rows of a statement last came to another branch.
    arrived: HashMap<i64, u64>,
    /// Statements that moved or made a ref.
    named: HashSet<i64>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(
        states: &'a [State],
        records: &'a [Record],
        found: &'a HashMap<i64, Result<Found>>,
        may_fail: bool,
    ) -> Self {
        let properties = states[0].metadata.properties();
        let level = properties.get("write.update.isolation-level");
        Self {
            states,
            records,
            found,
            may_fail,
            misses_new_rows: level.is_some_and(|level| level != "serializable"),
            findings: Vec::new(),
            visible: HashMap::new(),
            arrived: HashMap::new(),
            named: HashSet::new(),
        }
    }

    /// Checks all; what must not be, and the names of the statements whose effect is seen.
    pub(crate) fn check(mut self, reads: &[Read]) -> (Vec<String>, Vec<&'static str>) {
        for pair in self.states.windows(2) {
            self.step(&pair[0], &pair[1]);
            self.published_once(&pair[1]);
        }
        for record in self.records {
            self.outcome(record);
        }
        for read in reads {
            self.read(read);
        }
        self.row_ids();
        schemas::check(self.states, self.found, &mut self.findings);
        let seen = self.records.iter().filter(|record| {
            let id = record.statement.id;
            self.visible.contains_key(&id) || self.named.contains(&id)
        });
        let seen = seen.map(|record| record.statement.action.name());
        (self.findings, seen.collect())
    }

    fn find(&mut self, finding: String) {
        self.findings.push(finding);
    }

    /// The rows of a snapshot as they were found; none has none.
    fn rows(&self, snapshot: Option<i64>) -> &'a [Row] {
        let found = snapshot.and_then(|id| self.found.get(&id));
        match found {
            Some(Ok(found)) => &found.rows,
            _ => &[],
        }
    }

    /// One swap: the snapshots it brought, each on the head of its branch, and the refs it moved.
    fn step(&mut self, before: &State, after: &State) {
        let mut heads = before.refs.clone();
        let mut new: Vec<&Snapshot> = after
            .metadata
            .snapshots()
            .map(AsRef::as_ref)
            .filter(|snapshot| {
                before
                    .metadata
                    .snapshot_by_id(snapshot.snapshot_id())
                    .is_none()
            })
            .collect();
        new.sort_by_key(|snapshot| snapshot.sequence_number());
        for snapshot in new {
            self.snapshot(snapshot, &mut heads, before, after);
        }
        for (name, head) in &after.refs {
            let stood = heads.remove(name);
            if stood != Some(*head) {
                self.moved(Move {
                    name,
                    stood,
                    head: *head,
                    before,
                    after,
                });
            }
        }
        for name in heads.keys() {
            self.find(format!("ref {name} is gone, which nobody dropped"));
        }
        let lost = before.metadata.snapshots().find(|snapshot| {
            let id = snapshot.snapshot_id();
            after.metadata.snapshot_by_id(id).is_none()
        });
        if let Some(lost) = lost {
            self.find(format!("snapshot {} is gone", lost.snapshot_id()));
        }
    }

    fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        heads: &mut BTreeMap<String, i64>,
        before: &State,
        after: &State,
    ) {
        let id = snapshot.snapshot_id();
        let record = self.maker(snapshot);
        let unnamed = || {
            let published = self.published(snapshot, after);
            published.or_else(|| self.gathered(snapshot, after))
        };
        let Some(record) = record.or_else(unnamed) else {
            // A branch of an empty table begins with an empty snapshot.
            let is_empty =
                snapshot.parent_snapshot_id().is_none() && self.rows(Some(id)).is_empty();
            let named = after.refs.iter().find(|(_, head)| **head == id);
            match named.filter(|_| is_empty) {
                Some((name, _)) => self.moved(Move {
                    name,
                    stood: heads.insert(name.clone(), id),
                    head: id,
                    before,
                    after,
                }),
                None if is_empty && self.begins_branch(id, heads, after) => {}
                None => self.find(format!("snapshot {id} was made by nobody")),
            }
            return;
        };
        let statement = record.statement.id;
        if let Outcome::Failed(kind) = &record.outcome {
            self.find(format!(
                "statement {statement} failed ({kind}), and snapshot {id} is there"
            ));
        }
        if self.visible.insert(statement, after.since_ms).is_some() {
            self.find(format!(
                "statement {statement} took place twice, again as {id}"
            ));
        }
        if after.since_ms < record.began_ms {
            self.find(format!("statement {statement} took place before it began"));
        }
        let branch = record.statement.branch.unwrap_or("main");
        let parent = snapshot.parent_snapshot_id();
        let mut stood = heads.get(branch).copied();
        if let Action::Stage(_) = record.statement.action {
            // No branch is moved to it, so nothing is lost when `main` has been rolled back since
            // it was planned.
            if self.stood_while(record, branch, parent, after) {
                stood = parent;
            }
        } else {
            heads.insert(branch.to_owned(), id);
        }
        if let Some(head) = parent
            && parent != stood
            && self.was_asked(Move {
                name: branch,
                stood,
                head,
                before,
                after,
            })
        {
            // The branch was moved by the same swap, ahead of the statement.
            stood = parent;
        }
        if parent != stood {
            self.find(format!(
                "snapshot {id} of statement {statement} stands on {parent:?}, and {branch} stood \
                 on {stood:?}: what lies between is lost"
            ));
        }
        self.replay(record, stood, id, after.since_ms);
    }

    /// The statement that a snapshot names.
    fn maker(&self, snapshot: &Snapshot) -> Option<&'a Record> {
        let id = snapshot
            .summary()
            .additional_properties
            .get(STATEMENT_KEY)?;
        let id: i64 = id.parse().ok()?;
        self.records.get(usize::try_from(id - 1).ok()?)
    }

    /// The statement that applied another's snapshot: its snapshots carry no name but its.
    fn published(&self, snapshot: &Snapshot, after: &State) -> Option<&'a Record> {
        let source = snapshot.summary().additional_properties.get(SOURCE)?;
        let source: i64 = source.parse().ok()?;
        let mut asked: Vec<&Record> = self.records.iter().collect();
        asked.sort_by_key(|record| !matches!(record.outcome, Outcome::Committed(_)));
        asked.into_iter().find(|record| {
            matches!(record.statement.action, Action::Publish { .. })
                && record.target == Some(source)
                && self.may_be(record, after)
        })
    }

    /// Whether a statement that was not seen yet may have taken place by then.
    fn may_be(&self, record: &Record, after: &State) -> bool {
        let id = record.statement.id;
        !matches!(record.outcome, Outcome::Failed(_))
            && !self.visible.contains_key(&id)
            && !self.named.contains(&id)
            && record.began_ms <= after.since_ms
    }

    /// What a statement does to the rows: one that applies a snapshot does what that did.
    fn action(&self, record: &'a Record) -> &'a Action {
        let own = &record.statement.action;
        let Action::Publish { .. } = own else {
            return own;
        };
        let last = &self.states[self.states.len() - 1].metadata;
        let source = record.target.and_then(|id| last.snapshot_by_id(id));
        let staged = source.and_then(|source| self.maker(source));
        staged.map_or(own, |staged| &staged.statement.action)
    }

    /// Rows that came to `main` from elsewhere, by the statements that wrote them.
    fn arrive(&mut self, rows: &[Row], since_ms: u64) {
        for row in rows {
            self.arrived.insert(row.s, since_ms);
        }
    }

    /// The statement that gathered manifests: its snapshots carry no name.
    fn gathered(&self, snapshot: &Snapshot, after: &State) -> Option<&'a Record> {
        let is_replaced = snapshot.summary().operation == Operation::Replace;
        self.records.iter().find(|record| {
            is_replaced
                && record.statement.action == Action::Gather
                && !matches!(record.outcome, Outcome::Failed(_))
                && !self.visible.contains_key(&record.statement.id)
                && record.began_ms <= after.since_ms
        })
    }

    /// The rows of a snapshot are those of its parent with the statement done to them.
    fn replay(&mut self, record: &'a Record, parent: Option<i64>, id: i64, since_ms: u64) {
        let statement = &record.statement;
        let found = match self.found.get(&id) {
            Some(Ok(found)) => &found.rows,
            Some(Err(error)) => return self.find(format!("snapshot {id} cannot be read: {error}")),
            None => return self.find(format!("snapshot {id} is not in the table's list")),
        };
        let before = self.rows(parent);
        let action = self.action(record);
        let expected = self.expected(record, before, found);
        if expected != *found {
            let lost: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
            let more: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
            self.find(format!(
                "snapshot {id} of statement {} ({:?}): {} rows, and {} are expected; missing \
                 {lost:?}, not expected {more:?}",
                statement.id,
                statement.action,
                found.len(),
                expected.len(),
            ));
        }
        if let (Action::Publish { .. }, Action::Stage(rows)) = (&statement.action, action) {
            self.arrive(rows, since_ms);
        }
        self.count(record, before);
    }

    /// What a statement makes of the rows `before` it, but for those that it passed over, which
    /// are there `after` it.
    fn expected(&self, record: &'a Record, before: &[Row], after: &[Row]) -> Vec<Row> {
        let (missed, seen): (Vec<Row>, Vec<Row>) = before
            .iter()
            .partition(|row| self.was_missed(record, row, after));
        let mut expected = self.action(record).apply(record.statement.id, &seen);
        expected.extend(missed);
        expected.sort_unstable();
        expected
    }

    /// Whether a statement may have passed over a row, and did, because it came after its read.
    fn was_missed(&self, record: &Record, row: &Row, after: &[Row]) -> bool {
        let is_new = || {
            let since_ms = [self.visible.get(&row.s), self.arrived.get(&row.s)];
            let mut since_ms = since_ms.into_iter().flatten();
            since_ms.any(|since_ms| *since_ms >= record.began_ms)
        };
        self.misses_new_rows
            && matches!(
                record.statement.action,
                Action::Delete(_)
                    | Action::DeletePart(_)
                    | Action::Update { .. }
                    | Action::Merge(_)
            )
            && record.statement.action.touches(row)
            && row.s != record.statement.id
            && after.contains(row)
            && is_new()
    }

    /// The number of rows that a statement answered.
    fn count(&mut self, record: &Record, before: &[Row]) {
        let Outcome::Committed(Some(told)) = record.outcome else {
            return;
        };
        let action = &record.statement.action;
        let touched = before.iter().filter(|row| action.touches(row)).count();
        let right = match action {
            Action::Insert(rows) | Action::Stage(rows) => rows.len(),
            // Some of what it found may have been deleted by somebody else as well.
            Action::Delete(_) if !self.misses_new_rows && told > touched as u64 => {
                return self.found_to_delete(record, told);
            }
            Action::Delete(_) | Action::Update { .. } if !self.misses_new_rows => touched,
            Action::Merge(rows) if !self.misses_new_rows => {
                let is_new = |new: &&Row| before.iter().all(|row| row.k != new.k);
                touched + rows.iter().filter(is_new).count()
            }
            _ => return,
        };
        if told != right as u64 {
            self.find(format!(
                "statement {} answered {told} rows, and changed {right}",
                record.statement.id
            ));
        }
    }

    /// A statement found so many rows to delete at some moment before it took place.
    fn found_to_delete(&mut self, record: &Record, told: u64) {
        let Statement {
            id, branch, action, ..
        } = &record.statement;
        let end_ms = self.visible.get(id).copied().unwrap_or_default();
        let mut states = self.states_during(record.began_ms, end_ms);
        let was_found = states.any(|state| {
            let rows = self.rows(state.refs.get(branch.unwrap_or("main")).copied());
            rows.iter().filter(|row| action.touches(row)).count() as u64 == told
        });
        if !was_found {
            self.find(format!(
                "statement {id} answered {told} rows, which it never found"
            ));
        }
    }

    /// The states that were current at some moment between two.
    fn states_during(
        &self,
        began_ms: u64,
        ended_ms: u64,
    ) -> impl Iterator<Item = &'a State> + use<'a> {
        let states = self.states;
        let current = states.iter().enumerate().filter(move |(place, state)| {
            let next = states.get(place + 1);
            state.since_ms <= ended_ms && next.is_none_or(|next| next.since_ms >= began_ms)
        });
        current.map(|(_, state)| state)
    }

    /// A reader saw the rows of its snapshot, or of a state that was current while it read.
    fn read(&mut self, read: &Read) {
        let Read {
            reader, snapshot, ..
        } = read;
        let seen = match &read.seen {
            Ok(seen) => seen,
            Err((ErrorKind::Unavailable, _)) if self.may_fail => return,
            Err((kind, error)) => {
                return self.find(format!(
                    "{reader} could not read {snapshot:?}: {kind}: {error}"
                ));
            }
        };
        let is_right = |head: Option<i64>, columns: Option<Vec<String>>| {
            let rows = self.rows(head);
            match seen {
                Seen::Rows(names, seen) => seen == rows && Some(names) == columns.as_ref(),
                Seen::Count(seen) => *seen == rows.len() as u64,
            }
        };
        let last = &self.states[self.states.len() - 1].metadata;
        let is_right = match snapshot {
            Some(id) => is_right(*snapshot, schemas::of_snapshot(last, *id)),
            None => self
                .states_during(read.began_ms, read.ended_ms)
                .any(|state| is_right(state.head(), Some(schemas::current(&state.metadata)))),
        };
        if !is_right {
            self.find(format!("{reader} read {snapshot:?} and saw {seen:?}"));
        }
    }

    /// Ids of rows are of one row alone, and stay with it.
    fn row_ids(&mut self) {
        let mut keys: HashMap<i64, i64> = HashMap::new();
        let mut snapshots: Vec<_> = self.found.iter().collect();
        snapshots.sort_unstable_by_key(|(id, _)| **id);
        let metadata = &self.states[self.states.len() - 1].metadata;
        let mut findings = Vec::new();
        for (id, found) in snapshots {
            let Ok(found) = found else { continue };
            let mut seen = HashSet::new();
            for (key, ids) in &found.row_ids {
                for row_id in ids {
                    if !seen.insert(*row_id) || *keys.entry(*row_id).or_insert(*key) != *key {
                        findings.push(format!("row id {row_id} of key {key} in {id} is another's"));
                    }
                }
            }
            let parent = metadata.snapshot_by_id(*id);
            let parent = parent.and_then(|snapshot| snapshot.parent_snapshot_id());
            let Some(Ok(parent)) = parent.and_then(|parent| self.found.get(&parent)) else {
                continue;
            };
            for (key, before) in &parent.row_ids {
                let now = found.row_ids.get(key);
                if now.is_some_and(|now| now.len() == 1 && before.len() == 1 && now != before) {
                    findings.push(format!(
                        "key {key} has row id {now:?} in {id}, was {before:?}"
                    ));
                }
            }
        }
        self.findings.append(&mut findings);
    }
}
