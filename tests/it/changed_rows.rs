//! DELETE, UPDATE and MERGE change what a model of them changes, whatever their conditions and
//! clauses, with NULLs, repeated keys and values at random.

use std::collections::BTreeMap;
use std::fmt;

use lakehouse::ErrorKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner,
};
use tokio::runtime::Builder;

use crate::lake::TestLake;

/// Tables that are tried in each way, each with [`STATEMENTS`] statements.
const TABLES: u32 = 8;
const STATEMENTS: usize = 5;

/// Format version and mode of the changes.
const WAYS: [(u8, &str); 4] = [
    (2, "copy-on-write"),
    (2, "merge-on-read"),
    (3, "copy-on-write"),
    (3, "merge-on-read"),
];

type Cell = Option<i64>;

/// A column of target or source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    TargetKey,
    TargetValue,
    SourceKey,
    SourceValue,
}

impl Column {
    fn text(self) -> &'static str {
        match self {
            Self::TargetKey => "t.k",
            Self::TargetValue => "t.v",
            Self::SourceKey => "s.k",
            Self::SourceValue => "s.w",
        }
    }
}

/// A row of the join: what is not there is NULL.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    target: (Cell, Cell),
    source: (Cell, Cell),
}

impl Pair {
    fn cell(&self, column: Column) -> Cell {
        match column {
            Column::TargetKey => self.target.0,
            Column::TargetValue => self.target.1,
            Column::SourceKey => self.source.0,
            Column::SourceValue => self.source.1,
        }
    }
}

/// A value computed from a row.
#[derive(Debug, Clone)]
enum Value {
    Constant(Cell),
    Sum(Column, i64),
}

impl Value {
    fn of(&self, row: &Pair) -> Cell {
        match self {
            Self::Constant(value) => *value,
            Self::Sum(column, more) => row.cell(*column).map(|value| value + more),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(Some(value)) => write!(f, "{value}"),
            Self::Constant(None) => f.write_str("NULL"),
            Self::Sum(column, more) => write!(f, "{} + {more}", column.text()),
        }
    }
}

/// A condition in three-valued logic.
#[derive(Debug, Clone)]
enum Condition {
    Constant(Option<bool>),
    Compare(Value, &'static str, Value),
    IsNull(Column),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    /// Whether the target's key is, or is not, among the source's.
    InSource(bool),
}

impl Condition {
    fn of(&self, row: &Pair, source: &[(Cell, Cell)]) -> Option<bool> {
        match self {
            Self::Constant(value) => *value,
            Self::Compare(left, operator, right) => {
                let (left, right) = (left.of(row)?, right.of(row)?);
                Some(match *operator {
                    "=" => left == right,
                    "<>" => left != right,
                    "<" => left < right,
                    _ => left >= right,
                })
            }
            Self::IsNull(column) => Some(row.cell(*column).is_none()),
            Self::Not(inner) => inner.of(row, source).map(|value| !value),
            Self::And(left, right) => match (left.of(row, source), right.of(row, source)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(left, right) => match (left.of(row, source), right.of(row, source)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::InSource(negated) => {
                let key = row.target.0;
                let found = match key {
                    _ if source.is_empty() => Some(false),
                    None => None,
                    Some(_) if source.iter().any(|row| row.0 == key) => Some(true),
                    Some(_) if source.iter().any(|row| row.0.is_none()) => None,
                    Some(_) => Some(false),
                };
                found.map(|found| found != *negated)
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(Some(value)) => write!(f, "{value}"),
            Self::Constant(None) => f.write_str("CAST(NULL AS BOOLEAN)"),
            Self::Compare(left, operator, right) => write!(f, "{left} {operator} {right}"),
            Self::IsNull(column) => write!(f, "{} IS NULL", column.text()),
            Self::Not(inner) => write!(f, "NOT ({inner})"),
            Self::And(left, right) => write!(f, "({left} AND {right})"),
            Self::Or(left, right) => write!(f, "({left} OR {right})"),
            Self::InSource(true) => f.write_str("t.k NOT IN (SELECT k FROM s)"),
            Self::InSource(false) => f.write_str("t.k IN (SELECT k FROM s)"),
        }
    }
}

/// What a clause does.
#[derive(Debug, Clone)]
enum Action {
    Delete,
    /// New values of key and value, where they get one.
    Update(Option<Value>, Option<Value>),
    Insert(Value, Option<Value>),
}

#[derive(Debug, Clone)]
struct Clause {
    condition: Option<Condition>,
    action: Action,
}

#[derive(Debug, Clone)]
enum Statement {
    Delete(Option<Condition>),
    Update(Value, Option<Condition>),
    Merge {
        on: Condition,
        matched: Vec<Clause>,
        not_matched: Vec<Clause>,
        by_source: Vec<Clause>,
    },
}

/// A row of the target: its own number, which nothing changes, key and value.
type Row = (Cell, Cell, Cell);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    inserted: u64,
    updated: u64,
    deleted: u64,
}

/// The rows after a statement and its counts; `None` when a row of the target has several fates.
fn model(
    rows: &[Row],
    source: &[(Cell, Cell)],
    statement: &Statement,
) -> Option<(Vec<Row>, Counts)> {
    let mut after = Vec::new();
    let mut counts = Counts::default();
    let pair = |row: &Row| Pair {
        target: (row.1, row.2),
        source: (None, None),
    };
    let holds = |condition: &Option<Condition>, row: &Pair| {
        condition
            .as_ref()
            .is_none_or(|condition| condition.of(row, source) == Some(true))
    };
    match statement {
        Statement::Delete(condition) => {
            for row in rows {
                match holds(condition, &pair(row)) {
                    true => counts.deleted += 1,
                    false => after.push(*row),
                }
            }
        }
        Statement::Update(value, condition) => {
            for row in rows {
                match holds(condition, &pair(row)) {
                    true => {
                        counts.updated += 1;
                        after.push((row.0, row.1, value.of(&pair(row))));
                    }
                    false => after.push(*row),
                }
            }
        }
        Statement::Merge {
            on,
            matched,
            not_matched,
            by_source,
        } => {
            let mut found = vec![false; source.len()];
            let first = |clauses: &[Clause], row: &Pair| {
                let clause = clauses.iter().find(|clause| holds(&clause.condition, row));
                clause.map(|clause| clause.action.clone())
            };
            for row in rows {
                let mut is_matched = false;
                let mut fates = Vec::new();
                for (index, other) in source.iter().enumerate() {
                    let both = Pair {
                        source: *other,
                        ..pair(row)
                    };
                    if on.of(&both, source) == Some(true) {
                        (is_matched, found[index]) = (true, true);
                        fates.extend(first(matched, &both).map(|action| (action, both)));
                    }
                }
                if !is_matched {
                    fates.extend(first(by_source, &pair(row)).map(|action| (action, pair(row))));
                }
                let is_delete = matches!(
                    &matched[..],
                    [Clause {
                        condition: None,
                        action: Action::Delete
                    }]
                );
                if fates.len() > 1 && !is_delete {
                    return None;
                }
                match fates.first() {
                    None => after.push(*row),
                    Some((Action::Update(key, value), both)) => {
                        counts.updated += 1;
                        let new =
                            |new: &Option<Value>, old| new.as_ref().map_or(old, |new| new.of(both));
                        after.push((row.0, new(key, row.1), new(value, row.2)));
                    }
                    Some(_) => counts.deleted += 1,
                }
            }
            for (other, _) in source.iter().zip(&found).filter(|(_, found)| !**found) {
                let alone = Pair {
                    source: *other,
                    ..Pair::default()
                };
                if let Some(Action::Insert(key, value)) = first(not_matched, &alone) {
                    counts.inserted += 1;
                    let value = value.as_ref().and_then(|value| value.of(&alone));
                    after.push((None, key.of(&alone), value));
                }
            }
        }
    }
    Some((after, counts))
}

fn text(statement: &Statement) -> String {
    let wheres = |condition: &Option<Condition>| {
        let condition = condition.as_ref();
        condition.map_or(String::new(), |condition| format!(" WHERE {condition}"))
    };
    match statement {
        Statement::Delete(condition) => format!("DELETE FROM t{}", wheres(condition)),
        Statement::Update(value, condition) => {
            format!("UPDATE t SET v = {value}{}", wheres(condition))
        }
        Statement::Merge {
            on,
            matched,
            not_matched,
            by_source,
        } => {
            let mut text = format!("MERGE INTO t USING s ON {on}");
            for (kind, clauses) in [
                ("MATCHED", matched),
                ("NOT MATCHED", not_matched),
                ("NOT MATCHED BY SOURCE", by_source),
            ] {
                for clause in clauses {
                    text += &format!(" WHEN {kind}");
                    if let Some(condition) = &clause.condition {
                        text += &format!(" AND {condition}");
                    }
                    text += " THEN ";
                    text += &match &clause.action {
                        Action::Delete => "DELETE".to_owned(),
                        Action::Update(key, value) => {
                            let set = |name: &str, value: &Option<Value>| {
                                value.as_ref().map(|value| format!("{name} = {value}"))
                            };
                            let set: Vec<String> = [set("k", key), set("v", value)]
                                .into_iter()
                                .flatten()
                                .collect();
                            format!("UPDATE SET {}", set.join(", "))
                        }
                        Action::Insert(key, None) => format!("INSERT (k) VALUES ({key})"),
                        Action::Insert(key, Some(value)) => {
                            format!("INSERT (v, k) VALUES ({value}, {key})")
                        }
                    };
                }
            }
            text
        }
    }
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![1 => Just(None), 5 => (0_i64..7).prop_map(Some)]
}

fn value(columns: &'static [Column]) -> BoxedStrategy<Value> {
    prop_oneof![
        1 => cell().prop_map(Value::Constant),
        2 => (select(columns), 0_i64..3).prop_map(|(column, more)| Value::Sum(column, more)),
    ]
    .boxed()
}

fn condition(columns: &'static [Column], subqueries: bool) -> BoxedStrategy<Condition> {
    let compare = (
        value(columns),
        select(vec!["=", "<>", "<", ">="]),
        value(columns),
    )
        .prop_map(|(left, operator, right)| Condition::Compare(left, operator, right));
    let leaf = prop_oneof![
        8 => compare,
        2 => select(columns).prop_map(Condition::IsNull),
        1 => select(vec![Some(true), Some(false), None]).prop_map(Condition::Constant),
    ];
    let inner = leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|inner| Condition::Not(Box::new(inner))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Condition::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner)
                .prop_map(|(left, right)| Condition::Or(Box::new(left), Box::new(right))),
        ]
    });
    match subqueries {
        true => prop_oneof![
            3 => inner,
            1 => any::<bool>().prop_map(Condition::InSource),
        ]
        .boxed(),
        false => inner.boxed(),
    }
}

/// Up to two clauses, of which the last may go without a condition.
fn clauses(
    columns: &'static [Column],
    action: BoxedStrategy<Action>,
) -> BoxedStrategy<Vec<Clause>> {
    (
        vec((condition(columns, false), action), 0..3),
        any::<bool>(),
    )
        .prop_map(|(clauses, is_last_open)| {
            let count = clauses.len();
            let clauses = clauses.into_iter().enumerate();
            let clause = |(index, (condition, action))| Clause {
                condition: (index + 1 < count || !is_last_open).then_some(condition),
                action,
            };
            clauses.map(clause).collect()
        })
        .boxed()
}

fn statement() -> BoxedStrategy<Statement> {
    use Column::{SourceKey, SourceValue, TargetKey, TargetValue};
    const TARGET: &[Column] = &[TargetKey, TargetValue];
    const SOURCE: &[Column] = &[SourceKey, SourceValue];
    const BOTH: &[Column] = &[TargetKey, TargetValue, SourceKey, SourceValue];
    let wheres = || proptest::option::weighted(0.9, condition(TARGET, true));
    let equal = || {
        let keys = (Value::Sum(TargetKey, 0), Value::Sum(SourceKey, 0));
        Condition::Compare(keys.0, "=", keys.1)
    };
    let on = prop_oneof![
        3 => Just(equal()),
        2 => condition(BOTH, false)
            .prop_map(move |more| Condition::And(Box::new(equal()), Box::new(more))),
        1 => condition(BOTH, false),
    ];
    let change = |columns: &'static [Column]| {
        let set = (proptest::option::of(value(columns)), value(columns));
        prop_oneof![
            1 => Just(Action::Delete),
            2 => set.prop_map(|(key, value)| Action::Update(key, Some(value))),
        ]
        .boxed()
    };
    let insert = (value(SOURCE), proptest::option::of(value(SOURCE)))
        .prop_map(|(key, value)| Action::Insert(key, value));
    let merge = (
        on,
        clauses(BOTH, change(BOTH)),
        clauses(SOURCE, insert.boxed()),
        clauses(TARGET, change(TARGET)),
    )
        .prop_filter("no clauses", |(_, matched, not_matched, by_source)| {
            matched.len() + not_matched.len() + by_source.len() > 0
        })
        .prop_map(|(on, matched, not_matched, by_source)| Statement::Merge {
            on,
            matched,
            not_matched,
            by_source,
        });
    prop_oneof![
        1 => wheres().prop_map(Statement::Delete),
        1 => (value(TARGET), wheres()).prop_map(|(value, wheres)| Statement::Update(value, wheres)),
        3 => merge,
    ]
    .boxed()
}

/// Files of the target, rows of the source, and statements.
type Case = (Vec<Vec<(Cell, Cell)>>, Vec<(Cell, Cell)>, Vec<Statement>);

fn case() -> impl Strategy<Value = Case> {
    (
        vec(vec((cell(), cell()), 1..8), 1..4),
        vec((cell(), cell()), 0..7),
        vec(statement(), STATEMENTS),
    )
}

fn shown(value: Cell) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}

async fn check(way: (u8, &str), case: &Case) -> Result<(), TestCaseError> {
    let (files, source, statements) = case;
    let (version, mode) = way;
    let lake = TestLake::memory().await;
    lake.run(&format!(
        "CREATE TABLE t (u BIGINT, k BIGINT, v BIGINT) TBLPROPERTIES ('format-version' = '{version}', \
         'write.delete.mode' = '{mode}', 'write.update.mode' = '{mode}', 'write.merge.mode' = '{mode}');
         CREATE TABLE s (k BIGINT, w BIGINT)"
    ))
    .await;
    let mut rows: Vec<Row> = Vec::new();
    for file in files {
        let first = rows.len();
        let number = |index: usize| i64::try_from(first + index).ok();
        rows.extend(
            file.iter()
                .enumerate()
                .map(|(index, row)| (number(index), row.0, row.1)),
        );
        let values: Vec<String> = rows[first..]
            .iter()
            .map(|row| format!("({}, {}, {})", shown(row.0), shown(row.1), shown(row.2)))
            .collect();
        lake.run(&format!("INSERT INTO t VALUES {}", values.join(", ")))
            .await;
    }
    let values: Vec<String> = source
        .iter()
        .map(|row| format!("({}, {})", shown(row.0), shown(row.1)))
        .collect();
    if !values.is_empty() {
        lake.run(&format!("INSERT INTO s VALUES {}", values.join(", ")))
            .await;
    }
    for statement in statements {
        let sql = text(statement);
        let ids = row_ids(&lake, version).await;
        match (model(&rows, source, statement), lake.try_rows(&sql).await) {
            (Some((after, counts)), Ok(told)) => {
                let Counts {
                    inserted,
                    updated,
                    deleted,
                } = counts;
                let all = inserted + updated + deleted;
                let expected = match statement {
                    Statement::Merge { .. } => format!("{all}|{inserted}|{updated}|{deleted}"),
                    _ => all.to_string(),
                };
                prop_assert_eq!(told, [expected], "{}", sql);
                rows = after;
            }
            (None, Err(error)) => {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}: {}", sql, error);
            }
            (expected, told) => {
                let message = format!("{sql}: {told:?} where {expected:?} is right");
                return Err(TestCaseError::fail(message));
            }
        }
        let mut expected: Vec<String> = rows
            .iter()
            .map(|row| format!("{}|{}|{}", shown(row.0), shown(row.1), shown(row.2)))
            .collect();
        expected.sort_unstable();
        let found = lake.sorted("SELECT coalesce(CAST(u AS VARCHAR), 'NULL'), coalesce(CAST(k AS VARCHAR), 'NULL'), coalesce(CAST(v AS VARCHAR), 'NULL') FROM t").await;
        prop_assert_eq!(found, expected, "{}", sql);
        for (number, id) in row_ids(&lake, version).await {
            prop_assert_eq!(
                Some(&id),
                ids.get(&number),
                "the id of row {}: {}",
                number,
                sql
            );
        }
    }
    Ok(())
}

/// The ids of the rows that have a number.
async fn row_ids(lake: &TestLake, version: u8) -> BTreeMap<String, String> {
    if version < 3 {
        return BTreeMap::new();
    }
    let rows = lake
        .rows("SELECT u, _row_id FROM t WHERE u IS NOT NULL")
        .await;
    let split = |row: &String| {
        let (number, id) = row.split_once('|').expect("two cells");
        (number.to_owned(), id.to_owned())
    };
    rows.iter().map(split).collect()
}

fn run(way: (u8, &str)) {
    let config = Config {
        cases: TABLES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 200,
        ..Config::default()
    };
    // From one seed: a run that failed fails again. Another can be tried by hand.
    let seed = std::env::var("LAKE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1_u8);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let outcome = runner.run(&case(), |case| runtime.block_on(check(way, &case)));
    if let Err(error) = outcome {
        panic!("{way:?}: {error}");
    }
}

#[test]
fn changes_of_version_2_by_rewriting_are_those_of_the_model() {
    run(WAYS[0]);
}

#[test]
fn changes_of_version_2_by_deletes_are_those_of_the_model() {
    run(WAYS[1]);
}

#[test]
fn changes_of_version_3_by_rewriting_are_those_of_the_model() {
    run(WAYS[2]);
}

#[test]
fn changes_of_version_3_by_deletes_are_those_of_the_model() {
    run(WAYS[3]);
}
