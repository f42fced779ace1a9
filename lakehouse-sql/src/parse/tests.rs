//! Every spelling of a version clause, its near misses, places in errors, and no panics.

use datafusion::sql::sqlparser::ast::{TableFactor, TableVersion};
use lakehouse_core::error::{Error, ErrorKind};

use super::{VersionClause, parse, version_clause};
use crate::statement::relation::visit_tables_mut;
use crate::statement::{Explain, Statement};

/// Each table that a statement reads: `name`, `name@v:operand` or `name@t:operand`, then
/// ` alias` if there is one.
fn tables(sql: &str) -> Vec<String> {
    let mut statements = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(statements.len(), 1, "{sql}");
    let mut found = Vec::new();
    visit_tables_mut(&mut statements[0], |factor, _| {
        if let TableFactor::Table {
            name,
            version,
            alias,
            ..
        } = factor
        {
            let version = match version.as_ref().map(version_clause).transpose()? {
                None => String::new(),
                Some(VersionClause::Version(operand)) => format!("@v:{operand}"),
                Some(VersionClause::Timestamp(operand)) => format!("@t:{operand}"),
            };
            let alias = alias
                .as_ref()
                .map_or(String::new(), |alias| format!(" {}", alias.name));
            found.push(format!("{name}{version}{alias}"));
        }
        Ok(())
    })
    .unwrap();
    found
}

fn refused(sql: &str) -> Error {
    match parse(sql) {
        Ok(statements) => panic!("{sql} was read as {statements:?}"),
        Err(error) => error,
    }
}

#[test]
fn every_spelling_of_a_version_is_read() {
    for clause in [
        "VERSION AS OF",
        "FOR VERSION AS OF",
        "SYSTEM_VERSION AS OF",
        "FOR SYSTEM_VERSION AS OF",
        "for version as of",
        "Version /* x */ As -- y\n Of",
    ] {
        for operand in [
            "4711",
            "'v1.0'",
            "$1",
            "?",
            "(4711)",
            "-1",
            "CAST('5' AS BIGINT)",
        ] {
            let expected = if operand == "?" { "?" } else { operand };
            assert_eq!(
                tables(&format!("SELECT * FROM cat.ns.t {clause} {operand}")),
                [format!("cat.ns.t@v:{expected}")]
            );
            assert_eq!(
                tables(&format!(
                    "SELECT * FROM t {clause} {operand} AS x WHERE x.a = 1"
                )),
                [format!("t@v:{expected} x")]
            );
        }
    }
}

#[test]
fn every_spelling_of_a_timestamp_is_read() {
    for clause in [
        "TIMESTAMP AS OF",
        "FOR TIMESTAMP AS OF",
        "SYSTEM_TIME AS OF",
        "FOR SYSTEM_TIME AS OF",
        "AS OF TIMESTAMP",
        "for system_time as of",
    ] {
        for (operand, expected) in [
            ("'2026-01-01'", "'2026-01-01'"),
            (
                "timestamp '2026-01-01 00:00:00'",
                "TIMESTAMP '2026-01-01 00:00:00'",
            ),
            ("date '2026-01-01'", "DATE '2026-01-01'"),
            ("1767225600", "1767225600"),
            ("$1", "$1"),
            (
                "current_timestamp - interval '1 day'",
                "current_timestamp - INTERVAL '1 day'",
            ),
            (
                "current_timestamp - interval '1' day",
                "current_timestamp - INTERVAL '1' DAY",
            ),
            (
                "current_timestamp() - interval 1 day",
                "current_timestamp() - INTERVAL 1 DAY",
            ),
            ("(now() - interval 2 hours)", "(now() - INTERVAL 2 HOURS)"),
            ("'2026-01-01'::timestamp", "'2026-01-01'::TIMESTAMP"),
        ] {
            assert_eq!(
                tables(&format!("SELECT * FROM t {clause} {operand} x")),
                [format!("t@t:{expected} x")],
                "{clause} {operand}"
            );
        }
    }
}

#[test]
fn each_reference_has_its_own_version() {
    assert_eq!(
        tables(
            "SELECT * FROM a VERSION AS OF 1 x JOIN a FOR TIMESTAMP AS OF '2026' AS y USING (id), \
             b LEFT JOIN c SYSTEM_VERSION AS OF 'tag' ON true"
        ),
        ["a@v:1 x", "a@t:'2026' y", "b", "c@v:'tag'"]
    );
    assert_eq!(
        tables(
            "WITH old AS (SELECT * FROM t VERSION AS OF 1) SELECT * FROM old WHERE id NOT IN \
             (SELECT id FROM t FOR VERSION AS OF 2) UNION ALL (SELECT * FROM (t AS OF TIMESTAMP \
             '2026' JOIN u ON true))"
        ),
        ["t@v:1", "old", "t@v:2", "t@t:'2026'", "u"]
    );
    assert_eq!(
        tables("INSERT INTO t SELECT * FROM t VERSION AS OF 7"),
        ["t@v:7"]
    );
    assert_eq!(tables("EXPLAIN SELECT * FROM t VERSION AS OF 7"), ["t@v:7"]);
    assert_eq!(
        tables("CREATE TABLE n AS SELECT * FROM t VERSION AS OF 7"),
        ["t@v:7"]
    );
    assert_eq!(tables("COPY t VERSION AS OF 7 TO 'x.parquet'"), ["t@v:7"]);
    assert_eq!(tables("FROM t VERSION AS OF 7"), ["t@v:7"]);
    assert_eq!(
        tables("SELECT * FROM \"version\" VERSION AS OF 1, `as`.`of` TIMESTAMP AS OF '2026'"),
        ["\"version\"@v:1", "`as`.`of`@t:'2026'"]
    );
    assert_eq!(tables("SELECT * FROM t.`branch_x`"), ["t.`branch_x`"]);
    assert_eq!(
        tables("SELECT * FROM sample FOR VERSION AS OF 'x'"),
        ["sample@v:'x'"]
    );
    assert_eq!(
        tables("SELECT * FROM \"select\" VERSION AS OF 'x'"),
        ["\"select\"@v:'x'"]
    );
}

#[test]
fn version_functions_are_read_or_refused() {
    assert_eq!(tables("SELECT * FROM t AT (VERSION => 3) x"), ["t@v:3 x"]);
    assert_eq!(
        tables("SELECT * FROM t at(timestamp => now())"),
        ["t@t:now()"]
    );
    for sql in [
        "SELECT * FROM t BEFORE(STATEMENT => 'x')",
        "SELECT * FROM t BEFORE(VERSION => 1)",
        "SELECT * FROM t AT(OFFSET => -60)",
        "SELECT * FROM t AT(VERSION => 1, TIMESTAMP => 2)",
        "SELECT * FROM t AT(1)",
        "SELECT a IN (SELECT b FROM t AT(STREAM => 's')) FROM u",
    ] {
        assert_eq!(refused(sql).kind(), ErrorKind::Unsupported, "{sql}");
    }
}

#[test]
fn words_of_the_clauses_stay_names() {
    for (sql, expected) in [
        ("SELECT version AS of FROM t", vec!["t"]),
        ("SELECT a, version AS of FROM t", vec!["t"]),
        ("SELECT t.version AS of FROM t", vec!["t"]),
        ("SELECT DISTINCT version AS of FROM t", vec!["t"]),
        (
            "SELECT (SELECT DISTINCT timestamp AS of FROM u) FROM t",
            vec!["u", "t"],
        ),
        ("(FROM version AS of)", vec!["version of"]),
        ("SELECT timestamp AS x, system_time, at FROM t", vec!["t"]),
        (
            "SELECT system_time AS version, version AS timestamp FROM t",
            vec!["t"],
        ),
        (
            "SELECT version, timestamp FROM t WHERE version = 1 AND timestamp > '2026'",
            vec!["t"],
        ),
        ("SELECT timestamp '2026-01-01' AS of FROM t", vec!["t"]),
        ("SELECT CAST(a AS timestamp) AS of FROM t", vec!["t"]),
        ("SELECT * FROM version", vec!["version"]),
        ("SELECT * FROM version AS of", vec!["version of"]),
        (
            "SELECT * FROM a, version AS of WHERE true",
            vec!["a", "version of"],
        ),
        (
            "SELECT * FROM a JOIN timestamp AS of ON true",
            vec!["a", "timestamp of"],
        ),
        ("SELECT * FROM t version", vec!["t version"]),
        ("SELECT * FROM t AS version", vec!["t version"]),
        (
            "SELECT * FROM t timestamp WHERE timestamp.a = 1",
            vec!["t timestamp"],
        ),
        ("SELECT * FROM t at WHERE at.a = 1", vec!["t at"]),
        ("SELECT * FROM t AS at", vec!["t at"]),
        (
            "SELECT * FROM t before JOIN u at ON before.a = at.a",
            vec!["t before", "u at"],
        ),
        ("SELECT * FROM at", vec!["at"]),
        ("SELECT at.at AS at FROM at", vec!["at"]),
        ("SELECT a AT TIME ZONE 'UTC' FROM t", vec!["t"]),
        ("SELECT * FROM t AS of", vec!["t of"]),
        ("SELECT substring(a FROM 1 FOR version) FROM t", vec!["t"]),
        (
            "WITH version AS (SELECT 1) SELECT * FROM version",
            vec!["version"],
        ),
        (
            "SELECT max(version) OVER (ORDER BY timestamp) AS of FROM t",
            vec!["t"],
        ),
    ] {
        assert_eq!(tables(sql), expected, "{sql}");
    }
}

#[test]
fn misplaced_and_unknown_clauses_are_refused() {
    for sql in [
        "SELECT * FROM t AS x VERSION AS OF 1",
        "SELECT * FROM t AS x FOR VERSION AS OF 1",
        "SELECT * FROM t x FOR SYSTEM_TIME AS OF '2026'",
        "SELECT * FROM f(1) FOR VERSION AS OF 1",
        "SELECT * FROM (SELECT 1) FOR VERSION AS OF 1",
        "SELECT 1 FOR SYSTEM_TIME AS OF '2026'",
        "SELECT * FROM t VERSION AS OF 1 TIMESTAMP AS OF '2026'",
        "SELECT * FROM t VERSION AS OF 1 FOR TIMESTAMP AS OF '2026'",
        "SELECT * FROM t VERSION AS OF",
        "SELECT * FROM t VERSION AS OF WHERE a = 1",
        "SELECT * FROM t FOR VERSION AS OF",
        "SELECT * FROM t FOR SYSTEM_TIME BETWEEN '2025' AND '2026'",
        "WITH c AS (SELECT 1) SELECT * FROM c VERSION AS OF 1",
    ] {
        let error = refused(sql);
        assert!(
            error.context().iter().any(|(key, _)| *key == "line"),
            "{sql}: {error}"
        );
    }
}

#[test]
fn write_targets_have_no_version() {
    for sql in [
        "INSERT INTO t VERSION AS OF 1 SELECT 1",
        "INSERT INTO TABLE t FOR SYSTEM_TIME AS OF '2026' SELECT 1",
        "INSERT OVERWRITE t VERSION AS OF 1 SELECT 1",
        "UPDATE t FOR VERSION AS OF 1 SET a = 1",
        "UPDATE a.t TIMESTAMP AS OF '2026' SET a = 1",
        "DELETE FROM t VERSION AS OF 1 WHERE a = 1",
        "MERGE INTO t FOR VERSION AS OF 1 USING s ON true WHEN MATCHED THEN DELETE",
    ] {
        let error = refused(sql);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{sql}");
        assert!(
            error.message().contains("target of a write"),
            "{sql}: {error}"
        );
    }
}

#[test]
fn a_foreign_tree_is_not_trusted() {
    let operand =
        datafusion::sql::sqlparser::ast::Expr::value(datafusion::sql::sqlparser::ast::Value::Null);
    assert!(version_clause(&TableVersion::ForSystemTimeAsOf(operand.clone())).is_err());
    assert!(version_clause(&TableVersion::Function(operand)).is_err());
}

#[test]
fn clauses_the_planner_drops_are_refused() {
    for sql in [
        "SELECT * FROM t TABLESAMPLE (10 PERCENT)",
        "SELECT * FROM (SELECT 1) TABLESAMPLE (10 PERCENT)",
        "SELECT * FROM t PARTITION (p0)",
        "SELECT * FROM t WITH (NOLOCK)",
        "SELECT * FROM f(1) WITH ORDINALITY",
        "SELECT * FROM t FOR UPDATE",
        "SELECT a INTO n FROM t",
        "SELECT a FROM t PREWHERE b",
        "SELECT a FROM t SETTINGS x = 1",
        "SELECT a FROM t FORMAT JSON",
        "SELECT 1 WHERE EXISTS (SELECT * FROM t TABLESAMPLE (1 ROWS))",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "WITH x AS (SELECT 1) DELETE FROM t",
        "DELETE FROM t WHERE a IN (SELECT a FROM u TABLESAMPLE (1 ROWS))",
        "UPDATE t SET a = 1 FROM u TABLESAMPLE (1 ROWS)",
        "MERGE INTO t USING (SELECT 1 FROM u FOR UPDATE) s ON true WHEN MATCHED THEN DELETE",
        "WITH \"a.b\" AS (SELECT 1) SELECT * FROM a.b",
        "SELECT * FROM u UNION TABLE t",
        "WITH a AS (SELECT 1) FROM t SELECT * FROM a",
    ] {
        assert_eq!(refused(sql).kind(), ErrorKind::Unsupported, "{sql}");
    }
}

#[test]
fn errors_name_the_place() {
    for (sql, line, column) in [
        ("SELECT *\nFROM t WHERE", "2", "13"),
        ("SELECT 1;\n  SELCT 2", "2", "3"),
        ("SELECT 'abc", "1", "8"),
        ("SELECT * FROM t\n  x FOR VERSION AS OF 1", "2", "5"),
        ("DROP TABLE", "1", "11"),
        (
            "CREATE TABLE t (a INT)\nPARTITIONED BY (dayz(a))",
            "2",
            "17",
        ),
        ("SELECT a b c", "1", "12"),
    ] {
        let error = refused(sql);
        let context: Vec<_> = error
            .context()
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        assert_eq!(
            context,
            [("line", line), ("column", column)],
            "{sql}: {error}"
        );
        assert!(
            error
                .to_string()
                .contains(&format!("line {line}, column {column}:")),
            "{error}"
        );
    }
}

#[test]
fn misspelled_statements_get_a_suggestion() {
    assert!(
        refused("SELCET 1")
            .message()
            .contains("did you mean `SELECT`?")
    );
    assert!(
        refused("ISNERT INTO t VALUES (1)")
            .message()
            .contains("`INSERT`")
    );
    assert!(refused("SHOW TABELS").message().contains("`TABLES`"));
    assert!(
        refused("xyzzy")
            .message()
            .contains("expected an SQL statement")
    );
}

#[test]
fn several_statements_comments_and_nothing() {
    assert!(parse("").unwrap().is_empty());
    assert!(
        parse(" ;; -- only a comment\n; /* and /* nested */ */")
            .unwrap()
            .is_empty()
    );
    let statements = parse("SELECT 1; /* a; b */ SELECT ';' ;; SHOW TABLES -- end").unwrap();
    assert_eq!(statements.len(), 3);
    assert!(parse("SELECT 1 SELECT 2").is_err());
    // MySQL would run this; everywhere else it is a comment.
    assert_eq!(tables("SELECT * FROM t /*! , u */"), ["t"]);
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let sql = format!("SELECT {}1{}", "f(".repeat(2000), ")".repeat(2000));
    assert_eq!(refused(&sql).kind(), ErrorKind::InvalidInput);
    for (depth, kind) in [
        (40, ErrorKind::Unsupported),
        (2000, ErrorKind::InvalidInput),
    ] {
        let (open, close) = ("ARRAY<".repeat(depth), ">".repeat(depth));
        let sql = format!("CREATE TABLE t (a {open}INT{close})");
        assert_eq!(refused(&sql).kind(), kind);
    }
    let sql = format!("SELECT {}1{}", "(SELECT ".repeat(2000), ")".repeat(2000));
    assert_eq!(refused(&sql).kind(), ErrorKind::InvalidInput);
    let sql = format!("{} SELECT 1", "EXPLAIN ".repeat(20_000));
    assert!(parse(&sql).is_err());
}

const SAMPLES: &[&str] = &[
    "WITH a AS (SELECT 1) SELECT * FROM a JOIN t FOR VERSION AS OF 'x' AS y ON a . b >> 2 = 1",
    "SELECT * FROM t TIMESTAMP AS OF now ( ) - INTERVAL 1 DAY AT ( VERSION => 3 ) BEFORE",
    "INSERT INTO t ( a , b ) SELECT * FROM u AS OF TIMESTAMP '2026' ON CONFLICT DO NOTHING",
    "CREATE TABLE IF NOT EXISTS t ( a STRUCT < x : ARRAY < INT > > NOT NULL DEFAULT 1 , b MAP < \
     INT , INT > ) USING iceberg PARTITIONED BY ( days ( a ) , bucket ( 4 , b ) ) COMMENT 'c' \
     TBLPROPERTIES ( 'k' = 'v' ) WITH ( partitioning = ARRAY [ 'month(d)' ] ) AS SELECT 1",
    "ALTER TABLE t CREATE OR REPLACE BRANCH IF NOT EXISTS b AS OF VERSION 1 RETAIN 3 DAYS WITH \
     SNAPSHOT RETENTION 2 SNAPSHOTS 4 HOURS",
    "CALL c . system . p ( table => 't' , x => ARRAY [ 1 ] ) ; SHOW TABLES IN a . b LIKE 'x'",
    "EXPLAIN ANALYZE VERBOSE FORMAT tree SELECT 1 ; SET TIME ZONE 'UTC' ; RESET x . y ; USE a . b",
    "COPY ( SELECT 1 ) TO 'x' STORED AS PARQUET ; COPY t VERSION AS OF 1 TO 'y' OPTIONS ( a 1 )",
    "DESCRIBE TABLE EXTENDED t ; DROP TABLE IF EXISTS a . b , c PURGE ; DROP SCHEMA s CASCADE",
    "CREATE EXTERNAL TABLE t ( a INT ) STORED AS CSV LOCATION 'x' ; CREATE SCHEMA s WITH \
     PROPERTIES ( 'a' = 1 ) LOCATION 'l'",
];

/// A small generator of numbers, so that a failure can be repeated.
fn next(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap()
}

#[test]
fn truncated_and_shuffled_statements_never_panic() {
    let mut seed = 20_261_122;
    for sample in SAMPLES {
        let words: Vec<&str> = sample.split_whitespace().collect();
        for end in 0..=words.len() {
            drop(parse(&words[..end].join(" ")));
            drop(parse(&words[end..].join(" ")));
        }
        for end in 0..sample.len() {
            drop(parse(&sample[..end]));
        }
        for _ in 0..200 {
            let mut shuffled = words.clone();
            for _ in 0..=next(&mut seed) % 4 {
                let (a, b) = (next(&mut seed) % words.len(), next(&mut seed) % words.len());
                shuffled.swap(a, b);
            }
            let other = SAMPLES[next(&mut seed) % SAMPLES.len()];
            let extra = other
                .split_whitespace()
                .nth(next(&mut seed) % 12)
                .unwrap_or(";");
            shuffled.insert(next(&mut seed) % words.len(), extra);
            drop(parse(&shuffled.join(" ")));
        }
    }
}

#[test]
fn explain_keeps_the_statement() {
    let mut statements = parse("EXPLAIN SELECT * FROM t").unwrap();
    let Some(Statement::Explain(Explain { statement, .. })) = statements.pop() else {
        panic!("no EXPLAIN")
    };
    assert!(matches!(*statement, Statement::Query(_)));
}
