//! Lakes of several catalogs.

use std::sync::Arc;

use lakehouse::core::settings::CatalogSettings;
use lakehouse::{Lakehouse, Session, Settings};
use lakehouse_testkit::FakeClock;

use crate::lake::{START_MS, rows_of, settings};

/// A lake in memory with a second catalog, `other`.
async fn two_catalogs() -> Session {
    let second = CatalogSettings::Memory {
        warehouse: Some("memory:///second".to_owned()),
    };
    let settings = Settings {
        catalogs: [("other".to_owned(), second)].into(),
        ..settings()
    };
    let lake = Lakehouse::builder()
        .location("memory:")
        .settings(settings)
        .clock(Arc::new(FakeClock::new(START_MS, 7)))
        .build()
        .await
        .unwrap();
    lake.session().unwrap()
}

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    rows_of(session.sql(sql).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_procedure_works_in_the_catalog_that_is_written_before_it() {
    let session = two_catalogs().await;
    for statement in [
        "CREATE NAMESPACE IF NOT EXISTS other.default",
        "CREATE TABLE t AS SELECT 1 AS id",
        "CREATE TABLE other.default.t AS SELECT 2 AS id",
        "INSERT INTO t VALUES (10)",
        "INSERT INTO other.default.t VALUES (20)",
    ] {
        rows(&session, statement).await;
    }
    let first = "SELECT snapshot_id FROM other.default.t.snapshots WHERE parent_id IS NULL";
    let first = rows(&session, first).await.remove(0);
    let call = format!("CALL other.system.rollback_to_snapshot('t', {first})");
    rows(&session, &call).await;
    assert_eq!(
        rows(&session, "SELECT id FROM other.default.t").await,
        ["2"]
    );
    assert_eq!(
        rows(&session, "SELECT id FROM t ORDER BY id").await,
        ["1", "10"]
    );

    let call = format!("CALL nope.system.rollback_to_snapshot('t', {first})");
    let error = session.sql(&call).await.unwrap_err().to_string();
    assert!(error.contains("there is no catalog nope"), "{error}");
}
