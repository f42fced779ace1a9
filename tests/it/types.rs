//! The table of `docs/types.md`, each row held against what tables really do.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch, new_null_array};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use iceberg::spec::{PrimitiveType, Type};
use lakehouse::ErrorKind;

use crate::lake::TestLake;

const DOCUMENT: &str = include_str!("../../docs/types.md");
const NONE: &str = "–";

/// A row of the document's table.
struct Row<'a> {
    iceberg: &'a str,
    sql: Vec<&'a str>,
    written: Vec<&'a str>,
    read: &'a str,
    shown: &'a str,
    format: u8,
}

fn rows() -> Vec<Row<'static>> {
    let lines = DOCUMENT
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [iceberg, sql, written, read, shown, format] = cells.as_slice() else {
                panic!("a row has six cells: {line}");
            };
            Row {
                iceberg: code(iceberg),
                sql: codes(sql),
                written: codes(written),
                read: code(read),
                shown: code(shown),
                format: format.parse().unwrap(),
            }
        })
        .collect()
}

/// What stands between backticks.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

fn spaceless(text: &str) -> String {
    text.replace(' ', "")
}

/// The column of a table as the document writes it: Iceberg type, Arrow type, shown type.
async fn column(lake: &TestLake, table: &str) -> [String; 3] {
    let loaded = lake.lake.table(table).await.unwrap();
    let iceberg = type_name(&loaded.schema().as_struct().fields()[0].field_type);
    let rows = lake
        .session
        .sql(&format!("SELECT * FROM {table}"))
        .await
        .unwrap();
    let arrow = rows.schema().field(0).data_type().to_string();
    rows.collect().await.unwrap();
    let shown = lake.one(&format!("SHOW COLUMNS IN {table}")).await;
    let shown = shown.split('|').nth(1).unwrap().to_owned();
    [iceberg, arrow, shown]
}

/// An Iceberg type as the format's specification writes it.
fn type_name(field_type: &Type) -> String {
    match field_type {
        Type::Primitive(PrimitiveType::Fixed(length)) => format!("fixed[{length}]"),
        Type::Primitive(primitive) => primitive.to_string(),
        Type::List(list) => format!("list<{}>", type_name(&list.element_field.field_type)),
        Type::Map(map) => {
            let key = type_name(&map.key_field.field_type);
            format!("map<{key},{}>", type_name(&map.value_field.field_type))
        }
        Type::Struct(fields) => {
            let fields = fields.fields().iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{}:{}", field.name, type_name(&field.field_type)))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
    }
}

/// One value and one NULL of a type, or two NULLs.
fn values(data_type: &DataType) -> ArrayRef {
    // Thousands, so that nothing is lost when nanoseconds become microseconds.
    let number = Int32Array::from(vec![Some(1_000), None]);
    let small = Int32Array::from(vec![Some(1), None]);
    let is_time = matches!(data_type, DataType::Timestamp(..));
    let number = if is_time { number } else { small };
    if can_cast_types(&DataType::Int32, data_type)
        && let Ok(values) = cast(&number, data_type)
    {
        return values;
    }
    new_null_array(data_type, 2)
}

/// The few nested types whose printed form Arrow does not read back.
fn arrow_type(text: &str) -> DataType {
    let item = |name: &str| Arc::new(Field::new(name, DataType::Int32, true));
    match text {
        "List(Int32)" => DataType::List(item("item")),
        "LargeList(Int32)" => DataType::LargeList(item("item")),
        "FixedSizeList(2 x Int32)" => DataType::FixedSizeList(item("item"), 2),
        r#"Struct("a": Int32, "b": Utf8)"# => DataType::Struct(
            vec![
                Field::new("a", DataType::Int32, true),
                Field::new("b", DataType::Utf8, true),
            ]
            .into(),
        ),
        other => other
            .parse()
            .unwrap_or_else(|error| panic!("{other}: {error}")),
    }
}

/// A map prints its entries' names; the document does not.
fn is_same_arrow(row: &Row<'_>, actual: &str) -> bool {
    let expected = match row.read {
        "Map(Utf8, Int32)" => {
            return actual.starts_with("Map(")
                && actual.contains("Utf8")
                && actual.contains("Int32");
        }
        other => other,
    };
    spaceless(&expected.replace(", ", ",")) == spaceless(&actual.replace(", field: 'element'", ""))
}

fn compare(row: &Row<'_>, from: &str, column: &[String; 3], wrong: &mut Vec<String>) {
    let [iceberg, arrow, shown] = column;
    if spaceless(row.iceberg) != spaceless(iceberg) {
        wrong.push(format!("{from}: {iceberg} in Iceberg, not {}", row.iceberg));
    }
    if !is_same_arrow(row, arrow) {
        wrong.push(format!("{from}: read as {arrow}, not {}", row.read));
    }
    if row.shown != shown {
        wrong.push(format!("{from}: shown as {shown}, not {}", row.shown));
    }
}

#[tokio::test]
async fn every_sql_type_is_as_documented() {
    let lake = TestLake::memory().await;
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        for (spelling, sql) in row.sql.iter().enumerate() {
            let table = format!("sql_{number}_{spelling}");
            let format = if row.iceberg == NONE { 2 } else { row.format };
            let create = format!(
                "CREATE TABLE {table} (c {sql}) TBLPROPERTIES ('format-version' = '{format}')"
            );
            match (lake.try_rows(&create).await, row.iceberg) {
                (Ok(_), NONE) => wrong.push(format!("{sql}: is not refused")),
                (Ok(_), _) => compare(row, sql, &column(&lake, &table).await, &mut wrong),
                (Err(error), NONE) => {
                    if !matches!(
                        error.kind(),
                        ErrorKind::Unsupported | ErrorKind::InvalidInput
                    ) {
                        wrong.push(format!("{sql}: refused as {}: {error}", error.kind()));
                    }
                }
                (Err(error), _) => wrong.push(format!("{sql}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "docs/types.md:\n{}", wrong.join("\n"));
}

/// Processors give NaN a sign, which other writers keep in their files.
#[tokio::test]
async fn nan_with_a_sign_in_files_is_the_one_nan() {
    let lake = TestLake::folder().await;
    let floats = vec![-f64::NAN, f64::NAN, -1.0, f64::INFINITY];
    let narrow = vec![-f32::NAN, f32::NAN, -1.0, f32::INFINITY];
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        ("d", Arc::new(Float64Array::from(floats))),
        ("f", Arc::new(Float32Array::from(narrow))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    // As they are: `register_batches` would give them the one NaN.
    let rows = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    let schema = MemorySchemaProvider::new();
    schema
        .register_table("rows".to_owned(), Arc::new(rows))
        .unwrap();
    let given = MemoryCatalogProvider::new();
    given.register_schema("s", Arc::new(schema)).unwrap();
    let context = lake.session.context();
    context.register_catalog("given", Arc::new(given));
    for partitioned in ["", "PARTITIONED BY (d)"] {
        lake.run(&format!(
            "CREATE TABLE t (id INT, d DOUBLE, f FLOAT, s STRUCT<d: DOUBLE>) {partitioned}; \
             INSERT INTO t SELECT id, d, f, named_struct('d', d) FROM given.s.rows"
        ))
        .await;
        for below in ["d < 0", "f < 0", "s['d'] < 0"] {
            let found = lake.rows(&format!("SELECT id FROM t WHERE {below}")).await;
            assert_eq!(found, ["3"], "{below} {partitioned}");
        }
        for nan in [
            "d = CAST('NaN' AS DOUBLE)",
            "f = CAST('NaN' AS FLOAT)",
            "s['d'] > CAST('inf' AS DOUBLE)",
        ] {
            let found = lake.sorted(&format!("SELECT id FROM t WHERE {nan}")).await;
            assert_eq!(found, ["1", "2"], "{nan} {partitioned}");
        }
        let groups = lake
            .rows("SELECT d, count(*) FROM t GROUP BY d ORDER BY d")
            .await;
        assert_eq!(groups, ["-1.0|1", "inf|1", "NaN|2"], "{partitioned}");
        lake.run("DELETE FROM t WHERE d < 0; UPDATE t SET id = 0 WHERE d > CAST('inf' AS DOUBLE)")
            .await;
        let left = lake.rows("SELECT id, f FROM t ORDER BY d, id").await;
        assert_eq!(left, ["4|inf", "0|NaN", "0|NaN"], "{partitioned}");
        lake.run("DROP TABLE t").await;
    }
}

#[tokio::test]
async fn every_arrow_type_is_as_documented() {
    let lake = TestLake::memory().await;
    let mut wrong = Vec::new();
    for (number, row) in rows().iter().enumerate() {
        for (position, text) in row.written.iter().enumerate() {
            let data_type = arrow_type(text);
            let schema = Arc::new(Schema::new(vec![Field::new("c", data_type.clone(), true)]));
            let batch = RecordBatch::try_new(schema, vec![values(&data_type)]).unwrap();
            let (source, table) = (
                format!("source_{number}_{position}"),
                format!("arrow_{number}_{position}"),
            );
            lake.session
                .register_batches(&source, vec![batch])
                .await
                .unwrap();
            let create = format!(
                "CREATE TABLE {table} TBLPROPERTIES ('format-version' = '{}') \
                 AS SELECT * FROM {source}",
                row.format
            );
            match (lake.try_rows(&create).await, row.iceberg) {
                (Ok(_), NONE) => wrong.push(format!("{text}: is not refused")),
                (Ok(_), _) => compare(row, text, &column(&lake, &table).await, &mut wrong),
                (Err(error), NONE) => {
                    if error.kind() != ErrorKind::Unsupported {
                        wrong.push(format!("{text}: refused as {}: {error}", error.kind()));
                    }
                }
                (Err(error), _) => wrong.push(format!("{text}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "docs/types.md:\n{}", wrong.join("\n"));
}
