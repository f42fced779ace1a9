//! EXPLAIN as the documentation shows it, and what a scan tells of a table with partitions.

use std::path::PathBuf;

use crate::lake::TestLake;
use crate::script::without_measures;

/// Numbers with at least so many digits are ids.
const ID_DIGITS_MIN: usize = 12;

/// A line as far as it is the same in each run: no padding, times, sizes and ids.
fn stable(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = without_measures(&line);
    let words = line.split(' ').map(|word| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        match word.split_once('=') {
            _ if digits < ID_DIGITS_MIN => word.to_owned(),
            Some((name, _)) => format!("{name}={{id}}"),
            None => "{id}".to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The lines of a table of two columns, without its borders and heads.
fn lines_of(table: &str) -> Vec<String> {
    let lines = table.lines().filter(|line| !line.starts_with('+')).skip(1);
    lines
        .map(|line| stable(&line.trim_matches('|').replacen('|', " ", 1)))
        .collect()
}

/// The fenced blocks of a page: their language and their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut parts = page.split("```");
    let mut blocks = Vec::new();
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap();
        blocks.push((language.to_owned(), text.to_owned()));
    }
    blocks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_on_explain_shows_what_is_answered() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/explain.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lake = TestLake::folder().await;
    let mut answer = Vec::new();
    let mut compared = 0;
    for (language, text) in blocks(&page) {
        if language == "sql" {
            for statement in text.split(';').map(str::trim).filter(|sql| !sql.is_empty()) {
                let result = lake.session.sql(statement).await.unwrap();
                answer = lines_of(&result.to_table().await.unwrap());
            }
        } else {
            let shown: Vec<String> = text.lines().map(stable).collect();
            assert_eq!(answer, shown);
            compared += 1;
        }
    }
    assert_eq!(compared, 2);
}

#[tokio::test]
async fn nothing_learned_from_rows_is_told() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (id INT)").await;
    lake.run("INSERT INTO t VALUES (987654), (123456)").await;
    lake.run("INSERT INTO t VALUES (876543)").await;
    for sql in [
        "SELECT id FROM t ORDER BY id DESC LIMIT 1",
        "SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.id % 2 = 0",
    ] {
        for kind in ["ANALYZE", "ANALYZE VERBOSE"] {
            let told = lake.rows(&format!("EXPLAIN {kind} {sql}")).await.join("\n");
            assert!(told.contains("dynamic filter    on id"), "{told}");
            for value in ["987654", "123456", "876543"] {
                assert!(!told.contains(value), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn verbose_shows_more_kinds() {
    let lake = TestLake::memory().await;
    lake.run("CREATE TABLE t (id INT)").await;
    lake.run("INSERT INTO t VALUES (1), (2)").await;
    let told = lake.rows("EXPLAIN ANALYZE VERBOSE SELECT id FROM t").await;
    let told = told.join("\n");
    for part in ["analyzed_plan", "table_scans", "totals", "bytes_scanned="] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = lake
        .rows("EXPLAIN VERBOSE SELECT id FROM t")
        .await
        .join("\n");
    for part in ["initial_logical_plan", "physical_plan after", "table_scans"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// An aggregate stands between the join and the scan: each row left out is one less to group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_below_an_aggregate_gives_the_rows_of_a_joins_keys_alone() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE sales AS SELECT value % 5000 AS item, value AS amount
         FROM generate_series(1, 60000) AS t(value)",
    )
    .await;
    lake.run("CREATE TABLE items AS SELECT * FROM (VALUES (0), (17), (4999)) AS t(id)")
        .await;
    let told = lake
        .rows(
            "EXPLAIN ANALYZE SELECT i.id, g.sold FROM items i
             JOIN (SELECT item, sum(amount) AS sold FROM sales GROUP BY item) g ON i.id = g.item",
        )
        .await
        .join("\n");
    assert!(
        told.contains("rows decoded      60000 of 60000; given: 36"),
        "{told}"
    );
}
