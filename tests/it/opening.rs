//! Where lakes are opened, and who makes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;
use lakehouse::core::clock::SystemClock;
use lakehouse::core::runtime::spawn;
use lakehouse::core::settings::CatalogSettings;
use lakehouse::{Error, ErrorKind, Lakehouse, Settings};
use lakehouse_testkit::FakeClock;
use tempfile::TempDir;

use crate::lake::{files_below, rows_of, settings};

async fn open(location: &str, create: bool) -> Result<Lakehouse, Error> {
    Lakehouse::builder()
        .location(location)
        .settings(settings())
        .clock(Arc::new(SystemClock))
        .create(create)
        .build()
        .await
}

/// The lake of a settings file with one SQLite catalog.
async fn open_settings(file: &Path, warehouse: Option<&str>) -> Result<Lakehouse, Error> {
    let settings = sqlite_settings(file, warehouse);
    Lakehouse::from_settings(settings).await
}

fn sqlite_settings(file: &Path, warehouse: Option<&str>) -> Settings {
    let catalog = CatalogSettings::Sqlite {
        file: file.to_path_buf(),
        warehouse: warehouse.map(str::to_owned),
        catalog_name: None,
    };
    Settings {
        catalogs: [("c".to_owned(), catalog)].into(),
        ..settings()
    }
}

async fn rows(lake: &Lakehouse, sql: &str) -> Vec<String> {
    let session = lake.session().unwrap();
    let answer = session.sql(sql).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}\nin {sql}"));
    rows_of(answer).await.unwrap()
}

/// Makes a table, writes to it and reads it.
async fn use_table(lake: &Lakehouse) -> String {
    rows(lake, "CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS id").await;
    rows(lake, "INSERT INTO t VALUES (2)").await;
    assert_eq!(rows(lake, "SELECT sum(id) FROM t").await, ["3"]);
    lake.table("t").await.unwrap().location().to_owned()
}

/// A way to `path` from the working directory, which other tests share.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_lake_behind_two_dots_is_as_any_other() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let real = folder.path().canonicalize().unwrap();
    for (name, way) in [
        ("a", real.join("sub/../a")),
        ("b", relative(&real.join("b"))),
        (
            "c",
            PathBuf::from(format!("file:{}/sub/../c", real.display())),
        ),
    ] {
        let lake = open(text(&way), true).await.unwrap();
        let location = use_table(&lake).await;
        let plain = real.join(name);
        assert!(
            location.starts_with(&format!("file://{}/", plain.display())),
            "{location}"
        );
        // The same lake by its plain name and by the way again.
        for way in [&plain, &way] {
            let lake = open(text(way), false).await.unwrap();
            assert_eq!(rows(&lake, "SELECT sum(id) FROM t").await, ["3"]);
            rows(&lake, "CREATE OR REPLACE TABLE u AS SELECT 5 AS id").await;
        }
    }
}

#[tokio::test]
async fn a_link_without_two_dots_keeps_its_name() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("real"), &link).unwrap();
    let lake = open(text(&link.join("lake")), true).await.unwrap();
    let location = use_table(&lake).await;
    let expected = format!("file://{}/lake/", link.display());
    assert!(location.starts_with(&expected), "{location}");
}

#[tokio::test]
async fn a_warehouse_of_settings_may_be_relative() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let real = folder.path().canonicalize().unwrap();
    for (name, warehouse) in [
        ("w1", relative(&real.join("w1"))),
        ("w2", real.join("sub/../w2")),
    ] {
        let file = relative(&real.join(format!("sub/../{name}.db")));
        let lake = open_settings(&file, Some(text(&warehouse))).await.unwrap();
        let location = use_table(&lake).await;
        let expected = format!("file://{}/", real.join(name).display());
        assert!(location.starts_with(&expected), "{location}");
        let catalog = CatalogSettings::Memory {
            warehouse: Some(text(&warehouse).to_owned()),
        };
        let settings = Settings {
            catalogs: [("m".to_owned(), catalog)].into(),
            ..settings()
        };
        let lake = Lakehouse::from_settings(settings).await.unwrap();
        let location = use_table(&lake).await;
        assert!(location.starts_with(&expected), "{location}");
    }
}

#[tokio::test]
async fn blanks_are_part_of_a_folders_name() {
    let folder = TempDir::new().unwrap();
    for name in ["trail ", " lead", "plain"] {
        let way = format!("{}/{name}", folder.path().display());
        use_table(&open(&way, true).await.unwrap()).await;
        assert!(folder.path().join(name).is_dir(), "{name:?}");
    }
    assert!(!folder.path().join("trail").exists());
    let error = open(" memory:", true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("blanks"), "{error}");
}

#[tokio::test]
async fn a_folder_below_which_no_file_can_be_named_is_refused_when_it_is_opened() {
    let folder = TempDir::new().unwrap();
    let odd = folder.path().join("two\nlines");
    for error in [
        open(text(&odd), true).await.unwrap_err(),
        open_settings(&folder.path().join("c.db"), Some(text(&odd)))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(
            text.contains("two\\nlines") && text.contains("rename"),
            "{text}"
        );
    }
    assert!(!odd.exists());
    assert!(files_below(folder.path()).is_empty());
}

#[tokio::test]
async fn many_make_the_same_lake_at_once() {
    for round in 0..20 {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("lake");
        let file = folder.path().join("c.db");
        let makers = (0..6).map(|maker| {
            let (path, file) = (path.clone(), file.clone());
            spawn(async move {
                for lake in [
                    open(text(&path), true).await,
                    open_settings(&file, None).await,
                ] {
                    let lake = lake?;
                    let session = lake.session()?;
                    let create = "CREATE TABLE IF NOT EXISTS t (id BIGINT)";
                    let _ = session.sql(create).await?;
                    let insert = format!("INSERT INTO t VALUES ({maker})");
                    let _ = session.sql(&insert).await?;
                }
                Ok::<(), Error>(())
            })
        });
        for made in join_all(makers).await {
            made.unwrap()
                .unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        let count = "SELECT count(DISTINCT id) FROM t";
        let lake = open(text(&path), false).await.unwrap();
        assert_eq!(rows(&lake, count).await, ["6"]);
        let lake = open_settings(&file, None).await.unwrap();
        assert_eq!(rows(&lake, count).await, ["6"]);
    }
}

#[tokio::test]
async fn a_lake_whose_making_was_interrupted_is_made_to_its_end() {
    let no_rows = "DELETE FROM iceberg_namespace_properties";
    for emptied in [None, Some(no_rows)] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("catalog.db");
        match emptied {
            None => std::fs::write(&file, "").unwrap(),
            Some(sql) => {
                open(text(folder.path()), true).await.unwrap();
                let catalog = rusqlite::Connection::open(&file).unwrap();
                catalog.execute_batch(sql).unwrap();
            }
        }
        let before = files_below(folder.path());
        let opened = open(text(folder.path()), false).await;
        if emptied.is_none() {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("--create"), "{error}");
        }
        assert_eq!(files_below(folder.path()), before);
        use_table(&open(text(folder.path()), true).await.unwrap()).await;
    }

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("c.db");
    for kind in [ErrorKind::NotFound, ErrorKind::InvalidInput] {
        let builder = Lakehouse::builder().settings(sqlite_settings(&file, None));
        let error = builder.create(false).build().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("--create"), "{error}");
        assert_eq!(file.exists(), kind == ErrorKind::InvalidInput);
        std::fs::write(&file, "").unwrap();
    }
    use_table(&open_settings(&file, None).await.unwrap()).await;
}

/// What was a lake's catalog is not made anew beside the tables that it named.
#[tokio::test]
async fn a_catalog_file_that_was_emptied_is_not_made_anew() {
    let folder = TempDir::new().unwrap();
    use_table(&open(text(folder.path()), true).await.unwrap()).await;
    std::fs::write(folder.path().join("catalog.db"), "").unwrap();
    let before = files_below(folder.path());
    let error = open(text(folder.path()), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("restore the file"), "{error}");
    assert_eq!(files_below(folder.path()), before);
}

#[tokio::test]
async fn a_catalog_file_that_was_cut_off_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let lake = open(text(folder.path()), true).await.unwrap();
    use_table(&lake).await;
    drop(lake);
    let file = folder.path().join("catalog.db");
    let bytes = std::fs::read(&file).unwrap();
    for kept in [bytes.len() / 2, 3 * 4096, 4096, 100] {
        std::fs::write(&file, &bytes[..kept]).unwrap();
        let lake = open(text(folder.path()), true).await;
        let error = match lake {
            Err(error) => error,
            Ok(lake) => {
                let session = lake.session().unwrap();
                session.sql("SELECT * FROM t").await.unwrap_err()
            }
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{kept}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("catalog.db") && text.contains("restore it"),
            "{kept}: {text}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), bytes[..kept]);
    }
}

#[tokio::test]
async fn a_catalog_file_that_is_gone_says_nothing_of_its_tables() {
    let folder = TempDir::new().unwrap();
    let (here, there) = (folder.path().join("lake"), folder.path().join("moved"));
    let lake = open(here.to_str().unwrap(), true).await.unwrap();
    use_table(&lake).await;
    let session = lake.session().unwrap();
    std::fs::rename(&here, &there).unwrap();
    for statement in [
        "DROP TABLE IF EXISTS t",
        "ALTER TABLE IF EXISTS t DROP COLUMN id",
        "DROP SCHEMA IF EXISTS s",
        "INSERT INTO t VALUES (3)",
        "SELECT * FROM t",
        "SHOW TABLES",
    ] {
        let error = session.sql(statement).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{statement}: {error}");
        assert!(error.to_string().contains("moved or removed"), "{error}");
    }
    std::fs::rename(&there, &here).unwrap();
    assert_eq!(rows(&lake, "SELECT sum(id) FROM t").await, ["3"]);
}

#[tokio::test]
async fn settings_out_of_their_range_are_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("lake");
    let of = |batch_size, parallelism| Settings {
        batch_size,
        parallelism,
        ..settings()
    };
    for (wanted, message) in [
        (
            of(Some(0), None),
            "batch_size must be from 1 to 1048576, it is 0",
        ),
        (of(Some((1 << 20) + 1), None), "it is 1048577"),
        (
            of(None, Some(0)),
            "parallelism must be from 1 to 4096, it is 0",
        ),
        (
            of(None, Some(usize::MAX)),
            "parallelism must be from 1 to 4096",
        ),
    ] {
        let builder = Lakehouse::builder().location(place.to_str().unwrap());
        let error = builder.settings(wanted).build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.message().contains(message), "{error}");
        assert!(!place.exists());
    }
    let builder = Lakehouse::builder().location("memory:");
    let largest = builder.settings(of(Some(1 << 20), Some(64))).build().await;
    assert_eq!(rows(&largest.unwrap(), "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_clock_that_nobody_set_is_refused() {
    for (now_ms, message) in [(-1, "before 1970"), (i64::MAX, "after 2261")] {
        let builder = Lakehouse::builder().location("memory:");
        let builder = builder.clock(Arc::new(FakeClock::new(now_ms, 1)));
        let error = builder.build().await.unwrap_err();
        assert!(error.message().contains(message), "{error}");
    }
}

#[tokio::test]
async fn the_mark_of_utf_8_before_a_text_is_no_part_of_it() {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("a.json", "\u{feff}{ \"batch_size\": 7 }"),
        ("a.toml", "\u{feff}batch_size = 7"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let read = lakehouse::read_settings(&file).unwrap();
        assert_eq!(read.batch_size, Some(7), "{name}");
    }
    let empty = folder.path().join("empty.json");
    std::fs::write(&empty, "\n").unwrap();
    assert_eq!(
        lakehouse::read_settings(&empty).unwrap(),
        Settings::default()
    );

    let lake = open("memory:", true).await.unwrap();
    assert_eq!(rows(&lake, "\u{feff}SELECT 1").await, ["1"]);
    let error = lake
        .session()
        .unwrap()
        .sql("\u{feff}SELCT 1")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("line 1, column 1"), "{error}");
}
