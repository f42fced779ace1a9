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
        ["1|x;y|NULL", "2||3.50"]
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
    let path = files.write(
        "d.json",
        "{\"id\": 2, \"v\": 9007199254740993, \"m\": {\"k\": 9007199254740993, \"l\": 1.0}}\n",
    );
    lake.run(&format!("COPY n FROM '{path}'")).await;
    assert_eq!(
        lake.rows("SELECT id, v, m, d, f FROM n ORDER BY id").await,
        [
            "1|1.10|{k: 9007199254740993}|{k: 1.00, l: 1.01}|{k: 1.0, l: 0.5}",
            "2|9007199254740993|{k: 9007199254740993, l: 1}|NULL|NULL"
        ]
    );
}

#[tokio::test]
async fn what_is_copied_out_is_copied_in_again() {
    let (lake, files) = (lake().await, Files::new());
    lake.run(
        "INSERT INTO t VALUES (1, 'a,\"b\"', 1.25, '2024-01-02', '2024-01-02 03:04:05.678901', true), \
         (2, NULL, NULL, NULL, NULL, false), (4, '', NULL, NULL, NULL, NULL), (3, 'x', -0.01, '1969-12-31', '1960-01-01 00:00:00', NULL)",
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
            ["4"],
            "{name}"
        );
        lake.run("DELETE FROM t").await;
        let options = options.replace(", COMPRESSION zstd, COMPRESSION_LEVEL 1", "");
        assert_eq!(
            lake.rows(&format!("COPY t FROM '{path}' {options}")).await,
            ["4"],
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
async fn a_file_of_no_bytes_that_needs_some_is_refused() {
    let (lake, files) = (lake().await, Files::new());
    for name in ["a.parquet", "a.csv.gz", "a.json.zst"] {
        let path = files.write(name, "");
        for columns in ["", "(id)"] {
            let error = lake.fails(&format!("COPY t {columns} FROM '{path}'")).await;
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            let text = error.to_string();
            assert!(text.contains("0 bytes") && text.contains(&path), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused() {
    let (lake, files) = (lake().await, Files::new());
    let pipe = files.path("a.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let link = files.path("link.csv");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for statement in [
        format!("COPY t FROM '{pipe}'"),
        format!("COPY t (id) FROM '{link}'"),
        format!("COPY t FROM 'file://{pipe}'"),
        format!("SELECT * FROM '{pipe}'"),
        format!("INSERT INTO t SELECT * FROM '{link}'"),
        format!("CREATE EXTERNAL TABLE e (id INT) STORED AS CSV LOCATION '{pipe}'"),
    ] {
        let error = lake.fails(&statement).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{statement}: {error}");
        let text = error.to_string();
        assert!(text.contains("this is a pipe"), "{statement}: {text}");
        assert!(text.contains("csv"), "{statement}: {text}");
    }
    let error = lake.fails("COPY t FROM '/dev/null' (FORMAT csv)").await;
    assert!(error.to_string().contains("this is a device"), "{error}");
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

#[tokio::test]
async fn a_file_that_ends_inside_of_quotes_is_refused() {
    let (lake, files) = (lake().await, Files::new());
    let path = files.write("a.csv", "id,name\n1,\"a\nb\"\n2,\"x\n3,y\n4,z\n");
    for statement in ["COPY t FROM", "COPY t (id, name) FROM"] {
        let error = lake.fails(&format!("{statement} '{path}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let text = error.to_string();
        assert!(text.contains("line 4 of the file opens a quote"), "{text}");
        assert!(text.contains(&path), "{text}");
    }
    let path = files.write("b.csv", "id,\"name\n1,a\n");
    let error = lake.fails(&format!("COPY t FROM '{path}'")).await;
    assert!(error.to_string().contains("line 1 of the file"), "{error}");
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "0");
    assert_eq!(lake.one("SELECT count(*) FROM t.snapshots").await, "0");
}

#[tokio::test]
async fn an_empty_line_of_one_column_is_null() {
    let (lake, files) = (lake().await, Files::new());
    lake.run("CREATE TABLE i (i INT); CREATE TABLE s (s VARCHAR)")
        .await;
    for (text, rows) in [
        ("i\n1\n\n3\n", ["1", "3", "NULL"].as_slice()),
        ("i\r\n1\r\n\r\n", &["1", "NULL"]),
        ("i\n\"\"\n7", &["7", "NULL"]),
    ] {
        let path = files.write("a.csv", text);
        lake.run(&format!("DELETE FROM i; COPY i FROM '{path}'"))
            .await;
        let found = lake.rows("SELECT i FROM i ORDER BY i NULLS LAST").await;
        assert_eq!(found, rows, "{text:?}");
    }
    let path = files.write("b.csv", "a\n\n\"\"\n");
    for (options, rows) in [
        ("(HEADER false)", ["", "a", "NULL"]),
        ("(HEADER false, NULL 'a')", ["", "", "NULL"]),
    ] {
        lake.run(&format!("DELETE FROM s; COPY s FROM '{path}' {options}"))
            .await;
        let found = lake.rows("SELECT s FROM s ORDER BY s NULLS LAST").await;
        assert_eq!(found, rows, "{options}");
    }
    // Of several columns it is none.
    let path = files.write("c.csv", "id,name\n\n1,a\n\n");
    lake.run(&format!("COPY t FROM '{path}'")).await;
    assert_eq!(lake.one("SELECT count(*) FROM t").await, "1");
}

#[tokio::test]
async fn empty_texts_and_null_come_back_as_they_were() {
    let (lake, files) = (lake().await, Files::new());
    lake.run(
        "CREATE TABLE s (a INT, b VARCHAR, c BINARY);
         INSERT INTO s VALUES (1, '', X''), (2, NULL, NULL), (NULL, 'NA', X'00'), (3, ' ', X'4e'), \
         (4, 'a\\', NULL), (5, 'a\\\"b,c;''d', NULL), (6, 'NULL', NULL), (7, 'e\r\nf', NULL)",
    )
    .await;
    let path = files.path("a.csv");
    for columns in ["a, b, c", "b", "c", "a"] {
        lake.run(&format!(
            "CREATE OR REPLACE TABLE back AS SELECT {columns} FROM s LIMIT 0"
        ))
        .await;
        let all = |table: &str| format!("SELECT {columns} FROM {table} ORDER BY {columns}");
        let expected = lake.rows(&all("s")).await;
        for options in [
            "(HEADER true)",
            "(NULL 'NA')",
            "(HEADER false, DELIMITER ';', QUOTE '''', NULL 'NULL')",
            "(ESCAPE '\\', NULL '\\N')",
        ] {
            lake.run(&format!(
                "COPY (SELECT {columns} FROM s) TO '{path}' {options}; DELETE FROM back; \
                 COPY back FROM '{path}' {options}"
            ))
            .await;
            let found = lake.rows(&all("back")).await;
            assert_eq!(found, expected, "{columns} {options}");
        }
    }
}

#[tokio::test]
async fn values_of_json_maps_are_converted_as_those_of_columns() {
    let (lake, files) = (lake().await, Files::new());
    lake.run(
        "CREATE TABLE m (id INT, l MAP<VARCHAR, ARRAY<INT>>, s MAP<VARCHAR, STRUCT<p: INT>>, \
         m MAP<VARCHAR, MAP<VARCHAR, BIGINT>>, d MAP<VARCHAR, ARRAY<DECIMAL(9, 2)>>, \
         t MAP<VARCHAR, TIMESTAMP>, z MAP<VARCHAR, TIMESTAMP WITH TIME ZONE>, \
         day MAP<VARCHAR, DATE>, o MAP<VARCHAR, TIME>, k MAP<INT, VARCHAR>, x ARRAY<DOUBLE>)",
    )
    .await;
    let refused = async |text: &str| {
        let path = files.write("a.json", text);
        let error = lake.fails(&format!("COPY m FROM '{path}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
        assert!(error.to_string().contains(&path), "{text}: {error}");
        error.to_string()
    };
    for text in [
        r#"{"l": {"x": [1, 2.7]}}"#,
        r#"{"l": {"x": [1], "y": [2.5]}}"#,
        r#"{"s": {"x": {"p": 1.9}}}"#,
        r#"{"m": {"x": {"y": 1.5}}}"#,
        r#"{"m": {"x": {"y": 1}, "z": {"y": 9007199254740993.5}}}"#,
        r#"{"t": {"x": 1700000000}}"#,
        r#"{"day": {"x": 17000}}"#,
        r#"{"o": {"x": 17000}}"#,
        r#"{"k": {"1.5": "a"}}"#,
    ] {
        refused(text).await;
    }
    for (text, part) in [
        (r#"{"s": {"x": {"p": 1}, "y": {"q": 2}}}"#, "\"q\""),
        (r#"{"l": {"x": [1], "x": [2]}}"#, "key \"x\" twice"),
        (
            r#"{"m": {"x": {"y": 1, "z": 2, "y": 3}}}"#,
            "key \"y\" twice",
        ),
    ] {
        let error = refused(text).await;
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(lake.one("SELECT count(*) FROM m").await, "0");
    let path = files.write("z.json", r#"{"id": 5, "z": {"x": "2024-01-01T00:00:00"}}"#);
    lake.run(&format!(
        "SET TIME ZONE 'America/New_York'; COPY m FROM '{path}'; SET TIME ZONE 'UTC'"
    ))
    .await;
    let path = files.write(
        "b.json",
        r#"{"id": 1, "l": {"x": [1], "y": [], "z": null}, "s": {"x": {"p": 1}, "y": null}}
           {"id": 2, "m": {"x": {"y": 9007199254740993}, "z": {}}, "d": {"x": [1.005, 2]}}
           {"id": 3, "t": {"x": "2024-01-01T00:00:00"}, "day": {"x": "2024-01-01"}}
           {"id": 4, "k": {"1": "a", "2": "b"}, "l": {}, "x": [1, 2]}"#,
    );
    lake.run(&format!("COPY m FROM '{path}'")).await;
    for (query, row) in [
        (
            "l, s FROM m WHERE id = 1",
            "{x: [1], y: [], z: NULL}|{x: {p: 1}, y: NULL}",
        ),
        (
            "m, d FROM m WHERE id = 2",
            "{x: {y: 9007199254740993}, z: {}}|{x: [1.01, 2.00]}",
        ),
        (
            "t, day FROM m WHERE id = 3",
            "{x: 2024-01-01T00:00:00}|{x: 2024-01-01}",
        ),
        ("k, l, x FROM m WHERE id = 4", "{1: a, 2: b}|{}|[1.0, 2.0]"),
        ("z FROM m WHERE id = 5", "{x: 2024-01-01T05:00:00Z}"),
    ] {
        assert_eq!(
            lake.rows(&format!("SELECT {query}")).await,
            [row],
            "{query}"
        );
    }
}

#[tokio::test]
async fn instants_of_a_file_are_shown_in_the_zone_of_the_session() {
    let (lake, files) = (lake().await, Files::new());
    let path = files.path("zone.parquet");
    let write = format!(
        "SET TIME ZONE 'Asia/Tokyo'; COPY (SELECT TIMESTAMPTZ '2020-01-01 00:00:00Z' AS z, \
         [TIMESTAMPTZ '2020-01-01 00:00:00Z'] AS l) TO '{path}'"
    );
    lake.run(&write).await;
    lake.run("CREATE TABLE z (z TIMESTAMP, l ARRAY<TIMESTAMP>)")
        .await;
    for (zone, shown, clock) in [
        ("UTC", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00"),
        (
            "America/New_York",
            "2019-12-31T19:00:00-05:00",
            "2019-12-31T19:00:00",
        ),
    ] {
        lake.run(&format!("SET TIME ZONE '{zone}'")).await;
        let read = format!("SELECT z, CAST(z AS TIMESTAMP), l FROM '{path}'");
        assert_eq!(
            lake.rows(&read).await,
            [format!("{shown}|{clock}|[{shown}]")],
            "{zone}"
        );
        lake.run(&format!("COPY z FROM '{path}'")).await;
        let stored = lake.rows("SELECT * FROM z").await;
        assert_eq!(stored, [format!("{clock}|[{clock}]")], "{zone}");
        lake.run("TRUNCATE TABLE z").await;
    }
}

#[tokio::test]
async fn texts_that_say_no_value_are_no_zero() {
    let (lake, files) = (lake().await, Files::new());
    lake.run("CREATE TABLE times (k INT, t TIME, at TIMESTAMP)")
        .await;
    for (text, table, parts) in [
        (
            "id,price\n1,2.5\n2,-\n",
            "t",
            ["\"-\" is no number", "price"],
        ),
        ("id,price\n1,\" \"\n", "t", ["\" \" is no number", "price"]),
        (
            "k,t\n1,10\n",
            "times",
            ["\"10\" is no time of day", "\"t\""],
        ),
    ] {
        let path = files.write("a.csv", text);
        let error = lake.fails(&format!("COPY {table} FROM '{path}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
        let rows = text.lines().count() - 1;
        assert_eq!(row_of(&error), rows.to_string(), "{text}: {error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
    let path = files.write("b.csv", "id,price\n1,1.5e3\n2,+7\n");
    lake.run(&format!("COPY t FROM '{path}'")).await;
    assert_eq!(
        lake.rows("SELECT id, price FROM t ORDER BY id").await,
        ["1|1500.00", "2|7.00"]
    );
    let path = files.write("c.csv", "k,t,at\n1,10:30,2024-01-01 10:30\n");
    lake.run(&format!("COPY times FROM '{path}'")).await;
    assert_eq!(
        lake.rows("SELECT * FROM times").await,
        ["1|10:30:00|2024-01-01T10:30:00"]
    );
}

#[tokio::test]
async fn keys_of_maps_come_once_also_behind_their_cast() {
    let (lake, files) = (TestLake::folder().await, Files::new());
    lake.run("CREATE TABLE m (k INT, m MAP<INT, INT>)").await;
    let path = files.path("a.parquet");
    lake.run(&format!(
        "COPY (SELECT * FROM (VALUES (1, MAP(['1', '2'], [1, 2])), (2, MAP(['3', '03'], [1, 2])), \
         (3, MAP(['1'], [1]))) AS r (k, m)) TO '{path}'"
    ))
    .await;
    let error = lake.fails(&format!("COPY m FROM '{path}'")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(row_of(&error), "2", "{error}");
    assert!(error.to_string().contains("key \"3\" twice"), "{error}");
}
