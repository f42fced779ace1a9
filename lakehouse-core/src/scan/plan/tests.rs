//! Whole plans of tables on disk, and of decoded manifests.

use std::collections::HashMap;

use iceberg::spec::{
    DataFile, DataFileBuilder, Datum, FormatVersion, ManifestEntry, ManifestStatus, Struct,
};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::error::ErrorKind;
use crate::scan::manifest::DecodedManifest;
use crate::scan::predicate::Comparison;
use crate::scan::testing::{Lake, SEQUENCE, SNAPSHOT, compare, data_file, id_file};

fn cache() -> ManifestCache {
    ManifestCache::new(1 << 20)
}

fn paths(plan: &ScanPlan) -> Vec<&str> {
    plan.files.iter().map(ScanFile::path).collect()
}

fn id_is(id: i64) -> Predicate {
    compare(1, Comparison::Eq, Datum::long(id))
}

fn day(day: i32) -> Vec<Option<Literal>> {
    vec![Some(Literal::date(day))]
}

const DAY: i64 = 86_400_000_000;

#[tokio::test]
async fn manifests_and_files_are_skipped_by_partition_and_bounds() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "d", Transform::Day)]);
    lake.manifest(vec![
        id_file("/a", (1, 9), day(1)),
        id_file("/b", (10, 19), day(1)),
    ])
    .await;
    lake.manifest(vec![
        id_file("/c", (1, 9), day(2)),
        id_file("/d", (1, 9), day(3)),
    ])
    .await;
    let table = lake.table().await;
    let all = plan(&table, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap();
    assert_eq!(paths(&all), ["/a", "/b", "/c", "/d"]);
    assert_eq!((all.row_count(), all.size_bytes()), (40, 4000));
    assert_eq!(all.snapshot_id, Some(SNAPSHOT));

    let at = |micros| compare(2, Comparison::Eq, Datum::timestamp_micros(micros));
    let predicate = Predicate::And(vec![at(DAY), id_is(12)]);
    let some = plan(&table, &predicate, &cache()).await.unwrap();
    assert_eq!(paths(&some), ["/b"]);
    let counts = PlanCounts {
        manifests_total: 2,
        manifests_skipped: 1,
        files_total: 2,
        files_total_bytes: 2000,
        files_skipped_bounds: 1,
        ..PlanCounts::default()
    };
    assert_eq!(some.counts, counts);
    let third = plan(&table, &at(3 * DAY + 5), &cache()).await.unwrap();
    assert_eq!(paths(&third), ["/d"]);
    assert_eq!(third.counts.files_skipped_partition, 1);
    let file = &third.files[0];
    assert_eq!(
        (file.sequence_number, file.added_snapshot_id),
        (SEQUENCE, SNAPSHOT)
    );
    assert_eq!(file.file_sequence_number, Some(SEQUENCE));
    assert_eq!(file.partition().next().unwrap().1, Some(&Literal::date(3)));
    assert!(file.constant(2).is_none());
}

#[tokio::test]
async fn version_1_manifests_and_missing_summaries_are_read() {
    let mut lake = Lake::new(FormatVersion::V1, &[(1, "id", Transform::Identity)]);
    lake.manifest(vec![id_file("/a", (7, 7), vec![Some(Literal::long(7))])])
        .await;
    lake.last().partitions = None;
    lake.last().added_files_count = None;
    lake.last().existing_files_count = None;
    let table = lake.table().await;
    let plan_7 = plan(&table, &id_is(7), &cache()).await.unwrap();
    assert_eq!(paths(&plan_7), ["/a"]);
    assert_eq!(plan_7.files[0].sequence_number, 0);
    let constant = plan_7.files[0].constant(1).unwrap();
    assert_eq!(constant, (&PrimitiveType::Long, Some(&Literal::long(7))));
    let plan_8 = plan(&table, &id_is(8), &cache()).await.unwrap();
    assert!(plan_8.files.is_empty());
}

#[tokio::test]
async fn a_table_without_snapshot_is_empty() {
    let lake = Lake::new(FormatVersion::V2, &[]);
    let table = lake.empty_table();
    let plan = plan(&table, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap();
    assert!(plan.files.is_empty() && plan.snapshot_id.is_none());
}

#[tokio::test]
async fn row_ids_follow_the_manifest_in_version_3() {
    let mut lake = Lake::new(FormatVersion::V3, &[]);
    let mut own = data_file("/own", vec![]);
    let own = own.first_row_id(Some(7)).build().unwrap();
    let files = vec![
        id_file("/a", (1, 2), vec![]),
        own,
        id_file("/b", (1, 2), vec![]),
    ];
    lake.manifest(files).await;
    let table = lake.table().await;
    let plan = plan(&table, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap();
    let ids: Vec<_> = plan.files.iter().map(|file| file.first_row_id).collect();
    assert_eq!(ids, [Some(100), Some(7), Some(110)]);
}

async fn refusal(lake: &Lake) -> String {
    let table = lake.table().await;
    let error = plan(&table, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    error.to_string()
}

fn position_deletes(path: &str, tuple: Vec<Option<Literal>>) -> DataFileBuilder {
    let mut file = data_file(path, tuple);
    file.content(DataContentType::PositionDeletes);
    file
}

fn deletes_of<'a>(plan: &'a ScanPlan, path: &str) -> Vec<&'a str> {
    let file = plan.files.iter().find(|file| file.path() == path).unwrap();
    file.deletes.iter().map(|delete| delete.path()).collect()
}

#[tokio::test]
async fn deletes_reach_the_files_of_their_partition() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "d", Transform::Day)]);
    lake.manifest(vec![
        id_file("/a", (1, 9), day(1)),
        id_file("/b", (10, 19), day(2)),
    ])
    .await;
    let delete = |path, of| position_deletes(path, day(of)).build().unwrap();
    lake.manifest(vec![delete("/d1", 1)]).await;
    lake.manifest(vec![delete("/d2", 2), delete("/d9", 9)])
        .await;
    let table = lake.table().await;
    let all = plan(&table, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap();
    assert_eq!(deletes_of(&all, "/a"), ["/d1"]);
    assert_eq!(deletes_of(&all, "/b"), ["/d2"]);
    assert_eq!(all.delete_files().len(), 2);
    assert!(all.has_deletes());
    // How many rows such files delete is not known before they are read.
    assert_eq!((all.row_count(), all.live_rows()), (20, (0, false)));
    let on_day = compare(2, Comparison::Eq, Datum::timestamp_micros(DAY));
    let some = plan(&table, &on_day, &cache()).await.unwrap();
    assert_eq!(deletes_of(&some, "/a"), ["/d1"]);
    assert_eq!(some.counts.delete_manifests_total, 2);
    assert_eq!(some.counts.delete_manifests_skipped, 1);
    // A manifest of which nothing is live deletes nothing.
    lake.last().added_files_count = Some(0);
    let table = lake.table().await;
    let all = plan(&table, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap();
    assert!(deletes_of(&all, "/b").is_empty());
}

#[tokio::test]
async fn equality_deletes_reach_older_files_whose_keys_they_may_have() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "d", Transform::Day)]);
    lake.manifest_of(
        Vec::new(),
        vec![
            id_file("/a", (1, 9), day(1)),
            id_file("/b", (10, 19), day(2)),
        ],
    )
    .await;
    let mut delete = data_file("/eq.parquet", day(1));
    delete
        .content(DataContentType::EqualityDeletes)
        .equality_ids(Some(vec![1]));
    lake.manifest(vec![delete.build().unwrap()]).await;
    let all = plan(&lake.table().await, &Predicate::AlwaysTrue, &cache())
        .await
        .unwrap();
    assert_eq!(deletes_of(&all, "/a"), ["/eq.parquet"]);
    assert!(deletes_of(&all, "/b").is_empty());
    assert_eq!(all.live_rows(), (10, false));
    let other = plan(&lake.table().await, &id_is(12), &cache())
        .await
        .unwrap();
    assert_eq!(paths(&other), ["/b"]);
}

#[tokio::test]
async fn a_limit_counts_live_rows() {
    let mut lake = Lake::new(FormatVersion::V3, &[]);
    for name in ["/a", "/b", "/c"] {
        lake.manifest(vec![id_file(name, (1, 2), vec![])]).await;
    }
    let mut vector = position_deletes("/v.puffin", vec![]);
    vector
        .file_format(DataFileFormat::Puffin)
        .referenced_data_file(Some("/a".to_owned()))
        .content_offset(Some(4))
        .content_size_in_bytes(Some(50))
        .record_count(8);
    lake.manifest(vec![vector.build().unwrap()]).await;
    let table = lake.table().await;
    let two = plan_limit(&table, 2, &cache()).await.unwrap();
    assert_eq!((paths(&two), two.live_rows()), (vec!["/a"], (2, true)));
    let twelve = plan_limit(&table, 12, &cache()).await.unwrap();
    assert_eq!(paths(&twelve), ["/a", "/b"]);
    let all = plan_limit(&table, 13, &cache()).await.unwrap();
    assert_eq!((paths(&all).len(), all.live_rows()), (3, (22, true)));
}

#[tokio::test]
async fn other_formats_and_encrypted_files_are_refused_by_name() {
    type Change = fn(&mut DataFileBuilder);
    let changes: [(Change, &str); 3] = [
        (
            |file| drop(file.file_format(DataFileFormat::Orc).build()),
            "orc",
        ),
        (
            |file| drop(file.file_format(DataFileFormat::Avro).build()),
            "avro",
        ),
        (
            |file| drop(file.key_metadata(Some(vec![1])).build()),
            "encrypted",
        ),
    ];
    for (change, expected) in changes {
        let mut lake = Lake::new(FormatVersion::V2, &[]);
        let mut file = data_file("/odd", vec![]);
        change(&mut file);
        lake.manifest(vec![file.build().unwrap()]).await;
        let text = refusal(&lake).await;
        assert!(text.contains(expected) && text.contains("/odd"), "{text}");

        let mut lake = Lake::new(FormatVersion::V2, &[]);
        lake.manifest(vec![id_file("/a", (1, 2), vec![])]).await;
        let mut file = position_deletes("/odd", vec![]);
        change(&mut file);
        lake.manifest(vec![file.build().unwrap()]).await;
        let text = refusal(&lake).await;
        assert!(text.contains(expected) && text.contains("/odd"), "{text}");
    }
}

#[tokio::test]
async fn a_limit_reads_no_more_than_it_needs() {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    for name in ["/a", "/b", "/c"] {
        let second = format!("{name}2");
        lake.manifest(vec![
            id_file(name, (1, 2), vec![]),
            id_file(&second, (1, 2), vec![]),
        ])
        .await;
    }
    let table = lake.table().await;
    let limited = plan_limit(&table, 11, &cache()).await.unwrap();
    assert_eq!(paths(&limited), ["/a", "/a2"]);
    assert_eq!(limited.counts.manifests_skipped, 2);
    let one = plan_limit(&table, 1, &cache()).await.unwrap();
    assert_eq!(paths(&one), ["/a"]);
    assert_eq!(one.counts.files_skipped_limit, 1);
    assert!(
        plan_limit(&table, 0, &cache())
            .await
            .unwrap()
            .files
            .is_empty()
    );
    let all = plan_limit(&table, 1000, &cache()).await.unwrap();
    assert_eq!(all.files.len(), 6);

    // A manifest list that promises rows which are not there.
    lake.last().added_rows_count = Some(1_000_000);
    let mut broken = Lake::new(FormatVersion::V2, &[]);
    broken.manifest(vec![id_file("/a", (1, 2), vec![])]).await;
    broken.last().added_rows_count = Some(1_000_000);
    broken.manifest(vec![id_file("/b", (1, 2), vec![])]).await;
    let both = plan_limit(&broken.table().await, 15, &cache())
        .await
        .unwrap();
    assert_eq!(paths(&both), ["/a", "/b"]);
}

fn entry(status: ManifestStatus, sequence_number: Option<i64>, file: DataFile) -> Arc<ListedEntry> {
    let entry = ManifestEntry {
        status,
        snapshot_id: None,
        sequence_number,
        file_sequence_number: None,
        data_file: file,
    };
    Arc::new(entry.into())
}

fn decoded(entries: Vec<Arc<ListedEntry>>) -> ReadManifest {
    ReadManifest {
        file: ManifestFile {
            manifest_path: "/m.avro".to_owned(),
            manifest_length: 1,
            partition_spec_id: 0,
            content: ManifestContentType::Data,
            sequence_number: SEQUENCE,
            min_sequence_number: SEQUENCE,
            added_snapshot_id: SNAPSHOT,
            added_files_count: None,
            existing_files_count: None,
            deleted_files_count: None,
            added_rows_count: None,
            existing_rows_count: None,
            deleted_rows_count: None,
            partitions: None,
            key_metadata: None,
            first_row_id: None,
        },
        manifest: Arc::new(DecodedManifest {
            content: ManifestContentType::Data,
            layout: Arc::default(),
            entries,
            types_bytes: 0,
        }),
    }
}

#[test]
fn deleted_entries_are_skipped_and_sequence_numbers_inherited_by_added_ones_only() {
    let file = |path| id_file(path, (1, 2), vec![]);
    let read = decoded(vec![
        entry(ManifestStatus::Deleted, Some(1), file("/gone")),
        entry(ManifestStatus::Added, None, file("/new")),
        entry(ManifestStatus::Existing, Some(2), file("/old")),
    ]);
    let plan = select(
        &[read],
        &DeleteIndex::default(),
        &Predicate::AlwaysTrue,
        None,
    )
    .unwrap();
    let numbers: Vec<_> = plan
        .files
        .iter()
        .map(|file| (file.path(), file.sequence_number))
        .collect();
    assert_eq!(numbers, [("/new", SEQUENCE), ("/old", 2)]);
    let broken = decoded(vec![entry(ManifestStatus::Existing, None, file("/old"))]);
    let error = select(
        &[broken],
        &DeleteIndex::default(),
        &Predicate::AlwaysTrue,
        None,
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn c20_delete_files_among_data_files_are_refused() {
    let mut delete = data_file("/eq", vec![]);
    delete.content(DataContentType::EqualityDeletes);
    let read = decoded(vec![entry(
        ManifestStatus::Added,
        None,
        delete.build().unwrap(),
    )]);
    let error = select(
        &[read],
        &DeleteIndex::default(),
        &Predicate::AlwaysTrue,
        None,
    )
    .unwrap_err();
    assert!(error.to_string().contains("equality delete"), "{error}");
}

#[test]
fn a_tuple_that_is_shorter_than_its_spec_says_nothing() {
    let mut file = data_file("/a", vec![]);
    let file = file.partition(Struct::empty()).build().unwrap();
    let mut read = decoded(vec![entry(ManifestStatus::Added, None, file)]);
    let column = PartitionColumn {
        field_id: 1000,
        source_id: 1,
        name: "id".to_owned(),
        transform: Transform::Identity,
        result_type: Some(PrimitiveType::Long),
    };
    let layout = PartitionLayout {
        spec_id: 0,
        columns: vec![column],
    };
    read.manifest = Arc::new(DecodedManifest {
        content: ManifestContentType::Data,
        layout: Arc::new(layout),
        entries: read.manifest.entries.clone(),
        types_bytes: 0,
    });
    let plan = select(&[read], &DeleteIndex::default(), &id_is(5), None).unwrap();
    assert_eq!(paths(&plan), ["/a"]);
}

/// Prints how long the pure half takes for 10 000 files of 16 columns.
#[test]
fn ten_thousand_files_are_planned_in_milliseconds() {
    let bounds = |base: i64| (1..=16).map(move |id| (id, Datum::long(base))).collect();
    let counts: HashMap<i32, u64> = (1..=16).map(|id| (id, 10)).collect();
    let entries = (0..10_000)
        .map(|n| {
            let mut file = data_file(&format!("/data/{n}.parquet"), vec![]);
            file.value_counts(counts.clone())
                .lower_bounds(bounds(n))
                .upper_bounds(bounds(n + 5));
            entry(ManifestStatus::Added, None, file.build().unwrap())
        })
        .collect();
    let read = [decoded(entries)];
    let predicate = Predicate::And(vec![
        compare(1, Comparison::GtEq, Datum::long(500)),
        compare(2, Comparison::Lt, Datum::long(600)),
    ]);
    let start = SystemClock.instant();
    let plan = select(&read, &DeleteIndex::default(), &predicate, None).unwrap();
    println!("planned 10 000 files in {:?}", start.elapsed());
    assert_eq!(plan.files.len(), 105);
    println!("decoded size: {} bytes", read[0].manifest.size_bytes());
}
