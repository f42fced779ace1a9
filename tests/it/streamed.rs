//! Statements whose scans are planned while they run.

use lakehouse::QueryResult;

use crate::lake::{TestLake, rows_of};

/// More manifests than are read at a time.
const COMMITS: usize = 20;

const STREAMED: &str = "planned as the scan runs";

/// A lake with a table of many small commits, opened anew so that nothing is in memory.
async fn lake() -> (TestLake, lakehouse::Lakehouse) {
    let made = TestLake::folder().await;
    made.run("CREATE TABLE t (id BIGINT, name VARCHAR)").await;
    for commit in 0..COMMITS {
        made.run(&format!("INSERT INTO t VALUES ({commit}, 'row {commit}')"))
            .await;
    }
    let cold = made.reopen().await;
    (made, cold)
}

async fn analyzed(lake: &lakehouse::Lakehouse, sql: &str) -> String {
    let result = lake.session().unwrap().sql(sql).await.unwrap();
    rows_of(result).await.unwrap().join("\n")
}

async fn count(result: QueryResult) -> usize {
    rows_of(result).await.unwrap().len()
}

#[tokio::test]
async fn statements_without_a_breaker_are_streamed_and_right() {
    for (sql, rows) in [
        ("SELECT * FROM t", COMMITS),
        ("SELECT upper(name) AS n FROM t WHERE id >= 5", COMMITS - 5),
        ("SELECT id FROM t WHERE name LIKE 'row%' LIMIT 7", 7),
        (
            "SELECT id FROM (SELECT id + 1 AS id FROM t) WHERE id > 3 OFFSET 2",
            COMMITS - 5,
        ),
        (
            "WITH a AS (SELECT id FROM t) SELECT id FROM a UNION ALL SELECT id FROM a",
            2 * COMMITS,
        ),
    ] {
        let (_made, cold) = lake().await;
        let explained = analyzed(&cold, &format!("EXPLAIN ANALYZE {sql}")).await;
        assert!(explained.contains(STREAMED), "{sql}: {explained}");
        let (_made, cold) = lake().await;
        let result = cold.session().unwrap().sql(sql).await.unwrap();
        assert_eq!(count(result).await, rows, "{sql}");
    }
}

#[tokio::test]
async fn statements_that_need_the_whole_plan_have_it() {
    for sql in [
        "SELECT count(*) FROM t",
        "SELECT DISTINCT name FROM t",
        "SELECT id FROM t ORDER BY id LIMIT 3",
        "SELECT a.id FROM t a JOIN t b ON a.id = b.id",
        "SELECT id FROM t WHERE id = (SELECT max(id) FROM t)",
        "SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE id < 3)",
        "SELECT id, row_number() OVER (ORDER BY id) FROM t",
    ] {
        let (_made, cold) = lake().await;
        let explained = analyzed(&cold, &format!("EXPLAIN ANALYZE {sql}")).await;
        assert!(!explained.contains(STREAMED), "{sql}: {explained}");
    }
}

#[tokio::test]
async fn an_explanation_plans_all_files_and_a_second_query_needs_no_manifest() {
    let (_made, cold) = lake().await;
    let sql = "SELECT id FROM t WHERE id = 3";
    let explained = analyzed(&cold, &format!("EXPLAIN {sql}")).await;
    assert!(!explained.contains(STREAMED), "{explained}");
    assert!(explained.contains("files=1/20"), "{explained}");
    // The manifests are in memory now.
    let explained = analyzed(&cold, &format!("EXPLAIN ANALYZE {sql}")).await;
    assert!(!explained.contains(STREAMED), "{explained}");
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_the_lake_usable() {
    let (_made, cold) = lake().await;
    let session = cold.session().unwrap();
    drop(session.sql("SELECT * FROM t").await.unwrap());
    let result = session.sql("SELECT * FROM t").await.unwrap();
    assert_eq!(count(result).await, COMMITS);
}
