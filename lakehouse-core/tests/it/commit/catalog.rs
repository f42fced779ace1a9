//! A small catalog whose swaps can be made to conflict, to time out, or to wait.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};
use lakehouse_core::catalog::{AskedSwap, Catalog, CommitOutcome, TablePointer};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::storage::{Storage, join};
use tokio::sync::Semaphore;

/// What happens to one swap.
pub(super) enum Fault {
    /// Nothing: it is passed by.
    None,
    /// Somebody else is said to have been first.
    Conflict,
    /// It is applied, and the answer is lost.
    AppliedUnknown,
    /// It is not applied, and the answer is lost.
    NotAppliedUnknown,
    /// The catalog fails before it asks for the swap.
    Refused,
    /// This happens first, then the swap is tried.
    Before(BoxFuture<'static, ()>),
    /// It is applied, the answer is lost, and this happens before anybody looks.
    AppliedUnknownThen(BoxFuture<'static, ()>),
    /// The answer is lost, and this happens before anybody looks.
    NotAppliedUnknownThen(BoxFuture<'static, ()>),
}

pub(super) struct FaultyCatalog {
    storage: Storage,
    tables: Mutex<HashMap<TableIdent, TablePointer>>,
    faults: Mutex<VecDeque<Fault>>,
    pub(super) requirements: Mutex<Vec<Vec<TableRequirement>>>,
    pub(super) swaps: AtomicUsize,
    /// Swaps that were asked for.
    pub(super) asked: AtomicUsize,
    /// Swaps wait for a permit each.
    pub(super) gate: Semaphore,
}

impl std::fmt::Debug for FaultyCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyCatalog")
    }
}

impl FaultyCatalog {
    pub(super) fn new(storage: Storage) -> Self {
        Self {
            storage,
            tables: Mutex::default(),
            faults: Mutex::default(),
            requirements: Mutex::default(),
            swaps: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    pub(super) fn inject(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn next_fault(&self) -> Fault {
        let next = self.faults.lock().unwrap().pop_front();
        next.unwrap_or(Fault::None)
    }

    async fn pointer(&self, ident: &TableIdent, metadata: TableMetadata) -> TablePointer {
        let number = self.swaps.fetch_add(1, Ordering::SeqCst);
        let name = format!("metadata/{number:05}.metadata.json");
        let location = join(metadata.location(), &name);
        let json = serde_json::to_vec(&metadata).unwrap();
        self.storage
            .write_new(&location, json.into())
            .await
            .unwrap();
        TablePointer {
            ident: ident.clone(),
            metadata_location: location,
            metadata: Arc::new(metadata),
        }
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> Result<CommitOutcome> {
        let current = self.load_table(ident).await?;
        for requirement in requirements {
            if let Err(error) = requirement.check(Some(&current.metadata)) {
                return Ok(CommitOutcome::Conflicted(error.into()));
            }
        }
        let location = current.metadata_location.clone();
        let mut builder =
            TableMetadata::clone(&current.metadata).into_builder(Some(location.clone()));
        for update in updates {
            builder = update.apply(builder)?;
        }
        let new = self.pointer(ident, builder.build()?.metadata).await;
        let mut tables = self.tables.lock().unwrap();
        match tables.get_mut(ident) {
            Some(pointer) if pointer.metadata_location == location => {
                *pointer = new.clone();
                Ok(CommitOutcome::Committed(new))
            }
            _ => Ok(CommitOutcome::Conflicted(conflict())),
        }
    }
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "somebody else was first")
}

fn timeout() -> Error {
    Error::new(ErrorKind::Unavailable, "no answer")
}

fn unknown(swap: Option<AskedSwap>) -> CommitOutcome {
    CommitOutcome::Unknown {
        error: timeout(),
        swap,
    }
}

fn not_tested<T>() -> Result<T> {
    Err(Error::unsupported("not part of these tests"))
}

#[async_trait]
impl Catalog for FaultyCatalog {
    fn name(&self) -> &str {
        "faulty"
    }

    fn storage(&self) -> &Storage {
        &self.storage
    }

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        not_tested()
    }

    async fn namespace_properties(&self, _: &NamespaceIdent) -> Result<HashMap<String, String>> {
        not_tested()
    }

    async fn create_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> Result<()> {
        not_tested()
    }

    async fn drop_namespace(&self, _: &NamespaceIdent) -> Result<()> {
        not_tested()
    }

    async fn list_tables(&self, _: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        not_tested()
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<TablePointer> {
        tokio::task::yield_now().await;
        let tables = self.tables.lock().unwrap();
        tables
            .get(ident)
            .cloned()
            .ok_or_else(|| Error::not_found(format!("no table {ident}")))
    }

    async fn new_table_location(&self, ident: &TableIdent) -> Result<String> {
        Ok(format!("memory:///lake/{}", ident.name()))
    }

    async fn create_table(
        &self,
        ident: &TableIdent,
        metadata: TableMetadata,
    ) -> Result<CommitOutcome> {
        let fault = self.next_fault();
        if matches!(fault, Fault::NotAppliedUnknown) {
            return Ok(unknown(None));
        }
        let pointer = self.pointer(ident, metadata).await;
        let mut tables = self.tables.lock().unwrap();
        if tables.contains_key(ident) {
            return Err(Error::new(ErrorKind::AlreadyExists, "the name is taken"));
        }
        tables.insert(ident.clone(), pointer.clone());
        Ok(match fault {
            Fault::AppliedUnknown => unknown(None),
            _ => CommitOutcome::Committed(pointer),
        })
    }

    async fn register_table(&self, _: &TableIdent, _: &str) -> Result<TablePointer> {
        not_tested()
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.tables.lock().unwrap().remove(ident);
        Ok(())
    }

    async fn drop_owned_table(&self, table: &TablePointer) -> Result<()> {
        let mut tables = self.tables.lock().unwrap();
        match tables.get(&table.ident) {
            Some(now) if now.metadata_location == table.metadata_location => {
                tables.remove(&table.ident);
                Ok(())
            }
            _ => Err(conflict()),
        }
    }

    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> Result<()> {
        not_tested()
    }

    async fn commit(
        &self,
        base: &TablePointer,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<CommitOutcome> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let permit = self.gate.acquire().await.unwrap();
        permit.forget();
        self.requirements.lock().unwrap().push(requirements.clone());
        let fault = self.next_fault();
        match fault {
            Fault::None => self.swap(&base.ident, &requirements, updates).await,
            Fault::Conflict => Ok(CommitOutcome::Conflicted(conflict())),
            Fault::AppliedUnknown => {
                let applied = self.swap(&base.ident, &requirements, updates).await?;
                assert!(matches!(applied, CommitOutcome::Committed(_)));
                Ok(unknown(None))
            }
            Fault::AppliedUnknownThen(other) => {
                let applied = self.swap(&base.ident, &requirements, updates).await?;
                let CommitOutcome::Committed(new) = applied else {
                    panic!("{applied:?}");
                };
                other.await;
                Ok(unknown(Some(AskedSwap {
                    from: base.metadata_location.clone(),
                    to: new.metadata_location,
                })))
            }
            Fault::NotAppliedUnknown => Ok(unknown(None)),
            Fault::Refused => Err(Error::new(ErrorKind::ResourcesExhausted, "disk full")),
            Fault::Before(other) => {
                other.await;
                self.swap(&base.ident, &requirements, updates).await
            }
            Fault::NotAppliedUnknownThen(other) => {
                other.await;
                Ok(unknown(Some(AskedSwap {
                    from: base.metadata_location.clone(),
                    to: join(base.metadata.location(), "metadata/never.metadata.json"),
                })))
            }
        }
    }
}
