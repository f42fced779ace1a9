//! Reading manifest lists and manifests: from locations to decoded entries, in parallel and cached.

mod column_statistics;
mod decode;
mod listed_file;
mod rows;

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, ManifestContentType, ManifestFile, ManifestStatus, Snapshot};

pub use column_statistics::{ColumnBound, ColumnCount};
pub(crate) use decode::DecodedManifest;
pub(crate) use listed_file::ListedEntry;
pub use listed_file::ListedFile;

use super::manifest_cache::{ManifestCache, ManifestReads};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;
use crate::storage::Storage;

/// How many manifests of one table are read and decoded at a time.
pub(crate) const MANIFEST_READS_MAX: usize = 16;
/// The largest manifest, or list of them, that is read into memory. Writers cut at 8 MiB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A manifest of a snapshot: its entry in the manifest list, and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct ReadManifest {
    /// What the manifest list says of it.
    pub(crate) file: ManifestFile,
    /// What it says itself.
    pub(crate) manifest: Arc<DecodedManifest>,
}

/// The manifests of a snapshot, in the order of its manifest list.
pub(crate) async fn read_list(
    storage: &Storage,
    snapshot: &Snapshot,
    cache: &ManifestCache,
) -> Result<Arc<Vec<ManifestFile>>> {
    let path = snapshot.manifest_list();
    if snapshot.encryption_key_id().is_some() {
        return Err(encrypted("manifest list", path));
    }
    let load = || {
        let (storage, snapshot) = (storage.clone(), snapshot.clone());
        let reads = cache.reads().map(Arc::clone);
        async move {
            let path = snapshot.manifest_list();
            let bytes = read_file(&storage, "manifest list", path).await?;
            if let Some(reads) = reads {
                reads.count_list(bytes.len());
            }
            let list = decoded(bytes, "manifest list", path, decode::list).await?;
            refuse_emptied(&list, &snapshot)?;
            let size_bytes = decode::list_size_bytes(&list);
            Ok((Arc::new(list), size_bytes))
        }
    };
    cache.list(path, load).await
}

/// Reads manifests, at most [`MANIFEST_READS_MAX`] at a time; the answers keep the order.
pub(crate) async fn read_manifests(
    storage: &Storage,
    files: Vec<ManifestFile>,
    cache: &ManifestCache,
) -> Result<Vec<ReadManifest>> {
    futures::stream::iter(files)
        .map(|file| async move {
            let manifest = read_manifest(storage, &file, cache).await?;
            Ok(ReadManifest { file, manifest })
        })
        .buffered(MANIFEST_READS_MAX)
        .try_collect()
        .await
}

/// Reads one manifest.
pub(crate) async fn read_manifest(
    storage: &Storage,
    file: &ManifestFile,
    cache: &ManifestCache,
) -> Result<Arc<DecodedManifest>> {
    let path = &file.manifest_path;
    if file
        .key_metadata
        .as_ref()
        .is_some_and(|key| !key.is_empty())
    {
        return Err(encrypted("manifest", path));
    }
    if let Some(reads) = cache.reads() {
        reads.count_asked();
    }
    let load = || {
        let (storage, file) = (storage.clone(), file.clone());
        let reads = cache.reads().map(Arc::clone);
        async move {
            let manifest = load_manifest(&storage, &file, reads.as_deref()).await?;
            let size_bytes = manifest.size_bytes();
            Ok((Arc::new(manifest), size_bytes))
        }
    };
    cache.manifest(path, load).await
}

async fn load_manifest(
    storage: &Storage,
    file: &ManifestFile,
    reads: Option<&ManifestReads>,
) -> Result<DecodedManifest> {
    let path = &file.manifest_path;
    let bytes = read_file(storage, "manifest", path).await?;
    if let Some(reads) = reads {
        reads.count_manifest(bytes.len());
    }
    let length = bytes.len() as u64;
    let manifest = decoded(bytes, "manifest", path, decode::manifest).await?;
    // A file that was cut between two blocks decodes without an error, with files missing. A table
    // that was moved may have shorter manifests than its lists say, with all their files.
    let expected = u64::try_from(file.manifest_length).unwrap_or_default();
    if length < expected && !holds_all_files(&manifest, file) {
        return Err(Error::corrupt(format!(
            "the manifest is cut off: it has {length} bytes of the {expected} that its manifest \
             list records, and fewer files; restore the file"
        ))
        .with_context("manifest", path));
    }
    // DuckDB at times writes "deletes" into the header of a manifest of data files; the list and
    // each entry say what is true, and planning goes by those.
    let holds_data = file.content == ManifestContentType::Data;
    let agrees = |entry: &Arc<ListedEntry>| {
        (entry.data_file().content_type() == DataContentType::Data) == holds_data
    };
    if manifest.content != file.content && !manifest.entries.iter().all(agrees) {
        return Err(Error::corrupt(format!(
            "the manifest list says that the manifest holds {} files, the manifest itself says {}; \
             restore the file",
            file.content, manifest.content
        ))
        .with_context("manifest", path));
    }
    Ok(manifest)
}

/// Whether a manifest has as many files of each status as its list says; not when the list does not
/// say.
fn holds_all_files(manifest: &DecodedManifest, file: &ManifestFile) -> bool {
    let said = [
        (ManifestStatus::Added, file.added_files_count),
        (ManifestStatus::Existing, file.existing_files_count),
        (ManifestStatus::Deleted, file.deleted_files_count),
    ];
    said.into_iter().all(|(status, said)| {
        let entries = manifest.entries.iter();
        let found = entries.filter(|entry| entry.status() == status).count();
        said.and_then(|said| usize::try_from(said).ok()) == Some(found)
    })
}

async fn read_file(storage: &Storage, what: &'static str, path: &str) -> Result<Bytes> {
    storage
        .read_at_most(path, FILE_BYTES_MAX)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::not_found(format!(
                "the {what} {path:?} of the table does not exist; restore the file, or read a \
             snapshot that does not need it"
            ))
            .with_source(error),
            _ => error.with_context(what, path),
        })
}

/// Decodes away from the threads that serve queries.
async fn decoded<T: Send + 'static>(
    bytes: Bytes,
    what: &'static str,
    path: &str,
    decode: fn(&[u8]) -> Result<T>,
) -> Result<T> {
    runtime::blocking(move || runtime::contained(|| decode(&bytes)))
        .await
        .and_then(|decoded| decoded)
        .map_err(|error| unreadable(error, what, path))
}

fn unreadable(error: Error, what: &'static str, path: &str) -> Error {
    match error.kind() {
        ErrorKind::Cancelled | ErrorKind::Unsupported | ErrorKind::ResourcesExhausted => {
            error.with_context(what, path)
        }
        _ => Error::corrupt(format!(
            "{path:?} cannot be read as a {what}: it is damaged or no Iceberg file; restore it"
        ))
        .with_source(error),
    }
}

/// A list that was cut off behind its header is a list of nothing, and a commit on top of it would
/// lose the table. Where the list was cut between two blocks, nothing in the format tells.
fn refuse_emptied(list: &[ManifestFile], snapshot: &Snapshot) -> Result<()> {
    let total = snapshot
        .summary()
        .additional_properties
        .get("total-data-files")
        .and_then(|total| total.parse::<u64>().ok());
    match total {
        Some(total) if list.is_empty() && total > 0 => Err(Error::corrupt(format!(
            "the manifest list is empty where its snapshot has {total} data files: it was cut \
             off; restore the file"
        ))
        .with_context("manifest list", snapshot.manifest_list())),
        _ => Ok(()),
    }
}

/// The manifest of these bytes, which were read from `path`.
///
/// # Errors
/// [`ErrorKind::Corrupt`] with the path when it is none.
pub(crate) fn manifest_from_bytes(bytes: &[u8], path: &str) -> Result<DecodedManifest> {
    runtime::contained(|| decode::manifest(bytes))
        .map_err(|error| unreadable(error, "manifest", path))
}

fn encrypted(what: &'static str, path: &str) -> Error {
    Error::unsupported(format!(
        "the {what} is encrypted, and encrypted tables are not read; read the table with an engine \
         that has its keys"
    ))
    .with_context(what, path)
}

#[cfg(test)]
mod tests;
