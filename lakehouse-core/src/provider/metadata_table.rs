//! Metadata tables as the engine reads them.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::Result;
use crate::scan::{ManifestCache, MetadataTable};
use crate::table::Table;

/// One metadata table of one table; its rows are read when a query runs.
#[derive(Debug)]
pub(super) struct MetadataTableProvider {
    table: Table,
    kind: MetadataTable,
    manifests: ManifestCache,
    schema: SchemaRef,
}

impl MetadataTableProvider {
    pub(super) fn try_new(
        table: Table,
        kind: MetadataTable,
        manifests: ManifestCache,
    ) -> Result<Self> {
        let schema = kind.schema(&table)?;
        Ok(Self {
            table,
            kind,
            manifests,
            schema,
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

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let batches = self.kind.batches(&self.table, &self.manifests).await?;
        let schema = Arc::clone(&self.schema);
        let source = MemorySourceConfig::try_new_exec(&[batches], schema, projection.cloned())?;
        Ok(source)
    }
}
