//! The metadata table `partitions`: what the files of each partition hold together.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, Datum, PrimitiveLiteral, TableMetadata};

use super::arrays::{instants, longs};
use super::entries::entry_facts;
use super::partition_union::PartitionUnion;
use super::position_deletes::PositionReader;
use super::pruning::Pruning;
use super::walk::{self, Reach};
use super::{
    BatchStream, MetadataRead, ROWS_PER_BATCH, first_rows, instant_of, projected, schema_of,
};
use crate::error::{Error, Result};
use crate::scan::manifest::{ListedFile, ReadManifest};
use crate::scan::manifest_cache::ManifestCache;
use crate::table::Table;

/// The values of a partition's fields.
type Key = Vec<Option<Datum>>;

pub(super) fn schema(metadata: &TableMetadata) -> Result<SchemaRef> {
    let union = PartitionUnion::new(metadata);
    let mut fields = Vec::new();
    if !union.is_empty() {
        let partition = union.structs(union.columns().iter().map(|_| Vec::new()))?;
        let kind = partition.data_type().clone();
        fields.push(Field::new("partition", kind, false));
        fields.push(Field::new("spec_id", DataType::Int32, false));
    }
    let long = |name: &str| Field::new(name, DataType::Int64, false);
    let int = |name: &str| Field::new(name, DataType::Int32, false);
    fields.extend([
        long("record_count"),
        int("file_count"),
        long("total_data_file_size_in_bytes"),
        long("position_delete_record_count"),
        int("position_delete_file_count"),
        long("equality_delete_record_count"),
        int("equality_delete_file_count"),
        instant_of("last_updated_at", true),
        Field::new("last_updated_snapshot_id", DataType::Int64, true),
    ]);
    Ok(schema_of(fields))
}

/// The rows. Every live file is looked at before the first row comes; the partitions so far are
/// held within the query's budget.
pub(super) fn scan(
    table: &Table,
    cache: &ManifestCache,
    read: MetadataRead,
    reader: &Arc<dyn PositionReader>,
) -> Result<BatchStream> {
    let metadata = Arc::clone(table.metadata());
    let schema = schema(&metadata)?;
    let union = Arc::new(PartitionUnion::new(&metadata));
    let pruning = Arc::new(Pruning::new(read.predicate, Arc::clone(&union), &metadata));
    let in_manifests = Arc::clone(&pruning);
    let manifests = walk::manifests(table, cache, Reach::Snapshot, move |file| {
        let is_live = file.has_added_files() || file.has_existing_files();
        is_live && in_manifests.may_hold(file)
    });
    let grouped = walk::read_each(table, cache, manifests, None, move |read| {
        Partitions::of_manifest(&read, &pruning, &metadata)
    });
    let projection = read.projection;
    let held = reader.reservation("the partitions of a table");
    let batches = async move {
        let start = (Partitions::default(), held);
        let (partitions, held) = grouped
            .try_fold(start, |(mut all, mut held), some| async move {
                all.merge(some);
                held.resize(all.size_bytes())?;
                Ok((all, held))
            })
            .await?;
        let parts = Arc::new(partitions.rows);
        let starts = (0..parts.len()).step_by(ROWS_PER_BATCH);
        Ok::<_, Error>(stream::iter(starts).map(move |start| {
            let _until_the_last_batch = &held;
            let end = parts.len().min(start + ROWS_PER_BATCH);
            let all = batch(&parts[start..end], &union, Arc::clone(&schema))?;
            projected(all, projection.as_deref())
        }))
    };
    let batches = stream::once(batches).try_flatten().boxed();
    Ok(first_rows(batches, read.rows_max))
}

/// Files of a content together.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    records: u64,
    files: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.files = self.files.saturating_add(other.files);
    }
}

/// When a snapshot was made, which order it has among those of one time, and its id.
type Update = (i64, i64, i64);

/// What the files of one partition hold together.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    data: Sum,
    data_bytes: u64,
    position_deletes: Sum,
    equality_deletes: Sum,
    /// The newest snapshot that still is known and added a file.
    newest: Option<Update>,
}

impl Totals {
    fn of_file(file: &ListedFile, newest: Option<Update>) -> Self {
        let mut totals = Self {
            newest,
            ..Self::default()
        };
        let sum = match file.content_type() {
            DataContentType::Data => {
                totals.data_bytes = file.file_size_in_bytes();
                &mut totals.data
            }
            DataContentType::PositionDeletes => &mut totals.position_deletes,
            DataContentType::EqualityDeletes => &mut totals.equality_deletes,
        };
        *sum = Sum {
            records: file.record_count(),
            files: 1,
        };
        totals
    }

    fn add(&mut self, other: &Self) {
        self.data.add(other.data);
        self.data_bytes = self.data_bytes.saturating_add(other.data_bytes);
        self.position_deletes.add(other.position_deletes);
        self.equality_deletes.add(other.equality_deletes);
        self.newest = self.newest.max(other.newest);
    }
}

/// A partition: the id of its spec, and its values.
type Place = (i32, Key);

/// Partitions in the order in which they were met.
#[derive(Debug, Default)]
struct Partitions {
    places: HashMap<Place, usize>,
    rows: Vec<(Place, Totals)>,
    /// Memory of the values that are no part of the two.
    value_bytes: usize,
}

impl Partitions {
    fn of_manifest(read: &ReadManifest, pruning: &Pruning, metadata: &TableMetadata) -> Self {
        let mut partitions = Self::default();
        let positions = pruning.union.positions(&read.manifest.layout);
        let live = read
            .manifest
            .entries
            .iter()
            .filter(|entry| entry.is_alive());
        for entry in live {
            let file = entry.data_file();
            let key = pruning.union.values(&positions, file.partition());
            let facts = entry_facts(entry, &read.file, key.clone());
            if !pruning.is_empty() && !pruning.may_keep(&facts) {
                continue;
            }
            let update = metadata.snapshot_by_id(facts.snapshot_id).map(|snapshot| {
                let id = snapshot.snapshot_id();
                (snapshot.timestamp_ms(), snapshot.sequence_number(), id)
            });
            partitions.add((facts.spec_id, key), &Totals::of_file(file, update));
        }
        partitions
    }

    fn merge(&mut self, other: Self) {
        for (key, totals) in other.rows {
            self.add(key, &totals);
        }
    }

    /// Memory that the partitions take, estimated.
    fn size_bytes(&self) -> usize {
        let place = size_of::<(Place, usize)>() + 1;
        let row = size_of::<(Place, Totals)>();
        self.places.capacity() * place + self.rows.capacity() * row + self.value_bytes
    }

    fn add(&mut self, key: Place, totals: &Totals) {
        match self.places.get(&key) {
            Some(&place) => self.rows[place].1.add(totals),
            None => {
                self.value_bytes += 2 * value_bytes(&key.1);
                self.places.insert(key.clone(), self.rows.len());
                self.rows.push((key, *totals));
            }
        }
    }
}

/// Memory that the values of a key take.
fn value_bytes(key: &Key) -> usize {
    let behind = |value: &Option<Datum>| match value.as_ref().map(Datum::literal) {
        Some(PrimitiveLiteral::String(text)) => text.len(),
        Some(PrimitiveLiteral::Binary(bytes)) => bytes.len(),
        _ => 0,
    };
    key.iter().map(behind).sum::<usize>() + key.capacity() * size_of::<Option<Datum>>()
}

fn batch(
    rows: &[(Place, Totals)],
    union: &PartitionUnion,
    schema: SchemaRef,
) -> Result<RecordBatch> {
    let totals = || rows.iter().map(|(_, totals)| totals);
    let mut columns: Vec<ArrayRef> = Vec::new();
    if !union.is_empty() {
        let fields = 0..union.columns().len();
        let values = fields.map(|place| {
            rows.iter()
                .map(|((_, key), _)| key[place].clone())
                .collect()
        });
        columns.push(union.structs(values)?);
        columns.push(Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|((spec_id, _), _)| *spec_id),
        )));
    }
    columns.extend([
        sums(totals().map(|totals| totals.data.records)),
        counts(totals().map(|totals| totals.data.files)),
        sums(totals().map(|totals| totals.data_bytes)),
        sums(totals().map(|totals| totals.position_deletes.records)),
        counts(totals().map(|totals| totals.position_deletes.files)),
        sums(totals().map(|totals| totals.equality_deletes.records)),
        counts(totals().map(|totals| totals.equality_deletes.files)),
        instants(totals().map(|totals| Some(totals.newest?.0))),
        longs(totals().map(|totals| Some(totals.newest?.2))),
    ]);
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn sums(values: impl Iterator<Item = u64>) -> ArrayRef {
    longs(values.map(|value| Some(i64::try_from(value).unwrap_or(i64::MAX))))
}

fn counts(values: impl Iterator<Item = u64>) -> ArrayRef {
    let counts = values.map(|value| i32::try_from(value).unwrap_or(i32::MAX));
    Arc::new(Int32Array::from_iter_values(counts))
}
