//! The catalog's pointers as one process reaches them: a swap may be refused, done in vain, never
//! done, or done when nobody waits for it any longer.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use lakehouse::core::catalog::{
    MemoryPointers, NewPointer, PointerStore, StoredPointer, Swap, Turn,
};
use lakehouse::core::error::{Error, ErrorKind, Result};
use lakehouse::core::name::{NamespaceIdent, TableIdent};
use lakehouse::core::runtime;

use crate::faults::Call;
use crate::planted::Planted;
use crate::process::{Lost, Process};
use crate::world::World;

/// Pointers in front of those of a run.
#[derive(Debug)]
pub(crate) struct SimulatedPointers {
    process: Arc<Process>,
}

impl SimulatedPointers {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    fn pointers(&self) -> &MemoryPointers {
        &self.process.world.pointers
    }
}

async fn swap(
    world: &World,
    ident: &TableIdent,
    expected: &StoredPointer<()>,
    new: NewPointer<'_>,
) -> Result<Swap> {
    if world.loses(Planted::SwapInVain) {
        return Ok(Swap::Moved);
    }
    let mut expected = expected.clone();
    let mut swapped = world.pointers.swap(ident, &expected, new).await;
    if matches!(swapped, Ok(Swap::Stale)) && world.loses(Planted::OthersLost) {
        expected = world.pointers.get(ident).await?.unwrap_or(expected);
        swapped = world.pointers.swap(ident, &expected, new).await;
    }
    if matches!(swapped, Ok(Swap::Moved)) {
        world.moved(&expected.location, new.location);
        if world.loses(Planted::AnswerWrong) {
            return Err(Error::new(ErrorKind::Unavailable, "refused, it says"));
        }
    }
    swapped
}

fn file_name(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or(location)
}

#[async_trait]
impl PointerStore for SimulatedPointers {
    type Token = ();

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        self.pointers().list_namespaces().await
    }

    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<Option<HashMap<String, String>>> {
        self.pointers().namespace_properties(namespace).await
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        let pointers = self.pointers();
        pointers.create_namespace(namespace, properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.pointers().drop_namespace(namespace).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<String>>> {
        self.pointers().list_tables(namespace).await
    }

    async fn get(&self, ident: &TableIdent) -> Result<Option<StoredPointer<()>>> {
        let work = self.pointers().get(ident);
        let found = self.process.call(Call::Find, "pointer", work, |_| ()).await;
        found.unwrap_or_else(|_| {
            let message = "the catalog does not answer, on purpose";
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    async fn turn(&self, ident: &TableIdent) -> Result<Turn> {
        self.pointers().turn(ident).await
    }

    async fn insert(&self, ident: &TableIdent, new: NewPointer<'_>) -> Result<Swap> {
        self.pointers().insert(ident, new).await
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        expected: &StoredPointer<()>,
        new: NewPointer<'_>,
    ) -> Result<Swap> {
        let world = &self.process.world;
        let work = swap(world, ident, expected, new);
        let late = |after| {
            let (world, ident) = (Arc::clone(world), ident.clone());
            let (expected, location) = (expected.clone(), new.location.to_owned());
            let metadata = TableMetadata::clone(new.metadata);
            let name = self.process.name.clone();
            // The catalog's own work: no end of the process stops it.
            self.process.world.keep(runtime::spawn(async move {
                world.time.sleep(after).await;
                let new = NewPointer {
                    location: &location,
                    metadata: &metadata,
                };
                let swapped = swap(&world, &ident, &expected, new).await;
                let file = file_name(&location);
                world.tell(&name, format_args!("late swap to {file}: {swapped:?}"));
            }));
        };
        let what = format!("to {}", file_name(new.location));
        let swapped = self.process.call(Call::Swap, &what, work, late).await;
        if let Ok(answer) = &swapped {
            self.process.tell(format_args!("swap {what}: {answer:?}"));
        }
        match swapped {
            Ok(answer) => answer,
            Err(Lost::Refused) => Err(Error::new(
                ErrorKind::Unavailable,
                "the catalog refuses, on purpose",
            )),
            Err(Lost::Unknown) => lost(new.location),
        }
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        self.pointers().remove(ident).await
    }

    async fn remove_owned(&self, ident: &TableIdent, location: &str) -> Result<()> {
        self.pointers().remove_owned(ident, location).await
    }

    async fn rename(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        self.pointers().rename(from, to).await
    }
}

/// The answer of a store that does not know; there are two forms of it, and each location has one.
fn lost(location: &str) -> Result<Swap> {
    let error = |kind| Error::new(kind, "the catalog's answer was lost, on purpose");
    let parity = location.bytes().fold(0, u8::wrapping_add) % 2;
    match parity {
        0 => Ok(Swap::Unknown(error(ErrorKind::Unavailable))),
        _ => Err(error(ErrorKind::Unknown)),
    }
}
