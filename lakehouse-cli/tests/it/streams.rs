//! Standard output and error that take nothing, and folders that are full.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::ended::Small;
use crate::{Place, stderr, stdout};

/// More than is kept in memory, and than a small folder holds.
const LARGE: &str = "SELECT repeat('x', 1000) AS a FROM generate_series(1, 25000)";
const LARGE_BYTES: usize = 2 + 25_000 * 1_001;

#[cfg(target_os = "linux")]
fn full() -> Stdio {
    fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn count(place: &Place) -> String {
    place.ok(&["--format", "csv", "SELECT count(*) AS n FROM cities"])
}

/// A settings file beside the lake.
fn settings(place: &Place, text: &str) -> String {
    let path = place.path().join("settings.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn spill_folder(folder: &Path) -> String {
    format!("[spill]\nfolder = {folder:?}\n")
}

fn failure(output: &Output) -> String {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    told
}

#[test]
fn a_standard_error_that_is_gone_changes_no_exit_code() {
    let place = Place::new();
    for (script, code) in [
        ("SELECT 1 FROM nope", 1),
        ("SELEC", 1),
        ("INSERT INTO cities VALUES (4, 'Pune')", 0),
    ] {
        let mut child = place
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).unwrap();
        drop(stdin);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{script}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_error_changes_no_exit_code() {
    let place = Place::new();
    let mut command = place.command();
    let failed = command.arg("SELECT 1 FROM nope").stderr(full()).status();
    assert_eq!(failed.unwrap().code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_change_whose_answer_cannot_be_written_was_done_and_says_so() {
    let place = Place::new();
    let insert = "INSERT INTO cities VALUES (4, 'Pune')";
    let one = place.command().arg(insert).stdout(full()).output().unwrap();
    let told = failure(&one);
    assert!(
        told.contains("the statement was done, but its answer"),
        "{told}"
    );
    assert!(told.contains("No space left on device"), "{told}");
    assert!(!told.contains("not run"), "{told}");
    assert_eq!(count(&place), "n\n4\n");

    let two = format!("{insert}; {insert}");
    let first = place.command().arg(two).stdout(full()).output().unwrap();
    let told = failure(&first);
    assert!(
        told.contains("the statement was done, but its answer"),
        "{told}"
    );
    assert!(told.contains("those after it were not run"), "{told}");
    assert_eq!(count(&place), "n\n5\n");

    let told = place.fails(1, &["--output", "/dev/full", insert]);
    assert!(told.contains("the statements were done, but"), "{told}");
    assert!(told.contains("output: /dev/full"), "{told}");
    assert_eq!(count(&place), "n\n6\n");

    // Of what only reads, nothing is said to be done.
    let read = place
        .command()
        .arg("SELECT 1")
        .stdout(full())
        .output()
        .unwrap();
    let told = failure(&read);
    assert!(!told.contains("done"), "{told}");
}

#[test]
fn a_large_result_waits_in_the_spill_folder() {
    let place = Place::new();
    let folder = place.path().join("spill");
    let config = settings(&place, &spill_folder(&folder));
    let read = place
        .command()
        .env("TMPDIR", place.path().join("missing"))
        .args(["--format", "csv", "--config", &config, LARGE])
        .output()
        .unwrap();
    assert_eq!(stderr(&read), "");
    assert_eq!(stdout(&read).len(), LARGE_BYTES);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

    let limited = format!("{}bytes_max = 2000000\n", spill_folder(&folder));
    let config = settings(&place, &limited);
    let told = place.fails(1, &["--format", "csv", "--config", &config, LARGE]);
    assert!(told.contains("spill.bytes_max"), "{told}");
}

#[test]
fn a_full_folder_is_named_with_what_to_do() {
    let place = Place::new();
    let small = Small::at(place.path().join("small"));
    let named = format!("folder: {}", small.folder.display());
    let config = settings(
        &place,
        &format!(
            "memory_budget_bytes = 20000000\n{}",
            spill_folder(&small.folder)
        ),
    );
    let run = |arguments: &[&str]| {
        let mut command = small.on(&place.path().join("lake"));
        command.args(["--config", &config]).args(arguments);
        failure(&command.output().unwrap())
    };
    let sorted = "SELECT sha512(CAST(value AS VARCHAR)) AS b FROM generate_series(1, 600000) \
                  ORDER BY b";
    let distinct = format!("CREATE TABLE t AS SELECT DISTINCT b FROM ({sorted})");
    for arguments in [
        &["--format", "csv", LARGE][..],
        &["--format", "parquet", sorted],
        &["--format", "csv", &distinct],
    ] {
        let told = run(arguments);
        assert!(told.contains(&named), "{arguments:?}: {told}");
        assert!(told.contains("spill.folder"), "{arguments:?}: {told}");
        assert!(told.contains("TMPDIR"), "{arguments:?}: {told}");
    }
    let file = small.folder.join("rows.csv");
    let told = run(&["--format", "csv", "--output", file.to_str().unwrap(), LARGE]);
    assert!(
        told.contains(&format!("output: {}", file.display())),
        "{told}"
    );
    assert_eq!(fs::read_dir(&small.folder).unwrap().count(), 0);
}
