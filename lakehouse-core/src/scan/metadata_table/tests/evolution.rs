//! Tables whose specs, snapshots and metadata files are several.

use iceberg::spec::{
    PrimitiveLiteral, TableMetadata, TableMetadataBuildResult, UnboundPartitionSpec,
};

use super::*;
use crate::catalog::TablePointer;
use crate::scan::testing::storage;

/// The table with changed metadata.
fn changed(table: &Table, change: impl FnOnce(TableMetadata) -> TableMetadataBuildResult) -> Table {
    let metadata = TableMetadata::clone(table.metadata());
    let pointer = TablePointer {
        metadata: Arc::new(change(metadata).metadata),
        metadata_location: "/t/v2.metadata.json".to_owned(),
        ident: table.ident().clone(),
    };
    Table::new(pointer, storage())
}

fn with_spec(table: &Table, fields: &[(i32, &str, Transform)]) -> Table {
    let mut spec = UnboundPartitionSpec::builder();
    for (source, name, transform) in fields {
        spec = spec
            .add_partition_field(*source, *name, *transform)
            .unwrap();
    }
    changed(table, |metadata| {
        let log = Some("/t/v1.metadata.json".to_owned());
        let builder = metadata.into_builder(log);
        let builder = builder.add_default_partition_spec(spec.build());
        builder.unwrap().build().unwrap()
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
            (1, "renamed", Transform::Bucket(8)),
            (3, "old", Transform::Identity),
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
            &["partition", "spec_id", "file_count", "last_updated_snapshot_id"]
        ),
        ["| {renamed: 3, old: } | 0 | 1 | 77 |"]
    );
    let schema = MetadataTable::Files.filter_schema(&table).unwrap();
    let field_id = schema.field_by_name("partition.old").unwrap().id;
    for (predicate, rows) in [
        (Predicate::IsNotNull { field_id }, 0),
        (Predicate::IsNull { field_id }, 1),
    ] {
        let read = MetadataRead {
            predicate,
            ..all()
        };
        let files = collect(MetadataTable::Files, &table, read).await;
        assert_eq!(files.num_rows(), rows);
    }
}

#[tokio::test]
async fn fields_of_one_name_are_told_apart() {
    let mut lake = Lake::new(FormatVersion::V2, &[(1, "p", Transform::Bucket(8))]);
    lake.manifest(vec![file_of("/a")]).await;
    let table = with_spec(&lake.table().await, &[(3, "p", Transform::Identity)]);
    let files = collect(MetadataTable::Files, &table, MetadataRead::default()).await;
    assert_eq!(show(&files, &["partition"]), ["| {p_1000: 3, p: } |"]);
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
    let table = with_spec(&lake.table().await, &[(3, "p", Transform::Identity)]);
    let log = collect(
        MetadataTable::MetadataLogEntries,
        &table,
        MetadataRead::default(),
    )
    .await;
    assert_eq!(
        show(&log, &["file", "latest_snapshot_id", "latest_schema_id", "latest_sequence_number"]),
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
