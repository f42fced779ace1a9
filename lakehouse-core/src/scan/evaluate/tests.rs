//! Bounds never rule out rows that are there.

use iceberg::spec::{PrimitiveLiteral, PrimitiveType};
use proptest::prelude::*;

use super::*;
use crate::scan::testing::{FloatOrder, Row, compare, matches};

/// The facts of column 1.
pub(in crate::scan) struct One<'a>(pub(in crate::scan) Facts<'a>);

impl ColumnFacts for One<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        if field_id == 1 {
            self.0
        } else {
            Facts::default()
        }
    }
}

fn longs(lower: i64, upper: i64) -> Facts<'static> {
    Facts {
        lower: Some(Value::Integer(lower)),
        upper: Some(Value::Integer(upper)),
        nulls: Some(0),
        nans: None,
        values: Some(10),
    }
}

fn may(predicate: &Predicate, facts: Facts<'_>) -> bool {
    may_match(predicate, &One(facts))
}

#[test]
fn ranges_are_compared_with_bounds() {
    use Comparison::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let cases = [
        (Eq, 4, false),
        (Eq, 5, true),
        (Eq, 9, true),
        (Eq, 10, false),
        (Lt, 5, false),
        (Lt, 6, true),
        (LtEq, 4, false),
        (LtEq, 5, true),
        (Gt, 9, false),
        (Gt, 8, true),
        (GtEq, 10, false),
        (GtEq, 9, true),
        (NotEq, 5, true),
    ];
    for (comparison, literal, expected) in cases {
        let predicate = compare(1, comparison, Datum::long(literal));
        assert_eq!(may(&predicate, longs(5, 9)), expected, "{predicate:?}");
    }
    assert!(!may(&compare(1, NotEq, Datum::long(5)), longs(5, 5)));
    let not_in = |literals| Predicate::NotIn {
        field_id: 1,
        literals,
    };
    assert!(!may(
        &not_in(vec![Datum::long(1), Datum::long(5)]),
        longs(5, 5)
    ));
    assert!(may(&not_in(vec![]), longs(5, 5)));
}

#[test]
fn m01_missing_counts_prune_nothing() {
    for predicate in [
        Predicate::IsNull { field_id: 1 },
        Predicate::IsNotNull { field_id: 1 },
        compare(1, Comparison::Eq, Datum::long(1)),
    ] {
        assert!(may(&predicate, Facts::default()), "{predicate:?}");
        let half = Facts {
            nulls: Some(10),
            ..Facts::default()
        };
        assert!(may(&predicate, half), "{predicate:?}");
    }
    assert!(!may(&Predicate::IsNull { field_id: 1 }, longs(1, 2)));
}

#[test]
fn a_column_of_nulls_matches_only_is_null() {
    let nulls = Facts {
        nulls: Some(3),
        values: Some(3),
        ..Facts::default()
    };
    assert!(may(&Predicate::IsNull { field_id: 1 }, nulls));
    assert!(!may(&Predicate::IsNotNull { field_id: 1 }, nulls));
    assert!(!may(&compare(1, Comparison::NotEq, Datum::long(1)), nulls));
    let prefix = String::new();
    assert!(!may(
        &Predicate::StartsWith {
            field_id: 1,
            prefix
        },
        nulls
    ));
}

#[test]
fn m02_m03_nan_lies_outside_of_bounds() {
    let facts = |nans| Facts {
        lower: Some(Value::Float(1.0)),
        upper: Some(Value::Float(5.0)),
        nulls: Some(0),
        nans,
        values: Some(10),
    };
    for comparison in [Comparison::Gt, Comparison::GtEq, Comparison::NotEq] {
        let predicate = compare(1, comparison, Datum::double(6.0));
        assert!(may(&predicate, facts(None)), "{comparison:?}");
        assert!(may(&predicate, facts(Some(1))), "{comparison:?}");
    }
    assert!(!may(
        &compare(1, Comparison::Gt, Datum::double(6.0)),
        facts(Some(0))
    ));
    assert!(!may(
        &compare(1, Comparison::Eq, Datum::double(6.0)),
        facts(None)
    ));
    let only_nan = Facts {
        nulls: Some(0),
        nans: Some(10),
        values: Some(10),
        ..Facts::default()
    };
    assert!(may(&Predicate::IsNotNull { field_id: 1 }, only_nan));
    assert!(may(
        &compare(1, Comparison::Gt, Datum::double(6.0)),
        only_nan
    ));
    assert!(!may(
        &compare(1, Comparison::Eq, Datum::double(6.0)),
        only_nan
    ));
}

#[test]
fn m07_m08_bounds_of_another_type_are_unknown_and_promoted_ones_are_not() {
    let facts = |value| Facts {
        lower: Some(value),
        upper: Some(value),
        ..Facts::default()
    };
    let eq = |literal| compare(1, Comparison::Eq, literal);
    assert!(may(&eq(Datum::string("7")), facts(Value::Integer(1))));
    assert!(!may(&eq(Datum::long(7)), facts(Value::Integer(1))));
    assert!(may(
        &eq(Datum::timestamp_micros(0)),
        facts(Value::Moment(0, false))
    ));
    assert!(!may(
        &eq(Datum::timestamp_micros(1)),
        facts(Value::Moment(0, false))
    ));
}

#[test]
fn m04_cut_text_bounds_keep_their_rows() {
    let facts = Facts {
        lower: Some(Value::Text("abc")),
        upper: Some(Value::Text("abd")),
        ..Facts::default()
    };
    let starts = |prefix: &str| Predicate::StartsWith {
        field_id: 1,
        prefix: prefix.to_owned(),
    };
    for (prefix, expected) in [("", true), ("ab", true), ("abcz", true), ("abe", false)] {
        assert_eq!(may(&starts(prefix), facts), expected, "{prefix}");
    }
    assert!(!may(&starts("abb"), facts));
    assert!(!may(&starts("aa"), facts));
}

/// Values that are near each other, so that comparisons hit all cases.
fn datum(kind: PrimitiveType) -> BoxedStrategy<Datum> {
    match kind {
        PrimitiveType::Double => prop_oneof![
            Just(f64::NAN),
            Just(-f64::NAN),
            Just(-0.0),
            Just(0.0),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            (-3_i8..3).prop_map(f64::from),
        ]
        .prop_map(Datum::double)
        .boxed(),
        PrimitiveType::String => "[a-c\u{D7FF}\u{FF5E}\u{1F600}]{0,4}"
            .prop_map(Datum::string)
            .boxed(),
        PrimitiveType::Binary => {
            proptest::collection::vec(prop_oneof![Just(0_u8), Just(255)], 0..4)
                .prop_map(Datum::binary)
                .boxed()
        }
        _ => (-4_i64..4).prop_map(Datum::long).boxed(),
    }
}

fn kinds() -> impl Strategy<Value = PrimitiveType> {
    prop_oneof![
        Just(PrimitiveType::Long),
        Just(PrimitiveType::Double),
        Just(PrimitiveType::String),
        Just(PrimitiveType::Binary),
    ]
}

fn leaf(kind: &PrimitiveType) -> BoxedStrategy<Predicate> {
    let literal = datum(kind.clone()).prop_filter("no NaN in predicates", |datum| !datum.is_nan());
    let literals = proptest::collection::vec(literal.clone(), 0..3);
    let comparison = prop_oneof![
        Just(Comparison::Eq),
        Just(Comparison::NotEq),
        Just(Comparison::Lt),
        Just(Comparison::LtEq),
        Just(Comparison::Gt),
        Just(Comparison::GtEq),
    ];
    prop_oneof![
        6 => (comparison, literal).prop_map(|(how, literal)| compare(1, how, literal)),
        1 => literals.clone().prop_map(|literals| Predicate::In { field_id: 1, literals }),
        1 => literals.prop_map(|literals| Predicate::NotIn { field_id: 1, literals }),
        1 => Just(Predicate::IsNull { field_id: 1 }),
        1 => Just(Predicate::IsNotNull { field_id: 1 }),
        1 => "[a-c\u{1F600}]{0,3}"
            .prop_map(|prefix| Predicate::StartsWith { field_id: 1, prefix }),
    ]
    .boxed()
}

fn predicate(kind: &PrimitiveType) -> impl Strategy<Value = Predicate> + use<> {
    leaf(kind).prop_recursive(2, 8, 3, |part| {
        let parts = proptest::collection::vec(part, 0..3);
        prop_oneof![
            parts.clone().prop_map(Predicate::And),
            parts.prop_map(Predicate::Or),
        ]
    })
}

/// A column's values, a predicate on them, what writers leave out, and where they cut texts.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Case {
    pub(in crate::scan) column: Vec<Option<Datum>>,
    pub(in crate::scan) predicate: Predicate,
    absent: [bool; 5],
    cut: usize,
}

pub(in crate::scan) fn case() -> impl Strategy<Value = Case> {
    kinds().prop_flat_map(|kind| {
        let column = proptest::collection::vec(proptest::option::of(datum(kind.clone())), 0..5);
        (column, predicate(&kind), any::<[bool; 5]>(), 1..4_usize).prop_map(
            |(column, predicate, absent, cut)| Case {
                column,
                predicate,
                absent,
                cut,
            },
        )
    })
}

/// The bound of a writer that cuts texts after some code points: an upper one has its last code
/// point incremented.
fn cut_text(text: &str, length: usize, up: bool) -> Option<Datum> {
    if text.chars().count() <= length {
        return Some(Datum::string(text));
    }
    let mut chars: Vec<char> = text.chars().take(length).collect();
    if up {
        let last = u32::from(chars.pop()?);
        let next = if last == 0xD7FF { 0xE000 } else { last + 1 };
        chars.push(char::from_u32(next)?);
    }
    Some(Datum::string(chars.into_iter().collect::<String>()))
}

impl Case {
    /// The bound that a writer gives: the least value, or the greatest.
    pub(in crate::scan) fn bound(&self, wanted: Ordering) -> Option<Datum> {
        let mut found: Option<&Datum> = None;
        for value in self.column.iter().flatten().filter(|value| !value.is_nan()) {
            let further = found.is_none_or(|found| {
                let (value, found) = (Value::of_datum(value), Value::of_datum(found));
                value.unwrap().compare(found.unwrap()) == Some(wanted)
            });
            found = if further { Some(value) } else { found };
        }
        match found?.literal() {
            PrimitiveLiteral::String(text) => cut_text(text, self.cut, wanted == Ordering::Greater),
            _ => found.cloned(),
        }
    }
}

/// What a writer that leaves out some of it says of the column with these bounds.
pub(in crate::scan) fn facts_of<'a>(
    case: &Case,
    (lower, upper): &'a (Option<Datum>, Option<Datum>),
) -> Facts<'a> {
    let [no_lower, no_upper, no_nulls, no_nans, no_values] = case.absent;
    let count = |wanted: fn(&Option<Datum>) -> bool| {
        case.column.iter().filter(|value| wanted(value)).count() as u64
    };
    Facts {
        lower: lower
            .as_ref()
            .and_then(Value::of_datum)
            .filter(|_| !no_lower),
        upper: upper
            .as_ref()
            .and_then(Value::of_datum)
            .filter(|_| !no_upper),
        nulls: (!no_nulls).then(|| count(Option::is_none)),
        nans: (!no_nans).then(|| count(|v| v.as_ref().is_some_and(Datum::is_nan))),
        values: (!no_values).then(|| count(|_| true)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn m11_a_file_with_a_matching_row_is_never_pruned(case in case()) {
        let bounds = (case.bound(Ordering::Less), case.bound(Ordering::Greater));
        let facts = facts_of(&case, &bounds);
        for value in &case.column {
            let row = Row::from([(1, value.clone())]);
            for floats in [FloatOrder::Total, FloatOrder::Numeric] {
                if matches(&case.predicate, &row, floats) {
                    prop_assert!(may(&case.predicate, facts), "{row:?} {floats:?}");
                }
            }
        }
    }
}
