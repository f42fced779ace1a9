//! The equality deletes of a plan, gathered into sets of keys that serve many data files.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::Struct;

use super::delete_file::DeleteFile;
use super::plan::ScanPlan;

/// Equality delete files of one partition, or of the whole table, that compare the same columns.
///
/// Those of a set that are newer than a data file apply to it if one of them does.
#[derive(Debug, Clone)]
pub(crate) struct EqualitySet {
    /// The ids of the compared columns, ascending.
    pub(crate) equality_ids: Vec<i32>,
    /// The delete files.
    pub(crate) files: Vec<Arc<DeleteFile>>,
}

impl EqualitySet {
    /// How many keys the files hold, each counted as often as it is deleted.
    pub(crate) fn key_count(&self) -> u64 {
        let counts = self
            .files
            .iter()
            .map(|file| file.data_file().record_count());
        counts.fold(0, u64::saturating_add)
    }
}

/// The sets of a plan.
#[derive(Debug, Default)]
pub(crate) struct EqualitySets {
    /// The sets, in the order of the files that need them.
    pub(crate) sets: Vec<EqualitySet>,
    /// For each file of the plan the sets that apply to it, by position in `sets`.
    pub(crate) of_files: Vec<Vec<usize>>,
}

/// What the delete files of one set have in common: the spec and the partition's values by field
/// id, because manifests may differ in their order, and the columns.
type Scope = (i32, Vec<i32>, Struct, Vec<i32>);

impl EqualitySets {
    /// Gathers the equality deletes of a plan's files.
    pub(crate) fn of(plan: &ScanPlan) -> Self {
        let mut found = Self::default();
        let mut by_scope: HashMap<Scope, usize> = HashMap::new();
        // Data files share their delete files, so each is placed once.
        let mut placed: HashMap<*const DeleteFile, usize> = HashMap::new();
        for file in &plan.files {
            let mut of_file = Vec::new();
            for delete in &file.deletes.equality {
                let set = *placed.entry(Arc::as_ptr(delete)).or_insert_with(|| {
                    let scope = scope(delete);
                    let equality_ids = scope.3.clone();
                    let set = *by_scope.entry(scope).or_insert_with(|| {
                        found.sets.push(EqualitySet {
                            equality_ids,
                            files: Vec::new(),
                        });
                        found.sets.len() - 1
                    });
                    found.sets[set].files.push(Arc::clone(delete));
                    set
                });
                of_file.push(set);
            }
            of_file.sort_unstable();
            of_file.dedup();
            found.of_files.push(of_file);
        }
        found
    }
}

fn scope(delete: &DeleteFile) -> Scope {
    let file = delete.data_file();
    let mut ids = file.equality_ids().unwrap_or_default();
    ids.sort_unstable();
    ids.dedup();
    let order = delete.partition_field_ids().collect();
    (delete.spec_id, order, file.partition().clone(), ids)
}
