//! Policies of a program: what they deny is neither read nor listed.

use std::sync::Arc;

use lakehouse::core::governance::{Decision, PolicySource, Principal, Privilege};
use lakehouse::core::name::TableIdent;
use lakehouse::datafusion::prelude::lit;
use lakehouse::{ErrorKind, Lakehouse, Result};

use crate::lake::{rows_of, settings};

/// Denies everything about tables called `secret`, but to make them.
#[derive(Debug)]
struct NoSecrets;

impl PolicySource for NoSecrets {
    fn decide(
        &self,
        _: &Principal,
        privilege: Privilege,
        _: &str,
        table: &TableIdent,
    ) -> Result<Decision> {
        Ok(match (table.name(), privilege) {
            ("secret", privilege) if privilege != Privilege::Create => {
                Decision::Deny("it is secret".to_owned())
            }
            _ => Decision::Admit,
        })
    }
}

#[tokio::test]
async fn denied_tables_are_neither_read_nor_listed() {
    let lake = Lakehouse::builder()
        .location("memory:")
        .settings(settings())
        .policies(Arc::new(NoSecrets))
        .build()
        .await
        .unwrap();
    let session = lake.session().unwrap();
    for statement in ["CREATE TABLE secret (key INT)", "CREATE TABLE open (n INT)"] {
        session.sql(statement).await.unwrap();
    }
    for denied in [
        "SELECT * FROM secret",
        "DESCRIBE secret",
        "DROP TABLE secret",
        "DELETE FROM secret",
        "TRUNCATE TABLE secret",
        "UPDATE secret SET key = 1",
        "MERGE INTO secret USING open ON key = n WHEN NOT MATCHED THEN INSERT (key) VALUES (n)",
        "DELETE FROM open WHERE n IN (SELECT key FROM secret)",
    ] {
        let error = session.sql(denied).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{denied}");
    }
    for (query, expected) in [
        ("SHOW TABLES", "default|open"),
        (
            "SELECT table_schema, table_name FROM information_schema.tables \
             WHERE table_schema = 'default'",
            "default|open",
        ),
        (
            "SELECT table_name, column_name FROM information_schema.columns \
             WHERE table_schema = 'default'",
            "open|n",
        ),
    ] {
        let rows = rows_of(session.sql(query).await.unwrap()).await.unwrap();
        assert_eq!(rows, [expected], "{query}");
    }
    let names = session.names().await.unwrap();
    assert!(
        !names.iter().any(|name| name == "secret" || name == "key"),
        "{names:?}"
    );
}

/// Lets everybody read, and nobody change rows but by INSERT.
#[derive(Debug)]
struct AppendOnly;

impl PolicySource for AppendOnly {
    fn decide(
        &self,
        _: &Principal,
        privilege: Privilege,
        _: &str,
        _: &TableIdent,
    ) -> Result<Decision> {
        Ok(match privilege {
            Privilege::Update | Privilege::Delete => Decision::Deny("append only".to_owned()),
            _ => Decision::Admit,
        })
    }
}

#[tokio::test]
async fn rows_are_not_changed_by_who_may_only_add_some() {
    let lake = Lakehouse::builder()
        .location("memory:")
        .settings(settings())
        .policies(Arc::new(AppendOnly))
        .build()
        .await
        .unwrap();
    let session = lake.session().unwrap();
    for statement in ["CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1), (2)"] {
        session.sql(statement).await.unwrap();
    }
    for denied in [
        "DELETE FROM t",
        "TRUNCATE TABLE t",
        "UPDATE t SET n = 1",
        "MERGE INTO t USING (SELECT 1 AS m) s ON n = m WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING (SELECT 1 AS m) s ON n = m WHEN NOT MATCHED THEN INSERT VALUES (m) \
         WHEN MATCHED THEN UPDATE SET n = 2",
        "EXPLAIN ANALYZE DELETE FROM t",
    ] {
        let error = session.sql(denied).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{denied}");
    }
    let error = session.change("t").await.unwrap().delete(lit(true)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let admitted = "MERGE INTO t USING (SELECT 3 AS m) s ON n = m \
                    WHEN NOT MATCHED THEN INSERT VALUES (m)";
    let rows = rows_of(session.sql(admitted).await.unwrap()).await.unwrap();
    assert_eq!(rows, ["1|1|0|0"]);
}
