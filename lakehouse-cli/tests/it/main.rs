//! The command `lake` as its users meet it: the real binary, its output and its exit codes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(test)]
#[cfg(feature = "aws")]
mod doctor;
#[cfg(test)]
mod ended;
#[cfg(test)]
mod stopped;
#[cfg(test)]
mod streams;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with a lake, made by the command itself.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let made = place.lake(&[
            "--create",
            "CREATE TABLE cities (id BIGINT, name VARCHAR); \
             INSERT INTO cities VALUES (1, 'Oslo'), (2, 'a,b'), (3, NULL)",
        ]);
        assert!(made.status.success(), "{}", stderr(&made));
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lake"));
        command
            .arg("sql")
            .arg("--lake")
            .arg(self.path().join("lake"));
        command
    }

    fn lake(&self, arguments: &[&str]) -> Output {
        self.command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Standard output of a run that must succeed and say nothing else.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.lake(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        stdout(&output)
    }

    /// Standard error of a run that must end with this code.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.lake(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        stderr(&output)
    }

    /// The names of all files beside the lake.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "lake")
            .collect();
        names.sort();
        names
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const ROWS: &str = "SELECT id, name FROM cities ORDER BY id";

#[test]
fn text_formats_go_to_standard_output() {
    let place = Place::new();
    let table = place.ok(&[ROWS]);
    assert!(table.contains("| id | name |"), "{table}");
    assert!(table.contains("| 3  | NULL |"), "{table}");
    assert_eq!(
        place.ok(&["--format", "csv", ROWS]),
        "id,name\n1,Oslo\n2,\"a,b\"\n3,\n"
    );
    assert_eq!(
        place.ok(&["--format", "json", ROWS]),
        "{\"id\":1,\"name\":\"Oslo\"}\n{\"id\":2,\"name\":\"a,b\"}\n{\"id\":3,\"name\":null}\n"
    );
    let files = place.ok(&["--format", "json", "SELECT * FROM cities.files"]);
    assert!(
        files.contains("\"value_counts\":{\"1\":3,\"2\":3}"),
        "{files}"
    );
}

#[test]
fn binary_formats_go_to_pipes_and_files() {
    let place = Place::new();
    let piped = place.lake(&["--format", "parquet", ROWS]);
    assert!(piped.stdout.starts_with(b"PAR1") && piped.stdout.ends_with(b"PAR1"));

    let file = place.path().join("rows.arrow");
    let file = file.to_str().unwrap();
    assert_eq!(place.ok(&["--format", "arrow", "--output", file, ROWS]), "");
    let reader =
        arrow::ipc::reader::FileReader::try_new(fs::File::open(file).unwrap(), None).unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 3);

    let stream = place.lake(&["--format", "arrow", ROWS]).stdout;
    let reader = arrow::ipc::reader::StreamReader::try_new(stream.as_slice(), None).unwrap();
    assert_eq!(
        reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(),
        3
    );

    let error = place.fails(
        1,
        &[
            "--format",
            "parquet",
            "--output",
            file,
            &format!("{ROWS}; {ROWS}"),
        ],
    );
    assert!(error.contains("one statement"), "{error}");
}

#[test]
fn a_file_is_replaced_only_by_a_whole_one() {
    let place = Place::new();
    let path = place.path().join("rows.csv");
    let file = path.to_str().unwrap();
    fs::write(&path, "old").unwrap();

    place.fails(
        1,
        &[
            "--format",
            "csv",
            "--output",
            file,
            &format!("{ROWS}; SELECT * FROM no"),
        ],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(place.files(), ["rows.csv"]);

    place.ok(&["--format", "csv", "--output", file, ROWS]);
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .starts_with("id,name\n1,Oslo\n")
    );
    assert_eq!(place.files(), ["rows.csv"]);

    let folder = place.path().to_str().unwrap();
    let error = place.fails(1, &["--output", folder, ROWS]);
    assert!(error.contains("folder"), "{error}");
}

#[test]
fn statements_run_in_order_until_one_fails() {
    let place = Place::new();
    let output = place.lake(&[
        "--format",
        "csv",
        "SELECT 1 AS a; INSERT INTO cities VALUES (4, 'Pune'); SELECT count(*) AS n FROM cities; \
         SELECT 1 / (id - 1) AS broken FROM cities; SELECT 2 AS never",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "a\n1\n\nn\n4\n");
    let error = stderr(&output);
    assert!(error.starts_with("error: "), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    // What was committed before the failure stays.
    assert_eq!(
        place.ok(&["--format", "csv", "SELECT count(*) AS n FROM cities"]),
        "n\n4\n"
    );
}

#[test]
fn commands_are_told_beside_tables_only() {
    let place = Place::new();
    let insert = "INSERT INTO cities VALUES (5, 'x'), (6, 'y')";
    assert_eq!(place.ok(&[insert]), "2 rows\n");
    assert_eq!(place.ok(&["--format", "json", insert]), "");
    assert_eq!(place.ok(&["CREATE TABLE t (a INT)"]), "done\n");
}

#[test]
fn errors_name_line_and_column() {
    let place = Place::new();
    let error = place.fails(1, &["SELECT 1;\nSELEC 2"]);
    assert!(
        error.contains("line 2") || error.contains("line: 2"),
        "{error}"
    );
    assert!(
        error.contains("column 1") || error.contains("column: 1"),
        "{error}"
    );
    // A text that cannot be read runs none of its statements.
    let output = place.lake(&["CREATE TABLE half (a INT); SELEC"]);
    assert_eq!(
        (output.status.code(), stdout(&output)),
        (Some(1), String::new())
    );
    let error = place.fails(1, &["SELECT * FROM half"]);
    assert!(error.contains("half"), "{error}");
}

#[test]
fn statements_may_begin_with_a_comment() {
    let place = Place::new();
    let sql = "-- the cities\nSELECT count(*) AS n FROM cities";
    assert_eq!(place.ok(&["--format", "csv", sql]), "n\n3\n");
    let error = place.fails(2, &["--fromat", "csv", "SELECT 1"]);
    assert!(error.contains("--fromat"), "{error}");
}

#[test]
fn scripts_come_from_files_and_pipes() {
    let place = Place::new();
    let script = place.path().join("script.sql");
    fs::write(
        &script,
        "-- two statements\nSELECT 1 AS a;\nSELECT 2 AS b;\n",
    )
    .unwrap();
    let expected = "a\n1\n\nb\n2\n";
    let script = script.to_str().unwrap();
    assert_eq!(place.ok(&["--format", "csv", "-f", script]), expected);

    for arguments in [&["--format", "csv"][..], &["--format", "csv", "-f", "-"]] {
        let mut child = place
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"SELECT 1 AS a; SELECT 2 AS b").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(stdout(&output), expected);
    }

    let error = place.fails(1, &["-f", "missing.sql"]);
    assert!(error.contains("missing.sql"), "{error}");
    fs::write(script, [0xff, 0xfe]).unwrap();
    let error = place.fails(1, &["-f", script]);
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let place = Place::new();
    let long = "SELECT value FROM generate_series(1, 300000)";
    let run = |text: &str| {
        let mut child = place
            .command()
            .args(["--format", "csv", text])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        assert_eq!(first, "value\n");
        child.wait_with_output().unwrap()
    };
    let quiet = run(long);
    assert!(quiet.status.success());
    assert_eq!(stderr(&quiet), "");
    // A change that was asked for and not made is not passed over in silence.
    let told = run(&format!("{long}; INSERT INTO cities VALUES (9, 'z')"));
    assert_eq!(told.status.code(), Some(1));
    assert!(stderr(&told).contains("not run"), "{}", stderr(&told));
}

#[test]
fn a_wrong_command_line_is_a_matter_of_its_own() {
    let place = Place::new();
    place.fails(2, &["--format", "xml", ROWS]);
    place.fails(2, &["--file", "a.sql", ROWS]);
    let bare = Command::new(env!("CARGO_BIN_EXE_lake"))
        .args(["sql", "SELECT 1"])
        .output()
        .unwrap();
    assert_eq!(bare.status.code(), Some(2));
    assert!(stderr(&bare).contains("--lake"), "{}", stderr(&bare));
}

#[test]
fn a_lake_is_made_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("typo");
    let output = Command::new(env!("CARGO_BIN_EXE_lake"))
        .args(["sql", "SELECT 1", "--lake"])
        .arg(&lake)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!lake.exists());

    fs::create_dir(&lake).unwrap();
    fs::write(lake.join("letter.txt"), "dear").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lake"))
        .args(["sql", "SELECT 1", "--create", "--lake"])
        .arg(&lake)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(fs::read_dir(&lake).unwrap().count(), 1);
}

#[test]
fn a_catalog_of_settings_is_made_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    fs::create_dir(&here).unwrap();
    let catalog = "[catalogs.c]\ntype = \"sqlite\"\nfile = \"../c.db\"\nwarehouse = \"../wh\"\n";
    fs::write(here.join("lake.toml"), catalog).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lake"));
        command
            .current_dir(&here)
            .args(["sql", "--config", "lake.toml"]);
        command.args(arguments).output().unwrap()
    };
    let sql = "CREATE TABLE t AS SELECT 1 AS a";
    let output = run(&[sql]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--create"), "{}", stderr(&output));
    assert!(!folder.path().join("c.db").exists());
    let output = run(&["--create", sql]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(folder.path().join("wh/default").is_dir());
}

#[test]
fn settings_come_from_a_file() {
    let place = Place::new();
    let count = "SELECT count(*) AS n FROM cities";
    for (name, text) in [
        (
            "settings.toml",
            "parallelism = 1\n[spill]\nbytes_max = 1000000\n",
        ),
        ("settings.json", "{\"parallelism\": 1}"),
    ] {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(
            place.ok(&["--format", "csv", "--config", path, count]),
            "n\n3\n"
        );
    }
    let path = place.path().join("wrong.toml");
    fs::write(&path, "paralellism = 1").unwrap();
    let error = place.fails(1, &["--config", path.to_str().unwrap(), count]);
    assert!(
        error.contains("paralellism") && error.contains("wrong.toml"),
        "{error}"
    );
}
