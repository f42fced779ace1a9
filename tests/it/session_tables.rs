//! Tables of a session alone, external ones above all, beside the lake's.

use std::path::PathBuf;

use datafusion::prelude::SessionContext;
use lakehouse::{Error, ErrorKind};
use tempfile::TempDir;

use crate::lake::{TestLake, rows_of};

/// A CSV file with the columns `a` and `b` and two rows.
fn csv(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, "a,b\n1,x\n2,y\n").unwrap();
    path
}

fn external(name: &str, folder: &TempDir) -> String {
    let path = csv(folder);
    format!(
        "CREATE EXTERNAL TABLE {name} STORED AS CSV LOCATION '{}' OPTIONS (has_header 'true')",
        path.display()
    )
}

#[tokio::test]
async fn an_external_table_takes_no_name_of_the_lake() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    lake.run("CREATE TABLE u (id INT)").await;
    for (name, kind) in [
        ("u", ErrorKind::AlreadyExists),
        ("U", ErrorKind::AlreadyExists),
        ("lake.default.u", ErrorKind::AlreadyExists),
        ("nonexist.ex2", ErrorKind::NotFound),
    ] {
        let error = lake.fails(&external(name, &folder)).await;
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
    // Nor does the lake take one of the session's.
    lake.run(&external("e1", &folder)).await;
    let error = lake.fails(&external("e1", &folder)).await;
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let error = lake.fails("CREATE TABLE E1 (id INT)").await;
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let again = external("IF NOT EXISTS e1", &folder);
    assert!(lake.rows(&again).await.is_empty());
    let listed = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'e1'";
    assert_eq!(lake.one(listed).await, "1");
}

#[tokio::test]
async fn an_external_table_is_described_and_dropped_by_every_name() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    lake.run("CREATE TABLE u (id INT); CREATE SCHEMA s").await;
    for name in ["E1", "default.e1", "lake.default.e1"] {
        lake.run(&external("e1", &folder)).await;
        assert_eq!(lake.one(&format!("SELECT count(*) FROM {name}")).await, "2");
        assert_eq!(
            lake.rows(&format!("DESCRIBE {name}")).await,
            ["a|BIGINT|", "b|VARCHAR|"]
        );
        let columns = lake.rows(&format!("SHOW COLUMNS IN {name}")).await;
        assert_eq!(columns, ["a|BIGINT|true|NULL", "b|VARCHAR|true|NULL"]);
        assert_eq!(lake.rows("SHOW TABLES").await, ["default|e1", "default|u"]);
        for refused in [
            format!("SHOW CREATE TABLE {name}"),
            format!("DROP TABLE {name} PURGE"),
        ] {
            let error = lake.fails(&refused).await;
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{refused}: {error}");
        }
        lake.run(&format!("DROP TABLE {name}, {name}")).await;
        assert_eq!(lake.rows("SHOW TABLES").await, ["default|u"]);
        assert_eq!(lake.fails(&format!("SELECT * FROM {name}")).await.kind(), {
            ErrorKind::NotFound
        });
    }
    assert!(csv(&folder).exists());
    lake.run(&external("s.e2", &folder)).await;
    lake.run("USE s").await;
    assert_eq!(lake.one("SELECT max(b) FROM e2").await, "y");
    lake.run("DROP TABLE e2; DROP TABLE default.u").await;
}

#[tokio::test]
async fn another_context_hides_no_table_of_the_lake() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    lake.run("CREATE TABLE u (id INT)").await;
    let context = SessionContext::new();
    lake.lake.register(&context).await.unwrap();
    let statement = external("lake.default.u", &folder);
    let error = match context.sql(&statement).await {
        Ok(_) => panic!("an external table hides one of the lake"),
        Err(error) => Error::from(error),
    };
    assert!(error.to_string().contains("already exists"), "{error}");
}

#[tokio::test]
async fn a_file_is_read_by_its_last_extension() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    lake.run("CREATE TABLE \"my.csv_old\" (id INT); INSERT INTO \"my.csv_old\" VALUES (5)")
        .await;
    assert_eq!(lake.one("SELECT id FROM \"my.csv_old\"").await, "5");
    let path = csv(&folder);
    let query = format!("SELECT count(*) FROM '{}'", path.display());
    assert_eq!(lake.one(&query).await, "2");
    let error = lake.fails("SELECT * FROM \"no.csv_old\"").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_frame_is_read_as_of_the_session_s_time() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (n INT); INSERT INTO t VALUES (1)")
        .await;
    lake.clock.set_ms(crate::lake::START_MS + 86_400_000);
    lake.run("INSERT INTO t VALUES (2); SET lakehouse.as_of = '2026-01-01 12:00:00'")
        .await;
    let frame = lake.session.table("t").await.unwrap();
    assert_eq!(frame.count().await.unwrap(), 1);
    lake.run("RESET lakehouse.as_of").await;
    let frame = lake.session.table("t").await.unwrap();
    assert_eq!(frame.count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_parameter_without_a_value_is_named_before_anything_runs() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (n INT)").await;
    for statement in [
        "SELECT n FROM t WHERE n = $1",
        "INSERT INTO t SELECT n FROM t WHERE n = $1",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM t WHERE n = $1)",
    ] {
        let error = match lake.session.sql(statement).await {
            Ok(_) => panic!("{statement} was started"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("parameter $1"), "{error}");
    }
    let values = vec![datafusion::common::ScalarValue::from(1_i32)];
    let result = lake.session.sql_with("SELECT $1 + 1", values).await;
    assert_eq!(rows_of(result.unwrap()).await.unwrap(), ["2"]);
}

#[tokio::test]
async fn a_query_of_json_sees_the_last_line_as_the_first() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("late.json");
    let mut text = "{\"a\": 1, \"l\": [1]}\n".repeat(3000);
    text.push_str("{\"a\": 1.5, \"l\": [1.5]}\n{\"a\": -0.9, \"z\": 9}\n");
    std::fs::write(&path, text).unwrap();
    let external = format!(
        "CREATE EXTERNAL TABLE late STORED AS JSON LOCATION '{}'",
        path.display()
    );
    lake.run(&external).await;
    for table in [format!("'{}'", path.display()), "late".to_owned()] {
        let sums = format!("SELECT sum(a), sum(l[1]), sum(z) FROM {table}");
        assert_eq!(lake.rows(&sums).await, ["3000.6|3001.5|9"], "{table}");
    }
}
