//! The procedure that names an existing metadata file.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;

use super::{Arguments, CallContext, Parameter, ParameterKind, Procedure};
use crate::error::Result;
use crate::governance::Privilege;
use crate::name::parse_name;

/// `register_table(table, metadata_file)`: a new name for an existing table.
#[derive(Debug)]
pub(super) struct RegisterTableProcedure;

#[async_trait]
impl Procedure for RegisterTableProcedure {
    fn name(&self) -> &'static str {
        "register_table"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("table", ParameterKind::Text),
                Parameter::required("metadata_file", ParameterKind::Text),
            ]
        }
    }

    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch> {
        let name = parse_name(arguments.required_text("table")?)?;
        let lake = context.access.lake();
        let (catalog_name, catalog, ident) = lake
            .new_table_ident(&name, &context.catalog, &context.namespace)
            .await?;
        context
            .access
            .check_ident(Privilege::Create, &catalog_name, &ident)?;
        let pointer = catalog
            .register_table(&ident, arguments.required_text("metadata_file")?)
            .await?;

        let snapshot = pointer.metadata.current_snapshot();
        let total = |key: &str| -> Option<i64> {
            let properties = &snapshot?.summary().additional_properties;
            properties.get(key)?.parse().ok()
        };
        let values = [
            snapshot.map(|snapshot| snapshot.snapshot_id()),
            total("total-records"),
            total("total-data-files"),
        ];
        let fields = [
            "current_snapshot_id",
            "total_records_count",
            "total_data_files_count",
        ]
        .map(|name| Field::new(name, DataType::Int64, true));
        let columns = values.map(|value| Arc::new(Int64Array::from(vec![value])) as ArrayRef);
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields.to_vec())),
            columns.to_vec(),
        )?)
    }
}
