//! What surely matches does match, row by row.

use iceberg::spec::{Literal, PrimitiveType, Struct, Transform};
use proptest::prelude::*;

use super::*;
use crate::scan::evaluate::{
    may_match,
    tests::{Case, One, case, facts_of},
};
use crate::scan::partition::{PartitionColumn, project, result_type};
use crate::scan::testing::{FloatOrder, Row, compare, matches};
use crate::table::transform::apply;

const ORDERS: [FloatOrder; 2] = [FloatOrder::Total, FloatOrder::Numeric];

fn longs(lower: i64, upper: i64, nulls: Option<u64>) -> One<'static> {
    One(Facts {
        lower: Some(Value::Integer(lower)),
        upper: Some(Value::Integer(upper)),
        nulls,
        nans: None,
        values: Some(10),
    })
}

#[test]
fn d20_nulls_match_no_comparison() {
    for comparison in [Comparison::Lt, Comparison::NotEq] {
        let below = compare(1, comparison, Datum::long(10));
        assert!(must_match(&below, &longs(1, 5, Some(0))));
        assert!(!must_match(&below, &longs(1, 5, Some(1))));
        assert!(!must_match(&below, &longs(1, 5, None)));
    }
    let equal = compare(1, Comparison::Eq, Datum::long(5));
    assert!(must_match(&equal, &longs(5, 5, Some(0))));
    assert!(!must_match(&equal, &longs(4, 5, Some(0))));
    let null = Predicate::IsNull { field_id: 1 };
    assert!(must_match(&null, &longs(1, 5, Some(10))));
    assert!(!must_match(&null, &longs(1, 5, Some(9))));
}

#[test]
fn nan_is_in_no_range() {
    let floats = |nans| {
        One(Facts {
            lower: Some(Value::Float(1.0)),
            upper: Some(Value::Float(5.0)),
            nulls: Some(0),
            nans,
            values: Some(10),
        })
    };
    for comparison in [Comparison::Lt, Comparison::LtEq] {
        let below = compare(1, comparison, Datum::double(9.0));
        assert!(must_match(&below, &floats(Some(0))));
        assert!(!must_match(&below, &floats(Some(1))));
        assert!(!must_match(&below, &floats(None)));
    }
}

#[test]
fn nothing_is_certain_of_unknown_columns() {
    for predicate in [
        Predicate::IsNull { field_id: 1 },
        Predicate::IsNotNull { field_id: 1 },
        Predicate::AlwaysFalse,
        compare(1, Comparison::NotEq, Datum::long(1)),
    ] {
        assert!(!must_match(&predicate, &One(Facts::default())));
    }
    assert!(must_match(&Predicate::AlwaysTrue, &One(Facts::default())));
}

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

fn partition_must(predicate: &Predicate, layout: &PartitionLayout, value: Option<Datum>) -> bool {
    let tuple = Struct::from_iter([value.map(Literal::from)]);
    let facts = TupleFacts {
        layout,
        tuple: &tuple,
    };
    file_must_match(predicate, &One(Facts::default()), layout, &facts)
}

#[test]
fn whole_days_are_matched_by_their_ends() {
    const DAY: i64 = 86_400_000_000;
    let days = layout(PrimitiveType::Timestamp, Transform::Day);
    let ts = |comparison, micros| compare(1, comparison, Datum::timestamp_micros(micros));
    let day = Predicate::And(vec![
        ts(Comparison::GtEq, 10 * DAY),
        ts(Comparison::Lt, 11 * DAY),
    ]);
    for (value, expected) in [(9, false), (10, true), (11, false)] {
        assert_eq!(
            partition_must(&day, &days, Some(Datum::date(value))),
            expected
        );
    }
    let later = Predicate::And(vec![
        ts(Comparison::GtEq, 10 * DAY + 1),
        ts(Comparison::Lt, 11 * DAY),
    ]);
    assert!(!partition_must(&later, &days, Some(Datum::date(10))));
    assert!(!partition_must(&day, &days, None));
    // Old writers put noon of the last day before 1970 under day 0.
    let since_1970 = ts(Comparison::GtEq, 0);
    assert!(!partition_must(&since_1970, &days, Some(Datum::date(0))));
    assert!(partition_must(&since_1970, &days, Some(Datum::date(1))));
}

#[test]
fn a_date_is_its_day() {
    let days = layout(PrimitiveType::Date, Transform::Day);
    let is = Predicate::In {
        field_id: 1,
        literals: vec![Datum::date(5), Datum::date(7)],
    };
    for (value, expected) in [(4, false), (5, true), (6, false), (7, true)] {
        assert_eq!(
            partition_must(&is, &days, Some(Datum::date(value))),
            expected
        );
    }
}

fn transforms() -> impl Strategy<Value = (PrimitiveType, Transform)> {
    prop_oneof![
        Just((PrimitiveType::Long, Transform::Identity)),
        Just((PrimitiveType::Long, Transform::Truncate(3))),
        Just((PrimitiveType::Long, Transform::Bucket(3))),
        Just((PrimitiveType::String, Transform::Identity)),
        Just((PrimitiveType::String, Transform::Truncate(2))),
        Just((PrimitiveType::String, Transform::Bucket(3))),
        Just((PrimitiveType::Double, Transform::Identity)),
    ]
}

/// A column's values and a predicate, with a transform of the column's type.
fn partitioned() -> impl Strategy<Value = (Case, PartitionLayout)> {
    (case(), transforms()).prop_filter_map(
        "a transform of the type",
        |(case, (kind, transform))| {
            let of_type = |datum: &Datum| *datum.data_type() == kind;
            let fits = case.column.iter().flatten().all(of_type);
            (fits && case.column.iter().any(Option::is_some))
                .then(|| (case, layout(kind, transform)))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_row_of_a_file_that_must_match_matches(case in case()) {
        let bounds = (case.bound(Ordering::Less), case.bound(Ordering::Greater));
        let facts = facts_of(&case, &bounds);
        if must_match(&case.predicate, &One(facts)) {
            for value in &case.column {
                let row = Row::from([(1, value.clone())]);
                for floats in ORDERS {
                    prop_assert!(matches(&case.predicate, &row, floats), "{row:?} {floats:?}");
                }
            }
            prop_assert!(case.column.is_empty() || may_match(&case.predicate, &One(facts)));
        }
    }

    #[test]
    fn every_row_of_a_partition_that_must_match_matches((case, layout) in partitioned()) {
        let transform = layout.columns[0].transform;
        for value in &case.column {
            let stored = match value {
                Some(value) if value.is_nan() => Some(value.clone()),
                Some(value) => match apply(transform, value) {
                    Some(stored) => Some(stored),
                    None => continue,
                },
                None => None,
            };
            if partition_must(&case.predicate, &layout, stored.clone()) {
                let row = Row::from([(1, value.clone())]);
                for floats in ORDERS {
                    prop_assert!(matches(&case.predicate, &row, floats), "{row:?} {stored:?}");
                }
                let tuple = Struct::from_iter([stored.map(Literal::from)]);
                let facts = TupleFacts { layout: &layout, tuple: &tuple };
                prop_assert!(may_match(&project(&case.predicate, &layout), &facts));
            }
        }
    }
}
