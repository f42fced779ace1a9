//! A table that changes its shape while it is full: columns are added, renamed, widened, moved and
//! dropped, partitions and order of rows change, and not one data file is written again.
//!
//! ```text
//! cargo run --example evolve
//! ```
//!
//! Every claim that is printed is also asserted.

#[path = "shown/statement.rs"]
mod statement;

use std::error::Error;

use lakehouse::sql::Session;
use lakehouse::{ErrorKind, Lakehouse};
use statement::{ask, chapter};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The data files of the table, however old.
const FILES: &str = "SELECT file_path FROM trips.data_files ORDER BY file_path";

#[tokio::main]
async fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let lake = Lakehouse::open(folder.path().to_string_lossy()).await?;
    let session = lake.session()?;
    first_year(&session).await?;
    let oldest = session.sql(FILES).await?.to_table().await?;

    columns(&session).await?;
    nested(&session).await?;
    no_ghosts(&session).await?;
    assert_eq!(session.sql(FILES).await?.to_table().await?, oldest);
    println!("All of that wrote no data file: what was there is read by the ids of its columns.\n");

    second_year(&session).await?;
    defaults(&session).await?;
    partitions(&session).await?;
    order(&session).await?;
    refused(&session).await?;
    look_back(&session).await
}

async fn first_year(session: &Session) -> Outcome {
    chapter("A table as somebody thought of it in the first year");
    ask(
        session,
        "CREATE TABLE trips (id INT NOT NULL, city VARCHAR, note VARCHAR, fare DECIMAL(5, 2),\n  \
                             at TIMESTAMP, car STRUCT<make VARCHAR, year INT>)",
    )
    .await?;
    ask(
        session,
        "INSERT INTO trips VALUES\n  \
         (1, 'Oslo', 'rain', 12.50, '2025-01-10 08:00:00', {'make': 'Saab', 'year': 2011}),\n  \
         (2, 'Lima', 'sun', 8.00, '2025-06-11 09:30:00', {'make': 'Fiat', 'year': 2019}),\n  \
         (3, 'Pune', NULL, 999.99, '2025-06-11 23:00:00', NULL)",
    )
    .await?;
    ask(session, "ALTER TABLE trips CREATE TAG first_year").await?;
    Ok(())
}

async fn columns(session: &Session) -> Outcome {
    chapter("Columns come, change their names and places, and grow");
    for change in [
        "ALTER TABLE trips ADD COLUMN tip DOUBLE COMMENT 'in the currency of the fare' AFTER fare",
        "ALTER TABLE trips RENAME COLUMN city TO start_city",
        "ALTER TABLE trips ALTER COLUMN id TYPE BIGINT",
        "ALTER TABLE trips ALTER COLUMN fare TYPE DECIMAL(12, 2)",
        "ALTER TABLE trips ALTER COLUMN at AFTER id",
    ] {
        ask(session, change).await?;
    }
    println!("Rows of before, in the columns of now:\n");
    let rows = ask(session, "SELECT * FROM trips WHERE fare > 10 ORDER BY id").await?;
    assert_eq!(
        rows,
        [
            "1 | 2025-01-10T08:00:00 | Oslo | rain | 12.50 |  | {make: Saab, year: 2011}",
            "3 | 2025-06-11T23:00:00 | Pune |  | 999.99 |  | ",
        ]
    );
    Ok(())
}

async fn nested(session: &Session) -> Outcome {
    chapter("Fields inside of columns do so too");
    for change in [
        "ALTER TABLE trips ADD COLUMN car.seats INT AFTER make",
        "ALTER TABLE trips RENAME COLUMN car.make TO brand",
        "ALTER TABLE trips ALTER COLUMN car.year TYPE BIGINT",
    ] {
        ask(session, change).await?;
    }
    let cars = ask(
        session,
        "SELECT id, car, car['brand'] AS brand FROM trips ORDER BY id",
    )
    .await?;
    assert_eq!(
        cars,
        [
            "1 | {brand: Saab, seats: , year: 2011} | Saab",
            "2 | {brand: Fiat, seats: , year: 2019} | Fiat",
            "3 |  | ",
        ]
    );
    Ok(())
}

/// A new column of an old name is a new column.
async fn no_ghosts(session: &Session) -> Outcome {
    chapter("A column that is dropped does not come back with its name");
    ask(session, "ALTER TABLE trips DROP COLUMN note").await?;
    ask(session, "ALTER TABLE trips ADD COLUMN note VARCHAR").await?;
    let notes = ask(
        session,
        "SELECT count(*) AS trips, count(note) AS notes FROM trips",
    )
    .await?;
    assert_eq!(notes, ["3 | 0"]);
    Ok(())
}

async fn second_year(session: &Session) -> Outcome {
    chapter("Rows of the second year, with values that the first one had no room for");
    ask(
        session,
        "INSERT INTO trips BY NAME\n\
         SELECT 5000000000 AS id, 'Rome' AS start_city, 1234567.89 AS fare, 2.5 AS tip,\n       \
                TIMESTAMP '2026-01-05 10:00:00' AS at,\n       \
                {'brand': 'Alfa', 'seats': 5, 'year': 2024} AS car",
    )
    .await?;
    let both = ask(
        session,
        "SELECT id, start_city, fare, tip, car['seats'] AS seats FROM trips\n\
         WHERE fare > 900 ORDER BY id",
    )
    .await?;
    assert_eq!(
        both,
        [
            "3 | Pune | 999.99 |  | ",
            "5000000000 | Rome | 1234567.89 | 2.5 | 5",
        ]
    );
    Ok(())
}

async fn defaults(session: &Session) -> Outcome {
    chapter("Format version 3: a column that old rows have a value for");
    ask(
        session,
        "ALTER TABLE trips SET TBLPROPERTIES ('format-version' = '3')",
    )
    .await?;
    ask(
        session,
        "ALTER TABLE trips ADD COLUMN currency VARCHAR NOT NULL DEFAULT 'EUR'",
    )
    .await?;
    ask(
        session,
        "INSERT INTO trips (id, at) VALUES (6, '2026-01-06 07:00:00')",
    )
    .await?;
    println!("New rows get another one, old rows keep theirs:\n");
    ask(
        session,
        "ALTER TABLE trips ALTER COLUMN currency SET DEFAULT 'NOK'",
    )
    .await?;
    ask(
        session,
        "INSERT INTO trips (id, at) VALUES (7, '2026-01-07 07:00:00')",
    )
    .await?;
    let currencies = ask(
        session,
        "SELECT currency, count(*) AS trips FROM trips GROUP BY currency ORDER BY currency",
    )
    .await?;
    assert_eq!(currencies, ["EUR | 5", "NOK | 1"]);
    Ok(())
}

async fn partitions(session: &Session) -> Outcome {
    chapter("The table has grown: new files are divided by month, then by day");
    ask(session, "ALTER TABLE trips ADD PARTITION FIELD months(at)").await?;
    ask(
        session,
        "INSERT INTO trips (id, at) VALUES\n  \
         (10, '2026-02-01 00:00:00'), (11, '2026-02-28 00:00:00'), (12, '2026-03-01 00:00:00')",
    )
    .await?;
    ask(
        session,
        "ALTER TABLE trips REPLACE PARTITION FIELD months(at) WITH days(at)",
    )
    .await?;
    ask(
        session,
        "INSERT INTO trips (id, at) VALUES\n  \
         (20, '2026-04-01 00:00:00'), (21, '2026-04-02 00:00:00'), (22, '2026-04-03 00:00:00')",
    )
    .await?;
    println!("Files of each spec stay as they were written, and every query finds all of them:\n");
    let specs = ask(
        session,
        "SELECT spec_id, count(*) AS files, sum(record_count) AS trips\n\
         FROM trips.data_files GROUP BY spec_id ORDER BY spec_id",
    )
    .await?;
    assert_eq!(specs, ["0 | 4 | 6", "1 | 2 | 3", "2 | 3 | 3"]);
    let days = "at >= TIMESTAMP '2026-02-28' AND at < TIMESTAMP '2026-04-02'";
    let found = ask(
        session,
        &format!("SELECT id FROM trips WHERE {days} ORDER BY id"),
    )
    .await?;
    assert_eq!(found, ["11", "12", "20"]);
    println!("It reads the files that can hold such rows, three of nine, whatever their spec.\n");
    let plan = session
        .sql(&format!("EXPLAIN SELECT id FROM trips WHERE {days}"))
        .await?;
    let plan = plan.to_table().await?;
    assert!(plan.contains("files=3/9"), "{plan}");
    Ok(())
}

async fn order(session: &Session) -> Outcome {
    chapter("Rows of new files are sorted");
    ask(
        session,
        "ALTER TABLE trips WRITE ORDERED BY start_city DESC NULLS LAST, id",
    )
    .await?;
    ask(
        session,
        "INSERT INTO trips (id, start_city, at) VALUES\n  \
         (30, 'Bonn', '2026-05-01 10:00:00'), (31, 'Oslo', '2026-05-01 09:00:00'),\n  \
         (32, NULL, '2026-05-01 08:00:00'), (33, 'Lima', '2026-05-01 07:00:00')",
    )
    .await?;
    println!("As they stand in their file:\n");
    let stored = ask(
        session,
        "SELECT _pos, start_city, id FROM trips WHERE id BETWEEN 30 AND 33 ORDER BY _pos",
    )
    .await?;
    assert_eq!(
        stored,
        [
            "0 | Oslo | 31",
            "1 | Lima | 33",
            "2 | Bonn | 30",
            "3 |  | 32"
        ]
    );
    Ok(())
}

/// What would change the meaning of rows that are there.
async fn refused(session: &Session) -> Outcome {
    chapter("What is refused, because old rows could not be read any more");
    for change in [
        "ALTER TABLE trips ALTER COLUMN id TYPE INT",
        "ALTER TABLE trips ALTER COLUMN start_city SET NOT NULL",
        "ALTER TABLE trips DROP COLUMN at",
        "ALTER TABLE trips RENAME COLUMN tip TO fare",
    ] {
        let error = ask(session, change).await.err().ok_or("must be refused")?;
        println!("  -> {error}\n");
        let kinds = [ErrorKind::InvalidInput, ErrorKind::AlreadyExists];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    Ok(())
}

async fn look_back(session: &Session) -> Outcome {
    chapter("The first year has the columns of the first year");
    let past = "SELECT * FROM trips FOR VERSION AS OF 'first_year'";
    let then = session.sql(past).await?.schema();
    let names: Vec<&str> = then
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["id", "city", "note", "fare", "at", "car"]);
    let rows = ask(session, &format!("{past} WHERE city = 'Oslo'")).await?;
    assert_eq!(
        rows,
        ["1 | Oslo | rain | 12.50 | 2025-01-10T08:00:00 | {make: Saab, year: 2011}"]
    );
    println!("And both in one query:\n");
    let renamed = ask(
        session,
        "SELECT now.start_city, was.note AS note_then, now.note AS note_now\n\
         FROM trips AS now JOIN trips FOR VERSION AS OF 'first_year' AS was ON was.id = now.id\n\
         ORDER BY now.id",
    )
    .await?;
    assert_eq!(renamed, ["Oslo | rain | ", "Lima | sun | ", "Pune |  | "]);
    Ok(())
}
