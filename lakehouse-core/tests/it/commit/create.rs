//! Making tables, with and without rows, and dropping them with their files.

use iceberg::spec::FormatVersion;
use lakehouse_core::commit::{FileChange, NewTable};
use lakehouse_core::error::ErrorKind;

use super::catalog::Fault;
use super::fixture::{Lake, NOW_MS, files, new_table};

#[tokio::test]
async fn a_table_made_with_rows_never_exists_without_them() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let lake = Lake::empty();
        let new = new_table(version);
        let staged = lake
            .commits
            .stage(&lake.catalog, &lake.ident, new)
            .await
            .unwrap();
        assert_eq!(staged.metadata().last_updated_ms(), NOW_MS);
        assert_eq!(
            staged.properties()["write.parquet.compression-codec"],
            "zstd"
        );
        let rows = FileChange::append(&staged, files(&["a", "b"]));
        let made = lake
            .commits
            .create(&lake.catalog, &staged, Some(rows))
            .await
            .unwrap();
        assert_eq!(made.table.metadata().uuid(), staged.metadata().uuid());
        assert_eq!(made.table.metadata().metadata_log().len(), 0);
        assert_eq!(lake.live(&lake.table().await).await, ["a", "b"]);
        assert_eq!(made.table.history()[0].made_current_at_ms, NOW_MS);
        lake.append(&["c"]).await.unwrap();
    }
}

#[tokio::test]
async fn a_taken_name_leaves_no_file_behind() {
    let lake = Lake::new().await;
    let new = NewTable {
        location: Some("memory:///lake/second".to_owned()),
        ..new_table(FormatVersion::V2)
    };
    let staged = lake
        .commits
        .stage(&lake.catalog, &lake.ident, new)
        .await
        .unwrap();
    let rows = FileChange::append(&staged, files(&["a"]));
    let error = lake
        .commits
        .create(&lake.catalog, &staged, Some(rows))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(lake.metadata_files("", ".avro").await.is_empty());
}

#[tokio::test]
async fn an_unknown_creation_is_looked_for() {
    let lake = Lake::empty();
    let new = new_table(FormatVersion::V2);
    let staged = lake
        .commits
        .stage(&lake.catalog, &lake.ident, new)
        .await
        .unwrap();
    lake.faulty.inject(Fault::NotAppliedUnknown);
    let rows = FileChange::append(&staged, files(&["a"]));
    let error = lake
        .commits
        .create(&lake.catalog, &staged, Some(rows))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_eq!(lake.metadata_files("", ".avro").await.len(), 2);
    lake.faulty.inject(Fault::AppliedUnknown);
    lake.commits
        .create(&lake.catalog, &staged, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_location_that_holds_files_is_refused() {
    let lake = Lake::new().await;
    let new = NewTable {
        location: Some("memory:///lake/orders".to_owned()),
        ..new_table(FormatVersion::V2)
    };
    let error = lake
        .commits
        .stage(&lake.catalog, &lake.ident, new)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn purge_deletes_every_file_of_the_table() {
    let lake = Lake::new().await;
    for name in ["a", "b"] {
        let location = format!("memory:///lake/orders/data/{name}");
        lake.storage()
            .write_new(&location, "rows".into())
            .await
            .unwrap();
    }
    lake.append(&["a"]).await.unwrap();
    // The file of this append is missing, which is tolerated.
    lake.append(&["b", "missing"]).await.unwrap();
    lake.storage()
        .write_new("memory:///lake/foreign", "x".into())
        .await
        .unwrap();
    let purged = lake
        .commits
        .purge(&lake.catalog, &lake.ident)
        .await
        .unwrap();
    // Three metadata files, two lists, two manifests, three data files.
    assert_eq!((purged.deleted_files, purged.failed_files), (10, 0));
    assert_eq!(lake.metadata_files("", "").await, ["foreign"]);
    assert!(lake.catalog.load_table(&lake.ident).await.is_err());
}

#[tokio::test]
async fn purge_is_refused_before_the_drop_when_files_may_be_others() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    lake.set_property("gc.enabled", "false").await;
    let error = lake
        .commits
        .purge(&lake.catalog, &lake.ident)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(lake.live(&lake.table().await).await, ["a"]);
}
