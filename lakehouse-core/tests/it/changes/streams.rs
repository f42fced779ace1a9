//! Steps of streams, each of which counts once.

use iceberg::spec::FormatVersion;
use lakehouse_core::commit::{
    FastForward, FileChange, PublishChanges, ReferenceMode, Retention, RollbackToSnapshot,
    SetReference, StreamStep, stream_position,
};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::table::{ReferenceKind, Table};

use super::world::{World, refused};

fn step(stream: &str, from: Option<&str>, to: &str) -> StreamStep {
    StreamStep {
        stream: stream.to_owned(),
        from: from.map(str::to_owned),
        to: to.to_owned(),
    }
}

async fn appending(world: &World, table: &Table, id: i64, step: StreamStep) -> FileChange {
    let files = world.write(&[(id, "a")]).await;
    FileChange::append(table, files).with_stream_step(step)
}

#[tokio::test]
async fn c23_commits_of_others_do_not_hide_where_a_stream_stands() {
    let world = World::new(FormatVersion::V2).await;
    let base = world.table().await;
    assert_eq!(stream_position(&base, "s"), None);
    let first = appending(&world, &base, 1, step("s", None, "1")).await;
    let first = world.commit(first).await.unwrap();
    let other = appending(&world, &base, 2, step("other", None, "7")).await;
    world.commit(other).await.unwrap();
    for id in 10..15 {
        world.append(&[(id, "b")]).await;
    }
    let table = world.table().await;
    assert_eq!(stream_position(&table, "s"), Some("1"));
    assert_eq!(stream_position(&table, "other"), Some("7"));
    assert_eq!(stream_position(&table, "none"), None);
    // The same step, planned when it was not there yet and now.
    for planned_on in [&base, &table] {
        let again = appending(&world, planned_on, 1, step("s", None, "1")).await;
        let text = format!("already by snapshot {}", first.snapshot_id.unwrap());
        refused(world.commit(again).await, ErrorKind::AlreadyExists, &text);
    }
    let second = appending(&world, &base, 3, step("s", Some("1"), "2")).await;
    world.commit(second).await.unwrap();
    // A step that begins where the stream stood before, or where it never stood.
    for (from, stands) in [(Some("1"), "\"2\""), (Some("9"), "\"2\""), (None, "\"2\"")] {
        let stale = appending(&world, &base, 4, step("s", from, "3")).await;
        refused(world.commit(stale).await, ErrorKind::Conflict, stands);
    }
    let old = appending(&world, &base, 1, step("s", None, "1")).await;
    refused(world.commit(old).await, ErrorKind::AlreadyExists, "\"1\"");
    assert_eq!(world.ids().await, [1, 2, 3, 10, 11, 12, 13, 14]);
}

#[tokio::test]
async fn a_rollback_takes_the_stream_back_with_its_rows() {
    let world = World::new(FormatVersion::V2).await;
    let base = world.table().await;
    let first = appending(&world, &base, 1, step("s", None, "1")).await;
    let snapshot_id = world.commit(first).await.unwrap().snapshot_id.unwrap();
    let second = appending(&world, &base, 2, step("s", Some("1"), "2")).await;
    world.commit(second).await.unwrap();
    world
        .commit(RollbackToSnapshot { snapshot_id })
        .await
        .unwrap();
    assert_eq!(stream_position(&world.table().await, "s"), Some("1"));
    let second = appending(&world, &base, 2, step("s", Some("1"), "2")).await;
    world.commit(second).await.unwrap();
    assert_eq!(world.ids().await, [1, 2]);
}

#[tokio::test]
async fn steps_without_rows_are_steps() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&[(1, "a")]).await;
    let base = world.table().await;
    let append = FileChange::append(&base, Vec::new());
    let replace = FileChange::replace_partitions(&base, Vec::new());
    for (number, change) in [append, replace].into_iter().enumerate() {
        let from = number.checked_sub(1).map(|before| before.to_string());
        let step = step("s", from.as_deref(), &number.to_string());
        let committed = world.commit(change.with_stream_step(step)).await.unwrap();
        assert!(committed.is_changed);
        let position = number.to_string();
        assert_eq!(
            stream_position(&committed.table, "s"),
            Some(position.as_str())
        );
    }
    assert_eq!(world.ids().await, [1]);
}

#[tokio::test]
async fn of_two_writers_of_one_step_one_takes_it() {
    let world = World::new(FormatVersion::V2).await;
    let base = world.table().await;
    let mut outcomes = Vec::new();
    let first = appending(&world, &base, 1, step("s", None, "1")).await;
    let second = appending(&world, &base, 1, step("s", None, "1")).await;
    let (first, second) = tokio::join!(world.commit(first), world.commit(second));
    outcomes.extend([first.is_ok(), second.is_ok()]);
    assert_eq!(outcomes.iter().filter(|is_ok| **is_ok).count(), 1);
    let error = first.err().or(second.err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(world.ids().await, [1]);
}

#[tokio::test]
async fn what_is_published_brings_its_step() {
    let world = World::new(FormatVersion::V2).await;
    let base = world.table().await;
    let staged = appending(&world, &base, 1, step("s", None, "1")).await;
    world
        .commit(staged.staged(Some("w".to_owned())))
        .await
        .unwrap();
    assert_eq!(stream_position(&world.table().await, "s"), None);
    world.append(&[(2, "a")]).await;
    let publish = PublishChanges {
        wap_id: "w".to_owned(),
    };
    world.commit(publish).await.unwrap();
    let table = world.table().await;
    assert_eq!(stream_position(&table, "s"), Some("1"));

    // A branch stands where it was made, and goes its own way until main follows it.
    let branch = SetReference {
        name: "b".to_owned(),
        kind: ReferenceKind::Branch,
        snapshot_id: table.snapshot_id(),
        mode: ReferenceMode::Create {
            if_not_exists: false,
        },
        retention: Retention::default(),
    };
    world.commit(branch).await.unwrap();
    let on_branch = appending(&world, &table, 3, step("s", Some("1"), "2")).await;
    world.commit(on_branch.with_branch("b")).await.unwrap();
    assert_eq!(stream_position(&world.table().await, "s"), Some("1"));
    let forward = FastForward {
        branch: "main".to_owned(),
        to: "b".to_owned(),
    };
    world.commit(forward).await.unwrap();
    assert_eq!(stream_position(&world.table().await, "s"), Some("2"));
}
