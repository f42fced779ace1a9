//! From a location to its object store: one stack for metadata and data.
//!
//! A location is the string that Iceberg metadata holds: an absolute path, a `file:` URL, a
//! `memory:` URL, or an `s3:` URL where the storage was given stores for those. It is kept byte
//! for byte; only the way to the store is derived from it.

mod calls;
mod counted;
mod export;
mod local_path;
mod location;
mod open_work;
mod regular_file;
mod remote;
mod routing;
mod sync;
mod unpack;
mod writer;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

pub use counted::{IoCounters, IoCounts};
pub use export::{Export, ExportForm, ExportTarget};
pub(crate) use local_path::folder_location;
pub use local_path::{absolute_location, absolute_path};
pub use location::{Location, Scheme, join, scheme_of};
pub use open_work::WorkGuard;
pub use regular_file::refuse_special_file;
pub use remote::RemoteStores;
pub(crate) use unpack::BlockCodec;
pub use writer::StorageWriter;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::Durability;
use counted::CountedStore;
use open_work::OpenWork;
use remote::Remote;
use routing::RoutingStore;

/// The door to every file of a lake.
///
/// Cheap to clone; clones share stores and counters. [`Storage::counting`] gives a clone whose
/// requests are counted a second time, for one statement.
#[derive(Debug, Clone)]
pub struct Storage {
    stores: Arc<Stores>,
    statement: Option<Arc<IoCounters>>,
}

#[derive(Debug)]
struct Stores {
    url: ObjectStoreUrl,
    durability: Durability,
    local: CountedStore,
    memory: CountedStore,
    remote: Option<Remote>,
    open_work: OpenWork,
}

impl Stores {
    /// The counted store of a location, and its path there.
    fn find(
        &self,
        location: &Location,
        statement: Option<&Arc<IoCounters>>,
    ) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let path = location.path()?;
        let store = match location.scheme() {
            Scheme::File => self.local.for_statement(statement),
            Scheme::Memory => self.memory.for_statement(statement),
            Scheme::S3 => {
                let remote = self.remote.as_ref().ok_or_else(|| no_remote(location))?;
                remote
                    .store(location.bucket(), &path)?
                    .for_statement(statement)
            }
        };
        Ok((store, path))
    }
}

/// A file found by [`Storage::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// The file's location, in the form of the prefix that was listed.
    pub location: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Last modification, milliseconds since 1970.
    pub modified_at_ms: i64,
}

impl Storage {
    /// Local files, and a memory of its own for `memory:` locations.
    ///
    /// # Errors
    /// When the engine refuses the synthetic store URL, which would be a defect.
    pub fn new(clock: &dyn Clock, durability: Durability) -> Result<Self> {
        Ok(Self {
            stores: Arc::new(Stores {
                url: new_url(clock)?,
                durability,
                local: CountedStore::new(Arc::new(LocalFileSystem::new())),
                memory: CountedStore::new(Arc::new(InMemory::new())),
                remote: None,
                open_work: OpenWork::default(),
            }),
            statement: None,
        })
    }

    /// The same stores with `local` in the place of the local file system, for stores that fail on
    /// purpose.
    #[must_use]
    pub fn with_local_store(&self, local: Arc<dyn ObjectStore>) -> Self {
        Self {
            stores: Arc::new(Stores {
                url: self.stores.url.clone(),
                durability: self.stores.durability,
                local: CountedStore::new(local),
                memory: self.stores.memory.clone(),
                remote: self.stores.remote.clone(),
                open_work: self.stores.open_work.clone(),
            }),
            statement: self.statement.clone(),
        }
    }

    /// The same local files and memory, with `remote` for the locations of object stores: a storage
    /// of its own under a URL of its own, so that what its credentials may read is not found by
    /// others under the same name.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_remote_stores(
        &self,
        clock: &dyn Clock,
        remote: Arc<dyn RemoteStores>,
    ) -> Result<Self> {
        Ok(Self {
            stores: Arc::new(Stores {
                url: new_url(clock)?,
                durability: self.stores.durability,
                local: self.stores.local.clone(),
                memory: self.stores.memory.clone(),
                remote: Some(Remote::new(remote)),
                open_work: self.stores.open_work.clone(),
            }),
            statement: self.statement.clone(),
        })
    }

    /// Where the stores of remote locations come from, if there are any.
    pub fn remote_stores(&self) -> Option<&Arc<dyn RemoteStores>> {
        self.stores.remote.as_ref().map(Remote::stores)
    }

    /// A clone whose requests are also added to `statement`.
    #[must_use]
    pub fn counting(&self, statement: Arc<IoCounters>) -> Self {
        Self {
            stores: Arc::clone(&self.stores),
            statement: Some(statement),
        }
    }

    /// Says that files are worked on until the guard is dropped, for [`Self::work_ended`].
    pub fn begin_work(&self) -> WorkGuard {
        self.stores.open_work.begin()
    }

    /// Waits until no work on files is under way: writes, commits, and the deletion of what was
    /// written by those that failed or were dropped. Reads are not waited for.
    pub async fn work_ended(&self) {
        self.stores.open_work.ended().await;
    }

    /// Whether commits wait for the disk.
    pub fn durability(&self) -> Durability {
        self.stores.durability
    }

    /// Requests and bytes since this storage was made.
    pub fn counts(&self) -> IoCounts {
        let remote = self.stores.remote.as_ref().map(Remote::counts);
        self.stores.local.counters().snapshot()
            + self.stores.memory.counters().snapshot()
            + remote.unwrap_or_default()
    }

    /// The synthetic URL under which the engine finds [`Self::routing_store`].
    pub fn url(&self) -> &ObjectStoreUrl {
        &self.stores.url
    }

    /// One store for the engine that finds the right store by the first segment of a path, see
    /// [`Location::routing_path`].
    pub fn routing_store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(RoutingStore::new(self.clone()))
    }

    /// One store for the engine whose paths are the keys of a bucket; `None` when this storage has
    /// no remote stores. It reads only.
    pub fn bucket_store(&self, bucket: &str) -> Option<Arc<dyn ObjectStore>> {
        self.stores.remote.as_ref()?;
        let store = RoutingStore::of_bucket(self.clone(), bucket.to_owned());
        Some(Arc::new(store))
    }

    /// The store and path of a location.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a scheme that this storage does not serve,
    /// [`ErrorKind::InvalidInput`] for a location that a store cannot express.
    pub fn resolve(&self, location: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let location = Location::parse(location)?;
        self.stores.find(&location, self.statement.as_ref())
    }

    /// A whole file.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not exist; else what the store answers.
    pub async fn read(&self, location: &str) -> Result<Bytes> {
        let (store, path) = self.resolve(location)?;
        let read = async { store.get(&path).await?.bytes().await };
        read.await.map_err(|error| at(error, location))
    }

    /// A whole file of at most `bytes_max` bytes; of a larger one nothing is read.
    ///
    /// # Errors
    /// As [`Self::read`]; [`ErrorKind::ResourcesExhausted`] for a larger file.
    pub(crate) async fn read_at_most(&self, location: &str, bytes_max: u64) -> Result<Bytes> {
        let (store, path) = self.resolve(location)?;
        let found = store
            .get(&path)
            .await
            .map_err(|error| at(error, location))?;
        let size = found.meta.size;
        if size > bytes_max {
            let message = format!(
                "{location:?} has {size} bytes, and of files that are kept in memory at most \
                 {bytes_max} are read"
            );
            return Err(Error::new(ErrorKind::ResourcesExhausted, message));
        }
        found.bytes().await.map_err(|error| at(error, location))
    }

    /// The bytes of `range` of a file.
    ///
    /// # Errors
    /// As [`Self::read`]; also when the range lies outside of the file.
    pub async fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes> {
        let (store, path) = self.resolve(location)?;
        store
            .get_range(&path, range)
            .await
            .map_err(|error| at(error, location))
    }

    /// Size of a file in bytes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn size_bytes(&self, location: &str) -> Result<u64> {
        let (store, path) = self.resolve(location)?;
        Ok(store
            .head(&path)
            .await
            .map_err(|error| at(error, location))?
            .size)
    }

    /// Whether a file exists.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn exists(&self, location: &str) -> Result<bool> {
        match self.size_bytes(location).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a new file whole, or leaves nothing under its name.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when the file exists: no file of a lake is ever overwritten.
    pub async fn write_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        let (store, path) = self.resolve(location)?;
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        store
            .put_opts(&path, bytes.into(), options)
            .await
            .map_err(|error| at(error, location))?;
        Ok(())
    }

    /// A writer for a new file of unknown size; nothing stands under its name before
    /// [`StorageWriter::finish`].
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn writer(&self, location: &str) -> Result<StorageWriter> {
        let (store, path) = self.resolve(location)?;
        let work = self.begin_work();
        Ok(StorageWriter::new(location.to_owned(), store, path, work))
    }

    /// Deletes a file; a missing one is no error.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn delete(&self, location: &str) -> Result<()> {
        let (store, path) = self.resolve(location)?;
        unless_missing(store.delete(&path).await).map_err(|error| at(error, location))
    }

    /// The files below a folder, in no order.
    ///
    /// # Errors
    /// As [`Self::resolve`]; the stream's items carry what the store answers.
    pub fn list(&self, folder: &str) -> Result<BoxStream<'static, Result<StoredFile>>> {
        let (store, path) = self.resolve(folder)?;
        let root = Location::parse(folder)?;
        let folder = folder.to_owned();
        let files = store
            .list(Some(&path))
            .map_err(move |error| at(error, &folder))
            .map(move |meta| {
                let meta = meta?;
                Ok(StoredFile {
                    location: root.sibling(&meta.location),
                    size_bytes: meta.size,
                    modified_at_ms: meta.last_modified.timestamp_millis(),
                })
            });
        Ok(files.boxed())
    }

    /// Waits until local files and the folders that name them are on the disk.
    ///
    /// Does nothing for memory, or when durability is [`Durability::None`].
    ///
    /// # Errors
    /// When the operating system refuses; the files are then not known to be durable.
    pub async fn sync<'a>(&self, locations: impl IntoIterator<Item = &'a str>) -> Result<()> {
        if self.stores.durability == Durability::None {
            return Ok(());
        }
        let mut files = Vec::new();
        for location in locations {
            let location = Location::parse(location)?;
            if location.scheme() == Scheme::File {
                files.push(location.file_path());
            }
        }
        sync::sync_files(files).await
    }
}

fn new_url(clock: &dyn Clock) -> Result<ObjectStoreUrl> {
    // One synthetic URL for each storage: the engine caches by path alone, so two lakes in one
    // process must not share a store name.
    let name = format!("lakehouse-{}://", clock.new_uuid().simple());
    Ok(ObjectStoreUrl::parse(name)?)
}

fn no_remote(location: &Location) -> Error {
    Error::unsupported(
        "this lake has no stores for s3: locations; open a catalog on AWS, with the feature `aws` \
         of the library",
    )
    .with_context("location", location)
}

/// What is to be gone and is missing is gone.
fn unless_missing(removed: object_store::Result<()>) -> object_store::Result<()> {
    match removed {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        removed => removed,
    }
}

/// A store's error with the location it is about.
fn at(error: object_store::Error, location: &str) -> Error {
    let kind = Error::from(error);
    let message = match kind.kind() {
        ErrorKind::NotFound => format!("file {location:?} does not exist"),
        ErrorKind::AlreadyExists => format!("file {location:?} exists already"),
        _ => kind.message().to_owned(),
    };
    Error::new(kind.kind(), message)
        .with_context("location", location)
        .with_source(kind)
}
