//! Files become tables: Parquet, CSV and JSON are loaded into partitioned Iceberg tables and queried.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! The files are written by the example itself, into a temporary folder that it removes.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use lakehouse::Lakehouse;
use lakehouse::datafusion::dataframe::DataFrameWriteOptions;
use lakehouse::datafusion::prelude::SessionContext;
use lakehouse::sql::Session;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    write_files(folder.path()).await?;

    // A missing or empty folder becomes a lake; nothing has to be installed or started.
    let lake = Lakehouse::open(folder.path().join("lake").to_string_lossy()).await?;
    let session = lake.session()?;
    create_tables(&session).await?;
    load(&session, folder.path()).await?;

    let days = ask(
        &session,
        "SELECT date_trunc('day', at) AS day, count(*) AS readings, max(celsius) AS warmest\n\
         FROM readings GROUP BY 1 ORDER BY 1",
    )
    .await?;
    assert_eq!(row_count(&days), 3);

    let warm = ask(
        &session,
        "SELECT city, country, count(*) AS warm_readings\n\
         FROM readings JOIN stations ON stations.id = readings.station\n\
         WHERE celsius > 10 GROUP BY city, country ORDER BY city",
    )
    .await?;
    assert_eq!(row_count(&warm), 2);

    println!("A question about one day reads the files of that day only:\n");
    let alarms = ask(
        &session,
        "SELECT alarms.at, city, alarms.note, readings.celsius\n\
         FROM alarms\n\
         JOIN stations ON stations.id = alarms.station\n\
         JOIN readings ON readings.station = alarms.station AND readings.at = alarms.at\n\
         WHERE readings.at >= TIMESTAMP '2026-03-02' AND readings.at < TIMESTAMP '2026-03-03'\n\
         ORDER BY alarms.at",
    )
    .await?;
    assert_eq!(row_count(&alarms), 1);

    let day = "at >= TIMESTAMP '2026-03-02' AND at < TIMESTAMP '2026-03-03'";
    let plan = session
        .sql(&format!("EXPLAIN SELECT * FROM readings WHERE {day}"))
        .await?;
    assert!(plan.to_table().await?.contains("files=1/3"));

    let total = ask(&session, "SELECT count(*) AS readings FROM readings").await?;
    assert_eq!(total[0].column(0).as_primitive::<Int64Type>().value(0), 216);
    Ok(())
}

/// Three days of hourly readings as Parquet, the stations as CSV, two alarms as JSON lines.
async fn write_files(folder: &Path) -> Outcome {
    std::fs::write(
        folder.join("stations.csv"),
        "id,city,country\n1,Bergen,NO\n2,Porto,PT\n3,Żary,PL\n",
    )?;

    let mut alarms = String::new();
    for (station, at, note) in [
        (1, "2026-03-01T18:00:00", "sensor iced"),
        (2, "2026-03-02T06:00:00", "heat"),
    ] {
        writeln!(
            alarms,
            r#"{{"station": {station}, "at": "{at}", "note": "{note}"}}"#
        )?;
    }
    std::fs::write(folder.join("alarms.json"), alarms)?;

    let readings = SessionContext::new()
        .sql(
            "SELECT station, at,
                    round(station * 4.0 + 5.0 * sin(date_part('hour', at) * 0.2618), 1) AS celsius
             FROM (SELECT unnest(range(1, 4)) AS station)
             CROSS JOIN (SELECT unnest(range(TIMESTAMP '2026-03-01', TIMESTAMP '2026-03-04',
                                             INTERVAL '1 hour')) AS at)",
        )
        .await?;
    let path = folder.join("readings.parquet");
    readings
        .write_parquet(&path.to_string_lossy(), DataFrameWriteOptions::new(), None)
        .await?;
    Ok(())
}

async fn create_tables(session: &Session) -> Outcome {
    run(
        session,
        "CREATE TABLE readings (station BIGINT NOT NULL, at TIMESTAMP NOT NULL, celsius DOUBLE)\n\
         PARTITIONED BY (days(at))",
    )
    .await?;
    run(
        session,
        "CREATE TABLE stations (id BIGINT NOT NULL, city VARCHAR, country VARCHAR)",
    )
    .await?;
    run(
        session,
        "CREATE TABLE alarms (station BIGINT NOT NULL, at TIMESTAMP, note VARCHAR)\n\
         PARTITIONED BY (bucket(4, station))",
    )
    .await
}

/// A file stands where a table can stand; its name tells the format.
async fn load(session: &Session, folder: &Path) -> Outcome {
    let file = |name: &str| folder.join(name).to_string_lossy().replace('\'', "''");
    for insert in [
        format!(
            "INSERT INTO readings SELECT station, at, celsius FROM '{}'",
            file("readings.parquet")
        ),
        format!(
            "INSERT INTO stations SELECT id, city, country FROM '{}'",
            file("stations.csv")
        ),
        format!(
            "INSERT INTO alarms SELECT station, CAST(at AS TIMESTAMP), note FROM '{}'",
            file("alarms.json")
        ),
    ] {
        run(session, &insert).await?;
    }
    Ok(())
}

async fn run(session: &Session, sql: &str) -> Outcome {
    println!("{sql};\n");
    session.sql(sql).await?.collect().await?;
    Ok(())
}

async fn ask(session: &Session, sql: &str) -> Outcome<Vec<RecordBatch>> {
    println!("{sql};\n");
    let batches = session.sql(sql).await?.collect().await?;
    println!("{}\n", pretty_format_batches(&batches)?);
    Ok(batches)
}

fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
