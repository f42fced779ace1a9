//! Processes that write one lake are served in the order in which they came, whoever dies.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use crate::lake::TestLake;
use crate::process::{answers, command};

/// The queue in which processes wait for the catalog file; those for its tables are named alike.
const QUEUE: &str = ".catalog.db-queue";

/// Processes that stand in the queue of the catalog file.
fn waiting(lake: &Path) -> usize {
    tickets(&lake.join(QUEUE))
}

/// Processes that stand in a table's queue, when there is only one.
fn waiting_for_a_table(lake: &Path) -> usize {
    let queues = beside(lake);
    let queue = queues.iter().find(|name| {
        name.strip_prefix(QUEUE)
            .is_some_and(|hash| !hash.is_empty())
    });
    queue.map_or(0, |queue| tickets(&lake.join(queue)))
}

fn tickets(queue: &Path) -> usize {
    // The folder is there only as long as somebody waits.
    fs::read_dir(queue).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| entry.file_name() != "door")
            .count()
    })
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited in vain: {what}");
}

fn start(lake: &Path, statements: &str) -> Child {
    command(lake, statements, 1)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts a process for each table, each after the one before stands in the queue.
async fn one_after_the_other(lake: &Path, tables: &[&str]) -> Vec<Child> {
    let mut processes = Vec::new();
    for table in tables {
        let before = waiting(lake);
        processes.push(start(lake, &format!("CREATE TABLE {table} (a INT)")));
        until("a ticket", || waiting(lake) > before).await;
    }
    processes
}

/// The tables in the order in which the catalog file got them.
fn served(catalog: &Connection) -> Vec<String> {
    let mut statement = catalog
        .prepare("SELECT table_name FROM iceberg_tables ORDER BY rowid")
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<rusqlite::Result<_>>().unwrap()
}

/// What stands in the lake's folder and is no table's folder.
fn beside(lake: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(lake)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "default")
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn processes_are_served_in_order_of_arrival() {
    let lake = TestLake::folder().await;
    let path = lake.path();
    let catalog = Connection::open(path.join("catalog.db")).unwrap();
    // Somebody who knows no queue holds the file, so that all others have to wait.
    catalog.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tables = ["e", "b", "d", "a", "c"];
    let processes = one_after_the_other(&path, &tables).await;
    catalog.execute_batch("COMMIT").unwrap();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert_eq!(answers(&output), ["ok "]);
    }
    assert_eq!(served(&catalog), tables);
    assert_eq!(beside(&path), ["catalog.db"]);
}

#[tokio::test]
async fn killed_processes_hold_up_nobody_and_leave_nothing() {
    let lake = TestLake::folder().await;
    let path = lake.path();
    let catalog = Connection::open(path.join("catalog.db")).unwrap();
    catalog.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tables = ["holder", "first", "waiter", "second", "third"];
    let mut processes = one_after_the_other(&path, &tables).await;
    // By SIGKILL: whoever has the turn, and one in the middle.
    for victim in [2, 0] {
        let mut victim = processes.remove(victim);
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    catalog.execute_batch("COMMIT").unwrap();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert_eq!(answers(&output), ["ok "]);
    }
    assert_eq!(served(&catalog), ["first", "second", "third"]);
    assert_eq!(beside(&path), ["catalog.db"]);
}

#[tokio::test]
async fn changes_of_one_table_by_several_processes_are_planned_once() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (a INT)").await;
    let path = lake.path();
    let catalog = Connection::open(path.join("catalog.db")).unwrap();
    catalog.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = "INSERT INTO t VALUES (1)";
    let mut processes = vec![start(&path, insert)];
    until("the first", || waiting(&path) == 1).await;
    for _ in 0..3 {
        processes.push(start(&path, insert));
    }
    until("all four", || waiting_for_a_table(&path) == 4).await;
    // Whoever waits for the table has not read it yet, so nobody's plan is outdated.
    assert_eq!(waiting(&path), 1);
    catalog.execute_batch("COMMIT").unwrap();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert_eq!(answers(&output), ["ok 1"]);
    }
    assert_eq!(lake.rows("SELECT count(*) FROM t").await, ["4"]);
    // The number of the attempt is part of the list's name.
    let lists = lake.rows("SELECT manifest_list FROM t.snapshots").await;
    assert!(lists.iter().all(|list| list.contains("-1-")), "{lists:?}");
    assert_eq!(beside(&path), ["catalog.db"]);
}
