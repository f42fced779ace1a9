//! Each type of the format in each form that files store it in.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    StructArray, Time64MicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::spec::{
    ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveType, Struct, StructType,
    Type,
};
use lakehouse_core::error::ErrorKind;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
    Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type as ParquetType;

use super::evolution::{batch, optional, schema};
use super::handmade::HandMade;

const DAY_US: i64 = 86_400_000_000;

fn leaf(
    name: &str,
    id: i32,
    physical: PhysicalType,
) -> parquet::schema::types::PrimitiveTypeBuilder<'_> {
    ParquetType::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_id(Some(id))
}

/// Writes one row group whose columns are written by `columns`, in order.
macro_rules! write_columns {
    ($file:expr, $fields:expr, $($kind:ty => $values:expr),+ $(,)?) => {{
        let root = ParquetType::group_type_builder("root")
            .with_fields($fields.into_iter().map(|f| Arc::new(f.build().unwrap())).collect())
            .build()
            .unwrap();
        let mut writer =
            SerializedFileWriter::new($file, Arc::new(root), Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        $(
            let mut column = group.next_column().unwrap().unwrap();
            let values = $values;
            let levels = vec![1; values.len()];
            column.typed::<$kind>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
        )+
        group.close().unwrap();
        writer.close().unwrap();
    }};
}

#[tokio::test]
async fn decimals_are_read_from_every_physical_type() {
    let kinds = [(9, 2), (18, 2), (38, 2), (38, 2)];
    let fields = kinds.iter().zip(1..).map(|((precision, scale), id)| {
        let kind = PrimitiveType::Decimal {
            precision: *precision,
            scale: *scale,
        };
        optional(id, &format!("d{id}"), kind)
    });
    let mut made = HandMade::new(schema(fields.collect()));
    let decimal = |name, id, physical, precision| {
        leaf(name, id, physical)
            .with_logical_type(Some(LogicalType::Decimal {
                scale: 2,
                precision,
            }))
            .with_converted_type(ConvertedType::DECIMAL)
            .with_precision(precision)
            .with_scale(2)
    };
    let fixed = |value: i128| FixedLenByteArray::from(value.to_be_bytes().to_vec());
    let bytes = |value: i16| ByteArray::from(value.to_be_bytes().to_vec());
    let write = |file: File| {
        write_columns!(
            file,
            [
                decimal("d1", 1, PhysicalType::INT32, 9),
                decimal("d2", 2, PhysicalType::INT64, 18),
                decimal("d3", 3, PhysicalType::FIXED_LEN_BYTE_ARRAY, 38).with_length(16),
                decimal("d4", 4, PhysicalType::BYTE_ARRAY, 38),
            ],
            Int32Type => vec![-125, 1],
            Int64Type => vec![-125_i64, 1],
            FixedLenByteArrayType => vec![fixed(-125), fixed(1)],
            ByteArrayType => vec![bytes(-125), bytes(1)],
        );
    };
    let rows = batch(vec![Arc::new(Int32Array::from(vec![0, 0]))]);
    let file = made.write_by(&rows, write);
    made.commit(vec![file]).await;
    assert_eq!(
        made.rows("SELECT * FROM t").await,
        ["-1.25|-1.25|-1.25|-1.25", "0.01|0.01|0.01|0.01"]
    );
    for column in ["d1", "d2", "d3", "d4"] {
        let query = format!("SELECT d1 FROM t WHERE {column} = -1.25 AND {column} < 0");
        assert_eq!(made.rows(&query).await, ["-1.25"], "{column}");
    }
}

/// A moment as INT96: nanoseconds of the day and the Julian day.
fn int96(us: i64) -> Int96 {
    const EPOCH_JULIAN: i64 = 2_440_588;
    let day = us.div_euclid(DAY_US);
    let nanos = us.rem_euclid(DAY_US).unsigned_abs() * 1_000;
    let mut value = Int96::new();
    let julian = u32::try_from(day + EPOCH_JULIAN).unwrap();
    let word = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap();
    value.set_data(word(nanos), word(nanos >> 32), julian);
    value
}

#[tokio::test]
async fn int96_times_are_read_for_every_date_and_never_pruned() {
    let moments = [
        ("0001-01-01T00:00:00.000001", -62_135_596_799_999_999),
        ("1969-12-31T23:59:59.999999", -1),
        ("1970-01-01T00:00:00", 0),
        ("9999-12-31T23:59:59.999999", 253_402_300_799_999_999),
    ];
    let mut made = HandMade::new(schema(vec![
        optional(1, "ts", PrimitiveType::Timestamp),
        optional(2, "tz", PrimitiveType::Timestamptz),
    ]));
    let write = |file: File| {
        let values: Vec<Int96> = moments.iter().map(|(_, us)| int96(*us)).collect();
        write_columns!(
            file,
            [leaf("ts", 1, PhysicalType::INT96), leaf("tz", 2, PhysicalType::INT96)],
            Int96Type => values.clone(),
            Int96Type => values,
        );
    };
    let rows = batch(vec![Arc::new(Int32Array::from(vec![0; 4]))]);
    let file = made.write_by(&rows, write);
    made.commit(vec![file]).await;
    let expected: Vec<String> = moments
        .iter()
        .map(|(text, _)| format!("{text}|{text}Z"))
        .collect();
    assert_eq!(made.rows("SELECT ts, tz FROM t").await, expected);
    for (text, us) in moments {
        let query = format!(
            "SELECT ts FROM t WHERE ts = arrow_cast({us}, 'Timestamp(Microsecond, None)') \
             AND tz = arrow_cast({us}, 'Timestamp(Microsecond, Some(\"+00:00\"))')"
        );
        assert_eq!(made.rows(&query).await, [text]);
    }
}

#[tokio::test]
async fn plain_types_are_read_and_filtered() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "u", PrimitiveType::Uuid),
        optional(2, "f", PrimitiveType::Fixed(3)),
        optional(3, "b", PrimitiveType::Binary),
        optional(4, "t", PrimitiveType::Time),
        optional(5, "n", PrimitiveType::TimestampNs),
        optional(6, "z", PrimitiveType::TimestamptzNs),
    ]));
    let sized = |values: [&[u8]; 2]| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_iter(values.into_iter()).unwrap())
    };
    let nanos = [-1_i64, 1_700_000_000_123_456_789];
    let rows = batch(vec![
        sized([&[0; 16], &[0xff; 16]]),
        sized([b"abc", b"xyz"]),
        Arc::new(BinaryArray::from(vec![b"".as_slice(), b"\xff\x00"])),
        Arc::new(Time64MicrosecondArray::from(vec![0, 86_399_999_999])),
        Arc::new(TimestampNanosecondArray::from(nanos.to_vec())),
        Arc::new(TimestampNanosecondArray::from(nanos.to_vec()).with_timezone("+00:00")),
    ]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    let (zeros, ones) = ("0".repeat(32), "f".repeat(32));
    assert_eq!(
        made.rows("SELECT * FROM t").await,
        [
            format!(
                "{zeros}|616263||00:00:00|1969-12-31T23:59:59.999999999|1969-12-31T23:59:59.999999999Z"
            ),
            format!(
                "{ones}|78797a|ff00|23:59:59.999999|2023-11-14T22:13:20.123456789|2023-11-14T22:13:20.123456789Z"
            ),
        ]
    );
    for condition in [
        "u = arrow_cast(X'ffffffffffffffffffffffffffffffff', 'FixedSizeBinary(16)')",
        "f = arrow_cast(X'78797a', 'FixedSizeBinary(3)')",
        "b = X'ff00'",
        "t = arrow_cast(86399999999, 'Time64(Microsecond)')",
        "n > TIMESTAMP '2023-11-14T22:13:20.123456788'",
        "z >= TIMESTAMP '2023-11-14T22:13:20.123456789Z'",
    ] {
        let query = format!("SELECT f FROM t WHERE {condition}");
        assert_eq!(made.rows(&query).await, ["78797a"], "{condition}");
    }
}

fn required(id: i32, name: &str, kind: PrimitiveType) -> NestedField {
    NestedField::required(id, name, Type::Primitive(kind))
}

#[tokio::test]
async fn m10_promotions_reach_nested_places() {
    let kinds = |wide: bool| {
        let (whole, real, day) = match wide {
            false => (
                PrimitiveType::Int,
                PrimitiveType::Float,
                PrimitiveType::Date,
            ),
            true => (
                PrimitiveType::Long,
                PrimitiveType::Double,
                PrimitiveType::Timestamp,
            ),
        };
        let fields = vec![optional(3, "i", whole.clone()), optional(4, "f", real)];
        let element = NestedField::list_element(2, Type::Struct(StructType::new(fields)), false);
        let key = NestedField::map_key_element(6, Type::Primitive(PrimitiveType::String));
        let value = NestedField::map_value_element(7, Type::Primitive(whole), false);
        let list: NestedFieldRef =
            NestedField::optional(1, "l", Type::List(ListType::new(element.into()))).into();
        let map = Type::Map(MapType::new(key.into(), value.into()));
        let map: NestedFieldRef = NestedField::optional(5, "m", map).into();
        schema(vec![list, map, optional(8, "d", day)])
    };
    let mut made = HandMade::new(kinds(false));
    // A new table gets ids of its own; a changed one keeps those that are given.
    made.evolve(kinds(false));
    let fields: Fields = vec![
        Field::new("i", DataType::Int32, true),
        Field::new("f", DataType::Float32, true),
    ]
    .into();
    let structs = StructArray::new(
        fields.clone(),
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None])),
            Arc::new(arrow::array::Float32Array::from(vec![1.5, -2.5])),
        ],
        None,
    );
    let list = arrow::array::ListArray::new(
        Arc::new(Field::new("element", DataType::Struct(fields), true)),
        arrow::buffer::OffsetBuffer::from_lengths([2]),
        Arc::new(structs),
        None,
    );
    let mut map = arrow::array::MapBuilder::new(
        None,
        arrow::array::StringBuilder::new(),
        arrow::array::Int32Builder::new(),
    );
    map.keys().append_value("k");
    map.values().append_value(7);
    map.append(true).unwrap();
    let rows = batch(vec![
        Arc::new(list),
        Arc::new(map.finish()),
        Arc::new(Date32Array::from(vec![-1])),
    ]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    made.evolve(kinds(true));
    assert_eq!(
        made.rows("SELECT * FROM t").await,
        ["[{i: 1, f: 1.5}, {i: -, f: -2.5}]|{k: 7}|1969-12-31T00:00:00"]
    );
    let wide = "SELECT l[1]['i'] + 9999999999 FROM t WHERE d < TIMESTAMP '1970-01-01 00:00:00'";
    assert_eq!(made.rows(wide).await, ["10000000000"]);
}

#[tokio::test]
async fn defaults_stand_in_at_every_level() {
    let mut made = HandMade::new(schema(vec![optional(1, "id", PrimitiveType::Int)]));
    let rows = batch(vec![Arc::new(Int32Array::from(vec![1, 2]))]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    let decimal = PrimitiveType::Decimal {
        precision: 9,
        scale: 2,
    };
    let defaults = [
        (PrimitiveType::Boolean, Literal::bool(true), "true"),
        (PrimitiveType::Int, Literal::int(-3), "-3"),
        (
            PrimitiveType::Long,
            Literal::long(4_000_000_000_i64),
            "4000000000",
        ),
        (PrimitiveType::Float, Literal::float(1.5), "1.5"),
        (PrimitiveType::Double, Literal::double(-2.5), "-2.5"),
        (decimal, Literal::decimal(-1_420), "-14.20"),
        (PrimitiveType::Date, Literal::date(-1), "1969-12-31"),
        (PrimitiveType::Time, Literal::time(1), "00:00:00.000001"),
        (
            PrimitiveType::Timestamp,
            Literal::timestamp(-1),
            "1969-12-31T23:59:59.999999",
        ),
        (
            PrimitiveType::Timestamptz,
            Literal::timestamptz(0),
            "1970-01-01T00:00:00Z",
        ),
        (
            PrimitiveType::TimestampNs,
            Literal::long(1_i64),
            "1970-01-01T00:00:00.000000001",
        ),
        (PrimitiveType::String, Literal::string("text"), "text"),
        (
            PrimitiveType::Fixed(2),
            Literal::fixed(vec![0, 255]),
            "00ff",
        ),
        (PrimitiveType::Binary, Literal::binary(vec![255]), "ff"),
        (
            PrimitiveType::Uuid,
            Literal::uuid(uuid::Uuid::from_u128(1)),
            "00000000000000000000000000000001",
        ),
    ];
    let plain = defaults
        .iter()
        .zip(10..)
        .map(|((kind, default, _), id)| -> NestedFieldRef {
            let field = required(id, &format!("c{id}"), kind.clone());
            field.with_initial_default(default.clone()).into()
        });
    let inner = vec![
        required(31, "a", PrimitiveType::Int)
            .with_initial_default(Literal::int(7))
            .into(),
        optional(32, "b", PrimitiveType::String),
    ];
    let empty = Literal::Struct(Struct::from_iter([None, None]));
    let with_default = NestedField::required(30, "s", Type::Struct(StructType::new(inner.clone())))
        .with_initial_default(empty);
    let without = NestedField::optional(
        40,
        "n",
        Type::Struct(StructType::new(vec![optional(41, "a", PrimitiveType::Int)])),
    );
    let mut fields: Vec<NestedFieldRef> = vec![optional(1, "id", PrimitiveType::Int)];
    fields.extend(plain);
    fields.push(with_default.into());
    fields.push(without.into());
    let text = |id, name: &str| -> NestedFieldRef {
        NestedField::required(id, name, Type::Primitive(PrimitiveType::String)).into()
    };
    let number = |id, name: &str| optional(id, name, PrimitiveType::Int);
    let list = Type::List(ListType::new(number(51, "element")));
    let three = [Some(Literal::int(1)), None, Some(Literal::int(3))];
    let list =
        NestedField::required(50, "list", list).with_initial_default(Literal::List(three.into()));
    fields.push(list.into());
    for (id, pairs) in [
        (60, vec![("x", Some(Literal::int(1))), ("y", None)]),
        (70, Vec::new()),
    ] {
        let map = Type::Map(MapType::new(text(id + 1, "key"), number(id + 2, "value")));
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(key, value)| (Literal::string(key), value));
        let map = NestedField::optional(id, format!("map{id}"), map)
            .with_initial_default(Literal::Map(pairs.collect()));
        fields.push(map.into());
    }
    made.evolve(schema(fields));
    let expected: Vec<&str> = defaults.iter().map(|(_, _, text)| *text).collect();
    let nested = "{a: 7, b: -}|-|[1, -, 3]|{x: 1, y: -}|{}";
    let expected = format!("{}|{nested}", expected.join("|"));
    assert_eq!(
        made.rows("SELECT * EXCLUDE (id) FROM t WHERE id = 1").await,
        [expected]
    );
    for (condition, found) in [
        ("c11 = -3", 2),
        ("c11 <> -3", 0),
        ("c11 IS NULL", 0),
        ("c15 < 0", 2),
        ("c16 > DATE '1969-12-30'", 2),
        ("c21 LIKE 'te%'", 2),
        ("c10", 2),
        ("s['a'] = 7", 2),
        ("n IS NULL", 2),
        ("list[3] = 3", 2),
        ("map60['x'] = 1", 2),
        ("map70 IS NOT NULL", 2),
    ] {
        let query = format!("SELECT id FROM t WHERE {condition}");
        assert_eq!(made.rows(&query).await.len(), found, "{condition}");
    }
    assert_eq!(
        made.rows("SELECT min(c11), max(c12), count(c10) FROM t")
            .await,
        ["-3|4000000000|2"]
    );
}

#[tokio::test]
async fn files_may_have_ids_in_part_only() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "a", PrimitiveType::Long),
        optional(2, "b", PrimitiveType::Long),
    ]));
    let with_id = Field::new("x", DataType::Int64, true)
        .with_metadata([("PARQUET:field_id".to_owned(), "2".to_owned())].into());
    let rows = RecordBatch::try_new(
        Arc::new(ArrowSchema::new(vec![
            Field::new("a", DataType::Int64, true),
            with_id,
        ])),
        vec![
            Arc::new(Int64Array::from(vec![1])),
            Arc::new(Int64Array::from(vec![2])),
        ],
    )
    .unwrap();
    let file = made.write_as_it_is(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    // A file that has ids is read by ids alone, whatever its columns are called.
    assert_eq!(made.rows("SELECT a, b FROM t").await, ["-|2"]);
    made.set_property(
        "schema.name-mapping.default",
        r#"[{"field-id": 1, "names": ["a"]}, {"field-id": 2, "names": ["b"]}]"#,
    );
    assert_eq!(made.rows("SELECT a, b FROM t").await, ["-|2"]);
}

#[tokio::test]
async fn name_mappings_reach_nested_fields() {
    let element = StructType::new(vec![optional(3, "x", PrimitiveType::Int)]);
    let element = NestedField::list_element(2, Type::Struct(element), false);
    let list: NestedFieldRef =
        NestedField::optional(1, "l", Type::List(ListType::new(element.into()))).into();
    let mut made = HandMade::new(schema(vec![list]));
    let fields: Fields = vec![
        Field::new("y", DataType::Int32, true),
        Field::new("old_x", DataType::Int32, true),
    ]
    .into();
    let structs = StructArray::new(
        fields.clone(),
        vec![
            Arc::new(Int32Array::from(vec![1])),
            Arc::new(Int32Array::from(vec![2])),
        ],
        None,
    );
    let array = arrow::array::ListArray::new(
        Arc::new(Field::new("item", DataType::Struct(fields), true)),
        arrow::buffer::OffsetBuffer::from_lengths([1]),
        Arc::new(structs),
        None,
    );
    let rows = RecordBatch::try_from_iter([("l", Arc::new(array) as ArrayRef)]).unwrap();
    let file = made.write_as_it_is(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    let error = made.error("SELECT l FROM t").await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    made.set_property(
        "schema.name-mapping.default",
        r#"[{"field-id": 1, "names": ["l"], "fields": [{"field-id": 2, "names": ["element"],
            "fields": [{"field-id": 3, "names": ["x", "old_x"]}]}]}]"#,
    );
    assert_eq!(made.rows("SELECT l FROM t").await, ["[{x: 2}]"]);
}
