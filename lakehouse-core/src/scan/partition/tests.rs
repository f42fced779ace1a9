//! Partition values never rule out rows that are in the partition.

use iceberg::spec::{Datum, Schema};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::scan::evaluate::may_match;
use crate::scan::testing::{self, FloatOrder, Row, compare, matches};

const DAY: i64 = 86_400_000_000;

fn layout(source: PrimitiveType, transform: Transform) -> PartitionLayout {
    PartitionLayout {
        spec_id: 0,
        columns: vec![PartitionColumn {
            field_id: 1000,
            source_id: 1,
            name: "p".to_owned(),
            transform,
            result_type: result_type(transform, source),
        }],
    }
}

fn tuple(value: Option<Datum>) -> Struct {
    Struct::from_iter([value.map(Literal::from)])
}

fn kept(predicate: &Predicate, layout: &PartitionLayout, tuple: &Struct) -> bool {
    may_match(&project(predicate, layout), &TupleFacts { layout, tuple })
}

fn ts(comparison: Comparison, micros: i64) -> Predicate {
    compare(1, comparison, Datum::timestamp_micros(micros))
}

#[test]
fn an_excluded_end_does_not_keep_the_next_partition() {
    let days = layout(PrimitiveType::Timestamp, Transform::Day);
    let file = tuple(Some(Datum::date(10)));
    assert!(!kept(&ts(Comparison::Lt, 10 * DAY), &days, &file));
    assert!(kept(&ts(Comparison::LtEq, 10 * DAY), &days, &file));
    assert!(!kept(&ts(Comparison::Gt, 11 * DAY - 1), &days, &file));
    assert!(kept(&ts(Comparison::GtEq, 11 * DAY - 1), &days, &file));
}

#[test]
fn t02_files_of_old_writers_are_found_one_partition_later() {
    let days = layout(PrimitiveType::Timestamp, Transform::Day);
    // 1969-12-31T12:00 belongs to day -1, old writers put it under day 0.
    let noon = -DAY / 2;
    for stored in [-1, 0] {
        let file = tuple(Some(Datum::date(stored)));
        for how in [Comparison::Eq, Comparison::LtEq, Comparison::GtEq] {
            assert!(kept(&ts(how, noon), &days, &file), "{how:?} {stored}");
        }
    }
    assert!(!kept(
        &ts(Comparison::Eq, noon),
        &days,
        &tuple(Some(Datum::date(1)))
    ));
    assert!(!kept(
        &ts(Comparison::Eq, DAY),
        &days,
        &tuple(Some(Datum::date(2)))
    ));
}

#[test]
fn t04_t07_equality_finds_negative_values_and_buckets() {
    let tens = layout(PrimitiveType::Int, Transform::Truncate(10));
    let eq = compare(1, Comparison::Eq, Datum::int(-1));
    assert!(kept(&eq, &tens, &tuple(Some(Datum::int(-10)))));
    assert!(!kept(&eq, &tens, &tuple(Some(Datum::int(0)))));
    let buckets = layout(PrimitiveType::Long, Transform::Bucket(16));
    let eq = compare(1, Comparison::Eq, Datum::long(34));
    assert!(kept(&eq, &buckets, &tuple(Some(Datum::int(3)))));
    assert!(!kept(&eq, &buckets, &tuple(Some(Datum::int(4)))));
    let lt = compare(1, Comparison::Lt, Datum::long(34));
    assert!(kept(&lt, &buckets, &tuple(Some(Datum::int(4)))));
}

#[test]
fn t12_hours_beyond_the_result_type_prune_nothing() {
    let hours = layout(PrimitiveType::Timestamp, Transform::Hour);
    let predicate = ts(Comparison::GtEq, i64::MAX);
    assert_eq!(project(&predicate, &hours), Predicate::AlwaysTrue);
}

#[test]
fn void_and_unknown_transforms_prune_nothing() {
    for transform in [Transform::Void, Transform::Unknown] {
        let layout = layout(PrimitiveType::Int, transform);
        for predicate in [
            compare(1, Comparison::Eq, Datum::int(1)),
            Predicate::IsNotNull { field_id: 1 },
        ] {
            assert!(kept(&predicate, &layout, &tuple(None)), "{transform}");
        }
    }
}

#[test]
fn t11_null_partitions_hold_nulls_only() {
    let layout = layout(PrimitiveType::String, Transform::Identity);
    let null = tuple(None);
    assert!(kept(&Predicate::IsNull { field_id: 1 }, &layout, &null));
    assert!(!kept(&Predicate::IsNotNull { field_id: 1 }, &layout, &null));
    let eq = compare(
        1,
        Comparison::Eq,
        Datum::string("__HIVE_DEFAULT_PARTITION__"),
    );
    assert!(!kept(&eq, &layout, &null));
}

#[test]
fn t08_foreign_summaries_without_bounds_prune_nothing() {
    let layout = layout(PrimitiveType::Long, Transform::Bucket(16));
    let summaries = [FieldSummary {
        contains_null: false,
        contains_nan: None,
        lower_bound: None,
        upper_bound: None,
    }];
    let facts = SummaryFacts {
        layout: &layout,
        summaries: &summaries,
    };
    let eq = compare(1, Comparison::Eq, Datum::long(34));
    assert!(may_match(&project(&eq, &layout), &facts));
    let other = SummaryFacts {
        layout: &layout,
        summaries: &[],
    };
    assert!(may_match(&project(&eq, &layout), &other));
}

/// Java compared UUIDs as signed numbers: what it calls the lower bound may be the larger value.
#[test]
fn summaries_of_uuids_may_be_ordered_the_other_way_round() {
    let layout = layout(PrimitiveType::Uuid, Transform::Identity);
    let uuid = |first: u8| Uuid::from_u128(u128::from(first) << 120);
    let bound = |first: u8| Datum::uuid(uuid(first)).to_bytes().ok();
    let kept = |wanted: u8, lower: u8, upper: u8| {
        let summaries = [FieldSummary {
            contains_null: false,
            contains_nan: None,
            lower_bound: bound(lower),
            upper_bound: bound(upper),
        }];
        let facts = SummaryFacts {
            layout: &layout,
            summaries: &summaries,
        };
        let eq = compare(1, Comparison::Eq, Datum::uuid(uuid(wanted)));
        may_match(&project(&eq, &layout), &facts)
    };
    assert!(kept(0x00, 0x80, 0x00));
    assert!(kept(0x80, 0x80, 0x00));
    assert!(kept(0x40, 0x40, 0x40));
    assert!(!kept(0x00, 0x40, 0x40));
}

#[test]
fn prefixes_are_cut_as_values_are() {
    let layout = layout(PrimitiveType::String, Transform::Truncate(2));
    let starts = |prefix: &str| Predicate::StartsWith {
        field_id: 1,
        prefix: prefix.to_owned(),
    };
    let file = tuple(Some(Datum::string("äb")));
    for (prefix, expected) in [("ä", true), ("äb", true), ("äbc", true), ("äc", false)] {
        assert_eq!(kept(&starts(prefix), &layout, &file), expected, "{prefix}");
    }
}

#[test]
fn a_layout_follows_spec_and_schema() {
    let schema: Schema = testing::schema();
    let spec = PartitionSpec::builder(schema.clone())
        .add_partition_field("ts", "ts_day", Transform::Day)
        .unwrap()
        .build()
        .unwrap();
    let layout = PartitionLayout::new(&spec, |id| {
        schema
            .field_by_id(id)?
            .field_type
            .as_primitive_type()
            .cloned()
    });
    assert_eq!(layout.columns[0].result_type, Some(PrimitiveType::Date));
    let dropped = PartitionLayout::new(&spec, |_| None);
    let predicate = ts(Comparison::Eq, 0);
    assert_eq!(project(&predicate, &dropped), Predicate::AlwaysTrue);
}

/// Types with the transforms they take, and values on both sides of partitions' ends.
fn source() -> impl Strategy<Value = (PrimitiveType, Transform)> {
    use PrimitiveType as Kind;
    use Transform::{Bucket, Day, Hour, Identity, Month, Truncate, Year};
    let decimal = Kind::Decimal {
        precision: 9,
        scale: 2,
    };
    proptest::sample::select(vec![
        (Kind::Int, vec![Identity, Bucket(3), Truncate(4)]),
        (Kind::Long, vec![Identity, Bucket(3), Truncate(4)]),
        (decimal, vec![Identity, Bucket(3), Truncate(4)]),
        (Kind::Date, vec![Identity, Bucket(3), Year, Month, Day]),
        (
            Kind::Timestamp,
            vec![Identity, Bucket(3), Year, Month, Day, Hour],
        ),
        (
            Kind::TimestamptzNs,
            vec![Identity, Bucket(3), Year, Month, Day, Hour],
        ),
        (Kind::String, vec![Identity, Bucket(3), Truncate(2)]),
        (Kind::Binary, vec![Identity, Bucket(3), Truncate(2)]),
        (Kind::Double, vec![Identity]),
    ])
    .prop_flat_map(|(kind, transforms)| (Just(kind), proptest::sample::select(transforms)))
}

fn value(kind: &PrimitiveType) -> BoxedStrategy<Datum> {
    let kind = kind.clone();
    let near = |unit: i64| (-40_i64..40, -2_i64..3).prop_map(move |(n, d)| n * unit + d);
    match kind {
        PrimitiveType::Int => (-9..9).prop_map(Datum::int).boxed(),
        PrimitiveType::Long => (-9_i64..9).prop_map(Datum::long).boxed(),
        PrimitiveType::Date => (-800..800).prop_map(Datum::date).boxed(),
        PrimitiveType::Timestamp => prop_oneof![
            near(3_600_000_000),
            near(DAY),
            near(DAY * 31),
            near(DAY / 2 + 500_000)
        ]
        .prop_map(Datum::timestamp_micros)
        .boxed(),
        PrimitiveType::TimestamptzNs => prop_oneof![near(1_000), near(DAY * 1_000)]
            .prop_map(Datum::timestamptz_nanos)
            .boxed(),
        PrimitiveType::String => "[ab\u{1F600}]{0,4}".prop_map(Datum::string).boxed(),
        PrimitiveType::Binary => proptest::collection::vec(any::<bool>(), 0..4)
            .prop_map(|bits| Datum::binary(bits.into_iter().map(|bit| u8::from(bit) * 255)))
            .boxed(),
        PrimitiveType::Double => prop_oneof![
            Just(f64::NAN),
            Just(-f64::NAN),
            Just(-0.0),
            Just(0.0),
            Just(1.0)
        ]
        .prop_map(Datum::double)
        .boxed(),
        _ => (-900_i128..900)
            .prop_map(move |v| Datum::try_from_bytes(&v.to_be_bytes(), kind.clone()).unwrap())
            .boxed(),
    }
}

fn leaf(kind: &PrimitiveType) -> BoxedStrategy<Predicate> {
    let literal = value(kind).prop_filter("no NaN in predicates", |datum| !datum.is_nan());
    let literals = proptest::collection::vec(literal.clone(), 0..3);
    let comparison = proptest::sample::select(vec![
        Comparison::Eq,
        Comparison::NotEq,
        Comparison::Lt,
        Comparison::LtEq,
        Comparison::Gt,
        Comparison::GtEq,
    ]);
    prop_oneof![
        6 => (comparison, literal).prop_map(|(how, literal)| compare(1, how, literal)),
        1 => literals.clone().prop_map(|literals| Predicate::In { field_id: 1, literals }),
        1 => literals.prop_map(|literals| Predicate::NotIn { field_id: 1, literals }),
        1 => Just(Predicate::IsNull { field_id: 1 }),
        1 => Just(Predicate::IsNotNull { field_id: 1 }),
        1 => "[ab\u{1F600}]{0,3}"
            .prop_map(|prefix| Predicate::StartsWith { field_id: 1, prefix }),
    ]
    .boxed()
}

#[derive(Debug, Clone)]
struct Case {
    kind: PrimitiveType,
    transform: Transform,
    rows: Vec<Option<Datum>>,
    predicate: Predicate,
    /// Written by Java up to 0.10.
    old_writer: bool,
}

fn case() -> impl Strategy<Value = Case> {
    source().prop_flat_map(|(kind, transform)| {
        let rows = proptest::collection::vec(proptest::option::of(value(&kind)), 1..4);
        (rows, leaf(&kind), any::<bool>()).prop_map(move |(rows, predicate, old_writer)| Case {
            kind: kind.clone(),
            transform,
            rows,
            predicate,
            old_writer,
        })
    })
}

/// The partition value a row is stored under.
fn stored(case: &Case, row: &Datum) -> Datum {
    let value = apply(case.transform, row).unwrap();
    match one_more_when_negative(case.transform, &value) {
        Some(off_by_one) if case.old_writer => off_by_one,
        _ => value,
    }
}

fn summary_of(values: &[Option<Datum>]) -> FieldSummary {
    let mut bounds: Vec<&Datum> = values.iter().flatten().filter(|v| !v.is_nan()).collect();
    bounds.sort_by(|a, b| a.partial_cmp(b).unwrap());
    FieldSummary {
        contains_null: values.iter().any(Option::is_none),
        contains_nan: Some(values.iter().flatten().any(Datum::is_nan)),
        lower_bound: bounds.first().map(|bound| bound.to_bytes().unwrap()),
        upper_bound: bounds.last().map(|bound| bound.to_bytes().unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn m11_t01_t05_a_partition_with_a_matching_row_is_never_pruned(case in case()) {
        let layout = layout(case.kind.clone(), case.transform);
        let values: Vec<_> = case
            .rows
            .iter()
            .map(|row| row.as_ref().map(|row| stored(&case, row)))
            .collect();
        let summaries = [summary_of(&values)];
        let projected = project(&case.predicate, &layout);
        for (row, value) in case.rows.iter().zip(values) {
            let cells = Row::from([(1, row.clone())]);
            for floats in [FloatOrder::Total, FloatOrder::Numeric] {
                if !matches(&case.predicate, &cells, floats) {
                    continue;
                }
                let tuple = tuple(value.clone());
                let file = TupleFacts { layout: &layout, tuple: &tuple };
                prop_assert!(may_match(&projected, &file), "{value:?} {projected:?}");
                let manifest = SummaryFacts { layout: &layout, summaries: &summaries };
                prop_assert!(may_match(&projected, &manifest), "{summaries:?} {projected:?}");
            }
        }
    }
}
