//! A table at one snapshot as the engine plans with it.

use std::any::Any;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use iceberg::spec::{NameMapping, Type};
use tracing::Instrument;

use super::account::ScanAccount;
use super::deletes::ScanDeletes;
use super::equality_delete::{KeyJoin, Prepared, ScanInputs, joined_columns, without_deleted};
use super::field_mapping::{TableColumns, default_value};
use super::file::LakeFile;
use super::file_groups::{FileGroups, file_groups};
use super::insert::InsertExec;
use super::insert_into::{AddedColumns, InsertInto};
use super::metadata_column::MetadataColumns;
use super::metadata_table::MetadataTableProvider;
use super::predicate;
use super::source::{LakeSource, ScanShape};
use super::streamed_scan::{StreamedFiles, StreamedPlanning, StreamedScan};
use super::values;
use super::write_terms::written_branch;
use crate::catalog::foreign_type::refuse_write;
use crate::commit::{EvolveSchema, SchemaOperation};
use crate::error::{Error, Result};
use crate::lake::{FoundTable, Lake};
use crate::scan::{
    BoundSummary, ColumnCount, MANIFEST_READS_MAX, MetadataColumn, MetadataTable, PartitionUnion,
    Planning, Predicate, ScanContext, ScanPlan,
};
use crate::table::{self, Table, Version};

/// The table property that gives field ids to files without any.
const NAME_MAPPING_PROPERTY: &str = "schema.name-mapping.default";

/// A table at one snapshot, for the engine.
///
/// Reads only what the [`Table`] it was made of sees, however the table changes meanwhile.
#[derive(Debug, Clone)]
pub struct LakeTable {
    table: Table,
    context: ScanContext,
    schema: SchemaRef,
    name_mapping: Option<NameMapping>,
    /// What columns hold that an insert does not name, by name; the others are NULL.
    write_defaults: Arc<HashMap<String, Expr>>,
    metadata: MetadataColumns,
    key_bytes_max: Option<u64>,
    /// Locations of files that are not read.
    left_out: Arc<HashSet<String>>,
    target: Option<Arc<InsertTarget>>,
}

/// Lets scans that are planned under it say nothing of NULLs in their statistics.
///
/// An extension of the engine's session configuration, as [`StreamedPlanning`] is, for plans whose
/// estimates go through several joins or limits: the engine takes the NULLs of all rows of a scan
/// for those of the rows that a join or limit gives, which may be fewer.
#[derive(Debug, Clone, Copy, Default)]
pub struct UncountedNulls;

/// Where inserted rows go.
#[derive(Debug)]
struct InsertTarget {
    lake: Lake,
    found: FoundTable,
    into: InsertInto,
}

impl LakeTable {
    /// Gives `table` to the engine.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for a type that is not read,
    /// [`crate::error::ErrorKind::Corrupt`] for a name mapping that is no such.
    pub fn new(table: Table, context: ScanContext) -> Result<Self> {
        let schema = Arc::new(table::read_schema(table.schema())?);
        let name_mapping = match table.properties().get(NAME_MAPPING_PROPERTY) {
            Some(json) => Some(serde_json::from_str(json).map_err(|error| {
                Error::corrupt(format!(
                    "table property {NAME_MAPPING_PROPERTY:?} is no name mapping"
                ))
                .with_context("table", table.ident())
                .with_source(error)
            })?),
            None => None,
        };
        let metadata = MetadataColumns::none(table.metadata());
        let write_defaults = Arc::new(write_defaults(&table, &schema)?);
        Ok(Self {
            table,
            context,
            schema,
            name_mapping,
            write_defaults,
            metadata,
            key_bytes_max: None,
            left_out: Arc::default(),
            target: None,
        })
    }

    /// Lets rows be inserted into the table that was found in `lake`.
    #[must_use]
    pub fn with_insert(mut self, lake: Lake, found: FoundTable) -> Self {
        let into = InsertInto::default();
        self.target = Some(Arc::new(InsertTarget { lake, found, into }));
        self
    }

    /// Says how inserted rows take their place; for a table that rows may be inserted into.
    #[must_use]
    pub fn with_insert_into(mut self, into: InsertInto) -> Self {
        self.target = self.target.map(|target| {
            Arc::new(InsertTarget {
                lake: target.lake.clone(),
                found: target.found.clone(),
                into,
            })
        });
        self
    }

    /// Lets inserted rows bring changes of the columns, which are committed with them: the table is
    /// seen as it is then. For a table that rows may be inserted into.
    ///
    /// # Errors
    /// What the operations are refused for; see [`crate::commit::EvolveSchema::updates`].
    pub fn with_added_columns(self, operations: Vec<SchemaOperation>) -> Result<Self> {
        let Some(target) = &self.target else {
            return Err(Error::internal("columns are added to a table that is read"));
        };
        let evolve = EvolveSchema { operations };
        let after = evolve.applied_to(&self.table)?;
        let mut into = target.into.clone();
        into.columns = Some(AddedColumns {
            before: self.table.clone(),
            operations: evolve.operations,
        });
        let found = FoundTable {
            table: after.clone(),
            ..target.found.clone()
        };
        let evolved = Self::new(after, self.context.clone())?;
        let target = InsertTarget {
            lake: target.lake.clone(),
            found,
            into,
        };
        Ok(Self {
            target: Some(Arc::new(target)),
            ..evolved
        })
    }

    /// How inserted rows take their place, for a table that rows may be inserted into.
    pub fn insert_into_mode(&self) -> Option<&InsertInto> {
        self.target.as_ref().map(|target| &target.into)
    }

    /// Holds at most about `bytes` of deleted keys in memory within one scan; equality deletes
    /// beyond that are applied by a join that spills. A quarter of the session's memory budget when
    /// this is not called.
    #[must_use]
    pub fn with_deleted_key_bytes_max(mut self, bytes: u64) -> Self {
        self.key_bytes_max = Some(bytes);
        self
    }

    /// The same table without the files at these locations.
    #[must_use]
    pub fn without_files(mut self, locations: Arc<HashSet<String>>) -> Self {
        self.left_out = locations;
        self
    }

    /// One of the table's metadata tables, at the version that this provider reads.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for a type that is not read.
    pub fn metadata_table(&self, kind: MetadataTable) -> Result<Arc<dyn TableProvider>> {
        let manifests = self.context.manifests().clone();
        let provider = MetadataTableProvider::try_new(self.table.clone(), kind, manifests)?;
        Ok(Arc::new(provider))
    }

    /// The same table at another version, which can only be read.
    ///
    /// # Errors
    /// As [`Table::at`] and [`Self::new`].
    pub fn at(&self, version: Version) -> Result<Self> {
        let key_bytes_max = self.key_bytes_max;
        let past = Self::new(self.table.at(version)?, self.context.clone())?;
        let past = past.with_metadata_columns(self.metadata.columns())?;
        Ok(Self {
            key_bytes_max,
            ..past
        })
    }

    /// The same table with metadata columns behind its own, which then can only be read.
    ///
    /// The engine takes what a provider's schema holds for a column like others, so `SELECT *`
    /// shows these too. Those that the table's own columns hide, or that it does not have
    /// ([`MetadataColumn::of_table`]), are left out.
    ///
    /// # Errors
    /// When a type of a partition value cannot be expressed in Arrow.
    pub fn with_metadata_columns(mut self, columns: &[MetadataColumn]) -> Result<Self> {
        let union = Arc::new(PartitionUnion::new(self.table.metadata()));
        let known = MetadataColumn::of_table(&self.table);
        let columns = known.into_iter().filter(|known| columns.contains(known));
        self.metadata = MetadataColumns::new(columns.collect(), union);
        let own = self.table.schema().as_struct().fields().len();
        let fields = self.schema.fields().iter().take(own).map(Arc::clone);
        let fields: Fields = fields.chain(self.metadata.fields()?).collect();
        self.schema = Arc::new(ArrowSchema::new(fields));
        self.target = None;
        Ok(self)
    }

    /// The table that is read.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The metadata columns behind the table's own.
    pub(super) fn metadata_columns(&self) -> &[MetadataColumn] {
        self.metadata.columns()
    }

    /// Begins to plan a scan; with the rows that are enough, when that says how many files it takes.
    async fn begin(
        &self,
        filters: &[Expr],
        limit: Option<usize>,
        account: &ScanAccount,
    ) -> Result<(Planning, Option<u64>)> {
        // Filters may drop rows, so a limit says nothing about how many files it takes.
        let limit = limit.filter(|_| filters.is_empty());
        let rows_max = limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX));
        let predicate = predicate::convert(filters, self.table.schema());
        let manifests = account.counted(self.context.manifests());
        let planning = Planning::begin(&self.table, predicate, &manifests).await?;
        Ok((planning, rows_max))
    }

    /// Whether a scan reads its files while it is planned: where that may be, where there is much to
    /// wait for, and where nothing must be known of all files before.
    fn is_streamed(&self, state: &dyn Session, planning: &Planning, rows_max: Option<u64>) -> bool {
        state.config().get_extension::<StreamedPlanning>().is_some()
            && self.metadata.columns().is_empty()
            && self.left_out.is_empty()
            && planning.deletes().names_its_files()
            && planning.unread(rows_max) > MANIFEST_READS_MAX
    }

    fn streamed(
        &self,
        state: &dyn Session,
        planning: Planning,
        projection: &[usize],
        limit: Option<usize>,
        account: Arc<ScanAccount>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pool = &state.runtime_env().memory_pool;
        // Each file brings what deletes its rows.
        let deletes = ScanDeletes::new(&ScanPlan::default(), &self.table, pool);
        let columns = self.columns()?;
        let shape = self.shape(deletes, columns, Arc::clone(&account));
        let mut statistics = Statistics::new_unknown(&self.schema);
        let rows = planning.listed_rows();
        if let Some(rows) = rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Inexact(rows);
        }
        let scans = Scans {
            partitions: state.config().target_partitions(),
            statistics,
            derived: predicate::derived_conditions(filters, self.table.schema(), &self.schema),
        };
        let template = scans.config(Arc::new(shape), Vec::new(), projection, limit)?;
        let files = StreamedFiles {
            planning: Arc::new(planning),
            table: self.table.clone(),
            pool: Arc::clone(pool),
            partitions: scans.partitions,
            account,
        };
        let scan = StreamedScan::new(template, Arc::new(files));
        Ok(DataSourceExec::from_data_source(scan))
    }

    /// What is the same for all files of a scan of data files.
    pub(super) fn shape(
        &self,
        deletes: ScanDeletes,
        columns: TableColumns,
        account: Arc<ScanAccount>,
    ) -> ScanShape {
        let footers = Arc::clone(self.context.footers());
        let storage = self.table.storage().clone();
        let mut shape = ScanShape::new(storage, footers, deletes, columns, account);
        shape.decoded = self.context.columns().map(Arc::clone);
        shape
    }

    /// The columns of a scan.
    pub(super) fn columns(&self) -> Result<TableColumns> {
        Ok(TableColumns {
            iceberg: self.metadata.schema_with(self.table.schema())?,
            read: Arc::clone(&self.schema),
            file_ids: HashMap::new(),
            metadata: self.metadata.clone(),
            name_mapping: self.name_mapping.clone(),
        })
    }

    /// An account of a scan with these filters, of which nothing was planned yet.
    fn account(&self, filters: &[Expr]) -> ScanAccount {
        let may_skip = |filter: &&Expr| {
            let converted = predicate::convert(std::slice::from_ref(*filter), self.table.schema());
            let tells = matches!(filter, Expr::IsNotNull(_)) || !is_about_nulls_alone(&converted);
            self.metadata.is_about_files(filter) || tells && converted != Predicate::AlwaysTrue
        };
        let filters = filters.iter().filter(may_skip);
        ScanAccount::of_table(&self.table, filters.cloned().collect())
    }

    /// Statistics of the plan's files; of columns only those that the query looks at, because each
    /// costs a walk over all files. Bounds and counts are of all rows, deleted ones among them.
    fn statistics(
        &self,
        plan: &ScanPlan,
        columns: &BTreeSet<usize>,
        counts_nulls: bool,
    ) -> Statistics {
        let (live, is_exact) = plan.live_rows();
        // Deleted rows that come back with a flag are counted by nobody.
        let is_flagged = plan.has_deletes() && self.metadata.has_flags(self.behind(columns));
        let is_exact = is_exact && !is_flagged;
        let rows = if is_exact { live } else { plan.row_count() };
        let rows = usize::try_from(rows).ok();
        let mut statistics = Statistics::new_unknown(&self.schema);
        let Some(rows) = rows else {
            return statistics;
        };
        statistics.num_rows = match is_exact {
            true => Precision::Exact(rows),
            false => Precision::Inexact(rows),
        };
        let distinct = self.table.distinct_counts();
        let fields = self.table.schema().as_struct().fields();
        for &position in columns {
            let (Some(field), Some(slot)) = (
                fields.get(position),
                statistics.column_statistics.get_mut(position),
            ) else {
                continue;
            };
            let data_type = self.schema.field(position).data_type();
            if let Type::Primitive(kind) = field.field_type.as_ref() {
                let summary = plan.column_summary(field.id, kind);
                slot.null_count = summary
                    .null_count
                    .filter(|_| counts_nulls)
                    .and_then(|count| usize::try_from(count).ok())
                    // No more than rows, some of which may be deleted: the engine subtracts.
                    .map_or(Precision::Absent, |count| Precision::Exact(count.min(rows)));
                let bounds = (bound(summary.min, data_type), bound(summary.max, data_type));
                if !spans_type(&bounds.0, &bounds.1) {
                    (slot.min_value, slot.max_value) = bounds;
                }
            }
            if let Some(count) = distinct.get(&field.id) {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                slot.distinct_count = Precision::Inexact(count.min(rows));
            }
            *slot = with_size(std::mem::take(slot), plan, field.id, data_type, rows);
            if plan.has_deletes() {
                *slot = std::mem::take(slot).to_inexact();
            }
        }
        statistics.calculate_total_byte_size(&self.schema);
        statistics
    }
}

/// Whether of a condition nothing is left but that values are not NULL.
fn is_about_nulls_alone(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().all(is_about_nulls_alone),
        Predicate::IsNotNull { .. } => true,
        Predicate::StartsWith { prefix, .. } => prefix.is_empty(),
        _ => false,
    }
}

fn bound(
    bound: Option<BoundSummary>,
    data_type: &arrow::datatypes::DataType,
) -> Precision<datafusion::common::ScalarValue> {
    match bound {
        Some(BoundSummary { value, exact }) => match values::scalar(value.literal(), data_type) {
            Some(value) if exact => Precision::Exact(value),
            Some(value) => Precision::Inexact(value),
            None => Precision::Absent,
        },
        None => Precision::Absent,
    }
}

/// Whether bounds reach from the least to the greatest 64-bit number. The engine counts the values
/// between bounds in 64 bits, in which that count has no place.
fn spans_type(
    min: &Precision<datafusion::common::ScalarValue>,
    max: &Precision<datafusion::common::ScalarValue>,
) -> bool {
    use datafusion::common::ScalarValue::Int64;
    matches!(
        (min.get_value(), max.get_value()),
        (Some(Int64(Some(i64::MIN))), Some(Int64(Some(i64::MAX))))
    )
}

/// The size a column takes in memory: its width, or what it takes in the files at least.
fn with_size(
    mut statistics: ColumnStatistics,
    plan: &ScanPlan,
    field_id: i32,
    data_type: &arrow::datatypes::DataType,
    rows: usize,
) -> ColumnStatistics {
    /// What one value takes beside its bytes: a view, or an offset and a NULL bit.
    const VALUE_BYTES: usize = 16;
    let width = data_type.primitive_width();
    statistics.byte_size = match width {
        Some(width) => Precision::Exact(width.saturating_mul(rows)),
        None => {
            let stored: u64 = plan
                .files
                .iter()
                .filter_map(|file| file.data_file().count(ColumnCount::Size, field_id))
                .sum();
            let stored = usize::try_from(stored).unwrap_or(usize::MAX);
            Precision::Inexact(stored.saturating_add(VALUE_BYTES.saturating_mul(rows)))
        }
    };
    statistics
}

/// The defaults of columns that rows are written without.
fn write_defaults(table: &Table, schema: &ArrowSchema) -> Result<HashMap<String, Expr>> {
    let columns = table.schema().as_struct().fields().iter();
    let mut defaults = HashMap::new();
    for (column, field) in columns.zip(schema.fields()) {
        if let Some(default) = &column.write_default {
            let kind = field.data_type();
            let value = default_value(default, &column.field_type, kind, &column.name)?;
            defaults.insert(column.name.clone(), Expr::Literal(value, None));
        }
    }
    Ok(defaults)
}

#[async_trait]
impl TableProvider for LakeTable {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.write_defaults.get(column)
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let schema = self.table.schema();
        Ok(filters
            .iter()
            .map(|filter| {
                if self.metadata.is_about_files(filter) {
                    return TableProviderFilterPushDown::Inexact;
                }
                match predicate::convert(std::slice::from_ref(*filter), schema) {
                    Predicate::AlwaysTrue => TableProviderFilterPushDown::Unsupported,
                    // Files are skipped, rows are not: the engine still filters.
                    _ => TableProviderFilterPushDown::Inexact,
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let looked_at = self.looked_at(projection, filters);
        let mut unread = self.table.unread_columns()?;
        if let Some(error) = looked_at.iter().find_map(|column| unread.remove(column)) {
            return Err(error.into());
        }
        let account = Arc::new(self.account(filters));
        let span = tracing::info_span!(
            "scan",
            table = %self.table.ident(),
            snapshot = self.table.snapshot_id()
        );
        let timer = account.planning.timer();
        let begun = self.begin(filters, limit, &account);
        let (planning, rows_max) = begun.instrument(span.clone()).await?;
        let all = || (0..self.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        if self.is_streamed(state, &planning, rows_max) {
            timer.done();
            return Ok(self.streamed(state, planning, &projection, limit, account, filters)?);
        }
        let mut plan = planning.whole(rows_max).instrument(span).await?;
        plan.counts.files_skipped_metadata =
            self.metadata.prune(&mut plan.files, filters, state)?;
        if !self.left_out.is_empty() {
            let before = plan.files.len();
            plan.files
                .retain(|file| !self.left_out.contains(file.path()));
            plan.counts.files_skipped_metadata += before - plan.files.len();
        }
        timer.done();
        account.add(&plan);
        account.complete();
        let counts_nulls = state.config().get_extension::<UncountedNulls>().is_none();
        let statistics = self.statistics(&plan, &looked_at, counts_nulls);
        let runtime = state.runtime_env();
        let deletes = ScanDeletes::new(&plan, &self.table, &runtime.memory_pool);
        let inputs = ScanInputs {
            table: &self.table,
            columns: self.columns()?,
            footers: self.context.footers(),
            pool: &runtime.memory_pool,
            key_bytes_max: self.key_bytes_max(&looked_at),
        };
        let prepared = Prepared::new(inputs, plan)
            .map_err(|error| error.with_context("table", self.table.ident()))?;
        let mut shape = self.shape(deletes, prepared.columns, account);
        shape.deleted_keys = prepared.deleted_keys;
        let scans = Scans {
            partitions: state.config().target_partitions(),
            statistics,
            derived: predicate::derived_conditions(filters, self.table.schema(), &self.schema),
        };
        let (shape, joined, joins) = (Arc::new(shape), prepared.joined, prepared.joins);
        if joins.is_empty() {
            return Ok(scans.scan(shape, prepared.files, &projection, limit)?);
        }
        let joined = scans.joined(Arc::clone(&shape), joined, &projection, joins)?;
        if prepared.files.is_empty() {
            return Ok(joined);
        }
        let plain = scans.scan(shape, prepared.files, &projection, limit)?;
        UnionExec::try_new(vec![plain, joined])
    }

    async fn insert_into(
        &self,
        _: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        insert_op: InsertOp,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        if insert_op != InsertOp::Append {
            return Err(self.changed_elsewhere("INSERT OVERWRITE"));
        }
        let target = self.target.as_deref().ok_or_else(|| {
            Error::invalid("rows are inserted into a table, not into one of its versions")
                .with_context("table", self.table.ident())
        })?;
        refuse_write(self.table.metadata())?;
        written_branch(&self.table)?;
        let (lake, found) = (target.lake.clone(), target.found.clone());
        let into = target.into.clone();
        Ok(Arc::new(InsertExec::try_new(lake, found, into, input)?))
    }

    // The engine hands over what it recovered of the filters after optimising: a condition that is
    // always false arrives here as no condition at all. Nothing is deleted on such ground.

    async fn delete_from(
        &self,
        _state: &dyn Session,
        _filters: Vec<Expr>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(self.changed_elsewhere("DELETE"))
    }

    async fn update(
        &self,
        _state: &dyn Session,
        _assignments: Vec<(String, Expr)>,
        _filters: Vec<Expr>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(self.changed_elsewhere("UPDATE"))
    }

    async fn truncate(&self, _state: &dyn Session) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(self.changed_elsewhere("TRUNCATE"))
    }
}

/// Makes the engine's scans of prepared files.
struct Scans {
    partitions: usize,
    /// Of the table's columns; a scan may have more of them.
    statistics: Statistics,
    /// What follows for columns from filters on functions of them.
    derived: Option<Arc<dyn PhysicalExpr>>,
}

impl Scans {
    fn scan(
        &self,
        shape: Arc<ScanShape>,
        files: Vec<LakeFile>,
        projection: &[usize],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let config = self.config(shape, files, projection, limit)?;
        Ok(DataSourceExec::from_data_source(config))
    }

    fn config(
        &self,
        shape: Arc<ScanShape>,
        files: Vec<LakeFile>,
        projection: &[usize],
        limit: Option<usize>,
    ) -> Result<FileScanConfig> {
        let FileGroups { groups, is_final } = file_groups(files, self.partitions)?;
        let url = shape.storage.url().clone();
        let mut statistics = self.statistics.clone();
        let width = shape.columns.read.fields().len();
        statistics
            .column_statistics
            .resize_with(width, ColumnStatistics::new_unknown);
        let source = Arc::new(
            LakeSource::new(shape)
                .with_final_groups(is_final)
                .with_derived_conditions(self.derived.as_ref().map(Arc::clone)),
        );
        Ok(FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(projection.to_vec()))?
            .with_limit(limit)
            .build())
    }

    /// A scan of files with equality deletes that are joined.
    fn joined(
        &self,
        shape: Arc<ScanShape>,
        files: Vec<LakeFile>,
        projection: &[usize],
        joins: Vec<KeyJoin>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = joined_columns(projection, &joins);
        let data = self.scan(shape, files, &columns, None)?;
        without_deleted(data, &columns, projection.len(), joins, |shape, files| {
            let all: Vec<usize> = (0..shape.columns.read.fields().len()).collect();
            let deletes = Self {
                partitions: self.partitions,
                statistics: Statistics::new_unknown(&shape.columns.read),
                derived: None,
            };
            deletes.scan(shape, files, &all, None)
        })
    }
}

impl LakeTable {
    fn changed_elsewhere(&self, statement: &str) -> DataFusionError {
        Error::unsupported(format!(
            "{statement} is not run through this context; use Session::sql"
        ))
        .with_context("table", self.table.ident())
        .into()
    }

    /// How many bytes of deleted keys a query holds in memory; rows that come back with a flag are
    /// in no join that leaves them out.
    fn key_bytes_max(&self, looked_at: &BTreeSet<usize>) -> Option<u64> {
        match self.metadata.has_flags(self.behind(looked_at)) {
            true => Some(u64::MAX),
            false => self.key_bytes_max,
        }
    }

    /// The metadata columns among the columns that a query looks at, by position.
    fn behind(&self, columns: &BTreeSet<usize>) -> impl Iterator<Item = usize> {
        let own = self.table.schema().as_struct().fields().len();
        columns
            .iter()
            .filter_map(move |position| position.checked_sub(own))
    }

    /// The columns that a query reads or filters by.
    fn looked_at(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> BTreeSet<usize> {
        let mut columns: BTreeSet<usize> = match projection {
            Some(projection) => projection.iter().copied().collect(),
            None => (0..self.schema.fields().len()).collect(),
        };
        for filter in filters {
            for column in filter.column_refs() {
                columns.extend(self.schema.index_of(&column.name).ok());
            }
        }
        columns
    }
}
