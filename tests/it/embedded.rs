//! A lake in a program: tables by name, and the program's own engine context.

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use lakehouse::{Error, ErrorKind};

use crate::lake::TestLake;

#[tokio::test]
async fn names_given_as_texts_are_quoted_where_they_hold_dots() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE SCHEMA a; CREATE SCHEMA \"a.b\"; CREATE TABLE \"a.b\".\"t.\"\"x\" (n INT); \
         INSERT INTO \"a.b\".\"t.\"\"x\" VALUES (1)",
    )
    .await;
    for name in ["\"a.b\".\"t.\"\"x\"", "`a.b`.`t.\"x`"] {
        let table = lake.lake.table(name).await.unwrap();
        assert_eq!(table.ident().name(), "t.\"x");
        let frame = lake.session.table(name).await.unwrap();
        assert_eq!(frame.count().await.unwrap(), 1);
    }
    let snapshots = lake.session.table("\"a.b\".\"t.\"\"x\".snapshots").await;
    assert_eq!(snapshots.unwrap().count().await.unwrap(), 1);
    for (name, kind) in [
        ("\"a.b\".t.x", ErrorKind::NotFound),
        ("\"a.b", ErrorKind::InvalidInput),
    ] {
        let error = lake.lake.table(name).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn other_contexts_refuse_changes_in_one_sentence() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2)")
        .await;
    let context = SessionContext::new();
    lake.lake.register(&context).await.unwrap();
    let catalog = lake.lake.default_catalog();
    for (statement, written) in [
        ("DELETE", "DELETE FROM {t} WHERE n = 1"),
        ("DELETE", "DELETE FROM {t} WHERE 1 = 2"),
        ("UPDATE", "UPDATE {t} SET n = 3 WHERE n = 1"),
        ("INSERT OVERWRITE", "INSERT OVERWRITE {t} VALUES (3)"),
    ] {
        let table = format!("{catalog}.default.t");
        let frame = context.sql(&written.replace("{t}", &table)).await.unwrap();
        let error = frame.collect().await.unwrap_err();
        let told =
            format!("{statement} on table {table} cannot run in this context; use `Session::sql`");
        assert_eq!(error.to_string(), format!("External error: {told}"));
        assert!(matches!(error, DataFusionError::External(_)));
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), told);
    }
    assert_eq!(lake.rows("SELECT count(*) FROM t").await, ["2"]);
}

#[tokio::test]
async fn the_engine_makes_no_tables_in_memory_among_those_of_the_lake() {
    let lake = TestLake::memory().await;
    let context = SessionContext::new();
    lake.lake.register(&context).await.unwrap();
    let name = format!("{}.default.x", lake.lake.default_catalog());
    for context in [&context, lake.session.context()] {
        for statement in [
            format!("CREATE TABLE {name} (n INT)"),
            format!("CREATE TABLE {name} AS SELECT 1 AS n"),
            format!("CREATE VIEW {name} AS SELECT 1 AS n"),
        ] {
            let error = Error::from(context.sql(&statement).await.unwrap_err());
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{statement}: {error}");
        }
    }
    let error = context.sql(&format!("SELECT * FROM {name}")).await;
    assert!(error.is_err());
    // The context's own catalog is its own.
    context
        .sql("CREATE TABLE x AS SELECT 1 AS n")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_analysed_insert_is_an_insert() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (ts TIMESTAMP, i INT)").await;
    let context = SessionContext::new();
    lake.lake.register(&context).await.unwrap();
    let insert = "INSERT INTO lake.default.t SELECT TIMESTAMP '2024-01-01 00:00:00.5', 1";
    let lost = "INSERT INTO lake.default.t \
         SELECT arrow_cast('2024-01-01 00:00:00.123456789', 'Timestamp(Nanosecond, None)'), 1";
    let explained = format!("EXPLAIN ANALYZE {lost}");
    assert!(
        lake.fails(&explained)
            .await
            .to_string()
            .contains("nanoseconds")
    );
    let frame = context.sql(&explained).await.unwrap();
    let error = frame.collect().await.unwrap_err().to_string();
    assert!(error.contains("nanoseconds"), "{error}");
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "0");
    // Written when the statement ends, whether or not somebody reads what it measured.
    let analysed = lake.session.sql(&format!("EXPLAIN ANALYZE {insert}")).await;
    assert!(analysed.unwrap().is_query());
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "1");
}

#[tokio::test]
async fn a_number_that_a_context_of_another_reads_as_a_double_is_not_made_up() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (n DECIMAL(38, 0))").await;
    let context = SessionContext::new();
    lake.lake.register(&context).await.unwrap();
    let nines = "9".repeat(38);
    for rows in [format!("VALUES ({nines})"), format!("SELECT -{nines}")] {
        let insert = format!("INSERT INTO lake.default.t {rows}");
        let error = match context.sql(&insert).await {
            Ok(frame) => frame.collect().await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("does not know all its digits"), "{error}");
    }
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "0");
    lake.run(&format!("INSERT INTO t VALUES ({nines}), (-{nines})"))
        .await;
    assert_eq!(lake.one("SELECT max(n) FROM t").await, nines);
}
