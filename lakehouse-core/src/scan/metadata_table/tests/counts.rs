//! The tables about files, entries and partitions tell the same story.

use std::collections::BTreeMap;

use arrow::array::{AsArray, Int32Array, Int64Array};
use arrow::datatypes::{Int32Type, Int64Type};
use iceberg::spec::DataFile;
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;
use crate::scan::predicate::Comparison;
use crate::scan::testing::compare;

const CONTENTS: [DataContentType; 3] = [
    DataContentType::Data,
    DataContentType::PositionDeletes,
    DataContentType::EqualityDeletes,
];

/// Content, partition, records and status of a file.
#[derive(Debug, Clone)]
struct RandomFile {
    content: usize,
    name: Option<&'static str>,
    records: u64,
    status: usize,
}

fn random_file() -> impl Strategy<Value = RandomFile> {
    let name = prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    (0..3_usize, name, 0..100_u64, 0..3_usize).prop_map(|(content, name, records, status)| {
        RandomFile {
            content,
            name,
            records,
            status,
        }
    })
}

impl RandomFile {
    fn build(&self, path: String) -> DataFile {
        let mut file = data_file(&path, vec![self.name.map(Literal::string)]);
        file.content(CONTENTS[self.content]);
        file.record_count(self.records);
        if self.content == 2 {
            file.equality_ids(Some(vec![1]));
        }
        file.build().unwrap()
    }
}

/// One manifest of data files and one of delete files for each part.
async fn lake_of(parts: &[Vec<RandomFile>]) -> Lake {
    let mut lake = Lake::new(FormatVersion::V2, &[(3, "name", Transform::Identity)]);
    for (part, files) in parts.iter().enumerate() {
        for is_data in [true, false] {
            let mut by_status = [Vec::new(), Vec::new(), Vec::new()];
            let wanted = files.iter().enumerate();
            for (place, file) in wanted.filter(|(_, file)| (file.content == 0) == is_data) {
                by_status[file.status].push(file.build(format!("/{part}/{place}")));
            }
            let [existing, added, deleted] = by_status;
            if existing.len() + added.len() + deleted.len() > 0 {
                lake.manifest_with(added, existing, deleted).await;
            }
        }
    }
    lake
}

fn ints(batch: &RecordBatch, column: &str) -> Int32Array {
    batch[column].as_primitive::<Int32Type>().clone()
}

fn longs(batch: &RecordBatch, column: &str) -> Int64Array {
    batch[column].as_primitive::<Int64Type>().clone()
}

/// Files and records by partition and content.
type Sums = BTreeMap<(String, i32), (i64, i64)>;

fn sums_of_files(files: &RecordBatch) -> Sums {
    let (contents, records) = (ints(files, "content"), longs(files, "record_count"));
    let mut sums = Sums::new();
    for (row, partition) in show(files, &["partition"]).into_iter().enumerate() {
        let sum = sums.entry((partition, contents.value(row))).or_default();
        *sum = (sum.0 + 1, sum.1 + records.value(row));
    }
    sums
}

fn sums_of_partitions(partitions: &RecordBatch) -> Sums {
    let columns = [
        ("file_count", "record_count"),
        ("position_delete_file_count", "position_delete_record_count"),
        ("equality_delete_file_count", "equality_delete_record_count"),
    ];
    let mut sums = Sums::new();
    for (content, (files, records)) in (0..).zip(columns) {
        let (files, records) = (ints(partitions, files), longs(partitions, records));
        for (row, partition) in show(partitions, &["partition"]).into_iter().enumerate() {
            if files.value(row) > 0 {
                let sum = (i64::from(files.value(row)), records.value(row));
                assert_eq!(sums.insert((partition, content), sum), None);
            }
        }
    }
    sums
}

async fn check(parts: &[Vec<RandomFile>]) {
    let lake = lake_of(parts).await;
    let table = lake.table().await;
    let whole = |which| collect(which, &table, MetadataRead::default());

    let all = parts.iter().flatten();
    let live = all.clone().filter(|file| file.status < 2).count();
    let files = whole(MetadataTable::Files).await;
    assert_eq!(files.num_rows(), live);
    let entries = whole(MetadataTable::Entries).await;
    assert_eq!(entries.num_rows(), all.count());
    let statuses = ints(&entries, "status");
    assert_eq!(statuses.values().iter().filter(|s| **s < 2).count(), live);
    let data = whole(MetadataTable::DataFiles).await;
    let deletes = whole(MetadataTable::DeleteFiles).await;
    assert_eq!(data.num_rows() + deletes.num_rows(), live);
    assert!(ints(&data, "content").values().iter().all(|c| *c == 0));
    assert!(ints(&deletes, "content").values().iter().all(|c| *c > 0));

    let partitions = whole(MetadataTable::Partitions).await;
    assert_eq!(sums_of_partitions(&partitions), sums_of_files(&files));

    let manifests = whole(MetadataTable::Manifests).await;
    let counted = |names: [&str; 2]| -> i32 {
        let counts = names.map(|name| ints(&manifests, name));
        counts.iter().flat_map(Int32Array::values).sum()
    };
    assert_eq!(
        counted(["added_data_files_count", "existing_data_files_count"]),
        i32::try_from(data.num_rows()).unwrap()
    );
    assert_eq!(
        counted(["added_delete_files_count", "existing_delete_files_count"]),
        i32::try_from(deletes.num_rows()).unwrap()
    );
    check_filters(&table, &files).await;
}

/// What a filter leaves out would not have matched.
async fn check_filters(table: &Table, files: &RecordBatch) {
    let which = MetadataTable::Files;
    let schema = which.filter_schema(table).unwrap();
    let id = |name| schema.field_by_name(name).unwrap().id;
    let (content, name) = (id("content"), id("partition.name"));
    let columns = ["content", "partition", "file_path"];
    let whole = show(files, &columns);
    type Kept = fn(&str) -> bool;
    let cases: [(Predicate, Kept); 4] = [
        (compare(content, Comparison::Eq, Datum::int(1)), |row| {
            row.starts_with("| 1 |")
        }),
        (compare(name, Comparison::Eq, Datum::string("a")), |row| {
            row.contains("{name: a}")
        }),
        (
            compare(name, Comparison::NotEq, Datum::string("a")),
            |row| row.contains("{name: b}"),
        ),
        (Predicate::IsNull { field_id: name }, |row| {
            row.contains("{name: }")
        }),
    ];
    for (predicate, matches) in cases {
        let read = MetadataRead {
            predicate: predicate.clone(),
            ..MetadataRead::default()
        };
        let kept = show(&collect(which, table, read).await, &columns);
        let wanted = |rows: &[String]| -> Vec<String> {
            rows.iter().filter(|row| matches(row)).cloned().collect()
        };
        assert_eq!(wanted(&kept), wanted(&whole), "{predicate:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn m13_files_entries_partitions_and_manifests_agree(
        parts in proptest::collection::vec(
            proptest::collection::vec(random_file(), 0..8),
            0..4,
        ),
    ) {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(&parts));
    }
}
