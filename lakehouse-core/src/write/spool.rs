//! Rows of partitions that have no open file, in memory or spilled, until it is their turn.
//!
//! What is kept is ordered by partition, so that in the end each partition is written whole, one
//! after another. Within a partition rows stay in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Field, Fields, Schema as ArrowSchema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use iceberg::spec::Struct;

use super::partition::{Group, PartitionKey};
use crate::error::{Error, Result};
use crate::runtime::{self, SpillFile, SpillSpace};

/// Rows of a piece at most: what is read back from disk at once.
const PIECE_ROWS: usize = 32 << 10;

/// Rows by partition that wait to be written.
#[derive(Debug)]
pub(super) struct Spool {
    /// The one form of all rows: strings and binaries as they are stored.
    schema: SchemaRef,
    space: Option<SpillSpace>,
    file: Option<Arc<SpillFile>>,
    chunks: Vec<RecordBatch>,
    chunk_bytes: usize,
    /// Slices of the chunks that wait.
    waiting: usize,
    partitions: BTreeMap<PartitionKey, Spooled>,
}

#[derive(Debug)]
struct Spooled {
    partition: Struct,
    /// What was spilled, oldest first; older than all of `slices`.
    spilled: VecDeque<Range<u64>>,
    /// Rows in memory, by chunk.
    slices: Vec<(usize, Range<usize>)>,
}

/// Rows of one partition, gathered from the chunks.
#[derive(Debug)]
struct Piece {
    key: PartitionKey,
    slices: Vec<(usize, Range<usize>)>,
}

impl Spool {
    /// An empty spool of rows whose stored schema is `stored`; without `space` nothing is spilled.
    pub(super) fn new(stored: &SchemaRef, space: Option<SpillSpace>) -> Self {
        let field = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let fields: Fields = stored.fields().iter().map(field).collect();
        Self {
            schema: Arc::new(ArrowSchema::new(fields)),
            space,
            file: None,
            chunks: Vec::new(),
            chunk_bytes: 0,
            waiting: 0,
            partitions: BTreeMap::new(),
        }
    }

    /// Bytes held in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Whether memory can be given back by [`Self::spill`].
    pub(super) fn can_spill(&self) -> bool {
        self.space.is_some() && self.chunk_bytes > 0
    }

    /// Whether rows of the partition wait.
    pub(super) fn contains(&self, key: &PartitionKey) -> bool {
        self.partitions.contains_key(key)
    }

    /// Takes rows of several partitions into keeping, with memory of their own.
    pub(super) fn push(&mut self, groups: Vec<Group>) -> Result<()> {
        let batches = groups.iter().map(|group| self.stored(&group.rows));
        let batches: Vec<RecordBatch> = batches.collect::<Result<_>>()?;
        let chunk = concat_batches(&self.schema, &batches)?;
        let mut start = 0;
        for group in groups {
            let range = start..start + group.rows.num_rows();
            start = range.end;
            let spooled = self.partitions.entry(group.key).or_insert_with(|| Spooled {
                partition: group.partition,
                spilled: VecDeque::new(),
                slices: Vec::new(),
            });
            spooled.slices.push((self.chunks.len(), range));
            self.waiting += 1;
        }
        self.chunk_bytes += chunk.get_array_memory_size();
        self.chunks.push(chunk);
        Ok(())
    }

    fn stored(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| {
            match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                // Strings in another form: the values themselves are what is kept.
                false => Ok(cast(column, field.data_type())?),
            }
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Moves all rows in memory to the disk.
    ///
    /// # Errors
    /// When the disk or the budget of spilled bytes is full.
    pub(super) async fn spill(&mut self) -> Result<()> {
        let Some(space) = self.space.clone() else {
            return Err(Error::internal("rows are spilled into no folder"));
        };
        let mut pieces = Vec::new();
        for (key, spooled) in &mut self.partitions {
            let mut slices = std::mem::take(&mut spooled.slices);
            while !slices.is_empty() {
                let key = Arc::clone(key);
                let slices = take_piece(&mut slices);
                pieces.push(Piece { key, slices });
            }
        }
        let (schema, file) = (Arc::clone(&self.schema), self.file.take());
        let chunks = std::mem::take(&mut self.chunks);
        let spilled = runtime::blocking(move || -> Result<_> {
            let mut file = match file.and_then(Arc::into_inner) {
                Some(file) => file,
                None => space.file("keeping the rows of partitions apart")?,
            };
            let placed = file.append(pieces.into_iter(), |piece, bytes| {
                let rows = gathered(&schema, &chunks, &piece.slices)?;
                let mut writer = StreamWriter::try_new(bytes, &schema)?;
                writer.write(&rows)?;
                Ok(writer.finish()?)
            })?;
            Ok((file, placed))
        });
        let (file, placed) = spilled.await??;
        self.file = Some(Arc::new(file));
        (self.chunk_bytes, self.waiting) = (0, 0);
        for (piece, range) in placed {
            if let Some(spooled) = self.partitions.get_mut(&piece.key) {
                spooled.spilled.push_back(range);
            }
        }
        Ok(())
    }

    /// The partition whose turn is next.
    pub(super) fn first(&self) -> Option<(PartitionKey, Struct)> {
        let (key, spooled) = self.partitions.first_key_value()?;
        Some((Arc::clone(key), spooled.partition.clone()))
    }

    /// The partition with most rows in memory.
    pub(super) fn largest(&self) -> Option<(PartitionKey, Struct)> {
        let rows = |spooled: &Spooled| spooled.slices.iter().map(|(_, rows)| rows.len()).sum();
        let largest = self
            .partitions
            .iter()
            .max_by_key(|(_, spooled)| -> usize { rows(spooled) });
        let (key, spooled) = largest?;
        Some((Arc::clone(key), spooled.partition.clone()))
    }

    /// The next rows of a partition, which is forgotten with the last of them.
    ///
    /// # Errors
    /// What the operating system answers to reading spilled rows.
    pub(super) async fn next_rows(&mut self, key: &PartitionKey) -> Result<Option<RecordBatch>> {
        let Some(spooled) = self.partitions.get_mut(key) else {
            return Ok(None);
        };
        if let Some(range) = spooled.spilled.pop_front() {
            let file = self.file.as_ref().map(Arc::clone);
            let file = file.ok_or_else(|| Error::internal("spilled rows must have a file"))?;
            return runtime::blocking(move || read(&file, &range))
                .await?
                .map(Some);
        }
        if !spooled.slices.is_empty() {
            let slices = take_piece(&mut spooled.slices);
            let rows = gathered(&self.schema, &self.chunks, &slices)?;
            self.waiting -= slices.len();
            if self.waiting == 0 {
                self.chunks.clear();
                self.chunk_bytes = 0;
            }
            return Ok(Some(rows));
        }
        self.partitions.remove(key);
        Ok(None)
    }
}

/// The first slices, of [`PIECE_ROWS`] rows together at most.
fn take_piece(slices: &mut Vec<(usize, Range<usize>)>) -> Vec<(usize, Range<usize>)> {
    let mut rows = 0;
    let fits = |(_, range): &&(usize, Range<usize>)| {
        rows += range.len();
        rows <= PIECE_ROWS
    };
    let count = slices.iter().take_while(fits).count().max(1);
    slices.drain(..count.min(slices.len())).collect()
}

fn gathered(
    schema: &SchemaRef,
    chunks: &[RecordBatch],
    slices: &[(usize, Range<usize>)],
) -> Result<RecordBatch> {
    let slices = slices.iter().map(|(chunk, rows)| {
        let chunk = chunks.get(*chunk);
        chunk.map(|chunk| chunk.slice(rows.start, rows.len()))
    });
    let slices: Option<Vec<RecordBatch>> = slices.collect();
    match slices.ok_or_else(|| Error::internal("waiting rows must be in memory"))? {
        one if one.len() == 1 => Ok(one[0].clone()),
        several => Ok(concat_batches(schema, &several)?),
    }
}

fn read(file: &SpillFile, range: &Range<u64>) -> Result<RecordBatch> {
    let bytes = file.read(range)?;
    let mut reader = StreamReader::try_new(bytes.as_slice(), None)?;
    let rows = reader.next();
    rows.ok_or_else(|| Error::internal("a spilled piece must hold rows"))?
        .map_err(Error::from)
}
