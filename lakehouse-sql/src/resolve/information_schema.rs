//! `information_schema.columns` as SQL knows it: positions from 1, types by their SQL names.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{SchemaRef, UInt64Type};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::collect;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::provider::LakeTable;
use lakehouse_core::table::type_text;

/// The engine's `columns`, which counts positions from 0 and names Arrow types, corrected. Columns
/// of tables that are no lake's keep their types' names.
pub(super) async fn columns(
    engine: &dyn TableProvider,
    state: &SessionState,
) -> Result<Arc<dyn TableProvider>> {
    let plan = engine.scan(state, None, &[], None).await?;
    let batches = collect(plan, state.task_ctx()).await?;
    let mut tables = Tables {
        state,
        types: HashMap::new(),
    };
    let mut corrected = Vec::with_capacity(batches.len());
    for batch in batches {
        corrected.push(correct(batch, &mut tables).await?);
    }
    Ok(Arc::new(MemTable::try_new(
        engine.schema(),
        vec![corrected],
    )?))
}

async fn correct(batch: RecordBatch, tables: &mut Tables<'_>) -> Result<RecordBatch> {
    let schema = batch.schema();
    let [catalogs, schemas, names, columns, types] = [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "data_type",
    ]
    .map(|name| texts(&batch, name));
    let (catalogs, schemas, names) = (catalogs?, schemas?, names?);
    let (columns, types) = (columns?, types?);
    let mut sql_types = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let table = [catalogs.value(row), schemas.value(row), names.value(row)];
        let of_lake = tables.types_of(table).await?;
        let sql_type = of_lake.get(columns.value(row)).map(String::as_str);
        sql_types.push(sql_type.unwrap_or(types.value(row)).to_owned());
    }
    let (position_index, _) = schema
        .column_with_name("ordinal_position")
        .ok_or_else(odd)?;
    let (type_index, _) = schema.column_with_name("data_type").ok_or_else(odd)?;
    let positions: UInt64Array = batch
        .column(position_index)
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(odd)?
        .unary(|position| position + 1);
    let mut arrays: Vec<ArrayRef> = batch.columns().to_vec();
    arrays[position_index] = Arc::new(positions);
    arrays[type_index] = Arc::new(StringArray::from(sql_types));
    Ok(RecordBatch::try_new(SchemaRef::clone(&schema), arrays)?)
}

fn texts<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a StringArray> {
    batch
        .column_by_name(column)
        .and_then(|array| array.as_string_opt())
        .ok_or_else(odd)
}

fn odd() -> Error {
    Error::internal("the engine's information_schema.columns has another form")
}

/// SQL types of the lake's tables, by column; none for other tables.
struct Tables<'a> {
    state: &'a SessionState,
    types: HashMap<[String; 3], HashMap<String, String>>,
}

impl Tables<'_> {
    async fn types_of(&mut self, table: [&str; 3]) -> Result<&HashMap<String, String>> {
        let key = table.map(str::to_owned);
        if !self.types.contains_key(&key) {
            let types = self.load(table).await?;
            self.types.insert(key.clone(), types);
        }
        self.types.get(&key).ok_or_else(odd)
    }

    async fn load(&self, [catalog, schema, name]: [&str; 3]) -> Result<HashMap<String, String>> {
        let catalog = self.state.catalog_list().catalog(catalog);
        let Some(schema) = catalog.and_then(|catalog| catalog.schema(schema)) else {
            return Ok(HashMap::new());
        };
        // Dropped meanwhile, it has no types; the engine's row of it stays as it is.
        let Some(provider) = schema.table(name).await? else {
            return Ok(HashMap::new());
        };
        let Some(of_lake) = provider.as_any().downcast_ref::<LakeTable>() else {
            return Ok(HashMap::new());
        };
        let fields = of_lake.table().schema().as_struct().fields();
        Ok(fields
            .iter()
            .map(|field| (field.name.clone(), type_text(&field.field_type)))
            .collect())
    }
}
