//! Scopes of common table expressions, and what is visited.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, TableFactor};

use super::{Relation, visit_tables_mut};
use crate::parse::parse;

/// Names in the order visited: tables as typed, common tables with `#`, functions with `()`.
fn visited(sql: &str) -> String {
    let mut statements = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut found = Vec::new();
    visit_tables_mut(&mut statements[0], |factor, relation| {
        let name = match factor {
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => name,
            other => panic!("{other}"),
        };
        found.push(match relation {
            Relation::Table => name.to_string(),
            Relation::CommonTable => format!("#{name}"),
            Relation::Function => format!("{name}()"),
        });
        Ok(())
    })
    .unwrap();
    found.join(" ")
}

#[test]
fn tables_are_found_everywhere() {
    for (sql, expected) in [
        (
            "SELECT * FROM a, b JOIN (c CROSS JOIN d) ON true",
            "a b c d",
        ),
        (
            "SELECT (SELECT max(x) FROM a) FROM b WHERE EXISTS (SELECT * FROM c)",
            "a b c",
        ),
        (
            "SELECT * FROM a WHERE x IN (SELECT x FROM b) ORDER BY (SELECT 1 FROM c)",
            "a b c",
        ),
        (
            "SELECT * FROM a UNION SELECT * FROM b EXCEPT (SELECT * FROM c)",
            "a b c",
        ),
        (
            "SELECT * FROM (SELECT * FROM a) AS x, LATERAL (SELECT * FROM b) AS y",
            "a b",
        ),
        (
            "SELECT * FROM a GROUP BY x HAVING max(y) > (SELECT 1 FROM b) LIMIT 1",
            "a b",
        ),
        (
            "SELECT CASE WHEN x THEN (SELECT 1 FROM b) END FROM a",
            "b a",
        ),
        ("VALUES ((SELECT 1 FROM a))", "a"),
        (
            "FROM a |> WHERE x IN (SELECT 1 FROM b) |> UNION ALL (SELECT * FROM c)",
            "a b c",
        ),
        ("SELECT * FROM f((SELECT 1 FROM a))", "a f()"),
        ("SELECT * FROM a, LATERAL g(a.x)", "a g()"),
        ("INSERT INTO t SELECT * FROM a", "a"),
        ("EXPLAIN INSERT INTO t VALUES ((SELECT 1 FROM a))", "a"),
        (
            "CREATE TABLE t AS WITH x AS (SELECT * FROM a) SELECT * FROM x",
            "a #x",
        ),
        ("COPY a TO 'x.csv'", "a"),
        ("COPY (SELECT * FROM a) TO 'x.csv'", "a"),
        ("CALL p(x => (SELECT 1 FROM a))", "a"),
        ("SET x = (SELECT 1 FROM a)", "a"),
    ] {
        assert_eq!(visited(sql), expected, "{sql}");
    }
}

#[test]
fn common_tables_hide_tables_only_in_scope() {
    for (sql, expected) in [
        ("WITH a AS (SELECT 1) SELECT * FROM a", "#a"),
        // Its own body sees the table.
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", "a #a"),
        (
            "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a",
            "#a #a",
        ),
        // Later ones see earlier ones, not the other way around.
        (
            "WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a, b",
            "b #a #a #b",
        ),
        // RECURSIVE gives a body itself, not those after it.
        (
            "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM b) SELECT 1",
            "b #b",
        ),
        // Not beyond the query.
        (
            "SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) AS x, a",
            "#a a",
        ),
        (
            "(WITH a AS (SELECT 1) SELECT * FROM a) UNION SELECT * FROM a",
            "#a a",
        ),
        // In everything inside of the query.
        (
            "WITH a AS (SELECT 1) SELECT (SELECT 1 FROM a) FROM (SELECT * FROM a) AS x",
            "#a #a",
        ),
        (
            "WITH a AS (SELECT 1) SELECT * FROM t UNION SELECT * FROM a",
            "t #a",
        ),
        (
            "WITH a AS (SELECT 1) SELECT * FROM t |> UNION ALL (SELECT * FROM a)",
            "t #a",
        ),
        // An inner one of the same name.
        (
            "WITH a AS (SELECT * FROM t) SELECT * FROM (WITH a AS (SELECT * FROM a) SELECT * FROM \
             a) AS x",
            "t #a #a",
        ),
        // A nested one inside of a body, then the outer body goes on.
        (
            "WITH a AS (WITH b AS (SELECT * FROM a) SELECT * FROM b, c), c AS (SELECT * FROM b) \
             SELECT * FROM c",
            "a #b c b #c",
        ),
        // Letter case and qualification.
        ("WITH A AS (SELECT 1) SELECT * FROM a", "#a"),
        (
            "WITH \"A\" AS (SELECT 1) SELECT * FROM a, \"A\"",
            "a #\"A\"",
        ),
        ("WITH a AS (SELECT 1) SELECT * FROM s.a", "s.a"),
    ] {
        assert_eq!(visited(sql), expected, "{sql}");
    }
}

#[test]
fn a_replaced_table_is_not_visited_again() {
    let mut statement = parse("SELECT * FROM a, b").unwrap().remove(0);
    let mut calls = 0;
    visit_tables_mut(&mut statement, |factor, _| {
        calls += 1;
        if let TableFactor::Table { name, .. } = factor {
            *name = ObjectName::from(vec![Ident::new("lake"), Ident::new(name.to_string())]);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(calls, 2);
    let crate::statement::Statement::Query(query) = statement else {
        panic!("no query")
    };
    assert_eq!(query.to_string(), "SELECT * FROM lake.a, lake.b");
}
