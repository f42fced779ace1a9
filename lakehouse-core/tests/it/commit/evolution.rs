//! Changes of a table's definition beside other commits, and after answers that were lost.

use std::sync::Arc;

use futures::future::BoxFuture;
use iceberg::spec::{FormatVersion, PrimitiveType, Transform, Type};
use lakehouse_core::commit::{
    Change, ColumnPath, Commits, EvolvePartitions, EvolveSchema, FileChange, NewColumn,
    NewPartitionField, PartitionOperation, SchemaOperation, SetLocation, SetProperties,
    UpgradeFormat,
};
use lakehouse_core::error::ErrorKind;

use super::catalog::Fault;
use super::fixture::{Lake, files};

fn add(name: &str) -> EvolveSchema {
    let new = NewColumn::new(name, Type::Primitive(PrimitiveType::Int));
    EvolveSchema {
        operations: vec![SchemaOperation::Add(new)],
    }
}

fn add_bucket(buckets: u32) -> EvolvePartitions {
    let field = NewPartitionField {
        column: ColumnPath::parse("id").unwrap(),
        transform: Transform::Bucket(buckets),
        name: None,
    };
    EvolvePartitions {
        operations: vec![PartitionOperation::Add(field)],
    }
}

/// What another process does, through a door of its own.
fn others(lake: &Lake, change: impl Into<Change>) -> BoxFuture<'static, ()> {
    let other = Commits::new(Arc::clone(&lake.clock) as _);
    let (catalog, ident, change) = (Arc::clone(&lake.catalog), lake.ident.clone(), change.into());
    Box::pin(async move {
        other.commit(&catalog, &ident, change).await.unwrap();
    })
}

async fn ids(lake: &Lake) -> Vec<(String, i32)> {
    let table = lake.table().await;
    let fields = table.schema().as_struct().fields().iter();
    fields.map(|field| (field.name.clone(), field.id)).collect()
}

#[tokio::test]
async fn columns_that_two_add_at_once_get_ids_of_their_own() {
    let lake = Lake::new().await;
    lake.faulty
        .inject(Fault::Before(others(&lake, add("theirs"))));
    let committed = lake.commit(add("ours")).await.unwrap();
    assert_eq!(committed.attempts, 2);
    let expected = [("id", 1), ("part", 2), ("theirs", 3), ("ours", 4)];
    assert_eq!(
        ids(&lake).await,
        expected.map(|(name, id)| (name.to_owned(), id))
    );
}

#[tokio::test]
async fn a_column_that_somebody_added_meanwhile_is_an_error() {
    let lake = Lake::new().await;
    lake.faulty
        .inject(Fault::Before(others(&lake, add("same"))));
    let error = lake.commit(add("SAME")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(ids(&lake).await.len(), 3);
}

#[tokio::test]
async fn a_source_that_somebody_drops_meanwhile_is_an_error() {
    let lake = Lake::new().await;
    lake.commit(add("n")).await.unwrap();
    let drop = EvolveSchema {
        operations: vec![SchemaOperation::Drop {
            column: ColumnPath::parse("n").unwrap(),
            if_exists: false,
        }],
    };
    lake.faulty.inject(Fault::Before(others(&lake, drop)));
    let by_n = EvolvePartitions {
        operations: vec![PartitionOperation::Add(NewPartitionField {
            column: ColumnPath::parse("n").unwrap(),
            transform: Transform::Identity,
            name: None,
        })],
    };
    let error = lake.commit(by_n).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn files_of_the_old_columns_and_partitions_are_added_to_the_new_ones() {
    let lake = Lake::new().await;
    let before = lake.table().await;
    let append = FileChange::append(&before, files(&["old"]));
    lake.commit(add("later")).await.unwrap();
    lake.faulty
        .inject(Fault::Before(others(&lake, add_bucket(8))));
    let committed = lake.commit(append).await.unwrap();
    assert_eq!(lake.live(&committed.table).await, ["old"]);
    let manifests = lake.manifests(&committed.table).await;
    assert_eq!(manifests[0].partition_spec_id, 0);
    assert_eq!(committed.table.partition_spec().spec_id(), 1);
    let snapshot = committed.table.snapshot().unwrap();
    assert_eq!(snapshot.schema_id(), Some(1));
}

#[tokio::test]
async fn a_lost_answer_is_told_by_the_table() {
    for change in [Change::from(add("a")), Change::from(add_bucket(8))] {
        let lake = Lake::new().await;
        lake.faulty.inject(Fault::AppliedUnknown);
        lake.commit(change).await.unwrap();
    }
    // Also when others have changed the same since.
    let lake = Lake::new().await;
    let then = others(&lake, add("b"));
    lake.faulty.inject(Fault::AppliedUnknownThen(then));
    lake.commit(add("a")).await.unwrap();
    assert_eq!(ids(&lake).await.len(), 4);

    let lake = Lake::new().await;
    lake.faulty.inject(Fault::NotAppliedUnknown);
    let error = lake.commit(add("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);

    // Overtaken, it cannot be applied any more, and is tried again.
    let lake = Lake::new().await;
    let then = others(&lake, add("b"));
    lake.faulty.inject(Fault::NotAppliedUnknownThen(then));
    let committed = lake.commit(add("a")).await.unwrap();
    assert_eq!(committed.attempts, 2);
    assert_eq!(ids(&lake).await.len(), 4);
}

#[tokio::test]
async fn the_version_is_raised_as_a_property_or_by_itself() {
    let lake = Lake::new().await;
    let properties = [("format-version", "3"), ("owner", "me")];
    let change = SetProperties {
        properties: properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    let committed = lake.commit(change).await.unwrap();
    assert_eq!(committed.table.format_version(), FormatVersion::V3);
    let properties = committed.table.properties();
    assert_eq!(properties["owner"], "me");
    assert!(!properties.contains_key("format-version"));
    let lower = UpgradeFormat {
        version: FormatVersion::V2,
    };
    let error = lake.commit(lower).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    lake.append(&["a"]).await.unwrap();
}

#[tokio::test]
async fn new_files_go_to_the_new_location() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let change = SetLocation {
        location: "memory:///lake/elsewhere/".to_owned(),
    };
    let committed = lake.commit(change.clone()).await.unwrap();
    assert_eq!(committed.table.location(), "memory:///lake/elsewhere");
    assert!(!lake.commit(change).await.unwrap().is_changed);
    let committed = lake.append(&["b"]).await.unwrap();
    assert_eq!(lake.live(&committed.table).await, ["a", "b"]);
    let list = committed.table.snapshot().unwrap().manifest_list();
    assert!(list.starts_with("memory:///lake/elsewhere/"), "{list}");
}
