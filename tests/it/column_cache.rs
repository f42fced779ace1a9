//! Columns that queries ask for again come from memory, and rows are the same as ever.

use lakehouse::{ErrorKind, Lakehouse, Session, Settings};

use crate::lake::{TestLake, rows_of, settings};

const TABLE: &str = "CREATE TABLE t (id INT, s VARCHAR, dec DECIMAL(20, 4), day DATE, d DOUBLE, \
       tags ARRAY<VARCHAR>, who STRUCT<first: VARCHAR, age: INT>, m MAP<VARCHAR, INT>) \
       TBLPROPERTIES ('write.parquet.row-group-size-bytes' = '4000', \
       'write.parquet.page-row-limit' = '100'); \
     INSERT INTO t SELECT value, CASE WHEN value % 7 > 0 THEN concat('a text of row ', value % 90) END, \
       value * 1.25, DATE '2026-01-01', value / 3.0, ['a', 'b'], \
       named_struct('first', 'Ada', 'age', 36), map {'x': 1, 'y': 2} \
       FROM generate_series(1, 2500); \
     INSERT INTO t (id, s) VALUES (2501, ''), (2502, NULL)";

/// Columns that are asked for one by one, together, and of which a part was asked for before.
const QUERIES: &[&str] = &[
    "SELECT id, s FROM t",
    "SELECT s, dec, d FROM t",
    "SELECT id FROM t WHERE id % 50 = 3",
    "SELECT * FROM t",
    "SELECT tags, who.age FROM t",
    "SELECT m, id FROM t WHERE id BETWEEN 710 AND 720",
    "SELECT count(*), count(s), sum(dec), min(s) FROM t",
    "SELECT count(*) FROM t WHERE s LIKE '%row 8%'",
    "SELECT day, count(d) FROM t GROUP BY day",
    "SELECT id, s FROM t ORDER BY dec DESC LIMIT 20",
    "SELECT id FROM (SELECT id FROM t LIMIT 5) WHERE id < 0",
    "SELECT a.id FROM t a JOIN t b ON a.id = b.id + 1 WHERE b.s IS NULL",
];

async fn session(column_bytes_max: u64, batch_size: usize) -> Session {
    let mut settings = Settings {
        batch_size: Some(batch_size),
        ..settings()
    };
    settings.caches.column_bytes_max = Some(column_bytes_max);
    let lake = Lakehouse::builder().location("memory:").settings(settings);
    let session = lake.build().await.unwrap().session().unwrap();
    for statement in lakehouse::sql::parse(TABLE).unwrap() {
        let result = session.execute(statement).await.unwrap();
        result.collect().await.unwrap();
    }
    session
}

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    let mut rows = rows_of(session.sql(sql).await.unwrap()).await.unwrap();
    rows.sort_unstable();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same_however_much_is_kept() {
    let without = session(0, 256).await;
    let mut expected = Vec::new();
    for sql in QUERIES {
        expected.push(rows(&without, sql).await);
    }
    for (bytes, batch_size) in [
        (1 << 30, 256),
        (1 << 30, 4096),
        (100_000, 256),
        (20_000, 300),
    ] {
        let session = session(bytes, batch_size).await;
        for round in 0..4 {
            for (sql, expected) in QUERIES.iter().zip(&expected) {
                assert_eq!(
                    &rows(&session, sql).await,
                    expected,
                    "{round} {bytes}: {sql}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_the_third_time_is_not_read() {
    let lake = TestLake::folder().await;
    lake.run(TABLE).await;
    let read = async |sql: &str| {
        let before = lake.lake.lake().storage().counts().read_bytes;
        assert_eq!(lake.rows(sql).await.len(), 2502);
        lake.lake.lake().storage().counts().read_bytes - before
    };
    read("SELECT id FROM t").await;
    let again = read("SELECT id FROM t").await;
    assert!(again > 0);
    assert_eq!(read("SELECT id FROM t").await, 0);
    // One of two columns is there.
    let both = read("SELECT id, s FROM t").await;
    assert!(both > 0);
    assert_eq!(read("SELECT s FROM t").await, both);
    assert_eq!(read("SELECT s, id FROM t").await, 0);
    let (groups, cached) = column_chunks(&lake, "SELECT s, id, d FROM t").await;
    assert_eq!((groups % 3, cached), (0, groups / 3 * 2));
    assert_eq!(groups, 6);

    // A new file is read, and the others are not.
    lake.run("INSERT INTO t (id, s) VALUES (2503, 'new')").await;
    let before = lake.lake.lake().storage().counts().read_bytes;
    assert_eq!(lake.rows("SELECT s, id FROM t").await.len(), 2503);
    assert!(lake.lake.lake().storage().counts().read_bytes > before);
    assert_eq!(
        column_chunks(&lake, "SELECT s, id FROM t").await,
        (cached + 2, cached)
    );
}

/// How many columns of row groups a query looks for, and how many of them were in the cache.
async fn column_chunks(lake: &TestLake, sql: &str) -> (usize, usize) {
    let shown = lake
        .rows(&format!("EXPLAIN ANALYZE {sql}"))
        .await
        .join("\n");
    let line = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("column chunks"));
    let line = line.unwrap_or_else(|| panic!("nothing is kept: {shown}"));
    let (asked, cached) = line.split_once("; in the cache: ").unwrap();
    (
        asked.trim().parse().unwrap(),
        cached.trim().parse().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_budget_keeps_nothing_unless_told_to() {
    let budgeted = |column_bytes_max| {
        let mut settings = Settings {
            memory_budget_bytes: Some(64 << 20),
            ..settings()
        };
        settings.caches.column_bytes_max = column_bytes_max;
        settings
    };
    assert_eq!(budgeted(None).column_cache_bytes(), 0);
    assert_eq!(budgeted(Some(1 << 20)).column_cache_bytes(), 1 << 20);
    assert_eq!(settings().column_cache_bytes(), 1 << 30);

    let lake = Lakehouse::builder().location("memory:");
    let settings = budgeted(Some(64 << 20));
    let error = lake.settings(settings).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains("caches.column_bytes_max"),
        "{error}"
    );
}
