//! Tables whose definition and rows are replaced by others in one swap.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use iceberg::spec::{
    DataFileBuilder, DataFileFormat, FormatVersion, NestedField, PrimitiveType, Schema, Struct,
    StructType, Transform, Type, UnboundPartitionSpec,
};
use lakehouse_core::commit::{
    EvolveSchema, FileChange, NewColumn, NewTable, ReferenceMode, ReplaceTable, Retention,
    SchemaOperation, SetReference,
};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::table::{ReferenceKind, Version};
use lakehouse_core::write::WrittenFile;

use super::catalog::Fault;
use super::fixture::{Lake, files, new_table};

fn field(id: i32, name: &str, kind: PrimitiveType) -> Arc<NestedField> {
    Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
}

/// `id` as it was, `part` of another type, and a new column; unpartitioned.
fn other_table(version: FormatVersion) -> NewTable {
    let schema = Schema::builder()
        .with_fields(vec![
            field(1, "part", PrimitiveType::Int),
            field(2, "id", PrimitiveType::Long),
            field(3, "more", PrimitiveType::String),
        ])
        .build()
        .unwrap();
    NewTable {
        format_version: version,
        ..NewTable::new(schema)
    }
}

fn reference(name: &str, kind: ReferenceKind) -> SetReference {
    SetReference {
        name: name.to_owned(),
        kind,
        snapshot_id: None,
        retention: Retention::default(),
        mode: ReferenceMode::Create {
            if_not_exists: false,
        },
    }
}

/// Data files of an unpartitioned table, by spec.
fn plain_files(replacement: &ReplaceTable, names: &[&str]) -> Vec<WrittenFile> {
    let spec_id = replacement.staged().partition_spec().spec_id();
    let file = |name: &&str| WrittenFile {
        data_file: DataFileBuilder::default()
            .content(iceberg::spec::DataContentType::Data)
            .file_path(format!("memory:///lake/orders/data/{name}"))
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::empty())
            .record_count(3)
            .file_size_in_bytes(100)
            .build()
            .unwrap(),
        spec_id,
    };
    names.iter().map(file).collect()
}

async fn staged(lake: &Lake, new: NewTable) -> ReplaceTable {
    let table = lake.table().await;
    lake.commits.stage_replacement(&table, new).await.unwrap()
}

#[tokio::test]
async fn a_replaced_table_keeps_its_identity_and_history() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        let lake = Lake::with(new_table(version)).await;
        lake.append(&["a"]).await.unwrap();
        let before = lake.table().await;
        let tag = reference("old", ReferenceKind::Tag);
        lake.commit(tag).await.unwrap();
        let replacement = staged(&lake, other_table(version)).await;
        let added = plain_files(&replacement, &["b", "c"]);
        let made = lake.commit(replacement.with_files(added)).await.unwrap();
        assert!(made.is_changed);
        assert_eq!(made.previous_snapshot_id, before.snapshot_id());

        let after = lake.table().await;
        assert_eq!(after.metadata().uuid(), before.metadata().uuid());
        assert_eq!(after.location(), before.location());
        assert_eq!(after.properties(), before.properties());
        assert_eq!(lake.live(&after).await, ["b", "c"]);
        assert_eq!(after.history().len(), 2);
        let snapshot = after.snapshot().unwrap();
        assert_eq!(snapshot.parent_snapshot_id(), None);
        let totals = &snapshot.summary().additional_properties;
        assert_eq!(totals["total-data-files"], "2");
        assert_eq!(totals["total-records"], "6");
        let names: Vec<(i32, &str)> = after
            .schema()
            .as_struct()
            .fields()
            .iter()
            .map(|field| (field.id, field.name.as_str()))
            .collect();
        assert_eq!(names, [(3, "part"), (1, "id"), (4, "more")]);
        assert!(after.partition_spec().is_unpartitioned());

        let old = after.at(Version::Tag("old".to_owned())).unwrap();
        assert_eq!(lake.live(&old).await, ["a"]);
        assert_eq!(old.schema(), before.schema());

        // And back: the columns of the same names and types are those from before, but what was
        // another column meanwhile is a new one.
        let replacement = staged(&lake, new_table(version)).await;
        lake.commit(replacement).await.unwrap();
        let back = lake.table().await;
        assert_eq!(lake.live(&back).await, [""; 0]);
        assert_eq!(back.schema().field_by_name("id").unwrap().id, 1);
        assert_eq!(back.schema().field_by_name("part").unwrap().id, 5);
        let partitions: Vec<(i32, i32)> = back
            .partition_spec()
            .fields()
            .iter()
            .map(|field| (field.source_id, field.field_id))
            .collect();
        assert_eq!(partitions, [(5, 1002), (1, 1001)]);
    }
}

#[tokio::test]
async fn nested_columns_keep_ids_where_their_values_can_be_read() {
    let wide = |fields: Vec<Arc<NestedField>>| Type::Struct(StructType::new(fields));
    let of = |fields: Vec<Arc<NestedField>>| Schema::builder().with_fields(fields).build().unwrap();
    let nested = |inner: Vec<Arc<NestedField>>, list: PrimitiveType| {
        let list = Type::List(iceberg::spec::ListType::new(Arc::new(
            NestedField::list_element(21, Type::Primitive(list), false),
        )));
        of(vec![
            Arc::new(NestedField::optional(10, "s", wide(inner))),
            Arc::new(NestedField::optional(20, "l", list)),
        ])
    };
    let first = nested(
        vec![
            field(11, "n", PrimitiveType::Int),
            field(12, "t", PrimitiveType::String),
        ],
        PrimitiveType::Int,
    );
    let lake = Lake::with(NewTable::new(first)).await;
    let before = lake.table().await;
    let id = |table: &lakehouse_core::table::Table, name: &str| {
        table.schema().field_id_by_name(name).unwrap()
    };
    let second = nested(
        vec![
            field(11, "t", PrimitiveType::Date),
            field(12, "n", PrimitiveType::Long),
        ],
        PrimitiveType::String,
    );
    lake.commit(staged(&lake, NewTable::new(second)).await)
        .await
        .unwrap();
    let after = lake.table().await;
    for name in ["s", "s.n"] {
        assert_eq!(id(&after, name), id(&before, name), "{name}");
    }
    for name in ["s.t", "l", "l.element"] {
        assert!(id(&after, name) > 5, "{name}");
    }
    assert_eq!(after.metadata().last_column_id(), 8);
}

#[tokio::test]
async fn a_replacement_of_what_others_changed_meanwhile_conflicts() {
    enum Other {
        Rows,
        Columns,
        Branch,
        Property,
    }
    for (other, conflicts) in [
        (Other::Rows, true),
        (Other::Columns, true),
        (Other::Branch, false),
        (Other::Property, false),
    ] {
        for late in [false, true] {
            let lake = Arc::new(Lake::new().await);
            lake.append(&["a"]).await.unwrap();
            let replacement = staged(&lake, other_table(FormatVersion::V2)).await;
            let added = plain_files(&replacement, &["b"]);
            for file in &added {
                let location = file.data_file.file_path();
                let bytes = bytes::Bytes::from_static(b"rows");
                lake.storage().write_new(location, bytes).await.unwrap();
            }
            let meanwhile = {
                let lake = Arc::clone(&lake);
                let change = match &other {
                    Other::Rows => {
                        let table = lake.table().await;
                        FileChange::append(&table, files(&["other"])).into()
                    }
                    Other::Columns => EvolveSchema {
                        operations: vec![SchemaOperation::Add(NewColumn::new(
                            "x",
                            Type::Primitive(PrimitiveType::Int),
                        ))],
                    }
                    .into(),
                    Other::Branch => reference("b", ReferenceKind::Branch).into(),
                    Other::Property => lakehouse_core::commit::SetProperties {
                        properties: HashMap::from([("k".to_owned(), "v".to_owned())]),
                    }
                    .into(),
                };
                async move {
                    // By commits of another process.
                    let commits =
                        lakehouse_core::commit::Commits::new(Arc::clone(&lake.clock) as _);
                    let change: lakehouse_core::commit::Change = change;
                    let _ = commits
                        .commit(&lake.catalog, &lake.ident, change)
                        .await
                        .unwrap();
                }
                .boxed()
            };
            match late {
                true => lake.faulty.inject(Fault::Before(meanwhile)),
                false => meanwhile.await,
            }
            let outcome = lake.commit(replacement.with_files(added)).await;
            let after = lake.table().await;
            if conflicts {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(error.to_string().contains("replacement"), "{error}");
                assert!(lake.metadata_files("b", "b").await.is_empty());
                assert!(lake.live(&after).await.contains(&"a".to_owned()));
                assert!(after.schema().field_by_name("more").is_none());
            } else {
                outcome.unwrap();
                assert_eq!(lake.live(&after).await, ["b"]);
                let is_kept =
                    after.properties().get("k").is_some() || after.refs().unwrap().len() == 2;
                assert!(is_kept);
            }
        }
    }
}

#[tokio::test]
async fn rows_for_the_old_definition_are_not_added_to_the_new_one() {
    for has_rows in [true, false] {
        let lake = Lake::new().await;
        if has_rows {
            lake.append(&["a"]).await.unwrap();
        }
        let old = lake.table().await;
        lake.commit(staged(&lake, other_table(FormatVersion::V2)).await)
            .await
            .unwrap();
        let error = lake
            .commit(FileChange::append(&old, files(&["late"])))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(lake.live(&lake.table().await).await.is_empty());
    }
}

#[tokio::test]
async fn a_replacement_whose_answer_was_lost_is_found_in_the_history() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let replacement = staged(&lake, other_table(FormatVersion::V2)).await;
    lake.faulty.inject(Fault::AppliedUnknown);
    let made = lake.commit(replacement).await.unwrap();
    assert_eq!(made.table.snapshot_id(), made.snapshot_id);
    assert!(lake.live(&lake.table().await).await.is_empty());
}

#[tokio::test]
async fn a_replacement_raises_the_format_version_and_never_lowers_it() {
    let lake = Lake::with(new_table(FormatVersion::V1)).await;
    lake.append(&["a"]).await.unwrap();
    // The old fields stay in version 1, without values.
    let kept = NewTable {
        partition_spec: Some(
            UnboundPartitionSpec::builder()
                .add_partition_field(1, "id_trunc", Transform::Truncate(10))
                .unwrap()
                .build(),
        ),
        schema: new_table(FormatVersion::V1).schema,
        ..other_table(FormatVersion::V1)
    };
    lake.commit(staged(&lake, kept).await).await.unwrap();
    let table = lake.table().await;
    let fields: Vec<(i32, &str, Transform)> = table
        .partition_spec()
        .fields()
        .iter()
        .map(|field| (field.field_id, field.name.as_str(), field.transform))
        .collect();
    assert_eq!(
        fields,
        [
            (1000, "part_1000", Transform::Void),
            (1001, "bucket", Transform::Void),
            (1002, "id_trunc", Transform::Truncate(10)),
        ]
    );
    let refused = lake
        .commits
        .stage_replacement(&table, other_table(FormatVersion::V1))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    lake.commit(staged(&lake, other_table(FormatVersion::V3)).await)
        .await
        .unwrap();
    let table = lake.table().await;
    assert_eq!(table.format_version(), FormatVersion::V3);
    let lower = lake
        .commits
        .stage_replacement(&table, other_table(FormatVersion::V2))
        .await
        .unwrap_err();
    assert_eq!(lower.kind(), ErrorKind::InvalidInput, "{lower}");
}
