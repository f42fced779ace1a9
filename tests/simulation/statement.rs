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
    ///
    /// `by_part` says whether the table is partitioned by `p`, and stays so.
    pub(crate) fn random(id: i64, by_part: bool, random: &mut Random) -> Self {
        let action = match random.within(0..100) {
            0..38 => Action::Insert(new_rows(id, random)),
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
                let is_branch = random.chance(700);
                let (kind, name) = match is_branch {
                    true => ("BRANCH", (*random.pick(&BRANCHES)).to_owned()),
                    false => ("TAG", format!("tag_{id}")),
                };
                Action::Name { kind, name }
            }
            _ => Action::Alter(alteration(id, by_part, random)),
        };
        let branch = random.chance(150).then(|| *random.pick(&BRANCHES));
        let on_main = action.is_of_metadata() || action == Action::Gather;
        Self {
            id,
            branch: branch.filter(|_| !on_main),
            action,
        }
    }

    /// Whether it goes below SQL, which has no words for it or not yet. Most inserts do as well:
    /// what they test is the commit, and planning them takes longer than the rest.
    pub(crate) fn is_direct(&self) -> bool {
        match &self.action {
            Action::Insert(_) => self.branch.is_some() || self.id % 3 > 0,
            Action::Overwrite { .. } | Action::OverwriteDynamic(_) | Action::Gather => true,
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

    /// The statement's SQL, or what stands for it in logs; a rollback goes to the snapshot
    /// `rollback_to`.
    pub(crate) fn sql(&self, rollback_to: Option<i64>) -> String {
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
            Action::Rollback(_) => format!(
                "CALL system.rollback_to_snapshot('default.t', {})",
                rollback_to.unwrap_or_default()
            ),
            Action::Name { kind, name } => format!("ALTER TABLE t CREATE {kind} {name}"),
            Action::Alter(alteration) => format!("ALTER TABLE t {alteration}"),
        }
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
