//! Statements that are too large: refused, and never the end of the process.

use crate::lake::TestLake;

/// As many operators as a build without optimisation takes.
const OPERATORS: usize = 119;

/// Runs statements where a thread's stack is small, as those of the runtime are.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of the runtime has less stack than that of the test"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_chains_run() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t AS SELECT 1 AS a, 'x' AS b").await;
    let chain = |first: &str, part: &str, times: usize| format!("{first}{}", part.repeat(times));
    let statements = [
        format!(
            "SELECT a FROM t WHERE {}",
            chain("a = 1", " OR a = 2", OPERATORS / 2)
        ),
        format!("SELECT {} FROM t", chain("a", " + 1", OPERATORS)),
        format!("SELECT {} FROM t", chain("b", " || 'x'", OPERATORS)),
        format!("SELECT {} FROM t", chain("a", "::int", OPERATORS)),
        format!("SELECT {} FROM t", chain("a", " IS NULL", OPERATORS)),
        chain("SELECT a FROM t", " EXCEPT SELECT 2", 29),
        chain("SELECT a FROM t", " UNION ALL SELECT a FROM t", 29),
        chain("SELECT a FROM t", " UNION SELECT a FROM t", 29),
        chain("FROM t", " |> WHERE a = 1", 29),
        format!(
            "SELECT x FROM {}SELECT {} AS x FROM t{}",
            "(SELECT x FROM ".repeat(7) + "(",
            chain("a", " + 1", 100),
            ")".repeat(8)
        ),
        format!("SELECT a0.a FROM t AS a0 {}", joins(39)),
        format!(
            "WITH c0 AS (SELECT a FROM t) {} SELECT a FROM c24",
            tables(24)
        ),
        format!(
            "SELECT {}a{} FROM t",
            "(".repeat(16),
            format!("{})", " + 1".repeat(6)).repeat(16)
        ),
    ];
    for statement in statements {
        let lake = &lake;
        let session = lake.lake.session().unwrap();
        let short: String = statement.chars().take(60).collect();
        let ran = tokio::spawn(async move {
            match session.sql(&statement).await {
                Ok(result) => result.collect().await.map(|_| ()),
                Err(error) => Err(error),
            }
        });
        if let Err(error) = ran.await.unwrap() {
            panic!("{short}: {error}");
        }
    }
}

fn joins(count: usize) -> String {
    let joins = (1..=count).map(|n| format!("JOIN t AS a{n} ON a{n}.a = a0.a "));
    joins.collect()
}

fn tables(count: usize) -> String {
    let tables = (1..=count).map(|n| format!(", c{n} AS (SELECT a FROM c{})", n - 1));
    tables.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn longer_chains_are_refused() {
    let lake = TestLake::memory().await;
    for part in [" OR true", " + 1", "::int", " IS NULL", " EXCEPT SELECT 1"] {
        let error = lake
            .fails(&format!("SELECT 1{}", part.repeat(20_000)))
            .await;
        assert!(error.to_string().contains("too long"), "{part}: {error}");
    }
}

#[tokio::test]
async fn types_that_nest_too_deep_are_refused() {
    let lake = TestLake::memory().await;
    for statement in [
        format!("CREATE TABLE x (a INT{})", "[]".repeat(40)),
        format!("CREATE TABLE x (a INT{})", "[]".repeat(3_000)),
        format!("CREATE TABLE x (a STRUCT<b: INT>{})", "[]".repeat(40)),
        format!(
            "CREATE TABLE x (a ARRAY<INT{}>{})",
            "[]".repeat(20),
            "[]".repeat(20)
        ),
    ] {
        let error = lake.fails(&statement).await.to_string();
        assert!(
            error.contains("nest at most 32") || error.contains("too long"),
            "{error}"
        );
    }
    lake.run(&format!("CREATE TABLE x (a INT{})", "[]".repeat(31)))
        .await;
    assert!(lake.rows("SELECT a FROM x").await.is_empty());
}
