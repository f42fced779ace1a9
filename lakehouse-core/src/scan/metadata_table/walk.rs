//! The manifests that a metadata table is about, read a few at a time.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{ManifestFile, SnapshotRef};

use crate::error::Result;
use crate::runtime;
use crate::scan::manifest::{MANIFEST_READS_MAX, ReadManifest, read_list, read_manifest};
use crate::scan::manifest_cache::ManifestCache;
use crate::table::Table;

/// How many manifest lists are read at a time.
const LIST_READS_MAX: usize = 4;
/// A read that ends after so many rows reads one manifest at a time: most hold more.
const ROWS_PER_MANIFEST: usize = 1_000;

/// A manifest list with the snapshot it belongs to.
pub(super) type SnapshotList = (i64, Arc<Vec<ManifestFile>>);

/// Which snapshots a metadata table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The one that the table is read at.
    Snapshot,
    /// Every one that the table still knows.
    All,
}

/// The manifest lists of the wanted snapshots, the newest first.
pub(super) fn lists(
    table: &Table,
    cache: &ManifestCache,
    reach: Reach,
    wanted: impl Fn(i64) -> bool,
) -> BoxStream<'static, Result<SnapshotList>> {
    let mut snapshots: Vec<SnapshotRef> = match reach {
        Reach::Snapshot => table.snapshot().into_iter().map(Arc::clone).collect(),
        Reach::All => table.snapshots(),
    };
    snapshots.retain(|snapshot| wanted(snapshot.snapshot_id()));
    snapshots.reverse();
    let (storage, cache) = (table.storage().clone(), cache.clone());
    stream::iter(snapshots)
        .map(move |snapshot| {
            let (storage, cache) = (storage.clone(), cache.clone());
            async move {
                let list = read_list(&storage, &snapshot, &cache).await?;
                Ok((snapshot.snapshot_id(), list))
            }
        })
        .buffered(LIST_READS_MAX)
        .boxed()
}

/// The wanted manifests, each once. What several lists say of one is taken from the newest, which
/// alone may know its first row id.
pub(super) fn manifests(
    table: &Table,
    cache: &ManifestCache,
    reach: Reach,
    wanted: impl Fn(&ManifestFile) -> bool + Send + 'static,
) -> BoxStream<'static, Result<ManifestFile>> {
    let mut seen = HashSet::new();
    lists(table, cache, reach, |_| true)
        .map_ok(move |(_, list)| {
            let mut files: Vec<ManifestFile> =
                list.iter().filter(|file| wanted(file)).cloned().collect();
            if reach == Reach::All {
                files.retain(|file| seen.insert(file.manifest_path.clone()));
            }
            stream::iter(files.into_iter().map(Ok))
        })
        .try_flatten()
        .boxed()
}

/// Reads manifests and makes something of each, away from the threads that serve queries and in
/// the order of the manifests.
pub(super) fn read_each<T: Send + 'static>(
    table: &Table,
    cache: &ManifestCache,
    manifests: BoxStream<'static, Result<ManifestFile>>,
    rows_max: Option<usize>,
    make: impl Fn(ReadManifest) -> T + Clone + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let reads_max = match rows_max {
        Some(rows) => (rows / ROWS_PER_MANIFEST).clamp(1, MANIFEST_READS_MAX),
        None => MANIFEST_READS_MAX,
    };
    let (storage, cache) = (table.storage().clone(), cache.clone());
    manifests
        .map_ok(move |file| {
            let (storage, cache, make) = (storage.clone(), cache.clone(), make.clone());
            async move {
                let manifest = read_manifest(&storage, &file, &cache).await?;
                runtime::blocking(move || make(ReadManifest { file, manifest })).await
            }
        })
        .try_buffered(reads_max)
        .boxed()
}
