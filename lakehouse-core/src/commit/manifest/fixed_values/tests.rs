//! Manifests with values of fixed length are read as they were meant, and say so themselves.

use std::sync::Arc;

use iceberg::io::FileIO;
use iceberg::spec::{
    DataFileBuilder, DataFileFormat, Literal, ManifestWriterBuilder, NestedField, PartitionSpec,
    PrimitiveType, Schema, Struct, Transform, Type,
};

use super::super::with_partition;
use super::*;
use crate::scan::manifest_from_bytes;

/// Columns of these types, each in a partition field of its own.
fn spec(kinds: &[(PrimitiveType, Transform)]) -> (SchemaRef, PartitionSpec, StructType) {
    let columns = kinds.iter().zip(1..).map(|((kind, _), id)| {
        let kind = Type::Primitive(kind.clone());
        Arc::new(NestedField::optional(id, format!("c{id}"), kind))
    });
    let schema = Schema::builder().with_schema_id(7).with_fields(columns);
    let schema = Arc::new(schema.build().unwrap());
    let mut spec = PartitionSpec::builder(Arc::clone(&schema));
    for ((_, transform), id) in kinds.iter().zip(1..) {
        spec = spec
            .add_partition_field(format!("c{id}"), format!("p {id}"), *transform)
            .unwrap();
    }
    let spec = spec.build().unwrap();
    let partition_type = spec.partition_type(&schema).unwrap();
    (schema, spec, partition_type)
}

async fn written(fixed: &mut FixedValues, spec: &PartitionSpec, tuples: &[Struct]) -> Vec<u8> {
    let memory = FileIO::new_with_memory();
    let output = memory.new_output("memory:/m.avro").unwrap();
    let schema = Arc::clone(fixed.told_schema());
    let writer = ManifestWriterBuilder::new(output, Some(1), schema, spec.clone());
    let mut writer = writer.build_v2_data();
    for tuple in tuples {
        let file = DataFileBuilder::default()
            .content(iceberg::spec::DataContentType::Data)
            .file_path("/a".to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(tuple.clone())
            .partition_spec_id(spec.spec_id())
            .record_count(1)
            .file_size_in_bytes(1)
            .build()
            .unwrap();
        let told = fixed.told(tuple);
        let file = with_partition(&file, spec.spec_id(), told).unwrap();
        writer.add_file(file, 1).unwrap();
    }
    writer.write_manifest_file().await.unwrap();
    let bytes = memory.new_input("memory:/m.avro").unwrap();
    bytes.read().await.unwrap().to_vec()
}

#[tokio::test]
async fn values_of_one_length_are_each_read_as_they_were() {
    let fixed = PrimitiveType::Fixed;
    let (schema, spec, partition_type) = spec(&[
        (PrimitiveType::Uuid, Transform::Identity),
        (PrimitiveType::Uuid, Transform::Identity),
        (fixed(16), Transform::Identity),
        (fixed(3), Transform::Identity),
        (fixed(3), Transform::Identity),
        (PrimitiveType::Binary, Transform::Truncate(2)),
        (PrimitiveType::Uuid, Transform::Bucket(8)),
        (PrimitiveType::Uuid, Transform::Void),
    ]);
    let mut values = FixedValues::of(&schema, &spec, &partition_type)
        .unwrap()
        .unwrap();
    let uuid = |value| Some(Literal::Primitive(PrimitiveLiteral::UInt128(value)));
    let bytes = |bytes: &[u8]| Some(Literal::binary(bytes.to_vec()));
    let tuples = [
        Struct::from_iter([
            uuid(u128::MAX),
            uuid(1),
            bytes(&[5; 16]),
            bytes(&[1, 2, 3]),
            bytes(&[4, 5, 6]),
            bytes(&[7, 8]),
            Some(Literal::int(5)),
            None,
        ]),
        Struct::from_iter((0..8).map(|_| None)),
        Struct::from_iter([
            None,
            uuid(2),
            None,
            None,
            bytes(&[0; 3]),
            bytes(&[]),
            None,
            None,
        ]),
    ];

    let manifest = written(&mut values, &spec, &tuples).await;
    let restored = values.restored(&manifest).unwrap();

    let read = manifest_from_bytes(&restored, "m").unwrap();
    let found: Vec<_> = read.entries.iter().map(|entry| entry.data_file()).collect();
    let found: Vec<_> = found.iter().map(|file| file.partition().clone()).collect();
    assert_eq!(found, tuples);
    let kinds = read.layout.columns.iter().map(|column| &column.result_type);
    let expected = partition_type.fields().iter();
    let expected = expected.map(|field| field.field_type.as_primitive_type().cloned());
    assert!(kinds.cloned().eq(expected));
    let header = AvroHeader::parse(&restored).unwrap();
    let stored: Schema = serde_json::from_value(header.json("schema").unwrap()).unwrap();
    assert_eq!(&stored, schema.as_ref());
    assert_eq!(header.text("schema-id"), Some("7"));
    let mut rows = header.json("avro.schema").unwrap();
    let kinds = partition_fields(&mut rows).unwrap().iter();
    let kinds: Vec<_> = kinds.map(|field| field["type"][1].clone()).collect();
    let uuid =
        |name: &str| json!({"type": "fixed", "size": 16, "name": name, "logicalType": "uuid"});
    assert_eq!(kinds[0], uuid("uuid_fixed"));
    assert_eq!(kinds[1], uuid("uuid_fixed_1001"));
    assert_eq!(
        kinds[2],
        json!({"type": "fixed", "size": 16, "name": "fixed_16"})
    );
    assert_eq!(
        kinds[4],
        json!({"type": "fixed", "size": 3, "name": "fixed_3_1004"})
    );
    assert_eq!(kinds[5], "bytes");
}

/// Java tells a type once, and names it from then on.
#[tokio::test]
async fn a_type_that_was_told_before_is_known_by_its_name() {
    let (schema, spec, partition_type) = spec(&[
        (PrimitiveType::Uuid, Transform::Identity),
        (PrimitiveType::Uuid, Transform::Identity),
    ]);
    let mut values = FixedValues::of(&schema, &spec, &partition_type)
        .unwrap()
        .unwrap();
    let uuid = |value| Some(Literal::Primitive(PrimitiveLiteral::UInt128(value)));
    let tuple = Struct::from_iter([uuid(3), uuid(u128::MAX)]);
    let manifest = written(&mut values, &spec, std::slice::from_ref(&tuple)).await;
    let restored = values.restored(&manifest).unwrap();
    let mut header = AvroHeader::parse(&restored).unwrap();
    let mut rows = header.json("avro.schema").unwrap();
    partition_fields(&mut rows).unwrap()[1]["type"] = json!(["null", "uuid_fixed"]);
    header.set_json("avro.schema", &rows);

    let read = manifest_from_bytes(&header.to_bytes(), "m").unwrap();

    assert_eq!(read.entries[0].data_file().partition(), &tuple);
}

#[tokio::test]
async fn a_value_of_another_length_is_refused() {
    let (schema, spec, partition_type) = spec(&[(PrimitiveType::Fixed(3), Transform::Identity)]);
    let mut values = FixedValues::of(&schema, &spec, &partition_type)
        .unwrap()
        .unwrap();
    let tuple = Struct::from_iter([Some(Literal::binary(vec![1, 2]))]);
    let manifest = written(&mut values, &spec, &[tuple]).await;
    assert!(values.restored(&manifest).is_err());
}

#[test]
fn uuids_have_one_order_where_no_half_changes_its_sign() {
    let (schema, spec, partition_type) = spec(&[(PrimitiveType::Uuid, Transform::Identity)]);
    let high = 1_u128 << 127;
    for (uuids, expected) in [
        (vec![], true),
        (vec![high], true),
        (vec![1, 2, 3], true),
        (vec![high | 1, high | 2], true),
        (vec![1, high], false),
        (vec![1, 1 << 63], false),
        // What lies between does not matter.
        (vec![1, 1 << 63, 1 << 64], false),
        (vec![1, 2 << 64, (2 << 64) | (1 << 63), 3 << 64], true),
    ] {
        let mut values = FixedValues::of(&schema, &spec, &partition_type)
            .unwrap()
            .unwrap();
        for uuid in &uuids {
            let uuid = Literal::Primitive(PrimitiveLiteral::UInt128(*uuid));
            values.told(&Struct::from_iter([Some(uuid)]));
        }
        assert_eq!(values.have_one_order(), expected, "{uuids:?}");
    }
}
