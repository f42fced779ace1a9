//! Files that are given up while a call is under way: nothing of them appears afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::poll;
use lakehouse_core::clock::SystemClock;
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::{Export, ExportForm, ExportTarget, Storage};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tempfile::TempDir;
use uuid::Uuid;

/// How a file is written that is given up.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// At once, by a call that is dropped.
    Whole,
    /// In parts, by a call that is dropped before the first.
    Begun,
    /// In parts, of which one is under way.
    Part,
    /// In parts, dropped while they are put together.
    Completed,
}

/// Begins a file and gives it up in the middle, where the call takes long enough for that.
async fn give_up_a_file(sink: &dyn ObjectStore, written: Written) {
    let path = Path::from("file");
    let payload = PutPayload::from(vec![b'a'; 10_000]);
    match written {
        Written::Whole => drop(poll!(Box::pin(sink.put(&path, payload)))),
        Written::Begun => drop(poll!(Box::pin(sink.put_multipart(&path)))),
        Written::Part => {
            let mut upload = sink.put_multipart(&path).await.unwrap();
            drop(poll!(upload.put_part(payload)));
        }
        Written::Completed => {
            let mut upload = sink.put_multipart(&path).await.unwrap();
            upload.put_part(payload).await.unwrap();
            drop(poll!(upload.complete()));
        }
    }
}

async fn assert_nothing_stays(storage: &Storage, folder: &TempDir, what: &str) {
    let ended = tokio::time::timeout(Duration::from_secs(60), storage.work_ended());
    ended.await.unwrap();
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "{names:?}: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_export_that_is_given_up_appears_afterwards() {
    let storage = Storage::new(&SystemClock, Durability::Full).unwrap();
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("target");
    let target = target.to_str().unwrap();
    for round in 0..50 {
        for form in [ExportForm::File, ExportForm::Folder] {
            for written in [
                Written::Whole,
                Written::Begun,
                Written::Part,
                Written::Completed,
            ] {
                let export = Export::begin(
                    ExportTarget::parse(target).unwrap(),
                    form,
                    Uuid::from_u128(round),
                    Arc::new(LocalFileSystem::new()),
                    storage.begin_work(),
                )
                .await
                .unwrap();
                let sink = export.sink();
                give_up_a_file(sink.as_ref(), written).await;
                drop(export);
                let what = format!("{form:?}, {written:?}, round {round}");
                assert_nothing_stays(&storage, &folder, &what).await;
                let late = sink.put(&Path::from("late"), "text".into()).await;
                assert!(late.is_err(), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_file_of_a_table_that_is_given_up_appears_afterwards() {
    let storage = Storage::new(&SystemClock, Durability::None).unwrap();
    let folder = TempDir::new().unwrap();
    let location = folder.path().join("file.parquet");
    let location = location.to_str().unwrap();
    for round in 0..20 {
        for written in [
            Written::Whole,
            Written::Begun,
            Written::Part,
            Written::Completed,
        ] {
            let mut file = storage.writer(location).unwrap();
            let part = Bytes::from(vec![b'a'; 8 << 20]);
            let mut is_finished = false;
            match written {
                Written::Whole => {
                    file.write(part.slice(..10)).await.unwrap();
                    is_finished = poll!(Box::pin(file.finish())).is_ready();
                }
                Written::Begun => drop(poll!(Box::pin(file.write(part)))),
                Written::Part => {
                    file.write(part.clone()).await.unwrap();
                    drop(poll!(Box::pin(file.write(part))));
                }
                Written::Completed => {
                    file.write(part).await.unwrap();
                    is_finished = poll!(Box::pin(file.finish())).is_ready();
                }
            }
            drop(file);
            if is_finished {
                storage.delete(location).await.unwrap();
            }
            let what = format!("{written:?}, round {round}");
            assert_nothing_stays(&storage, &folder, &what).await;
        }
    }
}
