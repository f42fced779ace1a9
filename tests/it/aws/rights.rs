//! Which rights the calls need that each kind of work makes, as the proxy has seen them.
//!
//! They stand in `lakehouse-aws/recorded-actions.json`, which this test writes anew with
//! `LAKE_RECORD=1`; `cargo xtask rights` makes the roles' policies of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lakehouse::core::catalog::Catalog;
use lakehouse::core::clock::SystemClock;
use lakehouse::core::runtime::spawn;
use lakehouse_testkit::{HttpCall, HttpCalls, HttpFault};

use super::{OnAws, run};

/// Actions by what they are about, as the policies' statements are.
type Rights = BTreeMap<&'static str, BTreeSet<String>>;

/// Where raw files lie in the bucket of a test.
const LANDING: &str = "/raw/";

const EVENTS: &str = r#"{"id": 1, "kind": "card"}
{"id": 2, "kind": "cash"}
"#;

/// The rights that a call needs, where everything is encrypted with keys of the account.
///
/// Uploads in parts need `kms:Decrypt` because S3 reads the parts to make the object of them.
fn rights_of(call: &HttpCall, into: &mut Rights) {
    let mut needs = |about: &'static str, action: &str| {
        into.entry(about).or_default().insert(action.to_owned());
    };
    if call.service == "glue" {
        needs("catalog", &format!("glue:{}", call.operation));
        needs("catalog_key", "kms:Decrypt");
        if !call.operation.starts_with("Get") {
            needs("catalog_key", "kms:Encrypt");
            needs("catalog_key", "kms:GenerateDataKey");
        }
        return;
    }
    assert_eq!(call.service, "s3", "{call:?}");
    let about = match call.path.contains(LANDING) {
        true => "landing",
        false => "tables",
    };
    match call.operation.as_str() {
        "GetObject" | "HeadObject" => {
            needs(about, "s3:GetObject");
            needs("data_key", "kms:Decrypt");
        }
        "PutObject" => {
            needs(about, "s3:PutObject");
            needs("data_key", "kms:GenerateDataKey");
        }
        "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            needs(about, "s3:PutObject");
            needs("data_key", "kms:GenerateDataKey");
            needs("data_key", "kms:Decrypt");
        }
        "AbortMultipartUpload" => needs(about, "s3:AbortMultipartUpload"),
        "DeleteObject" | "DeleteObjects" => needs(about, "s3:DeleteObject"),
        "ListObjectsV2" => needs("list", "s3:ListBucket"),
        other => panic!("no right is known for {other}: {call:?}"),
    }
}

/// What was asked for since the last time.
fn recorded(on_aws: &OnAws) -> Rights {
    let mut rights = Rights::new();
    for call in on_aws.account.proxy.journal() {
        rights_of(&call, &mut rights);
    }
    on_aws.account.proxy.forget();
    rights
}

/// Two programs change a table at once: the one that comes second writes its metadata anew.
async fn race(on_aws: &OnAws, change: &str) {
    let (first, second) = (on_aws.cold().await, on_aws.cold().await);
    let swaps = || on_aws.account.proxy.counts().of("glue", "UpdateTable");
    let before = swaps();
    let late = HttpFault::DelayedRequest { ms: 1_000 };
    let calls = HttpCalls::of("glue", "UpdateTable");
    on_aws.account.proxy.fail_nth(calls, 1, late);
    let text = change.to_owned();
    let slow = spawn(async move { run(&first, &text).await });
    while swaps() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run(&second, change).await;
    slow.await.unwrap();
    on_aws.account.proxy.heal();
}

/// A file that is sent in parts, and one that is given up on the way.
async fn large_files(on_aws: &OnAws) {
    let catalog = on_aws.catalog().await;
    let storage = catalog.storage();
    let part = Bytes::from(vec![7_u8; 9 << 20]);
    for is_kept in [true, false] {
        let at = format!("s3://{}/lake/large-{is_kept}", on_aws.account.bucket);
        let mut writer = storage.writer(&at).unwrap();
        writer.write(part.clone()).await.unwrap();
        match is_kept {
            true => drop(writer.finish().await.unwrap()),
            false => writer.abort().await.unwrap(),
        }
    }
}

async fn engine(on_aws: &OnAws) {
    let session = on_aws.at(Arc::new(SystemClock)).await;
    let raw = format!("s3://{}{LANDING}", on_aws.account.bucket);
    for sql in [
        "CREATE TABLE glue.silver.orders (id BIGINT, kind STRING)",
        &format!("INSERT INTO glue.silver.orders SELECT id, kind FROM '{raw}events.json'"),
        "SELECT * FROM glue.silver.orders WHERE id > 1",
        "UPDATE glue.silver.orders SET kind = 'gift' WHERE id = 1",
        "DELETE FROM glue.silver.orders WHERE id = 2",
        "MERGE INTO glue.silver.orders t USING (SELECT 3 AS id) s ON t.id = s.id \
         WHEN NOT MATCHED THEN INSERT (id, kind) VALUES (s.id, 'new')",
        "ALTER TABLE glue.silver.orders ADD COLUMN segment STRING",
        "ALTER TABLE glue.silver.orders RENAME TO glue.silver.bought",
        "SHOW TABLES IN glue.silver",
        "SHOW NAMESPACES IN glue",
    ] {
        run(&session, sql).await;
    }
    race(on_aws, "INSERT INTO glue.silver.bought (id) VALUES (9)").await;
    large_files(on_aws).await;
    run(&on_aws.cold().await, "DROP TABLE glue.silver.bought").await;
}

async fn ingestion(on_aws: &OnAws) {
    let session = on_aws.at(Arc::new(SystemClock)).await;
    let raw = format!("s3://{}{LANDING}", on_aws.account.bucket);
    for sql in [
        "SHOW TABLES IN glue.bronze",
        "CREATE TABLE IF NOT EXISTS glue.bronze.events (id BIGINT, kind STRING) \
         PARTITIONED BY (kind)",
        &format!("INSERT INTO glue.bronze.events SELECT id, kind FROM '{raw}events.json'"),
    ] {
        run(&session, sql).await;
    }
    race(on_aws, "INSERT INTO glue.bronze.events VALUES (9, 'late')").await;
    large_files(on_aws).await;
}

/// As far as there is maintenance: a table is brought back to what it was.
async fn maintenance(on_aws: &OnAws) {
    let session = on_aws.at(Arc::new(SystemClock)).await;
    let first = run(
        &session,
        "SELECT min(snapshot_id) AS id FROM glue.bronze.events.snapshots",
    )
    .await;
    let is_id = |word: &&str| word.len() > 10 && word.parse::<i64>().is_ok();
    let id = first.split_whitespace().find(is_id).unwrap();
    let call = format!("CALL glue.system.rollback_to_snapshot('bronze.events', {id})");
    for sql in [
        "SHOW NAMESPACES IN glue",
        "SHOW TABLES IN glue.bronze",
        &call,
        "UPDATE glue.bronze.events SET id = 1",
    ] {
        run(&session, sql).await;
    }
    let kept = "ALTER TABLE glue.bronze.events SET TBLPROPERTIES ('comment' = 'kept')";
    race(on_aws, kept).await;
    large_files(on_aws).await;
}

async fn reader(on_aws: &OnAws) {
    let session = on_aws.at(Arc::new(SystemClock)).await;
    for sql in [
        "SHOW NAMESPACES IN glue",
        "SHOW TABLES IN glue.bronze",
        "DESCRIBE glue.bronze.events",
        "SELECT kind, count(*) FROM glue.bronze.events GROUP BY kind",
        "SELECT * FROM glue.bronze.events.snapshots",
        "SELECT * FROM glue.bronze.events FOR TIMESTAMP AS OF '2999-01-01'",
    ] {
        run(&session, sql).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_work_needs_are_as_recorded() {
    let Some(on_aws) = OnAws::start() else {
        return;
    };
    let admin = on_aws.cold().await;
    for sql in [
        "CREATE NAMESPACE glue.silver",
        "CREATE NAMESPACE glue.bronze",
    ] {
        run(&admin, sql).await;
    }
    let raw = format!("s3://{}{LANDING}events.json", on_aws.account.bucket);
    let catalog = on_aws.catalog().await;
    catalog
        .storage()
        .write_new(&raw, Bytes::from_static(EVENTS.as_bytes()))
        .await
        .unwrap();
    recorded(&on_aws);
    let mut roles = BTreeMap::new();
    engine(&on_aws).await;
    roles.insert("engine", recorded(&on_aws));
    ingestion(&on_aws).await;
    roles.insert("ingestion", recorded(&on_aws));
    maintenance(&on_aws).await;
    roles.insert("maintenance", recorded(&on_aws));
    reader(&on_aws).await;
    roles.insert("reader", recorded(&on_aws));

    let found = serde_json::to_string_pretty(&roles).unwrap() + "\n";
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = package.join("../lakehouse-aws/recorded-actions.json");
    if std::env::var_os("LAKE_RECORD").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        found, stored,
        "the calls have changed: record them with LAKE_RECORD=1, then see `cargo xtask rights`"
    );
}
