//! Plans in parts: the same files, no manifest before it is wanted, none twice.

use futures::TryStreamExt;
use iceberg::spec::{DataFileFormat, Datum, FormatVersion, Literal, Transform};

use super::*;
use crate::error::ErrorKind;
use crate::scan::predicate::Comparison;
use crate::scan::testing::{Lake, compare, data_file, id_file};

fn cache() -> ManifestCache {
    ManifestCache::new(1 << 20)
}

async fn begin(table: &Table, predicate: Predicate, cache: &ManifestCache) -> Arc<Planning> {
    Arc::new(Planning::begin(table, predicate, cache).await.unwrap())
}

fn paths(plan: &ScanPlan) -> Vec<String> {
    let files = plan.files.iter();
    files.map(|file| file.path().to_owned()).collect()
}

/// So many manifests of one file each.
async fn lake(manifests: i64) -> Lake {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    for number in 0..manifests {
        let file = id_file(&format!("/{number}"), (number, number), vec![]);
        lake.manifest(vec![file]).await;
    }
    lake
}

#[tokio::test]
async fn parts_are_the_whole_plan_with_deletes_and_filters() {
    let day = |day| vec![Some(Literal::date(day))];
    let mut lake = Lake::new(FormatVersion::V3, &[(2, "d", Transform::Day)]);
    for number in 0..40_i32 {
        let ids = (i64::from(number), i64::from(number) + 3);
        let (one, two) = (format!("/{number}"), format!("/{number}b"));
        lake.manifest(vec![
            id_file(&one, ids, day(number % 3)),
            id_file(&two, (90, 99), day(2)),
        ])
        .await;
    }
    let mut vector = data_file("/v.puffin", day(1));
    vector
        .content(iceberg::spec::DataContentType::PositionDeletes)
        .file_format(DataFileFormat::Puffin)
        .referenced_data_file(Some("/7".to_owned()))
        .content_offset(Some(4))
        .content_size_in_bytes(Some(50))
        .record_count(8);
    lake.manifest(vec![vector.build().unwrap()]).await;
    let table = lake.table().await;
    let first_day = compare(2, Comparison::Lt, Datum::timestamp_micros(86_400_000_000));
    let small = compare(1, Comparison::Lt, Datum::long(9));
    for predicate in [
        Predicate::AlwaysTrue,
        first_day.clone(),
        small.clone(),
        Predicate::And(vec![first_day, small]),
    ] {
        let planning = begin(&table, predicate, &cache()).await;
        assert!(planning.deletes().names_its_files());
        let whole = planning.whole(None).await.unwrap();
        let mut files = Vec::new();
        let mut deleted = 0;
        let mut parts = Arc::clone(&planning).parts();
        while let Some(part) = parts.try_next().await.unwrap() {
            assert_eq!(part.snapshot_id, whole.snapshot_id);
            files.extend(paths(&part));
            deleted += part.delete_files().len();
        }
        assert!(!files.is_empty());
        assert_eq!(files, paths(&whole));
        assert_eq!(deleted, whole.delete_files().len());
    }
}

#[tokio::test]
async fn a_first_part_comes_before_most_manifests_are_read_and_a_dropped_plan_reads_no_more() {
    let lake = lake(60).await;
    let table = lake.table().await;
    let requests = || table.storage().counts().requests;
    let planning = begin(&table, Predicate::AlwaysTrue, &cache()).await;
    assert_eq!(requests(), 1);
    assert_eq!(
        (planning.unread(None), planning.listed_rows()),
        (60, Some(600))
    );
    assert_eq!(planning.unread(Some(11)), 2);

    let mut parts = Arc::clone(&planning).parts();
    let first = parts.try_next().await.unwrap().unwrap();
    assert_eq!(paths(&first), ["/0"]);
    let list = 1;
    assert!(requests() <= list + FIRST_READS as u64, "{}", requests());
    let _second = parts.try_next().await.unwrap().unwrap();
    drop(parts);
    let read = requests();
    assert!(read <= list + 3 * FIRST_READS as u64, "{read}");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    // What was under way when the plan was dropped was counted before it was asked for.
    assert!(requests() <= list + 3 * FIRST_READS as u64);
}

#[tokio::test]
async fn each_manifest_is_read_once_by_parts_and_whole_plans_together() {
    let lake = lake(40).await;
    let table = lake.table().await;
    let cache = cache();
    let planning = begin(&table, Predicate::AlwaysTrue, &cache).await;
    let (parts, whole) = tokio::join!(
        Arc::clone(&planning).parts().try_collect::<Vec<_>>(),
        planning.whole(None)
    );
    assert_eq!((parts.unwrap().len(), whole.unwrap().files.len()), (40, 40));
    assert_eq!(table.storage().counts().requests, 41);
    assert_eq!(planning.unread(None), 0);
    let again = begin(&table, Predicate::AlwaysTrue, &cache).await;
    again.whole(None).await.unwrap();
    assert_eq!(table.storage().counts().requests, 41);
}

#[tokio::test]
async fn an_error_ends_the_parts_and_names_table_and_manifest() {
    let mut lake = lake(2).await;
    let missing = lake.manifest(vec![id_file("/late", (1, 2), vec![])]).await;
    lake.manifest(vec![id_file("/later", (1, 2), vec![])]).await;
    std::fs::remove_file(&missing).unwrap();
    let planning = begin(&lake.table().await, Predicate::AlwaysTrue, &cache()).await;
    let mut parts = planning.parts();
    for _ in 0..2 {
        assert!(parts.try_next().await.unwrap().is_some());
    }
    let error = parts.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains(&missing) && text.contains("db.t"), "{text}");
    assert!(parts.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_table_without_snapshot_has_no_parts() {
    let lake = Lake::new(FormatVersion::V2, &[]);
    let planning = begin(&lake.empty_table(), Predicate::AlwaysTrue, &cache()).await;
    assert_eq!(planning.unread(None), 0);
    assert!(planning.parts().try_next().await.unwrap().is_none());
}
