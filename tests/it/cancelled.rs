//! Queries that are dropped while an operator has much to do and little to show.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::{StreamExt, poll};
use lakehouse::{Lakehouse, Session, Settings};
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;

use crate::lake::settings;

/// Pairs of these rows are not looked at in a lifetime.
const SERIES: &str = "generate_series(1, 100000)";
/// How often a query is polled before it is dropped, which is long after one side was collected.
const POLLS: usize = 16;
/// Each poll has a number of batches to do, which take their time where nothing is optimised.
const BATCH_ROWS: usize = 256;
/// How often others may run before all of a dropped query has gone.
const TURNS_MAX: usize = 1000;
/// Long enough for what does not hang.
const ALIVE: Duration = Duration::from_secs(300);

async fn session(memory_budget_bytes: Option<u64>) -> Session {
    let settings = Settings {
        memory_budget_bytes,
        parallelism: Some(2),
        batch_size: Some(BATCH_ROWS),
        ..settings()
    };
    let lake = Lakehouse::builder().location("memory:").settings(settings);
    lake.build().await.unwrap().session().unwrap()
}

/// Polls the query's rows a few times and drops them: each poll comes back, and what the query held
/// goes.
async fn drop_in_the_middle(session: &Session, sql: &str) {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let pool = || session.context().runtime_env().memory_pool.reserved();
    let before = (alive(), pool());
    let mut rows = session.sql(sql).await.unwrap().into_stream();
    for _ in 0..POLLS {
        assert!(poll!(rows.next()).is_pending(), "{sql}");
        yield_now().await;
    }
    drop(rows);
    for _ in 0..TURNS_MAX {
        if (alive(), pool()) == before {
            return;
        }
        yield_now().await;
    }
    assert_eq!((alive(), pool()), before, "{sql}");
}

/// Runs `work` on one thread, where what does not wait keeps all others from running.
fn on_one_thread(work: impl AsyncFnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work());
        done.send(()).unwrap();
    });
    match ended.recv_timeout(ALIVE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a query that was dropped goes on"),
        _ => worker.join().unwrap(),
    }
}

fn from_series(rest: &str) -> String {
    rest.replace("{a}", &format!("{SERIES} AS a(x)"))
        .replace("{b}", &format!("{SERIES} AS b(y)"))
}

#[test]
fn a_nested_join_without_matches_stops() {
    on_one_thread(async || {
        let session = session(None).await;
        for sql in [
            "SELECT count(*) FROM {a} JOIN {b} ON x % 7 + y % 5 = 100",
            "SELECT count(*) FROM {a} LEFT JOIN {b} ON x % 7 + y % 5 = 100",
            "SELECT count(*) FROM {a} FULL JOIN {b} ON x % 7 + y % 5 = 100",
            "SELECT x FROM {a} WHERE EXISTS (SELECT 1 FROM {b} WHERE x % 7 + y % 5 = 100)",
            "SELECT x FROM {a} WHERE NOT EXISTS (SELECT 1 FROM {b} WHERE x % 7 + y % 5 < 100)",
        ] {
            drop_in_the_middle(&session, &from_series(sql)).await;
        }
    });
}

#[test]
fn a_cross_join_stops() {
    on_one_thread(async || {
        let session = session(None).await;
        for sql in [
            "SELECT sum(x + y) FROM {a} CROSS JOIN {b}",
            "SELECT x FROM {a} CROSS JOIN {b} WHERE x % 7 + y % 5 = 100",
        ] {
            drop_in_the_middle(&session, &from_series(sql)).await;
        }
    });
}

#[test]
fn a_hash_join_of_one_key_stops() {
    on_one_thread(async || {
        let session = session(None).await;
        for sql in [
            "SELECT sum(x + y) FROM {a} JOIN {b} ON x % 1 = y % 1",
            "SELECT count(*) FROM {a} JOIN {b} ON x % 1 = y % 1 AND x % 7 + y % 5 = 100",
            "SELECT x FROM {a} WHERE x % 1 IN (SELECT y % 1 FROM {b} WHERE x % 7 + y % 5 = 100)",
            "SELECT count(*) FROM {a} WHERE x % 1 IN (SELECT y % 1 FROM {b})",
            "SELECT count(*) FROM {a} WHERE x % 1 NOT IN (SELECT y % 1 FROM {b})",
        ] {
            drop_in_the_middle(&session, &from_series(sql)).await;
        }
    });
}

#[test]
fn a_merged_join_of_one_key_stops() {
    on_one_thread(async || {
        const BUDGET_BYTES: u64 = 16 << 20;
        let session = session(Some(BUDGET_BYTES)).await;
        for table in ["one", "other"] {
            for sql in [
                format!("CREATE TABLE {table} (k BIGINT, n BIGINT)"),
                format!("INSERT INTO {table} SELECT 1, value FROM generate_series(1, 400000)"),
            ] {
                session.sql(&sql).await.unwrap().collect().await.unwrap();
            }
        }
        for join in ["JOIN", "LEFT JOIN"] {
            let condition = "ON one.k = other.k AND one.n % 7 + other.n % 5 = 100";
            let sql = format!("SELECT sum(one.n + other.n) FROM one {join} other {condition}");
            let explained = session.sql(&format!("EXPLAIN {sql}")).await.unwrap();
            let plan = explained.to_table().await.unwrap();
            assert!(plan.contains("SortMergeJoin"), "{plan}");
            drop_in_the_middle(&session, &sql).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_joins_answer_as_others_do() {
    let session = session(None).await;
    let small = |sql: &str| {
        sql.replace("{a}", "generate_series(1, 3000) AS a(x)")
            .replace("{b}", "generate_series(1, 3000) AS b(y)")
    };
    for (sql, expected) in [
        ("SELECT count(*) FROM {a} JOIN {b} ON x + y > 5990", "55"),
        (
            "SELECT count(*) FROM {a} LEFT JOIN {b} ON x + y > 5990",
            "3045",
        ),
        (
            "SELECT count(*) FROM {a} FULL JOIN {b} ON x + y > 5990",
            "6035",
        ),
        (
            "SELECT count(*) FROM {a} WHERE EXISTS (SELECT 1 FROM {b} WHERE x + y > 5990)",
            "10",
        ),
        (
            "SELECT count(*) FROM {a} WHERE NOT EXISTS (SELECT 1 FROM {b} WHERE x + y > 5990)",
            "2990",
        ),
        (
            "SELECT count(*) FROM {a} JOIN {b} ON x % 1 = y % 1 AND x + y > 5990",
            "55",
        ),
        (
            "SELECT count(*) FROM {a} FULL JOIN {b} ON x % 1 = y % 1 AND x + y > 5990",
            "6035",
        ),
        (
            "SELECT count(*) FROM {a} WHERE x % 2 IN (SELECT y % 1 FROM {b})",
            "1500",
        ),
        (
            "SELECT count(*) FROM {a} WHERE x % 2 NOT IN (SELECT y % 1 FROM {b})",
            "1500",
        ),
    ] {
        let rows = crate::lake::rows_of(session.sql(&small(sql)).await.unwrap()).await;
        assert_eq!(rows.unwrap(), [expected], "{sql}");
    }
}
