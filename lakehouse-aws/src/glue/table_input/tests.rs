//! Glue tables as they are made and moved, beside what others wrote into them.

use aws_sdk_glue::types::SerDeInfo;
use iceberg::spec::{
    FormatVersion, PartitionSpec, PrimitiveType, Schema, SortOrder, TableMetadataBuilder, Type,
};

use super::*;

const OLD: &str = "s3://b/t/metadata/00000-a.metadata.json";
const NEW: &str = "s3://b/t/metadata/00001-b.metadata.json";

fn schema(fields: &[(i32, &str, Option<&str>)]) -> Schema {
    let fields = fields.iter().map(|(id, name, doc)| {
        let field = NestedField::optional(*id, *name, Type::Primitive(PrimitiveType::Long));
        match doc {
            Some(doc) => field.with_doc(*doc).into(),
            None => field.into(),
        }
    });
    Schema::builder().with_fields(fields).build().unwrap()
}

fn metadata(properties: &[(&str, &str)]) -> TableMetadata {
    let properties = properties
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let built = TableMetadataBuilder::new(
        schema(&[(1, "id", Some("key")), (2, "Gone", None), (3, "kept", None)]),
        PartitionSpec::unpartition_spec(),
        SortOrder::unsorted_order(),
        "s3://b/t".to_owned(),
        FormatVersion::V2,
        properties,
    );
    built.unwrap().build().unwrap().metadata
}

/// A table whose second column was dropped and which has a new one.
fn evolved() -> TableMetadata {
    let builder = metadata(&[]).into_builder(None);
    let next = schema(&[(1, "id", Some("key")), (3, "kept", None), (4, "New", None)]);
    let built = builder.add_current_schema(next).unwrap().build();
    built.unwrap().metadata
}

fn pointer<'a>(metadata: &'a TableMetadata, location: &'a str) -> NewPointer<'a> {
    NewPointer { location, metadata }
}

fn seen(input: &TableInput) -> aws_sdk_glue::types::builders::TableBuilder {
    Table::builder()
        .name(input.name())
        .version_id("7")
        .set_owner(input.owner.clone())
        .set_description(input.description.clone())
        .set_table_type(input.table_type.clone())
        .set_parameters(input.parameters.clone())
        .set_storage_descriptor(input.storage_descriptor.clone())
}

fn told(columns: &[Column]) -> Vec<(&str, &str, &str)> {
    columns
        .iter()
        .map(|column| {
            let parameters = column.parameters.as_ref().unwrap();
            (
                column.name(),
                parameters[FIELD_ID].as_str(),
                parameters[FIELD_CURRENT].as_str(),
            )
        })
        .collect()
}

#[test]
fn j03_a_new_table_is_one_that_athena_reads() {
    let metadata = metadata(&[("comment", "all orders"), ("owner", "etl")]);
    let input = created("t", pointer(&metadata, OLD)).unwrap();
    assert_eq!(input.table_type(), Some("EXTERNAL_TABLE"));
    assert_eq!(input.description(), Some("all orders"));
    assert_eq!(input.owner(), Some("etl"));
    let parameters = input.parameters().unwrap();
    assert_eq!(parameters[TABLE_TYPE], "ICEBERG");
    assert_eq!(parameters[METADATA_LOCATION], OLD);
    assert!(!parameters.contains_key(PREVIOUS_METADATA_LOCATION));
    let descriptor = input.storage_descriptor().unwrap();
    assert_eq!(descriptor.location(), Some("s3://b/t"));
    let columns = descriptor.columns();
    assert_eq!(
        told(columns),
        [
            ("id", "1", "true"),
            ("gone", "2", "true"),
            ("kept", "3", "true")
        ]
    );
    assert_eq!(columns[0].r#type(), Some("bigint"));
    assert_eq!(columns[0].comment(), Some("key"));
    assert_eq!(
        columns[0].parameters.as_ref().unwrap()[FIELD_OPTIONAL],
        "true"
    );
}

/// What Athena, Terraform and people wrote into the Glue table survives a commit: trino#23870,
/// and the parameters that a rebuilt table loses.
#[test]
fn demand_27_trino_23870_what_others_wrote_stays() {
    let before = created("t", pointer(&metadata(&[]), OLD)).unwrap();
    let mut descriptor = before.storage_descriptor.clone().unwrap();
    descriptor.location = Some("s3://b/t/".to_owned());
    descriptor.serde_info = Some(SerDeInfo::builder().name("s").build());
    let columns = descriptor.columns.as_mut().unwrap();
    columns[2].comment = Some("said in the console".to_owned());
    let own = columns[2].parameters.as_mut().unwrap();
    own.insert("steward".to_owned(), "ann".to_owned());
    let now = seen(&before)
        .owner("terraform")
        .description("of the console")
        .retention(3)
        .parameters("classification", "iceberg")
        .parameters("team", "a")
        .storage_descriptor(descriptor)
        .build()
        .unwrap();
    // The builder's calls replace what was set before them.
    let mut now = now;
    let parameters = now.parameters.as_mut().unwrap();
    parameters.insert(TABLE_TYPE.to_owned(), "iceberg".to_owned());
    parameters.insert(METADATA_LOCATION.to_owned(), OLD.to_owned());

    let moved = moved(&now, pointer(&evolved(), NEW)).unwrap();
    assert_eq!(moved.owner(), Some("terraform"));
    assert_eq!(moved.description(), Some("of the console"));
    assert_eq!(moved.retention(), 3);
    let parameters = moved.parameters().unwrap();
    assert_eq!(parameters["team"], "a");
    assert_eq!(parameters[TABLE_TYPE], "iceberg", "as it was written");
    assert_eq!(parameters[METADATA_LOCATION], NEW);
    assert_eq!(parameters[PREVIOUS_METADATA_LOCATION], OLD);
    let descriptor = moved.storage_descriptor().unwrap();
    assert_eq!(descriptor.location(), Some("s3://b/t/"), "the same place");
    assert!(descriptor.serde_info().is_some());
    let kept = &descriptor.columns()[1];
    assert_eq!(kept.comment(), Some("said in the console"));
    assert_eq!(kept.parameters.as_ref().unwrap()["steward"], "ann");
}

/// Dropped columns are listed and marked: java#16877.
#[test]
fn demand_27_java_16877_dropped_columns_are_marked() {
    let before = created("t", pointer(&metadata(&[]), OLD)).unwrap();
    let now = seen(&before).build().unwrap();
    let moved = moved(&now, pointer(&evolved(), NEW)).unwrap();
    assert_eq!(
        told(moved.storage_descriptor().unwrap().columns()),
        [
            ("id", "1", "true"),
            ("kept", "3", "true"),
            ("new", "4", "true"),
            ("gone", "2", "false")
        ]
    );
}

#[test]
fn a_table_that_moved_says_where_it_is() {
    let before = created("t", pointer(&metadata(&[]), OLD)).unwrap();
    let mut descriptor = before.storage_descriptor.clone().unwrap();
    descriptor.location = Some("s3://elsewhere/t".to_owned());
    let now = seen(&before).storage_descriptor(descriptor).build();
    let moved = moved(&now.unwrap(), pointer(&metadata(&[]), NEW)).unwrap();
    let descriptor = moved.storage_descriptor().unwrap();
    assert_eq!(descriptor.location(), Some("s3://b/t"));
}

/// Glue takes texts of one line alone.
#[test]
fn line_breaks_in_comments_become_spaces() {
    let next = schema(&[(1, "id", Some("the\nkey\tof\r\nit"))]);
    let builder = metadata(&[("comment", "one\ntwo")]).into_builder(None);
    let built = builder.add_current_schema(next).unwrap().build();
    let input = created("t", pointer(&built.unwrap().metadata, OLD)).unwrap();
    assert_eq!(input.description(), Some("one two"));
    let columns = input.storage_descriptor().unwrap().columns();
    assert_eq!(columns[0].comment(), Some("the key of  it"));
}

#[test]
fn texts_that_glue_would_refuse_are_cut() {
    let long = "ä".repeat(3_000);
    let metadata = metadata(&[("comment", &long)]);
    let input = created("t", pointer(&metadata, OLD)).unwrap();
    assert_eq!(input.description().unwrap().chars().count(), 2_048);
}
