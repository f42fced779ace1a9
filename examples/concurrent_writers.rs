//! Tasks and processes that write one table at once: no row is lost, no update is lost, and who
//! comes second with a change of the same row is told so and can try again.
//!
//! ```text
//! cargo run --example concurrent_writers
//! ```
//!
//! The other processes are this program again. Every claim that is printed is also asserted.

#[path = "shown/statement.rs"]
mod statement;

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};

use lakehouse::datafusion::prelude::{col, lit};
use lakehouse::sql::{ChangeCounts, Session, TableChange};
use lakehouse::{ErrorKind, Lakehouse};
use statement::{ask, chapter};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const PROCESSES: usize = 3;
const TASKS: usize = 4;
/// Inserts and updates of each writer.
const ROUNDS: usize = 3;
/// Each writer inserts so many rows in one commit.
const ROWS: usize = 5;
/// How often a writer may come second before it gives up.
const TRIES_MAX: usize = 100;

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [folder, writer] = arguments.as_slice() {
        return write(&Lakehouse::open(folder).await?, writer).await;
    }
    let folder = tempfile::tempdir()?;
    let lake = Lakehouse::open(folder.path().to_string_lossy()).await?;
    let session = lake.session()?;
    ask(
        &session,
        "CREATE TABLE log (writer VARCHAR, round INT, line INT) PARTITIONED BY (writer)",
    )
    .await?;
    ask(
        &session,
        "CREATE TABLE counters (name VARCHAR NOT NULL, n BIGINT)",
    )
    .await?;
    ask(
        &session,
        "INSERT INTO counters VALUES ('updates', 0), ('other', 0)",
    )
    .await?;
    write_at_once(&lake, folder.path()).await?;
    count(&session).await?;
    conflict(&session).await
}

/// Starts all writers, and waits for them.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks of a program that uses the library, not of the library"
)]
async fn write_at_once(lake: &Lakehouse, folder: &Path) -> Outcome {
    chapter("Three processes and four tasks write at once");
    let program = std::env::current_exe()?;
    let children: Vec<Child> = (0..PROCESSES)
        .map(|number| {
            Command::new(&program)
                .arg(folder)
                .arg(format!("process {number}"))
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let lake = lake.clone();
            // The error as text: it crosses threads.
            tokio::spawn(async move {
                let written = write(&lake, &format!("task {number}")).await;
                written.map_err(|error| error.to_string())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    for mut child in children {
        assert!(child.wait()?.success(), "a process has failed");
    }
    Ok(())
}

/// What one writer does.
async fn write(lake: &Lakehouse, writer: &str) -> Outcome {
    let session = lake.session()?;
    let mut conflicts = 0;
    for round in 0..ROUNDS {
        // Rows that are only added never conflict: who comes second is committed on top.
        let insert = format!(
            "INSERT INTO log SELECT '{writer}', {round}, line FROM range(0, {ROWS}) AS r(line)"
        );
        session.sql(&insert).await?.collect().await?;
        // Here the new value depends on the old one, which somebody else may change meanwhile.
        conflicts += add_one(&session).await?;
    }
    println!("  {writer}: {conflicts} times second, all is written");
    Ok(())
}

/// Adds one to the counter; gives how often somebody else was first.
async fn add_one(session: &Session) -> Outcome<usize> {
    for conflicts in 0..TRIES_MAX {
        let update = "UPDATE counters SET n = n + 1 WHERE name = 'updates'";
        match session.sql(update).await {
            Ok(_) => return Ok(conflicts),
            // Nothing was changed, and the statement reads the newer value when it is run again.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("somebody else was first {TRIES_MAX} times").into())
}

async fn count(session: &Session) -> Outcome {
    chapter("Nothing is lost");
    let writers = PROCESSES + TASKS;
    let rows = writers * ROUNDS * ROWS;
    let log = ask(
        session,
        "SELECT count(DISTINCT writer) AS writers, count(*) AS lines,\n       \
                count(DISTINCT (writer, round, line)) AS distinct_lines\n\
         FROM log",
    )
    .await?;
    assert_eq!(log, [format!("{writers} | {rows} | {rows}")]);
    let counter = ask(session, "SELECT n FROM counters WHERE name = 'updates'").await?;
    assert_eq!(counter, [format!("{}", writers * ROUNDS)]);
    println!("Every commit is a snapshot of its own, one after the other:\n");
    let snapshots = ask(
        session,
        "SELECT count(*) AS snapshots, count(DISTINCT parent_id) AS parents FROM log.snapshots",
    )
    .await?;
    let commits = writers * ROUNDS;
    assert_eq!(snapshots, [format!("{commits} | {}", commits - 1)]);
    Ok(())
}

/// Two merges of one key: the second has read what is not there any more.
async fn conflict(session: &Session) -> Outcome {
    chapter("Two merges of one key");
    println!("The first to begin reads the table now, and commits later:\n");
    let slow = session.change("counters").await?;
    println!("The other one begins later and commits before:\n");
    let quick = ask(
        session,
        "MERGE INTO counters AS t USING (SELECT 'visits' AS name, 10 AS n) AS s ON t.name = s.name\n\
         WHEN MATCHED THEN UPDATE SET n = t.n + s.n\n\
         WHEN NOT MATCHED THEN INSERT *",
    )
    .await?;
    assert_eq!(quick, ["1 | 1 | 0 | 0"]);

    println!("Both found no such key. Were both to insert it, it would be there twice:\n");
    let error = visit(session, slow).await.err().ok_or("must be refused")?;
    println!("  -> {error}\n");
    assert_eq!(error.kind(), ErrorKind::Conflict);

    println!("Run again it finds the key, and updates what it would have inserted:\n");
    let counts = visit(session, session.change("counters").await?).await?;
    println!("  {counts:?}\n");
    assert_eq!((counts.inserted, counts.updated), (0, 1));
    let visits = ask(
        session,
        "SELECT name, n FROM counters WHERE name = 'visits'",
    )
    .await?;
    assert_eq!(visits, ["visits | 13"]);

    println!("What does not touch the same rows does not conflict:\n");
    let slow = session.change("counters").await?;
    let slow = slow.update().set("n", col("n") + lit(1_i64));
    let slow = slow.filter(col("name").eq(lit("other")));
    ask(session, "INSERT INTO counters VALUES ('zebras', 1)").await?;
    let counts = slow.execute().await?;
    assert_eq!(counts.updated, 1);
    println!("  {counts:?}");
    Ok(())
}

/// Three visits more, by a merge into a table as it was read.
async fn visit(session: &Session, counters: TableChange) -> lakehouse::Result<ChangeCounts> {
    let source = "SELECT 'visits' AS name, CAST(3 AS BIGINT) AS n";
    let source = session.context().sql(source).await?;
    counters
        .with_alias("t")
        .merge(source, "s")
        .on(col("t.name").eq(col("s.name")))
        .when_matched()
        .update([("n", col("t.n") + col("s.n"))])
        .when_not_matched()
        .insert_all()
        .execute()
        .await
}
