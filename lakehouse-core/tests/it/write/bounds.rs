//! Bounds, counts and metrics modes of single columns.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type};
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, PrimitiveLiteral, PrimitiveType, Type,
};
use lakehouse_core::write::WrittenFile;

use super::{batch, primitive, rows_of, table, write};

async fn one_column(
    field_type: PrimitiveType,
    properties: &[(&str, &str)],
    batches: Vec<ArrayRef>,
) -> WrittenFile {
    let table = table(
        &[("c", primitive(field_type))],
        &[],
        properties,
        FormatVersion::V2,
    );
    let batches = batches
        .into_iter()
        .map(|column| batch([("c", column)]))
        .collect();
    let mut files = write(&table, batches).await.unwrap();
    assert_eq!(files.len(), 1);
    rows_of(&table, &files[0]).await;
    files.remove(0)
}

fn text_bounds(file: &WrittenFile) -> (Option<String>, Option<String>) {
    let text = |literal: &PrimitiveLiteral| match literal {
        PrimitiveLiteral::String(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let lower = file
        .data_file
        .lower_bounds()
        .get(&1)
        .map(|datum| text(datum.literal()));
    let upper = file
        .data_file
        .upper_bounds()
        .get(&1)
        .map(|datum| text(datum.literal()));
    (lower, upper)
}

fn text_column(values: &[&str]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

const SMALL_GROUPS: (&str, &str) = ("write.parquet.row-group-size-bytes", "1");

#[tokio::test]
async fn m04_long_texts_of_any_row_group_lie_within_the_bounds() {
    // Statistics of the largest value are cut in its row group and still count.
    let long = "z".repeat(200);
    let values = vec![
        text_column(&["b"]),
        text_column(&[&long]),
        text_column(&["c"]),
    ];
    let file = one_column(PrimitiveType::String, &[SMALL_GROUPS], values.clone()).await;
    assert_eq!(file.data_file.split_offsets().unwrap().len(), 3);
    let upper = format!("{}{{", "z".repeat(15));
    assert_eq!(text_bounds(&file), (Some("b".to_owned()), Some(upper)));
    let full = [SMALL_GROUPS, ("write.metadata.metrics.column.c", "full")];
    let file = one_column(PrimitiveType::String, &full, values).await;
    assert_eq!(text_bounds(&file), (Some("b".to_owned()), Some(long)));
}

#[tokio::test]
async fn m04_a_text_of_last_characters_has_no_upper_bound() {
    let last = "\u{10FFFF}".repeat(17);
    let file = one_column(PrimitiveType::String, &[], vec![text_column(&["a", &last])]).await;
    assert_eq!(text_bounds(&file), (Some("a".to_owned()), None));
}

#[tokio::test]
async fn m12_bounds_follow_the_order_of_bytes() {
    let values = vec![text_column(&["\u{FFFF}", "\u{10000}", "é", "z"])];
    let file = one_column(PrimitiveType::String, &[], values).await;
    assert_eq!(
        text_bounds(&file),
        (Some("z".to_owned()), Some("\u{10000}".to_owned()))
    );
}

#[tokio::test]
async fn m02_nan_is_counted_and_outside_the_bounds() {
    let values = |values: &[Option<f64>]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let nan = Some(f64::NAN);
    let batches = vec![
        values(&[nan, None, nan]),
        values(&[Some(0.0), nan, Some(-0.0)]),
    ];
    let file = one_column(PrimitiveType::Double, &[SMALL_GROUPS], batches).await;
    assert_eq!(file.data_file.nan_value_counts()[&1], 3);
    assert_eq!(file.data_file.null_value_counts()[&1], 1);
    assert_eq!(file.data_file.value_counts()[&1], 6);
    let bits = |literal: &PrimitiveLiteral| match literal {
        PrimitiveLiteral::Double(value) => value.to_bits(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        bits(file.data_file.lower_bounds()[&1].literal()),
        (-0.0_f64).to_bits()
    );
    assert_eq!(
        bits(file.data_file.upper_bounds()[&1].literal()),
        0.0_f64.to_bits()
    );
    let file = one_column(PrimitiveType::Double, &[], vec![values(&[nan, None])]).await;
    assert!(file.data_file.lower_bounds().is_empty() && file.data_file.upper_bounds().is_empty());
}

#[tokio::test]
async fn a_row_group_of_nulls_takes_no_bound_away() {
    let values = |values: Vec<Option<i32>>| Arc::new(Int32Array::from(values)) as ArrayRef;
    let batches = vec![
        values(vec![Some(5)]),
        values(vec![Some(-5)]),
        values(vec![None, None]),
    ];
    let file = one_column(PrimitiveType::Int, &[SMALL_GROUPS], batches).await;
    assert_eq!(file.data_file.split_offsets().unwrap().len(), 3);
    assert_eq!(
        file.data_file.lower_bounds()[&1].literal(),
        &PrimitiveLiteral::Int(-5)
    );
    assert_eq!(
        file.data_file.upper_bounds()[&1].literal(),
        &PrimitiveLiteral::Int(5)
    );
}

#[tokio::test]
async fn m01_what_is_not_counted_is_missing_and_not_zero() {
    let values = || vec![text_column(&["a"])];
    let none = [("write.metadata.metrics.default", "none")];
    let data = one_column(PrimitiveType::String, &none, values())
        .await
        .data_file;
    assert!(data.value_counts().is_empty() && data.null_value_counts().is_empty());
    assert!(data.column_sizes().is_empty() && data.lower_bounds().is_empty());
    let counts = [("write.metadata.metrics.default", "counts")];
    let data = one_column(PrimitiveType::String, &counts, values())
        .await
        .data_file;
    assert_eq!(data.value_counts()[&1], 1);
    assert!(data.lower_bounds().is_empty());
    let unknown = [("write.parquet.stats-enabled.column.c", "false")];
    let data = one_column(PrimitiveType::String, &unknown, values())
        .await
        .data_file;
    assert_eq!(data.value_counts()[&1], 1);
    assert!(data.null_value_counts().is_empty() && data.lower_bounds().is_empty());
    let inferred = [("write.metadata.metrics.max-inferred-column-defaults", "0")];
    let data = one_column(PrimitiveType::String, &inferred, values())
        .await
        .data_file;
    assert!(data.value_counts().is_empty());
}

#[tokio::test]
async fn lists_and_maps_have_sizes_and_no_bounds() {
    let int = || primitive(PrimitiveType::Int);
    let list = Type::List(ListType::new(Arc::new(NestedField::list_element(
        3,
        int(),
        false,
    ))));
    let map = Type::Map(MapType::new(
        Arc::new(NestedField::map_key_element(
            4,
            primitive(PrimitiveType::String),
        )),
        Arc::new(NestedField::map_value_element(5, int(), false)),
    ));
    let table = table(&[("l", list), ("m", map)], &[], &[], FormatVersion::V2);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(9)]),
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let large: LargeListArray = {
        let list = list.slice(1, 3);
        let field = Arc::new(Field::new("item", DataType::Int32, true));
        let offsets = list
            .offsets()
            .iter()
            .map(|offset| i64::from(*offset))
            .collect();
        let offsets = arrow::buffer::OffsetBuffer::new(offsets);
        LargeListArray::new(
            field,
            offsets,
            Arc::clone(list.values()),
            list.nulls().cloned(),
        )
    };
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    let map: ArrayRef = Arc::new(map.finish());
    let sliced: ArrayRef = Arc::new(list.slice(1, 3));
    let batches = [sliced, Arc::new(large)]
        .map(|list| batch([("l", list), ("m", Arc::clone(&map))]))
        .to_vec();
    let files = write(&table, batches).await.unwrap();
    let (rows, _) = rows_of(&table, &files[0]).await;
    let read = rows[0].column(0).as_list::<i32>();
    for start in [0, 3] {
        assert_eq!(
            read.value(start).as_primitive::<Int32Type>(),
            &Int32Array::from(vec![Some(1), None])
        );
        assert!(read.is_null(start + 1));
        assert!(read.value(start + 2).is_empty());
    }
    assert_eq!(rows[0].column(1).as_map().value_length(3), 1);
    let data = &files[0].data_file;
    assert_eq!(data.column_sizes().len(), 3);
    assert!(data.value_counts().is_empty() && data.lower_bounds().is_empty());
}
