//! Which manifests are read, and how much of them is shown.

use iceberg::spec::DataFile;

use super::*;
use crate::scan::predicate::Comparison;
use crate::scan::testing::{SEQUENCE, compare};

fn named(path: &str, name: Option<&str>) -> DataFile {
    data_file(path, vec![name.map(Literal::string)])
        .build()
        .unwrap()
}

fn position_delete(path: &str, name: Option<&str>) -> DataFile {
    let mut delete = data_file(path, vec![name.map(Literal::string)]);
    delete.content(DataContentType::PositionDeletes);
    delete.referenced_data_file(Some("/a".to_owned()));
    delete.build().unwrap()
}

/// Data in two manifests and deletes in a third, and where the manifests are.
async fn three_manifests() -> (Lake, [String; 3]) {
    let mut lake = Lake::new(FormatVersion::V2, &[(3, "name", Transform::Identity)]);
    let first = lake
        .manifest_with(
            vec![named("/a", Some("a")), named("/b", Some("a"))],
            vec![named("/old", Some("a"))],
            vec![named("/gone", Some("a"))],
        )
        .await;
    let second = lake.manifest(vec![named("/c", Some("c"))]).await;
    let third = lake.manifest(vec![position_delete("/d", Some("d"))]).await;
    (lake, [first, second, third])
}

/// The columns that two kinds of tables have in common are read by path.
async fn paths(which: MetadataTable, table: &Table, read: MetadataRead) -> Vec<String> {
    let batch = collect(which, table, read).await;
    show(&batch, &["file_path"])
        .into_iter()
        .map(|line| line.trim_matches(['|', ' ']).to_owned())
        .collect()
}

/// A condition on a column of the filter schema.
fn filter(
    which: MetadataTable,
    table: &Table,
    column: &str,
    comparison: Comparison,
    literal: Datum,
) -> MetadataRead {
    let schema = which.filter_schema(table).unwrap();
    let field = schema.field_by_name(column).unwrap();
    MetadataRead {
        predicate: compare(field.id, comparison, literal),
        ..MetadataRead::default()
    }
}

#[tokio::test]
async fn files_are_told_apart_by_their_content() {
    let (lake, _) = three_manifests().await;
    let table = lake.table().await;
    let all = || MetadataRead::default();
    for (which, expected) in [
        (MetadataTable::Files, vec!["/a", "/b", "/old", "/c", "/d"]),
        (
            MetadataTable::AllFiles,
            vec!["/a", "/b", "/old", "/c", "/d"],
        ),
        (MetadataTable::DataFiles, vec!["/a", "/b", "/old", "/c"]),
        (MetadataTable::AllDataFiles, vec!["/a", "/b", "/old", "/c"]),
        (MetadataTable::DeleteFiles, vec!["/d"]),
        (MetadataTable::AllDeleteFiles, vec!["/d"]),
    ] {
        assert_eq!(paths(which, &table, all()).await, expected, "{which:?}");
    }
    let deletes = collect(MetadataTable::DeleteFiles, &table, all()).await;
    assert_eq!(
        show(&deletes, &["content", "referenced_data_file"]),
        ["| 1 | /a |"]
    );
}

#[tokio::test]
async fn entries_inherit_and_keep_what_was_removed() {
    let (lake, _) = three_manifests().await;
    let table = lake.table().await;
    for which in [MetadataTable::Entries, MetadataTable::AllEntries] {
        let entries = collect(which, &table, MetadataRead::default()).await;
        let columns = [
            "status",
            "snapshot_id",
            "sequence_number",
            "file_sequence_number",
        ];
        let added = format!("| 1 | 77 | {SEQUENCE} | {SEQUENCE} |");
        assert_eq!(
            show(&entries, &columns),
            [
                added.as_str(),
                &added,
                "| 0 | 11 | 3 | 3 |",
                "| 2 | 77 | 2 | 2 |",
                &added,
                &added,
            ]
        );
        let data_file = &show(&entries, &["data_file"])[0];
        assert!(
            data_file.starts_with(
                "| {content: 0, file_path: /a, file_format: PARQUET, spec_id: 0, \
                 partition: {name: a}, record_count: 10, file_size_in_bytes: 1000, "
            ),
            "{data_file}"
        );
    }
}

#[tokio::test]
async fn manifests_that_a_filter_rules_out_are_not_read() {
    use Comparison::{Eq, Gt, GtEq};
    use MetadataTable::{AllEntries, AllFiles, Entries, Files, Partitions};
    let (lake, manifests) = three_manifests().await;
    let table = lake.table().await;
    let cases = [
        (Files, "content", GtEq, Datum::int(1), vec![2]),
        (AllFiles, "content", Eq, Datum::int(0), vec![0, 1]),
        (Files, "partition.name", Eq, Datum::string("c"), vec![1]),
        (
            Partitions,
            "partition.name",
            Gt,
            Datum::string("a"),
            vec![1, 2],
        ),
        (Entries, "status", Eq, Datum::int(0), vec![0]),
        (AllEntries, "status", Gt, Datum::int(1), vec![0]),
        (Entries, "snapshot_id", Eq, Datum::long(11), vec![0]),
        (Entries, "data_file.content", Eq, Datum::int(2), vec![2]),
        (
            Entries,
            "data_file.partition.name",
            Eq,
            Datum::string("c"),
            vec![1],
        ),
        (Files, "spec_id", Eq, Datum::int(1), vec![]),
    ];
    for (which, column, comparison, literal, needed) in cases {
        let read = filter(which, &table, column, comparison, literal);
        // A manifest that is not there fails the read that needs it.
        for (place, path) in manifests.iter().enumerate() {
            let kept = std::fs::read(path).unwrap();
            std::fs::remove_file(path).unwrap();
            let stream = which.scan(&table, &ManifestCache::new(0), read.clone(), &reader());
            let rows = stream.unwrap().try_collect::<Vec<_>>().await;
            assert_eq!(
                rows.is_err(),
                needed.contains(&place),
                "{which:?} by {column}: manifest {place}"
            );
            std::fs::write(path, kept).unwrap();
        }
    }
}

#[tokio::test]
async fn entries_that_a_filter_rules_out_are_not_shown() {
    use Comparison::{Eq, Gt};
    use MetadataTable::Files;
    let (lake, _) = three_manifests().await;
    let table = lake.table().await;
    let read = filter(Files, &table, "file_path", Gt, Datum::string("/b"));
    assert_eq!(paths(Files, &table, read).await, ["/old", "/c", "/d"]);
    let read = filter(Files, &table, "partition.name", Eq, Datum::string("a"));
    assert_eq!(paths(Files, &table, read).await, ["/a", "/b", "/old"]);
    let schema = Files.filter_schema(&table).unwrap();
    let field_id = schema.field_by_name("partition.name").unwrap().id;
    let read = MetadataRead {
        predicate: Predicate::IsNull { field_id },
        ..MetadataRead::default()
    };
    assert!(paths(Files, &table, read).await.is_empty());
}

#[tokio::test]
async fn a_limit_ends_the_reading_of_manifests() {
    let (lake, [_, second, third]) = three_manifests().await;
    std::fs::remove_file(second).unwrap();
    std::fs::remove_file(third).unwrap();
    let table = lake.table().await;
    for which in [MetadataTable::Files, MetadataTable::AllDataFiles] {
        let read = MetadataRead {
            rows_max: Some(2),
            ..MetadataRead::default()
        };
        assert_eq!(paths(which, &table, read).await, ["/a", "/b"], "{which:?}");
    }
    let none = MetadataRead {
        rows_max: Some(0),
        ..MetadataRead::default()
    };
    for which in MetadataTable::ALL {
        let rows = collect(which, &table, none.clone()).await;
        // Partitions are known when all files are.
        assert_eq!(rows.num_rows(), 0, "{which:?}");
    }
}

#[tokio::test]
async fn a_projection_gives_the_columns_of_the_whole() {
    let (lake, _) = three_manifests().await;
    let table = lake.table().await;
    for which in MetadataTable::ALL {
        let whole = collect(which, &table, MetadataRead::default()).await;
        let columns: Vec<usize> = (0..whole.num_columns()).rev().step_by(2).collect();
        for projection in [columns, vec![0], vec![]] {
            let read = MetadataRead {
                projection: Some(projection.clone()),
                ..MetadataRead::default()
            };
            let some = collect(which, &table, read).await;
            assert_eq!(some, whole.project(&projection).unwrap(), "{which:?}");
        }
    }
}

#[tokio::test]
async fn many_files_come_in_many_batches() {
    let mut lake = Lake::new(FormatVersion::V2, &[(3, "name", Transform::Identity)]);
    let files = |from: usize| {
        (from..from + 1500).map(|place| {
            let name = place.to_string();
            named(&format!("/{place}"), Some(&name))
        })
    };
    lake.manifest(files(0).collect()).await;
    lake.manifest(files(1500).collect()).await;
    let table = lake.table().await;
    for which in [MetadataTable::Files, MetadataTable::Partitions] {
        let read = MetadataRead {
            rows_max: Some(2600),
            ..MetadataRead::default()
        };
        let stream = which
            .scan(&table, &ManifestCache::new(0), read, &reader())
            .unwrap();
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        let sizes: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 2600, "{which:?}");
        assert!(
            sizes.iter().all(|size| *size <= ROWS_PER_BATCH),
            "{which:?}"
        );
    }
}
