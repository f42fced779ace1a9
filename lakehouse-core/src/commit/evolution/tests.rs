//! The planners, rule by rule, without a catalog.

mod columns;
mod defaults;
mod layout;
mod merge;
mod partitions;
mod trace;

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, PrimitiveType, Schema, SortOrder, StructType,
    TableMetadata, TableMetadataBuilder, Type, UnboundPartitionSpec,
};

use super::*;
use crate::commit::change;
use crate::error::{Error, ErrorKind, Result};

fn primitive(kind: PrimitiveType) -> Type {
    Type::Primitive(kind)
}

fn field(id: i32, name: &str, kind: Type, required: bool) -> Arc<NestedField> {
    Arc::new(NestedField::new(id, name, kind, required))
}

/// A table with columns of every shape: 1 `id` (required), 2 `name`, 3 `price`, 4 `day`, 5 `at`,
/// 6 `n`, 7 `f`, 8 `point` (required) of 11 `x` (required) and 12 `y`, 9 `tags` of structs 13 of
/// 14 `a`, 10 `props` from texts 15 to structs 16 of 17 `b`.
fn table(format: FormatVersion) -> TableMetadata {
    let text = || primitive(PrimitiveType::String);
    let int = || primitive(PrimitiveType::Int);
    let decimal = PrimitiveType::Decimal {
        precision: 5,
        scale: 2,
    };
    let point = StructType::new(vec![
        field(11, "x", int(), true),
        field(12, "y", text(), false),
    ]);
    let tag = StructType::new(vec![field(14, "a", int(), false)]);
    let tags = ListType::new(Arc::new(NestedField::list_element(
        13,
        Type::Struct(tag),
        false,
    )));
    let value = StructType::new(vec![field(17, "b", int(), false)]);
    let props = MapType::new(
        Arc::new(NestedField::map_key_element(15, text())),
        Arc::new(NestedField::map_value_element(
            16,
            Type::Struct(value),
            false,
        )),
    );
    let fields = [
        field(1, "id", primitive(PrimitiveType::Long), true),
        field(2, "name", text(), false),
        field(3, "price", primitive(decimal), false),
        field(4, "day", primitive(PrimitiveType::Date), false),
        field(5, "at", primitive(PrimitiveType::Timestamp), false),
        field(6, "n", int(), false),
        field(7, "f", primitive(PrimitiveType::Float), false),
        field(8, "point", Type::Struct(point), true),
        field(9, "tags", Type::List(tags), false),
        field(10, "props", Type::Map(props), false),
    ];
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    TableMetadataBuilder::new(
        schema,
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        "memory:///t".to_owned(),
        format,
        HashMap::new(),
    )
    .unwrap()
    .build()
    .unwrap()
    .metadata
}

fn path(text: &str) -> ColumnPath {
    ColumnPath::parse(text).unwrap()
}

fn evolve(operations: Vec<SchemaOperation>) -> EvolveSchema {
    EvolveSchema { operations }
}

/// The table after updates, which a catalog must take.
fn applied(metadata: &TableMetadata, updates: Result<Vec<TableUpdate>>) -> TableMetadata {
    change::apply(metadata, &updates.unwrap()).unwrap()
}

fn evolved(metadata: &TableMetadata, operations: Vec<SchemaOperation>) -> TableMetadata {
    applied(metadata, evolve(operations).updates(metadata))
}

fn refused(metadata: &TableMetadata, operation: SchemaOperation) -> Error {
    evolve(vec![operation]).updates(metadata).unwrap_err()
}

/// A refusal names its rule.
#[track_caller]
fn assert_refused(error: &Error, kind: ErrorKind, rule: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(rule), "{error}");
}

fn add(name: &str, kind: PrimitiveType) -> SchemaOperation {
    SchemaOperation::Add(NewColumn::new(name, primitive(kind)))
}

fn drop(column: &str) -> SchemaOperation {
    SchemaOperation::Drop {
        column: path(column),
        if_exists: false,
    }
}

fn rename(column: &str, name: &str) -> SchemaOperation {
    SchemaOperation::Rename {
        column: path(column),
        name: name.to_owned(),
        if_exists: false,
    }
}

fn set_type(column: &str, kind: PrimitiveType) -> SchemaOperation {
    SchemaOperation::SetType {
        column: path(column),
        data_type: primitive(kind),
    }
}

fn id_of(metadata: &TableMetadata, name: &str) -> Option<i32> {
    let schema = metadata.current_schema();
    schema.field_by_name(name).map(|field| field.id)
}

fn names(metadata: &TableMetadata) -> Vec<&str> {
    let fields = metadata.current_schema().as_struct().fields();
    fields.iter().map(|field| field.name.as_str()).collect()
}
