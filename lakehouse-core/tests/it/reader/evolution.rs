//! Files that are older than the table's schema, or were written by somebody else.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::spec::{
    ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, Struct,
    StructType, Transform, Type, UnboundPartitionSpec,
};
use lakehouse_core::error::ErrorKind;
use parquet::file::properties::WriterProperties;

use super::handmade::HandMade;

pub(super) fn optional(id: i32, name: &str, kind: PrimitiveType) -> NestedFieldRef {
    NestedField::optional(id, name, Type::Primitive(kind)).into()
}

pub(super) fn schema(fields: Vec<NestedFieldRef>) -> Schema {
    Schema::builder().with_fields(fields).build().unwrap()
}

pub(super) fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields = columns.iter().enumerate().map(|(position, column)| {
        Field::new(format!("c{position}"), column.data_type().clone(), true)
    });
    let schema = ArrowSchema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn two_columns() -> (HandMade, RecordBatch) {
    let made = HandMade::new(schema(vec![
        optional(1, "id", PrimitiveType::Int),
        optional(2, "name", PrimitiveType::String),
    ]));
    let rows = batch(vec![
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
    ]);
    (made, rows)
}

#[tokio::test]
async fn s01_a_renamed_column_is_filtered_in_old_files() {
    let (mut made, rows) = two_columns();
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    // The two names are swapped: a reader that goes by name reads the wrong column.
    made.evolve(schema(vec![
        optional(1, "name", PrimitiveType::Int),
        optional(2, "id", PrimitiveType::String),
    ]));
    assert_eq!(made.rows("SELECT id FROM t WHERE name > 2").await, ["c"]);
    assert_eq!(made.rows("SELECT name FROM t WHERE id = 'a'").await, ["1"]);
    assert_eq!(
        made.rows("SELECT name FROM t WHERE id IS NULL").await,
        ["2"]
    );
}

#[tokio::test]
async fn s03_a_column_dropped_and_added_again_has_no_old_values() {
    let (mut made, rows) = two_columns();
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    made.evolve(schema(vec![
        optional(1, "id", PrimitiveType::Int),
        optional(3, "name", PrimitiveType::String),
    ]));
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    assert_eq!(
        made.rows("SELECT id, name FROM t").await,
        ["1|-", "1|a", "2|-", "2|-", "3|-", "3|c"]
    );
    assert_eq!(made.rows("SELECT id FROM t WHERE name = 'a'").await, ["1"]);
    assert_eq!(
        made.rows("SELECT count(*) FROM t WHERE name IS NULL").await,
        ["4"]
    );
    assert_eq!(
        made.rows("SELECT count(name), count(*) FROM t").await,
        ["2|6"]
    );
}

#[tokio::test]
async fn m10_promoted_columns_are_read_and_pruned() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "i", PrimitiveType::Int),
        optional(2, "f", PrimitiveType::Float),
        optional(
            3,
            "d",
            PrimitiveType::Decimal {
                precision: 5,
                scale: 2,
            },
        ),
    ]));
    let decimals: ArrayRef = Arc::new(
        arrow::array::Decimal128Array::from(vec![125, -250])
            .with_precision_and_scale(5, 2)
            .unwrap(),
    );
    let rows = batch(vec![
        Arc::new(Int32Array::from(vec![7, -8])),
        Arc::new(Float32Array::from(vec![1.5, -2.5])),
        decimals,
    ]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    made.evolve(schema(vec![
        optional(1, "i", PrimitiveType::Long),
        optional(2, "f", PrimitiveType::Double),
        optional(
            3,
            "d",
            PrimitiveType::Decimal {
                precision: 20,
                scale: 2,
            },
        ),
    ]));
    assert_eq!(
        made.rows("SELECT * FROM t").await,
        ["-8|-2.5|-2.50", "7|1.5|1.25"]
    );
    assert_eq!(made.rows("SELECT i FROM t WHERE i = 7").await, ["7"]);
    assert_eq!(
        made.rows("SELECT i FROM t WHERE i < 9999999999")
            .await
            .len(),
        2
    );
    assert_eq!(made.rows("SELECT i FROM t WHERE f = 1.5").await, ["7"]);
    assert_eq!(made.rows("SELECT i FROM t WHERE d < 0").await, ["-8"]);
    assert_eq!(made.rows("SELECT max(i), min(i) FROM t").await, ["7|-8"]);
}

#[tokio::test]
async fn m08_a_changed_scale_is_refused() {
    let decimal = |precision, scale| PrimitiveType::Decimal { precision, scale };
    let mut made = HandMade::new(schema(vec![optional(1, "d", decimal(5, 2))]));
    let digits = arrow::array::Decimal128Array::from(vec![125]);
    let rows = batch(vec![Arc::new(
        digits.with_precision_and_scale(5, 2).unwrap(),
    )]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    made.evolve(schema(vec![optional(1, "d", decimal(7, 3))]));
    let error = made.error("SELECT d FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("\"d\""), "{error}");
}

#[tokio::test]
async fn added_columns_take_their_default_and_required_ones_need_one() {
    let (mut made, rows) = two_columns();
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    let with_default = NestedField::optional(3, "n", Type::Primitive(PrimitiveType::Long))
        .with_initial_default(Literal::long(42));
    made.evolve(schema(vec![
        with_default.into(),
        optional(1, "id", PrimitiveType::Int),
    ]));
    assert_eq!(
        made.rows("SELECT n, id FROM t WHERE n = 42").await,
        ["42|1", "42|2", "42|3"]
    );
    assert_eq!(made.rows("SELECT n FROM t WHERE n <> 42").await.len(), 0);
    assert_eq!(made.rows("SELECT sum(n) FROM t").await, ["126"]);
    made.evolve(schema(vec![
        NestedField::required(4, "must", Type::Primitive(PrimitiveType::Long)).into(),
        optional(1, "id", PrimitiveType::Int),
    ]));
    assert_eq!(made.rows("SELECT count(id) FROM t").await, ["3"]);
    let error = made.error("SELECT must FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("\"must\""), "{error}");
}

fn struct_field(id: i32, name: &str, fields: Vec<NestedFieldRef>) -> NestedFieldRef {
    NestedField::optional(id, name, Type::Struct(StructType::new(fields))).into()
}

fn list_field(id: i32, name: &str, element: NestedFieldRef) -> NestedFieldRef {
    NestedField::optional(id, name, Type::List(ListType::new(element))).into()
}

#[tokio::test]
async fn s03_nested_fields_are_found_by_id() {
    let element = |fields| -> NestedFieldRef {
        NestedField::list_element(4, Type::Struct(StructType::new(fields)), false).into()
    };
    let map = |value: PrimitiveType| -> NestedFieldRef {
        let key = NestedField::map_key_element(7, Type::Primitive(PrimitiveType::String));
        let value = NestedField::map_value_element(8, Type::Primitive(value), false);
        let map = MapType::new(key.into(), value.into());
        NestedField::optional(3, "m", Type::Map(map)).into()
    };
    let mut made = HandMade::new(schema(vec![
        optional(1, "id", PrimitiveType::Int),
        list_field(
            2,
            "l",
            element(vec![
                optional(5, "a", PrimitiveType::Int),
                optional(6, "b", PrimitiveType::String),
            ]),
        ),
        map(PrimitiveType::Int),
    ]));
    let rows = nested_rows();
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    assert_eq!(
        made.rows("SELECT * FROM t").await,
        ["1|[{a: 1, b: x}, {a: 2, b: y}]|{k: 5}", "2|-|{}"]
    );
    // `b` is dropped, `a` renamed to it and promoted, and a new `a` added in front.
    made.evolve(schema(vec![
        optional(1, "id", PrimitiveType::Int),
        list_field(
            2,
            "l",
            element(vec![
                optional(9, "a", PrimitiveType::String),
                optional(5, "b", PrimitiveType::Long),
            ]),
        ),
        map(PrimitiveType::Long),
    ]));
    assert_eq!(
        made.rows("SELECT * FROM t").await,
        ["1|[{a: -, b: 1}, {a: -, b: 2}]|{k: 5}", "2|-|{}"]
    );
    assert_eq!(
        made.rows("SELECT l[1]['b'] + 1, arrow_typeof(l[1]['b']) FROM t WHERE id = 1")
            .await,
        ["2|Int64"]
    );
}

fn nested_rows() -> RecordBatch {
    let fields: Fields = vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Utf8, true),
    ]
    .into();
    let structs = StructArray::new(
        fields.clone(),
        vec![
            Arc::new(Int32Array::from(vec![1, 2])),
            Arc::new(StringArray::from(vec!["x", "y"])),
        ],
        None,
    );
    let list = ListArray::new(
        Arc::new(Field::new("element", DataType::Struct(fields), true)),
        OffsetBuffer::from_lengths([2, 0]),
        Arc::new(structs),
        Some(vec![true, false].into()),
    );
    let entries: Fields = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Int32, true),
    ]
    .into();
    let inner = StructArray::new(
        entries.clone(),
        vec![
            Arc::new(StringArray::from(vec!["k"])),
            Arc::new(Int32Array::from(vec![5])),
        ],
        None,
    );
    let map = MapArray::new(
        Arc::new(Field::new("key_value", DataType::Struct(entries), false)),
        OffsetBuffer::from_lengths([1, 0]),
        inner,
        None,
        false,
    );
    batch(vec![
        Arc::new(Int32Array::from(vec![1, 2])),
        Arc::new(list),
        Arc::new(map),
    ])
}

#[tokio::test]
async fn structs_gain_lose_and_reorder_fields() {
    let mut made = HandMade::new(schema(vec![struct_field(
        1,
        "s",
        vec![
            optional(2, "x", PrimitiveType::Int),
            optional(3, "y", PrimitiveType::String),
        ],
    )]));
    let fields: Fields = vec![
        Field::new("x", DataType::Int32, true),
        Field::new("y", DataType::Utf8, true),
    ]
    .into();
    let structs = StructArray::new(
        fields,
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec![Some("p"), None])),
        ],
        Some(vec![true, false].into()),
    );
    let file = made.write(&batch(vec![Arc::new(structs)]), WriterProperties::default());
    made.commit(vec![file]).await;
    let added = NestedField::optional(4, "z", Type::Primitive(PrimitiveType::Int))
        .with_initial_default(Literal::int(9));
    made.evolve(schema(vec![struct_field(
        1,
        "s",
        vec![
            optional(3, "why", PrimitiveType::String),
            added.into(),
            optional(2, "x", PrimitiveType::Int),
        ],
    )]));
    assert_eq!(
        made.rows("SELECT s FROM t").await,
        ["-", "{why: p, z: 9, x: 1}"]
    );
    assert_eq!(
        made.rows("SELECT s['why'] FROM t WHERE s['x'] = 1").await,
        ["p"]
    );
}

#[tokio::test]
async fn t10_identity_partition_values_stand_in_for_missing_columns() {
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "p", Transform::Identity)
        .unwrap()
        .build();
    let mut made = HandMade::partitioned(
        schema(vec![
            optional(1, "id", PrimitiveType::Int),
            optional(2, "p", PrimitiveType::String),
        ]),
        spec,
    );
    let mut files = Vec::new();
    for (id, value) in [(1, Some(Literal::string("de"))), (2, None)] {
        let field = Field::new("id", DataType::Int32, true)
            .with_metadata([("PARQUET:field_id".to_owned(), "1".to_owned())].into());
        let rows = RecordBatch::try_new(
            Arc::new(ArrowSchema::new(vec![field])),
            vec![Arc::new(Int32Array::from(vec![id]))],
        )
        .unwrap();
        let mut file = made.write_as_it_is(&rows, WriterProperties::default());
        file.partition = Struct::from_iter([value]);
        files.push(file);
    }
    made.commit(files).await;
    assert_eq!(made.rows("SELECT id, p FROM t").await, ["1|de", "2|-"]);
    assert_eq!(made.rows("SELECT id FROM t WHERE p = 'de'").await, ["1"]);
    assert_eq!(made.rows("SELECT id FROM t WHERE p IS NULL").await, ["2"]);
    assert_eq!(made.rows("SELECT p FROM t WHERE p LIKE 'd%'").await, ["de"]);
    assert_eq!(made.rows("SELECT count(p), max(p) FROM t").await, ["1|de"]);
}

#[tokio::test]
async fn t11_a_default_partition_folder_of_hive_reads_as_null() {
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "p", Transform::Identity)
        .unwrap()
        .add_partition_field(3, "day", Transform::Identity)
        .unwrap()
        .build();
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Int),
        optional(2, "p", PrimitiveType::String),
        optional(3, "day", PrimitiveType::Date),
    ]);
    let mut made = HandMade::partitioned(columns, spec);
    made.set_property(
        "schema.name-mapping.default",
        r#"[{"field-id": 1, "names": ["id"]}, {"field-id": 2, "names": ["p"]},
            {"field-id": 3, "names": ["day"]}]"#,
    );
    // As an import leaves them: files without ids and without the columns of their folders, whose
    // values stand in the manifest.
    let none = "__HIVE_DEFAULT_PARTITION__";
    let folders = [
        (1, None, None),
        (2, Some("x"), None),
        (3, None, Some(19_000)),
    ];
    let mut files = Vec::new();
    for (id, p, day) in folders {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![id]));
        let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let mut file = made.write_as_it_is(&rows, WriterProperties::default());
        let folder = format!(
            "p={}/day={}",
            p.unwrap_or(none),
            day.map_or(none, |_| "2022-01-08")
        );
        let path = made.path(&format!("{folder}/00000_0.parquet"));
        std::fs::create_dir_all(made.path(&folder)).unwrap();
        std::fs::rename(&file.path, &path).unwrap();
        file.path = path;
        file.partition = Struct::from_iter([p.map(Literal::string), day.map(Literal::date)]);
        files.push(file);
    }
    made.commit(files).await;
    assert_eq!(
        made.rows("SELECT id, p, day FROM t").await,
        ["1|-|-", "2|x|-", "3|-|2022-01-08"]
    );
    for (condition, ids) in [
        ("p IS NULL", vec!["1", "3"]),
        ("day IS NULL", vec!["1", "2"]),
        ("p IS NULL AND day IS NULL", vec!["1"]),
        ("p IS NOT NULL OR day IS NOT NULL", vec!["2", "3"]),
        ("p = '__HIVE_DEFAULT_PARTITION__'", vec![]),
        ("p <> 'x'", vec![]),
        ("p IS DISTINCT FROM 'x'", vec!["1", "3"]),
    ] {
        let sql = format!("SELECT id FROM t WHERE {condition}");
        assert_eq!(made.rows(&sql).await, ids, "{condition}");
    }
    let sql = "SELECT p, count(*) FROM t GROUP BY p";
    assert_eq!(made.rows(sql).await, ["-|2", "x|1"]);
}

#[tokio::test]
async fn files_without_ids_go_by_name_mapping_or_position() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "a", PrimitiveType::Int),
        optional(2, "b", PrimitiveType::Int),
    ]));
    let rows = RecordBatch::try_from_iter([
        ("old_b", Arc::new(Int32Array::from(vec![20])) as ArrayRef),
        ("a", Arc::new(Int32Array::from(vec![10]))),
    ])
    .unwrap();
    let file = made.write_as_it_is(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    assert_eq!(made.rows("SELECT a, b FROM t").await, ["20|10"]);
    made.set_property(
        "schema.name-mapping.default",
        r#"[{"field-id": 1, "names": ["a"]}, {"field-id": 2, "names": ["b", "old_b"]}]"#,
    );
    assert_eq!(
        made.rows("SELECT a, b FROM t WHERE b = 20").await,
        ["10|20"]
    );
}

#[tokio::test]
async fn times_with_zone_keep_their_instant() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "tz", PrimitiveType::Timestamptz),
        optional(2, "ts", PrimitiveType::Timestamp),
    ]));
    let us = 1_700_000_000_000_000;
    let with_id = |field: Field, id: &str| {
        field.with_metadata([("PARQUET:field_id".to_owned(), id.to_owned())].into())
    };
    let zoned = TimestampMicrosecondArray::from(vec![us]).with_timezone("America/New_York");
    let millis = arrow::array::TimestampMillisecondArray::from(vec![us / 1_000]);
    let rows = RecordBatch::try_new(
        Arc::new(ArrowSchema::new(vec![
            with_id(
                Field::new("tz", arrow::array::Array::data_type(&zoned).clone(), true),
                "1",
            ),
            with_id(
                Field::new("ts", arrow::array::Array::data_type(&millis).clone(), true),
                "2",
            ),
        ])),
        vec![Arc::new(zoned), Arc::new(millis)],
    )
    .unwrap();
    let file = made.write_as_it_is(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    assert_eq!(
        made.rows("SELECT tz, ts FROM t WHERE tz = TIMESTAMP '2023-11-14T22:13:20Z'")
            .await,
        ["2023-11-14T22:13:20Z|2023-11-14T22:13:20"]
    );
    assert_eq!(
        made.rows("SELECT count(*) FROM t WHERE ts >= TIMESTAMP '2023-11-14 22:13:20'")
            .await,
        ["1"]
    );
    let days = "SELECT count(*) FROM t WHERE CAST(ts AS DATE) = DATE '2023-11-14'";
    assert_eq!(made.rows(days).await, ["1"]);
}

#[tokio::test]
async fn required_columns_with_null_are_an_error() {
    let mut made = HandMade::new(schema(vec![optional(1, "id", PrimitiveType::Long)]));
    let rows = batch(vec![Arc::new(Int64Array::from(vec![Some(1), None]))]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    made.evolve(schema(vec![
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
    ]));
    let error = made.error("SELECT id FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("file:"), "{error}");
}
