//! Tables found without a catalog.

use bytes::Bytes;
use lakehouse_core::catalog::{find_metadata_file, load_by_metadata_file};
use lakehouse_core::clock::SystemClock;
use lakehouse_core::error::ErrorKind;
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::{Storage, join};

use super::metadata;

const TABLE: &str = "memory:///t";
const ID: &str = "9c12d441-03fe-4693-9a96-a0705ddf69c1";

/// A table's folder with metadata files of these names.
async fn folder(names: &[&str], hint: Option<&str>) -> Storage {
    let storage = Storage::new(&SystemClock, Durability::None).unwrap();
    let json = serde_json::to_vec(&metadata(TABLE)).unwrap();
    for name in names {
        let location = format!("{TABLE}/metadata/{name}");
        storage
            .write_new(&location, Bytes::from(json.clone()))
            .await
            .unwrap();
    }
    if let Some(hint) = hint {
        let location = join(TABLE, "metadata/version-hint.text");
        storage
            .write_new(&location, Bytes::from(hint.to_owned()))
            .await
            .unwrap();
    }
    storage
}

#[tokio::test]
async fn s07_version_10_comes_after_version_9() {
    let names = [
        "v9.metadata.json",
        "v10.metadata.json",
        "v2.gz.metadata.json",
    ];
    let storage = folder(&names, None).await;
    let guessed = find_metadata_file(&storage, TABLE, true).await.unwrap();
    assert_eq!(guessed, format!("{TABLE}/metadata/v10.metadata.json"));
    let numbered = [
        format!("99999-{ID}.metadata.json"),
        format!("100000-{ID}.metadata.json"),
        "odd.metadata.json".to_owned(),
    ];
    let numbered: Vec<&str> = numbered.iter().map(String::as_str).collect();
    let storage = folder(&numbered, None).await;
    let guessed = find_metadata_file(&storage, &format!("{TABLE}/metadata/"), true).await;
    assert!(guessed.unwrap().contains("/100000-"));
}

#[tokio::test]
async fn nothing_is_guessed_unless_asked_and_the_files_are_named() {
    let storage = folder(&["v1.metadata.json", "v2.metadata.json"], None).await;
    let error = find_metadata_file(&storage, TABLE, false)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .contains("v2.metadata.json, v1.metadata.json"),
        "{error}"
    );
    let empty = folder(&[], None).await;
    for guess in [true, false] {
        let error = find_metadata_file(&empty, TABLE, guess).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn the_hint_decides() {
    let uuid_name = format!("00002-{ID}.metadata.json");
    for (name, hint) in [
        ("v2.metadata.json", "2"),
        ("v2.gz.metadata.json", "2\n"),
        ("v2.metadata.json", "v2"),
        (uuid_name.as_str(), "2"),
        (uuid_name.as_str(), &format!("00002-{ID}")),
        (uuid_name.as_str(), &uuid_name),
    ] {
        let storage = folder(&[name, "v3.metadata.json"], Some(hint)).await;
        let found = find_metadata_file(&storage, TABLE, false).await;
        assert_eq!(found.unwrap(), format!("{TABLE}/metadata/{name}"), "{hint}");
    }
    let storage = folder(&["v3.metadata.json"], Some("7")).await;
    let error = find_metadata_file(&storage, TABLE, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    for hint in ["", "../../x", &"1".repeat(5000)] {
        let storage = folder(&["v3.metadata.json"], Some(hint)).await;
        let error = find_metadata_file(&storage, TABLE, true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{hint}");
    }
    let other = format!("00002-{}.metadata.json", ID.replace('9', "8"));
    let storage = folder(&[&uuid_name, &other], Some("2")).await;
    let error = find_metadata_file(&storage, TABLE, false)
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&other), "{error}");
}

#[tokio::test]
async fn a_table_is_opened_by_its_metadata_file_alone() {
    let storage = folder(&["v1.metadata.json"], None).await;
    let location = format!("{TABLE}/metadata/v1.metadata.json");
    let pointer = load_by_metadata_file(&storage, &location).await.unwrap();
    assert_eq!(pointer.metadata_location, location);
    assert_eq!(pointer.ident.name(), "t");
    let missing = load_by_metadata_file(&storage, "memory:///t/none.json").await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}
