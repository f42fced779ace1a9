//! The SQLite catalog: PyIceberg's layout, opening, other processes, moved lakes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_core::catalog::{
    CATALOG_NAME, Catalog, OpenOptions, SqliteCatalog, find_catalog_file,
};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::NamespaceIdent;
use lakehouse_core::settings::Durability;
use rusqlite::Connection;

use super::{committed, ident, make_table, metadata, open, parts, set_property};

/// What SQLAlchemy sends for PyIceberg 0.12, taken from a file that it made.
const TABLES: &str = "CREATE TABLE iceberg_tables (
	catalog_name VARCHAR(255) NOT NULL, 
	table_namespace VARCHAR(255) NOT NULL, 
	table_name VARCHAR(255) NOT NULL, 
	metadata_location VARCHAR(1000), 
	previous_metadata_location VARCHAR(1000), 
	iceberg_type VARCHAR(5), 
	PRIMARY KEY (catalog_name, table_namespace, table_name)
)";
const PROPERTIES: &str = "CREATE TABLE iceberg_namespace_properties (
	catalog_name VARCHAR(255) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	property_key VARCHAR(255) NOT NULL, 
	property_value VARCHAR(1000) NOT NULL, 
	PRIMARY KEY (catalog_name, namespace, property_key)
)";

pub(super) fn make_old_file(path: &Path) {
    let tables = TABLES.replace("\ticeberg_type VARCHAR(5), \n", "");
    assert!(!tables.contains("iceberg_type"));
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!("{tables};{PROPERTIES};"))
        .unwrap();
}

fn make_pyiceberg_file(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!("{TABLES};{PROPERTIES};"))
        .unwrap();
    connection
}

fn add_namespace(connection: &Connection, catalog: &str, namespace: &str) {
    connection
        .execute(
            "INSERT INTO iceberg_namespace_properties VALUES (?1, ?2, 'exists', 'true')",
            [catalog, namespace],
        )
        .unwrap();
}

fn add_row(connection: &Connection, name: &str, location: &Path, kind: Option<&str>) {
    connection
        .execute(
            "INSERT INTO iceberg_tables VALUES ('py', 'n', ?1, ?2, NULL, ?3)",
            rusqlite::params![name, location.to_str().unwrap(), kind],
        )
        .unwrap();
}

/// Every definition in a file, and how it journals.
fn schema_of(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT coalesce(sql, name) FROM sqlite_master ORDER BY rootpage")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    let mut schema: Vec<String> = rows.collect::<rusqlite::Result<_>>().unwrap();
    let journal = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
    schema.push(journal.unwrap());
    schema
}

async fn open_file(file: PathBuf, options: OpenOptions) -> Result<SqliteCatalog> {
    SqliteCatalog::open(
        Some("lake".to_owned()),
        file,
        options,
        parts(Durability::None),
    )
    .await
}

#[track_caller]
fn refused(opened: Result<SqliteCatalog>, kind: ErrorKind, told: &[&str]) -> Error {
    let error = opened.err().expect("must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    for part in told {
        assert!(error.to_string().contains(part), "{part:?} in {error}");
    }
    error
}

#[tokio::test]
async fn a_new_file_has_pyicebergs_tables_statement_for_statement() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(folder.path(), Durability::Full).await.unwrap();
    assert_eq!(catalog.catalog_name(), CATALOG_NAME);
    let schema = schema_of(&folder.path().join("catalog.db"));
    assert!(schema.contains(&TABLES.to_owned()), "{schema:?}");
    assert!(schema.contains(&PROPERTIES.to_owned()), "{schema:?}");
    assert_eq!(schema.last().unwrap(), "delete");
}

#[tokio::test]
async fn a_file_made_by_others_is_used_in_its_layout_and_never_altered() {
    for (typed, journal) in [(true, "delete"), (false, "delete"), (true, "wal")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("any.sqlite");
        if typed {
            make_pyiceberg_file(&file);
        } else {
            make_old_file(&file);
        }
        let connection = Connection::open(&file).unwrap();
        connection
            .pragma_update(None, "journal_mode", journal)
            .unwrap();
        connection
            .execute_batch(
                "CREATE TABLE iceberg_scans (n INTEGER); CREATE INDEX i ON iceberg_scans (n);",
            )
            .unwrap();
        add_namespace(&connection, "py", "deep.er");
        drop(connection);
        let before = schema_of(&file);

        let found = find_catalog_file(folder.path()).await.unwrap();
        assert_eq!(found.as_ref(), Some(&file));
        let options = OpenOptions {
            create: true,
            ..OpenOptions::default()
        };
        let catalog = open_file(file.clone(), options).await.unwrap();
        assert_eq!(catalog.catalog_name(), "py");
        let made = make_table(&catalog, &["deep", "t"]).await;
        committed(
            catalog
                .commit(&made, vec![], set_property("a", "b"))
                .await
                .unwrap(),
        );
        drop(catalog);
        assert_eq!(schema_of(&file), before);
        let connection = Connection::open(&file).unwrap();
        let row: (String, String, String) = connection
            .query_row(
                "SELECT catalog_name, table_namespace, previous_metadata_location
                 FROM iceberg_tables",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(
            row,
            ("py".to_owned(), "deep".to_owned(), made.metadata_location)
        );
        if typed {
            let kind: String = connection
                .query_row("SELECT iceberg_type FROM iceberg_tables", [], |row| {
                    row.get(0)
                })
                .unwrap();
            assert_eq!(kind, "TABLE");
        }
    }
}

#[tokio::test]
async fn rows_of_pyiceberg_are_seen_as_pyiceberg_sees_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let connection = make_pyiceberg_file(&file);
    let location = folder.path().join("n/t/metadata/v1.metadata.json");
    fs::create_dir_all(location.parent().unwrap()).unwrap();
    let content = serde_json::to_vec(&metadata(folder.path().join("n/t").to_str().unwrap()));
    fs::write(&location, content.unwrap()).unwrap();
    add_row(&connection, "t", &location, Some("TABLE"));
    add_row(&connection, "untyped", &location, None);
    add_row(&connection, "v", &location, Some("VIEW"));
    add_namespace(&connection, "py", "deep.er.nest");
    drop(connection);

    let catalog = open_file(file.clone(), OpenOptions::default())
        .await
        .unwrap();
    let namespaces = catalog.list_namespaces().await.unwrap();
    let namespaces: Vec<String> = namespaces.iter().map(|parts| parts.join("/")).collect();
    assert_eq!(namespaces, ["deep", "deep/er", "deep/er/nest", "n"]);
    let n = NamespaceIdent::new("n".to_owned());
    let tables = catalog.list_tables(&n).await.unwrap();
    assert_eq!(tables, [ident(&["n", "t"]), ident(&["n", "untyped"])]);

    // A view's name is taken, and its row is never touched.
    let view = ident(&["n", "v"]);
    assert_eq!(
        catalog.load_table(&view).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        catalog.drop_table(&view).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let taken = catalog.create_table(&view, metadata("/x")).await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);

    let loaded = catalog.load_table(&ident(&["n", "t"])).await.unwrap();
    let changed = catalog
        .commit(&loaded, vec![], set_property("a", "b"))
        .await;
    let changed = committed(changed.unwrap());
    assert!(changed.metadata_location.contains("/n/t/metadata/00002-"));
}

#[tokio::test]
async fn the_catalog_in_a_file_is_found_or_has_to_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let connection = make_pyiceberg_file(&file);
    add_namespace(&connection, "blue", "n");
    add_namespace(&connection, "red", "m");
    drop(connection);
    let several = open_file(file.clone(), OpenOptions::default()).await;
    refused(
        several,
        ErrorKind::InvalidInput,
        &["blue", "red", "catalog_name"],
    );
    let options = OpenOptions {
        catalog_name: Some("red".to_owned()),
        ..OpenOptions::default()
    };
    let catalog = open_file(file, options).await.unwrap();
    let seen = catalog.list_namespaces().await.unwrap();
    assert_eq!(seen, [NamespaceIdent::new("m".to_owned())]);
    let dotted = NamespaceIdent::new("a.b".to_owned());
    let refused = catalog.create_namespace(&dotted, HashMap::new()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn the_catalog_file_of_a_folder_is_found_by_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("notes.txt"), "hello").unwrap();
    fs::write(path.join("empty"), "").unwrap();
    Connection::open(path.join("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (n INTEGER)")
        .unwrap();
    assert_eq!(find_catalog_file(path).await.unwrap(), None);
    make_pyiceberg_file(&path.join("one.db"));
    let one = find_catalog_file(path).await.unwrap();
    assert_eq!(one, Some(path.join("one.db")));
    make_old_file(&path.join("two.db"));
    let error = find_catalog_file(path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("one.db") && error.to_string().contains("two.db"));
    make_old_file(&path.join("catalog.db"));
    let usual = find_catalog_file(path).await.unwrap();
    assert_eq!(usual, Some(path.join("catalog.db")));
    let missing = find_catalog_file(path.join("missing")).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_no_catalog_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let create = OpenOptions {
        create: true,
        ..OpenOptions::default()
    };
    let text = folder.path().join("text.db");
    fs::write(&text, "this is no database, but a text of some length\n").unwrap();
    let opened = open_file(text.clone(), create.clone()).await;
    refused(opened, ErrorKind::Corrupt, &["no SQLite file", "text.db"]);
    assert!(fs::read_to_string(&text).unwrap().starts_with("this is"));

    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (n INTEGER)")
        .unwrap();
    let opened = open_file(foreign.clone(), create.clone()).await;
    refused(
        opened,
        ErrorKind::InvalidInput,
        &["iceberg_tables", "foreign.db"],
    );
    assert_eq!(schema_of(&foreign).len(), 2);

    let odd = folder.path().join("odd.db");
    Connection::open(&odd)
        .unwrap()
        .execute_batch("CREATE TABLE iceberg_tables (catalog_name TEXT)")
        .unwrap();
    let opened = open_file(odd, create.clone()).await;
    refused(opened, ErrorKind::InvalidInput, &["table_namespace"]);

    let opened = open_file(folder.path().join("no.db"), OpenOptions::default()).await;
    refused(opened, ErrorKind::NotFound, &["no.db"]);
    assert!(!folder.path().join("no.db").exists());
    let opened = open_file(folder.path().to_path_buf(), OpenOptions::default()).await;
    assert!(opened.is_err());
    let below_a_file = text.join("lake/catalog.db");
    assert!(open_file(below_a_file, create).await.is_err());
}

#[tokio::test]
async fn a_lake_opened_for_reading_reads_and_refuses_changes() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(folder.path(), Durability::None).await.unwrap();
    let made = make_table(&writer, &["n", "t"]).await;
    let options = OpenOptions {
        read_only: true,
        create: true,
        ..OpenOptions::default()
    };
    let file = folder.path().join("catalog.db");
    let reader = open_file(file, options).await.unwrap();
    assert_eq!(
        reader.load_table(&made.ident).await.unwrap().metadata,
        made.metadata
    );
    let refused = reader.commit(&made, vec![], set_property("a", "b")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("catalog.db"), "{error}");
    let dropped = reader.drop_table(&made.ident).await;
    assert_eq!(dropped.unwrap_err().kind(), ErrorKind::PermissionDenied);
    // The file of the refused commit is gone, and the reader sees what the writer does next.
    let files = fs::read_dir(
        Path::new(&made.metadata_location["file://".len()..])
            .parent()
            .unwrap(),
    );
    assert_eq!(files.unwrap().count(), 1);
    let next = writer.commit(&made, vec![], set_property("a", "b")).await;
    let next = committed(next.unwrap());
    let seen = reader.load_table(&made.ident).await.unwrap();
    assert_eq!(seen.metadata_location, next.metadata_location);
}

#[tokio::test]
async fn two_processes_making_the_same_table_get_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let one = open(folder.path(), Durability::Full).await.unwrap();
    let two = open(folder.path(), Durability::Full).await.unwrap();
    let n = NamespaceIdent::new("n".to_owned());
    one.create_namespace(&n, HashMap::new()).await.unwrap();
    for round in 0..5 {
        let ident = ident(&["n", &format!("t{round}")]);
        let (at_one, at_two) = (
            one.new_table_location(&ident).await.unwrap(),
            two.new_table_location(&ident).await.unwrap(),
        );
        let (first, second) = tokio::join!(
            one.create_table(&ident, metadata(&at_one)),
            two.create_table(&ident, metadata(&at_two)),
        );
        let lost: Vec<ErrorKind> = [&first, &second]
            .iter()
            .filter_map(|made| made.as_ref().err().map(Error::kind))
            .collect();
        assert_eq!(lost, [ErrorKind::AlreadyExists]);
        let won = committed(first.or(second).unwrap());
        assert_eq!(two.load_table(&ident).await.unwrap().metadata, won.metadata);
    }
}

#[tokio::test]
async fn a_lock_that_is_not_given_back_ends_in_a_clear_error_before_the_swap() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let options = OpenOptions {
        create: true,
        lock_wait_ms_max: 50,
        ..OpenOptions::default()
    };
    let catalog = open_file(file.clone(), options).await.unwrap();
    let made = make_table(&catalog, &["n", "t"]).await;
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = catalog.commit(&made, vec![], set_property("a", "b")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    // Readers do not wait for a writer that has not begun to end.
    assert!(catalog.load_table(&made.ident).await.is_ok());
    other.execute_batch("ROLLBACK").unwrap();
    // A reader that never ends holds up the end of a commit, which is then undone.
    other
        .execute_batch("BEGIN; SELECT * FROM iceberg_tables")
        .unwrap();
    let refused = catalog.commit(&made, vec![], set_property("a", "b")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    other.execute_batch("COMMIT").unwrap();
    let current = catalog.load_table(&made.ident).await.unwrap();
    assert_eq!(current.metadata_location, made.metadata_location);
    let done = catalog.commit(&made, vec![], set_property("a", "b")).await;
    committed(done.unwrap());
}

#[tokio::test]
async fn opening_waits_for_a_process_that_is_just_writing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let other = make_pyiceberg_file(&file);
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let impatient = OpenOptions {
        lock_wait_ms_max: 20,
        ..OpenOptions::default()
    };
    let opened = open_file(file.clone(), impatient).await;
    refused(
        opened,
        ErrorKind::Unavailable,
        &["other processes held", "catalog.db"],
    );
    let waiting = open_file(file, OpenOptions::default());
    let ending = async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (opened, ()) = tokio::join!(waiting, ending);
    opened.unwrap();
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let catalog = open(folder.path(), Durability::None).await.unwrap();
    let made = make_table(&catalog, &["n", "t"]).await;
    fs::rename(&file, folder.path().join("old.db")).unwrap();
    make_pyiceberg_file(&file);
    let refused = catalog.commit(&made, vec![], set_property("a", "b")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_moved_or_copied_lake_is_refused_with_both_places() {
    let parent = tempfile::tempdir().unwrap();
    let (old, new) = (parent.path().join("old"), parent.path().join("new"));
    let catalog = open(&old, Durability::None).await.unwrap();
    make_table(&catalog, &["n", "t"]).await;
    drop(catalog);

    copy_folder(&old, &new);
    let places = [old.to_str().unwrap(), new.to_str().unwrap()];
    let copied = open(&new, Durability::None).await;
    refused(copied, ErrorKind::InvalidInput, &places);

    fs::remove_dir_all(&new).unwrap();
    fs::rename(&old, &new).unwrap();
    let moved = open(&new, Durability::None).await;
    refused(moved, ErrorKind::InvalidInput, &places);

    // A catalog file that was moved away from its tables and then lost them.
    fs::remove_dir_all(new.join("n")).unwrap();
    let lost = open(&new, Durability::None).await;
    refused(lost, ErrorKind::InvalidInput, &places);

    // Back where it was, and by way of a link, it opens.
    fs::rename(&new, &old).unwrap();
    open(&old, Durability::None).await.unwrap();
    std::os::unix::fs::symlink(&old, &new).unwrap();
    open(&new, Durability::None).await.unwrap();
}

#[tokio::test]
async fn tables_may_stand_elsewhere_than_their_catalog_file() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("here/catalog.db");
    let options = OpenOptions {
        create: true,
        warehouse: Some(format!("{}/", parent.path().join("there").display())),
        ..OpenOptions::default()
    };
    let catalog = open_file(file.clone(), options.clone()).await.unwrap();
    let made = make_table(&catalog, &["n", "t"]).await;
    assert!(made.metadata.location().contains("/there/n/t-"), "{made:?}");
    open_file(file.clone(), options).await.unwrap();
    let catalog = open_file(file, OpenOptions::default()).await.unwrap();
    assert_eq!(
        catalog.load_table(&made.ident).await.unwrap().metadata,
        made.metadata
    );
}

#[tokio::test]
async fn t14_a_lake_in_a_folder_of_any_name_works() {
    for name in ["a b", "ü#1", "50%25", "what?", "q\"'"] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(name);
        let catalog = open(&folder, Durability::Full).await.unwrap();
        let made = make_table(&catalog, &["n", "t"]).await;
        drop(catalog);
        let catalog = open(&folder, Durability::Full).await.unwrap();
        let loaded = catalog.load_table(&made.ident).await.unwrap();
        assert_eq!(loaded.metadata, made.metadata);
        assert!(folder.join("n").is_dir());
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
