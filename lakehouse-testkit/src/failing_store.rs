//! An object store that fails where a test wants it to.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};

/// The name under which the store's errors appear.
const STORE: &str = "failing store";

/// The kinds of call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreCall {
    /// A file written whole, one part of a larger one, or the end of one.
    Put,
    /// A file or a range of it read, or its size asked for.
    Get,
    /// A file deleted.
    Delete,
    /// A folder listed.
    List,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The store does not answer; nothing was done.
    Unavailable,
    /// The store does what was asked, but its answer is lost.
    AppliedThenTimedOut,
    /// No permission; nothing was done.
    Denied,
    /// No space is left; nothing was done.
    NoSpace,
}

/// A store in front of another that fails as it was told.
///
/// ```
/// use std::sync::Arc;
/// use lakehouse_testkit::{FailingStore, Fault, StoreCall};
/// use object_store::memory::InMemory;
///
/// let store = FailingStore::new(Arc::new(InMemory::new()));
/// // The second write from now on finds the disk full.
/// store.fail_nth(StoreCall::Put, 2, Fault::NoSpace);
/// ```
#[derive(Debug, Clone)]
pub struct FailingStore {
    store: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    rules: Mutex<Vec<Rule>>,
    read_only: AtomicBool,
}

#[derive(Debug)]
struct Rule {
    call: StoreCall,
    /// Only paths with this text count and fail.
    path_part: String,
    /// Calls that still pass before one fails.
    passes: u64,
    /// Whether later calls fail too.
    for_ever: bool,
    fault: Fault,
}

impl FailingStore {
    /// A store that does what `store` does until it is told to fail.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            plan: Arc::default(),
        }
    }

    /// The `nth` call of a kind from now on fails, counted from 1; the others pass.
    pub fn fail_nth(&self, call: StoreCall, nth: u64, fault: Fault) {
        self.fail_nth_at(call, "", nth, fault);
    }

    /// As [`Self::fail_nth`], for calls on paths that contain `path_part`.
    pub fn fail_nth_at(&self, call: StoreCall, path_part: &str, nth: u64, fault: Fault) {
        self.add(Rule {
            call,
            path_part: path_part.to_owned(),
            passes: nth.saturating_sub(1),
            for_ever: false,
            fault,
        });
    }

    /// Every call of a kind on paths that contain `path_part` fails until [`Self::heal`].
    pub fn fail_always_at(&self, call: StoreCall, path_part: &str, fault: Fault) {
        self.add(Rule {
            call,
            path_part: path_part.to_owned(),
            passes: 0,
            for_ever: true,
            fault,
        });
    }

    /// Denies every change, or allows it again.
    pub fn set_read_only(&self, read_only: bool) {
        self.plan.read_only.store(read_only, Ordering::SeqCst);
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        self.rules().clear();
        self.set_read_only(false);
    }

    fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.plan.rules()
    }
}

impl Plan {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that meets this call, if any.
    fn fault(&self, call: StoreCall, path: &Path) -> Option<Fault> {
        let changes = matches!(call, StoreCall::Put | StoreCall::Delete);
        if changes && self.read_only.load(Ordering::SeqCst) {
            return Some(Fault::Denied);
        }
        let mut rules = self.rules();
        let mut hit = None;
        for (position, rule) in rules.iter_mut().enumerate() {
            if rule.call != call || !path.as_ref().contains(&rule.path_part) {
                continue;
            }
            if rule.passes > 0 {
                rule.passes -= 1;
            } else if hit.is_none() {
                hit = Some((position, rule.fault, rule.for_ever));
            }
        }
        let (position, fault, for_ever) = hit?;
        if !for_ever {
            rules.remove(position);
        }
        Some(fault)
    }

    /// Runs `work`, or not, as the fault of this call says.
    async fn run<T>(
        &self,
        call: StoreCall,
        path: &Path,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.fault(call, path) {
            None => work.await,
            Some(Fault::AppliedThenTimedOut) => {
                work.await?;
                Err(error(Fault::AppliedThenTimedOut, path))
            }
            Some(fault) => Err(error(fault, path)),
        }
    }
}

fn error(fault: Fault, path: &Path) -> Error {
    let cause = match fault {
        Fault::Denied => {
            return Error::PermissionDenied {
                path: path.to_string(),
                source: "denied on purpose".into(),
            };
        }
        Fault::NoSpace => io::Error::new(io::ErrorKind::StorageFull, "no space, on purpose"),
        Fault::Unavailable => io::Error::new(io::ErrorKind::ConnectionRefused, "on purpose"),
        Fault::AppliedThenTimedOut => io::Error::new(io::ErrorKind::TimedOut, "on purpose"),
    };
    Error::Generic {
        store: STORE,
        source: Box::new(cause),
    }
}

impl fmt::Display for FailingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failing {}", self.store)
    }
}

#[async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let work = self.store.put_opts(location, payload, opts);
        self.plan.run(StoreCall::Put, location, work).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.store.put_multipart_opts(location, opts).await?;
        Ok(Box::new(FailingUpload {
            upload,
            plan: Arc::clone(&self.plan),
            path: location.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let work = self.store.get_opts(location, options);
        self.plan.run(StoreCall::Get, location, work).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let work = self.store.get_ranges(location, ranges);
        self.plan.run(StoreCall::Get, location, work).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (store, plan) = (Arc::clone(&self.store), Arc::clone(&self.plan));
        locations
            .then(move |location| {
                let (store, plan) = (Arc::clone(&store), Arc::clone(&plan));
                async move {
                    let location = location?;
                    let one = stream::once(futures::future::ok(location.clone())).boxed();
                    let mut deleted = store.delete_stream(one);
                    let work = async { deleted.next().await.unwrap_or(Ok(location.clone())) };
                    plan.run(StoreCall::Delete, &location, work).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let path = prefix.cloned().unwrap_or_default();
        match self.plan.fault(StoreCall::List, &path) {
            Some(fault) => stream::once(futures::future::err(error(fault, &path))).boxed(),
            None => self.store.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        let work = self.store.list_with_delimiter(prefix);
        self.plan.run(StoreCall::List, &path, work).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let work = self.store.copy_opts(from, to, options);
        self.plan.run(StoreCall::Put, to, work).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let work = self.store.rename_opts(from, to, options);
        self.plan.run(StoreCall::Put, to, work).await
    }
}

/// A large file being written through a [`FailingStore`].
#[derive(Debug)]
struct FailingUpload {
    upload: Box<dyn MultipartUpload>,
    plan: Arc<Plan>,
    path: Path,
}

#[async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.upload.put_part(data);
        let (plan, path) = (Arc::clone(&self.plan), self.path.clone());
        Box::pin(async move { plan.run(StoreCall::Put, &path, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let work = self.upload.complete();
        self.plan.run(StoreCall::Put, &self.path, work).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn only_the_nth_call_fails_and_says_why() {
        let store = FailingStore::new(Arc::new(InMemory::new()));
        let path = Path::from("a");
        store.fail_nth(StoreCall::Put, 2, Fault::NoSpace);
        store.put(&path, "1".into()).await.unwrap();
        assert!(store.put(&path, "2".into()).await.is_err());
        store.put(&path, "3".into()).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "3");
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_file() {
        let store = FailingStore::new(Arc::new(InMemory::new()));
        let path = Path::from("a");
        store.fail_nth(StoreCall::Put, 1, Fault::AppliedThenTimedOut);
        assert!(store.put(&path, "1".into()).await.is_err());
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "1");
    }

    #[tokio::test]
    async fn a_read_only_store_reads() {
        let store = FailingStore::new(Arc::new(InMemory::new()));
        let path = Path::from("a");
        store.put(&path, "1".into()).await.unwrap();
        store.set_read_only(true);
        assert!(store.put(&path, "2".into()).await.is_err());
        assert!(store.delete(&path).await.is_err());
        assert!(store.get(&path).await.is_ok());
        store.heal();
        store.delete(&path).await.unwrap();
    }
}
