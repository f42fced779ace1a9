//! Commits whose caller goes away.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use lakehouse_core::commit::{FileChange, FilesOnFailure};

use super::fixture::{Lake, files};

/// Polls a future at most so often, then drops it; whether it ended.
async fn poll_times(times: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        let mut ended = false;
        std::future::poll_fn(|cx: &mut Context<'_>| {
            ended = future.as_mut().poll(cx).is_ready();
            Poll::Ready(())
        })
        .await;
        if ended {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn a_dropped_commit_leaves_the_table_as_it_was_or_is_committed_whole() {
    let mut cancelled = 0;
    let mut finished = 0;
    for polls in 0..60 {
        let lake = Lake::new().await;
        let change = FileChange::append(&lake.table().await, files(&["a"]))
            .with_files_on_failure(FilesOnFailure::Delete);
        poll_times(polls, lake.commit(change)).await;
        // What goes on in the background comes to its end.
        lake.storage().work_ended().await;
        let table = lake.table().await;
        let written = lake.metadata_files("", ".avro").await.len();
        match table.snapshot() {
            None => {
                cancelled += 1;
                assert_eq!(written, 0, "{polls} polls");
            }
            Some(_) => {
                finished += 1;
                assert_eq!(written, 2, "{polls} polls");
                assert_eq!(lake.live(&table).await, ["a"]);
            }
        }
        lake.append(&["b"]).await.unwrap();
    }
    assert!(
        cancelled > 1 && finished > 0,
        "{cancelled} cancelled, {finished} finished"
    );
}

#[tokio::test]
async fn a_dropped_commit_does_not_take_its_group_with_it() {
    let lake = Lake::new().await;
    lake.faulty.gate.forget_permits(usize::MAX);
    let table = lake.table().await;
    let change = |name: &str| FileChange::append(&table, files(&[name]));
    let mut leader = Box::pin(lake.commit(change("leader")));
    let mut dropped = Box::pin(lake.commit(change("dropped")));
    let mut follower = Box::pin(lake.commit(change("follower")));
    for future in [&mut leader, &mut dropped, &mut follower] {
        assert!(futures::poll!(future.as_mut()).is_pending());
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(dropped);
    lake.faulty.gate.add_permits(10);
    leader.await.unwrap();
    follower.await.unwrap();
    lake.storage().work_ended().await;
    assert_eq!(lake.live(&lake.table().await).await, ["follower", "leader"]);
    assert_eq!(lake.metadata_files("", "-m0.avro").await.len(), 2);
}

#[tokio::test]
async fn a_commit_that_was_sent_is_finished_without_its_caller() {
    let lake = Lake::new().await;
    lake.faulty.gate.forget_permits(usize::MAX);
    let before = lake.faulty.asked.load(Ordering::SeqCst);
    let mut sent = Box::pin(lake.append(&["a"]));
    while lake.faulty.asked.load(Ordering::SeqCst) == before {
        assert!(futures::poll!(sent.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(sent);
    lake.faulty.gate.add_permits(1);
    lake.storage().work_ended().await;
    assert_eq!(lake.live(&lake.table().await).await, ["a"]);
}
