//! Disks that are full or not ours to write on.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use lakehouse::core::clock::SystemClock;
use lakehouse::core::settings::Durability;
use lakehouse::core::storage::Storage;
use lakehouse::{ErrorKind, Lakehouse, Session};
use lakehouse_testkit::{FailingStore, Fault, StoreCall};
use object_store::local::LocalFileSystem;
use tempfile::TempDir;

use crate::lake::{TestLake, files_below, rows_of, settings};
use crate::process::{answers, command, describe};

/// A lake whose files go through a store that fails where it is told to.
async fn failing() -> (TempDir, FailingStore, Session) {
    let folder = TempDir::new().unwrap();
    let store = FailingStore::new(Arc::new(LocalFileSystem::new()));
    let storage = Storage::new(&SystemClock, Durability::None).unwrap();
    let lake = Lakehouse::builder()
        .location(folder.path().join("lake").to_str().unwrap())
        .settings(settings())
        .clock(Arc::new(SystemClock))
        .storage(storage.with_local_store(Arc::new(store.clone())))
        .build()
        .await
        .unwrap();
    (folder, store, lake.session().unwrap())
}

async fn rows(session: &Session, statement: &str) -> lakehouse::Result<Vec<String>> {
    rows_of(session.sql(statement).await?).await
}

#[tokio::test]
async fn a_full_disk_fails_the_statement_and_changes_nothing() {
    for part in ["/data/", ".avro", ".metadata.json"] {
        for (fault, kind) in [
            (Fault::NoSpace, ErrorKind::ResourcesExhausted),
            (Fault::Denied, ErrorKind::PermissionDenied),
        ] {
            let (folder, store, session) = failing().await;
            rows(&session, "CREATE TABLE t (a INT)").await.unwrap();
            rows(&session, "INSERT INTO t VALUES (1)").await.unwrap();
            let before = files_below(folder.path());
            store.fail_always_at(StoreCall::Put, part, fault);
            for statement in [
                "INSERT INTO t VALUES (2)",
                "CREATE TABLE u AS SELECT 1 AS a",
            ] {
                let error = rows(&session, statement).await.expect_err(part);
                assert_eq!(error.kind(), kind, "{part} {statement}: {error}");
            }
            assert_eq!(files_below(folder.path()), before, "{part} {fault:?}");
            assert_eq!(rows(&session, "SELECT * FROM t").await.unwrap(), ["1"]);
            store.heal();
            rows(&session, "INSERT INTO t VALUES (3)").await.unwrap();
            assert_eq!(
                rows(&session, "SELECT count(*) FROM t").await.unwrap(),
                ["2"]
            );
        }
    }
}

/// Bytes that no encoding makes small.
const LARGE_INSERT: &str =
    "INSERT INTO t SELECT sha512(CAST(value AS VARCHAR)) FROM generate_series(1, 40000)";

#[cfg(unix)]
#[tokio::test]
async fn a_real_limit_of_file_sizes_is_met() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (b BINARY); INSERT INTO t VALUES (X'00')")
        .await;
    let before = files_below(&lake.path());
    let mut shell = Command::new("sh");
    // Without the trap the system would end the process instead of refusing the write. 512 KiB and
    // 1 MiB are both less than the rows and more than the catalog.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""]);
    shell.arg(std::env::current_exe().unwrap());
    describe(&mut shell, &lake.path(), LARGE_INSERT, 1);
    let output = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let answers = answers(&output);
    assert!(
        answers[0].starts_with("resources-exhausted: "),
        "{answers:?}"
    );
    assert_eq!(files_below(&lake.path()), before);
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "1");
    lake.run(LARGE_INSERT).await;
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "40001");
}

/// Somebody without rights on our files, also when the tests run as root.
#[cfg(unix)]
fn unprivileged(lake: &Path, folder: &Path, statements: &str) -> Command {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    set(folder, 0o755);
    if !is_root {
        return command(lake, statements, 1);
    }
    // The folder that this binary stands in may be closed to others.
    let binary = folder.join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    set(&binary, 0o755);
    let mut command = Command::new(binary);
    describe(&mut command, lake, statements, 1);
    command.uid(65_534).gid(65_534).current_dir(folder);
    command
}

#[cfg(unix)]
fn close(folder: &Path, mode_of_folders: u32, mode_of_files: u32) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            close(&path, mode_of_folders, mode_of_files);
        } else {
            let mode = std::fs::Permissions::from_mode(mode_of_files);
            std::fs::set_permissions(&path, mode).unwrap();
        }
    }
    let mode = std::fs::Permissions::from_mode(mode_of_folders);
    std::fs::set_permissions(folder, mode).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_lake_that_may_not_be_written_opens_for_reading() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
        .await;
    let path = lake.path();
    close(&path, 0o555, 0o444);
    let before = files_below(&path);
    let statements = "SELECT * FROM t; INSERT INTO t VALUES (2); CREATE TABLE u (a INT); \
                      DROP TABLE t; ALTER TABLE t CREATE TAG x; CREATE SCHEMA s; \
                      SELECT count(*) FROM t";
    let mut child = unprivileged(&path, path.parent().unwrap(), statements);
    let output = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    close(&path, 0o755, 0o644);
    let answers = answers(&output);
    assert_eq!(answers.len(), 7, "{answers:?}");
    assert_eq!(answers[0], "ok 1");
    for answer in &answers[1..6] {
        assert!(answer.starts_with("permission-denied: "), "{answer}");
    }
    assert_eq!(answers[6], "ok 1");
    assert_eq!(files_below(&path), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_lake_that_may_not_be_read_says_so() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
        .await;
    let path = lake.path();
    close(&path, 0o700, 0o000);
    let mut child = unprivileged(&path, path.parent().unwrap(), "SELECT * FROM t");
    let output = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    close(&path, 0o755, 0o644);
    let answers = answers(&output);
    assert!(answers[0].starts_with("permission-denied: "), "{answers:?}");
    assert!(answers[0].contains(path.to_str().unwrap()), "{answers:?}");
}
