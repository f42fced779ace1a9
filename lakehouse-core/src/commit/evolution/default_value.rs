//! Which values a column may have as default.

use iceberg::spec::{
    FormatVersion, Literal, NestedFieldRef, PrimitiveLiteral, PrimitiveType, Type,
};

use super::draft::children;
use super::schema::version_needed;
use crate::catalog::unwritten_default;
use crate::error::{Error, Result};
use crate::name::quote;
use crate::table::type_text;

/// 0001-01-01 and 9999-12-31 in days since 1970: what the format's texts of dates hold.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;
const DAY_US: i64 = 86_400_000_000;

/// Refuses defaults of a new table's columns that cannot be.
pub(in crate::commit) fn check_new(fields: &[NestedFieldRef], format: FormatVersion) -> Result<()> {
    for field in fields {
        for default in [&field.initial_default, &field.write_default]
            .into_iter()
            .flatten()
        {
            check_version(format, &field.name)?;
            check(default, &field.field_type, &field.name)?;
        }
        check_new(&children(&field.field_type), format)?;
    }
    Ok(())
}

/// Refuses defaults in tables whose format does not have them.
pub(super) fn check_version(format: FormatVersion, column: &str) -> Result<()> {
    match format < FormatVersion::V3 {
        true => Err(version_needed(
            &format!("a default of column {}", quote(column)),
            FormatVersion::V3,
        )),
        false => Ok(()),
    }
}

/// Refuses a default that is no value of the type, or that would not be the same when the table's
/// metadata is read again.
pub(super) fn check(default: &Literal, field_type: &Type, column: &str) -> Result<()> {
    let (Type::Primitive(kind), Literal::Primitive(value)) = (field_type, default) else {
        return Err(Error::unsupported(format!(
            "column {} is of a nested type, which has no default but NULL",
            quote(column)
        )));
    };
    let refusal = || {
        Error::unsupported(format!(
            "column {} of type {} cannot have this default: it cannot be kept in the table's \
             metadata",
            quote(column),
            type_text(field_type)
        ))
    };
    if !kind.compatible(value) {
        return Err(Error::invalid(format!(
            "the default of column {} is no {}",
            quote(column),
            type_text(field_type)
        )));
    }
    if unwritten_default::is_unwritten(kind, value) {
        return Err(Error::unsupported(format!(
            "column {} of type {} cannot have this default: a time with zone before 1970 that is \
             kept in the table's metadata must be in whole seconds",
            quote(column),
            type_text(field_type)
        )));
    }
    if !is_in_range(kind, value) {
        return Err(refusal());
    }
    let again = default
        .clone()
        .try_into_json(field_type)
        .and_then(|json| Literal::try_from_json(json, field_type));
    match again {
        Ok(Some(again)) if again == *default => Ok(()),
        Ok(_) => Err(refusal()),
        Err(error) => Err(refusal().with_source(error)),
    }
}

/// The format crate writes values beyond these only with a panic.
fn is_in_range(kind: &PrimitiveType, value: &PrimitiveLiteral) -> bool {
    match (kind, value) {
        (PrimitiveType::Date, PrimitiveLiteral::Int(days)) => DAYS.contains(&i64::from(*days)),
        (PrimitiveType::Time, PrimitiveLiteral::Long(micros)) => (0..DAY_US).contains(micros),
        (PrimitiveType::Timestamp | PrimitiveType::Timestamptz, PrimitiveLiteral::Long(micros)) => {
            DAYS.contains(&micros.div_euclid(DAY_US))
        }
        (PrimitiveType::Decimal { precision, .. }, PrimitiveLiteral::Int128(value)) => 10_u128
            .checked_pow(*precision)
            .is_none_or(|limit| value.unsigned_abs() < limit),
        _ => true,
    }
}
