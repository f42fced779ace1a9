//! A lake below a temporary folder with one table, and changes of its rows from queries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, NestedField, NestedFieldRef, PrimitiveType, Schema, SnapshotReference,
    SnapshotRetention, Type, UnboundPartitionSpec,
};
use lakehouse_core::catalog::{Catalog, CatalogParts, CommitOutcome, MemoryCatalog};
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::commit::{Commits, FileChange, Isolation, NewTable, RowStatement};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::AdmitAll;
use lakehouse_core::lake::{FoundTable, Lake, LakeParts};
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::provider::{LakeTable, RowChange, RowChangeNode, RowChangePlanner, WriteTerms};
use lakehouse_core::runtime::Runtime;
use lakehouse_core::scan::{MetadataColumn, Predicate, ScanContext, ScanPlan, plan};
use lakehouse_core::settings::{Durability, Settings};
use lakehouse_core::storage::Storage;
use lakehouse_core::table::Table;
use lakehouse_core::write::{TableWriter, WriteOptions};
use lakehouse_testkit::RowDelta;
use tempfile::TempDir;

/// What a change answers: rows inserted, updated, deleted.
pub(super) type Counts = (u64, u64, u64);

pub(super) struct Fixture {
    pub(super) folder: TempDir,
    pub(super) lake: Lake,
    pub(super) catalog: Arc<dyn Catalog>,
    ident: TableIdent,
}

/// A statement whose rows a query finds.
#[derive(Clone)]
pub(super) struct Statement<'a> {
    pub(super) kind: RowStatement,
    /// Columns that updated rows get new values of.
    pub(super) update: &'a [&'a str],
    pub(super) insert: bool,
    pub(super) rows: &'a str,
}

#[derive(Debug)]
struct WithRowChanges;

#[async_trait]
impl QueryPlanner for WithRowChanges {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(RowChangePlanner)]);
        planner.create_physical_plan(plan, state).await
    }
}

pub(super) fn optional(id: i32, name: &str, kind: PrimitiveType) -> NestedFieldRef {
    NestedField::optional(id, name, Type::Primitive(kind)).into()
}

pub(super) fn schema(fields: Vec<NestedFieldRef>) -> Schema {
    Schema::builder().with_fields(fields).build().unwrap()
}

pub(super) fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields = columns.iter().enumerate().map(|(position, column)| {
        Field::new(format!("c{position}"), column.data_type().clone(), true)
    });
    let schema = ArrowSchema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// `action` as a query writes it.
pub(super) fn action(action: lakehouse_core::provider::RowAction) -> String {
    format!("arrow_cast({}, 'UInt8')", action.code())
}

impl Fixture {
    pub(super) async fn new(schema: Schema, version: FormatVersion) -> Self {
        Self::partitioned(schema, UnboundPartitionSpec::builder().build(), version).await
    }

    pub(super) async fn partitioned(
        schema: Schema,
        spec: UnboundPartitionSpec,
        version: FormatVersion,
    ) -> Self {
        Self::within(schema, spec, version, Settings::default()).await
    }

    /// With other budgets.
    pub(super) async fn within(
        schema: Schema,
        spec: UnboundPartitionSpec,
        version: FormatVersion,
        settings: Settings,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let storage = Storage::new(clock.as_ref(), Durability::None).unwrap();
        let parts = CatalogParts::new(storage.clone(), Arc::clone(&clock));
        let location = folder.path().display().to_string();
        let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new("c", location, parts));
        let lake = Lake::new(LakeParts {
            runtime: Runtime::new(&settings, &storage).unwrap(),
            scans: ScanContext::new(&settings),
            commits: Commits::new(Arc::clone(&clock)),
            policies: Arc::new(AdmitAll),
            settings,
            clock,
            storage,
            catalogs: BTreeMap::from([("c".to_owned(), Arc::clone(&catalog))]),
            default_catalog: "c".to_owned(),
        })
        .unwrap();
        let namespace = NamespaceIdent::new("s".to_owned());
        catalog
            .create_namespace(&namespace, HashMap::new())
            .await
            .unwrap();
        let ident = TableIdent::new(namespace, "t".to_owned());
        let new = NewTable {
            partition_spec: Some(spec),
            format_version: version,
            ..NewTable::new(schema)
        };
        let staged = lake.commits().stage(&catalog, &ident, new).await.unwrap();
        lake.commits()
            .create(&catalog, &staged, None)
            .await
            .unwrap();
        Self {
            folder,
            lake,
            catalog,
            ident,
        }
    }

    pub(super) async fn table(&self) -> Table {
        let pointer = self.catalog.load_table(&self.ident).await.unwrap();
        Table::new(pointer, self.catalog.storage().clone())
    }

    /// Changes the metadata as it is asked to.
    pub(super) async fn edit(&self, updates: Vec<TableUpdate>) {
        let base = self.catalog.load_table(&self.ident).await.unwrap();
        let outcome = self.catalog.commit(&base, Vec::new(), updates).await;
        assert!(matches!(outcome.unwrap(), CommitOutcome::Committed(_)));
    }

    pub(super) async fn set_property(&self, key: &str, value: &str) {
        let updates = HashMap::from([(key.to_owned(), value.to_owned())]);
        self.edit(vec![TableUpdate::SetProperties { updates }])
            .await;
    }

    /// Makes `schema` the current one.
    pub(super) async fn evolve(&self, schema: Schema) {
        self.edit(vec![
            TableUpdate::AddSchema { schema },
            TableUpdate::SetCurrentSchema { schema_id: -1 },
        ])
        .await;
    }

    /// Makes `spec` the one of new files.
    pub(super) async fn repartition(&self, spec: UnboundPartitionSpec) {
        self.edit(vec![
            TableUpdate::AddSpec { spec },
            TableUpdate::SetDefaultSpec { spec_id: -1 },
        ])
        .await;
    }

    /// Makes a branch.
    pub(super) async fn branch(&self, name: &str, snapshot_id: i64) {
        let reference = SnapshotReference {
            snapshot_id,
            retention: SnapshotRetention::branch(None, None, None),
        };
        self.edit(vec![TableUpdate::SetSnapshotRef {
            ref_name: name.to_owned(),
            reference,
        }])
        .await;
    }

    /// Adds rows as one commit of one file for each partition.
    pub(super) async fn append(&self, rows: RecordBatch) {
        let table = self.table().await;
        let memory = self.lake.runtime().reserve("a test");
        let options = WriteOptions::new(memory, self.lake.clock().new_uuid());
        let mut writer = TableWriter::try_new(&table, options).unwrap();
        writer.write(rows).await.unwrap();
        let change = FileChange::append(&table, writer.close().await.unwrap());
        let commits = self.lake.commits();
        commits
            .commit(&self.catalog, &self.ident, change)
            .await
            .unwrap();
    }

    /// The folder that files written by hand go to.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(super) fn delta(&self) -> RowDelta {
        RowDelta::new(self.folder.path().display().to_string())
    }

    /// Commits what was put together by hand.
    pub(super) async fn commit_delta(&self, delta: RowDelta) {
        let snapshot = delta.snapshot(self.table().await.metadata()).await.unwrap();
        let reference = SnapshotReference {
            snapshot_id: snapshot.snapshot_id(),
            retention: SnapshotRetention::branch(None, None, None),
        };
        self.edit(vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: "main".to_owned(),
                reference,
            },
        ])
        .await;
    }

    /// The files that a reader sees, with their deletes.
    pub(super) async fn plan(&self) -> ScanPlan {
        let table = self.table().await;
        let manifests = self.lake.scans().manifests();
        plan(&table, &Predicate::AlwaysTrue, manifests)
            .await
            .unwrap()
    }

    /// How many data files, deletion vectors and position delete files a reader sees.
    pub(super) async fn files(&self) -> (usize, usize, usize) {
        let plan = self.plan().await;
        let deletes = plan.delete_files();
        let vectors = deletes
            .iter()
            .filter(|file| file.kind() == lakehouse_core::scan::DeleteKind::Vector);
        let positions = deletes
            .iter()
            .filter(|file| file.kind() == lakehouse_core::scan::DeleteKind::Positions);
        (plan.files.len(), vectors.count(), positions.count())
    }

    /// All files below the table's data folder.
    pub(super) async fn stored_files(&self) -> BTreeSet<String> {
        let folder = lakehouse_core::storage::join(self.table().await.location(), "data");
        let folder = folder.strip_prefix("file://").unwrap_or(&folder).to_owned();
        let mut found = BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        found.insert(entry.path().display().to_string());
                    }
                }
            }
        }
        found
    }

    /// A context in which the table is `t`, with its metadata columns.
    pub(super) async fn context(&self, partitions: usize) -> SessionContext {
        self.context_of(&self.table().await, partitions).await
    }

    /// As [`Self::context`], of the table as it is given.
    pub(super) async fn context_of(&self, table: &Table, partitions: usize) -> SessionContext {
        let table = LakeTable::new(table.clone(), self.lake.scans().clone()).unwrap();
        let table = table.with_metadata_columns(&MetadataColumn::ALL).unwrap();
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(SessionConfig::new().with_target_partitions(partitions))
            .with_runtime_env(Arc::clone(self.lake.runtime().env()))
            .with_query_planner(Arc::new(WithRowChanges))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_table("t", Arc::new(table)).unwrap();
        context
    }

    /// The rows of a query as text, sorted, one line a row; `|` between columns, NULL as `-`.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let context = self.context(2).await;
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let mut rows = Vec::new();
        let options = FormatOptions::default().with_null("-");
        for batch in &batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let values: Vec<String> =
                    columns.iter().map(|c| c.value(row).to_string()).collect();
                rows.push(values.join("|"));
            }
        }
        rows.sort();
        rows
    }

    /// What is changed, of the table as it is now.
    pub(super) async fn row_change(&self, statement: &Statement<'_>) -> RowChange {
        let table = self.table().await;
        let fields = table.schema().as_struct().fields();
        let mut update_columns: Vec<usize> = statement
            .update
            .iter()
            .map(|name| fields.iter().position(|f| f.name == *name).unwrap())
            .collect();
        update_columns.sort_unstable();
        RowChange {
            lake: self.lake.clone(),
            statement: statement.kind,
            update_columns,
            insert: statement.insert,
            repeats: false,
            delete_filter: None,
            read_filter: None,
            removed: Vec::new(),
            conflict_filter: Predicate::AlwaysTrue,
            terms: WriteTerms {
                isolation: Some(Isolation::Serializable),
                ..WriteTerms::default()
            },
            target: FoundTable {
                catalog_name: "c".to_owned(),
                catalog: Arc::clone(&self.catalog),
                table,
                selector: None,
            },
        }
    }

    /// The plan of a statement and a context that runs it.
    pub(super) async fn planned(&self, statement: &Statement<'_>) -> (SessionContext, LogicalPlan) {
        let context = self.context(3).await;
        let input = context.sql(statement.rows).await.unwrap();
        let change = self.row_change(statement).await;
        let node = RowChangeNode::try_new(change, input.into_unoptimized_plan()).unwrap();
        (context, node.into_plan())
    }

    /// Runs a statement.
    pub(super) async fn run(&self, statement: &Statement<'_>) -> Result<Counts> {
        let (context, plan) = self.planned(statement).await;
        let frame = context.execute_logical_plan(plan).await?;
        let batches = frame.collect().await.map_err(Error::from)?;
        let [batch] = batches.as_slice() else {
            panic!("a change gives one row");
        };
        let count = |column: usize| batch.column(column).as_primitive::<UInt64Type>().value(0);
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(count(0), count(1) + count(2) + count(3));
        Ok((count(1), count(2), count(3)))
    }
}
