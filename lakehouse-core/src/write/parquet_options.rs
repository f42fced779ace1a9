//! From table properties to Parquet writer properties.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use iceberg::spec::{PrimitiveType, Schema, Type};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, LogicalType, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type as ParquetType, TypePtr};

use super::file_encoder::FileOptions;
use super::properties::{Properties, switch};
use crate::error::{Error, Result};

/// Encoded bytes of a row group, unless the table says otherwise.
const ROW_GROUP_BYTES: usize = 128 << 20;
/// Rows of a row group at most, so that narrow tables are still read in parallel.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Encoded bytes of a page, unless the table says otherwise.
const PAGE_BYTES: usize = 1 << 20;
/// Rows of a page, unless the table says otherwise.
const PAGE_ROWS: usize = 20_000;
/// Bytes of a dictionary, unless the table says otherwise.
const DICTIONARY_BYTES: usize = 2 << 20;
/// Bytes of a bloom filter at most, unless the table says otherwise.
const BLOOM_BYTES: u64 = 1 << 20;
/// False positives of a bloom filter, unless the table says otherwise.
const BLOOM_FPP: f64 = 0.01;
/// Bytes of a row group's minimum and maximum: enough for bounds of 16 code points of 4 bytes.
const STATISTICS_BYTES: usize = 64;

/// How all data files of one write are encoded.
///
/// `bound_length` is the longest bound the table's metrics want, `None` for whole values.
pub(super) fn writer_options(
    schema: &Schema,
    stored: &SchemaRef,
    properties: Properties<'_>,
    bound_length: Option<usize>,
) -> Result<FileOptions> {
    let descriptor = parquet_schema(schema, stored)?;
    let bytes = |key: &str, default| Ok::<_, Error>(properties.number(key, 1)?.unwrap_or(default));
    let schema_json = KeyValue::new("iceberg.schema".to_owned(), serde_json::to_string(schema)?);
    let builder = WriterProperties::builder()
        .set_created_by(concat!("lakehouse version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression(properties)?)
        .set_writer_version(page_version(properties)?)
        .set_max_row_group_bytes(Some(row_group_bytes(properties)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_size_limit(bytes("write.parquet.page-size-bytes", PAGE_BYTES)?)
        .set_data_page_row_count_limit(bytes("write.parquet.page-row-limit", PAGE_ROWS)?)
        .set_dictionary_page_size_limit(bytes("write.parquet.dict-size-bytes", DICTIONARY_BYTES)?)
        .set_statistics_enabled(EnabledStatistics::Page)
        // A code point takes at most four bytes.
        .set_statistics_truncate_length(
            bound_length.map(|length| length.saturating_mul(4).max(STATISTICS_BYTES)),
        )
        .set_key_value_metadata(Some(vec![schema_json]));
    let builder = column_options(builder, schema, &descriptor, properties)?;
    // Columns are read by the table's schema; Arrow's beside it would only make footers larger.
    Ok(FileOptions {
        properties: Arc::new(builder.build()),
        schema: descriptor.root_schema_ptr(),
    })
}

/// Encoded bytes of a row group at most.
pub(super) fn row_group_bytes(properties: Properties<'_>) -> Result<usize> {
    let bytes = properties.number("write.parquet.row-group-size-bytes", 1)?;
    Ok(bytes.unwrap_or(ROW_GROUP_BYTES))
}

fn compression(properties: Properties<'_>) -> Result<Compression> {
    const CODEC: &str = "write.parquet.compression-codec";
    const LEVEL: &str = "write.parquet.compression-level";
    let codec = properties
        .text(CODEC)
        .unwrap_or("zstd")
        .to_ascii_lowercase();
    let level =
        |default: i32| Ok::<_, Error>(properties.number(LEVEL, i32::MIN)?.unwrap_or(default));
    let unsigned = |default: u32| Ok::<_, Error>(properties.number(LEVEL, 0)?.unwrap_or(default));
    let wrong = |error| {
        Error::invalid(format!("property {LEVEL:?} is no level of {codec}")).with_source(error)
    };
    Ok(match codec.as_str() {
        "zstd" => {
            let level = level(ZstdLevel::default().compression_level())?;
            Compression::ZSTD(ZstdLevel::try_new(level).map_err(wrong)?)
        }
        "gzip" => {
            let level = unsigned(GzipLevel::default().compression_level())?;
            Compression::GZIP(GzipLevel::try_new(level).map_err(wrong)?)
        }
        "brotli" => {
            let level = unsigned(BrotliLevel::default().compression_level())?;
            Compression::BROTLI(BrotliLevel::try_new(level).map_err(wrong)?)
        }
        "snappy" => Compression::SNAPPY,
        // The format deprecates the framed form, which readers disagree about.
        "lz4" | "lz4_raw" => Compression::LZ4_RAW,
        "uncompressed" | "none" => Compression::UNCOMPRESSED,
        _ => {
            return Err(Error::unsupported(format!(
                "property {CODEC:?} must be zstd, snappy, gzip, brotli, lz4 or uncompressed, it is \
                 {codec:?}"
            )));
        }
    })
}

fn page_version(properties: Properties<'_>) -> Result<WriterVersion> {
    const KEY: &str = "write.parquet.page-version";
    match properties.text(KEY).unwrap_or("v1") {
        "v1" | "V1" => Ok(WriterVersion::PARQUET_1_0),
        "v2" | "V2" => Ok(WriterVersion::PARQUET_2_0),
        other => Err(Error::invalid(format!(
            "property {KEY:?} must be v1 or v2, it is {other:?}"
        ))),
    }
}

/// The properties of single columns: bloom filters, statistics, dictionaries.
///
/// A column that the table no longer has is passed over: its property may still be set.
fn column_options(
    mut builder: WriterPropertiesBuilder,
    schema: &Schema,
    descriptor: &SchemaDescriptor,
    properties: Properties<'_>,
) -> Result<WriterPropertiesBuilder> {
    const STATISTICS: &str = "write.parquet.stats-enabled.column.";
    const DICTIONARY: &str = "write.parquet.dict-encoding-enabled.column.";
    const BLOOM: &str = "write.parquet.bloom-filter-enabled.column.";
    for (column, text) in properties.below(STATISTICS) {
        if let Some(path) = column_path(schema, descriptor, column) {
            let enabled = match switch(&format!("{STATISTICS}{column}"), text)? {
                true => EnabledStatistics::Page,
                false => EnabledStatistics::None,
            };
            builder = builder.set_column_statistics_enabled(path, enabled);
        }
    }
    for (column, text) in properties.below(DICTIONARY) {
        if let Some(path) = column_path(schema, descriptor, column) {
            let enabled = switch(&format!("{DICTIONARY}{column}"), text)?;
            builder = builder.set_column_dictionary_enabled(path, enabled);
        }
    }
    for (column, text) in properties.below(BLOOM) {
        if let Some(path) = column_path(schema, descriptor, column)
            && switch(&format!("{BLOOM}{column}"), text)?
        {
            let (fpp, ndv) = bloom_size(properties, column)?;
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), fpp)
                .set_column_bloom_filter_ndv(path, ndv);
        }
    }
    Ok(builder)
}

/// False positive rate and distinct values of a column's bloom filter, within the size limit.
fn bloom_size(properties: Properties<'_>, column: &str) -> Result<(f64, u64)> {
    let fpp_key = format!("write.parquet.bloom-filter-fpp.column.{column}");
    let fpp = properties.number(&fpp_key, 0.0)?.unwrap_or(BLOOM_FPP);
    if fpp <= 0.0 || fpp >= 1.0 {
        return Err(Error::invalid(format!(
            "property {fpp_key:?} must lie between 0 and 1, it is {fpp}"
        )));
    }
    let ndv = properties.number(
        &format!("write.parquet.bloom-filter-ndv.column.{column}"),
        1,
    )?;
    let bytes = properties.number("write.parquet.bloom-filter-max-bytes", 1)?;
    // A split-block filter of so many bits holds so many values at this rate: -bits/8 * ln(...).
    let bits_per_value = -8.0 / (1.0 - fpp.powf(1.0 / 8.0)).ln();
    let bits = bytes.unwrap_or(BLOOM_BYTES).saturating_mul(8);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a size hint: the conversion saturates"
    )]
    let most = ((bits as f64 / bits_per_value) as u64).max(1);
    Ok((fpp, ndv.map_or(most, |ndv: u64| ndv.min(most))))
}

fn column_path(schema: &Schema, descriptor: &SchemaDescriptor, column: &str) -> Option<ColumnPath> {
    let id = schema.field_id_by_name(column)?;
    let leaves = descriptor.columns().iter();
    let mut leaves = leaves.filter(|leaf| {
        let info = leaf.self_type().get_basic_info();
        info.has_id() && info.id() == id
    });
    leaves.next().map(|leaf| leaf.path().clone())
}

/// The Parquet schema of the stored Arrow schema; UUIDs, which Arrow does not tell from other
/// bytes, are marked as what they are.
fn parquet_schema(schema: &Schema, stored: &SchemaRef) -> Result<SchemaDescriptor> {
    let converted = ArrowSchemaConverter::new()
        .schema_root("table")
        .convert(stored)?;
    let root = mark_uuids(&converted.root_schema_ptr(), schema, true)?;
    Ok(SchemaDescriptor::new(root))
}

fn mark_uuids(node: &TypePtr, schema: &Schema, root: bool) -> Result<TypePtr> {
    let info = node.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if node.is_group() {
        let children = node
            .get_fields()
            .iter()
            .map(|child| mark_uuids(child, schema, false));
        let children: Vec<TypePtr> = children.collect::<Result<_>>()?;
        let mut builder = ParquetType::group_type_builder(info.name())
            .with_fields(children)
            .with_id(id)
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned());
        if !root {
            builder = builder.with_repetition(info.repetition());
        }
        return Ok(Arc::new(builder.build()?));
    }
    let field = id.and_then(|id| schema.field_by_id(id));
    if field.map(|field| field.field_type.as_ref()) != Some(&Type::Primitive(PrimitiveType::Uuid)) {
        return Ok(Arc::clone(node));
    }
    let marked = ParquetType::primitive_type_builder(info.name(), node.get_physical_type())
        .with_length(16)
        .with_id(id)
        .with_repetition(info.repetition())
        .with_logical_type(Some(LogicalType::Uuid));
    Ok(Arc::new(marked.build()?))
}
