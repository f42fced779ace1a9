//! One table of spellings per family of statements, and what is refused.

mod changes;

use datafusion::common::format::ExplainFormat;
use datafusion::sql::sqlparser::ast::Ident;
use lakehouse_core::error::ErrorKind;

use super::{AlterAction, Describe, RefKind, RefOptions, SetValue, ShowTarget, Statement};
use crate::parse::parse;

pub(super) fn read(sql: &str) -> Statement {
    let mut statements = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(statements.len(), 1, "{sql}");
    statements.remove(0)
}

pub(super) fn assert_refused(kind: ErrorKind, part: &str, statements: &[&str]) {
    for sql in statements {
        let error = match parse(sql) {
            Ok(statements) => panic!("{sql} was read as {statements:?}"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
}

pub(super) fn dotted(name: &[Ident]) -> String {
    name.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(".")
}

#[test]
fn explain_has_options() {
    for (sql, expected) in [
        ("EXPLAIN SELECT 1", (false, false, None)),
        ("EXPLAIN ANALYZE VERBOSE SELECT 1", (true, true, None)),
        ("EXPLAIN EXTENDED SELECT 1", (false, true, None)),
        (
            "EXPLAIN FORMAT tree SELECT 1",
            (false, false, Some(ExplainFormat::Tree)),
        ),
        (
            "EXPLAIN (ANALYZE, FORMAT indent) SELECT 1",
            (true, false, Some(ExplainFormat::Indent)),
        ),
        (
            "EXPLAIN ANALYZE INSERT INTO t SELECT 1",
            (true, false, None),
        ),
        ("EXPLAIN (SELECT 1)", (false, false, None)),
    ] {
        let Statement::Explain(explain) = read(sql) else {
            panic!("{sql}")
        };
        assert_eq!(
            (explain.analyze, explain.verbose, explain.format),
            expected,
            "{sql}"
        );
    }
    assert_refused(
        ErrorKind::Unsupported,
        "EXPLAIN",
        &[
            "EXPLAIN SHOW TABLES",
            "EXPLAIN EXPLAIN SELECT 1",
            "EXPLAIN CODEGEN SELECT 1",
        ],
    );
    assert_refused(
        ErrorKind::InvalidInput,
        "expected",
        &["EXPLAIN FORMAT xml SELECT 1", "EXPLAIN"],
    );
}

#[test]
fn insert_is_plain() {
    for sql in [
        "INSERT INTO t VALUES (1, 'a')",
        "INSERT INTO TABLE a.b.t (x, y) SELECT * FROM u",
        "INSERT INTO t.`branch_x` WITH c AS (SELECT 1) SELECT * FROM c",
    ] {
        assert!(matches!(read(sql), Statement::Insert(_)), "{sql}");
    }
    for (sql, part) in [
        (
            "INSERT OVERWRITE DIRECTORY '/x' SELECT 1",
            "INSERT OVERWRITE DIRECTORY",
        ),
        (
            "INSERT INTO t PARTITION (a = 1) IF NOT EXISTS SELECT 1",
            "IF NOT EXISTS",
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "ON CONFLICT",
        ),
        ("INSERT INTO t VALUES (1) RETURNING a", "RETURNING"),
        ("INSERT OR REPLACE INTO t VALUES (1)", "OR …"),
    ] {
        assert_refused(ErrorKind::Unsupported, part, &[sql]);
    }
}

#[test]
fn inserts_have_forms() {
    let form = |sql: &str| match read(sql) {
        Statement::Insert(rows) => rows,
        Statement::Explain(explain) => match *explain.statement {
            Statement::Insert(rows) => rows,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let rows = form("EXPLAIN INSERT OVERWRITE TABLE a.t PARTITION (x = 1 + 1, Y) BY NAME SELECT 1");
    assert!(rows.overwrite && rows.by_name);
    let partition: Vec<String> = rows
        .partition
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.to_string(),
        })
        .collect();
    assert_eq!(partition, ["x=1 + 1", "Y"]);
    assert_eq!(rows.insert.to_string(), "INSERT INTO TABLE a.t SELECT 1");

    let rows = form("INSERT OVERWRITE t WITH ('isolation-level' = 'none') (a, b) VALUES (1, 2)");
    assert_eq!(rows.options.isolation.as_deref(), Some("none"));
    assert_eq!(rows.insert.columns.len(), 2);
    // Names that are words of the clauses.
    let rows = form("INSERT INTO partition (name) VALUES (1)");
    assert!(rows.partition.is_empty() && !rows.overwrite);
    let rows = form("INSERT INTO TABLE overwrite WITH c AS (SELECT 1) SELECT * FROM c");
    assert_eq!(
        rows.insert.to_string(),
        "INSERT INTO TABLE overwrite WITH c AS (SELECT 1) SELECT * FROM c"
    );
    assert_refused(
        ErrorKind::InvalidInput,
        "partition column a is named twice",
        &["INSERT INTO t PARTITION (a = 1, a = 2) SELECT 1"],
    );
}

#[test]
fn namespaces() {
    for sql in [
        "CREATE SCHEMA IF NOT EXISTS c.n COMMENT 'x' LOCATION 's3://b/n' WITH PROPERTIES (a.b = 1)",
        "create database if not exists c.n WITH DBPROPERTIES ('a.b' '1') LOCATION 's3://b/n' \
         COMMENT 'x'",
    ] {
        let Statement::CreateNamespace(namespace) = read(sql) else {
            panic!("{sql}")
        };
        assert_eq!(dotted(&namespace.name), "c.n");
        assert!(namespace.if_not_exists);
        assert_eq!(namespace.properties, [("a.b".to_string(), "1".to_string())]);
        assert_eq!(namespace.comment.as_deref(), Some("x"));
        assert_eq!(namespace.location.as_deref(), Some("s3://b/n"));
    }
    let Statement::CreateNamespace(namespace) = read("CREATE SCHEMA n WITH (location = 'l')")
    else {
        panic!("no namespace")
    };
    assert_eq!(namespace.location.as_deref(), Some("l"));
    let Statement::DropNamespace(dropped) = read("DROP DATABASE IF EXISTS a, b.c CASCADE") else {
        panic!("no drop")
    };
    assert_eq!(dropped.names.len(), 2);
    assert!(dropped.if_exists && dropped.cascade);
    assert!(matches!(read("DROP NAMESPACE a RESTRICT"), Statement::DropNamespace(d) if !d.cascade));
    assert_refused(
        ErrorKind::InvalidInput,
        "",
        &[
            "CREATE SCHEMA",
            "CREATE SCHEMA s AUTHORIZATION x",
            "CREATE SCHEMA s COMMENT 'a' COMMENT 'b'",
            "CREATE SCHEMA s WITH (locaton = 'x')",
        ],
    );
}

#[test]
fn drop_tables() {
    let Statement::DropTable(dropped) = read("DROP TABLE IF EXISTS a.b, c PURGE") else {
        panic!("no drop")
    };
    assert_eq!(dropped.names.len(), 2);
    assert!(dropped.if_exists && dropped.purge);
    assert_refused(
        ErrorKind::Unsupported,
        "DROP",
        &["DROP VIEW v", "DROP TABLE t CASCADE", "DROP FUNCTION f"],
    );
}

fn action(sql: &str) -> AlterAction {
    match read(sql) {
        Statement::AlterTable(alter) => alter.action,
        other => panic!("{other:?}"),
    }
}

#[test]
fn branches_and_tags() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let all = RefOptions {
        snapshot_id: Some(5),
        ref_age_max_ms: Some(7 * DAY_MS),
        snapshots_min: Some(2),
        snapshot_age_max_ms: Some(DAY_MS / 12),
    };
    let b = |options| AlterAction::CreateRef {
        kind: RefKind::Branch,
        name: Ident::new("b"),
        or_replace: false,
        if_not_exists: false,
        options,
    };
    let none = RefOptions::default;
    for (sql, expected) in [
        ("CREATE BRANCH b", b(none())),
        (
            "CREATE BRANCH b AS OF VERSION 5 RETAIN 7 DAYS WITH SNAPSHOT RETENTION 2 SNAPSHOTS 2 \
             HOURS",
            b(all),
        ),
        (
            "create branch b with snapshot retention 3 snapshots",
            b(RefOptions {
                snapshots_min: Some(3),
                ..none()
            }),
        ),
        (
            "CREATE BRANCH b WITH SNAPSHOT RETENTION 60 MINUTES",
            b(RefOptions {
                snapshot_age_max_ms: Some(DAY_MS / 24),
                ..none()
            }),
        ),
        (
            "CREATE OR REPLACE TAG x RETAIN 1 DAYS",
            AlterAction::CreateRef {
                kind: RefKind::Tag,
                name: Ident::new("x"),
                or_replace: true,
                if_not_exists: false,
                options: RefOptions {
                    ref_age_max_ms: Some(DAY_MS),
                    ..none()
                },
            },
        ),
        (
            "CREATE TAG IF NOT EXISTS x AS OF VERSION 9",
            AlterAction::CreateRef {
                kind: RefKind::Tag,
                name: Ident::new("x"),
                or_replace: false,
                if_not_exists: true,
                options: RefOptions {
                    snapshot_id: Some(9),
                    ..none()
                },
            },
        ),
        (
            "REPLACE BRANCH b AS OF VERSION 9",
            AlterAction::ReplaceRef {
                kind: RefKind::Branch,
                name: Ident::new("b"),
                options: RefOptions {
                    snapshot_id: Some(9),
                    ..none()
                },
            },
        ),
        (
            "DROP TAG IF EXISTS x",
            AlterAction::DropRef {
                kind: RefKind::Tag,
                name: Ident::new("x"),
                if_exists: true,
            },
        ),
        (
            "DROP BRANCH `b`",
            AlterAction::DropRef {
                kind: RefKind::Branch,
                name: Ident::with_quote('`', "b"),
                if_exists: false,
            },
        ),
    ] {
        assert_eq!(action(&format!("ALTER TABLE c.t {sql}")), expected, "{sql}");
    }
}

#[test]
fn alter_refusals() {
    for (sql, part) in [
        ("ALTER TABLE t EXECUTE optimize", "EXECUTE OPTIMIZE"),
        ("ALTER TABLE t ADD CONSTRAINT c", "ADD CONSTRAINT"),
        ("ALTER TABLE t REPLACE COLUMNS (a INT)", "REPLACE COLUMNS"),
        ("ALTER TABLE t ADD PARTITION (a = 1)", "PARTITION FIELD"),
        ("ALTER TABLE t ADD COLUMN a INT PRIMARY KEY", "PRIMARY"),
        (
            "ALTER TABLE t SET PROPERTIES partitioning = ARRAY['a']",
            "PARTITION",
        ),
        ("ALTER VIEW v AS SELECT 1", "ALTER VIEW"),
    ] {
        assert_refused(ErrorKind::Unsupported, part, &[sql]);
    }
    assert_refused(
        ErrorKind::InvalidInput,
        "line",
        &[
            "ALTER TABLE t",
            "ALTER TABLE t CREATE OR REPLACE BRANCH IF NOT EXISTS b",
            "ALTER TABLE t CREATE TAG x WITH SNAPSHOT RETENTION 2 SNAPSHOTS",
            "ALTER TABLE t CREATE BRANCH b RETAIN 7 WEEKS",
            "ALTER TABLE t CREATE BRANCH b RETAIN 0 DAYS",
            "ALTER TABLE t CREATE BRANCH b RETAIN 9223372036854775807 DAYS",
            "ALTER TABLE t CREATE BRANCH b AS OF VERSION 'x'",
            "ALTER TABLE t CREATE BRANCH b AS OF TIMESTAMP '2026'",
            "ALTER TABLE t CREATE BRANCH b WITH SNAPSHOT RETENTION",
            "ALTER TABLE t CREATE BRANCH b RETAIN 1 DAYS AS OF VERSION 1",
        ],
    );
}

#[test]
fn calls() {
    let sql = "CALL c.system.expire_snapshots(table => 'n.t', older_than => TIMESTAMP '2026-01-01', \
               snapshot_ids => ARRAY[1, 2])";
    let Statement::Call(call) = read(sql) else {
        panic!("no call")
    };
    assert_eq!(dotted(&call.procedure), "c.system.expire_snapshots");
    let names: Vec<_> = call
        .arguments
        .iter()
        .map(|argument| argument.name.as_ref().map(|name| name.value.as_str()))
        .collect();
    assert_eq!(
        names,
        [Some("table"), Some("older_than"), Some("snapshot_ids")]
    );
    let Statement::Call(call) = read("CALL p('n.t', 1, $1, map('a', 'b'))") else {
        panic!("no call")
    };
    assert_eq!(call.arguments.len(), 4);
    assert!(
        call.arguments
            .iter()
            .all(|argument| argument.name.is_none())
    );
    assert!(matches!(read("CALL p()"), Statement::Call(call) if call.arguments.is_empty()));
    assert_refused(
        ErrorKind::InvalidInput,
        "",
        &[
            "CALL p",
            "CALL p(a => 1, 2)",
            "CALL p(1, a => 2)",
            "CALL p(a => 1, A => 2)",
            "CALL p(1,)",
        ],
    );
}

#[test]
fn shows() {
    let name = |text: &str| text.split('.').map(Ident::new).collect::<Vec<_>>();
    let like = || Some("x%".to_string());
    for (sql, expected) in [
        (
            "SHOW NAMESPACES",
            ShowTarget::Namespaces {
                parent: None,
                pattern: None,
            },
        ),
        (
            "SHOW SCHEMAS FROM c.n LIKE 'x%'",
            ShowTarget::Namespaces {
                parent: Some(name("c.n")),
                pattern: like(),
            },
        ),
        (
            "SHOW DATABASES 'x%'",
            ShowTarget::Namespaces {
                parent: None,
                pattern: like(),
            },
        ),
        (
            "show tables",
            ShowTarget::Tables {
                namespace: None,
                pattern: None,
            },
        ),
        (
            "SHOW TABLES IN c.n LIKE 'x%'",
            ShowTarget::Tables {
                namespace: Some(name("c.n")),
                pattern: like(),
            },
        ),
        (
            "SHOW COLUMNS IN t",
            ShowTarget::Columns { table: name("t") },
        ),
        (
            "SHOW CREATE TABLE n.t",
            ShowTarget::CreateTable { table: name("n.t") },
        ),
        (
            "SHOW TAGS FROM n.t",
            ShowTarget::Tags { table: name("n.t") },
        ),
        (
            "SHOW BRANCHES IN TABLE n.t",
            ShowTarget::Branches { table: name("n.t") },
        ),
        (
            "SHOW TBLPROPERTIES t",
            ShowTarget::TableProperties {
                table: name("t"),
                key: None,
            },
        ),
        (
            "SHOW TBLPROPERTIES t ('x%')",
            ShowTarget::TableProperties {
                table: name("t"),
                key: like(),
            },
        ),
        (
            "SHOW CATALOGS LIKE 'x%'",
            ShowTarget::Catalogs { pattern: like() },
        ),
        ("SHOW CURRENT NAMESPACE", ShowTarget::CurrentNamespace),
        ("SHOW CURRENT SCHEMA", ShowTarget::CurrentNamespace),
    ] {
        assert!(
            matches!(read(sql), Statement::Show(target) if target == expected),
            "{sql}"
        );
    }
    assert_refused(
        ErrorKind::InvalidInput,
        "expected",
        &[
            "SHOW",
            "SHOW TABLES IN",
            "SHOW COLUMNS",
            "SHOW VIEWZ",
            "SHOW CREATE VIEW v",
            "SHOW TAGS",
        ],
    );
}

#[test]
fn describes() {
    for (sql, table, extended) in [
        ("DESCRIBE t", "t", false),
        ("DESC TABLE a.b", "a.b", false),
        ("DESCRIBE EXTENDED t", "t", true),
        ("DESCRIBE TABLE FORMATTED t", "t", true),
        ("DESCRIBE extended", "extended", false),
        ("DESCRIBE schema", "schema", false),
    ] {
        let Statement::Describe(Describe {
            table: name,
            extended: found,
        }) = read(sql)
        else {
            panic!("{sql}")
        };
        assert_eq!((dotted(&name).as_str(), found), (table, extended), "{sql}");
    }
    assert_refused(
        ErrorKind::Unsupported,
        "DESCRIBE",
        &[
            "DESCRIBE SELECT 1",
            "DESCRIBE SCHEMA s",
            "DESC QUERY SELECT 1",
        ],
    );
    assert_refused(
        ErrorKind::InvalidInput,
        "expected",
        &["DESCRIBE", "DESCRIBE t c"],
    );
}

#[test]
fn session_statements() {
    for (sql, name, value) in [
        (
            "SET lakehouse.as_of = '2026-01-01'",
            "lakehouse.as_of",
            Some("'2026-01-01'"),
        ),
        ("SET Lakehouse.As_Of TO 5", "lakehouse.as_of", Some("5")),
        (
            "SET TIME ZONE 'Europe/Berlin'",
            "time zone",
            Some("'Europe/Berlin'"),
        ),
        ("SET timezone = 'UTC'", "time zone", Some("'UTC'")),
        (
            "SET spark.sql.session.timeZone = UTC",
            "time zone",
            Some("UTC"),
        ),
        ("SET TIME ZONE LOCAL", "time zone", None),
        ("SET x = DEFAULT", "x", None),
        ("SET x = on", "x", Some("on")),
        ("SET x = true", "x", Some("true")),
        ("SET x = -1", "x", Some("-1")),
        ("SET SESSION c.x = 1", "c.x", Some("1")),
        ("SET session = 1", "session", Some("1")),
    ] {
        let Statement::Set(set) = read(sql) else {
            panic!("{sql}")
        };
        assert_eq!(set.name, name, "{sql}");
        let found = match &set.value {
            SetValue::Expression(value) => Some(value.to_string()),
            SetValue::Default => None,
        };
        assert_eq!(found.as_deref(), value, "{sql}");
    }
    assert!(
        matches!(read("RESET lakehouse.as_of"), Statement::Reset(r) if r.name == "lakehouse.as_of")
    );
    assert!(matches!(read("RESET TIME ZONE"), Statement::Reset(r) if r.name == "time zone"));
    for (sql, expected) in [
        ("USE n", "n"),
        ("USE c.n", "c.n"),
        ("USE SCHEMA c.n", "c.n"),
        ("USE schema", "schema"),
    ] {
        let Statement::Use(found) = read(sql) else {
            panic!("{sql}")
        };
        assert_eq!(dotted(&found.namespace), expected, "{sql}");
    }
    assert_refused(
        ErrorKind::Unsupported,
        "",
        &["SET LOCAL x = 1", "USE CATALOG c"],
    );
    assert_refused(
        ErrorKind::InvalidInput,
        "expected",
        &[
            "SET",
            "SET x",
            "SET x =",
            "SET x 1",
            "SET x = 1, 2",
            "RESET",
            "USE",
            "USE 'n'",
        ],
    );
}

#[test]
fn what_datafusion_plans() {
    for sql in [
        "COPY t TO 'x.parquet'",
        "COPY a.b.t TO 'x' STORED AS CSV PARTITIONED BY (a) OPTIONS (format.has_header true)",
        "COPY (SELECT 1) TO 'x.json'",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'x'",
        "CREATE EXTERNAL TABLE IF NOT EXISTS t (a INT) STORED AS CSV LOCATION 'x' OPTIONS (a 'b')",
    ] {
        assert!(matches!(read(sql), Statement::DataFusion(_)), "{sql}");
    }
    assert_refused(
        ErrorKind::Unsupported,
        "COPY",
        &["COPY INTO t FROM 'x'", "COPY t FROM 'x'"],
    );
    assert_refused(
        ErrorKind::InvalidInput,
        "",
        &["COPY t", "COPY", "COPY t TO", "COPY t TO 'x' y"],
    );
}

#[test]
fn what_is_not_offered_says_so() {
    for (sql, part) in [
        ("GRANT SELECT ON t TO x", "GRANT"),
        ("BEGIN", "transactions"),
        ("COMMIT", "transactions"),
        ("TABLE t", "SELECT * FROM"),
    ] {
        assert_refused(ErrorKind::Unsupported, part, &[sql]);
    }
}
