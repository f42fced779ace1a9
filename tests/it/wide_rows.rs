//! Wide rows within a memory budget: sorted, joined, grouped and numbered, as with much memory.

use lakehouse::{Lakehouse, Session, Settings};
use tempfile::TempDir;

use crate::lake::{rows_of, settings};

async fn session(folder: &TempDir, memory_budget_bytes: Option<u64>) -> Session {
    let settings = Settings {
        memory_budget_bytes,
        ..settings()
    };
    let lake = Lakehouse::builder().location(folder.path().to_str().unwrap());
    let lake = lake.settings(settings).build().await.unwrap();
    lake.session().unwrap()
}

async fn wide(folder: &TempDir) -> Session {
    let ample = session(folder, None).await;
    for change in [
        "CREATE TABLE wide (id BIGINT, few BIGINT, a STRING, b STRING, c STRING, d STRING, e STRING)",
        "INSERT INTO wide SELECT value, value % 7, \
           concat('a', md5(cast(value AS STRING)), 'and so on with a text'), \
           concat('b', md5(cast(value + 1 AS STRING)), 'and so on with a text'), \
           concat('c', md5(cast(value + 2 AS STRING)), 'and so on with a text'), \
           concat('d', md5(cast(value + 3 AS STRING)), 'and so on with a text'), \
           concat('e', md5(cast(value % 1000 AS STRING)), 'and so on with a text') \
         FROM generate_series(1, 60000) AS t(value)",
        "CREATE TABLE huge (id BIGINT, few BIGINT, a STRING, b STRING)",
        "INSERT INTO huge SELECT value, value % 7, repeat(md5(cast(value AS STRING)), 200), \
           repeat(md5(cast(value + 1 AS STRING)), 50) FROM generate_series(1, 4000) AS t(value)",
    ] {
        ample.sql(change).await.unwrap().collect().await.unwrap();
    }
    ample
}

const QUERIES: &[(&str, &str)] = &[
    ("join", "SELECT count(*), min(concat(x.a, x.b, x.c, x.d)), max(concat(y.a, y.b, y.c, y.d)) FROM wide x JOIN wide y ON x.id = y.id"),
    ("left join", "SELECT count(*), min(concat(x.a, x.b, x.c, x.d)), max(concat(y.a, y.b, y.c, y.d)) FROM wide x LEFT JOIN wide y ON x.id = y.id + 7 AND x.b < y.c"),
    ("join on text", "SELECT count(*), min(concat(x.a, x.b, x.c, x.d)), max(concat(y.a, y.b, y.c, y.d)) FROM wide x JOIN wide y ON x.a = y.a"),
    ("many of one key", "SELECT count(*), min(concat(x.a, x.b)), max(concat(y.a, y.b)) FROM wide x JOIN wide y ON x.few = y.few WHERE x.id < 30"),
    ("sort", "SELECT * FROM wide ORDER BY b"),
    ("sort by many", "SELECT * FROM wide ORDER BY e DESC, few, c, a, b"),
    ("group", "SELECT a, b, c, d, e, few, count(*), sum(id) FROM wide GROUP BY a, b, c, d, e, few ORDER BY a"),
    ("group by one", "SELECT a, count(*), min(b), max(c) FROM wide GROUP BY a ORDER BY a"),
    ("distinct", "SELECT count(DISTINCT a), count(DISTINCT b), count(DISTINCT e) FROM wide"),
    ("distinct of groups", "SELECT few, count(DISTINCT a), count(DISTINCT b) FROM wide GROUP BY few ORDER BY few"),
    ("distinct rows", "SELECT count(*) FROM (SELECT DISTINCT * FROM wide)"),
    ("window", "SELECT max(n), count(*), min(concat(a, b, c, d)) FROM (SELECT *, row_number() OVER (PARTITION BY few ORDER BY b) AS n FROM wide)"),
    ("window of all", "SELECT max(n), count(*), min(concat(a, b, c, d)) FROM (SELECT *, count(*) OVER (PARTITION BY few) AS n FROM wide)"),
    ("first", "SELECT * FROM wide ORDER BY b LIMIT 10"),
    ("first many", "SELECT * FROM wide ORDER BY b LIMIT 9000"),
    ("huge sort", "SELECT * FROM huge ORDER BY b"),
    ("huge join", "SELECT count(*), min(concat(x.a, y.a)) FROM huge x JOIN huge y ON x.id = y.id"),
    ("huge group", "SELECT a, b, count(*) FROM huge GROUP BY a, b ORDER BY a"),
    ("huge first", "SELECT * FROM huge ORDER BY b LIMIT 10"),
    ("huge window", "SELECT max(n), min(concat(a, b)) FROM (SELECT *, row_number() OVER (PARTITION BY few ORDER BY b) AS n FROM huge)"),
    ("huge of one key", "SELECT count(*), min(concat(x.a, x.b)), max(concat(y.a, y.b)) FROM huge x JOIN huge y ON x.few = y.few WHERE x.id < 30"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explore() {
    let folder = TempDir::new().unwrap();
    let ample = wide(&folder).await;
    for mib in [40_u64, 24, 16] {
        let tight = session(&folder, Some(mib << 20)).await;
        for (name, sql) in QUERIES {
            if std::env::var("ONLY").is_ok_and(|only| !name.contains(&only)) { continue; }
            let began = std::time::Instant::now();
            let expected = rows_of(ample.sql(sql).await.unwrap()).await.unwrap();
            let ample_time = began.elapsed();
            let began = std::time::Instant::now();
            let found = async { rows_of(tight.sql(sql).await?).await }.await;
            let text = match found {
                Ok(rows) if rows == expected => "right".to_owned(),
                Ok(rows) => format!("WRONG {} rows", rows.len()),
                Err(error) => format!("{error:?}").replace('\n', " "),
            };
            eprintln!("XX {mib} {name}: {} ({:?}, {:?})", &text[..text.len().min(400)], began.elapsed(), ample_time);
            if std::env::var("PLAN").is_ok() {
                let plan = rows_of(tight.sql(&format!("EXPLAIN {sql}")).await.unwrap()).await.unwrap().join("\n");
                eprintln!("{plan}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sf1() {
    let settings = Settings { memory_budget_bytes: Some(256 << 20), ..Settings::default() };
    let lake = Lakehouse::builder().location(std::env::var("SF1").unwrap()).settings(settings).build().await.unwrap();
    let session = lake.session().unwrap();
    for number in std::env::var("Q").unwrap().split(',') {
        let sql = crate::tpch::query_text(number.parse().unwrap());
        let plan = rows_of(session.sql(&format!("EXPLAIN {sql}")).await.unwrap()).await.unwrap().join("\n");
        eprintln!("{plan}");
        let began = std::time::Instant::now();
        let found = async { rows_of(session.sql(sql).await?).await }.await;
        eprintln!("XX Q{number} {:?} {:?}", found.map(|rows| rows.len()), began.elapsed());
        if std::env::var("ANALYZE").is_ok() {
            let plan = rows_of(session.sql(&format!("EXPLAIN ANALYZE VERBOSE {sql}")).await.unwrap()).await.unwrap().join("\n");
            eprintln!("{plan}");
        }
    }
}
