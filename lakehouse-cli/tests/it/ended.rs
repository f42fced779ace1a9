//! Changes of rows whose process is killed, or whose disk is full: done wholly or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Place, stderr};

const ROWS: i64 = 6_000;
/// Times that each statement is killed.
const KILLS: u32 = 10;

/// Statements, and queries that tell the state that each leaves of the one it finds.
const STATEMENTS: [(&str, &str); 3] = [
    (
        "UPDATE t SET v = v + 1 WHERE id % 3 = 0",
        "SELECT count(*), count(DISTINCT id), sum(v + CASE WHEN id % 3 = 0 THEN 1 ELSE 0 END) \
         FROM t",
    ),
    (
        "DELETE FROM t WHERE id % 50 = (SELECT min(id % 50) FROM t)",
        "SELECT count(*), count(DISTINCT id), sum(v) FROM t \
         WHERE id % 50 <> (SELECT min(id % 50) FROM t)",
    ),
    (
        "MERGE INTO t USING (SELECT value AS id FROM generate_series(1, 8000) WHERE value % 4 = 0) \
         AS s ON t.id = s.id WHEN MATCHED AND t.id % 8 = 0 THEN UPDATE SET v = t.v + 2 \
         WHEN NOT MATCHED THEN INSERT (id, p, v) VALUES (s.id, s.id % 4, 0)",
        "SELECT count(*), count(DISTINCT id), sum(v) FROM ( \
           SELECT id, CASE WHEN id % 8 = 0 AND id <= 8000 THEN v + 2 ELSE v END AS v FROM t \
           UNION ALL SELECT value, 0 FROM generate_series(1, 8000) \
           WHERE value % 4 = 0 AND value NOT IN (SELECT id FROM t))",
    ),
];
const STATE: &str = "SELECT count(*), count(DISTINCT id), sum(v) FROM t";

/// A lake with a table whose files are changed in this mode.
fn filled(place: &Place, mode: &str) {
    place.ok(&[&format!(
        "CREATE TABLE t (id BIGINT, p BIGINT, v BIGINT) PARTITIONED BY (p) TBLPROPERTIES ( \
           'format-version' = '3', 'write.delete.mode' = '{mode}', \
           'write.update.mode' = '{mode}', 'write.merge.mode' = '{mode}'); \
         INSERT INTO t SELECT value, value % 4, value FROM generate_series(1, {ROWS})"
    )]);
}

pub(crate) fn start(place: &Place, statement: &str) -> Child {
    start_command(place.command().arg(statement))
}

/// Starts a command with nothing to read and somebody who reads.
pub(crate) fn start_command(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Two queries, in one process: each one row.
fn answers(place: &Place, queries: [&str; 2]) -> [String; 2] {
    let text = place.ok(&["--format", "json", &queries.join("; ")]);
    let mut lines = text.lines().map(|line| {
        let values = line.split(',').filter_map(|cell| cell.split_once("\":"));
        let values: Vec<&str> = values
            .map(|(_, value)| value.trim_end_matches('}'))
            .collect();
        values.join("|")
    });
    [lines.next().unwrap(), lines.next().unwrap()]
}

/// The next of numbers that look drawn by chance and are the same each time.
pub(crate) fn drawn(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *seed >> 33
}

#[test]
fn c02_a_change_of_rows_that_is_killed_took_place_or_did_not() {
    let mut seed = 7;
    for mode in ["copy-on-write", "merge-on-read"] {
        let place = Place::new();
        filled(&place, mode);
        let (mut done, mut undone) = (0, 0);
        for (statement, after) in STATEMENTS {
            let began = now();
            let ended = start(&place, statement).wait_with_output().unwrap();
            assert!(ended.status.success(), "{}", stderr(&ended));
            let usual = began.elapsed();
            for _ in 0..KILLS {
                let [before, expected] = answers(&place, [STATE, after]);
                let mut child = start(&place, statement);
                // Not before it has begun, and sometimes a little late.
                let share = 300 + u32::try_from(drawn(&mut seed) % 800).unwrap();
                std::thread::sleep(usual * share / 1_000);
                child.kill().unwrap();
                let ended = child.wait_with_output().unwrap();
                let [state, _] = answers(&place, [STATE, STATE]);
                let is_done = state == expected;
                assert!(
                    is_done || state == before && !ended.status.success(),
                    "{mode}: {statement}: {before} became {state}, not {expected}: {}",
                    ended.status
                );
                match is_done && before != expected {
                    true => done += 1,
                    false => undone += 1,
                }
            }
        }
        assert!(undone > 0, "nobody was killed in time: {done} {undone}");
        println!("{mode}: {done} took place, {undone} did not");
        // Nobody waits for the dead.
        for (statement, after) in STATEMENTS {
            let [_, expected] = answers(&place, [STATE, after]);
            place.ok(&["--format", "csv", statement]);
            assert_eq!(answers(&place, [STATE, STATE])[0], expected);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a process takes")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A folder that holds few bytes: a file system of its own where we may mount one, else one in
/// which no file may be large.
pub(crate) struct Small {
    pub(crate) folder: PathBuf,
    is_mounted: bool,
}

const SMALL_BYTES: usize = 5 << 20;

impl Small {
    pub(crate) fn at(folder: PathBuf) -> Self {
        fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SMALL_BYTES}"), "tmpfs"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        Self { folder, is_mounted }
    }

    /// The command on a lake in the folder.
    fn lake(&self) -> Command {
        self.on(&self.folder.join("lake"))
    }

    /// The command on this lake, for which the folder holds few bytes.
    pub(crate) fn on(&self, lake: &Path) -> Command {
        let binary = env!("CARGO_BIN_EXE_lake");
        let mut command = match self.is_mounted {
            true => Command::new(binary),
            false => {
                let mut shell = Command::new("sh");
                let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
                shell.args(["-c", script, binary]);
                shell
            }
        };
        command.args(["sql", "--lake"]).arg(lake);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if self.is_mounted {
            let unmounted = Command::new("umount").arg(&self.folder).status();
            assert!(unmounted.is_ok_and(|status| status.success()));
        }
    }
}

/// The files below a folder, but those that SQLite makes and removes as it likes.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if !name.contains("catalog.db")
                // Somebody who is at work takes names away.
                && let Ok(metadata) = entry.metadata()
            {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

#[cfg(unix)]
#[test]
fn a_change_of_rows_on_a_full_disk_leaves_everything_as_it_was() {
    for mode in ["copy-on-write", "merge-on-read"] {
        let place = Place::new();
        let small = Small::at(place.path().join("small"));
        let run = |text: &str| small.lake().args(["--format", "csv"]).arg(text).output();
        // Bytes that no encoding makes small.
        let filled = small
            .lake()
            .arg("--create")
            .arg(format!(
                "CREATE TABLE t (id BIGINT, b BINARY) TBLPROPERTIES ( \
                   'write.delete.mode' = '{mode}', 'write.update.mode' = '{mode}', \
                   'write.merge.mode' = '{mode}'); \
                 INSERT INTO t SELECT value, sha512(CAST(value AS VARCHAR)) \
                   FROM generate_series(1, 7000); \
                 INSERT INTO t SELECT value, sha512(CAST(value AS VARCHAR)) \
                   FROM generate_series(7001, 14000)"
            ))
            .output()
            .unwrap();
        assert!(filled.status.success(), "{}", stderr(&filled));
        // What is left is less than a statement needs.
        let ballast = small.folder.join("ballast");
        if small.is_mounted {
            let free = (SMALL_BYTES as u64).saturating_sub(used_bytes(&small.folder));
            fs::write(
                &ballast,
                vec![0; usize::try_from(free).unwrap() - (500 << 10)],
            )
            .unwrap();
        }
        let state = "SELECT count(*), sum(id), count(DISTINCT b) FROM t";
        let before = run(state).unwrap().stdout;
        assert!(before.ends_with(b"14000,98007000,14000\n"));
        let stored = files(&small.folder);
        let large = "sha512(CAST(value AS VARCHAR) || 'x')";
        for statement in [
            "UPDATE t SET b = sha512(b)".to_owned(),
            "UPDATE t SET b = sha512(b) WHERE id % 10 > 0".to_owned(),
            format!(
                "MERGE INTO t USING (SELECT value, {large} AS b FROM generate_series(1, 28000)) \
                 AS s \
                 ON t.id = s.value WHEN MATCHED THEN UPDATE SET b = s.b \
                 WHEN NOT MATCHED THEN INSERT (id, b) VALUES (s.value, s.b)"
            ),
            format!(
                "MERGE INTO t USING (SELECT value, {large} AS b FROM generate_series(1, 28000)) \
                 AS s \
                 ON t.id = s.value WHEN NOT MATCHED THEN INSERT (id, b) VALUES (s.value, s.b) \
                 WHEN MATCHED AND t.id < 100 THEN DELETE"
            ),
        ] {
            let failed = run(&statement).unwrap();
            let told = stderr(&failed);
            assert_eq!(failed.status.code(), Some(1), "{mode}: {statement}: {told}");
            let cause = match small.is_mounted {
                true => "No space left on device",
                false => "File too large",
            };
            assert!(told.contains(cause), "{statement}: {told}");
            assert_eq!(files(&small.folder), stored, "{mode}: {statement}: {told}");
            assert_eq!(run(state).unwrap().stdout, before, "{statement}");
        }
        // With room again, all goes on.
        if small.is_mounted {
            fs::remove_file(&ballast).unwrap();
        }
        let done = run("DELETE FROM t WHERE id <= 7000").unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
        let after = run(state).unwrap().stdout;
        assert!(after.ends_with(b"7000,73503500,7000\n"));
    }
}

fn used_bytes(folder: &Path) -> u64 {
    let all = Command::new("du").args(["-s", "-B1"]).arg(folder).output();
    let text = String::from_utf8(all.unwrap().stdout).unwrap();
    let first = text.split_whitespace().next().unwrap();
    first.parse().unwrap()
}

/// How long a killed process may leave others waiting.
#[test]
fn the_next_change_does_not_wait_for_a_killed_one() {
    let place = Place::new();
    filled(&place, "copy-on-write");
    let mut child = start(&place, STATEMENTS[0].0);
    std::thread::sleep(Duration::from_millis(150));
    child.kill().unwrap();
    child.wait().unwrap();
    let began = now();
    place.ok(&["--format", "csv", STATEMENTS[1].0]);
    assert!(began.elapsed() < Duration::from_secs(30));
}
