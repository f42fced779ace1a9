//! The queries and views that are written for Athena, in this engine.

use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use lakehouse::Session;
use lakehouse::core::clock::{Clock, SystemClock};
use lakehouse_testkit::FakeClock;

use super::{OnAws, run};

/// The text of a file of `athena/`, statement by statement, without comments.
fn statements(file: &str) -> Vec<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(package.join("../athena").join(file)).unwrap();
    let code = text.lines().filter(|line| !line.starts_with("--"));
    let code = code.collect::<Vec<_>>().join("\n");
    let statements = code.split(';').map(|statement| statement.trim().to_owned());
    statements
        .filter(|statement| !statement.is_empty())
        .collect()
}

/// A lake two days old, with a load of then and one of now.
async fn lake(on_aws: &OnAws) -> Session {
    let days_ago = |days: i64| SystemClock.now_ms() - days * 86_400_000;
    // Lakes of one process have folders by their clocks' identifiers.
    let (seed, _) = SystemClock.new_uuid().as_u64_pair();
    let old = on_aws.at(Arc::new(FakeClock::new(days_ago(2), seed))).await;
    for sql in [
        "CREATE NAMESPACE glue.bronze",
        "CREATE NAMESPACE glue.silver",
        "CREATE TABLE bronze.events (event_id BIGINT, kind STRING, customer_id BIGINT, \
         amount DECIMAL(10, 2), happened_at TIMESTAMP_NTZ)",
        "CREATE TABLE silver.transactions (transaction_id BIGINT, customer_id BIGINT, \
         amount DECIMAL(10, 2), booked_at TIMESTAMP_NTZ)",
        "INSERT INTO bronze.events VALUES \
         (1, 'card', 7, 120, TIMESTAMP '2025-01-13 10:00:00'), \
         (1, 'card', 7, 120, TIMESTAMP '2025-01-13 10:00:00'), \
         (2, 'cash', 8, 3.5, TIMESTAMP '2025-01-13 11:00:00')",
        "INSERT INTO silver.transactions SELECT DISTINCT event_id, customer_id, amount, happened_at \
         FROM bronze.events",
    ] {
        run(&old, sql).await;
    }
    let now = on_aws.at(Arc::new(SystemClock)).await;
    for sql in [
        "INSERT INTO bronze.events VALUES (3, 'card', 7, 2000, CAST(now() AS TIMESTAMP))",
        "INSERT INTO silver.transactions SELECT event_id, customer_id, amount, happened_at \
         FROM bronze.events WHERE event_id = 3",
    ] {
        run(&now, sql).await;
    }
    now
}

/// The names of the checks, and how many rows fail each.
async fn checks(session: &Session) -> Vec<(String, i64)> {
    let mut found = Vec::new();
    for sql in statements("queries.sql") {
        let answer = session.sql(&sql).await;
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let batches = answer.collect().await.unwrap();
        let batch = batches.iter().find(|batch| batch.num_rows() == 1).unwrap();
        let name = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8);
        let failed = arrow::compute::cast(batch.column(1), &arrow::datatypes::DataType::Int64);
        let (name, failed) = (name.unwrap(), failed.unwrap());
        let failed = failed.as_primitive::<Int64Type>().value(0);
        found.push((name.as_string::<i32>().value(0).to_owned(), failed));
    }
    found
}

/// Every check passes on a lake that is well, and fails on one that is not.
#[tokio::test]
async fn queries_written_for_athena_find_what_is_wrong() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = lake(&on_aws).await;
    let well = checks(&session).await;
    assert_eq!(well.len(), 10);
    for (name, failed) in &well {
        assert_eq!(*failed, 0, "{name}");
    }
    let versions = "SELECT max(snapshot_id) AS id FROM silver.transactions.snapshots";
    run(&session, versions).await;
    for sql in [
        // A version is taken back, which drops the load of now.
        "ALTER TABLE silver.transactions CREATE BRANCH side",
        "DELETE FROM silver.transactions WHERE transaction_id = 3",
        "UPDATE silver.transactions SET amount = -1 WHERE transaction_id = 2",
        "INSERT INTO silver.transactions VALUES (1, NULL, 1, TIMESTAMP '2025-01-13 10:00:00'), \
         (99, 9, 1, TIMESTAMP '2025-01-13 10:00:00')",
    ] {
        run(&session, sql).await;
    }
    let broken = checks(&session).await;
    let unseen: Vec<&str> = broken
        .iter()
        .filter(|(_, failed)| *failed == 0)
        .map(|(name, _)| name.as_str())
        .collect();
    // Nothing was rolled back, and the files are few.
    assert_eq!(unseen, ["history_is_straight", "files_are_few"]);
    let rollback = format!(
        "CALL glue.system.rollback_to_snapshot('silver.transactions', {})",
        first_snapshot(&session).await
    );
    run(&session, &rollback).await;
    let back = checks(&session).await;
    let crooked = back.iter().find(|(name, _)| name == "history_is_straight");
    assert!(crooked.unwrap().1 > 0, "{back:?}");
}

async fn first_snapshot(session: &Session) -> i64 {
    let sql = "SELECT snapshot_id FROM \"silver\".\"transactions$snapshots\" \
               ORDER BY committed_at LIMIT 1";
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn views_written_for_athena_can_be_queried() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = lake(&on_aws).await;
    let mut shown = Vec::new();
    for statement in statements("views.sql") {
        let (head, select) = statement.split_once(" AS\n").unwrap();
        let name = head.strip_prefix("CREATE OR REPLACE VIEW gold.").unwrap();
        let rows = run(
            &session,
            &format!("SELECT * FROM ({select}) AS v ORDER BY 1"),
        )
        .await;
        shown.push((name.to_owned(), rows));
    }
    let of = |name: &str| {
        let found = shown.iter().find(|(found, _)| found == name);
        found.unwrap().1.as_str()
    };
    assert_eq!(shown.len(), 4);
    assert!(of("daily_revenue").contains("123.50"), "{shown:?}");
    assert!(of("customer_value").contains("2120.00"), "{shown:?}");
    assert!(of("customer_value").contains("gold"), "{shown:?}");
    assert!(of("latest_transaction").contains("2000.00"), "{shown:?}");
    assert!(of("repeated_events").contains("card"), "{shown:?}");
}
