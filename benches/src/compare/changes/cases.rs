//! The changes that are compared: each as SQL for the engines, and as a query that says what must be
//! there afterwards.

use std::fmt;

/// The loaded table, and what the model asks of the bare files by.
pub(super) const LINES: &str = "lineitem";

/// What the rows of a change are found by.
pub(super) const KEY: [&str; 2] = ["l_orderkey", "l_linenumber"];

/// The columns, in the table's order.
pub(super) const COLUMNS: [&str; 16] = [
    "l_orderkey",
    "l_partkey",
    "l_suppkey",
    "l_linenumber",
    "l_quantity",
    "l_extendedprice",
    "l_discount",
    "l_tax",
    "l_returnflag",
    "l_linestatus",
    "l_shipdate",
    "l_commitdate",
    "l_receiptdate",
    "l_shipinstruct",
    "l_shipmode",
    "l_comment",
];

/// The largest key of an order at scale 1.
const KEYS_AT_SCALE_1: f64 = 6_000_000.0;

/// What is done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Statement {
    /// Rows of a second table replace those of the same key, or are added; half of them each.
    Merge,
    Update,
    Delete,
}

/// Which rows are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keys {
    /// One order in a hundred, all over the table.
    Scattered,
    /// The last hundredth of the orders.
    Recent,
    /// One order in twenty thousand, for an engine that would not come to an end with more.
    Few,
    /// The lines that were shipped in one month, of a table partitioned by it.
    Month,
}

/// How a table is to be changed, by its properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    CopyOnWrite,
    MergeOnRead,
    /// No property says it: as the engine decides.
    Unset,
}

/// One change of one kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) statement: Statement,
    pub(super) keys: Keys,
    pub(super) mode: Mode,
    /// Of the format.
    pub(super) version: u8,
}

/// Every case, in the order of the report.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in [2, 3] {
        for mode in [Mode::CopyOnWrite, Mode::MergeOnRead] {
            for statement in [Statement::Merge, Statement::Update, Statement::Delete] {
                for keys in [Keys::Scattered, Keys::Recent] {
                    cases.push(Case {
                        statement,
                        keys,
                        mode,
                        version,
                    });
                }
            }
        }
    }
    for (statement, keys, mode) in [
        (Statement::Delete, Keys::Month, Mode::CopyOnWrite),
        (Statement::Merge, Keys::Few, Mode::CopyOnWrite),
        (Statement::Merge, Keys::Few, Mode::Unset),
    ] {
        cases.push(Case {
            statement,
            keys,
            mode,
            version: 2,
        });
    }
    cases
}

impl Keys {
    /// The table whose rows are merged.
    pub(super) fn source(self) -> String {
        format!("changes_{self}")
    }
}

impl Case {
    /// What the change is measured by: so many times faster than Spark is wanted.
    pub(super) fn wanted(&self) -> Option<f64> {
        match (self.keys, self.mode, self.statement) {
            (Keys::Month | Keys::Few, _, _) | (_, Mode::Unset, _) => None,
            (_, Mode::CopyOnWrite, _) => Some(5.0),
            (_, Mode::MergeOnRead, Statement::Merge) => Some(6.0),
            (_, Mode::MergeOnRead, _) => Some(4.0),
        }
    }

    /// Which rows of the loaded table are replaced or go.
    pub(super) fn condition(&self, scale: f64) -> String {
        condition(self.keys, self.statement == Statement::Merge, scale)
    }

    /// The statement on a table of this name.
    pub(super) fn sql(&self, table: &str, scale: f64) -> String {
        let condition = self.condition(scale);
        match self.statement {
            Statement::Delete => format!("DELETE FROM {table} WHERE {condition}"),
            Statement::Update => format!(
                "UPDATE {table} SET l_quantity = l_quantity + 1, l_comment = 'changed' \
                 WHERE {condition}"
            ),
            Statement::Merge => format!(
                "MERGE INTO {table} AS t USING default.{} AS s \
                 ON t.l_orderkey = s.l_orderkey AND t.l_linenumber = s.l_linenumber \
                 WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
                self.keys.source()
            ),
        }
    }

    /// The rows that are there afterwards, `base` being the rows before: a query for engines that
    /// read bare files.
    pub(super) fn rows_after(&self, base: &str, scale: f64) -> String {
        let condition = self.condition(scale);
        match self.statement {
            Statement::Delete => format!("SELECT * FROM {base} WHERE NOT ({condition})"),
            Statement::Update => {
                let columns = COLUMNS.map(|name| match changed_value(name) {
                    Some(value) => {
                        format!("CASE WHEN {condition} THEN {value} ELSE {name} END AS {name}")
                    }
                    None => name.to_owned(),
                });
                format!("SELECT {} FROM {base}", columns.join(", "))
            }
            Statement::Merge => {
                let source = self.keys.source();
                format!(
                    "SELECT l.* FROM {base} l WHERE NOT EXISTS (SELECT 1 FROM {source} s \
                     WHERE l.l_orderkey = s.l_orderkey AND l.l_linenumber = s.l_linenumber) \
                     UNION ALL SELECT * FROM {source}"
                )
            }
        }
    }

    /// What merge-on-read has to write, of files whose rows have `filename` and `file_row_number`:
    /// the new rows, and where the old ones stand.
    pub(super) fn rows_written(&self, base: &str, scale: f64) -> String {
        let place = "filename, file_row_number";
        let condition = self.condition(scale);
        match self.statement {
            Statement::Delete => format!("SELECT {place} FROM {base} WHERE {condition}"),
            Statement::Update => {
                let columns = COLUMNS.map(|name| match changed_value(name) {
                    Some(value) => format!("{value} AS {name}"),
                    None => name.to_owned(),
                });
                let columns = columns.join(", ");
                format!("SELECT {columns}, {place} FROM {base} WHERE {condition}")
            }
            Statement::Merge => format!(
                "SELECT s.*, {place} FROM {} s LEFT JOIN {base} l \
                 ON l.l_orderkey = s.l_orderkey AND l.l_linenumber = s.l_linenumber",
                self.keys.source()
            ),
        }
    }
}

/// What fills the table of rows that are merged: changed rows, and new ones of the same number.
pub(super) fn source_rows(keys: Keys, scale: f64) -> String {
    let condition = condition(keys, true, scale);
    let select = |key: &str, comment: &str| {
        let columns = COLUMNS.map(|name| match name {
            "l_orderkey" => format!("{key} AS l_orderkey"),
            "l_quantity" => "l_quantity + 1 AS l_quantity".to_owned(),
            "l_comment" => format!("'{comment}' AS l_comment"),
            _ => name.to_owned(),
        });
        let columns = columns.join(", ");
        format!("SELECT {columns} FROM {LINES} WHERE {condition}")
    };
    // Keys have gaps: of 32 numbers only the first eight are used.
    let new_key = match keys {
        Keys::Recent => format!("l_orderkey + {}", key_max(scale)),
        _ => "l_orderkey + 8".to_owned(),
    };
    format!(
        "{} UNION ALL {}",
        select("l_orderkey", "changed by a merge"),
        select(&new_key, "added by a merge")
    )
}

fn changed_value(column: &str) -> Option<&'static str> {
    match column {
        "l_quantity" => Some("l_quantity + 1"),
        "l_comment" => Some("'changed'"),
        _ => None,
    }
}

fn condition(keys: Keys, half: bool, scale: f64) -> String {
    let parts = if half { 200 } else { 100 };
    match keys {
        Keys::Scattered => format!("l_orderkey % {parts} = 7"),
        Keys::Few => "l_orderkey % 80000 = 7".to_owned(),
        Keys::Recent => {
            let last = key_max(scale);
            format!("l_orderkey > {}", last - last / parts)
        }
        Keys::Month => {
            "l_shipdate >= DATE '1995-03-01' AND l_shipdate < DATE '1995-04-01'".to_owned()
        }
    }
}

/// The largest key of an order, or a little more.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a scale whose keys do not fit 64 bits cannot be loaded"
)]
pub(super) fn key_max(scale: f64) -> i64 {
    (KEYS_AT_SCALE_1 * scale) as i64
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "MERGE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        })
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scattered => "scattered",
            Self::Recent => "recent",
            Self::Few => "few",
            Self::Month => "month",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CopyOnWrite => "copy-on-write",
            Self::MergeOnRead => "merge-on-read",
            Self::Unset => "unset",
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            statement,
            keys,
            mode,
            version,
        } = self;
        write!(f, "{statement} {keys} {mode} v{version}")
    }
}
