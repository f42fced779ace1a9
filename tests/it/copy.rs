//! `COPY … TO` a file: what is there stays until the new file is complete.

use lakehouse::ErrorKind;
use tempfile::TempDir;

use crate::lake::TestLake;

fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_that_fails_leaves_what_was_there() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for ending in ["csv", "parquet", "json"] {
        let path = folder.path().join(format!("rows.{ending}"));
        std::fs::write(&path, "old").unwrap();
        let target = path.to_str().unwrap();
        lake.fails(&format!(
            "COPY (SELECT 10 / (n - 9000) FROM range(0, 10000) AS r(n)) TO '{target}'"
        ))
        .await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old", "{ending}");
    }
    assert_eq!(names(&folder), ["rows.csv", "rows.json", "rows.parquet"]);
}

#[tokio::test]
async fn a_copy_replaces_a_file_when_it_is_complete() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, "old").unwrap();
    let target = path.to_str().unwrap();
    assert_eq!(
        lake.rows(&format!("COPY (SELECT 7 AS n) TO '{target}'"))
            .await,
        ["1"]
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "n\n7\n");
    let url = format!("file://{target}");
    lake.run(&format!(
        "COPY (SELECT 8 AS n) TO '{url}' STORED AS CSV OPTIONS (has_header 'false')"
    ))
    .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "8\n");
    assert_eq!(names(&folder), ["rows.csv"]);
    // A folder gets files with names of their own.
    let parts = folder.path().join("parts");
    let into = format!(
        "COPY (SELECT 1 AS n) TO '{}/' STORED AS PARQUET",
        parts.display()
    );
    lake.run(&into).await;
    lake.run(&into).await;
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 2);
}

#[tokio::test]
async fn a_copy_to_a_store_that_is_not_there_is_not_offered() {
    let lake = TestLake::memory().await;
    let error = lake
        .fails("COPY (SELECT 1 AS n) TO 's3://bucket/rows.csv'")
        .await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("s3://bucket"), "{error}");
}

#[tokio::test]
async fn json_gets_no_null_for_a_number_that_it_cannot_say() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.json");
    std::fs::write(&path, "old").unwrap();
    let target = path.to_str().unwrap();
    for rows in [
        "SELECT CAST('NaN' AS DOUBLE) AS x",
        "SELECT CAST('inf' AS FLOAT) AS x",
        "SELECT [1.0, CAST('-inf' AS DOUBLE)] AS x",
        "SELECT struct(CAST('NaN' AS DOUBLE) AS y) AS x",
        "SELECT MAP {'k': CAST('NaN' AS DOUBLE)} AS x",
    ] {
        let error = lake.fails(&format!("COPY ({rows}) TO '{target}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("\"x\""), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    lake.run(&format!(
        "COPY (SELECT 1.5e0 AS x, [NULL, 2e0] AS l, CAST(CAST('NaN' AS DOUBLE) AS VARCHAR) AS t) TO '{target}'"
    ))
    .await;
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\"x\":1.5,\"l\":[null,2.0],\"t\":\"NaN\"}\n"
    );
    // The text is the number again.
    lake.run(&format!(
        "CREATE TABLE t (x DOUBLE, l ARRAY<DOUBLE>, t DOUBLE); COPY t FROM '{target}'"
    ))
    .await;
    assert_eq!(lake.one("SELECT t FROM t").await, "NaN");
    let csv = folder.path().join("rows.csv");
    lake.run(&format!(
        "COPY (SELECT CAST('NaN' AS DOUBLE) AS x) TO '{}'",
        csv.display()
    ))
    .await;
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), "x\nNaN\n");
}
