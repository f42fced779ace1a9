//! The lake of one process, over the files and pointers of its run.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt64Type};
use lakehouse::core::catalog::{CatalogParts, PointerCatalog};
use lakehouse::core::clock::Clock;
use lakehouse::core::lake::{Lake, LakeParts};
use lakehouse::core::settings::Durability;
use lakehouse::core::storage::Storage;
use lakehouse::{Error, Lakehouse, Result, Session, Settings};
use lakehouse_testkit::Random;

use crate::clock::SimulatedClock;
use crate::model::{Row, extra};
use crate::pointers::SimulatedPointers;
use crate::process::Process;
use crate::store::SimulatedStore;

/// The catalog's name, and the folder of its tables.
const CATALOG: &str = "lake";
pub(crate) const WAREHOUSE: &str = "/lake";
/// The key under which a snapshot's summary names the statement that made it.
pub(crate) const STATEMENT_KEY: &str = "simulation.statement";

/// The key under which a staged snapshot's summary names its audit.
pub(crate) const AUDIT: &str = "wap.id";

/// Opens the lake as a new process does.
pub(crate) async fn open(process: &Arc<Process>) -> Result<Lakehouse> {
    let world = &process.world;
    let (ahead_ms, parallelism, random) = {
        let mut random = world.random();
        // Clocks differ by less than the format crate puts up with.
        let ahead_ms = i64::try_from(random.next() % 2_000).unwrap_or(0) - 1_000;
        let parallelism = *random.pick(&[1, 1, 2]);
        (ahead_ms, parallelism, Random::of_case(random.next(), 2))
    };
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(
        Arc::clone(&world.time),
        ahead_ms,
        random,
    ));
    let storage = Storage::new(clock.as_ref(), Durability::None)?
        .with_local_store(Arc::new(SimulatedStore::new(Arc::clone(process))));
    let catalog = PointerCatalog::over(
        SimulatedPointers::new(Arc::clone(process)),
        CATALOG,
        WAREHOUSE,
        CatalogParts::new(storage.clone(), Arc::clone(&clock)),
    );
    let settings = Settings {
        durability: Durability::None,
        parallelism: Some(parallelism),
        ..Settings::default()
    };
    Lakehouse::builder()
        .catalog(CATALOG, Arc::new(catalog))
        .storage(storage)
        .clock(clock)
        .settings(settings)
        .build()
        .await
}

/// The same lake, whose snapshots name a statement.
pub(crate) fn labelled(lake: &Lake, statement: i64) -> Result<Lake> {
    let key = (STATEMENT_KEY.to_owned(), statement.to_string());
    Lake::new(LakeParts {
        settings: lake.settings().clone(),
        clock: Arc::clone(lake.clock()),
        storage: lake.storage().clone(),
        runtime: lake.runtime().clone(),
        catalogs: lake.catalogs().clone(),
        default_catalog: lake.default_catalog().to_owned(),
        commits: lake.commits().with_summary([key]),
        scans: lake.scans().clone(),
        policies: Arc::clone(lake.policies()),
    })
}

/// The columns of a query of whole rows, and the rows, sorted.
///
/// # Errors
/// When a row has a value in a column that came later which nobody wrote.
pub(crate) async fn rows(session: &Session, query: &str) -> Result<(Vec<String>, Vec<Row>)> {
    let answer = session.sql(query).await?;
    let schema = answer.schema();
    let columns = schema.fields().iter().map(|field| field.name().clone());
    let columns: Vec<String> = columns.collect();
    let mut rows = Vec::new();
    for batch in answer.collect().await? {
        let of_batch = rows_of(&batch)?;
        for (name, values) in extras_of(&batch)? {
            let is_odd =
                |row: &Row, value: Option<i64>| value.is_some() && value != extra(&name, row.k);
            let mut pairs = of_batch.iter().zip(values);
            if let Some((row, value)) = pairs.find(|(row, value)| is_odd(row, *value)) {
                let what = format!("{row:?} has {value:?} in {name}, which nobody wrote");
                return Err(Error::internal(what));
            }
        }
        rows.extend(of_batch);
    }
    rows.sort_unstable();
    Ok((columns, rows))
}

/// The columns of a batch that came later, with their values.
pub(crate) fn extras_of(batch: &RecordBatch) -> Result<Vec<(String, Vec<Option<i64>>)>> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let extras = columns.filter(|(field, _)| extra(field.name(), 0).is_some());
    let values = extras.map(|(field, column)| {
        let column = column.as_primitive_opt::<Int64Type>();
        let column = column.ok_or_else(|| Error::internal("a column changed its type"))?;
        Ok((field.name().clone(), column.iter().collect()))
    });
    values.collect()
}

/// The rows of a batch whose first columns are `k, p, v, s`.
pub(crate) fn rows_of(batch: &RecordBatch) -> Result<Vec<Row>> {
    let column = |position: usize| {
        let column = batch.column(position).as_primitive_opt::<Int64Type>();
        let column = column.filter(|column| column.null_count() == 0);
        column.ok_or_else(|| Error::internal("a column of the table is not as it was written"))
    };
    let (k, p, v, s) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let rows = (0..batch.num_rows()).map(|row| Row {
        k: k.value(row),
        p: p.value(row),
        v: v.value(row),
        s: s.value(row),
    });
    Ok(rows.collect())
}

/// The one number that a statement answers, if it answers one.
pub(crate) fn number(batches: &[RecordBatch]) -> Option<u64> {
    let batch = batches.iter().find(|batch| batch.num_rows() == 1)?;
    let column = batch.columns().first()?;
    let unsigned = column.as_primitive_opt::<UInt64Type>();
    let signed = column.as_primitive_opt::<Int64Type>();
    match (unsigned, signed) {
        (Some(column), _) => Some(column.value(0)),
        (_, Some(column)) => u64::try_from(column.value(0)).ok(),
        _ => None,
    }
}
