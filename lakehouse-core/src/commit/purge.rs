//! Dropping a table together with its files.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::TableMetadata;
use tracing::Instrument;

use super::{Commits, cleanup, manifest};
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::name::TableIdent;
use crate::runtime;
use crate::scan;
use crate::scan::ManifestCache;
use crate::storage::Storage;

/// What a purge deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Files deleted; those that were missing already are counted.
    pub deleted_files: u64,
    /// Files that could not be deleted and are left behind; the log names them.
    pub failed_files: u64,
}

impl Commits {
    /// Drops a table and deletes every file that its metadata reaches.
    ///
    /// The name goes first. Once it is gone the deletions run to their end, also when the future
    /// is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the table's property `gc.enabled` is false, or what its
    /// metadata name cannot be told: the table is not dropped then, nor where somebody else commits
    /// to it meanwhile or gives its name to another ([`ErrorKind::Conflict`]). Else what the
    /// catalog answers.
    pub async fn purge(&self, catalog: &Arc<dyn Catalog>, ident: &TableIdent) -> Result<Purged> {
        let pointer = catalog.load_table(ident).await?;
        let gc = pointer.metadata.properties().get("gc.enabled");
        if gc.is_some_and(|enabled| !enabled.trim().eq_ignore_ascii_case("true")) {
            return Err(Error::invalid(
                "the table's files may belong to others (property \"gc.enabled\" is false): drop \
                 it without PURGE, which leaves them",
            )
            .with_context("table", ident));
        }
        let span = tracing::debug_span!("purge", table = %ident);
        let storage = catalog.storage().clone();
        let files = reachable(&storage, &pointer.metadata, &pointer.metadata_location)
            .instrument(span.clone())
            .await
            .map_err(|error| {
                Error::invalid(
                    "the table's files cannot be told, nothing was dropped: drop it without PURGE",
                )
                .with_context("table", ident)
                .with_source(error)
            })?;
        let guard = storage.begin_work();
        let catalog = Arc::clone(catalog);
        let work = async move {
            catalog.drop_owned_table(&pointer).await?;
            let all = files.len() as u64;
            let failed_files =
                cleanup::delete_all(&storage, files.iter().map(String::as_str)).await;
            Ok(Purged {
                deleted_files: all - failed_files,
                failed_files,
            })
        };
        runtime::finish(guard, work.instrument(span)).await?
    }
}

/// Every file that a table's metadata reaches: of all snapshots, of the metadata log, statistics.
/// What a missing list or manifest named is not known, and is left.
async fn reachable(
    storage: &Storage,
    metadata: &TableMetadata,
    metadata_location: &str,
) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::from([metadata_location.to_owned()]);
    files.extend(
        metadata
            .metadata_log()
            .iter()
            .map(|entry| entry.metadata_file.clone()),
    );
    files.extend(
        metadata
            .statistics_iter()
            .map(|file| file.statistics_path.clone()),
    );
    files.extend(
        metadata
            .partition_statistics_iter()
            .map(|file| file.statistics_path.clone()),
    );
    let mut manifests = BTreeSet::new();
    for snapshot in metadata.snapshots() {
        let listed = found(manifest::read_list(storage, snapshot, &ManifestCache::new(0)).await)?;
        manifests.extend(
            listed
                .iter()
                .flat_map(|list| list.iter())
                .map(|manifest| manifest.manifest_path.clone()),
        );
        files.insert(snapshot.manifest_list().to_owned());
    }
    for location in manifests {
        if let Some(bytes) = found(storage.read(&location).await)? {
            let manifest = scan::manifest_from_bytes(&bytes, &location)?;
            files.extend(
                manifest
                    .entries
                    .iter()
                    .map(|entry| entry.file_path().to_owned()),
            );
        }
        files.insert(location);
    }
    Ok(files)
}

/// Nothing for a file that is missing.
fn found<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
