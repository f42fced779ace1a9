//! Files that are missing, cut off or somebody else's.

use std::path::{Path, PathBuf};

use lakehouse::{Error, ErrorKind};

use crate::lake::{TestLake, files_below, rows_of};

/// A file of a table's newest state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Metadata,
    List,
    Manifest,
    Data,
}

const PARTS: [Part; 4] = [Part::Metadata, Part::List, Part::Manifest, Part::Data];

/// What happens to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Missing,
    Empty,
    CutOff,
    Foreign,
}

const DAMAGES: [Damage; 4] = [
    Damage::Missing,
    Damage::Empty,
    Damage::CutOff,
    Damage::Foreign,
];

async fn lake() -> TestLake {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT, v VARCHAR); INSERT INTO t VALUES (1, 'one'), (2, 'two'); \
         CREATE TABLE other (x DOUBLE); INSERT INTO other VALUES (1.5)",
    )
    .await;
    lake
}

fn path(location: &str) -> PathBuf {
    PathBuf::from(location.strip_prefix("file://").unwrap_or(location))
}

async fn file_of(lake: &TestLake, part: Part) -> PathBuf {
    let table = lake.lake.table("t").await.unwrap();
    path(&match part {
        Part::Metadata => table.metadata_location().to_owned(),
        Part::List => table.snapshot().unwrap().manifest_list().to_owned(),
        Part::Manifest => lake.one("SELECT path FROM t.manifests").await,
        Part::Data => lake.one("SELECT file_path FROM t.files").await,
    })
}

fn damage(file: &Path, damage: Damage) {
    let bytes = std::fs::read(file).unwrap();
    match damage {
        Damage::Missing => std::fs::remove_file(file).unwrap(),
        Damage::Empty => std::fs::write(file, b"").unwrap(),
        Damage::CutOff => std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
        // Of the same length, so that nobody can tell by the size.
        Damage::Foreign => std::fs::write(file, vec![b'x'; bytes.len()]).unwrap(),
    }
}

/// The answer of a fresh process's worth of state: no cache has seen the file whole.
async fn answer(lake: &TestLake, statement: &str) -> Result<Vec<String>, Error> {
    let session = lake.reopen().await.session().unwrap();
    rows_of(session.sql(statement).await?).await
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    for part in PARTS {
        for harm in DAMAGES {
            let lake = lake().await;
            let file = file_of(&lake, part).await;
            damage(&file, harm);
            let before = files_below(&lake.path());
            let error = answer(&lake, "SELECT id FROM t WHERE v = 'two'")
                .await
                .expect_err(&format!("{part:?} {harm:?}"));
            let name = file.file_name().unwrap().to_str().unwrap();
            let text = error.to_string();
            assert!(text.contains(name), "{part:?} {harm:?}: {text}");
            assert!(!text.contains('\n'), "one line: {text}");
            assert!(text.contains("restore"), "{part:?} {harm:?}: {text}");
            if (part, harm) == (Part::Data, Damage::Missing) {
                assert_eq!(text.matches(name).count(), 1, "{text}");
            }
            let expected = match harm {
                Damage::Missing => ErrorKind::NotFound,
                _ => ErrorKind::Corrupt,
            };
            let kinds = [expected, ErrorKind::Corrupt];
            assert!(
                kinds.contains(&error.kind()),
                "{part:?} {harm:?}: {}: {text}",
                error.kind()
            );
            assert_eq!(files_below(&lake.path()), before, "{part:?} {harm:?}");
            // Its neighbour is none the worse.
            assert_eq!(answer(&lake, "SELECT x FROM other").await.unwrap(), ["1.5"]);
        }
    }
}

#[tokio::test]
async fn a_damaged_file_stops_no_list_of_names() {
    for part in PARTS {
        let lake = lake().await;
        damage(&file_of(&lake, part).await, Damage::CutOff);
        let tables = answer(&lake, "SHOW TABLES").await.unwrap();
        assert_eq!(tables, ["default|other", "default|t"], "{part:?}");
        answer(&lake, "DROP TABLE other").await.unwrap();
    }
}

/// The name of a table can be removed though nothing of it can be read; its files cannot be told.
#[tokio::test]
async fn a_table_without_its_metadata_file_can_be_dropped() {
    for harm in DAMAGES {
        let lake = lake().await;
        damage(&file_of(&lake, Part::Metadata).await, harm);
        let before = files_below(&lake.path());
        answer(&lake, "DROP TABLE t PURGE")
            .await
            .expect_err("unknown files");
        answer(&lake, "DROP TABLE T").await.unwrap();
        assert_eq!(files_below(&lake.path()), before, "{harm:?}");
        let gone = answer(&lake, "DROP TABLE t").await.expect_err("dropped");
        assert_eq!(gone.kind(), ErrorKind::NotFound, "{harm:?}");
    }
}

#[tokio::test]
async fn inserting_on_damaged_metadata_changes_nothing() {
    for part in [Part::Metadata, Part::List] {
        let lake = lake().await;
        damage(&file_of(&lake, part).await, Damage::CutOff);
        let before = files_below(&lake.path());
        let error = answer(&lake, "INSERT INTO t VALUES (3, 'three')").await;
        assert_eq!(
            error.expect_err("damaged").kind(),
            ErrorKind::Corrupt,
            "{part:?}"
        );
        assert_eq!(files_below(&lake.path()), before, "{part:?}");
    }
}

#[tokio::test]
async fn a_foreign_file_is_no_table() {
    let lake = lake().await;
    let foreign = lake.path().join("foreign.json");
    for (content, what) in [
        (&b"{}"[..], "an empty object"),
        (b"[1, 2", "half a list"),
        (b"PAR1", "no JSON"),
        (
            br#"{"format-version": 99, "table-uuid": "x"}"#,
            "a version of the future",
        ),
    ] {
        std::fs::write(&foreign, content).unwrap();
        let register = format!("CALL system.register_table('u', '{}')", foreign.display());
        let error = lake.fails(&register).await;
        let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported];
        assert!(
            kinds.contains(&error.kind()),
            "{what}: {}: {error}",
            error.kind()
        );
        assert!(
            error.to_string().contains("foreign.json"),
            "{what}: {error}"
        );
        assert_eq!(lake.rows("SHOW TABLES LIKE 'u'").await, [""; 0]);
    }
}

#[tokio::test]
async fn the_data_of_another_table_is_not_taken_for_ours() {
    let lake = lake().await;
    let ours = file_of(&lake, Part::Data).await;
    let theirs = path(&lake.one("SELECT file_path FROM other.files").await);
    std::fs::copy(theirs, &ours).unwrap();
    // Another length than the manifest says: whatever is in it, these are not our rows.
    let outcome = answer(&lake, "SELECT id, v FROM t").await;
    assert_ne!(outcome.as_deref().ok(), Some(&["1.5".to_owned()][..]));
    if let Err(error) = outcome {
        assert!(
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound),
            "{error}"
        );
    }
}
