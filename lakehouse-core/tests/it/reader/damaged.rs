//! Tables whose files and manifests say what is not so: read right, or refused with the file's name.

#![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;
use iceberg::spec::{FormatVersion, PrimitiveType, UnboundPartitionSpec};
use lakehouse_core::error::ErrorKind;
use lakehouse_testkit::{PositionDeletes, edit_column_chunks, repack_avro, write_deletion_vectors};
use parquet::basic::Compression;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;

use super::evolution::{batch, optional, schema};
use super::handmade::{FileSpec, HandMade, rows};

/// An empty table with the columns `id` and `s`.
fn made(version: FormatVersion) -> HandMade {
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "s", PrimitiveType::String),
    ]);
    HandMade::of_version(columns, UnboundPartitionSpec::builder().build(), version)
}

fn ids(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(range))
}

/// A file of many row groups and pages with the ids of a range.
fn data(made: &mut HandMade, range: std::ops::Range<i64>) -> FileSpec {
    let texts = range.clone().map(|id| format!("text {id}"));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(100))
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(10)
        .build();
    made.write(&batch(vec![ids(range), texts]), properties)
}

fn footer(path: &str) -> ParquetMetaData {
    let file = std::fs::File::open(path).unwrap();
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Skip)
        .parse_and_finish(&file)
        .unwrap()
}

fn splitting() -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(4)
        .with_repartition_file_min_size(1)
}

/// Sizes that are not the real one.
fn other_sizes(size: u64) -> [u64; 8] {
    [
        0,
        1,
        700,
        size / 2,
        size - 1,
        size + 1,
        size + (1 << 20),
        1 << 50,
    ]
}

/// What tells whether the right rows are there: all of them, whoever reads which row group.
async fn sums(made: &HandMade) -> Vec<String> {
    let context = made.context(splitting());
    let sql = "SELECT count(*), sum(id), count(DISTINCT s) FROM t WHERE id >= 0";
    let first = rows(&context, sql).await;
    // Again, with what the first query has kept.
    assert_eq!(rows(&context, sql).await, first);
    let few = rows(&context, "SELECT s FROM t WHERE id IN (555, 556)").await;
    assert_eq!(few, ["text 555", "text 556"]);
    first
}

#[tokio::test]
async fn data_files_of_another_size_than_the_manifest_says_give_all_their_rows() {
    for position in 0..8 {
        let mut made = made(FormatVersion::V2);
        let mut lies = data(&mut made, 0..1000);
        let size = std::fs::metadata(&lies.path).unwrap().len();
        lies.size_bytes = Some(other_sizes(size)[position]);
        let honest = data(&mut made, 1000..1010);
        made.commit(vec![lies, honest]).await;
        assert_eq!(sums(&made).await, ["1010|509545|1010"], "{position}");
    }
}

#[tokio::test]
async fn a_data_file_of_another_size_must_have_the_columns_of_the_manifest() {
    let mut made = made(FormatVersion::V2);
    let mut lies = data(&mut made, 0..1000);
    let footer = footer(&lies.path);
    let column = |leaf: usize| {
        let chunks = footer.row_groups().iter().map(|group| group.column(leaf));
        chunks
            .map(|chunk| chunk.compressed_size().unsigned_abs())
            .sum()
    };
    let size = std::fs::metadata(&lies.path).unwrap().len();
    lies.size_bytes = Some(size - 5);
    lies.column_sizes = HashMap::from([(1, column(0)), (2, column(1))]);
    made.commit(vec![lies.clone()]).await;
    assert_eq!(sums(&made).await, ["1000|499500|1000"]);

    // Another file under its name, of as many rows.
    let other = data(&mut made, 50_000..51_000);
    std::fs::copy(&other.path, &lies.path).unwrap();
    let error = made.error("SELECT id FROM t WHERE s > 'a'").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("replaced") && text.contains("data-1.parquet"),
        "{text}"
    );
}

#[tokio::test]
async fn a_data_file_that_was_cut_off_is_told_with_both_sizes() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..1000);
    made.commit(vec![file.clone()]).await;
    let bytes = std::fs::read(&file.path).unwrap();
    std::fs::write(&file.path, &bytes[..bytes.len() / 2]).unwrap();
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let text = error.to_string();
    let sizes = format!(
        "{} bytes where the manifest says {}",
        bytes.len() / 2,
        bytes.len()
    );
    assert!(
        text.contains(&sizes) && text.contains("data-1.parquet"),
        "{text}"
    );
}

#[tokio::test]
async fn position_deletes_of_another_size_than_the_manifest_says_delete_their_rows() {
    for position in 0..8 {
        let mut made = made(FormatVersion::V2);
        let file = data(&mut made, 0..1000);
        let gone = (0..300).map(|row| (file.path.clone(), row));
        let path = made.path("d.parquet");
        let mut deletes = PositionDeletes::new(gone)
            .in_pieces(50, 5)
            .write(&path)
            .unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        deletes.file_size_in_bytes(other_sizes(size)[position]);
        let delta = made
            .delta()
            .add(file.data_file())
            .add(deletes.build().unwrap());
        made.commit_delta(delta).await;
        assert_eq!(sums(&made).await, ["700|454650|700"], "{position}");
    }
}

#[tokio::test]
async fn deletion_vectors_of_another_size_than_the_manifest_says_delete_their_rows() {
    for position in 0..8 {
        let mut made = made(FormatVersion::V3);
        let (one, other) = (data(&mut made, 0..1000), data(&mut made, 1000..1100));
        let path = made.path("v.puffin");
        let gone = [
            (one.path.as_str(), vec![0..300, 301..302]),
            (other.path.as_str(), vec![0..100]),
        ];
        let vectors = write_deletion_vectors(&path, &gone).unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        let mut delta = made.delta().add(one.data_file()).add(other.data_file());
        for mut vector in vectors {
            vector.file_size_in_bytes(other_sizes(size)[position]);
            delta = delta.add(vector.build().unwrap());
        }
        made.commit_delta(delta).await;
        assert_eq!(sums(&made).await, ["699|454349|699"], "{position}");
        // The rest of the file is not needed, the vectors are.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..40]).unwrap();
        let error = made.error("SELECT id FROM t").await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("v.puffin"), "{error}");
    }
}

#[tokio::test]
async fn equality_deletes_of_another_size_than_the_manifest_says_delete_their_rows() {
    for position in 0..8 {
        let mut made = made(FormatVersion::V2);
        let file = data(&mut made, 0..1000);
        made.commit(vec![file]).await;
        let mut deletes = made.write_deletes(&[1], vec![ids(0..300)]);
        let size = std::fs::metadata(&deletes.path).unwrap().len();
        deletes.size_bytes = Some(other_sizes(size)[position]);
        made.commit(vec![deletes]).await;
        assert_eq!(sums(&made).await, ["700|454650|700"], "{position}");
    }
}

#[tokio::test]
async fn a_file_that_is_listed_twice_gives_its_live_rows_twice() {
    let mut made = made(FormatVersion::V3);
    let file = data(&mut made, 0..100);
    let path = made.path("v.puffin");
    let vectors = write_deletion_vectors(&path, &[(file.path.as_str(), vec![0..90])]).unwrap();
    let vector = || vectors[0].clone().build().unwrap();
    let delta = made.delta().add(file.data_file()).add(vector());
    made.commit_delta(delta).await;
    let sql = "SELECT count(*), sum(id), count(DISTINCT id) FROM t WHERE id > 0";
    assert_eq!(made.rows(sql).await, ["10|945|10"]);
    // A retry of the append, whose first attempt was committed: the vector is listed twice, too.
    let delta = made.delta().add(file.data_file()).add(file.data_file());
    made.commit_delta(
        delta
            .at_sequence_number(1)
            .add(file.data_file())
            .add(vector()),
    )
    .await;
    let text = made.error(sql).await.to_string();
    assert!(text.contains("later one"), "{text}");

    let mut made = self::made(FormatVersion::V3);
    let file = data(&mut made, 0..100);
    let path = made.path("v.puffin");
    let vectors = write_deletion_vectors(&path, &[(file.path.as_str(), vec![0..90])]).unwrap();
    let vector = || vectors[0].clone().build().unwrap();
    let delta = made.delta().add(file.data_file()).add(file.data_file());
    made.commit_delta(delta.add(vector()).add(vector())).await;
    assert_eq!(made.rows(sql).await, ["20|1890|10"]);
    let retry = made.delta().add(file.data_file()).add(vector());
    made.commit_delta(retry).await;
    assert_eq!(made.rows(sql).await, ["30|2835|10"]);
}

#[tokio::test]
async fn a_file_that_is_listed_twice_loses_the_rows_of_position_deletes_twice() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..100);
    let gone = |name: &str, rows: std::ops::Range<i64>| {
        let rows = rows.map(|row| (file.path.clone(), row));
        let deletes = PositionDeletes::new(rows).write(&made.path(name)).unwrap();
        deletes.build().unwrap()
    };
    let (one, other) = (gone("d.parquet", 0..50), gone("e.parquet", 40..90));
    let delta = made.delta().add(file.data_file()).add(file.data_file());
    let delta = delta.add(one.clone()).add(one).add(other);
    made.commit_delta(delta).await;
    let sql = "SELECT count(*), sum(id), count(DISTINCT id) FROM t WHERE id > 0";
    assert_eq!(made.rows(sql).await, ["20|1890|10"]);
}

/// Where the page index of a column of a file is: of its values, and of its pages.
fn index_places(path: &str, leaf: usize) -> Vec<std::ops::Range<usize>> {
    let footer = footer(path);
    let chunks = footer.row_groups().iter().map(|group| group.column(leaf));
    let place = |offset: Option<i64>, length: Option<i32>| {
        let offset = usize::try_from(offset.unwrap()).unwrap();
        offset..offset + usize::try_from(length.unwrap()).unwrap()
    };
    chunks
        .flat_map(|chunk| {
            [
                place(chunk.column_index_offset(), chunk.column_index_length()),
                place(chunk.offset_index_offset(), chunk.offset_index_length()),
            ]
        })
        .collect()
}

#[tokio::test]
async fn a_damaged_page_index_costs_no_rows() {
    for leaf in [0, 1] {
        for part in [0, 1] {
            for fill in [0x00, 0x55, 0xFF] {
                let mut made = made(FormatVersion::V2);
                let file = data(&mut made, 0..1000);
                let mut bytes = std::fs::read(&file.path).unwrap();
                let places = index_places(&file.path, leaf);
                bytes[places[part].clone()].fill(fill);
                std::fs::write(&file.path, bytes).unwrap();
                made.commit(vec![file]).await;
                assert_eq!(
                    sums(&made).await,
                    ["1000|499500|1000"],
                    "{leaf} {part} {fill}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_page_index_that_lies_nowhere_costs_no_rows() {
    for (offset, length) in [
        (4, 10),
        (-1, 10),
        (1 << 50, 10),
        (i64::MAX, i32::MAX),
        (900, -1),
    ] {
        let mut made = made(FormatVersion::V2);
        let file = data(&mut made, 0..1000);
        edit_column_chunks(&file.path, |column| {
            column
                .set_column_index_offset(Some(offset))
                .set_column_index_length(Some(length))
        })
        .unwrap();
        made.commit(vec![file]).await;
        assert_eq!(sums(&made).await, ["1000|499500|1000"], "{offset} {length}");
    }
}

#[tokio::test]
async fn a_damaged_page_index_of_position_deletes_costs_no_deletes() {
    for leaf in [0, 1] {
        let mut made = made(FormatVersion::V2);
        let (file, other) = (data(&mut made, 0..1000), data(&mut made, 1000..1010));
        let gone = (0..300).map(|row| (file.path.clone(), row));
        let path = made.path("d.parquet");
        let deletes = PositionDeletes::new(gone).in_pieces(50, 5);
        let deletes = deletes.write(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for place in index_places(&path, leaf) {
            bytes[place].fill(0xFF);
        }
        std::fs::write(&path, bytes).unwrap();
        let delta = made.delta().add(file.data_file()).add(other.data_file());
        made.commit_delta(delta.add(deletes.build().unwrap())).await;
        assert_eq!(sums(&made).await, ["710|464695|710"], "{leaf}");
    }
}

#[tokio::test]
async fn the_dictionaries_of_writers_that_say_zero_for_none_are_none() {
    let plain = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(100))
        .build();
    let mut made = made(FormatVersion::V2);
    let texts = (0..1000).map(|id| format!("text {id}"));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let file = made.write(&batch(vec![ids(0..1000), texts]), plain);
    edit_column_chunks(&file.path, |column| {
        column.set_dictionary_page_offset(Some(0))
    })
    .unwrap();
    let says = footer(&file.path);
    let said = says.row_group(0).column(0).dictionary_page_offset();
    assert_eq!(said, Some(0));
    made.commit(vec![file]).await;
    assert_eq!(sums(&made).await, ["1000|499500|1000"]);
}

#[tokio::test]
async fn columns_that_unfold_to_zero_bytes_by_their_footer_are_read() {
    for compression in [
        Compression::SNAPPY,
        Compression::UNCOMPRESSED,
        Compression::ZSTD(Default::default()),
    ] {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_max_row_group_row_count(Some(100))
            .build();
        let mut made = made(FormatVersion::V2);
        let texts = (0..1000).map(|id| format!("text {id}"));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let file = made.write(&batch(vec![ids(0..1000), texts]), properties);
        edit_column_chunks(&file.path, |column| column.set_total_uncompressed_size(0)).unwrap();
        assert_eq!(
            footer(&file.path)
                .row_group(0)
                .column(0)
                .uncompressed_size(),
            0
        );
        made.commit(vec![file]).await;
        assert_eq!(sums(&made).await, ["1000|499500|1000"]);
    }
}

/// The Avro files below the folder of a table.
fn avro_files(made: &HandMade) -> Vec<String> {
    let entries = std::fs::read_dir(made.path("")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path().display().to_string());
    paths.filter(|path| path.ends_with(".avro")).collect()
}

/// A table with position deletes whose manifests and lists `codec` has packed.
async fn packed(codec: &str) -> HandMade {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..1000);
    let gone = (0..300).map(|row| (file.path.clone(), row));
    let deletes = PositionDeletes::new(gone).write(&made.path("d.parquet"));
    let deletes = deletes.unwrap().build().unwrap();
    made.commit_delta(made.delta().add(file.data_file()).add(deletes))
        .await;
    for path in avro_files(&made) {
        repack_avro(&path, codec).await.unwrap();
    }
    made
}

#[tokio::test]
async fn manifests_of_every_codec_are_read() {
    for codec in ["snappy", "zstandard", "bzip2", "xz"] {
        let made = packed(codec).await;
        assert_eq!(sums(&made).await, ["700|454650|700"], "{codec}");
    }
}

#[tokio::test]
async fn damaged_manifests_of_every_codec_are_told() {
    for codec in ["snappy", "zstandard", "bzip2", "xz"] {
        let made = packed(codec).await;
        for path in avro_files(&made) {
            let whole = std::fs::read(&path).unwrap();
            // Within the one block, and the number of its rows: one row too many.
            let sync = &whole[whole.len() - 16..];
            let header = whole.windows(16).position(|part| part == sync).unwrap() + 16;
            let middle = (header + whole.len()) / 2;
            // Writers of Zstandard leave the checksum out.
            let flips = [(header, 2), (middle, 0x55)];
            let flips = &flips[..if codec == "zstandard" { 1 } else { 2 }];
            for &(at, change) in flips {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                std::fs::write(&path, &bytes).unwrap();
                let error = made.error("SELECT id FROM t").await;
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{codec}: {error}");
                assert!(error.to_string().contains(&path), "{codec}: {error}");
            }
            std::fs::write(&path, &whole).unwrap();
        }
        assert_eq!(sums(&made).await, ["700|454650|700"], "{codec}");
    }
}

#[tokio::test]
async fn manifests_of_a_codec_of_another_time_are_refused_by_its_name() {
    let made = packed("snappy").await;
    for path in avro_files(&made) {
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(6).position(|part| part == b"snappy").unwrap();
        bytes[at..at + 6].copy_from_slice(b"zippy2");
        std::fs::write(&path, &bytes).unwrap();
    }
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(text.contains("zippy2") && text.contains(".avro"), "{text}");
}

#[tokio::test]
async fn a_manifest_that_is_shorter_than_its_list_says_is_read_when_it_has_all_its_files() {
    let made = packed("xz").await;
    // Packing has made the manifests shorter than their list says.
    let manifest = avro_files(&made)
        .into_iter()
        .find(|path| path.contains("manifest-"));
    let manifest = manifest.unwrap();
    assert_eq!(sums(&made).await, ["700|454650|700"]);
    // Cut off behind its header it has none of its files.
    let whole = std::fs::read(&manifest).unwrap();
    let sync = &whole[whole.len() - 16..];
    let header = whole.windows(16).position(|part| part == sync).unwrap() + 16;
    std::fs::write(&manifest, &whole[..header]).unwrap();
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("cut off") && text.contains(&manifest),
        "{text}"
    );
}

#[tokio::test]
async fn d16_deletes_of_files_that_are_no_longer_live_are_not_read() {
    let mut made = made(FormatVersion::V3);
    let file = data(&mut made, 0..1000);
    let path = made.path("gone.puffin");
    let gone = [("/gone.parquet", vec![0..300])];
    let vectors = write_deletion_vectors(&path, &gone).unwrap();
    let delta = made.delta().add(file.data_file());
    let delta = delta.add(vectors[0].clone().build().unwrap());
    made.commit_delta(delta).await;
    std::fs::remove_file(path).unwrap();
    assert_eq!(sums(&made).await, ["1000|499500|1000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_several_delete_files_are_paid_for_once() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..1000);
    let gone = |name: &str, rows: std::ops::Range<i64>| {
        let rows = rows.map(|row| (file.path.clone(), row));
        let deletes = PositionDeletes::new(rows).write(&made.path(name)).unwrap();
        deletes.build().unwrap()
    };
    let delta = made.delta().add(file.data_file());
    let delta = delta
        .add(gone("d.parquet", 0..50))
        .add(gone("e.parquet", 40..90));
    made.commit_delta(delta).await;
    let taken = async |partitions| {
        let context = made.context(splitting().with_target_partitions(partitions));
        let pool = Arc::clone(&context.runtime_env().memory_pool);
        let sql = "SELECT id, count(*) FROM t GROUP BY id";
        let plan = context.sql(sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let task = context.task_ctx();
        let batches = collect(Arc::clone(&plan), task).await.unwrap();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 910);
        let taken = pool.reserved();
        drop((batches, plan));
        assert_eq!(pool.reserved(), 0);
        taken
    };
    // The ranges of the file are opened at the same time, and one of them pays.
    let alone = taken(1).await;
    assert!(alone > 0);
    for _ in 0..20 {
        assert_eq!(taken(8).await, alone);
    }
}
