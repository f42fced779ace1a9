//! Many processes on one lake: no row is lost, and no name is given twice.

use std::process::{Child, Stdio};

use futures::future::join_all;

use crate::lake::TestLake;
use crate::process::{answers, command};

const PROCESSES: usize = 8;
const TASKS: usize = 4;
const INSERTS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_of_four_tasks_lose_no_row() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (process INT, task INT, n INT)")
        .await;
    let children: Vec<Child> = (0..PROCESSES)
        .map(|process| {
            let inserts: Vec<String> = (0..INSERTS)
                .map(|n| format!("INSERT INTO t VALUES ({process}, {{task}}, {n})"))
                .collect();
            let mut child = command(&lake.path(), &inserts.join(";"), TASKS);
            child
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let answers = answers(&child.wait_with_output().unwrap());
        assert_eq!(answers, vec!["ok 1"; TASKS * INSERTS]);
    }

    let all = PROCESSES * TASKS * INSERTS;
    let distinct = "SELECT count(*), count(DISTINCT (process * 100 + task) * 100 + n) FROM t";
    assert_eq!(lake.rows(distinct).await, [format!("{all}|{all}")]);
    let total = "SELECT max(CAST(summary['total-records'] AS BIGINT)) FROM t.snapshots";
    assert_eq!(lake.one(total).await, all.to_string());

    let table = lake.lake.table("t").await.unwrap();
    let history = table.history();
    assert!(history.iter().all(|entry| entry.is_current_ancestor));
    let times: Vec<i64> = history
        .iter()
        .map(|entry| entry.made_current_at_ms)
        .collect();
    assert!(
        times.windows(2).all(|pair| pair[0] < pair[1]),
        "no two compare equal: {times:?}"
    );
}

#[tokio::test]
async fn one_of_several_processes_makes_the_table() {
    let lake = TestLake::folder().await;
    let statement = "CREATE TABLE race AS SELECT {task} AS winner";
    let children: Vec<Child> = (0..4)
        .map(|_| {
            let mut child = command(&lake.path(), statement, 2);
            child
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut made = 0;
    for child in children {
        for answer in answers(&child.wait_with_output().unwrap()) {
            if answer.starts_with("ok") {
                made += 1;
            } else {
                assert!(answer.starts_with("already-exists: "), "{answer}");
                assert!(answer.contains("race"), "{answer}");
            }
        }
    }
    assert_eq!(made, 1);
    assert_eq!(lake.rows("SELECT count(*) FROM race").await, ["1"]);
}

/// Commits that share a swap were each answered as committed: time travel must find each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_commit_of_a_shared_swap_is_found_at_its_time() {
    const WRITERS: usize = 24;
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (n INT)").await;
    let inserts: Vec<String> = (0..WRITERS)
        .map(|n| format!("INSERT INTO t VALUES ({n})"))
        .collect();
    join_all(inserts.iter().map(|insert| lake.run(insert))).await;

    let table = lake.lake.table("t").await.unwrap();
    let metadata = table.metadata();
    let swaps = metadata.metadata_log().len();
    assert!(swaps < WRITERS, "nothing was shared in {swaps} swaps");
    let history = table.history();
    assert_eq!(history.len(), WRITERS);
    let mut before: Vec<String> = Vec::new();
    for (position, entry) in history.iter().enumerate() {
        let snapshot = metadata.snapshot_by_id(entry.snapshot_id).unwrap();
        assert_eq!(snapshot.timestamp_ms(), entry.made_current_at_ms);
        assert!(entry.made_current_at_ms <= metadata.last_updated_ms());
        if let Some(earlier) = position.checked_sub(1) {
            let earlier = &history[earlier];
            assert!(earlier.made_current_at_ms < entry.made_current_at_ms);
            assert_eq!(snapshot.parent_snapshot_id(), Some(earlier.snapshot_id));
        }
        let then = format!("to_timestamp_millis({})", entry.made_current_at_ms);
        let rows = format!("SELECT n FROM t FOR TIMESTAMP AS OF {then}");
        let rows = lake.sorted(&rows).await;
        assert_eq!(rows.len(), position + 1);
        assert!(before.iter().all(|row| rows.contains(row)), "{rows:?}");
        before = rows;
    }
}
