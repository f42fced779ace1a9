//! Where rows are: places in files stay what they are, whatever is skipped.

#![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use datafusion::prelude::SessionConfig;
use iceberg::spec::{FormatVersion, PrimitiveType, UnboundPartitionSpec};
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, rows};

const ROWS: i64 = 1_000;

/// A table of one file with ten row groups of ten pages; the value of each row is its place.
async fn places() -> HandMade {
    let mut made = HandMade::new(schema(vec![
        optional(1, "place", PrimitiveType::Long),
        optional(2, "other", PrimitiveType::Long),
    ]));
    let values: Vec<i64> = (0..ROWS).collect();
    let columns = batch(vec![
        Arc::new(Int64Array::from(values.clone())),
        Arc::new(Int64Array::from(values)),
    ]);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(10)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    let file = made.write(&columns, properties);
    made.commit(vec![file]).await;
    made
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(4)
        .with_batch_size(64);
    // Small files are split too.
    config.options_mut().optimizer.repartition_file_min_size = 1;
    config
}

#[tokio::test]
async fn d24_places_count_through_the_file() {
    let made = places().await;
    let context = made.context_with_metadata(config());
    let wrong = "SELECT place, _pos FROM t WHERE place IS DISTINCT FROM _pos";
    assert_eq!(rows(&context, wrong).await, [""; 0]);
    assert_eq!(
        rows(&context, "SELECT count(*), count(DISTINCT _pos) FROM t").await,
        ["1000|1000"]
    );
    for (condition, expected) in [
        (
            "place >= 995",
            vec!["995|995", "996|996", "997|997", "998|998", "999|999"],
        ),
        (
            "place IN (17, 512, 998)",
            vec!["17|17", "512|512", "998|998"],
        ),
        ("place BETWEEN 299 AND 300", vec!["299|299", "300|300"]),
        ("_pos = 731", vec!["731|731"]),
        ("_pos > 997 AND other < 999", vec!["998|998"]),
    ] {
        let query = format!("SELECT place, _pos FROM t WHERE {condition}");
        assert_eq!(rows(&context, &query).await, expected, "{condition}");
        // Without any column of the file beside it.
        let alone = format!("SELECT _pos FROM t WHERE {condition}");
        assert_eq!(rows(&context, &alone).await.len(), expected.len());
    }
    let top = "SELECT _pos FROM t ORDER BY place DESC LIMIT 2";
    assert_eq!(rows(&context, top).await, ["998", "999"]);
    assert_eq!(rows(&context, "SELECT max(_pos) FROM t").await, ["999"]);
    let first = rows(&context, "SELECT place - _pos FROM t LIMIT 3").await;
    assert_eq!(first, ["0", "0", "0"]);
}

/// In two files of ten row groups each, the value of a row is its identity.
#[tokio::test]
async fn d24_row_ids_count_through_the_files_whatever_is_skipped() {
    let columns = schema(vec![optional(1, "place", PrimitiveType::Long)]);
    let spec = UnboundPartitionSpec::builder().build();
    let mut made = HandMade::of_version(columns, spec, FormatVersion::V3);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(10)
        .build();
    let mut file = |ids: std::ops::Range<i64>| {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
        made.write(&batch(vec![ids]), properties.clone())
    };
    let files = vec![file(0..ROWS), file(ROWS..2 * ROWS)];
    let second = files[1].path.clone();
    made.commit(files).await;
    let mut vector = write_deletion_vectors(&made.path("d.puffin"), &[(&second, vec![0..250])]);
    let vector = vector.as_mut().unwrap()[0].build().unwrap();
    for deleted in [0, 250] {
        if deleted > 0 {
            made.commit_delta(made.delta().add(vector.clone())).await;
        }
        let context = made.context_with_metadata(config());
        let wrong = "SELECT place, _row_id FROM t WHERE place IS DISTINCT FROM _row_id";
        assert_eq!(rows(&context, wrong).await, [""; 0]);
        let counts = "SELECT count(*), count(DISTINCT _row_id), max(_row_id) FROM t";
        let left = 2 * ROWS - deleted;
        assert_eq!(
            rows(&context, counts).await,
            [format!("{left}|{left}|1999")]
        );
        for condition in [
            "_row_id IN (731, 1512)",
            "_row_id > 729 AND _row_id < 732 OR place = 1512",
            "place IN (731, 1512)",
        ] {
            let sql = format!("SELECT _row_id FROM t WHERE ({condition}) AND place <> 730");
            assert_eq!(rows(&context, &sql).await, ["1512", "731"], "{condition}");
        }
    }
}

#[tokio::test]
async fn d24_row_ids_of_a_table_without_lineage_are_null() {
    let made = places().await;
    let context = made.context_with_metadata(config());
    let query = "SELECT count(_row_id), count(_last_updated_sequence_number), count(_file) FROM t";
    assert_eq!(rows(&context, query).await, ["0|0|1000"]);
    assert_eq!(
        rows(&context, "SELECT DISTINCT _deleted, _spec_id FROM t").await,
        ["false|0"]
    );
}

#[tokio::test]
async fn rows_of_equality_deletes_come_back_with_their_flags() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        let columns = schema(vec![
            optional(1, "place", PrimitiveType::Long),
            optional(2, "other", PrimitiveType::Long),
        ]);
        let spec = UnboundPartitionSpec::builder().build();
        let mut made = HandMade::of_version(columns, spec, version);
        let longs = |values: std::ops::Range<i64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(values))
        };
        let batch = batch(vec![longs(0..1000), longs(1000..2000)]);
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(100))
            .build();
        let old = made.write(&batch, properties);
        let by_position = if version == FormatVersion::V2 {
            let rows = (0..10).map(|row| (old.path.clone(), row));
            PositionDeletes::new(rows)
                .write(&made.path("d.parquet"))
                .unwrap()
        } else {
            let rows = [(old.path.as_str(), vec![0..10])];
            let path = made.path("d.puffin");
            write_deletion_vectors(&path, &rows).unwrap().remove(0)
        };
        let delta = made.delta().add(old.data_file());
        made.commit_delta(delta.add(by_position.build().unwrap()))
            .await;
        // Of the first file five rows that are deleted already and five others, and of all files
        // those of one key column that no query reads.
        let by_place = made.write_deletes(&[1], vec![longs(5..15)]);
        let by_other = made.write_deletes(&[2], vec![longs(1990..2500)]);
        let newer = made.write(&batch.slice(0, 20), WriterProperties::default());
        made.commit(vec![by_place, by_other, newer]).await;
        // Whatever memory holds: a join would leave the rows out.
        for key_bytes_max in [None, Some(0)] {
            made.set_key_bytes_max(key_bytes_max);
            let context = made.context_with_metadata(config());
            let sql = "SELECT _deleted, count(*), sum(place) FROM t GROUP BY _deleted";
            assert_eq!(
                rows(&context, sql).await,
                ["false|995|489640", "true|25|10050"]
            );
            let sql = "SELECT place FROM t WHERE _deleted AND place > 8 AND place < 995";
            let gone = [
                "10", "11", "12", "13", "14", "9", "990", "991", "992", "993", "994",
            ];
            assert_eq!(rows(&context, sql).await, gone);
            let sql = "SELECT count(_deleted) FROM (SELECT _deleted FROM t LIMIT 1015)";
            assert_eq!(rows(&context, sql).await, ["1015"]);
            assert_eq!(rows(&context, "SELECT count(*) FROM t").await, ["995"]);
            assert_eq!(
                rows(&context, "SELECT count(_deleted) FROM t").await,
                ["1020"]
            );
        }
    }
}
