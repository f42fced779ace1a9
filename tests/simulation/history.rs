//! The table's history as its metadata files tell it, read without anybody's help.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::TryStreamExt;
use iceberg::spec::{DataContentType, Manifest, ManifestList, Snapshot, TableMetadata};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use crate::world::World;

/// One state of the table.
pub(crate) struct State {
    /// Since when it was the current one.
    pub(crate) since_ms: u64,
    pub(crate) metadata: TableMetadata,
    /// Branches and tags with their snapshots.
    pub(crate) refs: BTreeMap<String, i64>,
}

impl State {
    /// The current snapshot.
    pub(crate) fn head(&self) -> Option<i64> {
        self.refs.get("main").copied()
    }
}

/// All states of the table in the order in which the pointer stood on them.
pub(crate) async fn states(world: &World, current: &str) -> Result<Vec<State>, String> {
    let moves = world.moves();
    let first = moves.first().map_or(current, |first| first.from.as_str());
    let mut states = vec![state(world, first, 0).await?];
    for moved in &moves {
        states.push(state(world, &moved.to, moved.at_ms).await?);
    }
    match moves.last().map_or(current, |last| last.to.as_str()) == current {
        true => Ok(states),
        false => Err(format!(
            "the pointer stands on {current}, where nobody moved it"
        )),
    }
}

async fn state(world: &World, location: &str, since_ms: u64) -> Result<State, String> {
    let bytes = file(world, location).await?;
    let damaged = |error: serde_json::Error| format!("{location} is no metadata: {error}");
    let json: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    let named = json["refs"].as_object().into_iter().flatten();
    let refs = named
        .filter_map(|(name, entry)| Some((name.clone(), entry["snapshot-id"].as_i64()?)))
        .collect();
    let metadata = serde_json::from_value(json).map_err(damaged)?;
    Ok(State {
        since_ms,
        metadata,
        refs,
    })
}

async fn file(world: &World, location: &str) -> Result<Vec<u8>, String> {
    let path = Path::from(location);
    let read = async { world.files.get(&path).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) => Err(format!("{location}, which the metadata names: {error}")),
    }
}

/// What the manifests of one snapshot come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    data_files: u64,
    records: u64,
    delete_files: u64,
}

/// The files of a table, each manifest read once.
pub(crate) struct Files<'a> {
    world: &'a World,
    present: HashSet<String>,
    /// Those that the snapshots name which were checked.
    named: HashSet<String>,
    manifests: HashMap<String, Totals>,
}

impl<'a> Files<'a> {
    pub(crate) async fn list(world: &'a World) -> Self {
        let found: Vec<_> = world.files.list(None).try_collect().await.unwrap();
        let present = found
            .into_iter()
            .map(|file| format!("/{}", file.location))
            .collect();
        Self {
            world,
            present,
            named: HashSet::new(),
            manifests: HashMap::new(),
        }
    }

    /// Files that no state and no checked snapshot names.
    pub(crate) fn unnamed(&self, current: &str) -> Vec<&str> {
        let moves = self.world.moves();
        let states = moves.iter().flat_map(|moved| [&moved.from, &moved.to]);
        let states: HashSet<&str> = states.map(String::as_str).chain([current]).collect();
        let rest = self
            .present
            .iter()
            .filter(|file| !states.contains(file.as_str()) && !self.named.contains(*file));
        let mut rest: Vec<&str> = rest.map(String::as_str).collect();
        rest.sort_unstable();
        rest
    }

    /// Looks for all files of a snapshot; what its summary says of them must be so.
    pub(crate) async fn check(
        &mut self,
        metadata: &TableMetadata,
        snapshot: &Snapshot,
    ) -> Result<(), String> {
        let bytes = file(self.world, snapshot.manifest_list()).await?;
        self.named.insert(snapshot.manifest_list().to_owned());
        let list = ManifestList::parse_with_version(&bytes, metadata.format_version())
            .map_err(|error| format!("{}: {error}", snapshot.manifest_list()))?;
        let mut totals = Totals::default();
        for entry in list.entries() {
            let of_manifest = self.manifest(&entry.manifest_path).await?;
            totals.data_files += of_manifest.data_files;
            totals.records += of_manifest.records;
            totals.delete_files += of_manifest.delete_files;
        }
        let summary = &snapshot.summary().additional_properties;
        let told = |key: &str| summary.get(key).and_then(|value| value.parse().ok());
        let summed = [
            ("total-data-files", totals.data_files),
            ("total-records", totals.records),
            ("total-delete-files", totals.delete_files),
        ];
        for (key, counted) in summed {
            if told(key) != Some(counted) {
                return Err(format!(
                    "the summary says {key} = {:?}, the manifests {counted}",
                    summary.get(key)
                ));
            }
        }
        Ok(())
    }

    async fn manifest(&mut self, location: &str) -> Result<Totals, String> {
        if let Some(known) = self.manifests.get(location) {
            return Ok(*known);
        }
        let bytes = file(self.world, location).await?;
        let manifest =
            Manifest::parse_avro(&bytes).map_err(|error| format!("{location}: {error}"))?;
        self.named.insert(location.to_owned());
        let mut totals = Totals::default();
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            if !self.present.contains(file.file_path()) {
                return Err(format!(
                    "{} is gone, which {location} names",
                    file.file_path()
                ));
            }
            self.named.insert(file.file_path().to_owned());
            match file.content_type() {
                DataContentType::Data => {
                    totals.data_files += 1;
                    totals.records += file.record_count();
                }
                _ => totals.delete_files += 1,
            }
        }
        self.manifests.insert(location.to_owned(), totals);
        Ok(totals)
    }
}
