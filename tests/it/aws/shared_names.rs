//! Names that several engines make and drop, and tables whose files have gone.

use std::time::Duration;

use lakehouse::ErrorKind;
use lakehouse::core::runtime::spawn;
use lakehouse_testkit::{AwsAccount, HttpCalls, HttpFault};

use super::{OnAws, refused, run, with_orders};

/// Runs `slow` until it asks Glue for `operation`, which takes its time, then `fast` to its end; the
/// answer is that of `slow`.
async fn raced(
    on_aws: &OnAws,
    operation: &str,
    slow: &'static str,
    fast: &str,
) -> lakehouse::Result<String> {
    let proxy = &on_aws.account.proxy;
    let (first, second) = (on_aws.cold().await, on_aws.cold().await);
    proxy.heal();
    proxy.forget();
    let late = HttpFault::DelayedRequest { ms: 1_500 };
    proxy.fail_nth(HttpCalls::of("glue", operation), 1, late);
    let answer = spawn(async move { first.sql(slow).await?.to_table().await });
    for _ in 0..2_000 {
        if proxy.counts().of("glue", operation) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run(&second, fast).await;
    answer.await.unwrap()
}

/// Whoever says `IF NOT EXISTS` is content with what somebody else made meanwhile; whoever does not
/// is told.
#[tokio::test]
async fn what_somebody_else_makes_meanwhile_exists() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = with_orders(&on_aws).await;
    for (slow, fast) in [
        (
            "CREATE TABLE IF NOT EXISTS glue.silver.a (id INT)",
            "CREATE TABLE glue.silver.a AS SELECT 7 AS id",
        ),
        (
            "CREATE TABLE IF NOT EXISTS glue.silver.b AS SELECT 8 AS id",
            "CREATE TABLE glue.silver.b AS SELECT 7 AS id",
        ),
    ] {
        let answer = raced(&on_aws, "CreateTable", slow, fast).await;
        assert!(answer.is_ok(), "{slow}: {answer:?}");
    }
    for name in ["a", "b"] {
        let rows = run(&session, &format!("SELECT * FROM glue.silver.{name}")).await;
        assert!(rows.contains("| 7") && !rows.contains("| 8"), "{rows}");
    }
    let slow = "CREATE TABLE glue.silver.c (id INT)";
    let taken = raced(&on_aws, "CreateTable", slow, slow).await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);

    let slow = "CREATE SCHEMA IF NOT EXISTS glue.gold";
    let answer = raced(&on_aws, "CreateDatabase", slow, "CREATE SCHEMA glue.gold").await;
    assert!(answer.is_ok(), "{answer:?}");
    let slow = "CREATE SCHEMA glue.bronze";
    let taken = raced(&on_aws, "CreateDatabase", slow, slow).await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

/// A database whose making was not answered for is there, and that is what was asked for.
#[tokio::test]
async fn a_namespace_whose_answer_was_lost_exists() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = on_aws.cold().await;
    let creates = HttpCalls::of("glue", "CreateDatabase");
    let proxy = &on_aws.account.proxy;
    proxy.fail_nth(creates, 1, HttpFault::AnswerLost);
    run(&session, "CREATE SCHEMA IF NOT EXISTS glue.silver").await;
    run(&session, "CREATE TABLE glue.silver.t (id INT)").await;
}

/// A table whose metadata file is gone says what to do, and that can be done: its name is dropped,
/// its other files stay. With PURGE nobody knows what to delete.
#[tokio::test]
async fn a_table_whose_metadata_file_is_gone_can_be_dropped() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    with_orders(&on_aws).await;
    let orders = lakehouse::core::name::TableIdent::from_strs(["silver", "orders"]).unwrap();
    let catalog = on_aws.catalog().await;
    use lakehouse::core::catalog::Catalog;
    let found = catalog.load_table(&orders).await.unwrap();
    let storage = catalog.storage();
    storage.delete(&found.metadata_location).await.unwrap();
    let session = on_aws.cold().await;
    let read = refused(&session, "SELECT * FROM glue.silver.orders").await;
    assert_eq!(read.kind(), ErrorKind::Corrupt, "{read}");
    assert!(
        read.to_string().contains("DROP TABLE without PURGE"),
        "{read}"
    );
    let purge = refused(&session, "DROP TABLE glue.silver.orders PURGE").await;
    assert!(purge.to_string().contains("without PURGE"), "{purge}");
    run(&session, "DROP TABLE IF EXISTS glue.silver.orders").await;
    let gone = refused(&session, "SELECT * FROM glue.silver.orders").await;
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let list = found.metadata.current_snapshot().unwrap().manifest_list();
    assert!(storage.exists(list).await.unwrap(), "files stay");
}

/// No plan shows what requests are signed with.
#[tokio::test]
async fn explain_shows_no_secret() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let session = with_orders(&on_aws).await;
    for explain in ["EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN ANALYZE"] {
        let sql = format!("{explain} SELECT * FROM glue.silver.orders WHERE id = 1");
        let plan = run(&session, &sql).await;
        for secret in [AwsAccount::SECRET, "Signature"] {
            assert!(!plan.contains(secret), "{plan}");
        }
    }
}
