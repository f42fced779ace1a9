//! Equality deletes by fields of structs, also by those that the table no longer has.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int32Array, RecordBatch, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use iceberg::spec::{
    Literal, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type,
};
use parquet::file::properties::WriterProperties;

use super::equality::{both_ways, ids, longs, texts};
use super::evolution::{batch, optional, schema};
use super::handmade::HandMade;

fn id() -> NestedFieldRef {
    optional(1, "id", PrimitiveType::Long)
}

fn x() -> NestedFieldRef {
    optional(3, "x", PrimitiveType::Int)
}

fn at() -> NestedFieldRef {
    optional(4, "at", PrimitiveType::Timestamptz)
}

fn z() -> NestedFieldRef {
    optional(5, "z", PrimitiveType::String)
}

fn structure(id: i32, name: &str, fields: Vec<NestedFieldRef>) -> NestedFieldRef {
    NestedField::optional(id, name, Type::Struct(StructType::new(fields))).into()
}

fn id_and_place(fields: Vec<NestedFieldRef>) -> Schema {
    schema(vec![id(), structure(2, "place", fields)])
}

/// The struct of columns, NULL in the rows where `valid` is not.
fn struct_of(columns: Vec<(&str, ArrayRef)>, valid: Vec<bool>) -> ArrayRef {
    let field =
        |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let fields: Fields = columns.iter().map(field).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    Arc::new(StructArray::new(fields, columns, Some(valid.into())))
}

/// Five rows: the third has no place, the fourth a place without x.
fn sample() -> RecordBatch {
    let x = Int32Array::from(vec![Some(1), Some(2), Some(3), None, Some(5)]);
    let at = TimestampMicrosecondArray::from(vec![0; 5]).with_timezone("UTC");
    let z = texts(vec![Some("a"), Some("b"), Some("c"), Some("d"), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![("x", Arc::new(x)), ("at", Arc::new(at)), ("z", z)];
    let places = struct_of(columns, vec![true, true, false, true, true]);
    batch(vec![longs((1..=5).map(Some)), places])
}

async fn sampled() -> HandMade {
    let mut made = HandMade::new(id_and_place(vec![x(), at(), z()]));
    let file = made.write(&sample(), WriterProperties::default());
    made.commit(vec![file]).await;
    made
}

fn ints(values: Vec<Option<i32>>) -> ArrayRef {
    Arc::new(Int32Array::from(values))
}

/// Deletes by fields of the struct `root`, as other engines write such keys: the struct with
/// nothing but them.
async fn delete(made: &mut HandMade, root: i32, keys: Vec<(i32, ArrayRef)>) {
    let ids = keys.iter().map(|(id, _)| *id).collect();
    delete_by(made, root, ids, keys).await;
}

async fn delete_by(made: &mut HandMade, root: i32, ids: Vec<i32>, keys: Vec<(i32, ArrayRef)>) {
    let field = |(id, values): &(i32, ArrayRef)| {
        Field::new(format!("k{id}"), values.data_type().clone(), true)
            .with_metadata([("PARQUET:field_id".to_owned(), id.to_string())].into())
    };
    let fields: Fields = keys.iter().map(field).collect();
    let columns = keys.into_iter().map(|(_, values)| values).collect();
    let key = StructArray::new(fields, columns, None);
    let mut deletes = made.write_deletes(&[root], vec![Arc::new(key)]);
    deletes.equality_ids = Some(ids);
    made.commit(vec![deletes]).await;
}

#[tokio::test]
async fn a_field_of_a_struct_is_a_key() {
    let inner = StructType::new(vec![
        optional(3, "x", PrimitiveType::Long),
        optional(4, "y", PrimitiveType::String),
    ]);
    let place = NestedField::optional(2, "place", Type::Struct(inner)).into();
    let mut made = HandMade::new(schema(vec![optional(1, "id", PrimitiveType::Long), place]));
    let fields = vec![
        Field::new("x", DataType::Int64, true),
        Field::new("y", DataType::Utf8, true),
    ];
    let places = StructArray::new(
        fields.into(),
        vec![
            longs([Some(1), Some(2), Some(3), None]),
            texts(vec![Some("a"), Some("b"), Some("c"), Some("d")]),
        ],
        Some(vec![true, true, false, true].into()),
    );
    let rows = batch(vec![longs((1..=4).map(Some)), Arc::new(places)]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    let keys = longs([Some(2), Some(3), None]);
    delete(&mut made, 2, vec![(3, keys)]).await;
    // The field of a struct that is NULL is NULL.
    assert_eq!(ids(&mut made).await, ["1"]);
}

#[tokio::test]
async fn a_field_that_was_dropped_from_its_struct_still_deletes() {
    let mut made = sampled().await;
    delete(&mut made, 2, vec![(3, ints(vec![Some(2), None]))]).await;
    for evolved in [
        id_and_place(vec![at(), z()]),
        // The struct under another name.
        schema(vec![id(), structure(2, "spot", vec![z(), at()])]),
        // The field's name for another field, the struct's for another struct.
        schema(vec![
            structure(7, "place", vec![optional(8, "x", PrimitiveType::Int)]),
            structure(2, "spot", vec![z(), optional(9, "x", PrimitiveType::Int)]),
            id(),
        ]),
        schema(vec![id()]),
    ] {
        made.evolve(evolved);
        assert_eq!(ids(&mut made).await, ["1", "5"]);
        assert_eq!(both_ways(&mut made, "SELECT count(*) FROM t").await, ["2"]);
    }
}

#[tokio::test]
async fn what_is_left_of_a_struct_is_read_beside_its_dropped_key() {
    let mut made = sampled().await;
    delete(&mut made, 2, vec![(3, ints(vec![Some(2), None]))]).await;
    made.evolve(id_and_place(vec![
        z(),
        at(),
        optional(9, "x", PrimitiveType::Int),
    ]));
    let rows = both_ways(&mut made, "SELECT id, place FROM t WHERE place.z IS NULL").await;
    assert_eq!(rows, ["5|{z: -, at: 1970-01-01T00:00:00Z, x: -}"]);
    let sql = "SELECT place.z, place.x FROM t WHERE place.at IS NOT NULL";
    assert_eq!(both_ways(&mut made, sql).await, ["-|-", "a|-"]);
}

#[tokio::test]
async fn keys_last_seen_in_different_schemas_count_together() {
    let mut made = sampled().await;
    let pairs = || {
        let z = texts(vec![Some("a"), Some("c"), None, Some("d")]);
        vec![(3, ints(vec![Some(1), Some(2), Some(5), None])), (5, z)]
    };
    delete(&mut made, 2, pairs()).await;
    made.evolve(id_and_place(vec![at(), z()]));
    assert_eq!(ids(&mut made).await, ["2", "3"]);
    made.evolve(id_and_place(vec![
        at(),
        optional(9, "x", PrimitiveType::Int),
    ]));
    assert_eq!(ids(&mut made).await, ["2", "3"]);
    made.evolve(schema(vec![
        id(),
        optional(10, "place", PrimitiveType::Int),
    ]));
    assert_eq!(ids(&mut made).await, ["2", "3"]);
    // Another key of fewer columns, which is another set.
    delete(&mut made, 2, vec![(5, texts(vec![None]))]).await;
    assert_eq!(ids(&mut made).await, ["2"]);
}

#[tokio::test]
async fn a_promoted_field_that_was_dropped_compares_as_its_last_type() {
    let mut made = sampled().await;
    delete(&mut made, 2, vec![(3, ints(vec![Some(1)]))]).await;
    made.evolve(id_and_place(vec![
        optional(3, "x", PrimitiveType::Long),
        at(),
    ]));
    let far = 1_i64 << 40;
    let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let places = struct_of(
        vec![
            ("x", longs([Some(far), Some(2)])),
            ("at", arrow::array::new_null_array(&zone, 2)),
        ],
        vec![true, true],
    );
    let file = made.write(
        &batch(vec![longs([Some(6), Some(7)]), places]),
        WriterProperties::default(),
    );
    made.commit(vec![file]).await;
    delete(&mut made, 2, vec![(3, longs([Some(far), Some(5)]))]).await;
    delete(&mut made, 2, vec![(3, ints(vec![Some(2)]))]).await;
    made.evolve(id_and_place(vec![at()]));
    assert_eq!(ids(&mut made).await, ["3", "4"]);
}

#[tokio::test]
async fn a_dropped_field_that_a_file_never_had_has_its_default() {
    let mut made = sampled().await;
    let usual = NestedField::optional(6, "kind", Type::Primitive(PrimitiveType::String))
        .with_initial_default(Literal::string("usual"));
    made.evolve(id_and_place(vec![x(), at(), z(), usual.into()]));
    made.evolve(id_and_place(vec![x(), at(), z()]));
    delete(&mut made, 2, vec![(6, texts(vec![Some("other")]))]).await;
    assert_eq!(ids(&mut made).await.len(), 5);
    delete(&mut made, 2, vec![(6, texts(vec![Some("usual")]))]).await;
    // A struct that is NULL has NULL fields, whatever their default.
    assert_eq!(ids(&mut made).await, ["3"]);
    delete(&mut made, 2, vec![(6, texts(vec![None]))]).await;
    assert_eq!(ids(&mut made).await.len(), 0);
}

#[tokio::test]
async fn a_file_that_lost_a_required_field_has_null_there() {
    let required = NestedField::required(3, "x", Type::Primitive(PrimitiveType::Int));
    let mut made = HandMade::new(id_and_place(vec![required.into(), at(), z()]));
    made.evolve(id_and_place(vec![at(), z()]));
    let places = sample()
        .column(1)
        .as_any()
        .downcast_ref::<StructArray>()
        .cloned();
    let places = places.unwrap();
    let without_x = struct_of(
        vec![
            ("at", Arc::clone(places.column(1))),
            ("z", Arc::clone(places.column(2))),
        ],
        vec![true, true, false, true, true],
    );
    let rows = batch(vec![longs((1..=5).map(Some)), without_x]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    delete(&mut made, 2, vec![(3, ints(vec![Some(1)]))]).await;
    assert_eq!(ids(&mut made).await.len(), 5);
    delete(&mut made, 2, vec![(3, ints(vec![None]))]).await;
    assert_eq!(ids(&mut made).await.len(), 0);
}

#[tokio::test]
async fn keys_deep_in_dropped_structs_are_found() {
    let deep = |fields| structure(2, "place", vec![structure(3, "inner", fields)]);
    let (lat, lon) = (
        || optional(4, "lat", PrimitiveType::Long),
        || optional(5, "lon", PrimitiveType::Long),
    );
    let mut made = HandMade::new(schema(vec![id(), deep(vec![lat(), lon()])]));
    let inner = struct_of(
        vec![
            ("lat", longs([Some(1), Some(2), Some(3), Some(4)])),
            ("lon", longs([Some(0); 4])),
        ],
        vec![true, true, false, true],
    );
    let places = struct_of(vec![("inner", inner)], vec![true, true, true, false]);
    let rows = batch(vec![longs((1..=4).map(Some)), places]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    let field = Field::new("lat", DataType::Int64, true)
        .with_metadata([("PARQUET:field_id".to_owned(), "4".to_owned())].into());
    let lats = |lats: Vec<Option<i64>>| -> ArrayRef {
        let fields = Fields::from(vec![field.clone()]);
        Arc::new(StructArray::new(fields, vec![longs(lats)], None))
    };
    delete_by(&mut made, 2, vec![4], vec![(3, lats(vec![Some(2)]))]).await;
    for evolved in [
        schema(vec![id(), deep(vec![lon()])]),
        schema(vec![
            id(),
            structure(2, "place", vec![optional(9, "inner", PrimitiveType::Int)]),
        ]),
        schema(vec![id()]),
    ] {
        made.evolve(evolved);
        assert_eq!(ids(&mut made).await, ["1", "3", "4"]);
    }
    delete_by(&mut made, 2, vec![4], vec![(3, lats(vec![None]))]).await;
    assert_eq!(ids(&mut made).await, ["1"]);
    // A struct is no key.
    delete(&mut made, 2, vec![(3, lats(vec![None]))]).await;
    let found = made.error("SELECT id FROM t").await;
    assert!(
        found.to_string().contains("whose type has parts"),
        "{found}"
    );
}
