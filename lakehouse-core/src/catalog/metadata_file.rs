//! Metadata files of tables: reading, writing and keeping the read ones.

mod decode;
mod default;
mod json;
mod name;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use iceberg::spec::TableMetadata;
use serde_json::Value;
use uuid::Uuid;

use super::folder_property::metadata_folder;
use super::foreign_type;
use crate::cache::ByteCache;
use crate::clock::Clock;
use crate::error::Result;
use crate::runtime;
use crate::storage::{Storage, join};
pub(crate) use json::to_value;
use name::metadata_file_name;
pub(super) use name::{MetadataName, stem};

/// The largest metadata file that is read into memory; decoded, it takes several times as much.
const FILE_BYTES_MAX: u64 = decode::JSON_BYTES_MAX;

/// Reads and writes the metadata files of one catalog's tables.
///
/// A file whose name holds an identifier is never written twice, so it is kept after the first
/// read; a file with a bare version number may be another table's tomorrow and is read each time.
#[derive(Debug)]
pub(super) struct MetadataFiles {
    storage: Storage,
    cache: ByteCache<String, Arc<TableMetadata>>,
    /// Locations as their files write them, of tables whose location ends with a slash: the format
    /// crate cuts it off, and a commit must not.
    slashed: Arc<Mutex<HashMap<Uuid, String>>>,
}

impl MetadataFiles {
    /// Files behind `storage`; at most `bytes_max` bytes of their JSON stay in memory.
    pub(super) fn new(storage: Storage, bytes_max: u64) -> Self {
        Self {
            storage,
            cache: ByteCache::new(bytes_max),
            slashed: Arc::default(),
        }
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The metadata a file holds.
    ///
    /// # Errors
    /// As [`read`].
    pub(super) async fn load(&self, location: &str) -> Result<Arc<TableMetadata>> {
        let key = location.to_owned();
        let load = || {
            let (storage, slashed) = (self.storage.clone(), Arc::clone(&self.slashed));
            let location = key.clone();
            async move {
                let bytes = storage.read_at_most(&location, FILE_BYTES_MAX).await?;
                let (metadata, json) = decode_at(&bytes, &location)?;
                if let Some(location) = json::slashed_location(&json) {
                    let mut known = slashed.lock().unwrap_or_else(PoisonError::into_inner);
                    known.insert(metadata.uuid(), location);
                }
                Ok((Arc::new(metadata), json.len() as u64))
            }
        };
        if MetadataName::parse(location).is_some_and(|name| name.is_unique()) {
            self.cache.get_or_load(&key, load).await
        } else {
            Ok(load().await?.0)
        }
    }

    /// Writes `metadata` to a new file, puts it on the disk and returns its location.
    ///
    /// `predecessor` is the file it follows; the new name counts on from its version.
    ///
    /// # Errors
    /// What the store answers; nothing then stands under the new name, as far as is known.
    pub(super) async fn write(
        &self,
        metadata: &TableMetadata,
        predecessor: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<NewMetadataFile> {
        foreign_type::refuse_write(metadata)?;
        let gzip = decode::is_gzip_asked(metadata.properties())?;
        let name = metadata_file_name(predecessor, clock.new_uuid(), gzip)?;
        let location = join(&metadata_folder(metadata)?, &name);
        let slashed = {
            let known = self.slashed.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&metadata.uuid()).cloned()
        };
        let json = json::to_vec(metadata, slashed.as_deref())?;
        let json_bytes = json.len() as u64;
        let bytes = if gzip { decode::compress(&json)? } else { json };
        let written = async {
            self.storage
                .write_new(&location, Bytes::from(bytes))
                .await?;
            self.storage.sync([location.as_str()]).await
        };
        if let Err(error) = written.await {
            // Nothing names the file yet, and no other writer can have chosen its name.
            self.delete_unnamed(&location).await;
            return Err(error);
        }
        Ok(NewMetadataFile {
            location,
            json_bytes,
        })
    }

    /// Keeps metadata that was just committed, so that the next load reads no file.
    pub(super) fn remember(&self, file: &NewMetadataFile, metadata: &Arc<TableMetadata>) {
        self.cache
            .insert(file.location.clone(), Arc::clone(metadata), file.json_bytes);
    }

    /// Deletes a file that no pointer names; what is left of it costs space only.
    pub(super) async fn delete_unnamed(&self, location: &str) {
        if let Err(error) = self.storage.delete(location).await {
            tracing::warn!(location, %error, "metadata file that nothing names not deleted");
        }
    }
}

/// A metadata file that was written and is on the disk, but that nothing names yet.
#[derive(Debug)]
pub(super) struct NewMetadataFile {
    pub(super) location: String,
    json_bytes: u64,
}

/// The metadata of one file.
///
/// # Errors
/// [`crate::error::ErrorKind::NotFound`] when there is no file,
/// [`crate::error::ErrorKind::Corrupt`] when it is truncated or something else, and
/// [`crate::error::ErrorKind::Unsupported`] for a table that this library must not touch, by name
/// of what it does not know.
pub(super) async fn read(storage: &Storage, location: &str) -> Result<TableMetadata> {
    let bytes = storage.read_at_most(location, FILE_BYTES_MAX).await?;
    Ok(decode_at(&bytes, location)?.0)
}

fn decode_at<'a>(bytes: &'a [u8], location: &str) -> Result<(TableMetadata, Cow<'a, [u8]>)> {
    runtime::contained(|| decode::decode(bytes))
        .map_err(|error| error.with_context("metadata file", location))
}

/// `metadata` with `updated_at_ms` as the time of its last change, and of its last log entries
/// that the change added: those from `log_entries_known` on.
///
/// The format crate's builder takes both from the machine's clock and has no other door.
///
/// # Errors
/// When the metadata is not valid with these times.
pub(super) fn stamp(
    metadata: &TableMetadata,
    updated_at_ms: i64,
    log_entries_known: usize,
) -> Result<TableMetadata> {
    let mut json = to_value(metadata)?;
    json["last-updated-ms"] = Value::from(updated_at_ms);
    if let Some(log) = json.get_mut("snapshot-log").and_then(Value::as_array_mut) {
        for entry in log.iter_mut().skip(log_entries_known) {
            entry["timestamp-ms"] = Value::from(updated_at_ms);
        }
    }
    Ok(json::from_value(json)?)
}
