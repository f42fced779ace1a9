//! Position delete files: Parquet files of data file and row, sorted by both.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use iceberg::spec::{DataContentType, NestedField, PrimitiveType, Schema, SortOrder, Struct, Type};
use roaring::RoaringTreemap;

use super::WrittenFile;
use super::delete_writer::{DeleteFolder, DeletedPositions};
use super::metrics::MetricsPlan;
use super::parquet_file::{FileFormat, ParquetFile};
use super::parquet_options::writer_options;
use super::partition::{PartitionKey, key_of};
use super::properties::Properties;
use crate::error::{Error, Result};
use crate::runtime::Reservation;
use crate::table::write_schema;

/// The field id of the column that names data files.
const PATH_ID: i32 = 2_147_483_546;
/// The field id of the column that names rows.
const POSITION_ID: i32 = 2_147_483_545;
/// Rows that are encoded at a time.
const STEP_ROWS: usize = 32 << 10;

/// Writes position deletes of a table of format version 2.
#[derive(Debug)]
pub(super) struct PositionFiles {
    folder: DeleteFolder,
    memory: Reservation,
    options: HashMap<String, String>,
    granularity: Granularity,
    /// What waits for the other data files of its partition, by location.
    gathered: HashMap<(i32, PartitionKey), PartitionDeletes>,
    gathered_bytes: usize,
}

/// What waits in one partition.
#[derive(Debug)]
struct PartitionDeletes {
    partition: Struct,
    files: BTreeMap<String, RoaringTreemap>,
}

/// How many data files one delete file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granularity {
    File,
    Partition,
}

impl PositionFiles {
    pub(super) fn try_new(
        folder: DeleteFolder,
        properties: Properties<'_>,
        memory: Reservation,
    ) -> Result<Self> {
        const KEY: &str = "write.delete.granularity";
        let granularity = match properties.text(KEY).map(str::to_ascii_lowercase).as_deref() {
            // What other engines' sessions default to: such deletes are replaced file by file.
            None | Some("file") => Granularity::File,
            Some("partition") => Granularity::Partition,
            Some(other) => {
                return Err(Error::invalid(format!(
                    "property {KEY:?} must be file or partition, it is {other:?}"
                )));
            }
        };
        let files = Self {
            folder,
            memory,
            options: parquet_options(properties),
            granularity,
            gathered: HashMap::new(),
            gathered_bytes: 0,
        };
        // A property that cannot be read is found before there is work.
        files.format(0)?;
        Ok(files)
    }

    /// Adds the rows of one data file; `written` gets the files that were ended.
    pub(super) async fn add(
        &mut self,
        deleted: DeletedPositions,
        written: &mut Vec<WrittenFile>,
    ) -> Result<()> {
        let bytes = deleted.positions.serialized_size() + deleted.data_file.len();
        let key = (deleted.spec_id, key_of(&deleted.partition));
        let waiting = self.gathered.entry(key);
        let waiting = waiting.or_insert_with(|| PartitionDeletes {
            partition: deleted.partition,
            files: BTreeMap::new(),
        });
        waiting.files.insert(deleted.data_file, deleted.positions);
        self.gathered_bytes += bytes;
        if self.granularity == Granularity::File || self.memory.resize(self.gathered_bytes).is_err()
        {
            self.end(written).await?;
        }
        Ok(())
    }

    /// Writes what was gathered.
    pub(super) async fn end(&mut self, written: &mut Vec<WrittenFile>) -> Result<()> {
        let mut gathered: Vec<_> = std::mem::take(&mut self.gathered).into_iter().collect();
        gathered.sort_by(|(_, one), (_, other)| one.files.keys().cmp(other.files.keys()));
        for ((spec_id, _), PartitionDeletes { partition, files }) in gathered {
            let format = Arc::new(self.format(spec_id)?);
            let mut open: Option<ParquetFile> = None;
            let only = match files.len() {
                1 => files.keys().next().cloned(),
                _ => None,
            };
            for (path, positions) in files {
                let file = match &mut open {
                    Some(file) => file,
                    None => {
                        let location = self.folder.names.next_delete_file("parquet")?;
                        let file = ParquetFile::create(
                            Arc::clone(&format),
                            &self.folder.storage,
                            &location,
                            partition.clone(),
                        )?;
                        open.insert(file.referencing(only.clone()))
                    }
                };
                if let Err(error) = write_rows(file, &format.stored, &path, &positions).await {
                    let error = error.with_context("file", file.location());
                    if let Some(file) = open.take() {
                        // The first error is the one to tell; parts left behind are no file.
                        let _ = file.abort().await;
                    }
                    return Err(error);
                }
                if file.size_bytes() >= self.folder.target_bytes
                    && let Some(file) = open.take()
                {
                    written.push(file.finish().await?);
                }
            }
            if let Some(file) = open {
                written.push(file.finish().await?);
            }
        }
        self.gathered_bytes = 0;
        self.memory.resize(0)
    }

    fn format(&self, spec_id: i32) -> Result<FileFormat> {
        let schema = delete_schema()?;
        let stored = Arc::new(write_schema(&schema)?);
        let none = HashMap::new();
        let properties = Properties {
            statement: &self.options,
            table: &none,
        };
        let order = SortOrder::unsorted_order();
        Ok(FileFormat {
            metrics: MetricsPlan::try_new(&schema, &order, &stored, properties)?,
            // Whole bounds tell which data file a delete file is for.
            options: writer_options(&schema, &stored, properties, None)?,
            stored,
            spec_id,
            content: DataContentType::PositionDeletes,
            sort_order_id: None,
        })
    }
}

async fn write_rows(
    file: &mut ParquetFile,
    stored: &SchemaRef,
    path: &str,
    positions: &RoaringTreemap,
) -> Result<()> {
    let mut rows = positions.iter();
    loop {
        let step = rows.by_ref().take(STEP_ROWS).map(i64::try_from);
        let step: Int64Array = step
            .collect::<std::result::Result<Vec<i64>, _>>()
            .map_err(|error| {
                Error::internal("a row beyond the largest file was deleted").with_source(error)
            })?
            .into();
        let count = step.len();
        if count == 0 {
            return Ok(());
        }
        let paths = StringArray::new_repeated(path, count);
        let columns: Vec<ArrayRef> = vec![Arc::new(paths), Arc::new(step)];
        file.write(&RecordBatch::try_new(Arc::clone(stored), columns)?)
            .await?;
    }
}

fn delete_schema() -> Result<Schema> {
    let path = Type::Primitive(PrimitiveType::String);
    let position = Type::Primitive(PrimitiveType::Long);
    let schema = Schema::builder().with_fields([
        Arc::new(NestedField::required(PATH_ID, "file_path", path)),
        Arc::new(NestedField::required(POSITION_ID, "pos", position)),
    ]);
    Ok(schema.build()?)
}

/// How the files are encoded: as the table's delete files, else as its data files; with whole
/// bounds.
fn parquet_options(properties: Properties<'_>) -> HashMap<String, String> {
    const OF_DATA: &str = "write.parquet.";
    let mut options = HashMap::new();
    for prefix in [OF_DATA, "write.delete.parquet."] {
        for (key, text) in properties.below(prefix) {
            // The columns that such properties name are the table's.
            if !key.contains(".column.") {
                options.insert(format!("{OF_DATA}{key}"), text.to_owned());
            }
        }
    }
    options.insert(
        "write.metadata.metrics.default".to_owned(),
        "full".to_owned(),
    );
    options
}
