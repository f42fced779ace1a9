//! Where rows are: places in files stay what they are, whatever is skipped.

use std::sync::Arc;

use arrow::array::Int64Array;
use datafusion::prelude::SessionConfig;
use iceberg::spec::PrimitiveType;
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
