//! A predicate as a person writes it: columns by name, values as in SQL, long ones cut.

use std::fmt;

use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType, TableMetadata};

use super::predicate::{Comparison, Predicate};
use crate::table::calendar::DAY_US;
use crate::table::value_text::value_text as table_text;

/// Longer texts are cut: a list of values may have thousands.
const CHARS_MAX: usize = 200;
/// 0001-01-01 to 9999-12-31 in days since 1970: dates that the format crate writes.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// The text of a condition on a table's rows.
pub(crate) fn predicate_text(predicate: &Predicate, metadata: &TableMetadata) -> String {
    let text = Shown {
        predicate,
        metadata,
        is_inner: false,
    }
    .to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

struct Shown<'a> {
    predicate: &'a Predicate,
    metadata: &'a TableMetadata,
    /// Whether it is a part of another predicate.
    is_inner: bool,
}

impl Shown<'_> {
    fn name(&self, field_id: i32) -> String {
        let current = self.metadata.current_schema();
        let schemas = std::iter::once(current).chain(self.metadata.schemas_iter());
        let name = schemas
            .filter_map(|schema| schema.name_by_field_id(field_id))
            .next();
        name.map_or_else(|| format!("column {field_id}"), ToOwned::to_owned)
    }

    fn joined(&self, parts: &[Predicate], word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_inner {
            f.write_str("(")?;
        }
        for (index, predicate) in parts.iter().enumerate() {
            if index > 0 {
                write!(f, " {word} ")?;
            }
            let part = Shown {
                predicate,
                metadata: self.metadata,
                is_inner: true,
            };
            write!(f, "{part}")?;
        }
        if self.is_inner {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.predicate {
            Predicate::AlwaysTrue => f.write_str("all rows"),
            Predicate::AlwaysFalse => f.write_str("no row"),
            Predicate::And(parts) => self.joined(parts, "AND", f),
            Predicate::Or(parts) => self.joined(parts, "OR", f),
            Predicate::Compare {
                field_id,
                comparison,
                literal,
            } => {
                let (name, sign) = (self.name(*field_id), sign(*comparison));
                write!(f, "{name} {sign} {}", value_text(literal))
            }
            Predicate::In { field_id, literals } => {
                write!(f, "{} IN ({})", self.name(*field_id), list_text(literals))
            }
            Predicate::NotIn { field_id, literals } => {
                let name = self.name(*field_id);
                write!(f, "{name} NOT IN ({})", list_text(literals))
            }
            Predicate::IsNull { field_id } => write!(f, "{} IS NULL", self.name(*field_id)),
            Predicate::IsNotNull { field_id } => {
                write!(f, "{} IS NOT NULL", self.name(*field_id))
            }
            Predicate::StartsWith { field_id, prefix } => {
                let prefix = prefix.replace('\'', "''");
                write!(f, "{} LIKE '{prefix}%'", self.name(*field_id))
            }
            Predicate::Bucket {
                field_id,
                buckets,
                comparison,
                number,
            } => {
                let (name, sign) = (self.name(*field_id), sign(*comparison));
                write!(f, "bucket({buckets}, {name}) {sign} {number}")
            }
        }
    }
}

const fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "=",
        Comparison::NotEq => "<>",
        Comparison::Lt => "<",
        Comparison::LtEq => "<=",
        Comparison::Gt => ">",
        Comparison::GtEq => ">=",
    }
}

fn list_text(literals: &[Datum]) -> String {
    // What is cut anyway need not be written first.
    let texts: Vec<String> = literals.iter().take(CHARS_MAX).map(value_text).collect();
    texts.join(", ")
}

fn value_text(literal: &Datum) -> String {
    match literal.data_type() {
        PrimitiveType::Boolean
        | PrimitiveType::Int
        | PrimitiveType::Long
        | PrimitiveType::Float
        | PrimitiveType::Double
        | PrimitiveType::Decimal { .. } => literal.to_string(),
        PrimitiveType::String => {
            let text = literal.to_string();
            let inner = text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'));
            format!("'{}'", inner.unwrap_or(&text).replace('\'', "''"))
        }
        PrimitiveType::Date
        | PrimitiveType::Time
        | PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestamptzNs
            if !is_printable(literal) =>
        {
            format!("'{}'", table_text(literal.data_type(), literal.literal()))
        }
        _ => format!("'{literal}'"),
    }
}

/// Whether the format crate has a text for a date or time: it panics on far ones, and on times with
/// zone before 1970 that have a fraction of a second.
fn is_printable(literal: &Datum) -> bool {
    match (literal.data_type(), literal.literal()) {
        (PrimitiveType::Date, PrimitiveLiteral::Int(days)) => DAYS.contains(&i64::from(*days)),
        (PrimitiveType::Time, PrimitiveLiteral::Long(us)) => (0..DAY_US).contains(us),
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(us)) if *us < 0 => {
            us % 1_000_000 == 0 && DAYS.contains(&us.div_euclid(DAY_US))
        }
        (PrimitiveType::TimestamptzNs, PrimitiveLiteral::Long(ns)) => {
            *ns >= 0 || ns % 1_000_000_000 == 0
        }
        (_, PrimitiveLiteral::Long(us)) => DAYS.contains(&us.div_euclid(DAY_US)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use iceberg::spec::FormatVersion;

    use super::super::testing::{Lake, compare};
    use super::*;

    #[test]
    fn conditions_read_like_sql() {
        let table = Lake::new(FormatVersion::V2, &[]).empty_table();
        let metadata = table.metadata();
        let either = Predicate::Or(vec![
            compare(3, Comparison::GtEq, Datum::string("it's")),
            Predicate::IsNull { field_id: 3 },
        ]);
        let both = Predicate::And(vec![compare(1, Comparison::Lt, Datum::long(7)), either]);
        assert_eq!(
            predicate_text(&both, metadata),
            "id < 7 AND (name >= 'it''s' OR name IS NULL)"
        );
        assert_eq!(predicate_text(&Predicate::AlwaysTrue, metadata), "all rows");
    }

    #[test]
    fn far_dates_and_times_have_a_text() {
        assert_eq!(value_text(&Datum::date(1)), "'1970-01-02'");
        assert_eq!(value_text(&Datum::date(100_000_000)), "'275760-09-13'");
        for us in [i64::MIN, i64::MAX] {
            let text = value_text(&Datum::timestamptz_micros(us));
            assert!(text.contains('T') && text.ends_with("+00:00'"), "{text}");
        }
    }

    #[test]
    fn times_before_1970_have_a_text_to_the_fraction() {
        let half = value_text(&Datum::timestamptz_micros(-500_000));
        assert_eq!(half, "'1969-12-31T23:59:59.500000+00:00'");
        let tick = value_text(&Datum::timestamptz_nanos(-1));
        assert_eq!(tick, "'1969-12-31T23:59:59.999999999+00:00'");
        let whole = value_text(&Datum::timestamptz_micros(-1_000_000));
        assert_eq!(whole, "'1969-12-31 23:59:59 UTC'");
        let local = value_text(&Datum::timestamp_micros(-500_000));
        assert_eq!(local, "'1969-12-31 23:59:59.500'");
    }
}
