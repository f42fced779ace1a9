//! Manifest lists and manifests from their bytes, as lenient as a reader of foreign files must be.

use std::mem::size_of;
use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, Manifest, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestList,
    ManifestMetadata, PartitionField, PartitionSpec, PrimitiveType, Schema, Transform, Type,
};
use serde_json::{Value as Json, json};

use super::column_statistics::{ColumnTypes, StatisticsBuilder, types_bytes};
use super::listed_file::ListedEntry;
use super::rows;
use crate::catalog::foreign_type;
use crate::error::{Error, Result};
use crate::scan::avro_blocks;
use crate::scan::avro_header::{self, AvroHeader};
use crate::scan::delete_file::{DELETED_PATH_ID, DELETED_POSITION_ID};
use crate::scan::partition::{PartitionColumn, PartitionLayout, result_type};

/// A manifest's own content; what entries inherit from the manifest list is not filled in.
#[derive(Debug)]
pub(crate) struct DecodedManifest {
    /// Data files or delete files.
    pub(crate) content: ManifestContentType,
    /// What the entries' partition tuples hold.
    pub(crate) layout: Arc<PartitionLayout>,
    /// All entries, deleted ones among them, in the file's order.
    pub(crate) entries: Vec<Arc<ListedEntry>>,
    /// Memory that the types of bounds take.
    pub(crate) types_bytes: usize,
}

impl DecodedManifest {
    /// Memory that the manifest takes, estimated.
    pub(crate) fn size_bytes(&self) -> u64 {
        let entries: usize = self.entries.iter().map(|entry| entry.size_bytes()).sum();
        (size_of::<Self>() + self.types_bytes + entries) as u64
    }
}

/// Memory that a manifest list takes, estimated.
pub(super) fn list_size_bytes(list: &[ManifestFile]) -> u64 {
    let entries: usize = list
        .iter()
        .map(|file| {
            let summaries = file.partitions.as_ref().map_or(0, Vec::len);
            // A summary holds two short bounds in allocations of their own.
            size_of::<ManifestFile>() + file.manifest_path.len() + summaries * 128
        })
        .sum();
    entries as u64
}

/// A manifest list. The file itself says of which version it is: tables that were upgraded keep
/// the lists of their old snapshots.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<ManifestFile>> {
    let header = AvroHeader::parse(bytes).ok_or_else(not_avro)?;
    if !header.has_valid_names() {
        return Err(invalid_names());
    }
    let bytes = &*avro_blocks::whole(bytes, &header)?;
    let list = if header.has_field("content") {
        ManifestList::parse_with_version(bytes, FormatVersion::V3)?
    } else {
        // The version 2 form takes both spellings of the counts and wants them all; the version 1
        // form takes lists without counts.
        ManifestList::parse_with_version(bytes, FormatVersion::V2)
            .or_else(|_| ManifestList::parse_with_version(bytes, FormatVersion::V1))?
    };
    Ok(list.consume_entries().into_iter().collect())
}

/// A manifest.
///
/// The format crate refuses a whole manifest for one bound that is no value of its column's type,
/// for a partition name that is no Avro name, for an unknown transform and for a dropped source
/// column. It also finds partition values by name, and where a writer had to change a name to make
/// an Avro name of it, finds none and takes them for nulls. Such files are read under a header of
/// ours that avoids all five.
pub(super) fn manifest(bytes: &[u8]) -> Result<DecodedManifest> {
    let header = AvroHeader::parse(bytes).ok_or_else(not_avro)?;
    let bytes = &*avro_blocks::whole(bytes, &header)?;
    let header = AvroHeader::parse(bytes).ok_or_else(not_avro)?;
    if let Some(manifest) = usual(&header) {
        return Ok(manifest);
    }
    let first = if !has_own_partition_names(&header) {
        Error::corrupt("the partition values of the manifest have names that its spec lacks")
    } else if header.has_valid_names() {
        match Manifest::parse_avro(bytes) {
            Ok(manifest) if !has_unknown_transform(manifest.metadata().partition_spec()) => {
                return plain(manifest);
            }
            Ok(_) => Error::corrupt("the manifest has partition values of an unknown transform"),
            Err(error) => Error::from(error),
        }
    } else {
        invalid_names()
    };
    // The first error names the cause best when the second reading fails too.
    match Lenient::new(header) {
        Some(lenient) => lenient.read().map_err(|_| first),
        None => Err(first),
    }
}

/// Whether the rows' partition fields are called what the partition spec calls them.
fn has_own_partition_names(header: &AvroHeader<'_>) -> bool {
    let spec = header.json("partition-spec").unwrap_or_default();
    let named = |field: &Json| {
        spec.as_array()
            .into_iter()
            .flatten()
            .any(|known| known["field-id"] == field["field-id"] && known["name"] == field["name"])
    };
    header
        .json("avro.schema")
        .and_then(|mut schema| {
            avro_header::partition_fields(&mut schema).map(|fields| fields.iter().all(named))
        })
        .unwrap_or(true)
}

fn invalid_names() -> Error {
    Error::corrupt("the file's schema has names that are no Avro names")
}

fn not_avro() -> Error {
    Error::corrupt("the file does not begin as an Avro file")
}

fn has_unknown_transform(spec: &PartitionSpec) -> bool {
    spec.fields()
        .iter()
        .any(|field| field.transform == Transform::Unknown)
}

/// A manifest as writers of the format write it, decoded without the format crate.
pub(super) fn usual(header: &AvroHeader<'_>) -> Option<DecodedManifest> {
    let entries = header.entries();
    let metadata = entries.map(|(key, value)| (key.clone(), value.clone()));
    let metadata = ManifestMetadata::parse(&metadata.collect()).ok()?;
    let (schema, spec) = (metadata.schema(), metadata.partition_spec());
    if has_unknown_transform(spec) {
        return None;
    }
    let layout = PartitionLayout::new(spec, |id| source_type(schema, id));
    let types = Arc::new(bound_types(schema));
    let types_bytes = types_bytes(&types);
    Some(DecodedManifest {
        content: *metadata.content(),
        entries: rows::entries(header, &metadata, &layout, types)?,
        layout: Arc::new(layout),
        types_bytes,
    })
}

fn plain(manifest: Manifest) -> Result<DecodedManifest> {
    let (entries, metadata) = manifest.into_parts();
    let schema = metadata.schema();
    let layout = PartitionLayout::new(metadata.partition_spec(), |id| source_type(schema, id));
    listed(*metadata.content(), layout, &entries, bound_types(schema))
}

fn listed(
    content: ManifestContentType,
    layout: PartitionLayout,
    entries: &[ManifestEntryRef],
    types: ColumnTypes,
) -> Result<DecodedManifest> {
    let types_bytes = types_bytes(&types);
    let mut statistics = StatisticsBuilder::new(Arc::new(types));
    let entries = entries.iter();
    let entries = entries.map(|entry| Ok(Arc::new(ListedEntry::of(entry, &mut statistics)?)));
    Ok(DecodedManifest {
        content,
        layout: Arc::new(layout),
        entries: entries.collect::<Result<_>>()?,
        types_bytes,
    })
}

/// The ids of the columns that keep a row's lineage (specification, "Reserved Field IDs").
const ROW_ID: i32 = 2_147_483_540;
const LAST_UPDATED_SEQUENCE_NUMBER_ID: i32 = 2_147_483_539;

/// The types of the bounds in a manifest of a schema: those of its columns, of the two that position
/// delete files have, and of rows' lineage.
fn bound_types(schema: &Schema) -> ColumnTypes {
    let mut types = ColumnTypes::from([
        (DELETED_PATH_ID, PrimitiveType::String),
        (DELETED_POSITION_ID, PrimitiveType::Long),
        (ROW_ID, PrimitiveType::Long),
        (LAST_UPDATED_SEQUENCE_NUMBER_ID, PrimitiveType::Long),
    ]);
    leaf_types(&Type::Struct(schema.as_struct().clone()), None, &mut types);
    types
}

fn source_type(schema: &Schema, id: i32) -> Option<PrimitiveType> {
    let field = schema.field_by_id(id)?;
    field.field_type.as_primitive_type().cloned()
}

/// A manifest under a header that reads bounds as plain bytes and knows only those partition fields
/// whose values can be told.
struct Lenient<'a> {
    header: AvroHeader<'a>,
    types: ColumnTypes,
    layout: PartitionLayout,
}

impl<'a> Lenient<'a> {
    fn new(mut header: AvroHeader<'a>) -> Option<Self> {
        let mut schema = header.json("schema")?;
        foreign_type::replace_in_schema(&mut schema);
        let schema: Schema = serde_json::from_value(schema).ok()?;
        let spec = header.json("partition-spec")?;
        // Fields that cannot be read, such as those of transforms of a later version, say nothing.
        let fields = spec
            .as_array()?
            .iter()
            .filter_map(|field| serde_json::from_value::<PartitionField>(field.clone()).ok());
        let spec_id = header
            .text("partition-spec-id")
            .map_or(Some(0), |id| id.parse().ok())?;
        let mut types = ColumnTypes::new();
        leaf_types(&Type::Struct(schema.as_struct().clone()), None, &mut types);
        let columns: Vec<_> = fields
            .filter_map(|field| {
                let source = types.get(&field.source_id)?.clone();
                Some(PartitionColumn {
                    result_type: Some(result_type(field.transform, source)?),
                    field_id: field.field_id,
                    source_id: field.source_id,
                    name: field.name,
                    transform: field.transform,
                })
            })
            .collect();
        rename_partition_fields(&mut header)?;
        if !header.has_valid_names() {
            return None;
        }
        header.set_json("schema", &bytes_schema(&types, &columns)?);
        header.set_json("partition-spec", &plain_spec(&types, &columns)?);
        Some(Self {
            header,
            types,
            layout: PartitionLayout { spec_id, columns },
        })
    }

    fn read(self) -> Result<DecodedManifest> {
        let manifest = Manifest::parse_avro(&self.header.to_bytes())?;
        let content = *manifest.metadata().content();
        listed(content, self.layout, manifest.entries(), self.types)
    }
}

/// The primitive types of all fields, nested ones too.
fn leaf_types(field_type: &Type, id: Option<i32>, types: &mut ColumnTypes) {
    match field_type {
        Type::Primitive(kind) => {
            types.extend(id.map(|id| (id, kind.clone())));
        }
        Type::Struct(fields) => {
            for field in fields.fields() {
                leaf_types(&field.field_type, Some(field.id), types);
            }
        }
        Type::List(list) => {
            let element = &list.element_field;
            leaf_types(&element.field_type, Some(element.id), types);
        }
        Type::Map(map) => {
            for field in [&map.key_field, &map.value_field] {
                leaf_types(&field.field_type, Some(field.id), types);
            }
        }
    }
}

/// Gives the fields of the rows' partition tuple names that follow from their ids.
fn rename_partition_fields(header: &mut AvroHeader<'_>) -> Option<()> {
    let mut schema = header.json("avro.schema")?;
    for (position, field) in avro_header::partition_fields(&mut schema)?
        .iter_mut()
        .enumerate()
    {
        let name = match field["field-id"].as_i64() {
            Some(id) => partition_name(id),
            None => format!("unknown_{position}"),
        };
        field
            .as_object_mut()?
            .insert("name".to_owned(), json!(name));
    }
    header.set_json("avro.schema", &schema);
    Some(())
}

fn partition_name(field_id: impl std::fmt::Display) -> String {
    format!("partition_{field_id}")
}

/// The ids of the fields that stand for partition sources, above all ids of the table.
fn source_ids(types: &ColumnTypes) -> Option<impl Iterator<Item = i32>> {
    let first = types.keys().next_back().copied().unwrap_or(0);
    Some(first.checked_add(1)?..)
}

/// A schema in which each column holds bytes, and each partition field has a source of its own.
fn bytes_schema(types: &ColumnTypes, columns: &[PartitionColumn]) -> Option<Json> {
    let mut fields: Vec<Json> = types
        .keys()
        .map(|id| json!({"id": id, "name": format!("column_{id}"), "required": false, "type": "binary"}))
        .collect();
    for (id, column) in source_ids(types)?.zip(columns) {
        let kind = serde_json::to_value(types.get(&column.source_id)?).ok()?;
        let name = format!("source_{id}");
        fields.push(json!({"id": id, "name": name, "required": false, "type": kind}));
    }
    Some(json!({"type": "struct", "schema-id": 0, "fields": fields}))
}

fn plain_spec(types: &ColumnTypes, columns: &[PartitionColumn]) -> Option<Json> {
    let fields = source_ids(types)?.zip(columns).map(|(id, column)| {
        Some(json!({
            "source-id": id,
            "field-id": column.field_id,
            "name": partition_name(column.field_id),
            "transform": serde_json::to_value(column.transform).ok()?,
        }))
    });
    fields.collect::<Option<Vec<_>>>().map(Json::Array)
}
