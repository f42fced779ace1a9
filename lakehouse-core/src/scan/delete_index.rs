//! Which delete files apply to which data file: an index of a snapshot's live deletes.

mod overlap;
mod partition_key;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use iceberg::spec::TableMetadata;

use super::delete_file::{DeleteFile, DeleteKind, FileDeletes};
use super::manifest::{ListedFile, ReadManifest};
use super::partition::PartitionLayout;
use crate::error::{Error, Result};
use overlap::may_overlap;
pub(super) use partition_key::{PartitionKey, SpecShape, is_same_value};

/// The live delete files of a snapshot by what they may apply to.
///
/// Deletes that name their data file find it by the stored path alone. Those that do not apply
/// within their partition: same spec, same values; equality deletes of a spec without partition
/// fields apply to the whole table.
#[derive(Debug, Default)]
pub(crate) struct DeleteIndex {
    specs: HashMap<i32, SpecShape>,
    vectors: HashMap<String, Arc<DeleteFile>>,
    positions: Grouped,
    positions_by_path: HashMap<String, Vec<Arc<DeleteFile>>>,
    equality: Grouped,
    equality_global: Vec<Arc<DeleteFile>>,
}

/// Delete files by partition, each group by ascending sequence number.
#[derive(Debug, Default)]
struct Grouped {
    by_partition: HashMap<PartitionKey, Vec<Arc<DeleteFile>>>,
    /// Those whose partition is not known, because their manifest does not tell all of its values.
    unplaced: Vec<Arc<DeleteFile>>,
}

impl Grouped {
    fn insert(&mut self, key: Option<PartitionKey>, file: Arc<DeleteFile>) {
        match key {
            Some(key) => self.by_partition.entry(key).or_default().push(file),
            None => self.unplaced.push(file),
        }
    }

    fn is_empty(&self) -> bool {
        self.by_partition.is_empty() && self.unplaced.is_empty()
    }

    fn of(&self, key: &PartitionKey) -> &[Arc<DeleteFile>] {
        self.by_partition.get(key).map_or(&[], Vec::as_slice)
    }

    fn sort(&mut self) {
        self.by_partition
            .values_mut()
            .for_each(|files| files.sort_by_key(|file| file.sequence_number));
        self.unplaced.sort_by_key(|file| file.sequence_number);
    }
}

/// Those of `files` with at least a sequence number; `files` ascend by it.
fn from_number(files: &[Arc<DeleteFile>], least: i64) -> impl Iterator<Item = &Arc<DeleteFile>> {
    files[files.partition_point(|file| file.sequence_number < least)..].iter()
}

impl DeleteIndex {
    /// Indexes the live entries of delete manifests of a table.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] for entries that contradict the format, such as two
    /// deletion vectors for one data file.
    pub(crate) fn new(manifests: &[ReadManifest], metadata: &TableMetadata) -> Result<Self> {
        let mut index = Self {
            specs: metadata
                .partition_specs_iter()
                .map(|spec| (spec.spec_id(), SpecShape::of(spec)))
                .collect(),
            ..Self::default()
        };
        for read in manifests {
            let live = read.manifest.entries.iter().filter(|e| e.is_alive());
            for entry in live {
                let file = Arc::new(DeleteFile::new(entry, read)?);
                index.insert(file, &read.manifest.layout)?;
            }
        }
        index.positions.sort();
        index.equality.sort();
        let lists = index.positions_by_path.values_mut();
        lists
            .chain([&mut index.equality_global])
            .for_each(|files| files.sort_by_key(|file| file.sequence_number));
        Ok(index)
    }

    fn insert(&mut self, file: Arc<DeleteFile>, layout: &PartitionLayout) -> Result<()> {
        match file.kind() {
            DeleteKind::Vector => self.insert_vector(file),
            DeleteKind::Positions => {
                match file.referenced_path() {
                    Some(path) => self.positions_by_path.entry(path).or_default().push(file),
                    None => {
                        let key = self.key(file.spec_id, layout, file.data_file());
                        self.positions.insert(key, file);
                    }
                }
                Ok(())
            }
            DeleteKind::Equality => {
                let shape = self.specs.get(&file.spec_id).ok_or_else(|| {
                    Error::corrupt(format!(
                        "an equality delete file has the partition spec {}, which the table does \
                         not have; restore the table's metadata",
                        file.spec_id
                    ))
                    .with_context("file", file.path())
                })?;
                if shape.is_unpartitioned {
                    self.equality_global.push(file);
                } else {
                    let key = self.key(file.spec_id, layout, file.data_file());
                    self.equality.insert(key, file);
                }
                Ok(())
            }
        }
    }

    fn insert_vector(&mut self, file: Arc<DeleteFile>) -> Result<()> {
        let path = file.referenced_path().unwrap_or_default();
        match self.vectors.entry(path) {
            Entry::Vacant(vacant) => {
                vacant.insert(file);
                Ok(())
            }
            // A list that has a vector twice says the same thing twice.
            Entry::Occupied(mut same) if is_same_vector(same.get(), &file) => {
                if same.get().sequence_number < file.sequence_number {
                    same.insert(file);
                }
                Ok(())
            }
            Entry::Occupied(other) => {
                let place = |file: &DeleteFile| {
                    let (offset, _) = file.blob().unwrap_or_default();
                    format!("{} at byte {offset}", file.path())
                };
                Err(Error::corrupt(format!(
                    "a data file has two deletion vectors, {} and {}, where the format allows one; \
                     remove one of them with the engine that wrote them",
                    place(other.get()),
                    place(&file)
                ))
                .with_context("file", other.key()))
            }
        }
    }

    /// Whether each delete names its data file. Others apply to files of many manifests.
    pub(crate) fn names_its_files(&self) -> bool {
        self.positions.is_empty() && self.equality.is_empty() && self.equality_global.is_empty()
    }

    fn key(&self, spec: i32, layout: &PartitionLayout, file: &ListedFile) -> Option<PartitionKey> {
        PartitionKey::new(spec, self.specs.get(&spec)?, layout, file.partition())
    }

    /// What applies to a data file of a manifest with `spec_id` and `layout`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for delete files that are not read,
    /// [`crate::error::ErrorKind::Corrupt`] for a deletion vector that cannot be the file's.
    pub(crate) fn deletes_for(
        &self,
        file: &ListedFile,
        spec_id: i32,
        layout: &PartitionLayout,
        sequence_number: i64,
    ) -> Result<FileDeletes> {
        let path = file.file_path();
        // Lists of one table rarely hold any of these: the key is made only when one is asked.
        let key = if self.positions.is_empty() && self.equality.is_empty() {
            None
        } else {
            self.key(spec_id, layout, file)
        };
        let mut deletes = FileDeletes::default();
        if let Some(vector) = self.vectors.get(path) {
            check_vector(vector, file, sequence_number)?;
            deletes.vector = Some(Arc::clone(vector));
        } else {
            deletes.positions = self.positions_for(path, key.as_ref(), sequence_number);
        }
        deletes.equality = self.equality_for(file, key.as_ref(), sequence_number)?;
        for delete in deletes.iter() {
            delete
                .refuse_unreadable()
                .map_err(|error| error.with_context("data file", path))?;
        }
        Ok(deletes)
    }

    fn positions_for(
        &self,
        path: &str,
        key: Option<&PartitionKey>,
        sequence_number: i64,
    ) -> Vec<Arc<DeleteFile>> {
        let named = self.positions_by_path.get(path).map_or(&[][..], |v| v);
        let mut found: Vec<_> = from_number(named, sequence_number)
            .map(Arc::clone)
            .collect();
        let mut extend = |files: &[Arc<DeleteFile>]| {
            let files = from_number(files, sequence_number).filter(|file| file.may_name(path));
            found.extend(files.map(Arc::clone));
        };
        extend(&self.positions.unplaced);
        match key {
            Some(key) => extend(self.positions.of(key)),
            // A position delete file names its data files, so one too many does no harm.
            None => self.positions.by_partition.values().for_each(|f| extend(f)),
        }
        found
    }

    fn equality_for(
        &self,
        file: &ListedFile,
        key: Option<&PartitionKey>,
        sequence_number: i64,
    ) -> Result<Vec<Arc<DeleteFile>>> {
        let later = sequence_number.saturating_add(1);
        let mut found: Vec<_> = from_number(&self.equality_global, later)
            .filter(|delete| may_overlap(delete.data_file(), file))
            .map(Arc::clone)
            .collect();
        if self.equality.is_empty() {
            return Ok(found);
        }
        // Which partition is meant decides which rows are deleted, so a guess will not do.
        let (Some(key), []) = (key, self.equality.unplaced.as_slice()) else {
            return Err(Error::unsupported(
                "the table has equality deletes in partitions whose values are not all known, \
                 such as those of a transform of a later version; rewrite the table's data files \
                 with the engine that deletes",
            )
            .with_context("data file", file.file_path()));
        };
        let in_partition = from_number(self.equality.of(key), later);
        found.extend(
            in_partition
                .filter(|delete| may_overlap(delete.data_file(), file))
                .map(Arc::clone),
        );
        Ok(found)
    }
}

fn is_same_vector(one: &DeleteFile, other: &DeleteFile) -> bool {
    let place = |file: &DeleteFile| (file.blob(), file.data_file().record_count());
    one.path() == other.path() && place(one) == place(other)
}

fn check_vector(vector: &DeleteFile, file: &ListedFile, sequence_number: i64) -> Result<()> {
    let corrupt = |message: String| {
        Err(Error::corrupt(message)
            .with_context("file", vector.path())
            .with_context("data file", file.file_path()))
    };
    if vector.sequence_number < sequence_number {
        return corrupt(format!(
            "the deletion vector has the sequence number {}, its data file the later one \
             {sequence_number}: it was made for another file of that name",
            vector.sequence_number
        ));
    }
    let (deleted, rows) = (vector.data_file().record_count(), file.record_count());
    if deleted > rows {
        return corrupt(format!(
            "the deletion vector deletes {deleted} rows of a data file of {rows}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
