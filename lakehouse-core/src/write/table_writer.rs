//! Rows of a table into data files, a set of files for each partition, in bounded memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use iceberg::spec::{
    DataContentType, DataFileFormat, NestedField, NestedFieldRef, PrimitiveType, Schema, SortOrder,
    Struct, Type,
};

use super::WrittenFile;
use super::conform::Conformer;
use super::ended::EndedFiles;
use super::file_encoder::FileOptions;
use super::file_name::FileNames;
use super::metrics::MetricsPlan;
use super::metrics_mode::longest_bound;
use super::new_values::encode_values;
use super::page_rewrite::NewValues;
use super::parquet_file::{FileFormat, ParquetFile};
use super::parquet_options::{row_group_bytes, writer_options};
use super::partition::{Group, PartitionKey, Partitioner, key_of};
use super::properties::Properties;
use super::ready_group::ReadyGroup;
use super::spool::Spool;
use super::write_options::{RowOrder, WriteOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Reservation;
use crate::storage::Storage;
use crate::table::{Table, write_schema};

/// Files that are open at the same time; rows of other partitions wait until these are written.
const OPEN_FILES_MAX: usize = 64;
/// An open file that got no rows for so many steps makes place for another.
const IDLE_STEPS: u64 = 16;
/// Rows that are encoded between two looks at memory and file size.
const STEP_ROWS: usize = 32 << 10;
/// Bytes that a writer holds at most, also where the memory budget would allow for more; a row
/// group that is to be larger counts twice.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Bytes of rows that wait in memory at most, where they can be spilled.
const WAITING_BYTES_MAX: usize = 96 << 20;
/// A row group of at least so many bytes may be ended early when memory is short; a smaller one is
/// ended with its file.
const EARLY_ROW_GROUP_BYTES: usize = 16 << 20;
/// Files of one write that may be ended because memory is short; beyond it the write fails, because
/// nobody wants the table that it would make.
const EARLY_FILES_MAX: usize = 10_000;
/// Size at which a file is ended and another begun, unless the table says otherwise.
const TARGET_FILE_BYTES: u64 = 512 << 20;

/// Writes rows of a table into new data files of its current schema and partition spec.
///
/// Rows may come in any order: each partition has its own file. When there are more partitions than
/// files may be open, or more bytes than memory, the rows of further partitions wait, spilled when
/// they are many, and are written partition by partition in the end. A writer that is dropped
/// deletes what it wrote; [`Self::abort`] does so and says what became of it.
#[derive(Debug)]
pub struct TableWriter {
    storage: Storage,
    format: Arc<FileFormat>,
    conformer: Conformer,
    partitioner: Partitioner,
    names: FileNames,
    memory: Reservation,
    memory_bytes_max: usize,
    target_file_bytes: u64,
    order: RowOrder,
    /// In order, so that a run of the same rows does the same.
    open: BTreeMap<PartitionKey, OpenFile>,
    open_bytes: usize,
    open_files_max: usize,
    /// Partitions whose file was ended because memory was short: what comes for them waits.
    closed: HashSet<PartitionKey>,
    spool: Spool,
    ended: EndedFiles,
    steps: u64,
    early_files: usize,
    /// Rows that were written, where errors are to say the number of a row.
    rows: Option<u64>,
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
        let row_group_bytes = row_group_bytes(properties)?;
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
            spool: Spool::new(&stored, options.space),
            format: Arc::new(FileFormat {
                options: writer_options(schema, &stored, properties, bounds)?,
                stored,
                metrics,
                spec_id: spec.spec_id(),
                sort_order_id: sort_order_id(order, options.order)?,
                content: DataContentType::Data,
            }),
            memory: options.memory,
            memory_bytes_max: row_group_bytes.saturating_mul(2).max(MEMORY_BYTES_MAX),
            order: options.order,
            open: BTreeMap::new(),
            open_bytes: 0,
            open_files_max: OPEN_FILES_MAX,
            closed: HashSet::new(),
            ended: EndedFiles::new(table.storage().clone()),
            steps: 0,
            early_files: 0,
            rows: options.counts_rows.then_some(0),
        })
    }

    /// Adds rows: the table's columns in order. Strings and binaries may come in every Arrow form,
    /// other types in every form that holds the same values.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for rows that the table cannot hold, by column and value, else
    /// what the store, the disk or the memory budget answers. The write must then be given up with
    /// [`Self::abort`].
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.num_rows() {
            let length = STEP_ROWS.min(batch.num_rows() - start);
            let rows = match length == batch.num_rows() {
                true => self.conformer.conform(&batch, self.rows)?,
                false => self
                    .conformer
                    .conform(&batch.slice(start, length), self.rows)?,
            };
            self.steps += 1;
            let mut waiting = Vec::new();
            for group in self.partitioner.split(&rows)? {
                match self.is_open_to(&group.key).await? {
                    true => self.write_group(group).await?,
                    false => waiting.push(group),
                }
            }
            if !waiting.is_empty() {
                self.spool.push(waiting)?;
                self.keep_within_memory().await?;
            }
            self.rows = self.rows.map(|rows| rows + length as u64);
            start += length;
        }
        Ok(())
    }

    /// A row group of `rows` rows whose columns come ready, but for those at `decoded`.
    pub(crate) fn ready_group(&self, decoded: Vec<usize>, rows: u64) -> Result<ReadyGroup> {
        ReadyGroup::try_new(&self.format, decoded, rows)
    }

    /// New values of some columns, which are given by position and ascend, by leaf. A leaf that is
    /// not edited by pages is left out.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn new_values(
        &self,
        columns: &[(usize, ArrayRef)],
    ) -> Result<HashMap<usize, NewValues>> {
        encode_values(&self.format, columns)
    }

    /// How files are encoded.
    pub(crate) fn file_options(&self) -> &FileOptions {
        &self.format.options
    }

    /// Adds a row group to a file of a partition of the table's current spec. Its rows are of that
    /// partition.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) async fn append(&mut self, partition: &Struct, group: ReadyGroup) -> Result<()> {
        let known = self
            .open
            .iter()
            .find(|(_, open)| open.file.is_of(partition));
        let key = match known {
            Some((key, _)) => Arc::clone(key),
            None => self.open_for(partition).await?,
        };
        let Some(open) = self.open.get_mut(&key) else {
            return Err(Error::internal("the file of a partition must be open"));
        };
        open.last_used = self.steps;
        let written = open.file.append(group).await;
        written.map_err(|error| error.with_context("file", open.file.location()))?;
        self.open_bytes = open.measure(self.open_bytes);
        if open.file.size_bytes() >= self.target_file_bytes {
            self.end_file(&key).await?;
        }
        self.keep_within_memory().await
    }

    /// Opens a file for row groups of a partition; when too many are open, the one that got no rows
    /// for the longest time is ended.
    async fn open_for(&mut self, partition: &Struct) -> Result<PartitionKey> {
        if self.open.len() >= self.open_files_max {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.last_used);
            if let Some(oldest) = oldest.map(|(key, _)| Arc::clone(key)) {
                self.end_file(&oldest).await?;
                self.closed.insert(oldest);
            }
        }
        let key = key_of(partition);
        self.open_file(&key, partition.clone())?;
        Ok(key)
    }

    /// Ends all files. When one cannot be ended, all are deleted.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn close(self) -> Result<Vec<WrittenFile>> {
        Ok(self.finish().await?.take())
    }

    /// As [`Self::close`]; the files go away with what is returned unless they are taken.
    pub(crate) async fn finish(mut self) -> Result<EndedFiles> {
        match self.end_all().await {
            Ok(()) => Ok(self.ended),
            Err(error) => {
                // The first error is the one to tell; files that no snapshot names are orphans.
                let _ = self.abort().await;
                Err(error)
            }
        }
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
        outcome.and(self.ended.delete().await)
    }

    async fn end_all(&mut self) -> Result<()> {
        let open: Vec<_> = self.open.keys().map(Arc::clone).collect();
        for key in &open {
            self.end_file(key).await?;
        }
        while let Some((key, partition)) = self.spool.first() {
            while let Some(rows) = self.spool.next_rows(&key).await? {
                let (key, partition) = (Arc::clone(&key), partition.clone());
                let group = Group {
                    key,
                    partition,
                    rows,
                };
                self.write_group(group).await?;
            }
            self.end_file(&key).await?;
        }
        self.ended.wait_for_all().await
    }

    /// Whether rows of a partition are written as they come; makes place for it where that costs
    /// nothing.
    async fn is_open_to(&mut self, key: &PartitionKey) -> Result<bool> {
        if self.open.contains_key(key) {
            return Ok(true);
        }
        if self.order != RowOrder::Any {
            // The rows of the partition before have all come.
            let before: Vec<_> = self.open.keys().map(Arc::clone).collect();
            for key in &before {
                self.end_file(key).await?;
            }
            return Ok(true);
        }
        if self.closed.contains(key) || self.spool.contains(key) {
            return Ok(false);
        }
        if self.open.len() < self.open_files_max {
            return Ok(true);
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.last_used);
        let idle = oldest.filter(|(_, open)| open.last_used + IDLE_STEPS <= self.steps);
        let Some(idle) = idle.map(|(key, _)| Arc::clone(key)) else {
            return Ok(false);
        };
        self.end_file(&idle).await?;
        self.closed.insert(idle);
        Ok(true)
    }

    async fn write_group(&mut self, group: Group) -> Result<()> {
        if !self.open.contains_key(&group.key) {
            self.open_file(&group.key, group.partition)?;
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

    fn open_file(&mut self, key: &PartitionKey, partition: Struct) -> Result<()> {
        let location = self.names.next(self.partitioner.fields(), &partition)?;
        let format = Arc::clone(&self.format);
        let file = ParquetFile::create(format, &self.storage, &location, partition)?;
        let open = OpenFile {
            file: Box::new(file),
            memory_bytes: 0,
            last_used: self.steps,
        };
        self.open.insert(Arc::clone(key), open);
        Ok(())
    }

    /// Gives memory back until the reservation holds what is left.
    async fn keep_within_memory(&mut self) -> Result<()> {
        if self.spool.memory_bytes() > WAITING_BYTES_MAX && self.spool.can_spill() {
            self.spool.spill().await?;
        }
        loop {
            let held = self.open_bytes + self.spool.memory_bytes() + self.ended.memory_bytes();
            if held > self.memory_bytes_max && self.give_back().await? {
                continue;
            }
            let Err(refused) = self.memory.resize(held) else {
                return Ok(());
            };
            if !self.give_back().await? {
                return Err(refused);
            }
        }
    }

    /// Gives some memory back, the cheapest way; `false` when there is none to give.
    async fn give_back(&mut self) -> Result<bool> {
        if self.ended.wait().await? {
            return Ok(true);
        }
        let waiting_bytes = self.spool.memory_bytes();
        if self.spool.can_spill() && waiting_bytes >= self.open_bytes {
            self.spool.spill().await?;
            return Ok(true);
        }
        let largest = self.open.iter_mut();
        let largest = largest.max_by_key(|(_, open)| open.memory_bytes);
        if let Some((_, open)) = largest
            && open.memory_bytes >= EARLY_ROW_GROUP_BYTES
        {
            let gathered = open.memory_bytes;
            open.file.flush().await?;
            self.open_bytes = open.measure(self.open_bytes);
            if open.memory_bytes < gathered {
                return Ok(true);
            }
        }
        if self.spool.can_spill() {
            self.spool.spill().await?;
            return Ok(true);
        }
        if self.early_files == EARLY_FILES_MAX {
            return Ok(false);
        }
        self.end_early().await
    }

    /// Ends the file that holds most, or makes one of the rows that wait in memory for a partition.
    async fn end_early(&mut self) -> Result<bool> {
        let largest = self.open.iter();
        let largest = largest.max_by_key(|(_, open)| open.memory_bytes);
        if let Some((key, _)) = largest {
            let key = Arc::clone(key);
            self.early_files += 1;
            self.end_file(&key).await?;
            // More files than memory holds would only be ended early as well.
            self.open_files_max = self.open.len();
            if self.order == RowOrder::Any {
                self.closed.insert(key);
            }
            return Ok(true);
        }
        let largest = self.spool.largest();
        let largest = largest.filter(|_| self.spool.memory_bytes() > 0);
        let Some((key, partition)) = largest else {
            return Ok(false);
        };
        self.early_files += 1;
        let location = self.names.next(self.partitioner.fields(), &partition)?;
        let format = Arc::clone(&self.format);
        let mut file = ParquetFile::create(format, &self.storage, &location, partition)?;
        while let Some(rows) = self.spool.next_rows(&key).await? {
            file.write(&rows).await?;
        }
        let memory_bytes = file.memory_bytes();
        self.ended.end(file, memory_bytes).await?;
        Ok(true)
    }

    async fn end_file(&mut self, key: &PartitionKey) -> Result<()> {
        if let Some(open) = self.open.remove(key) {
            self.open_bytes -= open.memory_bytes;
            self.ended.end(*open.file, open.memory_bytes).await?;
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

/// The order that files are said to have.
fn sort_order_id(order: &SortOrder, rows: RowOrder) -> Result<Option<i32>> {
    if rows != RowOrder::Sorted || order.is_unsorted() {
        return Ok(None);
    }
    let id = i32::try_from(order.order_id);
    id.map(Some).map_err(|_| {
        Error::corrupt(format!(
            "sort order {} of the table has an identifier beyond 32 bits",
            order.order_id
        ))
    })
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
