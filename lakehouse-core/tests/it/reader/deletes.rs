//! Rows that position delete files and deletion vectors delete stay away, whatever the query.

#![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

mod model;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::{
    DataFileBuilder, FormatVersion, Literal, PrimitiveType, Struct, Transform, UnboundPartitionSpec,
};
use lakehouse_core::error::{Error, ErrorKind};
use lakehouse_core::settings::Settings;
use lakehouse_core::table::Version;
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors, write_equality_deletes};
use parquet::file::properties::WriterProperties;

use super::evolution::{batch, optional, schema};
use super::handmade::{FileSpec, HandMade, rows};

/// Columns of the test table: `id`, which ascends, and `part`, which is `id % 7` or NULL for 0.
fn made(version: FormatVersion) -> HandMade {
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "part", PrimitiveType::Int),
    ]);
    HandMade::of_version(columns, UnboundPartitionSpec::builder().build(), version)
}

fn part(id: i64) -> Option<i32> {
    i32::try_from(id % 7).ok().filter(|part| *part != 0)
}

fn numbers(ids: Range<i64>) -> RecordBatch {
    let parts: Int32Array = ids.clone().map(part).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    batch(vec![ids, Arc::new(parts)])
}

fn pieces(group: usize, page: usize) -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page)
        .build()
}

/// A data file with the ids of a range.
fn data(made: &mut HandMade, ids: Range<i64>, group: usize, page: usize) -> FileSpec {
    made.write(&numbers(ids), pieces(group, page))
}

fn built(builder: &mut DataFileBuilder) -> iceberg::spec::DataFile {
    builder.build().unwrap()
}

fn splitting(partitions: usize) -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(partitions)
        .with_repartition_file_min_size(1)
}

/// Ids without some, as rows of a query.
fn without(ids: Range<i64>, deleted: &[i64]) -> Vec<String> {
    let mut left: Vec<String> = ids
        .filter(|id| !deleted.contains(id))
        .map(|id| id.to_string())
        .collect();
    left.sort();
    left
}

async fn explain_analyze(context: &SessionContext, sql: &str) -> String {
    let lines = rows(context, &format!("EXPLAIN ANALYZE {sql}")).await;
    lines.join("\n")
}

#[tokio::test]
async fn d01_position_deletes_reach_files_of_their_own_commit_and_older_ones() {
    let mut made = made(FormatVersion::V2);
    let old = data(&mut made, 0..10, 100, 100);
    made.commit_delta(made.delta().add(old.data_file())).await;
    let new = data(&mut made, 10..20, 100, 100);
    // The same deletes with a sequence number from before both files delete nothing.
    let delete = |name: &str, row| {
        let rows = [(old.path.clone(), row), (new.path.clone(), row)];
        built(&mut PositionDeletes::new(rows).write(&made.path(name)).unwrap())
    };
    let (early, late) = (delete("early.parquet", 1), delete("late.parquet", 5));
    let delta = made.delta().add(new.data_file()).add(late);
    made.commit_delta(delta.at_sequence_number(0).add(early))
        .await;
    assert_eq!(
        made.rows("SELECT id FROM t").await,
        without(0..20, &[5, 15])
    );
}

#[tokio::test]
async fn d09_deletes_apply_whatever_columns_are_read() {
    let mut made = made(FormatVersion::V3);
    let file = data(&mut made, 0..100, 30, 10);
    let vector = [(file.path.as_str(), vec![0..8, 50..51])];
    let vector = write_deletion_vectors(&made.path("v.puffin"), &vector).unwrap();
    let mut delta = made.delta().add(file.data_file());
    for mut vector in vector {
        delta = delta.add(built(&mut vector));
    }
    made.commit_delta(delta).await;
    // Of 0, 7, 14, … 98 the first two are deleted.
    assert_eq!(
        made.rows("SELECT count(*) FROM t WHERE part IS NULL").await,
        ["13"]
    );
    assert_eq!(made.rows("SELECT 1 FROM t").await.len(), 91);
    assert_eq!(
        made.rows("SELECT count(*) FROM (SELECT 1 FROM t LIMIT 95)")
            .await,
        ["91"]
    );
    assert_eq!(
        made.rows("SELECT sum(part) FROM t WHERE id < 9").await,
        ["1"]
    );
    let sql = "SELECT count(*) FROM t WHERE part IS NOT NULL AND id > 49 AND id < 52";
    assert_eq!(made.rows(sql).await, ["1"]);
}

#[tokio::test]
async fn a_condition_fails_for_live_rows_only() {
    let mut made = made(FormatVersion::V3);
    let file = data(&mut made, 0..100, 100, 100);
    let vector = [(file.path.as_str(), vec![3..5, 50..51])];
    let vector = write_deletion_vectors(&made.path("v.puffin"), &vector).unwrap();
    let mut delta = made.delta().add(file.data_file());
    for mut vector in vector {
        delta = delta.add(built(&mut vector));
    }
    made.commit_delta(delta).await;
    let context = made.context(SessionConfig::new());
    let ids = |condition: &str| {
        let sql = format!("SELECT id FROM t WHERE {condition}");
        let context = context.clone();
        async move { rows(&context, &sql).await }
    };
    // The row with the id 50 is deleted.
    assert_eq!(ids("1000 / (id - 50) >= 500").await, ["51", "52"]);
    assert_eq!(ids("part = 3 AND id < 20").await, ["10", "17"]);
    assert_eq!(ids("part IS NULL AND NOT id > 15").await, ["0", "14", "7"]);
    assert_eq!(
        ids("id % 50 = 1 OR part > 5 AND id < 7").await,
        ["1", "51", "6"]
    );
    let frame = context.sql("SELECT id FROM t WHERE 1000 / (id - 51) >= 500");
    assert!(frame.await.unwrap().collect().await.is_err());
}

#[tokio::test]
async fn d09_deletes_apply_when_only_partition_columns_are_read() {
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "part", PrimitiveType::Int),
    ]);
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "part", Transform::Identity)
        .unwrap()
        .build();
    let mut made = HandMade::of_version(columns, spec, FormatVersion::V2);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
    let mut delta = made.delta();
    let mut paths = Vec::new();
    for part in [Some(1), None] {
        let parts: ArrayRef = Arc::new(Int32Array::from(vec![part; 20]));
        let mut file = made.write(&batch(vec![Arc::clone(&ids), parts]), pieces(7, 3));
        file.partition = Struct::from_iter([part.map(Literal::int)]);
        delta = delta.add(file.data_file());
        paths.push((file.path, file.partition));
    }
    for (position, (path, partition)) in paths.into_iter().enumerate() {
        let deletes = PositionDeletes::new((0..5).map(|row| (path.clone(), row)));
        let name = made.path(&format!("d{position}.parquet"));
        delta = delta.add(built(deletes.write(&name).unwrap().partition(partition)));
    }
    made.commit_delta(delta).await;
    let sql = "SELECT part, count(*) FROM t GROUP BY part";
    assert_eq!(made.rows(sql).await, ["-|15", "1|15"]);
    assert_eq!(
        made.rows("SELECT part FROM t WHERE part IS NULL")
            .await
            .len(),
        15
    );
    assert_eq!(
        made.rows("SELECT count(*) FROM t WHERE part = 1").await,
        ["15"]
    );
}

#[tokio::test]
async fn d10_positions_are_rows_of_the_file_whatever_is_skipped() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..5_000, 500, 50);
    let deleted: Vec<i64> = (0..5_000).filter(|row| row % 3 == 0).collect();
    let deletes = PositionDeletes::new(deleted.iter().map(|row| (file.path.clone(), *row)));
    let deletes = built(&mut deletes.write(&made.path("d.parquet")).unwrap());
    made.commit_delta(made.delta().add(file.data_file()).add(deletes))
        .await;
    for partitions in [1, 2, 5] {
        let context = made.context(splitting(partitions));
        let sql = "SELECT count(*), sum(id), count(DISTINCT id) FROM t WHERE id % 2 >= 0";
        assert_eq!(rows(&context, sql).await, ["3333|8331667|3333"]);
        let sql = "SELECT id FROM t WHERE id BETWEEN 2010 AND 2020";
        assert_eq!(rows(&context, sql).await, without(2010..2021, &deleted));
        let sql = "SELECT id FROM t WHERE id IN (33, 34, 2999, 3000, 4999)";
        assert_eq!(rows(&context, sql).await, ["2999", "34", "4999"]);
        let sql = "SELECT id FROM t ORDER BY id DESC LIMIT 4";
        assert_eq!(rows(&context, sql).await, ["4994", "4996", "4997", "4999"]);
    }
    let context = made.context(SessionConfig::new());
    let analyzed = explain_analyze(&context, "SELECT id FROM t WHERE id = 2011").await;
    assert!(analyzed.contains("page_index_rows_pruned"), "{analyzed}");
    // One page of 50 rows is left, in which 17 rows are deleted.
    assert!(analyzed.contains("rows_deleted=17"), "{analyzed}");
}

#[tokio::test]
async fn d12_delete_files_and_data_files_go_many_to_many() {
    let mut made = made(FormatVersion::V2);
    let files: Vec<_> = (0..6)
        .map(|n| data(&mut made, n * 100..(n + 1) * 100, 40, 10))
        .collect();
    let delta = files
        .iter()
        .fold(made.delta(), |delta, file| delta.add(file.data_file()));
    made.commit_delta(delta).await;
    let delete = |name: &str, rows: Vec<(usize, i64)>| {
        let rows = rows
            .into_iter()
            .map(|(file, row)| (files[file].path.clone(), row));
        let deletes = PositionDeletes::new(rows).in_pieces(4, 2);
        built(&mut deletes.write(&made.path(name)).unwrap())
    };
    let all = delete(
        "all.parquet",
        (0..6).flat_map(|f| [(f, 3), (f, 99), (f, 100)]).collect(),
    );
    // Neither sorted nor without repetitions.
    let some = delete(
        "some.parquet",
        vec![(4, 9), (1, 3), (4, 8), (1, 50), (1, 50)],
    );
    let one = delete("one.parquet", vec![(2, 0), (2, 1)]);
    made.commit_delta(made.delta().add(all).add(some).add(one))
        .await;
    let mut deleted: Vec<i64> = (0..6).flat_map(|f| [f * 100 + 3, f * 100 + 99]).collect();
    deleted.extend([409, 408, 150, 200, 201]);
    assert_eq!(
        made.rows("SELECT id FROM t").await,
        without(0..600, &deleted)
    );
    let sql = "SELECT id FROM t WHERE id >= 100 AND id < 200";
    assert_eq!(made.rows(sql).await, without(100..200, &deleted));
    // Each file is read once, whoever needs it.
    let context = made.context(splitting(4));
    let analyzed = explain_analyze(&context, "SELECT id FROM t").await;
    assert!(analyzed.contains("delete_files_read=3"), "{analyzed}");
    assert!(analyzed.contains("rows_deleted=17"), "{analyzed}");
    assert!(analyzed.contains("delete_files=3"), "{analyzed}");
    let analyzed = explain_analyze(&context, "SELECT id FROM t WHERE id = 0").await;
    assert!(analyzed.contains("delete_files=1"), "{analyzed}");
}

#[tokio::test]
async fn d13_position_deletes_without_a_file_or_row_are_an_error() {
    let path = |made: &HandMade| made.path("data-1.parquet");
    type Rows = Vec<(Option<String>, Option<i64>)>;
    type RowsOf = fn(String) -> Rows;
    let cases: [(RowsOf, &str); 4] = [
        (
            |path| vec![(Some(path.clone()), Some(1)), (Some(path), None)],
            "NULL",
        ),
        (|path| vec![(None, Some(1)), (Some(path), Some(1))], "NULL"),
        (|path| vec![(Some(path), Some(-1))], "row -1"),
        // Of another file, and where statistics show that no wanted one is named.
        (|_| vec![(Some("/other".to_owned()), Some(-1))], "row -1"),
    ];
    for (rows, expected) in cases {
        let mut made = made(FormatVersion::V2);
        let file = data(&mut made, 0..10, 100, 100);
        let deletes = PositionDeletes::with_nulls(rows(path(&made)));
        let mut deletes = deletes.write(&made.path("bad.parquet")).unwrap();
        deletes
            .lower_bounds(Default::default())
            .upper_bounds(Default::default());
        made.commit_delta(made.delta().add(file.data_file()).add(built(&mut deletes)))
            .await;
        let error = made.error("SELECT id FROM t").await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains("bad.parquet"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn d14_data_files_are_told_by_their_stored_location() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..10, 100, 100);
    let twisted = file.path.replace("data-1", "./data-1");
    let other = [
        (twisted, 1),
        (format!("file://{}", file.path), 2),
        (file.path.clone(), 3),
    ];
    let deletes = built(
        &mut PositionDeletes::new(other)
            .write(&made.path("d.parquet"))
            .unwrap(),
    );
    made.commit_delta(made.delta().add(file.data_file()).add(deletes))
        .await;
    assert_eq!(made.rows("SELECT id FROM t").await, without(0..10, &[3]));
}

#[tokio::test]
async fn files_without_field_ids_and_files_that_are_gone() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..10, 100, 100);
    let rows = [
        ("/gone.parquet".to_owned(), 0),
        (file.path.clone(), 4),
        (file.path.clone(), 77),
    ];
    let deletes = PositionDeletes::new(rows).without_field_ids();
    let deletes = built(&mut deletes.write(&made.path("d.parquet")).unwrap());
    let gone = PositionDeletes::new([("/gone.parquet", 0)]);
    let gone = built(&mut gone.write(&made.path("gone.parquet")).unwrap());
    made.commit_delta(made.delta().add(file.data_file()).add(deletes).add(gone))
        .await;
    // What deletes nothing that is read is not opened.
    std::fs::remove_file(made.path("gone.parquet")).unwrap();
    assert_eq!(made.rows("SELECT id FROM t").await, without(0..10, &[4]));
    std::fs::remove_file(made.path("d.parquet")).unwrap();
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("d.parquet"), "{error}");
}

/// A table of two files with a vector each in one Puffin file, and position deletes that both
/// supersede.
async fn with_vectors() -> (HandMade, Vec<DataFileBuilder>) {
    let mut made = made(FormatVersion::V3);
    let (a, b) = (
        data(&mut made, 0..100, 40, 10),
        data(&mut made, 100..200, 40, 10),
    );
    let stale = PositionDeletes::new([(a.path.clone(), 7), (b.path.clone(), 7)]);
    let stale = built(&mut stale.write(&made.path("stale.parquet")).unwrap());
    let delta = made
        .delta()
        .add(a.data_file())
        .add(b.data_file())
        .add(stale);
    made.commit_delta(delta).await;
    let vectors = [
        (a.path.as_str(), vec![0..50, 60..61]),
        (b.path.as_str(), vec![99..100]),
    ];
    let vectors = write_deletion_vectors(&made.path("v.puffin"), &vectors).unwrap();
    (made, vectors)
}

#[tokio::test]
async fn d16_vectors_stand_for_all_position_deletes_of_their_file() {
    let (mut made, mut vectors) = with_vectors().await;
    assert_eq!(
        made.rows("SELECT id FROM t").await,
        without(0..200, &[7, 107])
    );
    let delta = made
        .delta()
        .add(built(&mut vectors[0]))
        .add(built(&mut vectors[1]));
    made.commit_delta(delta).await;
    let deleted: Vec<i64> = (0..50).chain([60, 199]).collect();
    assert_eq!(
        made.rows("SELECT id FROM t").await,
        without(0..200, &deleted)
    );
    std::fs::remove_file(made.path("stale.parquet")).unwrap();
    let context = made.context(splitting(3));
    let analyzed = explain_analyze(&context, "SELECT id FROM t").await;
    assert!(analyzed.contains("delete_files_read=1"), "{analyzed}");
    assert!(analyzed.contains("rows_deleted=52"), "{analyzed}");
}

#[tokio::test]
async fn d16_damaged_vectors_are_an_error_that_names_their_file() {
    type Damage = fn(&mut [DataFileBuilder], &str);
    let cases: [(Damage, &str); 5] = [
        (
            |vectors, _| drop(vectors[0].record_count(50).build()),
            "the manifest says 50",
        ),
        (
            |vectors, _| drop(vectors[0].content_offset(Some(5)).build()),
            "damaged",
        ),
        (
            |vectors, _| drop(vectors[0].content_size_in_bytes(Some(20)).build()),
            "damaged",
        ),
        (
            |_, path| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[30] ^= 0x40;
                std::fs::write(path, bytes).unwrap();
            },
            "checksum",
        ),
        (
            |_, path| {
                let bytes = std::fs::read(path).unwrap();
                std::fs::write(path, &bytes[..40]).unwrap();
            },
            "v.puffin",
        ),
    ];
    for (damage, expected) in cases {
        let (mut made, mut vectors) = with_vectors().await;
        damage(&mut vectors, &made.path("v.puffin"));
        let delta = made
            .delta()
            .add(built(&mut vectors[0]))
            .add(built(&mut vectors[1]));
        made.commit_delta(delta).await;
        let error = made.error("SELECT id FROM t").await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains("v.puffin"),
            "{text}"
        );
    }
    // More rows than the data file has.
    let (mut made, _) = with_vectors().await;
    let path = made.path("data-1.parquet");
    let vectors = write_deletion_vectors(&made.path("w.puffin"), &[(&path, vec![100..101])]);
    made.commit_delta(made.delta().add(built(&mut vectors.unwrap()[0])))
        .await;
    let text = made.error("SELECT id FROM t").await.to_string();
    assert!(
        text.contains("row 100") && text.contains("w.puffin"),
        "{text}"
    );
}

/// The manifest gives each of two files of as many rows the other one's vector.
#[tokio::test]
async fn d16_vectors_of_other_data_files_are_an_error_that_names_their_file() {
    for is_size_known in [true, false] {
        let (mut made, mut vectors) = with_vectors().await;
        let paths = [made.path("data-2.parquet"), made.path("data-1.parquet")];
        let mut delta = made.delta();
        for (vector, path) in vectors.iter_mut().zip(paths) {
            vector.referenced_data_file(Some(path));
            if !is_size_known {
                vector.file_size_in_bytes(100_000);
            }
            delta = delta.add(built(vector));
        }
        made.commit_delta(delta).await;
        let error = made.error("SELECT id FROM t").await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let text = error.to_string();
        for part in ["v.puffin", "data-1.parquet", "data-2.parquet"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

/// All files were copied to another folder, and metadata and manifests written anew.
#[tokio::test]
async fn d16_vectors_of_a_copied_table_may_name_the_files_in_their_old_folder() {
    for (named, is_read) in [
        ("s3://old/lake/t/data-1.parquet", true),
        ("s3://old/lake/t/data-2.parquet", false),
    ] {
        let mut made = made(FormatVersion::V3);
        let file = data(&mut made, 0..10, 40, 10);
        let path = file.path.clone();
        let written = write_deletion_vectors(&made.path("v.puffin"), &[(named, vec![3..5])]);
        let mut vector = written.unwrap().remove(0);
        vector.referenced_data_file(Some(path));
        let delta = made.delta().add(file.data_file()).add(built(&mut vector));
        made.commit_delta(delta).await;
        if is_read {
            assert_eq!(made.rows("SELECT id FROM t").await, without(0..10, &[3, 4]));
        } else {
            let error = made.error("SELECT id FROM t").await;
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}

/// So many vectors in one file that its footer is longer than what is read of it at first.
#[tokio::test]
async fn d16_long_footers_are_read_too() {
    let mut made = made(FormatVersion::V3);
    let file = data(&mut made, 0..100, 40, 10);
    let others: Vec<String> = (0..100).map(|n| made.path(&format!("gone-{n}"))).collect();
    let others = others.iter().map(|path| (path.as_str(), vec![0..7]));
    let vectors: Vec<_> = others.chain([(file.path.as_str(), vec![3..5])]).collect();
    let mut vectors = write_deletion_vectors(&made.path("v.puffin"), &vectors).unwrap();
    let mut others = vectors[17].clone();
    let delta = made.delta().add(file.data_file());
    made.commit_delta(delta.add(built(&mut vectors[100]))).await;
    assert_eq!(
        made.rows("SELECT id FROM t").await,
        without(0..100, &[3, 4])
    );
    let delta = made.delta().drop_deletes(|_| true);
    others.referenced_data_file(Some(file.path.clone()));
    made.commit_delta(delta.add(built(&mut others))).await;
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("gone-17"), "{error}");
}

#[tokio::test]
async fn d16_a_second_vector_for_a_file_is_an_error_that_names_both() {
    let (mut made, mut vectors) = with_vectors().await;
    made.commit_delta(made.delta().add(built(&mut vectors[0])))
        .await;
    let path = made.path("data-1.parquet");
    let second = write_deletion_vectors(&made.path("w.puffin"), &[(&path, vec![5..6])]).unwrap();
    let second = built(&mut second.into_iter().next().unwrap());
    made.commit_delta(made.delta().add(second)).await;
    let text = made.error("SELECT id FROM t").await.to_string();
    assert!(
        text.contains("v.puffin") && text.contains("w.puffin"),
        "{text}"
    );
    // As it should be: the first goes when the second comes.
    let (mut made, mut vectors) = with_vectors().await;
    made.commit_delta(made.delta().add(built(&mut vectors[0])))
        .await;
    let path = made.path("data-1.parquet");
    let second = write_deletion_vectors(&made.path("w.puffin"), &[(&path, vec![5..6])]).unwrap();
    let second = built(&mut second.into_iter().next().unwrap());
    let delta = made
        .delta()
        .drop_deletes(|file| file.referenced_data_file().is_some());
    made.commit_delta(delta.add(second)).await;
    assert_eq!(
        made.rows("SELECT id FROM t").await,
        without(0..200, &[5, 107])
    );
}

#[tokio::test]
async fn d23_statistics_answer_only_what_is_right_when_rows_are_deleted() {
    let (mut made, mut vectors) = with_vectors().await;
    let answers = [
        "SELECT count(*) FROM t",
        "SELECT min(id), max(id), count(id) FROM t",
    ];
    assert_eq!(made.rows(answers[0]).await, ["198"]);
    let delta = made
        .delta()
        .add(built(&mut vectors[0]))
        .add(built(&mut vectors[1]));
    made.commit_delta(delta).await;
    assert_eq!(made.rows(answers[0]).await, ["148"]);
    assert_eq!(made.rows(answers[1]).await, ["50|198|148"]);
    let context = made.context(SessionConfig::new());
    let plan = |sql: &'static str| {
        let context = context.clone();
        async move { rows(&context, &format!("EXPLAIN {sql}")).await.join("\n") }
    };
    // Vectors say how many rows they delete, not which values are left.
    assert!(!plan(answers[0]).await.contains("DataSourceExec"));
    assert!(plan(answers[1]).await.contains("DataSourceExec"));
    for limit in [1, 99, 147, 148, 149, 500] {
        let sql = format!("SELECT count(*) FROM (SELECT id FROM t LIMIT {limit})");
        assert_eq!(made.rows(&sql).await, [limit.min(148).to_string()]);
    }
}

#[tokio::test]
async fn d23_limits_count_live_rows_of_position_deletes() {
    let mut made = made(FormatVersion::V2);
    let files: Vec<_> = (0..5)
        .map(|n| data(&mut made, n * 100..(n + 1) * 100, 40, 10))
        .collect();
    for file in &files {
        let deletes = PositionDeletes::new((0..95).map(|row| (file.path.clone(), row)));
        let deletes = built(&mut deletes.write(&format!("{}.d", file.path)).unwrap());
        made.commit_delta(made.delta().add(file.data_file()).add(deletes))
            .await;
    }
    for (limit, expected) in [(1, 1), (6, 6), (24, 24), (25, 25), (26, 25)] {
        for partitions in [1, 4] {
            let context = made.context(splitting(partitions));
            let sql = format!("SELECT id FROM t LIMIT {limit}");
            assert_eq!(rows(&context, &sql).await.len(), expected, "{limit}");
        }
    }
    assert_eq!(
        made.rows("SELECT count(*), min(id), max(id) FROM t").await,
        ["25|95|499"]
    );
}

#[tokio::test]
async fn s05_a_version_has_the_deletes_of_its_own_snapshot_only() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..10, 100, 100);
    let first = made.commit_delta(made.delta().add(file.data_file())).await;
    let mut snapshots = vec![first];
    for row in [1, 2] {
        let deletes = PositionDeletes::new([(file.path.clone(), row)]);
        let name = made.path(&format!("d{row}.parquet"));
        let deletes = built(&mut deletes.write(&name).unwrap());
        snapshots.push(made.commit_delta(made.delta().add(deletes)).await);
    }
    let deleted: [&[i64]; 3] = [&[], &[1], &[1, 2]];
    for (snapshot, deleted) in snapshots.into_iter().zip(deleted) {
        let context = made.context_at(Version::Snapshot(snapshot));
        let sql = "SELECT id FROM t";
        assert_eq!(rows(&context, sql).await, without(0..10, deleted));
    }
}

#[tokio::test]
async fn wholly_deleted_row_groups_and_files_are_not_decoded() {
    let mut made = made(FormatVersion::V3);
    let (a, b) = (
        data(&mut made, 0..10_000, 2_500, 100),
        data(&mut made, 10_000..10_100, 50, 10),
    );
    let vectors = [
        (a.path.as_str(), vec![0..2_500, 3_000..6_000, 9_999..10_000]),
        (b.path.as_str(), vec![0..100]),
    ];
    let mut delta = made.delta().add(a.data_file()).add(b.data_file());
    for mut vector in write_deletion_vectors(&made.path("v.puffin"), &vectors).unwrap() {
        delta = delta.add(built(&mut vector));
    }
    made.commit_delta(delta).await;
    let sql = "SELECT count(id), min(id), max(id), sum(id) FROM t";
    let left = (2_500..3_000).chain(6_000..9_999);
    let expected = format!("4499|2500|9998|{}", left.sum::<i64>());
    for partitions in [1, 3] {
        let context = made.context(splitting(partitions));
        assert_eq!(rows(&context, sql).await, [expected.as_str()]);
        assert_eq!(
            rows(&context, "SELECT id FROM t LIMIT 600").await.len(),
            600
        );
    }
}

#[tokio::test]
async fn deletes_that_do_not_fit_into_the_budget_are_an_error() {
    let mut made = made(FormatVersion::V2);
    let file = data(&mut made, 0..300_000, 100_000, 10_000);
    let odd = (0..300_000).step_by(2).map(|row| (file.path.clone(), row));
    let deletes = built(
        &mut PositionDeletes::new(odd)
            .write(&made.path("d.parquet"))
            .unwrap(),
    );
    made.commit_delta(made.delta().add(file.data_file()).add(deletes))
        .await;
    let settings = Settings {
        memory_budget_bytes: Some(20_000),
        ..Settings::default()
    };
    let config = SessionConfig::new().with_target_partitions(1);
    let context = made.context_with(config, &settings);
    let frame = context.sql("SELECT id FROM t WHERE id < 10").await.unwrap();
    let error = Error::from(frame.collect().await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::ResourcesExhausted, "{error}");
    assert!(error.to_string().contains("row-level deletes"), "{error}");
    assert_eq!(made.rows("SELECT count(id) FROM t").await, ["150000"]);
}

#[tokio::test]
async fn equality_deletes_that_reach_no_row_are_not_read() {
    let mut made = made(FormatVersion::V2);
    let (a, b) = (
        data(&mut made, 0..10, 100, 100),
        data(&mut made, 10..20, 100, 100),
    );
    made.commit_delta(made.delta().add(a.data_file()).add(b.data_file()))
        .await;
    let keys = schema(vec![optional(1, "id", PrimitiveType::Long)]);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![3]));
    let deletes = write_equality_deletes(&made.path("eq.parquet"), &keys, &[column]);
    made.commit_delta(made.delta().add(built(&mut deletes.unwrap())))
        .await;
    assert_eq!(made.rows("SELECT id FROM t").await, without(0..20, &[3]));
    std::fs::remove_file(made.path("eq.parquet")).unwrap();
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("eq.parquet"), "{error}");
    // Of the second file no row can have the key.
    let sql = "SELECT id FROM t WHERE id >= 15";
    assert_eq!(made.rows(sql).await, without(15..20, &[]));
}

#[tokio::test]
async fn a_file_with_another_number_of_rows_is_not_guessed_at() {
    let mut made = made(FormatVersion::V2);
    let mut file = data(&mut made, 0..10, 100, 100);
    let deletes = PositionDeletes::new([(file.path.clone(), 1)]);
    let deletes = built(&mut deletes.write(&made.path("d.parquet")).unwrap());
    let other = data(&mut made, 0..11, 100, 100);
    std::fs::copy(&other.path, &file.path).unwrap();
    file.nan_counts = false;
    made.commit_delta(made.delta().add(file.data_file()).add(deletes))
        .await;
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let set: BTreeSet<_> = error.context().iter().map(|(key, _)| *key).collect();
    assert!(set.contains("file"), "{error}");
}

#[tokio::test]
async fn deleted_rows_come_back_where_they_are_flagged() {
    let (mut made, mut vectors) = with_vectors().await;
    let delta = made
        .delta()
        .add(built(&mut vectors[0]))
        .add(built(&mut vectors[1]));
    made.commit_delta(delta).await;
    let context = made.context_with_metadata(SessionConfig::new().with_target_partitions(3));
    let live = rows(&context, "SELECT id FROM t").await;
    assert_eq!(live.len(), 148);
    let flagged = "SELECT count(*), count(DISTINCT id) FROM t WHERE _deleted IN (true, false)";
    assert_eq!(rows(&context, flagged).await, ["200|200"]);
    assert_eq!(
        rows(&context, "SELECT id FROM t WHERE NOT _deleted").await,
        live
    );
    assert_eq!(
        rows(&context, "SELECT count(id) FROM t WHERE _deleted").await,
        ["52"]
    );
    let by_flag = "SELECT _deleted, count(*) FROM t GROUP BY _deleted";
    assert_eq!(rows(&context, by_flag).await, ["false|148", "true|52"]);
    assert_eq!(
        rows(&context, "SELECT _deleted FROM t LIMIT 199")
            .await
            .len(),
        199
    );
    assert_eq!(
        rows(&context, "SELECT count(_deleted) FROM t").await,
        ["200"]
    );
    // Flagged or not, a row keeps its place.
    let places = "SELECT id, _pos FROM t WHERE _deleted IS NOT NULL";
    let all = rows(
        &context,
        "SELECT id, _pos FROM t WHERE _deleted IN (true, false)",
    )
    .await;
    for row in rows(&context, places).await {
        assert!(all.contains(&row), "{row}");
    }
}
