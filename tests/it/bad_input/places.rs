//! Paths that are no lake, and lakes that are not where they were.

use std::sync::Arc;

use lakehouse::core::catalog::CommitOutcome;
use lakehouse::core::clock::SystemClock;
use lakehouse::core::name::TableIdent;
use lakehouse::{Error, ErrorKind, Lakehouse};
use tempfile::TempDir;

use crate::lake::{TestLake, files_below, settings};

async fn refused(location: &str, create: bool) -> Error {
    let built = Lakehouse::builder()
        .location(location)
        .settings(settings())
        .clock(Arc::new(SystemClock))
        .create(create)
        .build()
        .await;
    built
        .err()
        .unwrap_or_else(|| panic!("{location} was opened"))
}

#[tokio::test]
async fn a_folder_with_other_things_is_no_lake() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let before = files_below(folder.path());
    let error = refused(folder.path().to_str().unwrap(), true).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains(folder.path().to_str().unwrap()),
        "{error}"
    );
    assert_eq!(files_below(folder.path()), before);
}

#[tokio::test]
async fn a_file_is_no_lake() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let error = refused(file.to_str().unwrap(), true).await;
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[tokio::test]
async fn a_database_that_is_none_or_of_others_is_no_lake() {
    let folder = TempDir::new().unwrap();
    let catalog = folder.path().join("catalog.db");
    std::fs::write(
        &catalog,
        "this is no database, however long the text may be",
    )
    .unwrap();
    let error = refused(folder.path().to_str().unwrap(), true).await;
    assert!(
        matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput),
        "{error}"
    );
    assert!(
        error.to_string().contains(folder.path().to_str().unwrap()),
        "{error}"
    );

    std::fs::remove_file(&catalog).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("music.db")).unwrap();
    other
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    drop(other);
    let error = refused(folder.path().to_str().unwrap(), true).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(files_below(folder.path()).len(), 1);
}

#[tokio::test]
async fn a_lake_that_is_only_opened_is_not_made() {
    let folder = TempDir::new().unwrap();
    for place in [folder.path().join("typo"), folder.path().to_path_buf()] {
        let error = refused(place.to_str().unwrap(), false).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert!(!folder.path().join("typo").exists());
    assert!(files_below(folder.path()).is_empty());
}

#[tokio::test]
async fn other_places_are_refused_by_name() {
    for (location, word) in [
        ("s3://bucket/lake", "s3"),
        ("https://example.org/lake", "https"),
        ("file://host/lake", "host"),
        ("", "empty"),
    ] {
        let error = refused(location, true).await;
        let kinds = [ErrorKind::Unsupported, ErrorKind::InvalidInput];
        assert!(kinds.contains(&error.kind()), "{location}: {error}");
        assert!(error.to_string().contains(word), "{location}: {error}");
    }
}

#[tokio::test]
async fn a_moved_lake_is_refused_with_both_places() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
        .await;
    let moved = lake.path().with_file_name("moved");
    std::fs::rename(lake.path(), &moved).unwrap();
    let before = files_below(&moved);
    let error = refused(moved.to_str().unwrap(), true).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for place in [lake.path(), moved.clone()] {
        assert!(
            error.to_string().contains(place.to_str().unwrap()),
            "{error}"
        );
    }
    assert_eq!(files_below(&moved), before);
    std::fs::rename(&moved, lake.path()).unwrap();
    let session = lake.reopen().await.session().unwrap();
    session
        .sql("SELECT * FROM t")
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
}

#[tokio::test]
async fn two_tables_that_differ_in_case_are_both_reached_in_quotes() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE orders (a INT); INSERT INTO orders VALUES (1)")
        .await;
    // SQL makes no such twins; another engine may.
    let catalog = lake.lake.catalog("lake").unwrap();
    let pointer = lake.lake.table("orders").await.unwrap().pointer().clone();
    let twin = TableIdent::new(pointer.ident.namespace().clone(), "Orders".to_owned());
    let metadata = pointer.metadata.as_ref().clone();
    match catalog.create_table(&twin, metadata).await.unwrap() {
        CommitOutcome::Committed(_) => {}
        other => panic!("{other:?}"),
    }
    for statement in [
        "SELECT * FROM orders",
        "SELECT * FROM ORDERS",
        "DROP TABLE orders",
    ] {
        let error = lake.fails(statement).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{statement}");
        for name in ["\"orders\"", "\"Orders\""] {
            assert!(error.to_string().contains(name), "{statement}: {error}");
        }
    }
    for table in ["\"orders\"", "\"Orders\"", "default.\"Orders\""] {
        assert_eq!(
            lake.one(&format!("SELECT count(*) FROM {table}")).await,
            "1"
        );
    }
    lake.run("DROP TABLE \"Orders\"").await;
    assert_eq!(lake.rows("SELECT * FROM ORDERS").await, ["1"]);
}
