//! `CREATE TABLE` in the words of Spark, Athena and Trino, and what is refused.

use datafusion::sql::sqlparser::ast::DataType;
use iceberg::spec::Transform;
use lakehouse_core::error::ErrorKind;

use super::{CreateMode, CreateTable};
use crate::statement::Statement;
use crate::statement::tests::{assert_refused, dotted, read};

fn create_table(sql: &str) -> CreateTable {
    match read(sql) {
        Statement::CreateTable(table) => table,
        other => panic!("{other:?}"),
    }
}

/// `name TYPE [!]` per column, `!` for not null.
fn columns(table: &CreateTable) -> Vec<String> {
    table
        .columns
        .iter()
        .map(|column| {
            let mark = if column.nullable { "" } else { " !" };
            format!("{} {}{mark}", column.name, column.data_type)
        })
        .collect()
}

fn partitions(table: &CreateTable) -> Vec<String> {
    table
        .partitioned_by
        .iter()
        .map(|term| format!("{}({})", term.transform, dotted(&term.source)))
        .collect()
}

#[test]
fn create_table_in_sparks_words() {
    let table = create_table(
        "CREATE TABLE IF NOT EXISTS c.n.t (id BIGINT NOT NULL COMMENT 'key', a STRING DEFAULT 'x' || \
         'y' NOT NULL, s STRUCT<x: INT, y: ARRAY<MAP<STRING, STRUCT<z: DATE>>>>, d DECIMAL(10, 2)) \
         USING iceberg PARTITIONED BY (days(ts), bucket(16, id), truncate(4, s.x), a) \
         LOCATION 's3://b/t' COMMENT 'about' TBLPROPERTIES ('k'='v', write.format.default='orc')",
    );
    assert_eq!(dotted(&table.name), "c.n.t");
    assert_eq!(table.mode, CreateMode::NewOrNothing);
    assert_eq!(
        columns(&table),
        [
            "id BIGINT !",
            "a STRING !",
            "s STRUCT<x INT, y ARRAY<Map(STRING, STRUCT<z DATE>)>>",
            "d DECIMAL(10,2)"
        ]
    );
    assert_eq!(table.columns[0].comment.as_deref(), Some("key"));
    assert_eq!(
        table.columns[1]
            .default
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("'x' || 'y'")
    );
    assert_eq!(
        partitions(&table),
        [
            "day(ts)",
            "bucket[16](id)",
            "truncate[4](s.x)",
            "identity(a)"
        ]
    );
    assert_eq!(table.location.as_deref(), Some("s3://b/t"));
    assert_eq!(table.comment.as_deref(), Some("about"));
    assert_eq!(
        table.properties,
        [
            ("k".to_string(), "v".to_string()),
            ("write.format.default".to_string(), "orc".to_string())
        ]
    );
    assert!(table.query.is_none());
}

#[test]
fn create_table_in_trinos_and_athenas_words() {
    let table = create_table(
        "CREATE TABLE t (d date, x bigint, r ROW(a int, b ROW(c varchar)), l array(int), m \
         map(varchar, array(double)), p int[]) WITH (format = 'PARQUET', format_version = 2, \
         partitioning = ARRAY['month(d)', 'bucket(x, 10)', 'd'], location = 'l')",
    );
    assert_eq!(
        columns(&table),
        [
            "d DATE",
            "x BIGINT",
            "r STRUCT<a INT, b STRUCT<c VARCHAR>>",
            "l ARRAY<INT>",
            "m Map(VARCHAR, ARRAY<DOUBLE>)",
            "p INT[]"
        ]
    );
    assert_eq!(
        partitions(&table),
        ["month(d)", "bucket[10](x)", "identity(d)"]
    );
    assert_eq!(
        table.properties,
        [
            ("write.format.default".to_string(), "parquet".to_string()),
            ("format-version".to_string(), "2".to_string())
        ]
    );
    assert_eq!(table.location.as_deref(), Some("l"));

    let table = create_table(
        "CREATE TABLE t (d date) PARTITIONED BY (day(d)) LOCATION 'l' TBLPROPERTIES \
         ('table_type'='ICEBERG', 'format'='PARQUET')",
    );
    assert_eq!(
        table.properties,
        [("write.format.default".to_string(), "parquet".to_string())]
    );
}

#[test]
fn every_transform_spelling() {
    for (spelling, expected) in [
        ("year(a)", Transform::Year),
        ("YEARS(a)", Transform::Year),
        ("month(a)", Transform::Month),
        ("months(a)", Transform::Month),
        ("day(a)", Transform::Day),
        ("days(a)", Transform::Day),
        ("date(a)", Transform::Day),
        ("hour(a)", Transform::Hour),
        ("hours(a)", Transform::Hour),
        ("date_hour(a)", Transform::Hour),
        ("identity(a)", Transform::Identity),
        ("a", Transform::Identity),
        ("bucket(8, a)", Transform::Bucket(8)),
        ("bucket(a, 8)", Transform::Bucket(8)),
        ("truncate(8, a)", Transform::Truncate(8)),
        ("truncate(a, 8)", Transform::Truncate(8)),
    ] {
        let sql = format!("CREATE TABLE t (a INT) PARTITIONED BY ({spelling} AS p)");
        let table = create_table(&sql);
        let term = &table.partitioned_by[0];
        assert_eq!(
            (term.transform, dotted(&term.source).as_str()),
            (expected, "a"),
            "{spelling}"
        );
        assert_eq!(
            term.name.as_ref().map(|name| name.value.as_str()),
            Some("p")
        );
        assert_eq!(term.span.start.column, 40, "{spelling}");
    }
    for term in [
        "bucket(0, a)",
        "bucket(a)",
        "bucket(-1, a)",
        "truncate(a, b)",
        "dayz(a)",
        "days(a, b)",
        "bucket(2147483648, a)",
        "dt date",
        "days(a) + 1",
        "",
    ] {
        let sql = format!("CREATE TABLE t (a INT) PARTITIONED BY ({term})");
        assert_refused(ErrorKind::InvalidInput, "line 1", &[&sql]);
        let sql = format!("CREATE TABLE t (a INT) WITH (partitioning = ARRAY['{term}'])");
        assert_refused(ErrorKind::InvalidInput, "line 1", &[&sql]);
    }
}

#[test]
fn create_table_as_query() {
    for sql in [
        "CREATE TABLE t AS SELECT 1 AS a",
        "CREATE TABLE t (a, b) AS SELECT 1, 2",
        "CREATE TABLE t USING iceberg TBLPROPERTIES ('k'='v') PARTITIONED BY (a) AS SELECT 1 AS a",
        "CREATE TABLE t COMMENT 'x' AS (SELECT 1)",
        "CREATE TABLE t AS WITH x AS (SELECT 1) SELECT * FROM x WITH DATA",
        "CREATE TABLE t WITH (format = 'PARQUET', table_type = 'ICEBERG', is_external = false) AS \
         VALUES (1)",
    ] {
        assert!(create_table(sql).query.is_some(), "{sql}");
    }
    let table = create_table("CREATE TABLE t (a, b INT) AS SELECT 1, 2");
    assert_eq!(table.columns[0].data_type, DataType::Unspecified);
}

#[test]
fn what_a_table_that_exists_means_is_said_before_its_name() {
    for (sql, mode) in [
        ("CREATE TABLE t (a INT)", CreateMode::New),
        (
            "CREATE TABLE IF NOT EXISTS t (a INT)",
            CreateMode::NewOrNothing,
        ),
        (
            "CREATE OR REPLACE TABLE t AS SELECT 1",
            CreateMode::NewOrReplace,
        ),
        ("REPLACE TABLE t (a INT) USING iceberg", CreateMode::Replace),
    ] {
        assert_eq!(create_table(sql).mode, mode, "{sql}");
    }
}

#[test]
fn create_table_refusals() {
    assert_refused(
        ErrorKind::Unsupported,
        "",
        &[
            "CREATE TEMPORARY TABLE t (a INT)",
            "CREATE TABLE t (a INT) USING parquet",
            "CREATE TABLE t (a INT) STORED AS PARQUET",
            "CREATE TABLE t (a INT) CLUSTERED BY (a) INTO 4 BUCKETS",
            "CREATE TABLE t (a INT PRIMARY KEY)",
            "CREATE TABLE t (a INT, PRIMARY KEY (a))",
            "CREATE TABLE t (LIKE u)",
            "CREATE TABLE t LIKE u",
            "CREATE TABLE t AS SELECT 1 WITH NO DATA",
            "CREATE TABLE t (a INT) WITH (sorted_by = ARRAY['a'])",
            "CREATE TABLE t (a INT) TBLPROPERTIES ('table_type'='HIVE')",
            "CREATE TABLE t (a STRUCT<x: INT NOT NULL>)",
            "CREATE VIEW v AS SELECT 1",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "CREATE MATERIALIZED VIEW v AS SELECT 1",
            "CREATE INDEX i ON t (a)",
            "CREATE FUNCTION f() RETURNS INT RETURN 1",
        ],
    );
    assert_refused(
        ErrorKind::InvalidInput,
        "line",
        &[
            "CREATE TABLE t",
            "CREATE OR REPLACE TABLE IF NOT EXISTS t (a INT)",
            "REPLACE TABLE IF NOT EXISTS t (a INT)",
            "REPLACE TABLE t",
            "REPLACE INTO t VALUES (1)",
            "CREATE TABLE t (a)",
            "CREATE TABLE t ()",
            "CREATE TABLE t (a INT,)",
            "CREATE TABLE t (a INT) LOCATION 'a' LOCATION 'b'",
            "CREATE TABLE t (a INT) PARTITIONED BY (a) PARTITIONED BY (a)",
            "CREATE TABLE t (a INT) TBLPROPERTIES ('k'='1', 'k'='2')",
            "CREATE TABLE t (a INT) TBLPROPERTIES ('k'='1') TBLPROPERTIES ('k'='2')",
            "CREATE TABLE t (a INT) WITH (formt = 'PARQUET')",
            "CREATE TABLE t (a INT) WITH (location = 'a', location = 'b')",
            "CREATE TABLE t (a ARRAY<INT>>)",
            "CREATE TABLE t (a ARRAY<INT)",
            "CREATE TABLE t (a ARRAY<INT)>)",
            "CREATE TABLE t (a STRUCT<x: ARRAY<INT>, y>)",
            "CREATE TABLE t (a MAP<INT>)",
        ],
    );
}
