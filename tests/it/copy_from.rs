//! `COPY … FROM` a file: all of its rows or none, and errors that say where.

use lakehouse::ErrorKind;
use tempfile::TempDir;

use crate::lake::TestLake;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

async fn lake() -> TestLake {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT NOT NULL, name VARCHAR, price DECIMAL(9, 2), day DATE, \
         at TIMESTAMP, flag BOOLEAN)",
    )
    .await;
    lake
}

fn row_of(error: &lakehouse::Error) -> &str {
    let row = error.context().iter().find(|(key, _)| *key == "row");
    row.map_or("", |(_, row)| row)
}

const ALL: &str = "SELECT * FROM t ORDER BY id";

#[tokio::test]
async fn csv_goes_by_the_names_in_its_header() {
    let (lake, files) = (lake().await, Files::new());
    let path = files.write(
        "a.csv",
        "NAME,id,day,price\n\"a, \"\"b\"\"\nc\",1,2024-02-29,1.005\n,2,,\n",
    );
    assert_eq!(lake.rows(&format!("COPY t FROM '{path}'")).await, ["2"]);
    assert_eq!(
        lake.rows(ALL).await,
        [
            "1|a, \"b\"\nc|1.01|2024-02-29|NULL|NULL",
            "2|NULL|NULL|NULL|NULL|NULL"
        ]
    );
    let path = files.write("b.csv", "id,nam\n3,x\n");
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let text = error.to_string();
    for part in [
        "\"nam\"",
        "did you mean \"name\"",
        "by their position",
        &path,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // By position, when columns are named.
    lake.run(&format!("COPY t (id, name) FROM '{path}'")).await;
    assert_eq!(lake.one("SELECT name FROM t WHERE id = 3").await, "x");
}

#[tokio::test]
async fn csv_has_the_forms_of_other_systems() {
    let (lake, files) = (lake().await, Files::new());
    let path = files.write("a.txt", "1;'x;y';NA\n2;;3.5\n");
    lake.run(&format!(
        "COPY t (id, name, price) FROM '{path}' (FORMAT csv, HEADER false, DELIMITER ';', QUOTE '''', \
         NULL 'NA')"
    ))
    .await;
    assert_eq!(
        lake.rows("SELECT id, name, price FROM t ORDER BY id").await,
        ["1|x;y|NULL", "2|NULL|3.50"]
    );
    let path = files.write("b.tsv", "id\tat\tflag\n3\t2024-01-01 10:00:00\ttrue\n");
    lake.run(&format!("COPY INTO t FROM '{path}' WITH (HEADER)"))
        .await;
    assert_eq!(
        lake.rows("SELECT at, flag FROM t WHERE id = 3").await,
        ["2024-01-01T10:00:00|true"]
    );
    for (options, part) in [
        ("(FORMAT avro)", "CSV, JSON and Parquet"),
        ("(HEADR true)", "did you mean `header`?"),
        ("(DELIMITER 'ab')", "one ASCII character"),
        (
            "(FORMAT parquet, HEADER true)",
            "no option of COPY … FROM a Parquet",
        ),
        ("(HEADER true, HEADER false)", "given twice"),
    ] {
        let error = lake.fails(&format!("COPY t FROM '{path}' {options}")).await;
        assert!(error.to_string().contains(part), "{options}: {error}");
    }
    let error = lake.fails("COPY t FROM '/nowhere/x.csv'").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("/nowhere/x.csv"), "{error}");
    let folder = files.path("");
    let error = lake
        .fails(&format!("COPY t FROM '{folder}' (FORMAT csv)"))
        .await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn an_error_names_file_row_and_column_and_leaves_no_row() {
    let (lake, files) = (lake().await, Files::new());
    let mut text = String::from("id,price\n");
    for row in 1..=20_000 {
        match row {
            15_001 => text.push_str("15001,1.5.5\n"),
            17_000 => text.push_str("x,1\n"),
            _ => text.push_str(&format!("{row},{row}.25\n")),
        }
    }
    let path = files.write("a.csv", &text);
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let text = error.to_string();
    for part in ["\"price\"", "1.5.5", &path] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(row_of(&error), "15001", "{text}");

    let path = files.write("b.csv", "id,name\n1,a\n,b\n");
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert!(error.to_string().contains("\"id\""), "{error}");
    assert_eq!(row_of(&error), "2", "{error}");

    let path = files.write("c.csv", "id,name\n1,a\n2,b,c\n");
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(error.to_string().contains(&path), "{error}");

    assert_eq!(lake.one("SELECT count(*) FROM t").await, "0");
    assert_eq!(lake.one("SELECT count(*) FROM t.snapshots").await, "0");
}

#[tokio::test]
async fn json_goes_by_its_keys_and_keeps_digits() {
    let (lake, files) = (lake().await, Files::new());
    lake.run(
        "CREATE TABLE n (id BIGINT, d DECIMAL(38, 3), s STRUCT<a: INT, b: VARCHAR>, l ARRAY<INT>)",
    )
    .await;
    let path = files.write(
        "a.ndjson",
        "{\"id\": 1, \"d\": 12345678901234567890.1235, \"l\": [1, 2]}\n\
         {\"s\": {\"b\": \"x\", \"a\": 7}, \"id\": 2}\n",
    );
    lake.run(&format!("COPY n FROM '{path}'")).await;
    assert_eq!(
        lake.rows("SELECT id, d, s.a, s.b, l FROM n ORDER BY id")
            .await,
        [
            "1|12345678901234567890.124|NULL|NULL|[1, 2]",
            "2|NULL|7|x|NULL"
        ]
    );
    // A key that comes late is not passed over.
    let mut text = "{\"id\": 1}\n".repeat(3000);
    text.push_str("{\"id\": 2, \"nmae\": \"x\"}\n");
    let path = files.write("b.json", &text);
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert!(error.to_string().contains("\"nmae\""), "{error}");
    lake.run(&format!("COPY t (id) FROM '{path}'")).await;
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "3001");
    let path = files.write("c.json", "{\"id\": 1.5}\n{\"id\": 3000000000}\n");
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains(&path), "{error}");
}

#[tokio::test]
async fn json_numbers_are_copied_with_their_digits_or_refused() {
    let (lake, files) = (lake().await, Files::new());
    lake.run(
        "CREATE TABLE n (id BIGINT, v VARCHAR, x DOUBLE, s STRUCT<v: VARCHAR>, \
         m MAP<VARCHAR, BIGINT>, d MAP<VARCHAR, DECIMAL(9, 2)>, f MAP<VARCHAR, DOUBLE>)",
    )
    .await;
    // One number with a point makes doubles of all others in its column.
    let path = files.write(
        "a.json",
        "{\"id\": 9007199254740993, \"x\": 1}\n{\"id\": 1.0, \"x\": 2.5}\n{\"id\": 1e3}\n\
         {\"id\": -9223372036854775808}\n",
    );
    lake.run(&format!("COPY n FROM '{path}'")).await;
    assert_eq!(
        lake.rows("SELECT id, x FROM n ORDER BY id").await,
        [
            "-9223372036854775808|NULL",
            "1|2.5",
            "1000|NULL",
            "9007199254740993|1.0"
        ]
    );
    for text in [
        "{\"id\": 1.5}",
        "{\"id\": 9223372036854775808}",
        "{\"id\": 1e30}",
        "{\"v\": 1.10}",
        "{\"v\": 12345678901234567890}",
        "{\"v\": 5}\n{\"v\": 0.5}",
        "{\"s\": {\"v\": 1.10}}",
        "{\"m\": {\"k\": 1.5}}",
        "{\"m\": {\"k\": 9007199254740993, \"l\": 1.0}}",
    ] {
        let path = files.write("b.json", text);
        let error = lake.fails(&format!("COPY n FROM '{path}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
        assert!(error.to_string().contains(&path), "{error}");
    }
    lake.run("DELETE FROM n").await;
    let path = files.write(
        "c.json",
        "{\"id\": 1, \"v\": \"1.10\", \"m\": {\"k\": 9007199254740993}, \
         \"d\": {\"k\": 1, \"l\": 1.005}, \"f\": {\"k\": 1, \"l\": 0.5}}\n",
    );
    lake.run(&format!("COPY n FROM '{path}'")).await;
    let path = files.write("d.json", "{\"id\": 2, \"v\": 9007199254740993}\n");
    lake.run(&format!("COPY n FROM '{path}'")).await;
    assert_eq!(
        lake.rows("SELECT id, v, m, d, f FROM n ORDER BY id").await,
        [
            "1|1.10|{k: 9007199254740993}|{k: 1.00, l: 1.01}|{k: 1.0, l: 0.5}",
            "2|9007199254740993|NULL|NULL|NULL"
        ]
    );
}

#[tokio::test]
async fn what_is_copied_out_is_copied_in_again() {
    let (lake, files) = (lake().await, Files::new());
    lake.run(
        "INSERT INTO t VALUES (1, 'a,\"b\"', 1.25, '2024-01-02', '2024-01-02 03:04:05.678901', true), \
         (2, NULL, NULL, NULL, NULL, false), (3, 'x', -0.01, '1969-12-31', '1960-01-01 00:00:00', NULL)",
    )
    .await;
    let before = lake.rows(ALL).await;
    for (name, options) in [
        ("a.csv", ""),
        (
            "b.csv",
            "(FORMAT csv, HEADER true, DELIMITER '|', NULL 'none')",
        ),
        ("c.csv.gz", "(FORMAT csv, COMPRESSION gzip)"),
        ("d.json", ""),
        ("e.ndjson", ""),
        ("f.parquet", ""),
        (
            "g.parquet",
            "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)",
        ),
    ] {
        let path = files.path(name);
        assert_eq!(
            lake.rows(&format!("COPY t TO '{path}' {options}")).await,
            ["3"],
            "{name}"
        );
        lake.run("DELETE FROM t").await;
        let options = options.replace(", COMPRESSION zstd, COMPRESSION_LEVEL 1", "");
        assert_eq!(
            lake.rows(&format!("COPY t FROM '{path}' {options}")).await,
            ["3"],
            "{name}"
        );
        assert_eq!(lake.rows(ALL).await, before, "{name}");
    }
    let error = lake
        .fails(&format!(
            "COPY t TO '{}' (FORMAT csv, COMPRESSION_LEVEL 3)",
            files.path("h.csv")
        ))
        .await;
    assert!(error.to_string().contains("compression_level"), "{error}");
}

#[tokio::test]
async fn an_empty_file_has_no_rows() {
    let (lake, files) = (lake().await, Files::new());
    for name in ["a.csv", "b.json"] {
        let path = files.write(name, "");
        assert_eq!(
            lake.rows(&format!("COPY t (id) FROM '{path}'")).await,
            ["0"]
        );
    }
    let path = files.write("c.csv", "id,name\n");
    assert_eq!(lake.rows(&format!("COPY t FROM '{path}'")).await, ["0"]);
    assert_eq!(lake.one("SELECT count(*) FROM t.snapshots").await, "0");
}

#[tokio::test]
async fn a_copy_goes_into_a_branch() {
    let (lake, files) = (lake().await, Files::new());
    lake.run("INSERT INTO t (id) VALUES (1); ALTER TABLE t CREATE BRANCH b")
        .await;
    let path = files.write("a.csv", "id\n2\n");
    lake.run(&format!("COPY t.branch_b FROM '{path}'")).await;
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "1");
    assert_eq!(lake.one("SELECT count(*) FROM t.branch_b").await, "2");
}

#[tokio::test]
async fn bytes_come_back_as_they_were_written() {
    let (lake, files) = (lake().await, Files::new());
    let columns = "id INT, b BINARY, f FIXED(2), w FIXED(16), u UUID";
    lake.run(&format!(
        "CREATE TABLE bytes ({columns}); CREATE TABLE back ({columns})"
    ))
    .await;
    lake.run(
        "INSERT INTO bytes VALUES (1, X'00ff', X'3031', X'000102030405060708090a0b0c0d0e0f', \
         'f79c3e09-677c-4bbd-a479-3f349cb785e7'), (2, NULL, NULL, NULL, NULL)",
    )
    .await;
    let rows = lake.rows("SELECT * FROM bytes ORDER BY id").await;
    for name in ["a.csv", "a.json", "a.parquet"] {
        let path = files.path(name);
        lake.run(&format!("COPY bytes TO '{path}'; DELETE FROM back"))
            .await;
        lake.run(&format!("COPY back FROM '{path}'")).await;
        assert_eq!(
            lake.rows("SELECT * FROM back ORDER BY id").await,
            rows,
            "{name}"
        );
    }
    // Also inside of other values.
    lake.run(
        "CREATE TABLE inner_bytes (s STRUCT<b: BINARY>, l ARRAY<BINARY>, m MAP<VARCHAR, BINARY>)",
    )
    .await;
    let path = files.path("b.json");
    lake.run(&format!(
        "COPY (SELECT struct(X'00ff' AS b) AS s, [X'01'] AS l, MAP {{'k': X'02'}} AS m) TO '{path}'; \
         COPY inner_bytes FROM '{path}'"
    ))
    .await;
    assert_eq!(
        lake.rows(
            "SELECT encode(s.b, 'hex'), encode(l[1], 'hex'), encode(m['k'], 'hex') FROM inner_bytes"
        )
        .await,
        ["00ff|01|02"]
    );
}

#[tokio::test]
async fn a_text_that_says_no_bytes_is_refused() {
    let (lake, files) = (lake().await, Files::new());
    lake.run("CREATE TABLE bytes (id INT, b BINARY, f FIXED(2))")
        .await;
    for (name, text, column) in [
        ("a.csv", "id,b,f\n1,00,0001\n2,hello,0001\n", "\"b\""),
        ("b.csv", "id,b,f\n1,,0001\n2,00,000102\n", "\"f\""),
        (
            "c.json",
            "{\"id\": 1, \"b\": \"00\"}\n{\"id\": 2, \"b\": \"0\"}\n",
            "\"b\"",
        ),
    ] {
        let path = files.write(name, text);
        let error = lake.fails(&format!("COPY bytes FROM '{path}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(row_of(&error), "2", "{error}");
        let text = error.to_string();
        assert!(text.contains(column) && text.contains(&path), "{text}");
    }
    assert_eq!(lake.one("SELECT count(*) FROM bytes").await, "0");
    // What a query reads of a file are its texts.
    let path = files.write("d.csv", "id,b,f\n1,ab,0001\n");
    lake.run(&format!(
        "INSERT INTO bytes (id, b) SELECT id, b FROM '{path}'"
    ))
    .await;
    assert_eq!(lake.one("SELECT encode(b, 'hex') FROM bytes").await, "6162");
}
