//! Wide rows within a memory budget: sorted, joined, grouped and numbered as with much memory.

use lakehouse::{ErrorKind, Lakehouse, Session, Settings};
use tempfile::TempDir;

use crate::lake::{rows_of, settings};

/// A fraction of the tables' rows, and less than a batch of so many rows as a session has.
const BUDGET_BYTES: u64 = 40 << 20;
/// How many queries may be refused. When two sorts merge what they have spilled at the same time,
/// one may take all memory that is left, and the other one has none.
const REFUSED_MAX: usize = 3;
/// Less than the sets of all values of three columns.
const TOO_LITTLE_BYTES: u64 = 10 << 20;

/// Each with rows of which one sort, merge or table of groups takes more than its share.
const QUERIES: &[&str] = &[
    // Joined by merging, with all columns of both sides.
    "SELECT count(*), min(concat(x.a, x.b, x.c, x.d)), max(concat(y.a, y.b, y.c, y.d)) \
     FROM wide x JOIN wide y ON x.id = y.id",
    "SELECT count(*), min(concat(x.a, x.b, x.c, x.d)), max(concat(y.a, y.b, y.c, y.d)) \
     FROM wide x LEFT JOIN wide y ON x.a = y.a AND x.id < 30000",
    "SELECT count(*), min(concat(x.a, y.a)) FROM huge x JOIN huge y ON x.id = y.id",
    // Many rows of each key.
    "SELECT count(*), min(concat(x.a, x.b)), max(concat(y.a, y.b)) \
     FROM wide x JOIN wide y ON x.few = y.few WHERE x.id < 30",
    "SELECT count(*), min(concat(x.a, x.b)), max(concat(y.a, y.b)) \
     FROM huge x JOIN huge y ON x.few = y.few WHERE x.id < 30",
    // Sorted as a whole, and the first rows of an order.
    "SELECT * FROM wide ORDER BY b",
    "SELECT * FROM wide ORDER BY e DESC, few, c, a, b",
    "SELECT * FROM huge ORDER BY b",
    "SELECT * FROM wide ORDER BY b LIMIT 10",
    "SELECT * FROM wide ORDER BY b LIMIT 9000",
    "SELECT * FROM huge ORDER BY b LIMIT 2000",
    // Groups as many as rows, of wide keys and of wide states.
    "SELECT a, b, c, d, e, few, count(*), sum(id) FROM wide GROUP BY a, b, c, d, e, few ORDER BY a",
    "SELECT a, count(*), min(b), max(c), count(*) FILTER (WHERE id % 2 = 0), avg(id) \
     FROM wide GROUP BY a ORDER BY a",
    "SELECT few, e, count(*) FROM wide GROUP BY ROLLUP (few, e) ORDER BY few, e",
    "SELECT few, count(DISTINCT a), count(DISTINCT b) FROM wide GROUP BY few ORDER BY few",
    "SELECT count(*) FROM (SELECT DISTINCT * FROM wide)",
    // Numbered within parts.
    "SELECT max(n), count(*), min(concat(a, b, c, d)) FROM \
     (SELECT *, row_number() OVER (PARTITION BY few ORDER BY b) AS n FROM wide)",
    "SELECT max(n), min(concat(a, b)) FROM \
     (SELECT *, count(*) OVER (PARTITION BY few) AS n FROM huge)",
];

async fn session(folder: &TempDir, memory_budget_bytes: Option<u64>) -> Session {
    let settings = Settings {
        memory_budget_bytes,
        ..settings()
    };
    let lake = Lakehouse::builder().location(folder.path().to_str().unwrap());
    let lake = lake.settings(settings).build().await.unwrap();
    lake.session().unwrap()
}

/// Two tables whose rows take 300 bytes and 8 KB, and a session with much memory.
async fn wide_tables(folder: &TempDir) -> Session {
    let session = session(folder, None).await;
    let text = |letter: char, number: &str| {
        format!("concat('{letter}', md5(cast({number} AS STRING)), 'and so on with a text')")
    };
    let texts = [
        text('a', "value"),
        text('b', "value + 1"),
        text('c', "value + 2"),
        text('d', "nullif(value % 5000, 0)"),
        text('e', "value % 1000"),
    ];
    for change in [
        "CREATE TABLE wide (id BIGINT, few BIGINT, \
         a STRING, b STRING, c STRING, d STRING, e STRING)"
            .to_owned(),
        format!(
            "INSERT INTO wide SELECT value, nullif(value % 7, 3), {} \
             FROM generate_series(1, 60000) AS t(value)",
            texts.join(", ")
        ),
        "CREATE TABLE huge (id BIGINT, few BIGINT, a STRING, b STRING)".to_owned(),
        "INSERT INTO huge SELECT value, value % 7, repeat(md5(cast(value AS STRING)), 200), \
         repeat(md5(cast(value + 1 AS STRING)), 50) FROM generate_series(1, 4000) AS t(value)"
            .to_owned(),
    ] {
        session.sql(&change).await.unwrap().collect().await.unwrap();
    }
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wide_rows_are_answered_in_little_memory_as_in_much_or_refused() {
    let folder = TempDir::new().unwrap();
    let ample = wide_tables(&folder).await;
    let tight = session(&folder, Some(BUDGET_BYTES)).await;
    let (mut wrong, mut refused) = (Vec::new(), Vec::new());
    for sql in QUERIES {
        let expected = rows_of(ample.sql(sql).await.unwrap()).await.unwrap();
        match async { rows_of(tight.sql(sql).await?).await }.await {
            Ok(rows) if rows == expected => {}
            Ok(rows) => wrong.push(format!("{sql}: {} other rows", rows.len())),
            Err(error) if error.kind() == ErrorKind::ResourcesExhausted => {
                refused.push(format!("{sql}: {error}"));
            }
            Err(error) => wrong.push(format!("{sql}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused.len() <= REFUSED_MAX, "{}", refused.join("\n"));

    // Sets of all values cannot be spilled.
    let sets = "SELECT count(DISTINCT a), count(DISTINCT b), count(DISTINCT c) FROM wide";
    let tighter = session(&folder, Some(TOO_LITTLE_BYTES)).await;
    let refused = async { rows_of(tighter.sql(sets).await?).await }.await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourcesExhausted);
    let text = refused.to_string();
    assert!(text.contains("raise memory_budget_bytes"), "{text}");
    assert!(!text.contains("datafusion."), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_budget_changes_plans() {
    let folder = TempDir::new().unwrap();
    let ample = session(&folder, None).await;
    for change in [
        "CREATE TABLE many (id BIGINT, t STRING)",
        "INSERT INTO many SELECT value, 'x' FROM generate_series(1, 100000)",
        "CREATE TABLE few (id BIGINT, t STRING)",
        "INSERT INTO few VALUES (1, 'x')",
    ] {
        ample.sql(change).await.unwrap().collect().await.unwrap();
    }
    let tight = session(&folder, Some(BUDGET_BYTES)).await;
    let count = |table: &str| format!("EXPLAIN SELECT id, min(t) FROM {table} GROUP BY id");
    for (session, table, is_sorted) in [
        (&ample, "many", false),
        (&tight, "many", true),
        (&tight, "few", false),
    ] {
        let plan = rows_of(session.sql(&count(table)).await.unwrap()).await;
        let plan = plan.unwrap().join("\n");
        assert_eq!(plan.contains("ordering_mode=Sorted"), is_sorted, "{plan}");
        assert_eq!(plan.contains("MeasuredExec"), is_sorted, "{plan}");
    }
}
