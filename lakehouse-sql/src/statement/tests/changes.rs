//! Spellings of statements that change rows, and what of them is refused.

use lakehouse_core::error::ErrorKind;

use super::{assert_refused, dotted, read};
use crate::parse::parse;
use crate::statement::{
    AssignedValue, Assignment, Delete, Merge, MergeAction, MergeKind, Statement, Target, Update,
};

fn name(target: &Target) -> String {
    let alias = target.alias.as_ref();
    let alias = alias.map_or(String::new(), |alias| format!(" {alias}"));
    format!("{}{alias}", dotted(&target.name))
}

fn value(value: &AssignedValue) -> String {
    match value {
        AssignedValue::Default => "<default>".to_owned(),
        AssignedValue::Expression(value) => value.to_string(),
    }
}

fn assignments(assignments: &[Assignment]) -> String {
    let texts: Vec<String> = assignments
        .iter()
        .map(|assignment| format!("{}={}", dotted(&assignment.path), value(&assignment.value)))
        .collect();
    texts.join("; ")
}

fn delete(sql: &str) -> Box<Delete> {
    match read(sql) {
        Statement::Delete(delete) => delete,
        other => panic!("{sql}: {other:?}"),
    }
}

fn update(sql: &str) -> Box<Update> {
    match read(sql) {
        Statement::Update(update) => update,
        other => panic!("{sql}: {other:?}"),
    }
}

fn merge(sql: &str) -> Box<Merge> {
    match read(sql) {
        Statement::Merge(merge) => merge,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn deletes() {
    for (sql, target, condition) in [
        ("DELETE FROM t", "t", None),
        (
            "delete from cat.ns.t where a = 1",
            "cat.ns.t",
            Some("a = 1"),
        ),
        (
            "DELETE FROM t.branch_x AS b WHERE b.\"ä b\" IS NULL",
            "t.branch_x b",
            Some("b.\"ä b\" IS NULL"),
        ),
        (
            "DELETE FROM t d WHERE EXISTS (SELECT 1 FROM u WHERE u.a = d.a)",
            "t d",
            Some("EXISTS (SELECT 1 FROM u WHERE u.a = d.a)"),
        ),
        ("TRUNCATE TABLE ns.t", "ns.t", None),
    ] {
        let delete = delete(sql);
        assert_eq!(name(&delete.target), target, "{sql}");
        let found = delete.condition.as_ref().map(ToString::to_string);
        assert_eq!(found.as_deref(), condition, "{sql}");
    }
    for (sql, part) in [
        ("DELETE FROM t LIMIT 1", "LIMIT is not offered in DELETE"),
        ("DELETE FROM t WHERE a = 1 LIMIT 1", "LIMIT"),
        ("DELETE FROM t WHERE a = 1 ORDER BY a LIMIT 1", "ORDER BY"),
        ("DELETE FROM t USING u WHERE t.a = u.a", "WHERE EXISTS"),
        (
            "DELETE FROM t, u WHERE t.a = u.a",
            "a DELETE for each table",
        ),
        ("DELETE FROM t WHERE a = 1 RETURNING a", "RETURNING"),
        ("DELETE FROM f(1)", "function as target"),
        ("DELETE FROM t AS x (a, b)", "new names"),
        ("TRUNCATE TABLE t, u", "second table"),
        ("TRUNCATE TABLE t PARTITION (a = 1)", "PARTITION"),
    ] {
        assert_refused(ErrorKind::Unsupported, part, &[sql]);
    }
    assert_refused(
        ErrorKind::InvalidInput,
        "expected",
        &[
            "DELETE t",
            "DELETE FROM",
            "DELETE FROM t WHERE",
            "DELETE FROM t WHERE a = 1 b",
            "TRUNCATE t",
        ],
    );
}

#[test]
fn updates() {
    let full = update(
        "UPDATE ns.t AS x SET a = a + 1, x.s.f.\"G\" = DEFAULT, b = (SELECT max(c) FROM u) \
         FROM u JOIN v ON u.a = v.a, w WHERE x.a = u.a",
    );
    assert_eq!(name(&full.target), "ns.t x");
    assert_eq!(
        assignments(&full.assignments),
        "a=a + 1; x.s.f.\"G\"=<default>; b=(SELECT max(c) FROM u)"
    );
    let from: Vec<String> = full.from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["u JOIN v ON u.a = v.a", "w"]);
    assert_eq!(full.condition.unwrap().to_string(), "x.a = u.a");

    let plain = update("UPDATE t SET a = DEFAULT");
    assert_eq!(name(&plain.target), "t");
    assert_eq!(assignments(&plain.assignments), "a=<default>");
    assert!(plain.from.is_empty() && plain.condition.is_none());

    for (sql, part) in [
        ("UPDATE t, u SET a = 1", "second table"),
        ("UPDATE t JOIN u ON true SET a = 1", "second table"),
        ("UPDATE t SET (a, b) = (1, 2)", "parentheses"),
        ("UPDATE t SET *", "SET *"),
        ("UPDATE t SET a = 1 WHERE b = 2 LIMIT 3", "LIMIT"),
        ("UPDATE t SET a = 1 RETURNING a", "RETURNING"),
    ] {
        assert_refused(ErrorKind::Unsupported, part, &[sql]);
    }
    assert_refused(
        ErrorKind::InvalidInput,
        "expected",
        &[
            "UPDATE t",
            "UPDATE t SET",
            "UPDATE t SET a",
            "UPDATE t SET a = 1,",
            "UPDATE t SET a == 1",
            "UPDATE t SET a = 1 WHERE",
        ],
    );
}

#[test]
fn merges() {
    let full = merge(
        "MERGE INTO t.branch_x d USING (SELECT 1 AS a) AS s ON d.a = s.a AND d.b > 1 \
         WHEN MATCHED AND s.x THEN DELETE \
         WHEN MATCHED AND s.y THEN UPDATE SET * \
         WHEN MATCHED THEN UPDATE SET d.b = s.b, c = DEFAULT \
         WHEN NOT MATCHED AND s.z THEN INSERT (a, \"B\") VALUES (s.a, DEFAULT) \
         WHEN NOT MATCHED BY TARGET AND s.w THEN INSERT VALUES (1, 2) \
         WHEN NOT MATCHED THEN INSERT * \
         WHEN NOT MATCHED BY SOURCE AND d.b = 1 THEN UPDATE SET b = 2 \
         WHEN NOT MATCHED BY SOURCE THEN DELETE",
    );
    assert_eq!(name(&full.target), "t.branch_x d");
    assert_eq!(full.source.to_string(), "(SELECT 1 AS a) AS s");
    assert_eq!(full.on.to_string(), "d.a = s.a AND d.b > 1");
    let clauses: Vec<String> = full
        .clauses
        .iter()
        .map(|clause| {
            let kind = match clause.kind {
                MergeKind::Matched => "M",
                MergeKind::NotMatched => "N",
                MergeKind::NotMatchedBySource => "S",
            };
            let condition = clause.condition.as_ref().map(ToString::to_string);
            let condition = condition.unwrap_or_default();
            let action = match &clause.action {
                MergeAction::Delete => "delete".to_owned(),
                MergeAction::Update(changes) => assignments(changes),
                MergeAction::UpdateAll => "update *".to_owned(),
                MergeAction::Insert { columns, values } => {
                    let values: Vec<String> = values.iter().map(value).collect();
                    format!("({}) {}", dotted(columns), values.join(", "))
                }
                MergeAction::InsertAll => "insert *".to_owned(),
            };
            format!("{kind} {condition} {action}")
        })
        .collect();
    assert_eq!(
        clauses,
        [
            "M s.x delete",
            "M s.y update *",
            "M  d.b=s.b; c=<default>",
            "N s.z (a.\"B\") s.a, <default>",
            "N s.w () 1, 2",
            "N  insert *",
            "S d.b = 1 b=2",
            "S  delete",
        ]
    );
    for source in ["s", "ns.s AS x", "s VERSION AS OF 1 x", "s.branch_y"] {
        merge(&format!(
            "MERGE INTO t USING {source} ON true WHEN MATCHED THEN DELETE"
        ));
    }
}

#[test]
fn merges_that_are_refused() {
    let behind = |clauses: &str| format!("MERGE INTO t USING s ON t.a = s.a {clauses}");
    for (clauses, part) in [
        ("", "expected WHEN MATCHED"),
        (
            "WHEN MATCHED THEN INSERT *",
            "expected UPDATE SET or DELETE",
        ),
        ("WHEN NOT MATCHED THEN DELETE", "expected INSERT"),
        (
            "WHEN NOT MATCHED BY SOURCE THEN INSERT *",
            "expected UPDATE SET or DELETE",
        ),
        ("WHEN NOT MATCHED BY x THEN DELETE", "SOURCE or TARGET"),
        (
            "WHEN MATCHED THEN DELETE WHEN MATCHED AND a = 1 THEN DELETE",
            "only the last WHEN MATCHED",
        ),
        (
            "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (1)",
            "names 2 columns and has 1 values",
        ),
        ("WHEN MATCHED AND THEN DELETE", "expected"),
        ("WHEN MATCHED DELETE", "expected THEN"),
        ("WHEN MATCHED THEN DELETE;; x", "expected"),
    ] {
        assert_refused(ErrorKind::InvalidInput, part, &[&behind(clauses)]);
    }
    for (clauses, part) in [
        ("WHEN MATCHED THEN DO NOTHING", "DO NOTHING"),
        (
            "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET *",
            "UPDATE SET *",
        ),
        (
            "WHEN NOT MATCHED THEN INSERT VALUES (1), (2)",
            "one row of values",
        ),
        ("WHEN MATCHED THEN DELETE RETURNING a", "RETURNING"),
    ] {
        assert_refused(ErrorKind::Unsupported, part, &[&behind(clauses)]);
    }
    let error = parse(&behind("\n  WHEN MATCHED THEN INSERT *")).unwrap_err();
    assert!(
        error.to_string().contains("line 2, column 21"),
        "the place of the action: {error}"
    );
}

#[test]
fn changes_are_explained() {
    for sql in [
        "DELETE FROM t WHERE a = 1",
        "TRUNCATE TABLE t",
        "UPDATE t SET a = 1",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    ] {
        for explain in ["EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN FORMAT tree"] {
            let statement = read(&format!("{explain} {sql}"));
            assert!(matches!(statement, Statement::Explain(_)), "{sql}");
        }
    }
}
