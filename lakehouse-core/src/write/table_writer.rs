//! Rows of a table into data files, a set of files for each partition, in bounded memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use iceberg::spec::{
    DataContentType, DataFileFormat, NestedField, NestedFieldRef, PrimitiveType, Schema, Type,
};
use uuid::Uuid;

use super::WrittenFile;
use super::conform::Conformer;
use super::file_name::FileNames;
use super::metrics::MetricsPlan;
use super::metrics_mode::longest_bound;
use super::parquet_file::{FileFormat, ParquetFile};
use super::parquet_options::writer_options;
use super::partition::{Group, PartitionKey, Partitioner};
use super::properties::Properties;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Reservation;
use crate::storage::Storage;
use crate::table::{Table, write_schema};

/// Files that are open at the same time; beyond it the one unused for longest is ended.
const OPEN_FILES_MAX: usize = 256;
/// Rows that are encoded between two looks at memory and file size.
const STEP_ROWS: usize = 32 << 10;
/// A row group of at least so many bytes may be ended early when memory is short; a smaller one is
/// ended with its file.
const EARLY_ROW_GROUP_BYTES: usize = 16 << 20;
/// Files of one write that may be ended because memory is short; beyond it the write fails, because
/// nobody wants the table that it would make.
const EARLY_FILES_MAX: usize = 10_000;
/// Size at which a file is ended and another begun, unless the table says otherwise.
const TARGET_FILE_BYTES: u64 = 512 << 20;
/// Files that are ended or deleted at the same time.
const CONCURRENT_FILES: usize = 8;

/// What one write is given beside the table.
#[derive(Debug)]
pub struct WriteOptions {
    pub(super) memory: Reservation,
    pub(super) query_id: Uuid,
    pub(super) task: u32,
    pub(super) properties: HashMap<String, String>,
    has_row_lineage: bool,
}

impl WriteOptions {
    /// A write within `memory`, whose file names carry `query_id`.
    ///
    /// `query_id` comes from [`crate::clock::Clock::new_uuid`] and is used for one statement only,
    /// so that no two files ever share a name.
    pub fn new(memory: Reservation, query_id: Uuid) -> Self {
        Self {
            memory,
            query_id,
            task: 0,
            properties: HashMap::new(),
            has_row_lineage: false,
        }
    }

    /// The number of this writer among those of the same statement.
    #[must_use]
    pub fn with_task(mut self, task: u32) -> Self {
        self.task = task;
        self
    }

    /// Says that rows come with their ids and the sequence numbers of their last change, in two
    /// columns of whole numbers behind the table's own; NULL is what the rows' file gives them. For
    /// tables of format version 3.
    #[must_use]
    pub fn with_row_lineage(mut self) -> Self {
        self.has_row_lineage = true;
        self
    }

    /// A property of this write alone, such as `write.target-file-size-bytes`, before the table's.
    #[must_use]
    pub fn with_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }
}

/// Writes rows of a table into new data files of its current schema and partition spec.
///
/// Rows may come in any order: each partition has its own file, and when there are more partitions
/// than may be open, or more bytes than memory, files are ended early, which makes more and smaller
/// files and never loses a row. A dropped writer leaves files without a name only, except those it
/// had ended: end it with [`Self::close`] or [`Self::abort`].
#[derive(Debug)]
pub struct TableWriter {
    storage: Storage,
    format: Arc<FileFormat>,
    conformer: Conformer,
    partitioner: Partitioner,
    names: FileNames,
    memory: Reservation,
    target_file_bytes: u64,
    /// In order, so that a run of the same rows does the same.
    open: BTreeMap<PartitionKey, OpenFile>,
    open_bytes: usize,
    steps: u64,
    early_files: usize,
    written: Vec<WrittenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: Box<ParquetFile>,
    memory_bytes: usize,
    last_used: u64,
}

impl TableWriter {
    /// A writer for the table's current schema, partition spec and properties.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the table wants another file format, encryption, a naming
    /// class or a transform that is not offered, [`ErrorKind::InvalidInput`] for a property that
    /// cannot be read.
    pub fn try_new(table: &Table, options: WriteOptions) -> Result<Self> {
        Self::build(table, options).map_err(|error| error.with_context("table", table.ident()))
    }

    fn build(table: &Table, options: WriteOptions) -> Result<Self> {
        let metadata = table.metadata();
        let schema = match options.has_row_lineage {
            true => &Arc::new(with_row_lineage(metadata.current_schema())?),
            false => metadata.current_schema(),
        };
        let spec = table.partition_spec();
        let properties = Properties {
            statement: &options.properties,
            table: table.properties(),
        };
        refuse_other_formats(properties)?;
        let stored = Arc::new(write_schema(schema)?);
        let order = metadata.default_sort_order();
        let metrics = MetricsPlan::try_new(schema, order, &stored, properties)?;
        let bounds = longest_bound(schema, order, properties)?;
        Ok(Self {
            storage: table.storage().clone(),
            conformer: Conformer::new(Arc::clone(&stored)),
            partitioner: Partitioner::try_new(spec, schema, &stored)?,
            names: FileNames::try_new(
                table.location(),
                properties,
                options.query_id,
                options.task,
            )?,
            target_file_bytes: properties
                .number("write.target-file-size-bytes", 1)?
                .unwrap_or(TARGET_FILE_BYTES),
            format: Arc::new(FileFormat {
                options: writer_options(schema, &stored, properties, bounds)?,
                stored,
                metrics,
                spec_id: spec.spec_id(),
                content: DataContentType::Data,
            }),
            memory: options.memory,
            open: BTreeMap::new(),
            open_bytes: 0,
            steps: 0,
            early_files: 0,
            written: Vec::new(),
        })
    }

    /// Adds rows: the table's columns in order. Strings and binaries may come in every Arrow form,
    /// other types in every form that holds the same values.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for rows that the table cannot hold, by column and value, else
    /// what the store or the memory budget answers. The write must then be given up with
    /// [`Self::abort`].
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.num_rows() {
            let length = STEP_ROWS.min(batch.num_rows() - start);
            let rows = match length == batch.num_rows() {
                true => self.conformer.conform(&batch)?,
                false => self.conformer.conform(&batch.slice(start, length))?,
            };
            for group in self.partitioner.split(&rows)? {
                self.write_group(group).await?;
            }
            start += length;
        }
        Ok(())
    }

    /// Ends all files. When one cannot be ended, all are deleted.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn close(mut self) -> Result<Vec<WrittenFile>> {
        let open = std::mem::take(&mut self.open);
        let files: Vec<_> = open.into_values().map(|open| open.file.finish()).collect();
        let mut ended = futures::stream::iter(files).buffer_unordered(CONCURRENT_FILES);
        let mut failed = None;
        while let Some(file) = ended.next().await {
            match file {
                Ok(file) => self.written.push(file),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        drop(ended);
        if let Some(error) = failed {
            // The first error is the one to tell; files that no snapshot names are orphans.
            let _ = self.abort().await;
            return Err(error);
        }
        let mut written = std::mem::take(&mut self.written);
        written.sort_by(|a, b| a.data_file.file_path().cmp(b.data_file.file_path()));
        Ok(written)
    }

    /// Gives the write up and deletes what it wrote.
    ///
    /// # Errors
    /// What the store answers to the first deletion that failed; the others are still tried.
    pub async fn abort(mut self) -> Result<()> {
        let mut outcome = Ok(());
        for open in std::mem::take(&mut self.open).into_values() {
            outcome = outcome.and(open.file.abort().await);
        }
        let storage = &self.storage;
        let deletions = self
            .written
            .iter()
            .map(|file| storage.delete(file.data_file.file_path()));
        let deletions: Vec<_> = deletions.collect();
        let mut deletions = futures::stream::iter(deletions).buffer_unordered(CONCURRENT_FILES);
        while let Some(deleted) = deletions.next().await {
            outcome = outcome.and(deleted);
        }
        outcome
    }

    async fn write_group(&mut self, group: Group) -> Result<()> {
        self.steps += 1;
        if !self.open.contains_key(&group.key) {
            self.make_place().await?;
            let location = self
                .names
                .next(self.partitioner.fields(), &group.partition)?;
            let file = ParquetFile::create(
                Arc::clone(&self.format),
                &self.storage,
                &location,
                group.partition,
            )?;
            let open = OpenFile {
                file: Box::new(file),
                memory_bytes: 0,
                last_used: self.steps,
            };
            self.open.insert(Arc::clone(&group.key), open);
        }
        let Some(open) = self.open.get_mut(&group.key) else {
            return Err(Error::internal("the file of a partition must be open"));
        };
        open.last_used = self.steps;
        let written = open.file.write(&group.rows).await;
        written.map_err(|error| error.with_context("file", open.file.location()))?;
        self.open_bytes = open.measure(self.open_bytes);
        if open.file.size_bytes() >= self.target_file_bytes {
            self.end_file(&group.key).await?;
        }
        self.keep_within_memory().await
    }

    /// Ends the file unused for longest when as many are open as may be.
    async fn make_place(&mut self) -> Result<()> {
        if self.open.len() < OPEN_FILES_MAX {
            return Ok(());
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.last_used);
        let oldest = oldest.map(|(key, _)| Arc::clone(key));
        match oldest {
            Some(key) => self.end_file(&key).await,
            None => Ok(()),
        }
    }

    /// Gives memory back until the reservation holds what is left.
    async fn keep_within_memory(&mut self) -> Result<()> {
        while let Err(refused) = self.memory.resize(self.open_bytes) {
            let largest = self
                .open
                .iter_mut()
                .max_by_key(|(_, open)| open.memory_bytes);
            let Some((key, open)) = largest else {
                return Err(refused);
            };
            let gathered = open.memory_bytes;
            if gathered >= EARLY_ROW_GROUP_BYTES {
                open.file.flush().await?;
                self.open_bytes = open.measure(self.open_bytes);
                if open.memory_bytes < gathered {
                    continue;
                }
            }
            if self.early_files == EARLY_FILES_MAX {
                return Err(refused);
            }
            self.early_files += 1;
            let key = Arc::clone(key);
            self.end_file(&key).await?;
        }
        Ok(())
    }

    async fn end_file(&mut self, key: &PartitionKey) -> Result<()> {
        if let Some(open) = self.open.remove(key) {
            self.open_bytes -= open.memory_bytes;
            self.written.push(open.file.finish().await?);
        }
        Ok(())
    }
}

impl OpenFile {
    /// Takes note of the memory the file holds now; `total` of all files before and after.
    fn measure(&mut self, total: usize) -> usize {
        let before = self.memory_bytes;
        self.memory_bytes = self.file.memory_bytes();
        total - before + self.memory_bytes
    }
}

/// The columns of rows that come with their lineage, by the ids that the format reserves.
fn with_row_lineage(schema: &Schema) -> Result<Schema> {
    const ROW_ID: (i32, &str) = (2_147_483_540, "_row_id");
    const SEQUENCE_NUMBER: (i32, &str) = (2_147_483_539, "_last_updated_sequence_number");
    let own = schema.as_struct().fields().iter().map(Arc::clone);
    let lineage = [ROW_ID, SEQUENCE_NUMBER].map(|(id, name)| -> NestedFieldRef {
        NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into()
    });
    let with = Schema::builder()
        .with_schema_id(schema.schema_id())
        .with_fields(own.chain(lineage));
    Ok(with.build()?)
}

fn refuse_other_formats(properties: Properties<'_>) -> Result<()> {
    let format = properties.text("write.format.default").unwrap_or("parquet");
    if !matches!(
        format.to_ascii_lowercase().parse(),
        Ok(DataFileFormat::Parquet)
    ) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the table wants data files in format {format:?} (write.format.default); only \
                 parquet is written"
            ),
        ));
    }
    if properties.text("encryption.key-id").is_some() {
        return Err(Error::unsupported(
            "the table wants encrypted data files (encryption.key-id), which are not written",
        ));
    }
    Ok(())
}
