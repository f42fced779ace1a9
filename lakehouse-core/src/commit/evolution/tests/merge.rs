//! Columns that rows bring.

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};

use super::*;

fn merged(table: &TableMetadata, fields: Vec<Field>) -> Result<TableMetadata> {
    let operations = merge_schema(table, &ArrowSchema::new(fields))?;
    let updates = evolve(operations).updates(table)?;
    change::apply(table, &updates)
}

fn nested(fields: Vec<Field>) -> DataType {
    DataType::Struct(fields.into())
}

#[test]
fn missing_columns_are_added_and_narrow_ones_widened() {
    let table = table(FormatVersion::V2);
    let inner = nested(vec![
        Field::new("x", DataType::Int64, true),
        Field::new("z", DataType::Utf8, false),
    ]);
    let element = nested(vec![Field::new("more", DataType::Float64, false)]);
    let after = merged(
        &table,
        vec![
            Field::new("ID", DataType::Int32, true),
            Field::new("n", DataType::Int64, true),
            Field::new("price", DataType::Decimal128(9, 2), true),
            Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
            Field::new("point", inner, true),
            Field::new("tags", DataType::new_list(element.clone(), true), true),
            Field::new("new", DataType::new_list(element, false), false),
        ],
    );
    let after = after.unwrap();
    let schema = after.current_schema();
    let kind = |name: &str| type_text(schema.field_by_name(name).unwrap());
    fn type_text(field: &NestedField) -> String {
        crate::table::type_text(&field.field_type)
    }
    assert_eq!(kind("id"), "BIGINT");
    assert_eq!(kind("n"), "BIGINT");
    assert_eq!(kind("price"), "DECIMAL(9, 2)");
    assert_eq!(kind("at"), "TIMESTAMP");
    assert_eq!(kind("point"), "STRUCT<x: BIGINT, y: VARCHAR, z: VARCHAR>");
    assert_eq!(kind("tags"), "ARRAY<STRUCT<a: INT, more: DOUBLE>>");
    assert_eq!(kind("new"), "ARRAY<STRUCT<more: DOUBLE>>");
    // Rows that are there have none of it, and nothing else became optional or required.
    for name in ["new", "new.element", "new.element.more", "point.z"] {
        assert!(!schema.field_by_name(name).unwrap().required, "{name}");
    }
    assert!(schema.field_by_name("id").unwrap().required);
    assert_eq!(id_of(&after, "n"), id_of(&table, "n"));
}

#[test]
fn rows_that_fit_change_nothing() {
    let table = table(FormatVersion::V2);
    let arrow = crate::table::write_schema(table.current_schema()).unwrap();
    assert_eq!(merge_schema(&table, &arrow).unwrap(), []);
    assert_eq!(merge_schema(&table, &ArrowSchema::empty()).unwrap(), []);
}

#[test]
fn what_a_column_cannot_hold_nor_become_is_refused() {
    let table = table(FormatVersion::V2);
    for field in [
        Field::new("n", DataType::Utf8, true),
        Field::new("f", DataType::Int32, true),
        Field::new("price", DataType::Decimal128(9, 3), true),
        Field::new(
            "day",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            true,
        ),
        Field::new("point", DataType::Int32, true),
        Field::new(
            "name",
            nested(vec![Field::new("a", DataType::Int32, true)]),
            true,
        ),
    ] {
        let name = field.name().clone();
        let error = merged(&table, vec![field]).unwrap_err();
        assert_refused(
            &error,
            ErrorKind::InvalidInput,
            &format!("column \"{name}\""),
        );
    }
    let twice = vec![
        Field::new("n", DataType::Int32, true),
        Field::new("N", DataType::Int32, true),
    ];
    let error = merged(&table, twice).unwrap_err();
    assert_refused(&error, ErrorKind::InvalidInput, "twice");
    let v3 = super::table(FormatVersion::V3);
    let time = Field::new(
        "day",
        DataType::Timestamp(TimeUnit::Microsecond, None),
        true,
    );
    assert!(merged(&v3, vec![time]).is_ok());
}
