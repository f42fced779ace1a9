//! Runs that a person or the system stops: what they leave, what they say, and how they end.
#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::ended::{drawn, files, now, start, start_command};
use crate::{Place, stderr};

/// What can stop a run, and how it then ends.
const SIGNALS: &[(&str, i32)] = &[
    ("-INT", 130),
    ("-TERM", 143),
    // Elsewhere nobody can tell whether it is ignored.
    #[cfg(target_os = "linux")]
    ("-HUP", 129),
];

/// Rows of which many files are written before they end.
const ENDLESS: &str = "INSERT INTO t SELECT value, sha512(CAST(value AS VARCHAR)) \
                       FROM generate_series(1, 1000000000)";

/// More than a pipe holds, and more than is kept in memory.
const LARGE: &str = "SELECT repeat('x', 1000) AS a FROM generate_series(1, 25000)";

/// The command as it is when nobody has told it to ignore signals. Programs inherit that, so a run
/// of the tests in the background (`nohup`) would hand it on.
fn stoppable(place: &Place) -> Command {
    let plain = place.command();
    if !cfg!(target_os = "linux") {
        return plain;
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", "--default-signal=INT"]);
    command.arg(plain.get_program()).args(plain.get_args());
    command
}

fn send(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
}

/// A table of many small files.
fn of_small_files(place: &Place) {
    place.ok(&["CREATE TABLE t (id BIGINT, b BINARY) \
                TBLPROPERTIES ('write.target-file-size-bytes' = '100000')"]);
}

/// Waits until the run has written so many files more than now.
fn wait_for_files(place: &Place, child: &mut Child, more: usize) {
    let folder = place.path().join("lake");
    let enough = files(&folder).len() + more;
    while files(&folder).len() < enough {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn rows(place: &Place, table: &str) -> String {
    let count = format!("SELECT count(*) AS n FROM {table}");
    let text = place.ok(&["--format", "csv", &count]);
    text.trim_start_matches("n\n").trim_end().to_owned()
}

#[test]
fn a_stopped_insert_leaves_no_files() {
    for (signal, code) in SIGNALS {
        let place = Place::new();
        of_small_files(&place);
        let folder = place.path().join("lake");
        let before = files(&folder);
        let output = place.path().join("told.txt");
        let arguments = ["--output", output.to_str().unwrap(), ENDLESS];
        let mut child = start_command(stoppable(&place).args(arguments));
        wait_for_files(&place, &mut child, 30);
        send(&child, signal);
        let ended = child.wait_with_output().unwrap();
        let told = stderr(&ended);
        assert_eq!(ended.status.code(), Some(*code), "{signal}: {told}");
        assert_eq!(told, "cancelled; the statement changed nothing\n");
        assert_eq!(files(&folder), before, "{signal}");
        assert_eq!(place.files(), [""; 0], "{signal}");
    }
}

#[test]
fn a_stopped_insert_says_whether_it_was_done() {
    let place = Place::new();
    place.ok(&["CREATE TABLE t (round BIGINT, id BIGINT)"]);
    let insert =
        |round: u32| format!("INSERT INTO t SELECT {round}, value FROM generate_series(1, 30000)");
    let began = now();
    place.ok(&["--format", "csv", &insert(0)]);
    let usual = began.elapsed();
    let (mut seed, mut expected) = (3, 30_000);
    for round in 1..=20 {
        let child = start(&place, &insert(round));
        let share = 400 + u32::try_from(drawn(&mut seed) % 600).unwrap();
        std::thread::sleep(usual * share / 1_000);
        send(&child, "-INT");
        let ended = child.wait_with_output().unwrap();
        let told = stderr(&ended);
        let is_done = match ended.status.code() {
            Some(0) => true,
            Some(130) if told == "cancelled; the statement was done\n" => true,
            Some(130) if told == "cancelled; the statement changed nothing\n" => false,
            // Before the statement, or before anybody listened.
            Some(130) if told == "cancelled\n" => false,
            None => false,
            other => panic!("{other:?}: {told}"),
        };
        expected += u32::from(is_done) * 30_000;
        assert_eq!(rows(&place, "t"), expected.to_string(), "{told}");
    }
}

/// The answer of the first statement leaves one byte of room in a pipe, so that the second waits
/// with its own.
#[cfg(target_os = "linux")]
#[test]
fn a_statement_whose_answer_waits_was_done() {
    let place = Place::new();
    let full = "SELECT repeat('x', 13102) AS a";
    assert_eq!(place.ok(&[full]).len(), (1 << 16) - 1);
    let mut child = start(
        &place,
        &format!("{full}; INSERT INTO cities VALUES (7, 'Lima')"),
    );
    while rows(&place, "cities") == "3" {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    send(&child, "-TERM");
    let status = child.wait().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(143), "{}", stderr(&ended));
    assert_eq!(stderr(&ended), "cancelled; the statement was done\n");
}

#[test]
fn whoever_does_not_read_keeps_nobody_from_stopping() {
    let place = Place::new();
    let temporary = place.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    for (signal, code) in SIGNALS {
        let mut command = stoppable(&place);
        command.env("TMPDIR", &temporary);
        let mut child = start_command(command.args(["--format", "csv", LARGE]));
        let mut first = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut first)
            .unwrap();
        send(&child, signal);
        let status = child.wait().unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(*code), "{signal}: {}", stderr(&ended));
        assert_eq!(stderr(&ended), "cancelled\n");
        assert_eq!(files(&temporary), [], "{signal}");
    }
}

#[test]
fn nohup_outlives_its_terminal() {
    let place = Place::new();
    of_small_files(&place);
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .args([env!("CARGO_BIN_EXE_lake"), "sql", "--lake"])
        .arg(place.path().join("lake"))
        .arg(ENDLESS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_files(&place, &mut child, 10);
    send(&child, "-HUP");
    wait_for_files(&place, &mut child, 30);
    send(&child, "-TERM");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(143), "{}", stderr(&ended));
}
