//! Delete files of every kind, as other engines write them: position deletes, deletion vectors,
//! equality deletes.
//!
//! Each function writes a local file and gives the builder of what a manifest says of it, for a
//! test to change or to build as it is; [`crate::RowDelta`] puts it into a snapshot.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema as ArrowSchema};
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Datum, Schema};
use lakehouse_core::error::Result;
use lakehouse_core::table::write_schema;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use roaring::RoaringTreemap;
use serde_json::json;

/// The field id of the path column of position delete files.
pub const PATH_ID: i32 = 2_147_483_546;
/// The field id of the position column of position delete files.
pub const POSITION_ID: i32 = 2_147_483_545;

/// A position delete file to write: rows of a data file and a position, in any order, NULL at will.
#[derive(Debug, Clone)]
pub struct PositionDeletes {
    rows: Vec<(Option<String>, Option<i64>)>,
    properties: WriterPropertiesBuilder,
    has_field_ids: bool,
}

impl PositionDeletes {
    /// A file of `rows`, in their order.
    pub fn new<P: Into<String>>(rows: impl IntoIterator<Item = (P, i64)>) -> Self {
        let rows = rows.into_iter();
        Self::with_nulls(rows.map(|(path, position)| (Some(path.into()), Some(position))))
    }

    /// A file of `rows` of which some lack a part, which the format forbids.
    pub fn with_nulls(rows: impl IntoIterator<Item = (Option<String>, Option<i64>)>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            properties: WriterProperties::builder(),
            has_field_ids: true,
        }
    }

    /// Row groups of `group` rows, in pages of `page` rows.
    #[must_use]
    pub fn in_pieces(mut self, group: usize, page: usize) -> Self {
        self.properties = self
            .properties
            .set_max_row_group_row_count(Some(group))
            .set_data_page_row_count_limit(page)
            .set_write_batch_size(page);
        self
    }

    /// Columns that can be told by their names only.
    #[must_use]
    pub fn without_field_ids(mut self) -> Self {
        self.has_field_ids = false;
        self
    }

    /// Writes the file to `path`, with bounds of the data files' locations.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(self, path: &str) -> Result<DataFileBuilder> {
        let field = |name: &str, kind, id: i32| {
            let field = Field::new(name, kind, true);
            match self.has_field_ids {
                true => with_id(field, id),
                false => field,
            }
        };
        let schema = Arc::new(ArrowSchema::new(vec![
            field("file_path", DataType::Utf8, PATH_ID),
            field("pos", DataType::Int64, POSITION_ID),
        ]));
        let paths: StringArray = self.rows.iter().map(|(path, _)| path.as_deref()).collect();
        let positions: Int64Array = self.rows.iter().map(|(_, position)| *position).collect();
        let (lower, upper) = (min_string(&paths), max_string(&paths));
        let bound = |bound: Option<&str>| bound.map(|b| (PATH_ID, Datum::string(b)));
        let mut file = described(path, DataContentType::PositionDeletes, self.rows.len());
        file.lower_bounds(bound(lower).into_iter().collect())
            .upper_bounds(bound(upper).into_iter().collect());
        let columns: Vec<ArrayRef> = vec![Arc::new(paths), Arc::new(positions)];
        let batch = RecordBatch::try_new(schema, columns)?;
        file.file_size_in_bytes(write_parquet(path, &batch, self.properties.build())?);
        Ok(file)
    }
}

/// The blob of a deletion vector that deletes `rows`.
///
/// # Errors
/// When the vector is larger than a blob can be.
pub fn vector_blob(rows: &RoaringTreemap) -> Result<Vec<u8>> {
    let mut body = vec![0xD1, 0xD3, 0x39, 0x64];
    rows.serialize_into(&mut body)?;
    let too_large = |_| lakehouse_core::error::Error::invalid("the vector is too large");
    let length = u32::try_from(body.len()).map_err(too_large)?;
    let checksum = crc32fast::hash(&body);
    Ok([&length.to_be_bytes()[..], &body, &checksum.to_be_bytes()].concat())
}

/// Writes one Puffin file with a deletion vector for each of `vectors`: a data file's location, and
/// the rows it loses. The answers are in the same order.
///
/// # Errors
/// When the file cannot be written.
pub fn write_deletion_vectors(
    path: &str,
    vectors: &[(&str, Vec<Range<u64>>)],
) -> Result<Vec<DataFileBuilder>> {
    let mut bytes = b"PFA1".to_vec();
    let (mut blobs, mut files) = (Vec::new(), Vec::new());
    for (data_file, runs) in vectors {
        let rows: RoaringTreemap = runs.iter().cloned().flatten().collect();
        let blob = vector_blob(&rows)?;
        let offset = bytes.len();
        blobs.push(json!({
            "type": "deletion-vector-v1",
            "fields": [],
            "snapshot-id": -1,
            "sequence-number": -1,
            "offset": offset,
            "length": blob.len(),
            "properties": {
                "referenced-data-file": data_file,
                "cardinality": rows.len().to_string(),
            },
        }));
        let mut file = described(path, DataContentType::PositionDeletes, 0);
        file.file_format(DataFileFormat::Puffin)
            .record_count(rows.len())
            .referenced_data_file(Some((*data_file).to_owned()))
            .content_offset(i64::try_from(offset).ok())
            .content_size_in_bytes(i64::try_from(blob.len()).ok());
        files.push(file);
        bytes.extend(blob);
    }
    let footer = json!({ "blobs": blobs, "properties": {} }).to_string();
    bytes.extend(b"PFA1");
    bytes.extend(footer.as_bytes());
    bytes.extend(
        i32::try_from(footer.len())
            .unwrap_or(i32::MAX)
            .to_le_bytes(),
    );
    bytes.extend([0; 4]);
    bytes.extend(b"PFA1");
    std::fs::write(path, &bytes)?;
    for file in &mut files {
        file.file_size_in_bytes(bytes.len() as u64);
    }
    Ok(files)
}

/// Writes an equality delete file: rows of key columns, whose ids and types are those of `keys`.
///
/// `columns` are in the order of `keys` and are cast to its types. The manifest gets counts of all
/// columns, and bounds of whole numbers and texts.
///
/// # Errors
/// When the file cannot be written, or the columns are not those of `keys`.
pub fn write_equality_deletes(
    path: &str,
    keys: &Schema,
    columns: &[ArrayRef],
) -> Result<DataFileBuilder> {
    let schema = Arc::new(write_schema(keys)?);
    let columns = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let batch = RecordBatch::try_new(schema, columns)?;
    let ids: Vec<i32> = keys.as_struct().fields().iter().map(|f| f.id).collect();
    let mut file = described(path, DataContentType::EqualityDeletes, batch.num_rows());
    let (mut nulls, mut values) = (HashMap::new(), HashMap::new());
    let (mut lower, mut upper) = (HashMap::new(), HashMap::new());
    for (id, column) in ids.iter().zip(batch.columns()) {
        nulls.insert(*id, column.null_count() as u64);
        values.insert(*id, column.len() as u64);
        if let Some((least, most)) = bounds(column) {
            lower.insert(*id, least);
            upper.insert(*id, most);
        }
    }
    file.equality_ids(Some(ids))
        .null_value_counts(nulls)
        .value_counts(values)
        .lower_bounds(lower)
        .upper_bounds(upper);
    file.file_size_in_bytes(write_parquet(path, &batch, WriterProperties::default())?);
    Ok(file)
}

fn bounds(column: &ArrayRef) -> Option<(Datum, Datum)> {
    match column.data_type() {
        DataType::Int32 => {
            let column = column.as_primitive::<Int32Type>();
            Some((Datum::int(min(column)?), Datum::int(max(column)?)))
        }
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            Some((Datum::long(min(column)?), Datum::long(max(column)?)))
        }
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            let (least, most) = (min_string(column)?, max_string(column)?);
            Some((Datum::string(least), Datum::string(most)))
        }
        _ => None,
    }
}

fn described(path: &str, content: DataContentType, rows: usize) -> DataFileBuilder {
    let mut file = DataFileBuilder::default();
    file.content(content)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .record_count(rows as u64);
    file
}

fn with_id(field: Field, id: i32) -> Field {
    let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string());
    field.with_metadata(HashMap::from([id]))
}

fn write_parquet(path: &str, batch: &RecordBatch, properties: WriterProperties) -> Result<u64> {
    let file = File::create(path)?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(std::fs::metadata(path)?.len())
}
