//! A service that has its own `SessionContext`, functions and tables, and adds a lake to it.
//!
//! ```text
//! cargo run --example embed
//! ```

use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::pretty::pretty_format_batches;
use lakehouse::Lakehouse;
use lakehouse::datafusion::error::DataFusionError;
use lakehouse::datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use lakehouse::datafusion::prelude::{SessionConfig, SessionContext};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let lake = Lakehouse::builder()
        .location(folder.path().join("lake").to_string_lossy())
        .create(true)
        .build()
        .await?;
    let first_month = fill(&lake).await?;

    let service = service_context()?;
    // One call: catalogs, object stores, versions of tables and the rules that guard them.
    lake.register(&service).await?;

    println!("Tables of the lake, a table and a function of the service, in one query:\n");
    let joined = ask(
        &service,
        "SELECT invoices.customer, with_tax(invoices.amount * rates.to_eur) AS eur\n\
         FROM lake.default.invoices AS invoices\n\
         JOIN rates ON rates.currency = invoices.currency\n\
         ORDER BY invoices.customer, eur",
    )
    .await?;
    assert_eq!(joined.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);

    println!("The dialect of this context has a version clause, and the lake answers it:\n");
    let total = "SELECT sum(amount) AS total FROM lake.default.invoices";
    let then = ask(&service, &format!("{total} VERSION AS OF {first_month}")).await?;
    let now = ask(&service, total).await?;
    assert_eq!((sum(&then), sum(&now)), (30.0, 70.0));

    println!("DataFrames see the same tables:\n");
    let rows = service
        .table("lake.default.invoices")
        .await?
        .count()
        .await?;
    assert_eq!(rows, 3);
    println!("{rows} invoices\n");

    println!("What only a session of the lake can do is refused, and nothing is changed:\n");
    for refused in [
        "DELETE FROM lake.default.invoices",
        "UPDATE lake.default.invoices SET amount = 0",
        "SELECT * FROM lake.default.invoices VERSION AS OF 1",
        "SELECT * FROM rates VERSION AS OF 1",
    ] {
        let error = fails(&service, refused)
            .await
            .ok_or("this must be refused")?;
        println!("  {refused}\n  -> {error}\n");
    }
    assert_eq!(sum(&ask(&service, total).await?), 70.0);
    Ok(())
}

/// Two months of invoices in two commits; gives the snapshot of the first.
async fn fill(lake: &Lakehouse) -> Outcome<i64> {
    let session = lake.session()?;
    for sql in [
        "CREATE TABLE invoices (customer VARCHAR, currency VARCHAR, amount DOUBLE)",
        "INSERT INTO invoices VALUES ('Ada', 'EUR', 10), ('Bo', 'NOK', 20)",
    ] {
        session.sql(sql).await?.collect().await?;
    }
    let snapshot = lake.table("default.invoices").await?.snapshot_id();
    session
        .sql("INSERT INTO invoices VALUES ('Ada', 'NOK', 40)")
        .await?
        .collect()
        .await?;
    Ok(snapshot.ok_or("rows were inserted")?)
}

/// What the service had before it knew of lakes.
fn service_context() -> Outcome<SessionContext> {
    let config = SessionConfig::new().set_str("datafusion.sql_parser.dialect", "databricks");
    let context = SessionContext::new_with_config(config);
    let currencies: ArrayRef = Arc::new(StringArray::from(vec!["EUR", "NOK"]));
    let rates: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 0.1]));
    let rates = RecordBatch::try_from_iter([("currency", currencies), ("to_eur", rates)])?;
    context.register_batch("rates", rates)?;
    context.register_udf(create_udf(
        "with_tax",
        vec![DataType::Float64],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(with_tax),
    ));
    Ok(context)
}

/// Adds a quarter to each amount.
fn with_tax(arguments: &[ColumnarValue]) -> Result<ColumnarValue, DataFusionError> {
    let amounts = ColumnarValue::values_to_arrays(arguments)?;
    let taxed = amounts[0]
        .as_primitive::<Float64Type>()
        .unary::<_, Float64Type>(|net| net * 1.25);
    Ok(ColumnarValue::Array(Arc::new(taxed)))
}

async fn ask(context: &SessionContext, sql: &str) -> Outcome<Vec<RecordBatch>> {
    println!("{sql};\n");
    let batches = context.sql(sql).await?.collect().await?;
    println!("{}\n", pretty_format_batches(&batches)?);
    Ok(batches)
}

/// The error of a statement that must not succeed.
async fn fails(context: &SessionContext, sql: &str) -> Option<DataFusionError> {
    match context.sql(sql).await {
        Ok(planned) => planned.collect().await.err(),
        Err(error) => Some(error),
    }
}

fn sum(batches: &[RecordBatch]) -> f64 {
    batches
        .iter()
        .map(|batch| batch.column(0).as_primitive::<Float64Type>().value(0))
        .sum()
}
