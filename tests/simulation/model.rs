//! What a table must hold: rows as plain values, and what each statement makes of them.

use std::ops::Range;

/// How many values the partition column takes.
pub(crate) const PARTS: i64 = 3;

/// The value that a row has in a column that came later, where it was written with one.
pub(crate) fn extra(column: &str, k: i64) -> Option<i64> {
    let number: i64 = column.strip_prefix("extra_")?.parse().ok()?;
    Some(k * 10 + number)
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row {
    /// The key: each INSERT has keys of its own, a MERGE may bring one that is there.
    pub(crate) k: i64,
    /// The partition.
    pub(crate) p: i64,
    /// What updates change.
    pub(crate) v: i64,
    /// The statement that wrote the row last.
    pub(crate) s: i64,
}

/// What a statement does to the rows of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Adds rows.
    Insert(Vec<Row>),
    /// Deletes the rows of some keys.
    Delete(Range<i64>),
    /// Deletes the rows of a partition.
    DeletePart(i64),
    /// Adds to the values of some keys; moves the rows on by some partitions.
    Update {
        keys: Range<i64>,
        add: i64,
        parts: i64,
    },
    /// Gives the rows of these keys the value, and adds those that are not there.
    Merge(Vec<Row>),
    /// Replaces the rows of a partition.
    Overwrite { part: i64, rows: Vec<Row> },
    /// Replaces the rows of the partitions that get new ones.
    OverwriteDynamic(Vec<Row>),
    /// Gathers manifests; the rows stay as they are.
    Gather,
    /// Adds rows in a snapshot that no branch is moved to.
    Stage(Vec<Row>),
    /// Applies a staged snapshot to `main`: named by its audit, or by itself.
    Publish { by_name: bool },
    /// Moves a branch forward to another.
    FastForward {
        branch: &'static str,
        to: &'static str,
    },
    /// Moves `main` back, by so many snapshots.
    Rollback(usize),
    /// Makes a branch or a tag of the current snapshot, or moves one there that exists.
    Name {
        kind: &'static str,
        name: String,
        replaces: bool,
    },
    /// Changes schema, partitioning or properties; the rows stay as they are.
    Alter(String),
}

impl Action {
    /// The names of all actions.
    pub(crate) const NAMES: [&'static str; 16] = [
        "insert",
        "delete",
        "delete-partition",
        "update",
        "merge",
        "overwrite",
        "overwrite-dynamic",
        "gather",
        "stage",
        "publish",
        "cherry-pick",
        "fast-forward",
        "rollback",
        "name",
        "replace-branch",
        "alter",
    ];

    /// The action's name in counts.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Insert(_) => "insert",
            Self::Delete(_) => "delete",
            Self::DeletePart(_) => "delete-partition",
            Self::Update { .. } => "update",
            Self::Merge(_) => "merge",
            Self::Overwrite { .. } => "overwrite",
            Self::OverwriteDynamic(_) => "overwrite-dynamic",
            Self::Gather => "gather",
            Self::Stage(_) => "stage",
            Self::Publish { by_name: true } => "publish",
            Self::Publish { by_name: false } => "cherry-pick",
            Self::FastForward { .. } => "fast-forward",
            Self::Rollback(_) => "rollback",
            Self::Name {
                replaces: false, ..
            } => "name",
            Self::Name { replaces: true, .. } => "replace-branch",
            Self::Alter(_) => "alter",
        }
    }

    /// Whether it says by itself which branch it changes, if any.
    pub(crate) fn has_own_branch(&self) -> bool {
        matches!(
            self,
            Self::Gather
                | Self::Stage(_)
                | Self::Publish { .. }
                | Self::FastForward { .. }
                | Self::Rollback(_)
                | Self::Name { .. }
                | Self::Alter(_)
        )
    }

    /// Whether the statement reads, changes or replaces this row.
    pub(crate) fn touches(&self, row: &Row) -> bool {
        match self {
            Self::Delete(keys) | Self::Update { keys, .. } => keys.contains(&row.k),
            Self::DeletePart(part) | Self::Overwrite { part, .. } => row.p == *part,
            Self::Merge(rows) => rows.iter().any(|new| new.k == row.k),
            Self::OverwriteDynamic(rows) => rows.iter().any(|new| new.p == row.p),
            Self::Insert(_)
            | Self::Gather
            | Self::Stage(_)
            | Self::Publish { .. }
            | Self::FastForward { .. }
            | Self::Rollback(_)
            | Self::Name { .. }
            | Self::Alter(_) => false,
        }
    }

    /// The rows after the statement `id`, sorted.
    pub(crate) fn apply(&self, id: i64, before: &[Row]) -> Vec<Row> {
        let (touched, mut after): (Vec<Row>, Vec<Row>) =
            before.iter().partition(|row| self.touches(row));
        match self {
            Self::Update { add, parts, .. } => after.extend(touched.iter().map(|row| Row {
                p: (row.p + parts) % PARTS,
                v: row.v + add,
                s: id,
                ..*row
            })),
            Self::Merge(rows) => {
                for new in rows {
                    let mut matched = touched.iter().filter(|row| row.k == new.k).peekable();
                    if matched.peek().is_none() {
                        after.push(*new);
                    }
                    let changed = matched.map(|row| Row {
                        v: new.v,
                        s: id,
                        ..*row
                    });
                    after.extend(changed);
                }
            }
            Self::Insert(rows)
            | Self::Stage(rows)
            | Self::Overwrite { rows, .. }
            | Self::OverwriteDynamic(rows) => {
                after.extend(rows);
            }
            _ => {}
        }
        after.sort_unstable();
        after
    }
}
