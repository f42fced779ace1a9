//! The metadata tables with a row per entry of a manifest: `entries`, `files` and their kin.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{Field, SchemaRef};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, Datum, ManifestContentType, ManifestFile, TableMetadata};

use super::arrays::longs;
use super::file_column::{FileColumn, FileRows};
use super::partition_union::PartitionUnion;
use super::pruning::{EntryFacts, Pruning};
use super::readable_metrics::ReadableMetrics;
use super::walk::{self, Reach};
use super::{BatchStream, MetadataRead, ROWS_PER_BATCH, schema_of};
use crate::error::Result;
use crate::runtime;
use crate::scan::evaluate::Facts;
use crate::scan::manifest::{ListedEntry, ReadManifest};
use crate::scan::manifest_cache::ManifestCache;
use crate::scan::partition::PartitionLayout;
use crate::scan::plan::{RowIds, file_sequence_number, sequence_number};
use crate::table::Table;

/// How many batches are built at a time.
const BUILDS_MAX: usize = 4;

/// Which entries a table lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryTable {
    /// The snapshots whose manifests are read.
    pub(super) reach: Reach,
    /// Every entry as it stands in its manifest; else live files only.
    pub(super) as_entries: bool,
    /// Data files or delete files only.
    pub(super) content: Option<ManifestContentType>,
}

impl EntryTable {
    fn wants_manifest(self, file: &ManifestFile) -> bool {
        let has_rows = self.as_entries || file.has_added_files() || file.has_existing_files();
        has_rows && self.content.is_none_or(|content| content == file.content)
    }

    fn wants(self, entry: &ListedEntry) -> bool {
        let is_data = entry.content_type() == DataContentType::Data;
        let fits = match self.content {
            Some(ManifestContentType::Data) => is_data,
            Some(ManifestContentType::Deletes) => !is_data,
            None => true,
        };
        fits && (self.as_entries || entry.is_alive())
    }

    /// The columns of the table.
    pub(super) fn schema(self, metadata: &TableMetadata) -> Result<SchemaRef> {
        Ok(Shape::new(self, metadata, None)?.schema)
    }

    /// The rows.
    pub(super) fn scan(
        self,
        table: &Table,
        cache: &ManifestCache,
        read: MetadataRead,
    ) -> Result<BatchStream> {
        let metadata = table.metadata();
        let shape = Shape::new(self, metadata, read.projection.as_deref())?;
        let union = Arc::clone(&shape.partition);
        let pruning = Arc::new(Pruning::new(read.predicate, union, metadata));
        let in_manifests = Arc::clone(&pruning);
        let manifests = walk::manifests(table, cache, self.reach, move |file| {
            self.wants_manifest(file) && in_manifests.may_hold(file)
        });
        let picked = walk::read_each(table, cache, manifests, read.rows_max, move |read| {
            Picked::new(read, self, &pruning)
        });
        let shape = Arc::new(shape);
        Ok(chunks(picked, read.rows_max)
            .map_ok(move |chunk| {
                let shape = Arc::clone(&shape);
                async move { runtime::blocking(move || shape.batch(&chunk)).await? }
            })
            .try_buffered(BUILDS_MAX)
            .boxed())
    }
}

/// An entry of a manifest by its place, with the first row id that it has or inherits.
type Place = (usize, Option<i64>);

/// The wanted entries of one manifest.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    read: ReadManifest,
    places: Vec<Place>,
}

impl Picked {
    fn new(read: ReadManifest, table: EntryTable, pruning: &Pruning) -> Self {
        let mut row_ids = RowIds::new(&read.file);
        let positions = pruning.union.positions(&read.manifest.layout);
        let has_row_ids = read.file.first_row_id.is_some();
        let mut places = Vec::new();
        for (place, entry) in read.manifest.entries.iter().enumerate() {
            let inherited = row_ids.next(entry);
            let kept = table.wants(entry)
                && (pruning.is_empty() || {
                    let partition = pruning
                        .union
                        .values(&positions, entry.data_file().partition());
                    pruning.may_keep(&entry_facts(entry, &read.file, partition))
                });
            if kept {
                let own = entry.data_file().first_row_id().filter(|_| has_row_ids);
                places.push((place, inherited.or(own)));
            }
        }
        Self { read, places }
    }
}

/// What a filter may ask of an entry.
pub(super) fn entry_facts<'a>(
    entry: &'a ListedEntry,
    manifest: &ManifestFile,
    partition: Vec<Option<Datum>>,
) -> EntryFacts<'a> {
    EntryFacts {
        status: entry.status() as i32,
        snapshot_id: entry.snapshot_id.unwrap_or(manifest.added_snapshot_id),
        content: entry.content_type() as i32,
        file_path: entry.file_path(),
        spec_id: manifest.partition_spec_id,
        partition,
        deleted_from: Facts::default(),
    }
}

/// Some entries of one manifest: what one batch is made of.
#[derive(Debug)]
struct Chunk {
    read: ReadManifest,
    places: Vec<Place>,
}

/// Cuts what was picked into batches, and stops after `rows_max` rows.
fn chunks(
    picked: BoxStream<'static, Result<Picked>>,
    rows_max: Option<usize>,
) -> BoxStream<'static, Result<Chunk>> {
    struct Walk {
        picked: BoxStream<'static, Result<Picked>>,
        current: Option<(Picked, usize)>,
        left: usize,
    }
    let start = Walk {
        picked,
        current: None,
        left: rows_max.unwrap_or(usize::MAX),
    };
    stream::try_unfold(start, |mut walk| async move {
        loop {
            if walk.left == 0 {
                return Ok(None);
            }
            if let Some((picked, start)) = walk.current.as_mut()
                && *start < picked.places.len()
            {
                let rest = &picked.places[*start..];
                let taken = rest.len().min(ROWS_PER_BATCH).min(walk.left);
                let chunk = Chunk {
                    read: picked.read.clone(),
                    places: rest[..taken].to_vec(),
                };
                *start += taken;
                walk.left -= taken;
                return Ok(Some((chunk, walk)));
            }
            match walk.picked.try_next().await? {
                Some(picked) => walk.current = Some((picked, 0)),
                None => return Ok(None),
            }
        }
    })
    .boxed()
}

/// A column of one of the tables.
#[derive(Debug, Clone, Copy)]
enum EntryColumn {
    Status,
    SnapshotId,
    SequenceNumber,
    FileSequenceNumber,
    DataFile,
    File(FileColumn),
    ReadableMetrics,
}

/// The columns that a read asks for; they follow from the specs and the current schema.
#[derive(Debug)]
struct Shape {
    partition: Arc<PartitionUnion>,
    metrics: ReadableMetrics,
    columns: Vec<EntryColumn>,
    schema: SchemaRef,
}

impl Shape {
    fn new(
        table: EntryTable,
        metadata: &TableMetadata,
        projection: Option<&[usize]>,
    ) -> Result<Self> {
        use EntryColumn as Column;
        let partition = Arc::new(PartitionUnion::new(metadata));
        let mut columns = match table.as_entries {
            true => vec![
                Column::Status,
                Column::SnapshotId,
                Column::SequenceNumber,
                Column::FileSequenceNumber,
                Column::DataFile,
            ],
            false => FileColumn::of(&partition).map(Column::File).collect(),
        };
        columns.push(Column::ReadableMetrics);
        if let Some(projection) = projection {
            columns = projection.iter().map(|&place| columns[place]).collect();
        }
        let mut shape = Self {
            partition,
            metrics: ReadableMetrics::new(metadata.current_schema()),
            columns,
            schema: schema_of(Vec::new()),
        };
        // Columns without rows have the types that columns with rows have.
        let layout = PartitionLayout::default();
        let no_rows = Rows::of_nothing(&layout);
        let fields = shape
            .columns
            .iter()
            .map(|column| shape.field(*column, &no_rows));
        shape.schema = schema_of(fields.collect::<Result<_>>()?);
        Ok(shape)
    }

    fn field(&self, column: EntryColumn, rows: &Rows<'_>) -> Result<Field> {
        let array = self.array(column, rows)?;
        let field = |name, nullable| Field::new(name, array.data_type().clone(), nullable);
        Ok(match column {
            EntryColumn::Status => field("status", false),
            EntryColumn::SnapshotId => field("snapshot_id", true),
            EntryColumn::SequenceNumber => field("sequence_number", true),
            EntryColumn::FileSequenceNumber => field("file_sequence_number", true),
            EntryColumn::DataFile => field("data_file", false),
            EntryColumn::File(column) => column.field(&array),
            EntryColumn::ReadableMetrics => field("readable_metrics", false),
        })
    }

    fn batch(&self, chunk: &Chunk) -> Result<RecordBatch> {
        let rows = Rows::new(chunk);
        let columns = self.columns.iter().map(|column| self.array(*column, &rows));
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.places.len()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns.collect::<Result<_>>()?,
            &options,
        )?)
    }

    fn array(&self, column: EntryColumn, rows: &Rows<'_>) -> Result<ArrayRef> {
        let entries = || rows.entries.iter().copied();
        Ok(match column {
            EntryColumn::Status => Arc::new(Int32Array::from_iter_values(
                entries().map(|entry| entry.status() as i32),
            )),
            EntryColumn::SnapshotId => rows.longs(|entry, manifest| {
                Some(entry.snapshot_id.unwrap_or(manifest.added_snapshot_id))
            }),
            EntryColumn::SequenceNumber => rows.longs(sequence_number),
            EntryColumn::FileSequenceNumber => rows.longs(file_sequence_number),
            EntryColumn::DataFile => self.data_files(&rows.files)?,
            EntryColumn::File(column) => column.array(&rows.files, &self.partition)?,
            EntryColumn::ReadableMetrics => self.metrics.array(&rows.files.files)?,
        })
    }

    fn data_files(&self, files: &FileRows<'_>) -> Result<ArrayRef> {
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for column in FileColumn::of(&self.partition) {
            let array = column.array(files, &self.partition)?;
            fields.push(column.field(&array));
            arrays.push(array);
        }
        Ok(Arc::new(StructArray::try_new(fields.into(), arrays, None)?))
    }
}

/// The entries of a chunk with what they inherit.
struct Rows<'a> {
    /// `None` for the rows of no manifest.
    manifest: Option<&'a ManifestFile>,
    entries: Vec<&'a ListedEntry>,
    files: FileRows<'a>,
}

impl<'a> Rows<'a> {
    fn new(chunk: &'a Chunk) -> Self {
        let manifest = &chunk.read.manifest;
        let entries: Vec<&ListedEntry> = chunk
            .places
            .iter()
            .map(|(place, _)| manifest.entries[*place].as_ref())
            .collect();
        let files = FileRows {
            files: entries.iter().map(|entry| entry.data_file()).collect(),
            first_row_ids: chunk.places.iter().map(|(_, id)| *id).collect(),
            spec_id: chunk.read.file.partition_spec_id,
            layout: &manifest.layout,
        };
        Self {
            manifest: Some(&chunk.read.file),
            entries,
            files,
        }
    }

    fn longs(&self, value: fn(&ListedEntry, &ManifestFile) -> Option<i64>) -> ArrayRef {
        longs(
            self.entries
                .iter()
                .map(|entry| value(entry, self.manifest?)),
        )
    }

    fn of_nothing(layout: &'a PartitionLayout) -> Self {
        Self {
            manifest: None,
            entries: Vec::new(),
            files: FileRows {
                files: Vec::new(),
                first_row_ids: Vec::new(),
                spec_id: 0,
                layout,
            },
        }
    }
}
