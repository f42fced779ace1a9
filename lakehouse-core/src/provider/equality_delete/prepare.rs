//! The files of a plan made ready to scan: which equality deletes stay in memory, which are joined.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};
use iceberg::spec::{Literal, NestedField, NestedFieldRef, PrimitiveType, Type};

use super::super::account::ScanAccount;
use super::super::deletes::ScanDeletes;
use super::super::field_mapping::TableColumns;
use super::super::file::LakeFile;
use super::super::source::ScanShape;
use super::DeletedKeys;
use super::key::{DroppedColumn, Key, KeyColumns, with_columns};
use super::key_set::estimated_bytes;
use crate::error::{Error, Result};
use crate::scan::{EqualitySet, EqualitySets, FooterCache, ScanPlan};
use crate::storage::Storage;
use crate::table::Table;

/// The part of a bounded memory pool that keys of equality deletes may take within one scan.
const POOL_SHARE: usize = 4;

/// The column that says how old a row's file is, or how young a delete is.
const SEQUENCE_ID: i32 = i32::MIN;
/// The column that says which set of a join a row or a key belongs to; one for each join.
const SCOPE_ID: i32 = i32::MIN + 1;

/// What a scan gives to its preparation.
pub(in crate::provider) struct ScanInputs<'a> {
    pub(in crate::provider) table: &'a Table,
    /// The columns of the table.
    pub(in crate::provider) columns: TableColumns,
    pub(in crate::provider) footers: &'a Arc<FooterCache>,
    pub(in crate::provider) pool: &'a Arc<dyn MemoryPool>,
    /// How many bytes of keys are held in memory; a share of the pool when unset.
    pub(in crate::provider) key_bytes_max: Option<u64>,
}

/// The files of a plan, and how equality deletes are applied to them.
#[derive(Debug)]
pub(in crate::provider) struct Prepared {
    /// The columns to scan: the table's, and behind them those that deletes look at.
    pub(in crate::provider) columns: TableColumns,
    /// Files whose equality deletes, if there are any, are applied as they are decoded.
    pub(in crate::provider) files: Vec<LakeFile>,
    /// Sets of keys that `files` and `joined` refer to.
    pub(in crate::provider) deleted_keys: Vec<DeletedKeys>,
    /// Files with equality deletes that memory does not hold.
    pub(in crate::provider) joined: Vec<LakeFile>,
    /// The joins that apply those.
    pub(in crate::provider) joins: Vec<KeyJoin>,
}

/// Sets of keys of the same columns that are joined with data files in one go. No data file
/// has two sets of one join.
#[derive(Debug)]
pub(in crate::provider) struct KeyJoin {
    pub(super) key: Arc<Key>,
    /// The delete files, each with the set it belongs to.
    pub(in crate::provider) files: Vec<LakeFile>,
    /// How they are read: the key's columns, then the sequence number and the scope.
    pub(in crate::provider) shape: Arc<ScanShape>,
    /// The positions of sequence number and scope among the columns of the data files' scan.
    pub(super) sequence: usize,
    pub(super) scope: usize,
}

impl Prepared {
    /// Decides how the equality deletes of a plan are applied.
    ///
    /// # Errors
    /// As [`KeyColumns::key`], with a delete file that names the columns.
    pub(in crate::provider) fn new(inputs: ScanInputs<'_>, plan: ScanPlan) -> Result<Self> {
        let sets = EqualitySets::of(&plan);
        if sets.sets.is_empty() {
            return Ok(Self {
                columns: inputs.columns,
                files: plan.files.into_iter().map(LakeFile::new).collect(),
                deleted_keys: Vec::new(),
                joined: Vec::new(),
                joins: Vec::new(),
            });
        }
        let schema = Arc::clone(&inputs.columns.iceberg);
        let name_mapping = inputs.columns.name_mapping.clone();
        let mut columns = KeyColumns::new(inputs.table.metadata(), &schema, name_mapping.as_ref());
        let mut known: HashMap<&[i32], Arc<Key>> = HashMap::new();
        let mut keys = Vec::with_capacity(sets.sets.len());
        for set in &sets.sets {
            let key = match known.get(set.equality_ids.as_slice()) {
                Some(key) => Arc::clone(key),
                None => {
                    let path = set.files.first().map_or("", |file| file.path());
                    let key = columns.key(&set.equality_ids);
                    let key = Arc::new(key.map_err(|error| error.with_context("file", path))?);
                    known.insert(&set.equality_ids, Arc::clone(&key));
                    key
                }
            };
            keys.push(key);
        }
        let dropped = columns.dropped;
        Choice::new(&inputs, &sets, keys).apply(&inputs, dropped, &sets, plan)
    }
}

/// Where each set of a plan is applied.
struct Choice {
    keys: Vec<Arc<Key>>,
    /// For each set the join it is part of; `None` when memory holds it.
    joins: Vec<Option<usize>>,
    join_count: usize,
}

impl Choice {
    /// The smallest sets stay in memory, as many as it holds.
    fn new(inputs: &ScanInputs<'_>, sets: &EqualitySets, keys: Vec<Arc<Key>>) -> Self {
        let bytes = |set: usize| estimated_bytes(sets.sets[set].key_count(), keys[set].width_bytes);
        let mut by_size: Vec<usize> = (0..keys.len()).collect();
        by_size.sort_by_key(|set| bytes(*set));
        let mut left = key_bytes_max(inputs);
        let mut large = HashSet::new();
        for set in by_size {
            match left.checked_sub(bytes(set)) {
                Some(rest) => left = rest,
                None => {
                    large.insert(set);
                }
            }
        }
        let mut choice = Self {
            joins: vec![None; keys.len()],
            keys,
            join_count: 0,
        };
        choice.place(&large, sets);
        choice
    }

    /// Gives each large set to a join of its columns in which none of its data files has another.
    fn place(&mut self, large: &HashSet<usize>, sets: &EqualitySets) {
        let mut data_files: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (file, of_file) in sets.of_files.iter().enumerate() {
            for set in of_file.iter().filter(|set| large.contains(set)) {
                data_files.entry(*set).or_default().push(file);
            }
        }
        let mut joins: Vec<(Arc<Key>, HashSet<usize>)> = Vec::new();
        for (set, files) in data_files {
            let key = &self.keys[set];
            let fitting = joins.iter().position(|(of, taken)| {
                Arc::ptr_eq(of, key) && files.iter().all(|file| !taken.contains(file))
            });
            let join = fitting.unwrap_or_else(|| {
                joins.push((Arc::clone(key), HashSet::new()));
                joins.len() - 1
            });
            joins[join].1.extend(files);
            self.joins[set] = Some(join);
        }
        self.join_count = joins.len();
    }

    fn apply(
        self,
        inputs: &ScanInputs<'_>,
        dropped: Vec<DroppedColumn>,
        sets: &EqualitySets,
        plan: ScanPlan,
    ) -> Result<Prepared> {
        let width = inputs.columns.iceberg.as_struct().fields().len();
        let sequence = width + dropped.len();
        let file_ids = dropped
            .iter()
            .flat_map(|column| column.file_ids.iter().copied())
            .collect();
        let mut more: Vec<_> = dropped.into_iter().map(|column| column.field).collect();
        if self.join_count > 0 {
            more.push(sequence_column());
            for join in 0..self.join_count {
                more.push(scope_column(join)?);
            }
        }
        let mut columns = with_columns(&inputs.columns, &more)?;
        columns.file_ids = file_ids;
        // Sets in memory by their place among those.
        let mut places = HashMap::new();
        let mut deleted_keys = Vec::new();
        for (position, set) in sets.sets.iter().enumerate() {
            if self.joins[position].is_none() {
                places.insert(position, deleted_keys.len());
                deleted_keys.push(self.in_memory(inputs, set, position));
            }
        }
        let mut files = Vec::with_capacity(plan.files.len());
        let mut joined = Vec::new();
        for (planned, of_file) in plan.files.into_iter().zip(&sets.of_files) {
            let sequence_number = planned.sequence_number;
            let held = of_file.iter().filter_map(|set| places.get(set).copied());
            let mut file = LakeFile::new(planned).with_key_sets(held.collect());
            if of_file.iter().all(|set| places.contains_key(set)) {
                files.push(file);
                continue;
            }
            file = file.with_constant(SEQUENCE_ID, Some(Literal::long(sequence_number)));
            for join in 0..self.join_count {
                let mut of_file = of_file.iter();
                let set = of_file.find(|set| self.joins[**set] == Some(join));
                let scope = set.map(|set| ordinal(*set)).transpose()?.map(Literal::int);
                file = file.with_constant(scope_id(join)?, scope);
            }
            joined.push(file);
        }
        let joins = (0..self.join_count)
            .map(|join| self.join(inputs, sets, join, sequence))
            .collect::<Result<_>>()?;
        Ok(Prepared {
            columns,
            files,
            deleted_keys,
            joined,
            joins,
        })
    }

    fn in_memory(
        &self,
        inputs: &ScanInputs<'_>,
        set: &EqualitySet,
        position: usize,
    ) -> DeletedKeys {
        let key = Arc::clone(&self.keys[position]);
        // Not the shared cache of footers, in which a load may wait for another query: this one
        // goes on as long as somebody waits for it.
        let footers = Arc::new(FooterCache::new(0));
        let shape = delete_shape(inputs, key.stored.clone(), footers);
        let files = set.files.iter();
        let files = files.map(|file| Arc::new(LakeFile::of_deletes(file)));
        let pool = Arc::clone(inputs.pool);
        DeletedKeys::new(key, shape, files.collect(), pool)
    }

    fn join(
        &self,
        inputs: &ScanInputs<'_>,
        sets: &EqualitySets,
        join: usize,
        sequence: usize,
    ) -> Result<KeyJoin> {
        let mut files = Vec::new();
        let mut key = None;
        for (position, set) in sets.sets.iter().enumerate() {
            if self.joins[position] != Some(join) {
                continue;
            }
            key = Some(&self.keys[position]);
            let scope = ordinal(position)?;
            files.extend(set.files.iter().map(|file| {
                LakeFile::of_deletes(file)
                    .with_constant(SEQUENCE_ID, Some(Literal::long(file.sequence_number)))
                    .with_constant(SCOPE_ID, Some(Literal::int(scope)))
            }));
        }
        let key = key.ok_or_else(|| Error::internal("a join of equality deletes without any"))?;
        let columns = with_columns(&key.stored, &[sequence_column(), scope_column(0)?])?;
        Ok(KeyJoin {
            key: Arc::clone(key),
            files,
            shape: delete_shape(inputs, columns, Arc::clone(inputs.footers)),
            sequence,
            scope: sequence + 1 + join,
        })
    }
}

fn key_bytes_max(inputs: &ScanInputs<'_>) -> u64 {
    if let Some(bytes) = inputs.key_bytes_max {
        return bytes;
    }
    match inputs.pool.memory_limit() {
        MemoryLimit::Finite(bytes) => u64::try_from(bytes / POOL_SHARE).unwrap_or(u64::MAX),
        MemoryLimit::Infinite | MemoryLimit::Unknown => u64::MAX,
    }
}

fn delete_shape(
    inputs: &ScanInputs<'_>,
    columns: TableColumns,
    footers: Arc<FooterCache>,
) -> Arc<ScanShape> {
    let storage: Storage = inputs.table.storage().clone();
    let account = Arc::new(ScanAccount::of_equality_deletes(inputs.table));
    // Nothing deletes rows of delete files.
    let deletes = ScanDeletes::new(&ScanPlan::default(), inputs.table, inputs.pool);
    Arc::new(ScanShape::new(storage, footers, deletes, columns, account))
}

fn ordinal(set: usize) -> Result<i32> {
    i32::try_from(set).map_err(|_| {
        Error::unsupported("a scan has more sets of equality deletes than can be numbered")
    })
}

fn scope_id(join: usize) -> Result<i32> {
    Ok(SCOPE_ID + ordinal(join)?)
}

fn sequence_column() -> NestedFieldRef {
    let name = "(data sequence number)";
    NestedField::optional(SEQUENCE_ID, name, Type::Primitive(PrimitiveType::Long)).into()
}

fn scope_column(join: usize) -> Result<NestedFieldRef> {
    let name = format!("(deletes {join})");
    let kind = Type::Primitive(PrimitiveType::Int);
    Ok(NestedField::optional(scope_id(join)?, name, kind).into())
}
