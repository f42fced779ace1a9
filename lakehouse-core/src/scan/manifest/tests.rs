//! Manifests of other writers, of other versions, and damaged ones.

use std::collections::HashMap;

use iceberg::spec::{Datum, FormatVersion, Literal, Transform};

use super::*;
use crate::scan::avro_header::AvroHeader;
use crate::scan::plan;
use crate::scan::predicate::{Comparison, Predicate};
use crate::scan::testing::{Lake, compare, data_file, id_file, storage};

async fn plan_paths(lake: &Lake) -> Result<Vec<String>> {
    let table = lake.table().await;
    let plan = plan(&table, &Predicate::AlwaysTrue, &ManifestCache::new(0)).await?;
    Ok(plan
        .files
        .iter()
        .map(|file| file.path().to_owned())
        .collect())
}

fn lower_bounds(file: &ListedFile) -> HashMap<i32, Datum> {
    file.bounds(ColumnBound::Lower).collect()
}

/// Rewrites the text of one header entry of an Avro file.
fn edit(path: &str, key: &str, from: &str, to: &str) {
    let bytes = std::fs::read(path).unwrap();
    let mut header = AvroHeader::parse(&bytes).unwrap();
    let text = header.text(key).unwrap();
    assert!(text.contains(from), "{text}");
    let json = serde_json::from_str(&text.replace(from, to)).unwrap();
    header.set_json(key, &json);
    std::fs::write(path, header.to_bytes()).unwrap();
}

#[tokio::test]
async fn m05_m07_bounds_of_no_value_leave_the_manifest_readable() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "ts_day", Transform::Day)]);
    let file = data_file("/a.parquet", vec![Some(Literal::date(3))])
        .lower_bounds(HashMap::from([
            (1, Datum::long(7)),
            (2, Datum::date(3)),
            (3, Datum::binary([0xFF, 0xFE])),
        ]))
        .split_offsets(Some(vec![4]))
        .build()
        .unwrap();
    let path = lake.manifest(vec![file]).await;
    lake.last().manifest_length = 0;
    let bytes = std::fs::read(&path).unwrap();
    assert!(iceberg::spec::Manifest::parse_avro(&bytes).is_err());

    let manifest = decode::manifest(&bytes).unwrap();
    let file = manifest.entries[0].data_file();
    let day = 86_400_000_000;
    assert_eq!(
        lower_bounds(file),
        HashMap::from([(1, Datum::long(7)), (2, Datum::timestamp_micros(3 * day))])
    );
    assert_eq!(file.partition().fields(), [Some(Literal::date(3))]);
    assert_eq!(file.split_offsets(), Some([4].as_slice()));
    assert_eq!(manifest.layout.columns[0].name, "ts_day");
    assert_eq!(plan_paths(&lake).await.unwrap(), ["/a.parquet"]);
    let table = lake.table().await;
    for comparison in [
        Comparison::Eq,
        Comparison::Lt,
        Comparison::GtEq,
        Comparison::NotEq,
    ] {
        let predicate = compare(3, comparison, Datum::string("m"));
        let plan = plan(&table, &predicate, &ManifestCache::new(0)).await;
        assert_eq!(plan.unwrap().files.len(), 1, "{comparison:?}");
    }
}

#[tokio::test]
async fn j01_partition_values_are_found_by_id_whatever_their_avro_names() {
    let name = "with space";
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "ts_day", Transform::Day)]);
    let file = data_file("/a.parquet", vec![Some(Literal::date(3))])
        .build()
        .unwrap();
    let path = lake.manifest(vec![file]).await;
    // As other writers do: the spec has the true name, the rows' schema one that Avro allows.
    edit(&path, "partition-spec", "ts_day", name);
    edit(&path, "avro.schema", "ts_day", "with_x20space");

    let manifest = decode::manifest(&std::fs::read(&path).unwrap()).unwrap();
    let file = manifest.entries[0].data_file();
    assert_eq!(file.partition().fields(), [Some(Literal::date(3))]);
    assert_eq!(manifest.layout.columns[0].name, name);
}

#[tokio::test]
async fn t13_a_dropped_source_column_or_unknown_transform_is_left_out() {
    for (from, to) in [
        ("\"source-id\":3", "\"source-id\":99"),
        ("identity", "zorder[8]"),
    ] {
        let mut lake = Lake::new(
            FormatVersion::V2,
            &[
                (2, "ts_day", Transform::Day),
                (3, "name", Transform::Identity),
            ],
        );
        let tuple = vec![Some(Literal::date(3)), Some(Literal::string("x"))];
        let path = lake.manifest(vec![id_file("/a", (1, 2), tuple)]).await;
        edit(&path, "partition-spec", from, to);
        let manifest = decode::manifest(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(manifest.layout.columns.len(), 1, "{to}");
        let file = manifest.entries[0].data_file();
        assert_eq!(file.partition().fields(), [Some(Literal::date(3))]);
        assert_eq!(lower_bounds(file), HashMap::from([(1, Datum::long(1))]));
    }
}

#[tokio::test]
async fn t14_partition_names_that_are_no_avro_names_are_read() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "ts_day", Transform::Day)]);
    let tuple = vec![Some(Literal::date(3))];
    let path = lake.manifest(vec![id_file("/a", (1, 2), tuple)]).await;
    // As Java writes it: the name as it is in the spec, a replacement in the Avro schema.
    edit(&path, "partition-spec", "ts_day", "ts-täg #1");
    edit(&path, "avro.schema", "ts_day", "ts_x2Dtäg_x20_x231");
    let manifest = decode::manifest(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(manifest.layout.columns[0].name, "ts-täg #1");
    let file = manifest.entries[0].data_file();
    assert_eq!(file.partition().fields(), [Some(Literal::date(3))]);
}

#[tokio::test]
async fn t09_partition_times_without_a_logical_type_are_microseconds() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "ts", Transform::Identity)]);
    let micros = 1_700_000_000_000_000;
    let tuple = vec![Some(Literal::timestamp(micros))];
    let path = lake
        .manifest(vec![id_file("/a", (1, 2), tuple.clone())])
        .await;
    edit(
        &path,
        "avro.schema",
        "\"logicalType\":\"timestamp-micros\"",
        "\"doc\":\"\"",
    );
    let manifest = decode::manifest(&std::fs::read(&path).unwrap()).unwrap();
    let file = manifest.entries[0].data_file();
    assert_eq!(file.partition().fields(), tuple);
    lake.last().manifest_length = 0;
    let table = lake.table().await;
    for (moment, expected) in [(micros, 1), (micros + 1, 0), (micros / 1_000_000, 0)] {
        let predicate = compare(2, Comparison::Eq, Datum::timestamp_micros(moment));
        let plan = plan(&table, &predicate, &ManifestCache::new(0)).await;
        assert_eq!(plan.unwrap().files.len(), expected, "{moment}");
    }
}

#[tokio::test]
async fn j01_both_spellings_of_the_counts_are_read() {
    for format in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let mut lake = Lake::new(format, &[]);
        lake.manifest(vec![id_file("/a", (1, 2), vec![])]).await;
        lake.table().await;
        let path = lake.path("list.avro");
        for (from, to) in [
            ("_data_files_count", "_files_count"),
            ("_files_count", "_data_files_count"),
        ] {
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text.contains(&format!("added{from}")) {
                edit(&path, "avro.schema", from, to);
            }
            let list = decode::list(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(list[0].added_files_count, Some(1), "{format} {to}");
        }
    }
}

#[tokio::test]
async fn missing_cut_and_foreign_files_are_one_clear_error() {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    let path = lake.manifest(vec![id_file("/a", (1, 2), vec![])]).await;
    let bytes = std::fs::read(&path).unwrap();
    let damaged = [
        Vec::new(),
        b"PAR1 is no manifest".to_vec(),
        bytes[..bytes.len() - 1].to_vec(),
        bytes[..100].to_vec(),
    ];
    for content in damaged {
        std::fs::write(&path, &content).unwrap();
        for length in [bytes.len() as i64, 0] {
            lake.last().manifest_length = length;
            let error = plan_paths(&lake).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(&path), "{error}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let error = plan_paths(&lake).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&path), "{error}");
    let list = lake.path("list.avro");
    let table = lake.table().await;
    std::fs::write(&list, b"Obj\x01 but not for long").unwrap();
    let cache = ManifestCache::new(0);
    let error = plan(&table, &Predicate::AlwaysTrue, &cache)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("manifest list"), "{error}");
}

#[tokio::test]
async fn damaged_bytes_never_panic() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "ts_day", Transform::Day)]);
    let tuple = vec![Some(Literal::date(3))];
    let path = lake.manifest(vec![id_file("/a", (1, 2), tuple)]).await;
    lake.table().await;
    for (path, is_list) in [(path, false), (lake.path("list.avro"), true)] {
        let bytes = std::fs::read(path).unwrap();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x41;
            if is_list {
                drop(decode::list(&damaged));
            } else {
                drop(decode::manifest(&damaged));
            }
        }
    }
}

#[tokio::test]
async fn decoded_files_are_kept_by_path() {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    lake.manifest(vec![id_file("/a", (1, 2), vec![])]).await;
    let table = lake.table().await;
    let storage = storage();
    let table = table.with_storage(storage.clone());
    let cache = ManifestCache::new(1 << 20);
    for _ in 0..3 {
        plan(&table, &Predicate::AlwaysTrue, &cache).await.unwrap();
    }
    assert!(cache.used_bytes() > 500, "{}", cache.used_bytes());
    for file in [lake.path("list.avro"), lake.path("m0.avro")] {
        std::fs::remove_file(file).unwrap();
    }
    assert!(plan(&table, &Predicate::AlwaysTrue, &cache).await.is_ok());
}

#[tokio::test]
async fn columns_of_types_that_are_not_read_leave_the_manifest_readable() {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    let file = id_file("/a.parquet", (1, 5), vec![]);
    let path = lake.manifest(vec![file]).await;
    lake.last().manifest_length = 0;
    edit(
        &path,
        "schema",
        r#""type":"string""#,
        r#""type":"geometry(srid:4326)""#,
    );
    let bytes = std::fs::read(&path).unwrap();
    assert!(iceberg::spec::Manifest::parse_avro(&bytes).is_err());
    let manifest = decode::manifest(&bytes).unwrap();
    let bounds = lower_bounds(manifest.entries[0].data_file());
    assert_eq!(bounds.get(&1), Some(&Datum::long(1)));
}
