//! Tests of the conversion.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, cast, col, lit, not};
use iceberg::spec::{Datum, NestedField, PrimitiveType, Schema, Type};

use super::*;
use crate::provider::values::DAY_US;

fn schema() -> Schema {
    let kinds = [
        ("i", PrimitiveType::Int),
        ("l", PrimitiveType::Long),
        ("d", PrimitiveType::Double),
        ("s", PrimitiveType::String),
        ("ts", PrimitiveType::Timestamp),
        ("tz", PrimitiveType::Timestamptz),
        (
            "dec",
            PrimitiveType::Decimal {
                precision: 9,
                scale: 2,
            },
        ),
        ("b", PrimitiveType::Boolean),
    ];
    let fields = (1..)
        .zip(kinds)
        .map(|(id, (name, kind))| NestedField::optional(id, name, Type::Primitive(kind)).into());
    Schema::builder()
        .with_fields(fields.collect::<Vec<_>>())
        .build()
        .unwrap()
}

fn converted(filter: Expr) -> Predicate {
    convert(&[filter], &schema())
}

fn compare(field_id: i32, comparison: Comparison, literal: Datum) -> Predicate {
    Predicate::Compare {
        field_id,
        comparison,
        literal,
    }
}

#[test]
fn a_half_understood_condition_stays_sound_below_not() {
    let unknown = (col("l") + lit(1_i64)).gt(lit(3_i64));
    let known = col("i").eq(lit(5_i32));
    assert_eq!(
        converted(known.clone().and(unknown.clone())),
        compare(1, Comparison::Eq, Datum::int(5))
    );
    assert_eq!(
        converted(not(known.clone().and(unknown.clone()))),
        Predicate::AlwaysTrue
    );
    assert_eq!(
        converted(not(known.or(unknown))),
        compare(1, Comparison::NotEq, Datum::int(5))
    );
}

#[test]
fn m09_literals_outside_of_the_column_are_constants() {
    let wide = || cast(col("i"), DataType::Int64);
    assert_eq!(
        converted(wide().eq(lit(1_i64 << 40))),
        Predicate::AlwaysFalse
    );
    assert_eq!(
        converted(wide().lt(lit(1_i64 << 40))),
        Predicate::IsNotNull { field_id: 1 }
    );
    assert_eq!(
        converted(wide().gt(lit(-(1_i64 << 40)))),
        Predicate::IsNotNull { field_id: 1 }
    );
    let digits = ScalarValue::Decimal128(Some(12_345), 10, 3);
    assert_eq!(
        converted(cast(col("dec"), DataType::Decimal128(10, 3)).lt(lit(digits))),
        compare(
            7,
            Comparison::LtEq,
            Datum::decimal_from_str("12.34")
                .unwrap()
                .to(&Type::Primitive(PrimitiveType::Decimal {
                    precision: 9,
                    scale: 2
                }))
                .unwrap()
        )
    );
}

#[test]
fn m06_casts_that_change_values_say_nothing() {
    for filter in [
        cast(col("d"), DataType::Int32).eq(lit(5_i32)),
        cast(col("d"), DataType::Float32).eq(lit(1.0_f32)),
        cast(col("dec"), DataType::Int64).eq(lit(10_i64)),
        cast(col("s"), DataType::Int32).gt(lit(10_i32)),
        cast(col("l"), DataType::Float64).eq(lit(1.0_f64)),
    ] {
        assert_eq!(converted(filter), Predicate::AlwaysTrue);
    }
    let day = ScalarValue::Date32(Some(-1));
    assert_eq!(
        converted(cast(col("ts"), DataType::Date32).eq(lit(day))),
        Predicate::And(vec![
            compare(5, Comparison::GtEq, Datum::timestamp_micros(-DAY_US)),
            compare(5, Comparison::Lt, Datum::timestamp_micros(0)),
        ])
    );
}

#[test]
fn times_are_converted_exactly_or_by_their_place() {
    let ns = ScalarValue::TimestampNanosecond(Some(-1), None);
    assert_eq!(
        converted(col("ts").gt_eq(lit(ns))),
        compare(5, Comparison::Gt, Datum::timestamp_micros(-1))
    );
    let zoned = ScalarValue::TimestampMillisecond(Some(2), Some("Europe/Berlin".into()));
    assert_eq!(
        converted(col("tz").eq(lit(zoned.clone()))),
        compare(6, Comparison::Eq, Datum::timestamptz_micros(2_000))
    );
    assert_eq!(converted(col("ts").eq(lit(zoned))), Predicate::AlwaysTrue);
}

#[test]
fn texts_lists_booleans_and_nulls() {
    assert_eq!(
        converted(col("s").like(lit("ab\\_%"))),
        Predicate::StartsWith {
            field_id: 4,
            prefix: "ab".to_owned()
        }
    );
    assert_eq!(
        converted(col("i").in_list(vec![lit(1_i32), lit(ScalarValue::Int32(None))], false)),
        Predicate::In {
            field_id: 1,
            literals: vec![Datum::int(1)]
        }
    );
    assert_eq!(
        converted(col("i").in_list(vec![lit(1_i32), lit(ScalarValue::Int32(None))], true)),
        Predicate::AlwaysFalse
    );
    assert_eq!(
        converted(not(col("b"))),
        compare(8, Comparison::Eq, Datum::bool(false))
    );
    assert_eq!(
        converted(not(col("s").is_null())),
        Predicate::IsNotNull { field_id: 4 }
    );
    assert_eq!(
        converted(col("i").eq(lit(ScalarValue::Int32(None)))),
        Predicate::AlwaysFalse
    );
}
