//! A lake in AWS Glue and S3: raw files of a bucket become a table, a table is evolved, travels in
//! time and is rolled back, beside Athena, Spark and whoever else reads the same catalog.
//!
//! ```text
//! cargo run --features aws --example glue -- BUCKET
//! ```
//!
//! Region, account and credentials are those of AWS' own tools; `AWS_ENDPOINT_URL` leads to an
//! emulator. The bucket must exist. The databases `bronze` and `silver` are made where they are
//! missing, the tables in them are made and dropped. Every claim that is printed is also asserted.

#[path = "../shown/statement.rs"]
mod statement;

mod day;

use std::error::Error;
use std::sync::Arc;

use lakehouse::{GlueSettings, Lakehouse, Session};
use statement::{ask, chapter};

use day::Day;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Three events as a producer left them in the bucket, one of them twice.
const RAW: &str = r#"{"event_id": 1, "kind": "card", "customer_id": 7, "amount": "12.50"}
{"event_id": 2, "kind": "cash", "customer_id": 8, "amount": "3.00"}
{"event_id": 2, "kind": "cash", "customer_id": 8, "amount": "3.00"}
"#;

#[tokio::main]
async fn main() -> Outcome {
    let bucket = std::env::args().nth(1);
    let bucket =
        bucket.ok_or("name a bucket: cargo run --features aws --example glue -- BUCKET")?;
    // The books of January, so that what is asked is the same each time; a program leaves it out.
    let day = Arc::new(Day::of_january_2025(13));
    let settings = GlueSettings {
        warehouse: Some(format!("s3://{bucket}/lake/")),
        ..GlueSettings::default()
    };
    let lake = Lakehouse::builder()
        .glue("glue_catalog")
        .glue_with(settings)
        .clock(Arc::clone(&day) as _)
        .build()
        .await?;
    let session = lake.session()?;

    chapter("A batch job: raw files of a bucket become bronze.events");
    let raw = format!("s3://{bucket}/raw/{}/events.json", day.unique());
    let storage = lake.catalog("glue_catalog")?.storage();
    storage.write_new(&raw, RAW.into()).await?;
    batch_job(&session, &raw).await?;

    chapter("silver.transactions, written on the 13th");
    make_transactions(&session).await?;
    chapter("The 14th: a column more, a better name, a load that was wrong");
    day.set(14);
    evolve(&session).await?;
    chapter("What was known before, and back to it");
    travel(&session).await?;

    for table in ["bronze.events", "silver.transactions"] {
        session
            .sql(&format!("DROP TABLE glue_catalog.{table}"))
            .await?;
    }
    Ok(())
}

async fn batch_job(session: &Session, raw: &str) -> Outcome {
    ask(
        session,
        "CREATE NAMESPACE IF NOT EXISTS glue_catalog.bronze",
    )
    .await?;
    session
        .sql("DROP TABLE IF EXISTS glue_catalog.bronze.events")
        .await?;
    ask(
        session,
        "CREATE TABLE glue_catalog.bronze.events (
  event_id BIGINT, kind STRING, customer_id BIGINT, amount DECIMAL(10, 2)
) PARTITIONED BY (kind)",
    )
    .await?;
    ask(
        session,
        &format!(
            "INSERT INTO glue_catalog.bronze.events
SELECT DISTINCT event_id, kind, customer_id, CAST(amount AS DECIMAL(10, 2))
FROM '{raw}'"
        ),
    )
    .await?;
    let rows = ask(
        session,
        "SELECT kind, count(*), sum(amount) FROM glue_catalog.bronze.events GROUP BY kind ORDER BY kind",
    )
    .await?;
    assert_eq!(rows, ["card | 1 | 12.50", "cash | 1 | 3.00"]);
    Ok(())
}

async fn make_transactions(session: &Session) -> Outcome {
    ask(
        session,
        "CREATE NAMESPACE IF NOT EXISTS glue_catalog.silver",
    )
    .await?;
    session
        .sql("DROP TABLE IF EXISTS glue_catalog.silver.transactions")
        .await?;
    ask(
        session,
        "CREATE TABLE glue_catalog.silver.transactions (
  transaction_id BIGINT, customer_id BIGINT, amnt DECIMAL(10, 2)
)",
    )
    .await?;
    ask(
        session,
        "INSERT INTO glue_catalog.silver.transactions
SELECT event_id, customer_id, amount FROM glue_catalog.bronze.events",
    )
    .await?;
    Ok(())
}

async fn evolve(session: &Session) -> Outcome {
    ask(
        session,
        "ALTER TABLE glue_catalog.silver.transactions
ADD COLUMN customer_segment STRING AFTER customer_id",
    )
    .await?;
    ask(
        session,
        "ALTER TABLE glue_catalog.silver.transactions RENAME COLUMN amnt TO amount",
    )
    .await?;
    ask(
        session,
        "INSERT INTO glue_catalog.silver.transactions VALUES (3, 9, 'vip', 1000000.00)",
    )
    .await?;
    let rows = ask(
        session,
        "SELECT * FROM glue_catalog.silver.transactions ORDER BY transaction_id",
    )
    .await?;
    assert_eq!(
        rows,
        [
            "1 | 7 |  | 12.50",
            "2 | 8 |  | 3.00",
            "3 | 9 | vip | 1000000.00"
        ]
    );
    Ok(())
}

async fn travel(session: &Session) -> Outcome {
    let before = ask(
        session,
        "SELECT * FROM glue_catalog.silver.transactions
FOR SYSTEM_TIME AS OF '2025-01-14 00:00:00' ORDER BY transaction_id LIMIT 10",
    )
    .await?;
    assert_eq!(before, ["1 | 7 | 12.50", "2 | 8 | 3.00"]);
    let versions = ask(
        session,
        "SELECT snapshot_id FROM glue_catalog.silver.transactions.snapshots ORDER BY committed_at",
    )
    .await?;
    let good = &versions[0];
    let rows = ask(
        session,
        &format!(
            "SELECT count(*) FROM glue_catalog.silver.transactions FOR SYSTEM_VERSION AS OF {good}"
        ),
    )
    .await?;
    assert_eq!(rows, ["2"]);
    ask(
        session,
        &format!("CALL glue_catalog.system.rollback_to_snapshot('silver.transactions', {good})"),
    )
    .await?;
    let rows = ask(
        session,
        "SELECT * FROM glue_catalog.silver.transactions ORDER BY transaction_id",
    )
    .await?;
    assert_eq!(rows, ["1 | 7 |  | 12.50", "2 | 8 |  | 3.00"]);
    println!("The million is gone, the new column has stayed.");
    Ok(())
}
