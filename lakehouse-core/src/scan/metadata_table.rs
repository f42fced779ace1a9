//! Metadata tables: a table's snapshots, history, refs, files and manifests as Arrow rows.

mod arrays;
mod files;
mod manifests;
mod snapshots;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};

pub(super) use arrays::literals;

use super::manifest;
use super::manifest_cache::ManifestCache;
use crate::error::Result;
use crate::table::Table;

/// A table about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataTable {
    /// The snapshots the table still knows.
    Snapshots,
    /// Which snapshot was current when.
    History,
    /// Branches and tags.
    Refs,
    /// The live data and delete files of one snapshot.
    Files,
    /// The manifests of one snapshot.
    Manifests,
}

impl MetadataTable {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::Snapshots,
        Self::History,
        Self::Refs,
        Self::Files,
        Self::Manifests,
    ];

    /// The name after the table's: `t.snapshots`, `"t$snapshots"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::History => "history",
            Self::Refs => "refs",
            Self::Files => "files",
            Self::Manifests => "manifests",
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
        matches!(self, Self::Files | Self::Manifests)
    }

    /// The columns; those of [`Self::Files`] depend on the table's own.
    ///
    /// # Errors
    /// When a type of the table cannot be expressed in Arrow.
    pub fn schema(self, table: &Table) -> Result<SchemaRef> {
        Ok(match self {
            Self::Snapshots => snapshots::snapshots_schema(),
            Self::History => snapshots::history_schema(),
            Self::Refs => snapshots::refs_schema(),
            Self::Files => files::FilesTable::new(table.metadata())?.schema(),
            Self::Manifests => manifests::schema(),
        })
    }

    /// The rows.
    ///
    /// # Errors
    /// When a manifest list or manifest cannot be read, see [`super::plan`].
    pub async fn batches(self, table: &Table, cache: &ManifestCache) -> Result<Vec<RecordBatch>> {
        match self {
            Self::Snapshots => Ok(vec![snapshots::snapshots(table)?]),
            Self::History => Ok(vec![snapshots::history(table)?]),
            Self::Refs => Ok(vec![snapshots::refs(table)?]),
            Self::Files => files(table, cache).await,
            Self::Manifests => {
                let Some(snapshot) = table.snapshot() else {
                    return Ok(Vec::new());
                };
                let list = manifest::read_list(table.storage(), snapshot, cache).await?;
                Ok(vec![manifests::batch(&list, table.metadata())?])
            }
        }
    }
}

async fn files(table: &Table, cache: &ManifestCache) -> Result<Vec<RecordBatch>> {
    let Some(snapshot) = table.snapshot() else {
        return Ok(Vec::new());
    };
    let list = manifest::read_list(table.storage(), snapshot, cache).await?;
    let read = manifest::read_manifests(table.storage(), list.to_vec(), cache).await?;
    let rows = files::FilesTable::new(table.metadata())?;
    read.iter().map(|manifest| rows.batch(manifest)).collect()
}

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(ArrowSchema::new(fields))
}

fn instant(name: &str) -> Field {
    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some(arrays::UTC.into()));
    Field::new(name, kind, false)
}

#[cfg(test)]
mod tests;
