//! Deletes and data files of one table: which meet, by sequence number, partition, path, bounds.

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal,
    ManifestContentType, ManifestEntry, ManifestFile, ManifestStatus, PrimitiveType, Transform,
};

use super::*;
use crate::error::ErrorKind;
use crate::scan::delete_file::DELETED_PATH_ID;
use crate::scan::manifest::DecodedManifest;
use crate::scan::partition::PartitionColumn;
use crate::scan::testing::{Lake, data_file};

fn positions(path: &str, tuple: Vec<Option<Literal>>) -> DataFileBuilder {
    let mut file = data_file(path, tuple);
    file.content(DataContentType::PositionDeletes);
    file
}

fn bounded(path: &str, lower: &str, upper: &str) -> DataFile {
    positions(path, vec![])
        .lower_bounds(HashMap::from([(DELETED_PATH_ID, Datum::string(lower))]))
        .upper_bounds(HashMap::from([(DELETED_PATH_ID, Datum::string(upper))]))
        .build()
        .unwrap()
}

fn vector(path: &str, of: &str) -> DataFileBuilder {
    let mut file = positions(path, vec![]);
    file.file_format(DataFileFormat::Puffin)
        .referenced_data_file(Some(of.to_owned()))
        .content_offset(Some(4))
        .content_size_in_bytes(Some(50));
    file
}

fn equality(path: &str, tuple: Vec<Option<Literal>>) -> DataFileBuilder {
    let mut file = data_file(path, tuple);
    file.content(DataContentType::EqualityDeletes)
        .equality_ids(Some(vec![1]));
    file
}

fn columns(of: &[(i32, PrimitiveType)]) -> PartitionLayout {
    let columns = of.iter().map(|(field_id, kind)| PartitionColumn {
        field_id: *field_id,
        source_id: 1,
        name: format!("p{field_id}"),
        transform: Transform::Identity,
        result_type: Some(kind.clone()),
    });
    PartitionLayout {
        spec_id: 0,
        columns: columns.collect(),
    }
}

fn manifest(layout: PartitionLayout, files: Vec<(i64, DataFile)>) -> ReadManifest {
    let entries = files.into_iter().map(|(number, data_file)| {
        let entry = ManifestEntry {
            status: ManifestStatus::Existing,
            snapshot_id: None,
            sequence_number: Some(number),
            file_sequence_number: None,
            data_file,
        };
        Arc::new(entry.into())
    });
    let manifest = DecodedManifest {
        content: ManifestContentType::Deletes,
        layout: Arc::new(layout),
        entries: entries.collect(),
        types_bytes: 0,
    };
    ReadManifest {
        file: ManifestFile {
            manifest_path: "/m.avro".to_owned(),
            manifest_length: 1,
            partition_spec_id: 0,
            content: ManifestContentType::Deletes,
            sequence_number: 9,
            min_sequence_number: 1,
            added_snapshot_id: 1,
            added_files_count: None,
            existing_files_count: None,
            deleted_files_count: None,
            added_rows_count: None,
            existing_rows_count: None,
            deleted_rows_count: None,
            partitions: None,
            key_metadata: None,
            first_row_id: None,
        },
        manifest: Arc::new(manifest),
    }
}

const BY_ID: &[(i32, &str, Transform)] = &[(1, "id", Transform::Identity)];
const BY_ID_AND_NAME: &[(i32, &str, Transform)] = &[
    (1, "id", Transform::Identity),
    (3, "name", Transform::Identity),
];

fn try_index(
    spec: &[(i32, &str, Transform)],
    layout: PartitionLayout,
    files: Vec<(i64, DataFile)>,
) -> Result<DeleteIndex> {
    let table = Lake::new(FormatVersion::V2, spec).empty_table();
    DeleteIndex::new(&[manifest(layout, files)], table.metadata())
}

fn unpartitioned(files: Vec<(i64, DataFile)>) -> DeleteIndex {
    try_index(&[], PartitionLayout::default(), files).unwrap()
}

fn found(index: &DeleteIndex, path: &str, number: i64) -> Vec<String> {
    let file = data_file(path, vec![]).build().unwrap();
    let layout = PartitionLayout::default();
    let deletes = index
        .deletes_for(&file.clone().into(), 0, &layout, number)
        .unwrap();
    deletes.iter().map(|file| file.path().to_owned()).collect()
}

#[test]
fn d01_position_deletes_reach_their_own_commit_and_equality_deletes_only_older_files() {
    let index = unpartitioned(vec![
        (5, positions("/p", vec![]).build().unwrap()),
        (5, equality("/e", vec![]).build().unwrap()),
        (5, {
            let mut named = positions("/named", vec![]);
            named.referenced_data_file(Some("/a".to_owned()));
            named.build().unwrap()
        }),
    ]);
    assert_eq!(found(&index, "/a", 4), ["/named", "/p", "/e"]);
    assert_eq!(found(&index, "/a", 5), ["/named", "/p"]);
    assert!(found(&index, "/a", 6).is_empty());
    assert_eq!(found(&index, "/b", 5), ["/p"]);
}

#[test]
fn equality_deletes_are_global_without_partition_fields_and_scoped_with_them() {
    let layout = || columns(&[(1000, PrimitiveType::Long)]);
    let one = vec![Some(Literal::long(1))];
    let files = vec![(5, equality("/e", one.clone()).build().unwrap())];
    let index = try_index(BY_ID, layout(), files).unwrap();
    let deletes = |tuple, spec| {
        let file = data_file("/a", tuple).build().unwrap();
        let found = index
            .deletes_for(&file.clone().into(), spec, &layout(), 1)
            .unwrap();
        found.equality.len()
    };
    assert_eq!(deletes(one.clone(), 0), 1);
    assert_eq!(deletes(vec![Some(Literal::long(2))], 0), 0);
    assert_eq!(deletes(vec![None], 0), 0);
    // A spec of which all fields were dropped has one partition, as one without any.
    let void = [(1, "gone", Transform::Void)];
    let files = vec![(5, equality("/e", vec![None]).build().unwrap())];
    let index = try_index(&void, columns(&[(1000, PrimitiveType::Long)]), files).unwrap();
    let file = data_file("/a", one).build().unwrap();
    let elsewhere = index
        .deletes_for(&file.clone().into(), 7, &layout(), 1)
        .unwrap();
    assert_eq!(elsewhere.equality.len(), 1);
}

#[test]
fn partitions_are_equal_by_field_id_and_value_whatever_order_and_width() {
    let deletes = columns(&[(1001, PrimitiveType::String), (1000, PrimitiveType::Int)]);
    let tuple = vec![Some(Literal::string("x")), Some(Literal::int(7))];
    let files = vec![(5, positions("/p", tuple).build().unwrap())];
    let index = try_index(BY_ID_AND_NAME, deletes, files).unwrap();
    let layout = columns(&[(1000, PrimitiveType::Long), (1001, PrimitiveType::String)]);
    let count = |id, name: &str| {
        let tuple = vec![Some(Literal::long(id)), Some(Literal::string(name))];
        let file = data_file("/a", tuple).build().unwrap();
        let found = index
            .deletes_for(&file.clone().into(), 0, &layout, 5)
            .unwrap();
        found.positions.len()
    };
    assert_eq!((count(7, "x"), count(7, "y"), count(8, "x")), (1, 0, 0));
}

#[test]
fn partitions_that_are_not_all_known_keep_position_deletes_and_refuse_equality_deletes() {
    let whole = || columns(&[(1000, PrimitiveType::Long), (1001, PrimitiveType::String)]);
    let part = || columns(&[(1001, PrimitiveType::String)]);
    let full = || vec![Some(Literal::long(7)), Some(Literal::string("x"))];
    let half = || vec![Some(Literal::string("x"))];
    let positions = |layout, tuple| {
        let files = vec![(5, positions("/p", tuple).build().unwrap())];
        try_index(BY_ID_AND_NAME, layout, files).unwrap()
    };
    let equality = |layout, tuple| {
        let files = vec![(5, equality("/e", tuple).build().unwrap())];
        try_index(BY_ID_AND_NAME, layout, files).unwrap()
    };
    let (known, unknown) = (
        data_file("/a", full()).build().unwrap(),
        data_file("/a", half()).build().unwrap(),
    );
    for index in [positions(whole(), full()), positions(part(), half())] {
        let found = index
            .deletes_for(&unknown.clone().into(), 0, &part(), 1)
            .unwrap();
        assert_eq!(found.positions.len(), 1);
    }
    let index = positions(part(), half());
    let found = index
        .deletes_for(&known.clone().into(), 0, &whole(), 1)
        .unwrap();
    assert_eq!(found.positions.len(), 1);
    for (index, file, layout) in [
        (equality(whole(), full()), &unknown, part()),
        (equality(part(), half()), &known, whole()),
    ] {
        let error = index
            .deletes_for(&file.clone().into(), 0, &layout, 1)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn d12_position_deletes_are_skipped_by_the_paths_they_name() {
    let index = unpartitioned(vec![
        (5, bounded("/many", "/b", "/d")),
        (5, bounded("/one", "/c", "/c")),
        (5, positions("/any", vec![]).build().unwrap()),
    ]);
    assert_eq!(found(&index, "/a", 1), ["/any"]);
    assert_eq!(found(&index, "/b", 1), ["/many", "/any"]);
    assert_eq!(found(&index, "/c", 1), ["/one", "/many", "/any"]);
    assert_eq!(found(&index, "/d", 1), ["/many", "/any"]);
    assert_eq!(found(&index, "/e", 1), ["/any"]);
}

#[test]
fn d14_paths_are_compared_as_they_are_stored() {
    let index = unpartitioned(vec![(5, bounded("/one", "s3://b/x", "s3://b/x"))]);
    assert_eq!(found(&index, "s3://b/x", 1), ["/one"]);
    for other in ["s3a://b/x", "s3://b//x", "s3://b/x/", "s3://b/X"] {
        assert!(found(&index, other, 1).is_empty(), "{other}");
    }
}

#[test]
fn d16_a_deletion_vector_stands_for_all_position_deletes_of_its_file() {
    let index = unpartitioned(vec![
        (3, positions("/p", vec![]).build().unwrap()),
        (3, bounded("/one", "/a", "/a")),
        (4, vector("/v.puffin", "/a").build().unwrap()),
        (6, equality("/e", vec![]).build().unwrap()),
    ]);
    assert_eq!(found(&index, "/a", 1), ["/v.puffin", "/e"]);
    assert_eq!(found(&index, "/b", 1), ["/p", "/e"]);
}

#[test]
fn d16_deletion_vectors_that_cannot_be_are_refused() {
    let error = |files: Vec<(i64, DataFile)>| {
        let error = try_index(&[], PartitionLayout::default(), files).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        error.to_string()
    };
    let text = error(vec![
        (3, vector("/v.puffin", "/a").build().unwrap()),
        (4, vector("/w.puffin", "/a").build().unwrap()),
    ]);
    assert!(
        text.contains("/v.puffin") && text.contains("/w.puffin") && text.contains("/a"),
        "{text}"
    );
    type Change = fn(&mut DataFileBuilder);
    let changes: [(Change, &str); 5] = [
        (
            |file| drop(file.referenced_data_file(None).build()),
            "which data file",
        ),
        (
            |file| drop(file.content_offset(None).build()),
            "where in its file",
        ),
        (
            |file| drop(file.content_size_in_bytes(None).build()),
            "where in its file",
        ),
        (
            |file| drop(file.content_offset(Some(-1)).build()),
            "where no file",
        ),
        (
            |file| drop(file.content_size_in_bytes(Some(-1)).build()),
            "where no file",
        ),
    ];
    for (change, expected) in changes {
        let mut file = vector("/v.puffin", "/a");
        change(&mut file);
        let text = error(vec![(3, file.build().unwrap())]);
        assert!(
            text.contains(expected) && text.contains("/v.puffin"),
            "{text}"
        );
    }

    let mut large = vector("/v.puffin", "/a");
    let large = unpartitioned(vec![(3, large.record_count(11).build().unwrap())]);
    let old = unpartitioned(vec![(3, vector("/v.puffin", "/a").build().unwrap())]);
    let file = data_file("/a", vec![]).build().unwrap();
    for (index, number) in [(large, 1), (old, 4)] {
        let error = index
            .deletes_for(&file.clone().into(), 0, &PartitionLayout::default(), number)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("/v.puffin"), "{error}");
    }
}

#[test]
fn d16_a_deletion_vector_that_is_listed_twice_is_one() {
    let mut retried = vector("/v.puffin", "/a");
    let index = unpartitioned(vec![
        (3, vector("/v.puffin", "/a").build().unwrap()),
        (5, retried.file_size_in_bytes(77).build().unwrap()),
        (4, vector("/v.puffin", "/a").build().unwrap()),
    ]);
    // For data files as young as the youngest of the entries.
    assert_eq!(found(&index, "/a", 5), ["/v.puffin"]);
    let mut other = vector("/v.puffin", "/a");
    let other = other.content_offset(Some(5)).build().unwrap();
    let files = vec![(3, vector("/v.puffin", "/a").build().unwrap()), (3, other)];
    let error = try_index(&[], PartitionLayout::default(), files).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// Bounds, count of NULLs out of 10 values and count of NaN of column 1.
type Metrics = (Option<(Datum, Datum)>, Option<u64>, Option<u64>);

fn with_metrics(mut file: DataFileBuilder, (bounds, nulls, nans): Metrics) -> DataFile {
    file.value_counts(HashMap::from([(1, 10)]));
    if let Some((lower, upper)) = bounds {
        file.lower_bounds(HashMap::from([(1, lower)]))
            .upper_bounds(HashMap::from([(1, upper)]));
    }
    let count = |count: Option<u64>| count.map(|count| (1, count)).into_iter().collect();
    file.null_value_counts(count(nulls))
        .nan_value_counts(count(nans));
    file.build().unwrap()
}

#[test]
fn equality_deletes_are_skipped_only_where_no_key_can_be_equal() {
    let longs = |from, to| Some((Datum::long(from), Datum::long(to)));
    let doubles = |from, to| Some((Datum::double(from), Datum::double(to)));
    let cases: [(Metrics, Metrics, bool); 12] = [
        (
            (longs(1, 5), Some(0), None),
            (longs(6, 9), Some(0), None),
            false,
        ),
        (
            (longs(6, 9), Some(0), None),
            (longs(1, 5), Some(3), None),
            false,
        ),
        (
            (longs(1, 6), Some(0), None),
            (longs(6, 9), Some(0), None),
            true,
        ),
        // NULL equals NULL here.
        (
            (longs(1, 5), Some(1), None),
            (longs(6, 9), Some(1), None),
            true,
        ),
        (
            (longs(1, 5), Some(1), None),
            (longs(6, 9), None, None),
            true,
        ),
        (
            (longs(1, 5), None, None),
            (longs(6, 9), Some(0), None),
            false,
        ),
        ((None, Some(10), None), (longs(6, 9), Some(0), None), false),
        // A column that the data file does not have may have a default value.
        ((longs(1, 5), Some(0), None), (None, None, None), true),
        (
            (doubles(1.0, 2.0), Some(0), Some(0)),
            (doubles(3.0, 4.0), Some(0), None),
            false,
        ),
        (
            (doubles(1.0, 2.0), Some(0), None),
            (doubles(3.0, 4.0), Some(0), None),
            true,
        ),
        (
            (doubles(-1.0, 0.0), Some(0), Some(0)),
            (doubles(-0.0, 4.0), Some(0), Some(0)),
            true,
        ),
        (
            (Some((Datum::int(1), Datum::int(5))), Some(0), None),
            (longs(6, 9), Some(0), None),
            false,
        ),
    ];
    for (position, (keys, rows, expected)) in cases.into_iter().enumerate() {
        let delete = with_metrics(equality("/e", vec![]), keys);
        let data = with_metrics(data_file("/a", vec![]), rows);
        assert_eq!(
            may_overlap(&delete.into(), &data.into()),
            expected,
            "case {position}"
        );
    }
}
