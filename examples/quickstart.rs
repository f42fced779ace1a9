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
use lakehouse::datafusion::prelude::{
    CsvReadOptions, JsonReadOptions, ParquetReadOptions, SessionContext,
};
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

    println!("A day's readings are read from that day's files only:\n");
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
        (1, "2026-03-01T06:00:00", "sensor iced"),
        (2, "2026-03-02T14:00:00", "heat"),
    ] {
        writeln!(
            alarms,
            r#"{{"station": {station}, "at": "{at}", "note": "{note}"}}"#
        )?;
    }
    std::fs::write(folder.join("alarms.json"), alarms)?;

    let readings = SessionContext::new()
        .sql(
            "SELECT station, TIMESTAMP '2026-03-01' + hour * INTERVAL '1 hour' AS at,
                    round(station * 4.0 + 5.0 * sin(hour / 24.0 * 6.283), 1) AS celsius
             FROM (SELECT unnest(range(1, 4)) AS station)
             CROSS JOIN (SELECT unnest(range(0, 72)) AS hour)",
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

/// The engine reads the files, and `INSERT … SELECT` writes the tables.
async fn load(session: &Session, folder: &Path) -> Outcome {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let files = SessionContext::new();
    let parquet = ParquetReadOptions::default();
    let readings = files
        .read_parquet(path("readings.parquet"), parquet)
        .await?;
    let stations = files
        .read_csv(path("stations.csv"), CsvReadOptions::new())
        .await?;
    let json = JsonReadOptions::default();
    let alarms = files.read_json(path("alarms.json"), json).await?;

    session
        .register_batches("new_readings", readings.collect().await?)
        .await?;
    session
        .register_batches("new_stations", stations.collect().await?)
        .await?;
    session
        .register_batches("new_alarms", alarms.collect().await?)
        .await?;
    run(
        session,
        "INSERT INTO readings SELECT station, at, celsius FROM new_readings",
    )
    .await?;
    run(
        session,
        "INSERT INTO stations SELECT id, city, country FROM new_stations",
    )
    .await?;
    run(
        session,
        "INSERT INTO alarms SELECT station, CAST(at AS TIMESTAMP), note FROM new_alarms",
    )
    .await
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
