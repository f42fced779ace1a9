//! Partitions whose rows a change replaces, as questions about manifests and files.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{Literal, ManifestFile, Struct, TableMetadata, Transform};

use super::delete_index::{PartitionKey, SpecShape, is_same_value};
use super::file_filter::{Matched, manifest_may_hold, manifest_may_match, matched_rows};
use super::partition::{PartitionColumn, PartitionLayout, rows_of};
use super::placed_file::PlacedFile;
use super::plan::{column_type, spec_layout};
use super::predicate::Predicate;
use crate::error::{Error, Result};

/// Partitions of a table's specs, and the rows in them, whatever spec their files have.
#[derive(Debug)]
pub(crate) struct PartitionSet {
    specs: HashMap<i32, SpecShape>,
    keys: HashSet<PartitionKey>,
    spec_ids: HashSet<i32>,
    partitions: Vec<Partition>,
    holds_all: bool,
}

#[derive(Debug)]
struct Partition {
    layout: PartitionLayout,
    tuple: Struct,
    /// For each field the condition that exactly the rows with its value match, where there is one.
    fields: Vec<Option<Predicate>>,
    /// A condition that every row of the partition matches.
    rows: Predicate,
}

impl PartitionSet {
    /// Of the table of `metadata`, without a partition.
    pub(crate) fn new(metadata: &TableMetadata) -> Self {
        let specs = metadata.partition_specs_iter();
        Self {
            specs: specs
                .map(|spec| (spec.spec_id(), SpecShape::of(spec)))
                .collect(),
            keys: HashSet::new(),
            spec_ids: HashSet::new(),
            partitions: Vec::new(),
            holds_all: false,
        }
    }

    /// Every partition of every spec.
    pub(crate) fn set_all(&mut self) {
        self.holds_all = true;
    }

    /// Adds the partition of a tuple in the order of its spec.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] when the table does not tell what the tuple means.
    pub(crate) fn insert(
        &mut self,
        metadata: &TableMetadata,
        spec_id: i32,
        tuple: &Struct,
    ) -> Result<()> {
        let layout = spec_layout(metadata, spec_id);
        let key = layout.as_ref().and_then(|layout| {
            PartitionKey::new(spec_id, self.specs.get(&spec_id)?, layout, tuple)
        });
        let (Some(layout), Some(key)) = (layout, key) else {
            return Err(Error::unsupported(format!(
                "the partitions of spec {spec_id} cannot be told apart"
            )));
        };
        if self.keys.insert(key) {
            self.spec_ids.insert(spec_id);
            self.partitions
                .push(Partition::new(metadata, layout, tuple.clone()));
        }
        Ok(())
    }

    /// Whether the file is of the spec of one of the partitions, and in it; `None` when its manifest
    /// does not tell its partition.
    pub(crate) fn contains(&self, file: &PlacedFile) -> Option<bool> {
        if self.holds_all {
            return Some(true);
        }
        if !self.spec_ids.contains(&file.spec_id) {
            return Some(false);
        }
        let shape = self.specs.get(&file.spec_id)?;
        let tuple = file.file().partition();
        let key = PartitionKey::new(file.spec_id, shape, &file.layout, tuple)?;
        Some(self.keys.contains(&key))
    }

    /// How many rows of a data file are in the partitions. Files of the partitions' own spec go by
    /// their partition alone, others by what it and their bounds promise.
    pub(crate) fn matched(&self, file: &PlacedFile) -> Matched {
        match self.contains(file) {
            Some(true) => return Matched::All,
            None => return Matched::Unknown,
            Some(false) => {}
        }
        let of_others = self.partitions.iter();
        let of_others = of_others.filter(|partition| partition.layout.spec_id != file.spec_id);
        let mut matched = Matched::None;
        for partition in of_others {
            match partition.matched(file) {
                Matched::All => return Matched::All,
                Matched::Unknown => matched = Matched::Unknown,
                Matched::None => {}
            }
        }
        matched
    }

    /// Whether a manifest may list a file with rows in one of the partitions.
    pub(crate) fn may_be_in(&self, manifest: &ManifestFile, metadata: &TableMetadata) -> bool {
        self.holds_all
            || self.partitions.iter().any(|partition| {
                let Partition { layout, tuple, .. } = partition;
                match layout.spec_id == manifest.partition_spec_id {
                    true => manifest_may_hold(manifest, layout, tuple),
                    false => manifest_may_match(&partition.rows, manifest, metadata),
                }
            })
    }
}

impl Partition {
    fn new(metadata: &TableMetadata, layout: PartitionLayout, tuple: Struct) -> Self {
        let columns = layout.columns.iter().zip(tuple.fields());
        let rows = |(column, value): (&PartitionColumn, &Option<_>)| {
            let source = column_type(metadata, column.source_id)?;
            rows_of(column, &source, value.as_ref())
        };
        let fields: Vec<Option<Predicate>> = columns.map(rows).collect();
        let rows = Predicate::And(fields.iter().flatten().cloned().collect());
        Self {
            layout,
            tuple,
            fields,
            rows,
        }
    }

    /// How many rows of a data file of another spec are in the partition.
    fn matched(&self, file: &PlacedFile) -> Matched {
        let columns = || self.layout.columns.iter().zip(self.tuple.fields());
        let differs = columns().any(|(column, value)| {
            shared_value(column, file)
                .is_some_and(|other| !is_same_value(value.as_ref(), other.as_ref()))
        });
        if differs || file.file().record_count() == 0 {
            return Matched::None;
        }
        let mut matched = Matched::All;
        for ((column, _), rows) in columns().zip(&self.fields) {
            if column.transform == Transform::Void || shared_value(column, file).is_some() {
                continue;
            }
            let rows = rows.as_ref().map(|rows| matched_rows(rows, file));
            match rows.unwrap_or(Matched::Unknown) {
                Matched::None => return Matched::None,
                Matched::Unknown => matched = Matched::Unknown,
                Matched::All => {}
            }
        }
        matched
    }
}

/// The file's value of the same transform of the same column, where its spec has that.
fn shared_value<'a>(column: &PartitionColumn, file: &'a PlacedFile) -> Option<&'a Option<Literal>> {
    if matches!(column.transform, Transform::Void | Transform::Unknown) {
        return None;
    }
    let place = file.layout.columns.iter().position(|other| {
        other.source_id == column.source_id && other.transform == column.transform
    })?;
    file.file().partition().fields().get(place)
}
