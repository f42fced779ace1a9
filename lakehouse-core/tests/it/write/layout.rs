//! How many files there are, of what size, and what is left when a write ends early.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use iceberg::spec::{FormatVersion, PrimitiveType, Transform};
use lakehouse_core::table::Table;
use lakehouse_core::write::{RowOrder, TableWriter};

use super::{
    Space, all_ints, batch, ints, options, primitive, stored_files, table, unbounded, write_within,
};

const PARTITIONS: i32 = 1_000;

/// Numbers, a text beside each, and so many partitions.
fn partitioned() -> Table {
    let columns = [
        ("id", primitive(PrimitiveType::Int)),
        ("p", primitive(PrimitiveType::Int)),
        ("s", primitive(PrimitiveType::String)),
    ];
    let by = [("p", Transform::Identity)];
    table(&columns, &by, &[], FormatVersion::V2)
}

/// Rows from `start`, each in another partition than the one before.
fn rows(start: i32, count: i32) -> RecordBatch {
    let numbers = start..start + count;
    let texts = numbers.clone().map(|n| format!("{n:0>100}"));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let parts = numbers.clone().map(|n| Some(n % PARTITIONS));
    batch([
        ("id", ints(numbers.map(Some))),
        ("p", ints(parts)),
        ("s", texts),
    ])
}

fn in_batches() -> Vec<RecordBatch> {
    (0..10).map(|round| rows(round * 4_000, 4_000)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_partitions_in_little_memory_get_a_file_each() {
    let expected: Vec<_> = (0..40_000).map(Some).collect();
    for bytes in [1 << 20, 1 << 30] {
        let table = partitioned();
        let files = write_within(&table, in_batches(), Space::Spilled(bytes)).await;
        let files = files.unwrap();
        // A file that was begun before memory was short gets a second one.
        let most = usize::try_from(PARTITIONS).unwrap() + 64;
        assert!(
            (1_000..=most).contains(&files.len()),
            "{bytes}: {}",
            files.len()
        );
        assert_eq!(all_ints(&table, &files, 0).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_place_to_spill_partitions_get_more_files() {
    let table = partitioned();
    let files = write_within(&table, in_batches(), Space::NotSpilled(4 << 20)).await;
    let files = files.unwrap();
    let expected: Vec<_> = (0..40_000).map(Some).collect();
    assert_eq!(all_ints(&table, &files, 0).await, expected);
}

#[tokio::test]
async fn rows_that_wait_stay_in_their_order() {
    let table = partitioned();
    let files = write_within(&table, in_batches(), Space::Spilled(2 << 20)).await;
    for file in files.unwrap() {
        let (rows, _) = super::rows_of(&table, &file).await;
        let ids = rows.iter().map(|rows| rows.column(0).to_data());
        let ids: Vec<i32> = ids.flat_map(|ids| ids.buffer::<i32>(0).to_vec()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }
}

#[tokio::test]
async fn rows_by_partition_have_one_open_file() {
    let table = partitioned();
    let ordered = options(&unbounded()).with_row_order(RowOrder::ByPartition);
    let mut writer = TableWriter::try_new(&table, ordered).unwrap();
    for part in 0..100 {
        let id = ints((0..10).map(|row| Some(part * 10 + row)));
        let text: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 10]));
        let rows = batch([("id", id), ("p", ints([Some(part); 10])), ("s", text)]);
        writer.write(rows).await.unwrap();
    }
    let files = writer.close().await.unwrap();
    assert_eq!(files.len(), 100);
    assert!(
        files
            .iter()
            .all(|file| file.data_file.sort_order_id().is_none())
    );
    let expected: Vec<_> = (0..1_000).map(Some).collect();
    assert_eq!(all_ints(&table, &files, 0).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_write_leaves_nothing() {
    let table = partitioned();
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let small = options(&pool).with_property("write.target-file-size-bytes", "1");
    let mut writer = TableWriter::try_new(&table, small).unwrap();
    writer.write(rows(0, 2_000)).await.unwrap();
    drop(writer);
    for _ in 0..500 {
        if stored_files(&table).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(stored_files(&table).await.is_empty());
    assert_eq!(pool.reserved(), 0);
}

#[tokio::test]
async fn a_refused_row_is_named_by_its_number() {
    let columns = [
        ("id", primitive(PrimitiveType::Int)),
        ("r!", primitive(PrimitiveType::Int)),
    ];
    let table = table(&columns, &[], &[], FormatVersion::V2);
    let counted = options(&unbounded()).with_row_numbers();
    let mut writer = TableWriter::try_new(&table, counted).unwrap();
    let rows = |missing: Option<usize>| {
        let r = (0..100).map(|row| (Some(row) != missing).then_some(1));
        batch([("id", ints((0..100).map(Some))), ("r", ints(r))])
    };
    writer.write(rows(None)).await.unwrap();
    let error = writer.write(rows(Some(41))).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(error.to_string().contains("\"r\" is required"), "{error}");
    assert!(text.contains("row") && text.contains("142"), "{text}");
    writer.abort().await.unwrap();
}
