//! Statements as a seed says, and their SQL.

use lakehouse_testkit::Random;

use crate::model::{Action, PARTS, Row};

/// Keys from which MERGE chooses, so that several writers bring the same.
const SHARED_KEYS: i64 = 12;
/// The first key that INSERT gives away.
const OWN_KEYS: i64 = 1_000;
const ROWS_MAX: usize = 8;
/// Branches that writers make and write to.
const BRANCHES: [&str; 2] = ["audit", "fix"];
/// One in so many staged snapshots has the audit of others.
const SHARED_AUDITS: i64 = 4;

/// What the writers of a run do more often than others: what takes several statements would else
/// hardly ever come to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    #[default]
    None,
    /// They stage snapshots and publish them.
    Audits,
    /// They write to branches and move branches forward.
    Branches,
}

/// What statements of a run are like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) habit: Habit,
    /// Whether the table is partitioned by `p`, and stays so.
    pub(crate) by_part: bool,
}

/// A statement of one writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// What its rows and snapshots are marked with.
    pub(crate) id: i64,
    /// The branch it changes; `main` without one.
    pub(crate) branch: Option<&'static str>,
    pub(crate) action: Action,
}

impl Statement {
    /// The statement `id`, by chance.
    pub(crate) fn random(id: i64, manner: Manner, random: &mut Random) -> Self {
        let habitual = match manner.habit {
            Habit::None => None,
            Habit::Audits => match random.within(0..100) {
                0..22 => Some(Action::Stage(new_rows(id, random))),
                22..45 => Some(publication(random)),
                _ => None,
            },
            Habit::Branches => match random.within(0..100) {
                0..12 => Some(new_branch(random)),
                12..30 => Some(move_forward(random)),
                _ => None,
            },
        };
        let action = habitual.unwrap_or_else(|| any(id, manner.by_part, random));
        let on_branch = match manner.habit {
            Habit::Branches => 700,
            Habit::None | Habit::Audits => 150,
        };
        let branch = random.chance(on_branch).then(|| *random.pick(&BRANCHES));
        Self {
            id,
            branch: branch.filter(|_| !action.has_own_branch()),
            action,
        }
    }

    /// Whether it goes below SQL, which has no words for it or not yet. Most inserts do as well:
    /// what they test is the commit, and planning them takes longer than the rest.
    pub(crate) fn is_direct(&self) -> bool {
        match &self.action {
            Action::Insert(_) => self.branch.is_some() || self.id % 3 > 0,
            Action::Overwrite { .. }
            | Action::OverwriteDynamic(_)
            | Action::Gather
            | Action::Stage(_)
            | Action::Publish { by_name: true } => true,
            _ => false,
        }
    }

    /// The table's name, or that of its branch.
    pub(crate) fn table(&self) -> String {
        match self.branch {
            Some(branch) => format!("t.branch_{branch}"),
            None => "t".to_owned(),
        }
    }

    /// What a staged snapshot of the statement is published by.
    pub(crate) fn audit(&self) -> String {
        match self.id % SHARED_AUDITS {
            0 => "audit-shared".to_owned(),
            _ => format!("audit-{}", self.id),
        }
    }

    /// The statement's SQL, or what stands for it in logs; one about a snapshot is about `target`.
    pub(crate) fn sql(&self, target: Option<i64>) -> String {
        let id = self.id;
        let table = self.table();
        match &self.action {
            Action::Insert(rows) => {
                format!("INSERT INTO {table} (k, p, v, s) VALUES {}", values(rows))
            }
            Action::Delete(keys) => {
                let (first, end) = (keys.start, keys.end);
                format!("DELETE FROM {table} WHERE k >= {first} AND k < {end}")
            }
            Action::DeletePart(part) => format!("DELETE FROM {table} WHERE p = {part}"),
            Action::Update { keys, add, parts } => {
                let (first, end) = (keys.start, keys.end);
                let moved = match parts {
                    0 => String::new(),
                    parts => format!(", p = (p + {parts}) % {PARTS}"),
                };
                format!(
                    "UPDATE {table} SET v = v + {add}, s = {id}{moved} \
                     WHERE k >= {first} AND k < {end}"
                )
            }
            Action::Merge(rows) => format!(
                "MERGE INTO {table} AS t USING (VALUES {}) AS u (k, p, v, s) ON t.k = u.k \
                 WHEN MATCHED THEN UPDATE SET v = u.v, s = {id} \
                 WHEN NOT MATCHED THEN INSERT (k, p, v, s) VALUES (u.k, u.p, u.v, u.s)",
                values(rows)
            ),
            Action::Overwrite { part, rows } => {
                format!("overwrite {table} where p = {part}: {}", values(rows))
            }
            Action::OverwriteDynamic(rows) => {
                format!("overwrite partitions of {table}: {}", values(rows))
            }
            Action::Gather => "gather manifests".to_owned(),
            Action::Stage(rows) => format!("stage {}: {}", self.audit(), values(rows)),
            Action::Publish { by_name: true } => {
                format!("publish {}", target.unwrap_or_default())
            }
            Action::Publish { by_name: false } => format!(
                "CALL system.cherrypick_snapshot('default.t', {})",
                target.unwrap_or_default()
            ),
            Action::FastForward { branch, to } => {
                format!("CALL system.fast_forward('default.t', '{branch}', '{to}')")
            }
            Action::Rollback(_) => format!(
                "CALL system.rollback_to_snapshot('default.t', {})",
                target.unwrap_or_default()
            ),
            Action::Name {
                kind,
                name,
                replaces,
            } => {
                let or_replace = if *replaces { "OR REPLACE " } else { "" };
                format!("ALTER TABLE t CREATE {or_replace}{kind} {name}")
            }
            Action::Alter(alteration) => format!("ALTER TABLE t {alteration}"),
        }
    }
}

/// A statement of any kind.
fn any(id: i64, by_part: bool, random: &mut Random) -> Action {
    match random.within(0..100) {
        0..30 => Action::Insert(new_rows(id, random)),
        30..34 => Action::Stage(new_rows(id, random)),
        34..37 => publication(random),
        37..38 => move_forward(random),
        38..48 => Action::Delete(keys(id, random)),
        48..53 => Action::DeletePart(part(random)),
        53..65 => Action::Update {
            keys: keys(id, random),
            add: 1,
            parts: i64::from(random.chance(300)),
        },
        65..77 => Action::Merge(merged_rows(id, random)),
        77..82 => {
            let part = part(random);
            let mut rows = new_rows(id, random);
            rows.iter_mut().for_each(|row| row.p = part);
            Action::Overwrite { part, rows }
        }
        82..86 if by_part => Action::OverwriteDynamic(new_rows(id, random)),
        82..88 => Action::Gather,
        88..91 => Action::Rollback(random.within(1..4)),
        91..95 => {
            if random.chance(700) {
                return new_branch(random);
            }
            Action::Name {
                kind: "TAG",
                name: format!("tag_{id}"),
                replaces: false,
            }
        }
        _ => Action::Alter(alteration(id, by_part, random)),
    }
}

fn publication(random: &mut Random) -> Action {
    Action::Publish {
        by_name: random.chance(500),
    }
}

fn move_forward(random: &mut Random) -> Action {
    let branch = *random.pick(&BRANCHES);
    match random.chance(700) {
        true => Action::FastForward {
            branch: "main",
            to: branch,
        },
        false => Action::FastForward { branch, to: "main" },
    }
}

fn new_branch(random: &mut Random) -> Action {
    Action::Name {
        kind: "BRANCH",
        name: (*random.pick(&BRANCHES)).to_owned(),
        replaces: random.chance(600),
    }
}

fn values(rows: &[Row]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| format!("({}, {}, {}, {})", row.k, row.p, row.v, row.s))
        .collect();
    rows.join(", ")
}

fn part(random: &mut Random) -> i64 {
    let parts = usize::try_from(PARTS).unwrap();
    i64::try_from(random.within(0..parts)).unwrap()
}

fn number(random: &mut Random, end: i64) -> i64 {
    i64::try_from(random.next() % end.cast_unsigned()).unwrap()
}

fn new_rows(id: i64, random: &mut Random) -> Vec<Row> {
    let count = i64::try_from(random.within(1..ROWS_MAX + 1)).unwrap();
    let rows = (0..count).map(|position| {
        let k = OWN_KEYS + id * 10 + position;
        Row {
            k,
            p: part(random),
            v: number(random, 100),
            s: id,
        }
    });
    rows.collect()
}

/// Some of the keys that any statement may have written.
fn keys(id: i64, random: &mut Random) -> std::ops::Range<i64> {
    if random.chance(300) {
        let first = number(random, SHARED_KEYS);
        return first..first + 1 + number(random, 4);
    }
    let first = OWN_KEYS + number(random, id * 10);
    first..first + 1 + number(random, 40)
}

fn merged_rows(id: i64, random: &mut Random) -> Vec<Row> {
    let mut keys: Vec<i64> = (0..random.within(1..5))
        .map(|_| number(random, SHARED_KEYS))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let rows = keys.into_iter().map(|k| Row {
        k,
        p: k % PARTS,
        v: number(random, 100),
        s: id,
    });
    rows.collect()
}

fn alteration(id: i64, by_part: bool, random: &mut Random) -> String {
    let kinds = if by_part { 0..3 } else { 0..5 };
    match random.within(kinds) {
        0 => format!("ADD COLUMN extra_{} BIGINT", id % 3),
        1 => format!("DROP COLUMN extra_{}", id % 3),
        2 => format!("SET TBLPROPERTIES ('note' = '{id}')"),
        3 => "ADD PARTITION FIELD bucket(2, k)".to_owned(),
        _ => "DROP PARTITION FIELD bucket(2, k)".to_owned(),
    }
}
