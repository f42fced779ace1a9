//! `COPY … TO` a file: what is there stays until the new file is complete.

use lakehouse::ErrorKind;
use tempfile::TempDir;

use crate::lake::TestLake;

fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_that_fails_leaves_what_was_there() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for ending in ["csv", "parquet", "json"] {
        let path = folder.path().join(format!("rows.{ending}"));
        std::fs::write(&path, "old").unwrap();
        let target = path.to_str().unwrap();
        lake.fails(&format!(
            "COPY (SELECT 10 / (n - 9000) FROM range(0, 10000) AS r(n)) TO '{target}'"
        ))
        .await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old", "{ending}");
    }
    assert_eq!(names(&folder), ["rows.csv", "rows.json", "rows.parquet"]);
}

#[tokio::test]
async fn a_copy_replaces_a_file_when_it_is_complete() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, "old").unwrap();
    let target = path.to_str().unwrap();
    assert_eq!(
        lake.rows(&format!("COPY (SELECT 7 AS n) TO '{target}'"))
            .await,
        ["1"]
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "n\n7\n");
    let url = format!("file://{target}");
    lake.run(&format!(
        "COPY (SELECT 8 AS n) TO '{url}' STORED AS CSV OPTIONS (has_header 'false')"
    ))
    .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "8\n");
    assert_eq!(names(&folder), ["rows.csv"]);
}

#[tokio::test]
async fn the_target_is_the_name_as_it_is_written() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let written = ["[x].csv", "a%20b", "a*b.csv", "a?b.csv", "o"];
    for name in written {
        let path = folder.path().join(name);
        let copy = format!("COPY (SELECT 7 AS n) TO '{}' (FORMAT csv)", path.display());
        lake.run(&copy).await;
        lake.run(&copy).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "n\n7\n", "{name}");
    }
    assert_eq!(names(&folder), written);
    // A link stays one.
    #[cfg(unix)]
    {
        let link = folder.path().join("link.csv");
        std::os::unix::fs::symlink(folder.path().join("o"), &link).unwrap();
        lake.run(&format!("COPY (SELECT 8 AS n) TO '{}'", link.display()))
            .await;
        assert!(link.is_symlink());
        assert_eq!(
            std::fs::read_to_string(folder.path().join("o")).unwrap(),
            "n\n8\n"
        );
    }
}

#[tokio::test]
async fn what_is_in_the_way_of_a_copy_stays() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("file"), "old").unwrap();
    for (target, part) in [
        (path("folder"), "end it with `/`"),
        (path("file/"), "file"),
        (path("file/below"), "file/below"),
        ("/dev/null".to_owned(), "no file that can be replaced"),
    ] {
        let error = lake
            .fails(&format!("COPY (SELECT 1 AS n) TO '{target}' (FORMAT csv)"))
            .await;
        assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(names(&folder), ["file", "folder"]);
    assert_eq!(std::fs::read_to_string(path("file")).unwrap(), "old");
}

#[tokio::test]
async fn a_copy_is_packed_by_its_ending_as_it_is_read() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    lake.run("CREATE TABLE t (a INT, b VARCHAR); INSERT INTO t VALUES (1, 'x'), (2, 'y\tz')")
        .await;
    for (name, begins) in [
        ("o.csv.gz", &b"\x1f\x8b"[..]),
        ("o.csv.bz2", b"BZh"),
        ("o.csv.xz", b"\xfd7zXZ"),
        ("o.csv.zst", b"\x28\xb5\x2f\xfd"),
        ("o.jsonl.gz", b"\x1f\x8b"),
        ("o.tsv", b"a\tb\n1\tx\n2\t\"y\tz\"\n"),
        ("o.ndjson", b"{\"a\":1,\"b\":\"x\"}\n"),
    ] {
        let path = folder.path().join(name);
        lake.run(&format!(
            "COPY t TO '{0}'; DELETE FROM t; COPY t FROM '{0}'",
            path.display()
        ))
        .await;
        assert!(std::fs::read(&path).unwrap().starts_with(begins), "{name}");
        assert_eq!(
            lake.sorted("SELECT * FROM t").await,
            ["1|x", "2|y\tz"],
            "{name}"
        );
    }
    let path = folder.path().join("plain.csv.gz");
    lake.run(&format!(
        "COPY t TO '{}' (COMPRESSION none)",
        path.display()
    ))
    .await;
    assert!(std::fs::read(&path).unwrap().starts_with(b"a,b"));
}

#[tokio::test]
async fn a_copy_takes_columns_of_its_table() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("o.csv");
    let target = path.display();
    lake.run(&format!(
        "CREATE TABLE t (id INT, a INT, \"B c\" VARCHAR); INSERT INTO t VALUES (1, 2, 'x'); \
         COPY t (\"B c\", id) TO '{target}'"
    ))
    .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "B c,id\nx,1\n");
    lake.run(&format!("COPY generate_series(1, 2) TO '{target}'"))
        .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "value\n1\n2\n");
    let error = lake.fails(&format!("COPY t (nope) TO '{target}'")).await;
    assert!(error.to_string().contains("nope"), "{error}");
}

#[tokio::test]
async fn options_that_mean_nothing_are_refused_at_their_place() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for (name, options, column, part) in [
        ("x.parquet", "(ROW_GROUP_SIZE 0)", 2, "from 1 to"),
        ("x.csv", "(NULL '\"')", 2, "holds the delimiter"),
        (
            "x.csv",
            "(DELIMITER ';', NULL 'a;b')",
            17,
            "holds the delimiter",
        ),
        ("x.csv", "(QUOTE ',')", 2, "another character than"),
        (
            "x.csv",
            "(DELIMITER '\\', ESCAPE '\\')",
            2,
            "another character",
        ),
        ("x.parquet", "(ROW_GROUP_SIZE 'x')", 2, "found 'x'"),
        (
            "x.parquet",
            "(COMPRESSION zstd, COMPRESSION_LEVEL 99)",
            20,
            "from 1 to 22",
        ),
        (
            "x.parquet",
            "(COMPRESSION snappy, COMPRESSION_LEVEL 1)",
            22,
            "no levels",
        ),
        (
            "x.parquet",
            "(COMPRESSION_LEVEL 1)",
            2,
            "needs a `compression`",
        ),
        ("x.parquet", "(COMPRESSION foo)", 2, "brotli"),
        (
            "x.parquet",
            "(HEADER)",
            2,
            "`header` is no option of COPY … TO a Parquet file",
        ),
        (
            "x.json",
            "(DELIMITER ';')",
            2,
            "`delimiter` is no option of COPY … TO a JSON file",
        ),
        (
            "x.csv",
            "(ROW_GROUP_SIZE 9)",
            2,
            "`row_group_size` is no option",
        ),
        ("x.csv", "(COMPRESSION snappy)", 2, "gzip"),
        ("x", "(FORMAT xlsx)", 2, "CSV, JSON and Parquet"),
        ("x.csv", "(PARTITION_BY)", 2, "takes columns"),
    ] {
        let path = folder.path().join(name);
        let begin = format!("COPY (SELECT 1 AS n) TO '{}' ", path.display());
        let column = begin.chars().count() + column;
        let error = lake.fails(&format!("{begin}{options}")).await;
        let told = error.to_string();
        assert!(told.contains(part), "{name} {options}: {told}");
        assert!(
            told.contains(&format!("line 1, column {column}: ")),
            "{options}: {told}"
        );
    }
    for (name, options, part) in [
        ("x.txt", "", "CSV, JSON and Parquet"),
        ("x", "", "no ending"),
        ("x.parquet.gz", "", "leave the last ending out"),
        (
            "x.parquet",
            "STORED AS PARQUET OPTIONS (max_row_group_size 0)",
            "from 1",
        ),
    ] {
        let path = folder.path().join(name);
        let target = format!("COPY (SELECT 1 AS n) TO '{}' {options}", path.display());
        let told = lake.fails(&target).await.to_string();
        assert!(told.contains(part), "{name} {options}: {told}");
        assert!(told.contains("line 1, column 25: "), "{told}");
    }
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_to_a_store_that_is_not_there_is_not_offered() {
    let lake = TestLake::memory().await;
    let error = lake
        .fails("COPY (SELECT 1 AS n) TO 's3://bucket/rows.csv'")
        .await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("s3://bucket"), "{error}");
}

#[tokio::test]
async fn json_gets_no_null_for_a_number_that_it_cannot_say() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.json");
    std::fs::write(&path, "old").unwrap();
    let target = path.to_str().unwrap();
    for rows in [
        "SELECT CAST('NaN' AS DOUBLE) AS x",
        "SELECT CAST('inf' AS FLOAT) AS x",
        "SELECT [1.0, CAST('-inf' AS DOUBLE)] AS x",
        "SELECT struct(CAST('NaN' AS DOUBLE) AS y) AS x",
        "SELECT MAP {'k': CAST('NaN' AS DOUBLE)} AS x",
    ] {
        let error = lake.fails(&format!("COPY ({rows}) TO '{target}'")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("\"x\""), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    lake.run(&format!(
        "COPY (SELECT 1.5e0 AS x, [NULL, 2e0] AS l, CAST(CAST('NaN' AS DOUBLE) AS VARCHAR) AS t) TO '{target}'"
    ))
    .await;
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\"x\":1.5,\"l\":[null,2.0],\"t\":\"NaN\"}\n"
    );
    // The text is the number again.
    lake.run(&format!(
        "CREATE TABLE t (x DOUBLE, l ARRAY<DOUBLE>, t DOUBLE); COPY t FROM '{target}'"
    ))
    .await;
    assert_eq!(lake.one("SELECT t FROM t").await, "NaN");
    let csv = folder.path().join("rows.csv");
    lake.run(&format!(
        "COPY (SELECT CAST('NaN' AS DOUBLE) AS x) TO '{}'",
        csv.display()
    ))
    .await;
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), "x\nNaN\n");
}

#[tokio::test]
async fn json_keeps_the_keys_of_maps_that_have_no_value() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.json");
    let target = path.to_str().unwrap();
    lake.run(
        "CREATE TABLE t (k INT, m MAP<VARCHAR, INT>, l ARRAY<INT>); \
         INSERT INTO t VALUES (1, MAP(['k', 'z'], [1, NULL]), NULL), (NULL, NULL, [NULL, 2])",
    )
    .await;
    lake.run(&format!("COPY (SELECT * FROM t ORDER BY k) TO '{target}'"))
        .await;
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\"k\":1,\"m\":{\"k\":1,\"z\":null},\"l\":null}\n\
         {\"k\":null,\"m\":null,\"l\":[null,2]}\n"
    );
    lake.run(&format!(
        "CREATE TABLE u AS SELECT * FROM t WHERE false; COPY u FROM '{target}'"
    ))
    .await;
    let rows = lake.rows("SELECT * FROM t ORDER BY k").await;
    assert_eq!(lake.rows("SELECT * FROM u ORDER BY k").await, rows);
}

#[tokio::test]
async fn csv_tells_an_empty_text_from_null() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.csv");
    let target = path.to_str().unwrap();
    let rows = "SELECT * FROM (VALUES (1, ''), (NULL, NULL), (3, 'NA')) AS r(a, \"b,c\")";
    for (query, options, expected) in [
        (rows, "", "a,\"b,c\"\n1,\"\"\n,\n3,NA\n"),
        (rows, "(NULL 'NA')", "a,\"b,c\"\n1,\"\"\nNA,NA\n3,\"NA\"\n"),
        ("SELECT CAST(NULL AS VARCHAR) AS s", "", "s\n\n"),
        // Programs that leave out empty lines read it, too.
        ("SELECT CAST(NULL AS INT) AS i", "", "i\n\"\"\n"),
        (
            "SELECT 'a\"b\\' AS s",
            "(ESCAPE '\\')",
            "s\n\"a\\\"b\\\\\"\n",
        ),
    ] {
        lake.run(&format!("COPY ({query}) TO '{target}' {options}"))
            .await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, expected, "{query} {options}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_takes_no_files_is_an_error() {
    let lake = TestLake::memory().await;
    for target in ["/proc/x.csv", "/proc/x/"] {
        let copy = format!("COPY (SELECT 1 AS a) TO '{target}' (FORMAT csv)");
        let error = lake.fails(&copy).await;
        assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.to_string().contains("/proc/x"), "{error}");
    }
}
