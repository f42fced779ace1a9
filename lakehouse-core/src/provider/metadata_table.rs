//! Metadata tables as the engine reads them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::TryStreamExt;
use iceberg::spec::Schema;

use super::deletes::DeleteListing;
use super::predicate;
use crate::error::{Error, Result};
use crate::scan::{ManifestCache, MetadataRead, MetadataTable, PositionReader, Predicate};
use crate::table::Table;

/// One metadata table of one table; its rows are read when a query runs.
#[derive(Debug)]
pub(super) struct MetadataTableProvider {
    table: Table,
    kind: MetadataTable,
    manifests: ManifestCache,
    schema: SchemaRef,
    filter_schema: Schema,
}

impl MetadataTableProvider {
    pub(super) fn try_new(
        table: Table,
        kind: MetadataTable,
        manifests: ManifestCache,
    ) -> Result<Self> {
        let schema = kind.schema(&table)?;
        let filter_schema = kind.filter_schema(&table)?;
        Ok(Self {
            table,
            kind,
            manifests,
            schema,
            filter_schema,
        })
    }
}

#[async_trait]
impl TableProvider for MetadataTableProvider {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let pushdown = |filter: &&Expr| match predicate::convert_nested(
            std::slice::from_ref(*filter),
            &self.filter_schema,
        ) {
            Predicate::AlwaysTrue => TableProviderFilterPushDown::Unsupported,
            // Manifests and entries are skipped; the engine still filters.
            _ => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(pushdown).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let read = MetadataRead {
            projection: projection.cloned(),
            predicate: predicate::convert_nested(filters, &self.filter_schema),
            // Filters drop rows, so a limit says nothing about how many are read.
            rows_max: limit.filter(|_| filters.is_empty()),
        };
        Ok(Arc::new(MetadataTableExec {
            table: self.table.clone(),
            kind: self.kind,
            manifests: self.manifests.clone(),
            read,
            properties: properties(schema),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// Reads a metadata table.
#[derive(Debug)]
struct MetadataTableExec {
    table: Table,
    kind: MetadataTable,
    manifests: ManifestCache,
    read: MetadataRead,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MetadataTableExec {
    fn arrow_schema(&self) -> &Arc<ArrowSchema> {
        self.properties.eq_properties.schema()
    }
}

impl DisplayAs for MetadataTableExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, kind) = (self.table.ident(), self.kind.name());
        write!(f, "MetadataTableExec: table={table}, kind={kind}")?;
        if let Some(version) = self.table.version() {
            write!(f, ", version={version}")?;
        }
        let names: Vec<_> = self.arrow_schema().fields().iter().collect();
        let names: Vec<&str> = names.iter().map(|field| field.name().as_str()).collect();
        write!(f, ", projection=[{}]", names.join(", "))?;
        if self.read.predicate != Predicate::AlwaysTrue {
            f.write_str(", skips by filter")?;
        }
        match self.read.rows_max {
            Some(rows) => write!(f, ", limit={rows}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for MetadataTableExec {
    fn name(&self) -> &'static str {
        "MetadataTableExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(Error::internal("a metadata table has one partition").into());
        }
        let reader: Arc<dyn PositionReader> = Arc::new(DeleteListing {
            storage: self.table.storage().clone(),
            pool: Arc::clone(task.memory_pool()),
            metrics: self.metrics.clone(),
        });
        let (manifests, read) = (&self.manifests, self.read.clone());
        let batches = self
            .kind
            .scan(&self.table, manifests, read, &reader)?
            .map_err(DataFusionError::from);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(self.arrow_schema()),
            batches,
        )))
    }
}
