//! Tables whose specs, snapshots and metadata files are several.

use iceberg::spec::{PrimitiveLiteral, TableMetadata};
use serde_json::{Value as Json, json};

use super::*;
use crate::catalog::TablePointer;
use crate::scan::testing::storage;

/// The table with a second metadata file.
fn changed(table: &Table, change: impl FnOnce(&mut Json)) -> Table {
    let mut metadata = serde_json::to_value(TableMetadata::clone(table.metadata())).unwrap();
    let log = json!({
        "timestamp-ms": metadata["last-updated-ms"],
        "metadata-file": "/t/v1.metadata.json",
    });
    metadata["metadata-log"] = json!([log]);
    change(&mut metadata);
    let pointer = TablePointer {
        metadata: Arc::new(serde_json::from_value(metadata).unwrap()),
        metadata_location: "/t/v2.metadata.json".to_owned(),
        ident: table.ident().clone(),
    };
    Table::new(pointer, storage())
}

/// The table with a second spec: name, source, transform and id of its fields.
fn with_spec(table: &Table, fields: &[(&str, i32, &str, i32)]) -> Table {
    let fields: Vec<Json> = fields
        .iter()
        .map(|(name, source, transform, id)| {
            json!({"name": name, "source-id": source, "transform": transform, "field-id": id})
        })
        .collect();
    changed(table, |metadata| {
        let specs = metadata["partition-specs"].as_array_mut().unwrap();
        specs.push(json!({"spec-id": 1, "fields": fields}));
        metadata["default-spec-id"] = json!(1);
        metadata["last-partition-id"] = json!(1001);
    })
}

fn file_of(path: &str) -> iceberg::spec::DataFile {
    let tuple = vec![Some(Literal::Primitive(PrimitiveLiteral::Int(3)))];
    data_file(path, tuple).build().unwrap()
}

#[tokio::test]
async fn partitions_have_the_fields_of_all_specs() {
    let mut lake = Lake::new(FormatVersion::V2, &[(1, "old", Transform::Bucket(8))]);
    lake.manifest(vec![file_of("/a")]).await;
    let table = with_spec(
        &lake.table().await,
        &[
            ("renamed", 1, "bucket[8]", 1000),
            ("old", 3, "identity", 1001),
        ],
    );
    let all = MetadataRead::default;
    let files = collect(MetadataTable::Files, &table, all()).await;
    // The field's newest name, and a NULL for the field that came later.
    assert_eq!(
        show(&files, &["spec_id", "partition"]),
        ["| 0 | {renamed: 3, old: } |"]
    );
    let partitions = collect(MetadataTable::Partitions, &table, all()).await;
    assert_eq!(
        show(
            &partitions,
            &[
                "partition",
                "spec_id",
                "file_count",
                "last_updated_snapshot_id"
            ]
        ),
        ["| {renamed: 3, old: } | 0 | 1 | 77 |"]
    );
    let schema = MetadataTable::Files.filter_schema(&table).unwrap();
    let field_id = schema.field_by_name("partition.old").unwrap().id;
    for (predicate, rows) in [
        (Predicate::IsNotNull { field_id }, 0),
        (Predicate::IsNull { field_id }, 1),
    ] {
        let read = MetadataRead { predicate, ..all() };
        let files = collect(MetadataTable::Files, &table, read).await;
        assert_eq!(files.num_rows(), rows);
    }
}

#[tokio::test]
async fn fields_of_one_name_are_told_apart() {
    let mut lake = Lake::new(FormatVersion::V2, &[(1, "p", Transform::Bucket(8))]);
    lake.manifest(vec![file_of("/a")]).await;
    let table = with_spec(&lake.table().await, &[("p", 3, "identity", 1001)]);
    let files = collect(MetadataTable::Files, &table, MetadataRead::default()).await;
    assert_eq!(show(&files, &["partition"]), ["| {p_1000: 3, p: } |"]);
}

#[tokio::test]
async fn what_version_1_dropped_keeps_its_values() {
    let mut lake = Lake::new(FormatVersion::V1, &[(1, "b", Transform::Bucket(8))]);
    lake.manifest(vec![file_of("/a")]).await;
    let table = with_spec(
        &lake.table().await,
        &[("b_gone", 1, "void", 1000), ("name", 3, "identity", 1001)],
    );
    let files = collect(MetadataTable::Files, &table, MetadataRead::default()).await;
    assert_eq!(show(&files, &["partition"]), ["| {b_gone: 3, name: } |"]);
    // One id that stands for two fields.
    let table = with_spec(&lake.table().await, &[("name", 3, "identity", 1000)]);
    let files = collect(MetadataTable::Files, &table, MetadataRead::default()).await;
    assert_eq!(show(&files, &["partition"]), ["| {name: , b: 3} |"]);
}

#[tokio::test]
async fn version_1_lists_without_counts_are_counted() {
    let mut lake = Lake::new(FormatVersion::V1, &[(1, "b", Transform::Bucket(8))]);
    lake.manifest_of(vec![file_of("/a"), file_of("/b")], vec![file_of("/c")])
        .await;
    let manifest = lake.last();
    manifest.added_files_count = None;
    manifest.existing_files_count = None;
    manifest.deleted_files_count = None;
    manifest.partitions = None;
    let table = lake.table().await;
    let manifests = collect(MetadataTable::Manifests, &table, MetadataRead::default()).await;
    let columns = [
        "added_data_files_count",
        "existing_data_files_count",
        "deleted_data_files_count",
        "added_delete_files_count",
        "partition_summaries",
    ];
    assert_eq!(show(&manifests, &columns), ["| 2 | 1 | 0 | 0 | [] |"]);
}

#[tokio::test]
async fn the_metadata_log_ends_with_the_current_file() {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    lake.manifest(vec![data_file("/a", vec![]).build().unwrap()])
        .await;
    let table = with_spec(&lake.table().await, &[("p", 3, "identity", 1001)]);
    let log = collect(
        MetadataTable::MetadataLogEntries,
        &table,
        MetadataRead::default(),
    )
    .await;
    assert_eq!(
        show(
            &log,
            &[
                "file",
                "latest_snapshot_id",
                "latest_schema_id",
                "latest_sequence_number"
            ]
        ),
        [
            "| /t/v1.metadata.json | 77 | 0 | 5 |",
            "| /t/v2.metadata.json | 77 | 0 | 5 |",
        ]
    );
    let empty = lake.empty_table();
    let log = collect(
        MetadataTable::MetadataLogEntries,
        &empty,
        MetadataRead::default(),
    )
    .await;
    assert_eq!(show(&log, &["latest_snapshot_id"]), ["| |"]);
}

#[tokio::test]
async fn row_ids_are_inherited_by_data_files_alone() {
    let mut lake = Lake::new(FormatVersion::V3, &[]);
    let file = |path: &str| data_file(path, vec![]).build().unwrap();
    lake.manifest_with(vec![file("/a"), file("/b")], vec![], vec![file("/gone")])
        .await;
    let mut delete = data_file("/d.puffin", vec![]);
    delete
        .content(DataContentType::PositionDeletes)
        .file_format(iceberg::spec::DataFileFormat::Puffin)
        .referenced_data_file(Some("/a".to_owned()))
        .content_offset(Some(4))
        .content_size_in_bytes(Some(40));
    lake.manifest(vec![delete.build().unwrap()]).await;
    let table = lake.table().await;
    let files = collect(MetadataTable::Files, &table, MetadataRead::default()).await;
    let columns = [
        "file_path",
        "file_format",
        "first_row_id",
        "referenced_data_file",
        "content_offset",
        "content_size_in_bytes",
    ];
    assert_eq!(
        show(&files, &columns),
        [
            "| /a | PARQUET | 100 | | | |",
            "| /b | PARQUET | 110 | | | |",
            "| /d.puffin | PUFFIN | | /a | 4 | 40 |",
        ]
    );
}
