//! `COPY … TO` a folder: all of its files or none, with values as the names of folders.

use std::path::Path;
use std::time::Duration;

use futures::poll;
use lakehouse::ErrorKind;
use tempfile::TempDir;
use tokio::task::yield_now;

use crate::lake::TestLake;

/// The folders below one, by the names that they have from it on.
fn folders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let name = path.strip_prefix(folder).unwrap();
                found.push(name.to_str().unwrap().to_owned());
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What all files of a folder hold.
fn text(folder: &Path) -> String {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    texts.concat()
}

fn is_empty(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path()).unwrap().next().is_none()
}

#[tokio::test]
async fn a_null_has_a_folder_of_its_own() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for (column, value, name) in [
        ("DATE", "2024-01-01", "2024-01-01"),
        ("INT", "7", "7"),
        ("DOUBLE", "1.5", "1.5"),
        ("BOOLEAN", "true", "true"),
        ("DECIMAL(9, 2)", "1.50", "1.50"),
        (
            "TIMESTAMP",
            "2024-01-01 10:00:00",
            "2024-01-01 10%3A00%3A00",
        ),
        ("VARCHAR", "a", "a"),
    ] {
        let target = folder.path().join(name);
        lake.run(&format!(
            "COPY (SELECT id, CAST(v AS {column}) AS v FROM \
             (VALUES (1, '{value}'), (2, NULL), (3, '{value}')) r(id, v)) \
             TO '{}' (FORMAT csv, PARTITION_BY (V))",
            target.display()
        ))
        .await;
        let null = "v=__HIVE_DEFAULT_PARTITION__";
        let named = format!("v={name}");
        assert_eq!(
            folders(&target),
            [named.as_str().min(null), named.as_str().max(null)]
        );
        assert_eq!(text(&target.join(null)), "id\n2\n", "{column}");
        assert_eq!(text(&target.join(named)), "id\n1\n3\n", "{column}");
    }
}

#[tokio::test]
async fn names_of_folders_are_encoded_once() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("out");
    lake.run(&format!(
        "COPY (SELECT * FROM (VALUES (1, 'a/b=c:d e%'), (2, ''), (3, '..'), (4, 'é.~x')) \
         r(id, \"t/u\")) \
         TO '{}' (FORMAT csv, PARTITION_BY (\"t/u\"))",
        target.display()
    ))
    .await;
    let names = [
        "t%2Fu=",
        "t%2Fu=..",
        "t%2Fu=a%2Fb%3Dc%3Ad e%25",
        "t%2Fu=é.~x",
    ];
    assert_eq!(folders(&target), names);
    assert_eq!(text(&target.join(names[2])), "id\n1\n");
    // This text would be read as NULL.
    let error = lake
        .fails(&format!(
            "COPY (SELECT 1 AS id, '__HIVE_DEFAULT_PARTITION__' AS t) TO '{}/other' \
             (FORMAT csv, PARTITION_BY (t))",
            folder.path().display()
        ))
        .await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("means NULL"), "{error}");
    assert!(!folder.path().join("other").exists());
}

#[tokio::test]
async fn the_files_keep_the_columns_when_they_are_told_to() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("out");
    lake.run(&format!(
        "COPY (SELECT 1 AS id, DATE '2024-01-01' AS d) TO '{}' STORED AS CSV PARTITIONED BY (D) \
         OPTIONS ('execution.keep_partition_by_columns' 'true')",
        target.display()
    ))
    .await;
    assert_eq!(text(&target.join("d=2024-01-01")), "id,d\n1,2024-01-01\n");
}

#[tokio::test]
async fn columns_that_name_no_folders_are_refused() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for (rows, by, part) in [
        ("1 AS a, 2 AS b", "a, b", "every column"),
        ("1 AS a, 2 AS b", "a, a", "\"a\" twice"),
        ("1 AS a, [2] AS b", "b", "no folder is named by"),
        ("1 AS a, 2 AS b", "c", "no column \"c\""),
        ("1 AS a, 2 AS b", "a, A", "\"A\" twice"),
        ("1 AS a, 2 AS \"A\"", "x, a", "no column \"x\""),
    ] {
        let error = lake
            .fails(&format!(
                "COPY (SELECT {rows}) TO '{}/out' (FORMAT parquet, PARTITION_BY ({by}))",
                folder.path().display()
            ))
            .await;
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(is_empty(&folder));
}

#[tokio::test]
async fn a_copy_that_fails_leaves_no_files_of_its_folder() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let there = folder.path().join("there");
    std::fs::create_dir(&there).unwrap();
    for name in ["new", "below/new", "there"] {
        let target = folder.path().join(name);
        for options in ["FORMAT csv", "FORMAT parquet, PARTITION_BY (p)"] {
            lake.fails(&format!(
                "COPY (SELECT value % 5 AS p, 10 / (value - 90000) AS v \
                 FROM generate_series(1, 100000)) TO '{}/' ({options})",
                target.display()
            ))
            .await;
            assert_eq!(folders(folder.path()), ["there"], "{name} {options}");
            assert_eq!(text(&there), "");
        }
    }
    // What the store refuses is told with the file's name.
    let error = lake
        .fails(&format!(
            "COPY (SELECT 1 AS id, unnest(['x', repeat('x', 300)]) AS t) TO '{}/new' \
             (FORMAT csv, PARTITION_BY (t))",
            folder.path().display()
        ))
        .await;
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    let told = error.to_string();
    assert!(
        told.contains("new/t=xxx") && !told.contains("DataFusion"),
        "{told}"
    );
    assert_eq!(folders(folder.path()), ["there"]);
}

#[tokio::test]
async fn a_folder_with_files_takes_no_others() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("out");
    let into = format!(
        "COPY (SELECT 1 AS n) TO '{}/' (FORMAT csv)",
        target.display()
    );
    lake.run(&into).await;
    let error = lake.fails(&into).await;
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(text(&target), "n\n1\n");
    // An empty one does.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    lake.run(&format!(
        "COPY (SELECT 1 AS n, 2 AS p) TO '{}' (FORMAT csv, PARTITION_BY (p))",
        empty.display()
    ))
    .await;
    assert_eq!(folders(&empty), ["p=2"]);
    // No rows, no files.
    lake.run(&format!(
        "COPY (SELECT 1 AS n, 2 AS p WHERE false) TO '{}/none' (FORMAT csv, PARTITION_BY (p))",
        folder.path().display()
    ))
    .await;
    assert_eq!(text(&folder.path().join("none")), "");
}

#[tokio::test]
async fn a_copy_that_is_dropped_leaves_nothing() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for target in ["out/below/", "file.csv"] {
        let copy = format!(
            "COPY (SELECT a.value % 5 AS p FROM generate_series(1, 100000) a, \
             generate_series(1, 100000) b) TO '{}/{target}' (FORMAT csv)",
            folder.path().display()
        );
        let mut copy = Box::pin(lake.session.sql(&copy));
        // The place for the files is made before the first row is asked for.
        while is_empty(&folder) {
            assert!(poll!(&mut copy).is_pending());
            yield_now().await;
        }
        drop(copy);
        assert!(lake.lake.work_ended(Duration::from_secs(300)).await);
        assert!(is_empty(&folder), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_dropped_while_a_file_is_written_leaves_nothing() {
    let lake = TestLake::memory().await;
    let folder = TempDir::new().unwrap();
    for round in 0..2 {
        for target in ["out/below/", "file.csv"] {
            let copy = format!(
                "COPY (SELECT repeat('ab', 50) AS p FROM generate_series(1, 10000000)) \
                 TO '{}/{target}' (FORMAT csv)",
                folder.path().display()
            );
            let mut copy = Box::pin(lake.session.sql(&copy));
            while !holds_parts(folder.path()) {
                assert!(poll!(&mut copy).is_pending());
                yield_now().await;
            }
            drop(copy);
            assert!(lake.lake.work_ended(Duration::from_secs(300)).await);
            assert!(is_empty(&folder), "{target} in round {round}");
        }
    }
}

/// Whether a file is below the folder that the store writes in parts.
fn holds_parts(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds_parts(&path),
            false => path.to_str().unwrap().contains('#'),
        }
    })
}
