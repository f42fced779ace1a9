//! Which type a column's type may become, with its defaults.

use iceberg::spec::{FormatVersion, Literal, PrimitiveLiteral, PrimitiveType, Transform, Type};

use super::default_value;
use super::draft::Draft;
use super::schema::version_needed;
use super::{ColumnPath, draft::Found};
use crate::error::{Error, Result};
use crate::table::type_text;

const DAY_US: i64 = 86_400_000_000;

/// Gives a column a wider type; one that it has already is no change.
pub(super) fn promote(draft: &mut Draft<'_>, path: &ColumnPath, wanted: &Type) -> Result<()> {
    let found = draft.find_changeable(path)?;
    let (Type::Primitive(from), Type::Primitive(to)) = (found.field.field_type.as_ref(), wanted)
    else {
        if type_text(&found.field.field_type) == type_text(wanted) {
            return Ok(());
        }
        return Err(Error::invalid(format!(
            "column {} cannot become {}: the fields of a nested type are changed one by one, by \
             their paths",
            found.shown(),
            type_text(wanted)
        )));
    };
    if from == to {
        return Ok(());
    }
    check(draft, &found, from, to)?;
    let (from, to) = (from.clone(), to.clone());
    draft.change(&found, |field| {
        for default in [&mut field.initial_default, &mut field.write_default] {
            if let Some(value) = default.take() {
                let value = widened(value, &from, &to)?;
                default_value::check(&value, &Type::Primitive(to.clone()), &field.name)?;
                *default = Some(value);
            }
        }
        *field.field_type = Type::Primitive(to);
        Ok(())
    })
}

/// Whether values of one type are values of another, in tables of this version.
pub(super) fn is_promotion(
    from: &PrimitiveType,
    to: &PrimitiveType,
    format: FormatVersion,
) -> bool {
    is_promotion_ever(from, to) && (!is_of_v3(from) || format >= FormatVersion::V3)
}

fn is_promotion_ever(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType as T;
    match (from, to) {
        (T::Int, T::Long) | (T::Float, T::Double) | (T::Date, T::Timestamp | T::TimestampNs) => {
            true
        }
        (
            T::Decimal { precision, scale },
            T::Decimal {
                precision: wider,
                scale: same,
            },
        ) => precision < wider && *wider <= 38 && scale == same,
        _ => false,
    }
}

/// Promotions from this type came with format version 3.
fn is_of_v3(from: &PrimitiveType) -> bool {
    *from == PrimitiveType::Date
}

fn check(draft: &Draft<'_>, found: &Found, from: &PrimitiveType, to: &PrimitiveType) -> Result<()> {
    let text = |kind: &PrimitiveType| type_text(&Type::Primitive(kind.clone()));
    if !is_promotion_ever(from, to) {
        return Err(Error::invalid(format!(
            "column {} of type {} cannot become {}: old files are not rewritten, so only types \
             that hold every old value are allowed (INT to BIGINT, FLOAT to DOUBLE, DECIMAL(p, s) \
             to a greater p, and from format version 3 DATE to TIMESTAMP)",
            found.shown(),
            text(from),
            text(to)
        )));
    }
    if is_of_v3(from) && draft.metadata.format_version() < FormatVersion::V3 {
        let what = format!(
            "column {} from {} to {}",
            found.shown(),
            text(from),
            text(to)
        );
        return Err(version_needed(&what, FormatVersion::V3));
    }
    let mut specs: Vec<_> = draft.metadata.partition_specs_iter().collect();
    specs.sort_by_key(|spec| std::cmp::Reverse(spec.spec_id()));
    for spec in specs {
        let changed = spec.fields().iter().find(|field| {
            field.source_id == found.field.id && changes_result(from, &field.transform)
        });
        if let Some(field) = changed {
            return Err(Error::invalid(format!(
                "column {} cannot become {}: partition field {:?} ({} of the column) would have \
                 other values for the same rows",
                found.shown(),
                text(to),
                field.name,
                field.transform
            )));
        }
    }
    Ok(())
}

/// Whether a transform gives another result for the promoted value.
pub(super) fn changes_result(from: &PrimitiveType, transform: &Transform) -> bool {
    match transform {
        Transform::Unknown => true,
        // Days become microseconds; years, months and days of both are the same.
        Transform::Identity | Transform::Bucket(_) | Transform::Truncate(_) => {
            *from == PrimitiveType::Date
        }
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour | Transform::Void => {
            false
        }
    }
}

/// A default as a value of the promoted type.
pub(super) fn widened(value: Literal, from: &PrimitiveType, to: &PrimitiveType) -> Result<Literal> {
    use PrimitiveLiteral as Value;
    let Literal::Primitive(value) = value else {
        return Err(Error::corrupt("a default of a plain column is nested"));
    };
    Ok(Literal::Primitive(match (to, value) {
        (PrimitiveType::Long, Value::Int(value)) => Value::Long(i64::from(value)),
        (PrimitiveType::Double, Value::Float(value)) => Value::Double(f64::from(value.0).into()),
        (PrimitiveType::Timestamp, Value::Int(days)) if *from == PrimitiveType::Date => {
            Value::Long(i64::from(days).saturating_mul(DAY_US))
        }
        (PrimitiveType::Decimal { .. }, value @ Value::Int128(_)) => value,
        _ => {
            return Err(Error::unsupported(
                "the column's default cannot be read as the new type; drop the default first",
            ));
        }
    }))
}
