//! The rows that a partition value stands for, as a condition on the column it is made of.

use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType, Transform};

use super::{Comparison, PartitionColumn, Predicate, Value, all_of};
use crate::table::calendar::{DAY_US, HOUR_US, first_of_month};

/// The condition that exactly the rows with this partition value match, given the type of the
/// source column; `None` where no condition on the column says that.
pub(crate) fn rows_of(
    column: &PartitionColumn,
    source: &PrimitiveType,
    value: Option<&Literal>,
) -> Option<Predicate> {
    let field_id = column.source_id;
    match (column.transform, value) {
        // Says nothing of the rows, whatever stands there.
        (Transform::Void, _) => return Some(Predicate::AlwaysTrue),
        (Transform::Unknown, _) => return None,
        (_, None) => return Some(Predicate::IsNull { field_id }),
        _ => {}
    }
    let Some(Literal::Primitive(value)) = value else {
        return None;
    };
    match (column.transform, value) {
        (Transform::Identity, _) => {
            let own = Value::of(column.result_type.as_ref()?, value)?;
            // No literal is NaN.
            let literal = own.to_datum(source).filter(|_| !value.is_nan())?;
            Some(compare(field_id, Comparison::Eq, literal))
        }
        (Transform::Bucket(buckets), PrimitiveLiteral::Int(number)) => Some(Predicate::Bucket {
            field_id,
            buckets,
            comparison: Comparison::Eq,
            number: *number,
        }),
        (Transform::Truncate(width), _) => truncated(field_id, source, width, value),
        (transform, PrimitiveLiteral::Int(number)) => {
            let number = i64::from(*number);
            let (first, next) = (
                first_us(transform, number)?,
                first_us(transform, number + 1)?,
            );
            range(field_id, first, next, |us| ticks(source, us))
        }
        _ => None,
    }
}

fn compare(field_id: i32, comparison: Comparison, literal: Datum) -> Predicate {
    Predicate::Compare {
        field_id,
        comparison,
        literal,
    }
}

/// A place in a type's order of values.
enum Place {
    /// Below all values of the type.
    Before,
    At(Datum),
    /// Above all values of the type.
    Beyond,
}

/// `first <= column < next`; `None` when the type has no such values.
fn range(
    field_id: i32,
    first: i128,
    next: i128,
    place: impl Fn(i128) -> Option<Place>,
) -> Option<Predicate> {
    let least = match place(first)? {
        Place::Before => None,
        Place::At(literal) => Some(compare(field_id, Comparison::GtEq, literal)),
        Place::Beyond => return None,
    };
    let end = match place(next)? {
        Place::Before => return None,
        Place::At(literal) => Some(compare(field_id, Comparison::Lt, literal)),
        Place::Beyond => None,
    };
    // Every comparison leaves out NULL, and NULL has a partition of its own.
    let whole = least.is_none() && end.is_none();
    let whole = whole.then_some(Predicate::IsNotNull { field_id });
    Some(all_of(least.into_iter().chain(end).chain(whole)))
}

/// The first microsecond of a year, month, day or hour, which is counted from 1970.
fn first_us(transform: Transform, number: i64) -> Option<i128> {
    let days = match transform {
        Transform::Year => first_of_month(number * 12),
        Transform::Month => first_of_month(number),
        Transform::Day => number,
        Transform::Hour => return Some(i128::from(number) * i128::from(HOUR_US)),
        _ => return None,
    };
    Some(i128::from(days) * i128::from(DAY_US))
}

/// A time in microseconds since 1970 as a value of a date or timestamp type.
fn ticks(kind: &PrimitiveType, us: i128) -> Option<Place> {
    let place = |ticks: i128, least: i128, most: i128, datum: &dyn Fn(i128) -> Option<Datum>| {
        if ticks < least {
            Some(Place::Before)
        } else if ticks > most {
            Some(Place::Beyond)
        } else {
            datum(ticks).map(Place::At)
        }
    };
    let long = |ticks: i128, datum: fn(i64) -> Datum| {
        place(
            ticks,
            i128::from(i64::MIN),
            i128::from(i64::MAX),
            &|ticks| i64::try_from(ticks).ok().map(datum),
        )
    };
    match kind {
        PrimitiveType::Date => {
            let days = us.div_euclid(i128::from(DAY_US));
            place(days, i128::from(i32::MIN), i128::from(i32::MAX), &|days| {
                i32::try_from(days).ok().map(Datum::date)
            })
        }
        PrimitiveType::Timestamp => long(us, Datum::timestamp_micros),
        PrimitiveType::Timestamptz => long(us, Datum::timestamptz_micros),
        PrimitiveType::TimestampNs => long(us * 1_000, Datum::timestamp_nanos),
        PrimitiveType::TimestamptzNs => long(us * 1_000, Datum::timestamptz_nanos),
        _ => None,
    }
}

fn truncated(
    field_id: i32,
    source: &PrimitiveType,
    width: u32,
    value: &PrimitiveLiteral,
) -> Option<Predicate> {
    let wide = i128::from(width);
    match (source, value) {
        (PrimitiveType::Int, PrimitiveLiteral::Int(first)) => {
            let first = i128::from(*first);
            range(field_id, first, first + wide, |v| {
                Some(i32::try_from(v).map_or(Place::Beyond, |v| Place::At(Datum::int(v))))
            })
        }
        (PrimitiveType::Long, PrimitiveLiteral::Int(_) | PrimitiveLiteral::Long(_)) => {
            let Value::Integer(first) = Value::of(source, value)? else {
                return None;
            };
            let first = i128::from(first);
            range(field_id, first, first + wide, |v| {
                Some(i64::try_from(v).map_or(Place::Beyond, |v| Place::At(Datum::long(v))))
            })
        }
        (PrimitiveType::Decimal { scale, .. }, PrimitiveLiteral::Int128(first)) => {
            range(field_id, *first, first.checked_add(wide)?, |v| {
                Value::Decimal(v, *scale).to_datum(source).map(Place::At)
            })
        }
        (PrimitiveType::String, PrimitiveLiteral::String(text)) => {
            let is_cut = text.chars().count() >= usize::try_from(width).ok()?;
            Some(match is_cut {
                true => Predicate::StartsWith {
                    field_id,
                    prefix: text.clone(),
                },
                false => compare(field_id, Comparison::Eq, Datum::string(text)),
            })
        }
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(bytes)) => {
            let first = Datum::binary(bytes.iter().copied());
            if bytes.len() < usize::try_from(width).ok()? {
                return Some(compare(field_id, Comparison::Eq, first));
            }
            let first = compare(field_id, Comparison::GtEq, first);
            // What follows all that begins so: the last byte that can grow, by one.
            let end = bytes.iter().rposition(|byte| *byte < u8::MAX).map(|last| {
                let grown = bytes[last] + 1;
                let end = bytes[..last].iter().copied().chain([grown]);
                compare(field_id, Comparison::Lt, Datum::binary(end))
            });
            Some(all_of([first].into_iter().chain(end)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::transform::apply;

    fn column(transform: Transform, kind: &PrimitiveType) -> PartitionColumn {
        PartitionColumn {
            field_id: 1000,
            source_id: 1,
            name: "p".to_owned(),
            transform,
            result_type: super::super::result_type(transform, kind.clone()),
        }
    }

    /// Whether a value matches, in the order that pruning has.
    fn matches(predicate: &Predicate, value: &Datum) -> bool {
        use std::cmp::Ordering;
        match predicate {
            Predicate::AlwaysTrue | Predicate::IsNotNull { .. } => true,
            Predicate::And(parts) => parts.iter().all(|part| matches(part, value)),
            Predicate::StartsWith { prefix, .. } => match value.literal() {
                PrimitiveLiteral::String(text) => text.starts_with(prefix.as_str()),
                other => panic!("{other:?}"),
            },
            Predicate::Compare {
                comparison,
                literal,
                ..
            } => {
                let (left, right) = (Value::of_datum(value), Value::of_datum(literal));
                let order = left.unwrap().compare(right.unwrap()).unwrap();
                match comparison {
                    Comparison::Eq => order == Ordering::Equal,
                    Comparison::GtEq => order != Ordering::Less,
                    Comparison::Lt => order == Ordering::Less,
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Every value matches what its own partition stands for, and of another's only when both have
    /// one partition.
    fn agree(transforms: &[Transform], values: &[Datum]) {
        for transform in transforms {
            let column = column(*transform, values[0].data_type());
            for own in values {
                let Some(point) = apply(*transform, own) else {
                    continue;
                };
                let literal = Literal::Primitive(point.literal().clone());
                let rows = rows_of(&column, own.data_type(), Some(&literal)).unwrap();
                for value in values {
                    let Some(other) = apply(*transform, value) else {
                        continue;
                    };
                    let expected = point.literal() == other.literal();
                    assert_eq!(
                        matches(&rows, value),
                        expected,
                        "{transform} {:?} {:?}",
                        own.literal(),
                        value.literal()
                    );
                }
            }
        }
    }

    #[test]
    fn t16_rows_of_a_partition_value_are_those_that_the_transform_puts_there() {
        use Transform::{Day, Hour, Identity, Month, Truncate, Year};
        let dates = [
            i32::MIN,
            -719_529,
            -366,
            -32,
            -1,
            0,
            1,
            30,
            31,
            364,
            365,
            i32::MAX,
        ];
        agree(&[Identity, Year, Month, Day], &dates.map(Datum::date));
        let day = DAY_US;
        let times = [
            i64::MIN,
            -day - 1,
            -day,
            -HOUR_US,
            -1,
            0,
            1,
            HOUR_US,
            day,
            31 * day,
            i64::MAX,
        ];
        for make in [
            Datum::timestamp_micros as fn(i64) -> Datum,
            Datum::timestamptz_micros,
        ] {
            agree(&[Identity, Year, Month, Day, Hour], &times.map(make));
        }
        let nanos = times.map(|us| us.saturating_mul(1_000));
        for make in [
            Datum::timestamp_nanos as fn(i64) -> Datum,
            Datum::timestamptz_nanos,
        ] {
            agree(&[Identity, Year, Month, Day, Hour], &nanos.map(make));
        }
        let ints = [i32::MIN, -11, -10, -1, 0, 9, 10, i32::MAX];
        agree(
            &[Identity, Truncate(10), Truncate(1)],
            &ints.map(Datum::int),
        );
        let longs = [i64::MIN, -11, -10, -1, 0, 9, 10, i64::MAX];
        agree(&[Identity, Truncate(10)], &longs.map(Datum::long));
        let texts = ["", "a", "ab", "abc", "b", "ä", "äb", "äbc"];
        agree(
            &[Identity, Truncate(1), Truncate(2)],
            &texts.map(Datum::string),
        );
        let bytes: [&[u8]; 6] = [&[], &[0], &[0, 255], &[1], &[255], &[255, 255, 0]];
        let bytes = bytes.map(|bytes| Datum::binary(bytes.iter().copied()));
        agree(&[Identity, Truncate(1), Truncate(2)], &bytes);
    }

    #[test]
    fn t16_nan_and_unknown_transforms_are_no_condition() {
        let nan = Literal::double(f64::NAN);
        let kind = PrimitiveType::Double;
        let rows = |transform| rows_of(&column(transform, &kind), &kind, Some(&nan));
        assert_eq!(rows(Transform::Identity), None);
        assert_eq!(rows(Transform::Unknown), None);
        let none = rows_of(&column(Transform::Identity, &kind), &kind, None);
        assert_eq!(none, Some(Predicate::IsNull { field_id: 1 }));
    }
}
