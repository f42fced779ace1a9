//! Metadata tables: what a table's metadata and manifests say, as Arrow rows.

mod arrays;
mod entries;
mod file_column;
mod manifests;
mod metadata_log;
mod partition_union;
mod partitions;
mod position_deletes;
mod pruning;
mod readable_metrics;
mod snapshots;
mod walk;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{ManifestContentType, Schema};

use super::manifest_cache::ManifestCache;
use super::predicate::Predicate;
use crate::error::{Error, Result};
use crate::table::Table;
use entries::EntryTable;
pub(crate) use partition_union::PartitionUnion;
pub(crate) use position_deletes::{PositionReader, Positions};
use walk::Reach;

/// Rows of a batch at most: metrics of many columns make wide rows.
const ROWS_PER_BATCH: usize = 1_024;

/// Rows of a metadata table, a part at a time.
pub(crate) type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// A table about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataTable {
    /// The snapshots the table still knows.
    Snapshots,
    /// Which snapshot was current when.
    History,
    /// Branches and tags.
    Refs,
    /// The metadata files of the table, the current one last.
    MetadataLogEntries,
    /// The entries of one snapshot's manifests, those of removed files among them.
    Entries,
    /// The live data and delete files of one snapshot.
    Files,
    /// The live data files of one snapshot.
    DataFiles,
    /// The live delete files of one snapshot.
    DeleteFiles,
    /// The manifests of one snapshot.
    Manifests,
    /// The partitions of one snapshot with what their files hold; deletes are not applied.
    Partitions,
    /// The rows that the position delete files and deletion vectors of one snapshot name.
    PositionDeletes,
    /// As [`Self::Entries`], of all snapshots the table still knows.
    AllEntries,
    /// As [`Self::Files`], of all snapshots the table still knows.
    AllFiles,
    /// As [`Self::DataFiles`], of all snapshots the table still knows.
    AllDataFiles,
    /// As [`Self::DeleteFiles`], of all snapshots the table still knows.
    AllDeleteFiles,
    /// As [`Self::Manifests`], of each snapshot the table still knows.
    AllManifests,
}

/// What is read of a metadata table.
#[derive(Debug, Clone)]
pub(crate) struct MetadataRead {
    /// The places of the wanted columns in [`MetadataTable::schema`], in the order in which they
    /// are wanted; `None` for all.
    pub(crate) projection: Option<Vec<usize>>,
    /// A condition on [`MetadataTable::filter_schema`]. Rows that do not match may come all the
    /// same.
    pub(crate) predicate: Predicate,
    /// No more rows are needed.
    pub(crate) rows_max: Option<usize>,
}

impl Default for MetadataRead {
    fn default() -> Self {
        Self {
            projection: None,
            predicate: Predicate::AlwaysTrue,
            rows_max: None,
        }
    }
}

impl MetadataTable {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 16] = [
        Self::Snapshots,
        Self::History,
        Self::Refs,
        Self::MetadataLogEntries,
        Self::Entries,
        Self::Files,
        Self::DataFiles,
        Self::DeleteFiles,
        Self::Manifests,
        Self::Partitions,
        Self::PositionDeletes,
        Self::AllEntries,
        Self::AllFiles,
        Self::AllDataFiles,
        Self::AllDeleteFiles,
        Self::AllManifests,
    ];

    /// The name after the table's: `t.snapshots`, `"t$snapshots"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::History => "history",
            Self::Refs => "refs",
            Self::MetadataLogEntries => "metadata_log_entries",
            Self::Entries => "entries",
            Self::Files => "files",
            Self::DataFiles => "data_files",
            Self::DeleteFiles => "delete_files",
            Self::Manifests => "manifests",
            Self::Partitions => "partitions",
            Self::PositionDeletes => "position_deletes",
            Self::AllEntries => "all_entries",
            Self::AllFiles => "all_files",
            Self::AllDataFiles => "all_data_files",
            Self::AllDeleteFiles => "all_delete_files",
            Self::AllManifests => "all_manifests",
        }
    }

    /// The metadata table of a name, without regard to case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|table| table.name().eq_ignore_ascii_case(name))
    }

    /// Whether its rows depend on the snapshot that the table is read at. The others are about the
    /// table as a whole, and a version has no meaning for them.
    pub const fn allows_time_travel(self) -> bool {
        matches!(
            self,
            Self::Entries
                | Self::Files
                | Self::DataFiles
                | Self::DeleteFiles
                | Self::Manifests
                | Self::Partitions
                | Self::PositionDeletes
        )
    }

    /// Refuses a version where [`Self::allows_time_travel`] does not hold.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`].
    pub fn check_takes_version(self) -> Result<()> {
        if self.allows_time_travel() {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "metadata table {:?} is of the whole table and takes no version",
            self.name()
        )))
    }

    /// The columns. Those about partitions and metrics depend on the table's specs and current
    /// schema.
    ///
    /// # Errors
    /// When a type of the table cannot be expressed in Arrow.
    pub fn schema(self, table: &Table) -> Result<SchemaRef> {
        let metadata = table.metadata();
        Ok(match self {
            Self::Snapshots => snapshots::snapshots_schema(),
            Self::History => snapshots::history_schema(),
            Self::Refs => snapshots::refs_schema(),
            Self::MetadataLogEntries => metadata_log::schema(),
            Self::Manifests => manifests::schema(Reach::Snapshot),
            Self::AllManifests => manifests::schema(Reach::All),
            Self::Partitions => partitions::schema(metadata)?,
            Self::PositionDeletes => position_deletes::schema(metadata)?,
            Self::Entries
            | Self::Files
            | Self::DataFiles
            | Self::DeleteFiles
            | Self::AllEntries
            | Self::AllFiles
            | Self::AllDataFiles
            | Self::AllDeleteFiles => self.entry_table()?.schema(metadata)?,
        })
    }

    /// The columns that conditions may be about, nested under the names that [`Self::schema`] has:
    /// what else is filtered by skips nothing. The field ids are those of [`MetadataRead`]'s
    /// predicate.
    ///
    /// # Errors
    /// When partition fields of the table cannot stand in one schema.
    pub(crate) fn filter_schema(self, table: &Table) -> Result<Schema> {
        let metadata = table.metadata();
        match self {
            Self::Snapshots | Self::History | Self::Refs => pruning::no_filter(),
            Self::MetadataLogEntries | Self::Manifests => pruning::no_filter(),
            Self::AllManifests => pruning::all_manifests_filter(),
            Self::Partitions => pruning::partitions_filter(metadata),
            Self::PositionDeletes => pruning::position_deletes_filter(metadata),
            Self::Entries | Self::AllEntries => pruning::entries_filter(metadata),
            Self::Files
            | Self::DataFiles
            | Self::DeleteFiles
            | Self::AllFiles
            | Self::AllDataFiles
            | Self::AllDeleteFiles => pruning::files_filter(metadata),
        }
    }

    /// The rows, in batches that are made as they are asked for. Nothing is read before that.
    ///
    /// # Errors
    /// Here and in the stream: when a manifest list, manifest or delete file cannot be read, see
    /// [`super::plan`].
    pub(crate) fn scan(
        self,
        table: &Table,
        cache: &ManifestCache,
        read: MetadataRead,
        reader: &Arc<dyn PositionReader>,
    ) -> Result<BatchStream> {
        let batches = match self {
            Self::Snapshots => of_one(snapshots::snapshots(table)?, &read)?,
            Self::History => of_one(snapshots::history(table)?, &read)?,
            Self::Refs => of_one(snapshots::refs(table)?, &read)?,
            Self::MetadataLogEntries => of_one(metadata_log::batch(table)?, &read)?,
            Self::Manifests => manifests::scan(table, cache, read, Reach::Snapshot)?,
            Self::AllManifests => manifests::scan(table, cache, read, Reach::All)?,
            Self::Partitions => partitions::scan(table, cache, read, reader)?,
            Self::PositionDeletes => position_deletes::scan(table, cache, read, reader)?,
            Self::Entries
            | Self::Files
            | Self::DataFiles
            | Self::DeleteFiles
            | Self::AllEntries
            | Self::AllFiles
            | Self::AllDataFiles
            | Self::AllDeleteFiles => self.entry_table()?.scan(table, cache, read)?,
        };
        let ident = table.ident().clone();
        Ok(batches
            .map_err(move |error: Error| error.with_context("table", &ident))
            .boxed())
    }

    fn entry_table(self) -> Result<EntryTable> {
        let (reach, as_entries, content) = match self {
            Self::Entries => (Reach::Snapshot, true, None),
            Self::Files => (Reach::Snapshot, false, None),
            Self::DataFiles => (Reach::Snapshot, false, Some(ManifestContentType::Data)),
            Self::DeleteFiles => (Reach::Snapshot, false, Some(ManifestContentType::Deletes)),
            Self::AllEntries => (Reach::All, true, None),
            Self::AllFiles => (Reach::All, false, None),
            Self::AllDataFiles => (Reach::All, false, Some(ManifestContentType::Data)),
            Self::AllDeleteFiles => (Reach::All, false, Some(ManifestContentType::Deletes)),
            _ => {
                return Err(Error::internal(
                    "the table does not list manifests' entries",
                ));
            }
        };
        Ok(EntryTable {
            reach,
            as_entries,
            content,
        })
    }
}

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(ArrowSchema::new(fields))
}

fn instant(name: &str) -> Field {
    instant_of(name, false)
}

fn instant_of(name: &str, nullable: bool) -> Field {
    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some(arrays::UTC.into()));
    Field::new(name, kind, nullable)
}

/// The wanted columns of a batch that has all of them.
fn projected(batch: RecordBatch, projection: Option<&[usize]>) -> Result<RecordBatch> {
    Ok(match projection {
        Some(projection) => batch.project(projection)?,
        None => batch,
    })
}

/// A table that is in memory already, cut into batches.
fn of_one(batch: RecordBatch, read: &MetadataRead) -> Result<BatchStream> {
    let batch = projected(batch, read.projection.as_deref())?;
    let rows = batch.num_rows();
    let parts = (0..rows)
        .step_by(ROWS_PER_BATCH)
        .map(move |start| Ok(batch.slice(start, ROWS_PER_BATCH.min(rows - start))));
    Ok(first_rows(stream::iter(parts).boxed(), read.rows_max))
}

/// Ends a stream after so many rows.
fn first_rows(batches: BatchStream, rows_max: Option<usize>) -> BatchStream {
    let Some(rows_max) = rows_max else {
        return batches;
    };
    stream::try_unfold((batches, rows_max), |(mut batches, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(batch) = batches.try_next().await? else {
            return Ok(None);
        };
        let batch = batch.slice(0, batch.num_rows().min(left));
        let left = left - batch.num_rows();
        Ok(Some((batch, (batches, left))))
    })
    .boxed()
}

#[cfg(test)]
mod tests;
