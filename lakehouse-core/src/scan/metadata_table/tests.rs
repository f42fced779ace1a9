//! What metadata tables show of a table on disk.

mod counts;
mod evolution;
mod walks;

use std::collections::HashMap;

use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool, UnboundedMemoryPool};
use iceberg::spec::{DataContentType, Datum, FormatVersion, Literal, Transform};

use super::*;
use crate::error::ErrorKind;
use crate::runtime::Reservation;
use crate::scan::delete_file::DeleteFile;
use crate::scan::testing::{Lake, data_file};

async fn lake() -> Lake {
    let mut lake = Lake::new(
        FormatVersion::V2,
        &[(2, "d", Transform::Day), (3, "name", Transform::Identity)],
    );
    let tuple = vec![Some(Literal::date(-1)), Some(Literal::string("x"))];
    let mut file = data_file("/a.parquet", tuple.clone());
    file.column_sizes(HashMap::from([(1, 80)]))
        .value_counts(HashMap::from([(1, 10)]))
        .lower_bounds(HashMap::from([(1, Datum::long(4))]))
        .split_offsets(Some(vec![4]));
    lake.manifest(vec![file.build().unwrap()]).await;
    let mut delete = data_file("/d.parquet", tuple);
    delete.content(DataContentType::EqualityDeletes);
    delete.equality_ids(Some(vec![1]));
    lake.manifest(vec![delete.build().unwrap()]).await;
    lake
}

async fn read(which: MetadataTable) -> RecordBatch {
    let lake = lake().await;
    let table = lake.table().await;
    collect(which, &table, MetadataRead::default()).await
}

/// No delete file of these tables is read: none is there.
#[derive(Debug)]
struct NoDeleteFiles {
    pool: Arc<dyn MemoryPool>,
}

impl PositionReader for NoDeleteFiles {
    fn reservation(&self, name: &'static str) -> Reservation {
        Reservation::unspillable(&self.pool, name)
    }

    fn positions(&self, _: Arc<DeleteFile>) -> BoxStream<'static, Result<Positions>> {
        stream::empty().boxed()
    }
}

fn reader() -> Arc<dyn PositionReader> {
    let pool = Arc::new(UnboundedMemoryPool::default());
    Arc::new(NoDeleteFiles { pool })
}

async fn collect(which: MetadataTable, table: &Table, read: MetadataRead) -> RecordBatch {
    let schema = match &read.projection {
        Some(projection) => Arc::new(which.schema(table).unwrap().project(projection).unwrap()),
        None => which.schema(table).unwrap(),
    };
    let stream = which
        .scan(table, &ManifestCache::new(0), read, &reader())
        .unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
    }
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// The rows of some columns, as text without frames.
fn show(batch: &RecordBatch, columns: &[&str]) -> Vec<String> {
    let positions: Vec<_> = columns
        .iter()
        .map(|name| batch.schema().index_of(name).unwrap())
        .collect();
    let batch = batch.project(&positions).unwrap();
    let text = pretty_format_batches(&[batch]).unwrap().to_string();
    text.lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test]
async fn partitions_take_memory_of_the_budget_until_the_last_batch() {
    let mut lake = Lake::new(FormatVersion::V2, &[(3, "name", Transform::Identity)]);
    for part in 0..4 {
        let files = (0..500).map(|file| {
            let name = format!("a partition with a long name {part} {file}");
            let path = format!("/{part}/{file}.parquet");
            data_file(&path, vec![Some(Literal::string(name))])
                .build()
                .unwrap()
        });
        lake.manifest(files.collect()).await;
    }
    let table = lake.table().await;
    let scan = async |pool_bytes: usize| {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(pool_bytes));
        let reader: Arc<dyn PositionReader> = Arc::new(NoDeleteFiles {
            pool: Arc::clone(&pool),
        });
        let read = MetadataRead::default();
        let stream = MetadataTable::Partitions.scan(&table, &ManifestCache::new(0), read, &reader);
        let mut stream = stream.unwrap();
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows();
            assert!(pool.reserved() > 2000 * 100, "{}", pool.reserved());
        }
        drop(stream);
        assert_eq!(pool.reserved(), 0);
        Ok::<_, Error>(rows)
    };
    assert_eq!(scan(16 << 20).await.unwrap(), 2000);
    let error = scan(100 << 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourcesExhausted);
    assert!(
        error.to_string().contains("the partitions of a table"),
        "{error}"
    );
}

#[tokio::test]
async fn snapshots_history_and_refs_list_the_table() {
    let snapshots = read(MetadataTable::Snapshots).await;
    assert_eq!(
        show(
            &snapshots,
            &[
                "committed_at",
                "snapshot_id",
                "parent_id",
                "operation",
                "summary"
            ]
        ),
        ["| 2030-03-17T17:46:40Z | 77 | | append | {a: 1, b: 2} |"]
    );
    let history = read(MetadataTable::History).await;
    assert_eq!(
        show(
            &history,
            &["made_current_at", "snapshot_id", "is_current_ancestor"]
        ),
        ["| 2030-03-17T17:46:40Z | 77 | true |"]
    );
    let refs = read(MetadataTable::Refs).await;
    assert_eq!(
        show(
            &refs,
            &["name", "type", "snapshot_id", "max_reference_age_in_ms"]
        ),
        ["| main | BRANCH | 77 | |"]
    );
}

#[tokio::test]
async fn m13_manifests_count_deletes_as_deletes() {
    let manifests = read(MetadataTable::Manifests).await;
    let columns = [
        "content",
        "partition_spec_id",
        "added_snapshot_id",
        "added_data_files_count",
        "existing_data_files_count",
        "added_delete_files_count",
    ];
    assert_eq!(
        show(&manifests, &columns),
        ["| 0 | 0 | 77 | 1 | 0 | 0 |", "| 1 | 0 | 77 | 0 | 0 | 1 |"]
    );
    let day = "{contains_null: false, contains_nan: false, lower_bound: 1969-12-31, \
               upper_bound: 1969-12-31}";
    let name = "{contains_null: false, contains_nan: false, lower_bound: x, upper_bound: x}";
    assert_eq!(
        show(&manifests, &["partition_summaries"])[0],
        format!("| [{day}, {name}] |")
    );
}

#[tokio::test]
async fn m13_files_tell_data_from_deletes() {
    let files = read(MetadataTable::Files).await;
    let columns = [
        "content",
        "file_path",
        "file_format",
        "partition",
        "record_count",
    ];
    assert_eq!(
        show(&files, &columns),
        [
            "| 0 | /a.parquet | PARQUET | {d: 1969-12-31, name: x} | 10 |",
            "| 2 | /d.parquet | PARQUET | {d: 1969-12-31, name: x} | 10 |",
        ]
    );
    assert_eq!(
        show(
            &files,
            &[
                "column_sizes",
                "lower_bounds",
                "split_offsets",
                "equality_ids"
            ]
        ),
        [
            "| {1: 80} | {1: 0400000000000000} | [4] | |",
            "| | | | [1] |"
        ]
    );
    let metrics = &show(&files, &["readable_metrics"])[0];
    assert!(
        metrics.starts_with(
            "| {id: {column_size: 80, value_count: 10, null_value_count: , nan_value_count: , \
             lower_bound: 4, upper_bound: }, name: {"
        ),
        "{metrics}"
    );
    let names: Vec<_> = files
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(
        names,
        [
            "content",
            "file_path",
            "file_format",
            "spec_id",
            "partition",
            "record_count",
            "file_size_in_bytes",
            "column_sizes",
            "value_counts",
            "null_value_counts",
            "nan_value_counts",
            "lower_bounds",
            "upper_bounds",
            "key_metadata",
            "split_offsets",
            "equality_ids",
            "sort_order_id",
            "first_row_id",
            "referenced_data_file",
            "content_offset",
            "content_size_in_bytes",
            "readable_metrics",
        ]
    );
}

#[tokio::test]
async fn files_of_a_table_that_was_never_partitioned_have_no_partition() {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    lake.manifest(vec![data_file("/a", vec![]).build().unwrap()])
        .await;
    let schema = MetadataTable::Files.schema(&lake.table().await).unwrap();
    assert!(schema.index_of("partition").is_err());
}

#[test]
fn names_are_found_without_regard_to_case() {
    for table in MetadataTable::ALL {
        assert_eq!(
            MetadataTable::from_name(&table.name().to_uppercase()),
            Some(table)
        );
    }
    assert_eq!(MetadataTable::from_name("entry"), None);
}

#[test]
fn partition_values_are_written_for_people() {
    use super::arrays::partition_text;
    use crate::scan::value::Value;
    use iceberg::spec::PrimitiveType as Kind;
    let int = |transform, value| partition_text(transform, &Kind::Int, Value::Integer(value));
    assert_eq!(int(Transform::Year, -1), "1969");
    assert_eq!(int(Transform::Month, -1), "1969-12");
    assert_eq!(int(Transform::Hour, -1), "1969-12-31-23");
    assert_eq!(int(Transform::Bucket(4), 3), "3");
    let identity = |kind: &Kind, value| partition_text(Transform::Identity, kind, value);
    let moment = Value::Moment(-1_500_000_000, true);
    assert_eq!(
        identity(&Kind::Timestamptz, moment),
        "1969-12-31T23:59:58.500+00:00"
    );
    assert_eq!(
        identity(&Kind::Time, Value::Time(3_600_000_001)),
        "01:00:00.000001"
    );
    let decimal = Kind::Decimal {
        precision: 9,
        scale: 2,
    };
    assert_eq!(identity(&decimal, Value::Decimal(-5, 2)), "-0.05");
    assert_eq!(identity(&Kind::Binary, Value::Bytes(&[1, 255])), "01ff");
    assert!(!identity(&Kind::Date, Value::Moment(i128::MAX, false)).is_empty());
}
