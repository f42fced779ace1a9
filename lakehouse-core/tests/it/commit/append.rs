//! What an append writes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use iceberg::TableRequirement;
use iceberg::spec::{DataContentType, FormatVersion, Operation, Struct};
use lakehouse_core::commit::{Commits, FileChange};
use lakehouse_core::error::ErrorKind;
use serde_json::{Value, json};

use super::catalog::Fault;
use super::fixture::{Lake, NOW_MS, file, files, new_table};

#[tokio::test]
async fn c05_c06_rows_of_both_writers_survive_a_conflict() {
    let lake = Lake::new().await;
    lake.append(&["first"]).await.unwrap();
    let table = lake.table().await;
    let other = Commits::new(std::sync::Arc::clone(&lake.clock) as _);
    let (catalog, ident) = (std::sync::Arc::clone(&lake.catalog), lake.ident.clone());
    let change = FileChange::append(&table, files(&["theirs"]));
    lake.faulty.inject(Fault::Before(Box::pin(async move {
        other.commit(&catalog, &ident, change).await.unwrap();
    })));
    let committed = lake.append(&["ours"]).await.unwrap();
    assert_eq!(committed.attempts, 2);
    assert_eq!(
        lake.live(&lake.table().await).await,
        ["first", "ours", "theirs"]
    );
    assert_eq!(committed.table.snapshots().len(), 3);
}

#[tokio::test]
async fn c07_each_attempt_has_its_own_list_and_manifests_are_reused() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    lake.faulty.inject(Fault::Conflict);
    lake.faulty.inject(Fault::Conflict);
    let committed = lake.append(&["b"]).await.unwrap();
    assert_eq!(committed.attempts, 3);
    let list = committed
        .table
        .snapshot()
        .unwrap()
        .manifest_list()
        .to_owned();
    assert!(list.contains(&format!("snap-{}-3-", committed.snapshot_id.unwrap())));
    // Lists of attempts that lost are gone, and each commit wrote one manifest.
    assert_eq!(lake.metadata_files("snap-", ".avro").await.len(), 2);
    let manifests = lake.metadata_files("", "-m0.avro").await;
    assert_eq!(manifests.len(), 2);
    assert_ne!(manifests[0], manifests[1]);
}

#[tokio::test]
async fn c08_the_first_commit_requires_that_there_is_no_snapshot() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let requirements = lake.faulty.requirements.lock().unwrap().remove(0);
    assert!(requirements.iter().any(|requirement| matches!(
        requirement,
        TableRequirement::RefSnapshotIdMatch { r#ref, snapshot_id: None } if r#ref == "main"
    )));
    assert!(
        requirements
            .iter()
            .any(|requirement| matches!(requirement, TableRequirement::UuidMatch { .. }))
    );
}

#[tokio::test]
async fn c17_added_entries_leave_sequence_numbers_to_be_inherited() {
    let lake = Lake::new().await;
    lake.append(&["a", "b"]).await.unwrap();
    let committed = lake.append(&["c"]).await.unwrap();
    let manifests = lake.manifests(&committed.table).await;
    assert_eq!(manifests.len(), 2);
    for manifest in &manifests {
        for entry in lake.entries(manifest).await {
            assert_eq!(entry.sequence_number, None);
            assert_eq!(entry.file_sequence_number, None);
            assert_eq!(entry.snapshot_id, Some(manifest.added_snapshot_id));
        }
    }
    let mut numbers: Vec<_> = manifests
        .iter()
        .map(|manifest| manifest.sequence_number)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(committed.table.metadata().last_sequence_number(), 2);
}

#[tokio::test]
async fn c18_totals_accumulate_from_the_parent() {
    let lake = Lake::new().await;
    lake.append(&["a", "b"]).await.unwrap();
    let table = lake.table().await;
    let change = FileChange::append(&table, files(&["c"])).with_summary([
        ("app".to_owned(), "test".to_owned()),
        ("total-records".to_owned(), "7".to_owned()),
    ]);
    let committed = lake.commit(change).await.unwrap();
    let summary = committed.table.snapshot().unwrap().summary();
    assert_eq!(summary.operation, Operation::Append);
    let found: BTreeMap<&str, &str> = summary
        .additional_properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let expected = BTreeMap::from([
        ("added-data-files", "1"),
        ("added-files-size", "100"),
        ("added-records", "3"),
        ("app", "test"),
        ("changed-partition-count", "1"),
        ("engine-name", "lakehouse"),
        ("engine-version", env!("CARGO_PKG_VERSION")),
        ("entries-processed", "0"),
        ("manifests-created", "1"),
        ("manifests-kept", "1"),
        ("manifests-replaced", "0"),
        ("total-data-files", "3"),
        ("total-delete-files", "0"),
        ("total-equality-deletes", "0"),
        ("total-files-size", "300"),
        ("total-position-deletes", "0"),
        ("total-records", "9"),
    ]);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn c18_partitions_are_summarised_when_the_table_asks_for_it() {
    let lake = Lake::new().await;
    lake.set_property("write.summary.partition-limit", "2")
        .await;
    let committed = lake.append(&["a", "b"]).await.unwrap();
    let keys = &committed
        .table
        .snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(keys["partition-summaries-included"], "true");
    assert_eq!(
        keys["partitions.part=p/bucket=3"],
        "added-data-files=2,added-records=6,added-files-size=200"
    );
}

#[tokio::test]
async fn c19_the_table_keeps_its_uuid() {
    let lake = Lake::new().await;
    let uuid = lake.table().await.metadata().uuid();
    lake.append(&["a"]).await.unwrap();
    lake.set_property("owner", "me").await;
    assert_eq!(
        lake.append(&["b"]).await.unwrap().table.metadata().uuid(),
        uuid
    );
}

#[tokio::test]
async fn c20_delete_files_and_repeated_files_are_refused() {
    let lake = Lake::new().await;
    let table = lake.table().await;
    let deletes = vec![file("a", DataContentType::PositionDeletes)];
    assert!(
        lake.commit(FileChange::append(&table, deletes))
            .await
            .is_err()
    );
    assert!(
        lake.commit(FileChange::append(&table, files(&["a", "a"])))
            .await
            .is_err()
    );
    assert!(lake.table().await.snapshot().is_none());
    assert!(lake.metadata_files("", ".avro").await.is_empty());
}

#[tokio::test]
async fn a_partition_that_does_not_fit_its_spec_is_refused() {
    let lake = Lake::new().await;
    let table = lake.table().await;
    let mut wrong = files(&["a"]);
    wrong[0].data_file = iceberg::spec::DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path("memory:///lake/orders/data/a".to_owned())
        .file_format(iceberg::spec::DataFileFormat::Parquet)
        .partition(Struct::empty())
        .record_count(1)
        .file_size_in_bytes(1)
        .build()
        .unwrap();
    assert!(
        lake.commit(FileChange::append(&table, wrong))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn times_grow_under_a_clock_that_stands_still() {
    let lake = Lake::new().await;
    for name in ["a", "b", "c"] {
        lake.append(&[name]).await.unwrap();
    }
    let times = |table: &lakehouse_core::table::Table| -> Vec<i64> {
        table
            .history()
            .iter()
            .map(|entry| entry.made_current_at_ms)
            .collect()
    };
    assert_eq!(times(&lake.table().await), [NOW_MS, NOW_MS + 1, NOW_MS + 2]);
    // No more than needed: a clock that has moved on is taken as it is.
    lake.clock.now_ms.store(NOW_MS + 1_000, Ordering::SeqCst);
    lake.append(&["d"]).await.unwrap();
    assert_eq!(times(&lake.table().await).last(), Some(&(NOW_MS + 1_000)));
    // One that goes back is led.
    lake.clock
        .now_ms
        .store(NOW_MS - 1_000_000, Ordering::SeqCst);
    lake.append(&["e"]).await.unwrap();
    assert_eq!(times(&lake.table().await).last(), Some(&(NOW_MS + 1_001)));
}

#[tokio::test]
async fn t08_partition_summaries_have_bounds() {
    let lake = Lake::new().await;
    let committed = lake.append(&["a"]).await.unwrap();
    let manifests = lake.manifests(&committed.table).await;
    let summaries = manifests[0].partitions.as_ref().unwrap();
    assert_eq!(summaries.len(), 2);
    for summary in summaries {
        assert!(!summary.contains_null);
        assert!(summary.lower_bound.is_some() && summary.upper_bound.is_some());
    }
    assert_eq!(
        summaries[1].lower_bound.as_ref().unwrap().as_slice(),
        3_i32.to_le_bytes()
    );
}

#[tokio::test]
async fn j01_j02_manifests_carry_field_ids_and_the_schema() {
    let lake = Lake::new().await;
    let committed = lake.append(&["a"]).await.unwrap();
    let manifest = &lake.manifests(&committed.table).await[0];
    let list = committed.table.snapshot().unwrap().manifest_list();
    for (location, field_id) in [(manifest.manifest_path.as_str(), 100), (list, 500)] {
        let bytes = lake.storage().read(location).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            text.contains(&format!("\"field-id\":{field_id}")),
            "{location}"
        );
    }
    let bytes = lake.storage().read(&manifest.manifest_path).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for header in [
        "\"type\":\"struct\"",
        "partition-spec-id",
        "format-version",
        "content",
    ] {
        assert!(text.contains(header), "{header}");
    }
}

/// The fields of an Avro record and of the records in it: id, and whether it may be null. Elements,
/// keys and values count as fields that may not be null or may.
fn avro_fields(kind: &Value, found: &mut BTreeMap<u64, bool>) {
    let id_of = |of: &Value, key: &str| {
        let id = of.get(key).and_then(Value::as_u64);
        id.unwrap_or_else(|| panic!("no {key}: {of}"))
    };
    let is_nullable = |kind: &Value| {
        let branches = kind.as_array().map(Vec::as_slice).unwrap_or_default();
        branches.contains(&json!("null"))
    };
    if let Some(branches) = kind.as_array() {
        branches.iter().for_each(|kind| avro_fields(kind, found));
        return;
    }
    match kind.get("type").and_then(Value::as_str) {
        Some("record") => {
            for field in kind["fields"].as_array().unwrap() {
                found.insert(id_of(field, "field-id"), is_nullable(&field["type"]));
                avro_fields(&field["type"], found);
            }
        }
        // A map with other keys than texts is an array of records that have the ids.
        Some("array") => {
            if kind.get("logicalType") != Some(&json!("map")) {
                let nullable = is_nullable(&kind["items"]);
                found.insert(id_of(kind, "element-id"), nullable);
            }
            avro_fields(&kind["items"], found);
        }
        _ => {}
    }
}

/// The ids of the fields of a file's rows, with those that may be null; its header says the rest.
async fn fields_of_rows(lake: &Lake, location: &str) -> BTreeMap<u64, bool> {
    let bytes = lake.storage().read(location).await.unwrap();
    let key = b"avro.schema";
    let at = bytes.windows(key.len()).position(|part| part == key);
    let text = &bytes[at.unwrap() + key.len()..];
    let start = text.iter().position(|byte| *byte == b'{').unwrap();
    let mut documents = serde_json::Deserializer::from_slice(&text[start..]).into_iter();
    let schema: Value = documents.next().unwrap().unwrap();
    let mut found = BTreeMap::new();
    avro_fields(&schema, &mut found);
    found
}

#[tokio::test]
async fn j01_every_field_has_its_id_and_required_ones_are_never_null() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let lake = Lake::with(new_table(version)).await;
        let committed = lake.append(&["a"]).await.unwrap();
        let manifest = &lake.manifests(&committed.table).await[0].manifest_path;
        let list = committed.table.snapshot().unwrap().manifest_list();
        let (in_list, in_manifest): (&[u64], &[u64]) = match version {
            FormatVersion::V1 => (&[500, 501, 502, 503], &[0, 1, 2, 100, 101, 102, 103, 104]),
            _ => (
                &[
                    500, 501, 502, 503, 504, 505, 506, 512, 513, 514, 515, 516, 517,
                ],
                &[0, 2, 100, 101, 102, 103, 104, 134],
            ),
        };
        for (location, required) in [(list, in_list), (manifest.as_str(), in_manifest)] {
            let fields = fields_of_rows(&lake, location).await;
            for id in required {
                assert_eq!(fields.get(id), Some(&false), "{version} {location} {id}");
            }
        }
        let fields = fields_of_rows(&lake, manifest).await;
        for id in [1000, 1001, 108, 109, 110, 125, 128, 132, 133] {
            assert!(fields.contains_key(&id), "{version} {id}");
        }
    }
}

#[tokio::test]
async fn every_format_version_is_written() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let lake = Lake::with(new_table(version)).await;
        lake.append(&["a", "b"]).await.unwrap();
        let committed = lake.append(&["c"]).await.unwrap();
        assert_eq!(
            lake.live(&committed.table).await,
            ["a", "b", "c"],
            "{version:?}"
        );
        let snapshot = committed.table.snapshot().unwrap();
        assert_eq!(snapshot.schema_id(), Some(0));
        if version == FormatVersion::V3 {
            assert_eq!(snapshot.row_range(), Some((6, 3)));
            assert_eq!(committed.table.metadata().next_row_id(), 9);
            let mut first: Vec<_> = lake
                .manifests(&committed.table)
                .await
                .iter()
                .map(|manifest| manifest.first_row_id)
                .collect();
            first.sort_unstable();
            assert_eq!(first, [Some(0), Some(6)]);
        }
    }
}

#[tokio::test]
async fn rows_written_for_a_table_that_was_made_anew_are_not_added() {
    let lake = Lake::new().await;
    let before = lake.table().await;
    lake.catalog.drop_table(&lake.ident).await.unwrap();
    let staged = lake
        .commits
        .stage(
            &lake.catalog,
            &lake.ident,
            lakehouse_core::commit::NewTable {
                location: Some("memory:///lake/other".to_owned()),
                ..new_table(FormatVersion::V2)
            },
        )
        .await
        .unwrap();
    lake.commits
        .create(&lake.catalog, &staged, None)
        .await
        .unwrap();
    let error = lake
        .commit(FileChange::append(&before, files(&["a"])))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_wait_share_a_swap_and_stay_snapshots_of_their_own() {
    const WRITERS: usize = 20;
    let lake = std::sync::Arc::new(Lake::new().await);
    let before = lake.faulty.swaps.load(Ordering::SeqCst);
    // The first swap waits until all others are in the queue.
    lake.faulty.gate.forget_permits(usize::MAX);
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let lake = std::sync::Arc::clone(&lake);
            lakehouse_core::runtime::spawn(async move {
                lake.append(&[&format!("f{writer:02}")]).await.unwrap()
            })
        })
        .collect();
    while lake.metadata_files("", "-m0.avro").await.len() < WRITERS {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    lake.faulty.gate.add_permits(WRITERS);
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap().snapshot_id.unwrap());
    }
    let swaps = lake.faulty.swaps.load(Ordering::SeqCst) - before;
    assert!(swaps <= 3, "{swaps} swaps");
    let table = lake.table().await;
    assert_eq!(lake.live(&table).await.len(), WRITERS);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), WRITERS);
    let snapshots = table.snapshots();
    assert_eq!(snapshots.len(), WRITERS);
    assert!(snapshots.is_sorted_by_key(|snapshot| snapshot.timestamp_ms()));
    assert_eq!(
        table.snapshot().unwrap().summary().additional_properties["total-records"],
        (3 * WRITERS).to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_lose_no_row() {
    let lake = std::sync::Arc::new(Lake::new().await);
    let tasks: Vec<_> = (0..4)
        .flat_map(|process| {
            let commits = Commits::new(std::sync::Arc::clone(&lake.clock) as _);
            (0..5).map(move |task| (commits.clone(), format!("p{process}t{task}")))
        })
        .map(|(commits, name)| {
            let lake = std::sync::Arc::clone(&lake);
            lakehouse_core::runtime::spawn(async move {
                let change = FileChange::append(&lake.table().await, files(&[&name]));
                commits
                    .commit(&lake.catalog, &lake.ident, change)
                    .await
                    .unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let table = lake.table().await;
    assert_eq!(lake.live(&table).await.len(), 20);
    assert_eq!(table.snapshots().len(), 20);
    assert_eq!(lake.metadata_files("snap-", ".avro").await.len(), 20);
}
