//! Policies of a program: what they deny is neither read nor listed.

use std::sync::Arc;

use lakehouse::core::governance::{Decision, PolicySource, Principal, Privilege};
use lakehouse::core::name::TableIdent;
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
