//! Manifests decoded here and by the format crate are the same.

use std::collections::HashMap;

use iceberg::spec::{
    DataFile, DataFileBuilder, DataFileFormat, Datum, Manifest, ManifestEntry, Transform,
};
use proptest::prelude::*;

use crate::scan::avro_blocks;
use crate::scan::manifest::decode;
use crate::scan::testing::{Lake, data_file};

use super::*;

/// The entries as they are decoded here; the header must be a usual one.
fn decoded(bytes: &[u8]) -> Option<decode::DecodedManifest> {
    let header = AvroHeader::parse(bytes).unwrap();
    let bytes = avro_blocks::whole(bytes, &header).unwrap();
    decode::usual(&AvroHeader::parse(&bytes).unwrap())
}

fn check(bytes: &[u8]) {
    let ours = decoded(bytes).expect("a usual manifest");
    let expected = Manifest::parse_avro(bytes).unwrap();
    let spec_id = expected.metadata().partition_spec().spec_id();
    assert_eq!(ours.content, *expected.metadata().content());
    let ours: Vec<ManifestEntry> = ours
        .entries
        .iter()
        .map(|entry| ManifestEntry {
            status: entry.status,
            snapshot_id: entry.snapshot_id,
            sequence_number: entry.sequence_number,
            file_sequence_number: entry.file_sequence_number,
            data_file: entry.file.to_data_file(spec_id).unwrap(),
        })
        .collect();
    let expected: Vec<ManifestEntry> = expected
        .entries()
        .iter()
        .map(|entry| entry.as_ref().clone())
        .collect();
    assert_eq!(ours, expected);
}

/// Partitions of the tests' table by a value of each kind that is decoded here.
fn fields() -> Vec<(i32, &'static str, Transform)> {
    vec![
        (1, "id", Transform::Identity),
        (1, "id_bucket", Transform::Bucket(8)),
        (2, "ts", Transform::Identity),
        (2, "ts_day", Transform::Day),
        (3, "name", Transform::Identity),
        (4, "price", Transform::Identity),
    ]
}

fn tuple() -> impl Strategy<Value = Vec<Option<Literal>>> {
    let some = proptest::option::of::<BoxedStrategy<Literal>>;
    (
        some(any::<i64>().prop_map(Literal::long).boxed()),
        some((0..8).prop_map(Literal::int).boxed()),
        some(any::<i64>().prop_map(Literal::timestamp).boxed()),
        some(any::<i32>().prop_map(Literal::date).boxed()),
        some(".{0,9}".prop_map(Literal::string).boxed()),
        some((-1e9..1e9).prop_map(Literal::double).boxed()),
    )
        .prop_map(|(id, bucket, ts, day, name, price)| vec![id, bucket, ts, day, name, price])
}

fn counts() -> impl Strategy<Value = HashMap<i32, u64>> {
    proptest::collection::hash_map(0..60, 0..=i64::MAX.cast_unsigned(), 0..40)
}

fn bounds() -> impl Strategy<Value = HashMap<i32, Datum>> {
    let bound = (1..5_i32, any::<i64>(), ".{0,9}").prop_map(|(id, number, text)| match id {
        1 => (id, Datum::long(number)),
        2 => (id, Datum::timestamp_micros(number)),
        3 => (id, Datum::string(text)),
        _ => (id, Datum::double(f64::from_bits(number.cast_unsigned()))),
    });
    proptest::collection::vec(bound, 0..5).prop_map(|bounds| {
        let is_number = |bound: &Datum| match bound.literal() {
            PrimitiveLiteral::Double(number) => !number.0.is_nan(),
            _ => true,
        };
        let bounds = bounds.into_iter();
        bounds.filter(|(_, bound)| is_number(bound)).collect()
    })
}

prop_compose! {
    fn file()(
        tuple in tuple(),
        maps in proptest::collection::vec(counts(), 4),
        bounds in (bounds(), bounds()),
        rows in 0..1_u64 << 40,
        path in "[a-zé/]{1,30}",
        split_offsets in proptest::option::of(proptest::collection::vec(any::<i64>(), 0..5)),
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5)),
        order in proptest::option::of(0..9),
        format in prop_oneof![Just(DataFileFormat::Parquet), Just(DataFileFormat::Orc)],
        first_row_id in proptest::option::of(any::<i64>()),
    ) -> DataFile {
        let mut file = data_file(&path, tuple);
        let [sizes, values, nulls, nans] = maps.try_into().unwrap();
        file.column_sizes(sizes)
            .value_counts(values)
            .null_value_counts(nulls)
            .nan_value_counts(nans)
            .lower_bounds(bounds.0)
            .upper_bounds(bounds.1)
            .record_count(rows)
            .split_offsets(split_offsets)
            .key_metadata(key)
            .file_format(format)
            .first_row_id(first_row_id);
        if let Some(order) = order {
            file.sort_order_id(order);
        }
        file.build().unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_manifest_is_what_the_format_crate_finds_in_it(
        files in proptest::collection::vec(file(), 1..5),
        format in prop_oneof![
            Just(FormatVersion::V1),
            Just(FormatVersion::V2),
            Just(FormatVersion::V3),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(async {
            let mut lake = Lake::new(format, &fields());
            // Version 1 has no entries of other commits in these tests.
            let existing = if format == FormatVersion::V1 { Vec::new() } else { files.clone() };
            std::fs::read(lake.manifest_of(files, existing).await).unwrap()
        });
        check(&bytes);
    }
}

#[tokio::test]
async fn delete_files_and_deletion_vectors_are_decoded() {
    type Change = fn(&mut DataFileBuilder);
    let changes: [Change; 2] = [
        |file| {
            file.content(DataContentType::EqualityDeletes)
                .equality_ids(Some(vec![3, 1]));
        },
        |file| {
            file.content(DataContentType::PositionDeletes)
                .file_format(DataFileFormat::Puffin)
                .referenced_data_file(Some("/data".to_owned()))
                .content_offset(Some(4))
                .content_size_in_bytes(Some(44));
        },
    ];
    for change in changes {
        let mut file = data_file("/deletes", vec![]);
        change(&mut file);
        let mut lake = Lake::new(FormatVersion::V3, &[]);
        let path = lake.manifest(vec![file.build().unwrap()]).await;
        check(&std::fs::read(path).unwrap());
    }
}

#[tokio::test]
async fn what_is_not_usual_is_left_to_the_format_crate() {
    let mut lake = Lake::new(FormatVersion::V2, &[(2, "ts", Transform::Identity)]);
    let file = data_file("/a", vec![Some(Literal::timestamp(3))]);
    let path = lake.manifest(vec![file.build().unwrap()]).await;
    let bytes = std::fs::read(path).unwrap();
    assert!(decoded(&bytes).is_some());
    for (from, to) in [
        ("timestamp-micros", "timestamp-millis"),
        ("local-timestamp-micros", "timestamp-millis"),
        ("\"status\"", "\"state\""),
        ("\"file_path\"", "\"path\""),
    ] {
        let mut header = AvroHeader::parse(&bytes).unwrap();
        let schema = header.text("avro.schema").unwrap();
        let changed = schema.replace(from, to);
        if changed == schema {
            continue;
        }
        header.set_text("avro.schema", &changed);
        assert!(decoded(&header.to_bytes()).is_none(), "{to}");
    }
}
