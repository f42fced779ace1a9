//! Partition fields added, dropped and replaced.

use iceberg::spec::{PartitionField, Transform};

use super::*;
use crate::name::Name;

fn new(column: &str, transform: Transform, name: Option<&str>) -> NewPartitionField {
    NewPartitionField {
        column: path(column),
        transform,
        name: name.map(str::to_owned),
    }
}

fn adding(column: &str, transform: Transform) -> PartitionOperation {
    PartitionOperation::Add(new(column, transform, None))
}

fn named(name: &str) -> PartitionFieldReference {
    PartitionFieldReference::Name(Name::new(name))
}

fn dropping(name: &str) -> PartitionOperation {
    PartitionOperation::Drop(named(name))
}

fn partitioned(table: &TableMetadata, operations: Vec<PartitionOperation>) -> TableMetadata {
    let change = EvolvePartitions { operations };
    applied(table, change.updates(table))
}

fn refusal(table: &TableMetadata, operation: PartitionOperation) -> Error {
    let operations = vec![operation];
    EvolvePartitions { operations }.updates(table).unwrap_err()
}

/// Ids and names of the current spec.
fn fields(table: &TableMetadata) -> Vec<(i32, &str)> {
    let fields = table.default_partition_spec().fields();
    let pair = |field: &'_ PartitionField| field.field_id;
    fields
        .iter()
        .map(|field| (pair(field), field.name.as_str()))
        .collect()
}

#[test]
fn fields_are_named_after_column_and_transform() {
    let table = table(FormatVersion::V2);
    let after = partitioned(
        &table,
        vec![
            adding("name", Transform::Identity),
            adding("id", Transform::Bucket(16)),
            adding("name", Transform::Truncate(3)),
            adding("at", Transform::Hour),
            adding("day", Transform::Month),
            adding("point.x", Transform::Identity),
            PartitionOperation::Add(new("n", Transform::Bucket(2), Some("own"))),
        ],
    );
    assert_eq!(
        fields(&after),
        [
            (1000, "name"),
            (1001, "id_bucket_16"),
            (1002, "name_trunc_3"),
            (1003, "at_hour"),
            (1004, "day_month"),
            (1005, "point.x"),
            (1006, "own")
        ]
    );
    assert_eq!(after.default_partition_spec_id(), 1);
    assert_eq!(after.last_partition_id(), 1006);
}

#[test]
fn a_field_that_comes_back_has_its_id_and_name() {
    let table = table(FormatVersion::V2);
    let bucket = || PartitionOperation::Add(new("id", Transform::Bucket(4), Some("b")));
    let first = partitioned(&table, vec![bucket()]);
    let none = partitioned(&first, vec![dropping("b")]);
    // No fields at all was the first spec.
    assert_eq!(none.default_partition_spec_id(), 0);
    let other = partitioned(&none, vec![adding("name", Transform::Identity)]);
    assert_eq!(fields(&other), [(1001, "name")]);
    let again = partitioned(&other, vec![adding("id", Transform::Bucket(4))]);
    assert_eq!(fields(&again), [(1001, "name"), (1000, "b")]);
    // Under another name it is another field.
    let renamed = PartitionOperation::Add(new("id", Transform::Bucket(4), Some("c")));
    let renamed = partitioned(&other, vec![renamed]);
    assert_eq!(fields(&renamed), [(1001, "name"), (1002, "c")]);
    let as_first = partitioned(&other, vec![dropping("name"), bucket()]);
    assert_eq!(as_first.default_partition_spec_id(), 1);
}

#[test]
fn one_field_takes_the_place_of_another() {
    let table = table(FormatVersion::V2);
    let daily = partitioned(&table, vec![adding("at", Transform::Day)]);
    let term = PartitionFieldReference::Term {
        column: path("at"),
        transform: Transform::Day,
    };
    let hourly = PartitionOperation::Replace {
        dropped: term.clone(),
        added: new("at", Transform::Hour, None),
    };
    let hourly = partitioned(&daily, vec![hourly]);
    assert_eq!(fields(&hourly), [(1001, "at_hour")]);
    let renamed = PartitionOperation::Replace {
        dropped: term,
        added: new("at", Transform::Day, Some("d")),
    };
    assert_eq!(fields(&partitioned(&daily, vec![renamed])), [(1000, "d")]);
}

#[test]
fn a_column_alone_is_its_field_or_the_name_of_one() {
    let table = table(FormatVersion::V2);
    let after = partitioned(
        &table,
        vec![
            adding("name", Transform::Identity),
            PartitionOperation::Add(new("id", Transform::Bucket(4), Some("b"))),
        ],
    );
    let plain = |column: &str| {
        PartitionOperation::Drop(PartitionFieldReference::Term {
            column: path(column),
            transform: Transform::Identity,
        })
    };
    assert_eq!(
        fields(&partitioned(&after, vec![plain("NAME")])),
        [(1001, "b")]
    );
    assert_eq!(
        fields(&partitioned(&after, vec![plain("b")])),
        [(1000, "name")]
    );
    assert_refused(
        &refusal(&after, plain("id")),
        ErrorKind::NotFound,
        "not partitioned",
    );
    assert_refused(
        &refusal(&after, dropping("c")),
        ErrorKind::NotFound,
        "not partitioned",
    );
}

#[test]
fn what_says_nothing_new_is_refused() {
    let table = table(FormatVersion::V2);
    let daily = partitioned(
        &table,
        vec![
            adding("at", Transform::Day),
            adding("id", Transform::Bucket(4)),
        ],
    );
    for transform in [Transform::Year, Transform::Month, Transform::Hour] {
        let error = refusal(&daily, adding("at", transform));
        assert_refused(&error, ErrorKind::InvalidInput, "REPLACE PARTITION FIELD");
    }
    let error = refusal(&daily, adding("at", Transform::Day));
    assert_refused(&error, ErrorKind::AlreadyExists, "already");
    // Another number of buckets is another division.
    let more = partitioned(&daily, vec![adding("id", Transform::Bucket(8))]);
    assert_eq!(fields(&more).len(), 3);
}

#[test]
fn names_mean_one_thing() {
    let table = table(FormatVersion::V2);
    let as_name = |name| PartitionOperation::Add(new("id", Transform::Bucket(4), Some(name)));
    let error = refusal(&table, as_name("name"));
    assert_refused(&error, ErrorKind::InvalidInput, "a column has that name");
    let identity = PartitionOperation::Add(new("n", Transform::Identity, Some("name")));
    let error = refusal(&table, identity);
    assert_refused(&error, ErrorKind::InvalidInput, "a column has that name");
    let after = partitioned(&table, vec![as_name("b")]);
    let other = PartitionOperation::Add(new("id", Transform::Bucket(8), Some("b")));
    assert_refused(&refusal(&after, other), ErrorKind::AlreadyExists, "\"b\"");
    for operation in [add("b", PrimitiveType::Int), rename("n", "b")] {
        let error = refused(&after, operation);
        assert_refused(
            &error,
            ErrorKind::InvalidInput,
            "a partition field has that name",
        );
    }
}

#[test]
fn columns_that_cannot_divide_rows_are_refused() {
    let table = table(FormatVersion::V2);
    for (column, transform, kind, rule) in [
        (
            "nothing",
            Transform::Identity,
            ErrorKind::NotFound,
            "no column",
        ),
        (
            "point",
            Transform::Identity,
            ErrorKind::InvalidInput,
            "nested",
        ),
        (
            "tags.element.a",
            Transform::Identity,
            ErrorKind::InvalidInput,
            "list or map",
        ),
        (
            "id",
            Transform::Day,
            ErrorKind::InvalidInput,
            "does not take",
        ),
        (
            "f",
            Transform::Bucket(2),
            ErrorKind::InvalidInput,
            "does not take",
        ),
        (
            "day",
            Transform::Hour,
            ErrorKind::InvalidInput,
            "does not take",
        ),
        (
            "id",
            Transform::Void,
            ErrorKind::InvalidInput,
            "does not take",
        ),
    ] {
        assert_refused(&refusal(&table, adding(column, transform)), kind, rule);
    }
}

#[test]
fn t13_sources_of_all_specs_stay() {
    let table = table(FormatVersion::V2);
    let by_name = partitioned(&table, vec![adding("name", Transform::Identity)]);
    let error = refused(&by_name, drop("name"));
    assert_refused(&error, ErrorKind::InvalidInput, "current partition spec");
    let by_x = partitioned(
        &by_name,
        vec![dropping("name"), adding("point.x", Transform::Identity)],
    );
    let error = refused(&by_x, drop("name"));
    assert_refused(&error, ErrorKind::InvalidInput, "earlier partition spec 1");
    let error = refused(&by_x, drop("point"));
    assert_refused(&error, ErrorKind::InvalidInput, "current partition spec");
}

#[test]
fn types_change_only_where_partition_values_do_not() {
    let v3 = table(FormatVersion::V3);
    let to_time = || set_type("day", PrimitiveType::Timestamp);
    for transform in [Transform::Identity, Transform::Bucket(4)] {
        let by_day = partitioned(&v3, vec![adding("day", transform)]);
        let error = refused(&by_day, to_time());
        assert_refused(
            &error,
            ErrorKind::InvalidInput,
            "other values for the same rows",
        );
        // Also when files of an earlier spec alone have such values.
        let field = by_day.default_partition_spec().fields()[0].name.clone();
        let none = partitioned(&by_day, vec![dropping(&field)]);
        let error = refused(&none, to_time());
        assert_refused(
            &error,
            ErrorKind::InvalidInput,
            "other values for the same rows",
        );
    }
    for transform in [Transform::Year, Transform::Month, Transform::Day] {
        let by_day = partitioned(&v3, vec![adding("day", transform)]);
        evolved(&by_day, vec![to_time()]);
    }
    for transform in [
        Transform::Identity,
        Transform::Bucket(4),
        Transform::Truncate(5),
    ] {
        let by_n = partitioned(&v3, vec![adding("n", transform)]);
        evolved(&by_n, vec![set_type("n", PrimitiveType::Long)]);
    }
}

#[test]
fn version_1_keeps_the_places_of_dropped_fields() {
    let table = table(FormatVersion::V1);
    let both = partitioned(
        &table,
        vec![
            adding("name", Transform::Identity),
            adding("id", Transform::Bucket(4)),
        ],
    );
    let less = partitioned(&both, vec![dropping("name"), dropping("id_bucket_4")]);
    assert_eq!(fields(&less), [(1000, "name_1000"), (1001, "id_bucket_4")]);
    assert!(less.default_partition_spec().is_unpartitioned());
    // A dropped one cannot be dropped again, and gives up its name.
    let error = refusal(&less, dropping("id_bucket_4"));
    assert_refused(&error, ErrorKind::NotFound, "not partitioned");
    let again = partitioned(&less, vec![adding("id", Transform::Bucket(4))]);
    assert_eq!(
        fields(&again),
        [
            (1000, "name_1000"),
            (1001, "id_bucket_4_1001"),
            (1002, "id_bucket_4")
        ]
    );
    let error = refused(&less, drop("name"));
    assert_refused(&error, ErrorKind::InvalidInput, "partition field");
}
