//! Defaults of columns.

use iceberg::spec::{Literal, PrimitiveLiteral};

use super::*;

const V3: FormatVersion = FormatVersion::V3;

fn with_default(name: &str, kind: PrimitiveType, default: Literal) -> SchemaOperation {
    SchemaOperation::Add(NewColumn {
        default: Some(default),
        required: true,
        ..NewColumn::new(name, primitive(kind))
    })
}

fn set_default(column: &str, default: Option<Literal>) -> SchemaOperation {
    SchemaOperation::SetWriteDefault {
        column: path(column),
        default,
    }
}

#[test]
fn a_required_column_has_a_default_for_old_rows_and_new_ones() {
    let operation = with_default("r", PrimitiveType::Int, Literal::int(5));
    let error = refused(&table(FormatVersion::V2), operation.clone());
    assert_refused(&error, ErrorKind::Unsupported, "format version 3");
    let after = evolved(&table(V3), vec![operation]);
    let field = after.current_schema().field_by_name("r").unwrap();
    assert_eq!(field.initial_default, Some(Literal::int(5)));
    assert_eq!(field.write_default, Some(Literal::int(5)));
    // What rows have that are there is never changed, what new ones get is.
    let after = evolved(&after, vec![set_default("r", Some(Literal::int(6)))]);
    let field = after.current_schema().field_by_name("r").unwrap();
    assert_eq!(field.initial_default, Some(Literal::int(5)));
    assert_eq!(field.write_default, Some(Literal::int(6)));
    let after = evolved(&after, vec![set_default("r", None)]);
    let field = after.current_schema().field_by_name("r").unwrap();
    assert_eq!(field.initial_default, Some(Literal::int(5)));
    assert_eq!(field.write_default, None);
}

#[test]
fn a_column_of_this_change_with_a_default_can_be_made_required() {
    let new = SchemaOperation::Add(NewColumn {
        default: Some(Literal::int(5)),
        ..NewColumn::new("r", primitive(PrimitiveType::Int))
    });
    let require = SchemaOperation::SetRequired { column: path("r") };
    let after = evolved(&table(V3), vec![new.clone(), require.clone()]);
    assert!(after.current_schema().field_by_name("r").unwrap().required);
    let later = evolved(&table(V3), vec![new]);
    assert_refused(
        &refused(&later, require),
        ErrorKind::InvalidInput,
        "may hold NULL",
    );
}

#[test]
fn defaults_are_widened_with_their_column() {
    use PrimitiveType as T;
    let widened = |from: T, default: Literal, to: T| {
        let after = evolved(
            &table(V3),
            vec![with_default("r", from, default), set_type("r", to)],
        );
        // What is written can be read again.
        let json = serde_json::to_string(&after).unwrap();
        let again: TableMetadata = serde_json::from_str(&json).unwrap();
        let field = again.current_schema().field_by_name("r").unwrap();
        assert_eq!(field.initial_default, field.write_default);
        field.initial_default.clone().unwrap()
    };
    assert_eq!(
        widened(T::Int, Literal::int(-3), T::Long),
        Literal::long(-3)
    );
    assert_eq!(
        widened(T::Float, Literal::float(1.5), T::Double),
        Literal::double(1.5)
    );
    assert_eq!(
        widened(T::Date, Literal::date(-1), T::Timestamp),
        Literal::timestamp(-86_400_000_000)
    );
    let decimal = |precision| T::Decimal {
        precision,
        scale: 2,
    };
    assert_eq!(
        widened(decimal(5), Literal::decimal(-125), decimal(9)),
        Literal::decimal(-125)
    );
    // The format crate does not read defaults of nanoseconds again.
    let change = evolve(vec![
        with_default("r", T::Date, Literal::date(1)),
        set_type("r", T::TimestampNs),
    ]);
    let error = change.updates(&table(V3)).unwrap_err();
    assert_refused(&error, ErrorKind::Unsupported, "default");
}

#[test]
fn what_cannot_be_kept_or_is_no_value_is_refused() {
    use PrimitiveType as T;
    let table = table(V3);
    for (kind, default) in [
        (T::Double, Literal::double(f64::NAN)),
        (T::Date, Literal::date(i32::MAX)),
        (T::Date, Literal::date(i32::MIN)),
        (T::Timestamp, Literal::timestamp(i64::MAX)),
        (T::Timestamptz, Literal::timestamptz(i64::MIN)),
        (T::Time, Literal::time(-1)),
        (
            T::TimestampNs,
            Literal::Primitive(PrimitiveLiteral::Long(1)),
        ),
        (T::Fixed(2), Literal::fixed(vec![1])),
        (
            T::Decimal {
                precision: 3,
                scale: 0,
            },
            Literal::decimal(1000),
        ),
    ] {
        let error = refused(&table, with_default("r", kind.clone(), default));
        assert_refused(&error, ErrorKind::Unsupported, "cannot have this default");
    }
    let error = refused(&table, with_default("r", T::Int, Literal::string("five")));
    assert_refused(&error, ErrorKind::InvalidInput, "is no INT");
    let error = refused(&table, set_default("point", Some(Literal::int(1))));
    assert_refused(&error, ErrorKind::Unsupported, "nested");
}
