//! Catalogs of other accounts, links to them, long lists, and the form of requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use iceberg::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder, TableMetadata,
    TableMetadataBuilder, Type,
};
use lakehouse_aws::GlueSettings;
use lakehouse_core::catalog::{Catalog, CommitOutcome};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::name::NamespaceIdent;
use serde_json::{Value, json};

use crate::emulated::{ident, set_property};
use crate::scripted::{Scripted, not_found};

const OWNER: &str = "111122223333";

/// A table whose files are in a folder of this test.
pub(crate) struct Stored {
    _folder: tempfile::TempDir,
    pub(crate) metadata_location: String,
}

pub(crate) fn stored() -> Stored {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_str().unwrap().to_owned();
    let id = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long));
    let metadata: TableMetadata = TableMetadataBuilder::new(
        Schema::builder().with_fields([id.into()]).build().unwrap(),
        PartitionSpec::unpartition_spec(),
        SortOrder::unsorted_order(),
        location.clone(),
        FormatVersion::V2,
        HashMap::new(),
    )
    .unwrap()
    .build()
    .unwrap()
    .metadata;
    let file = folder
        .path()
        .join("metadata/00000-9c12d441-03fe-4693-9a96-a0705ddf69c1.metadata.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, serde_json::to_vec(&metadata).unwrap()).unwrap();
    Stored {
        metadata_location: file.to_str().unwrap().to_owned(),
        _folder: folder,
    }
}

pub(crate) fn table(name: &str, location: &str) -> Value {
    json!({"Name": name, "VersionId": "41", "CatalogId": OWNER, "Parameters": {
        "table_type": "ICEBERG", "metadata_location": location,
    }})
}

fn link(target: &Value) -> Value {
    json!({"Name": "linked", "VersionId": "1", "TargetTable": target})
}

/// A link is followed when the table is read, and a commit goes to where the table is.
#[tokio::test]
async fn a_link_to_a_table_is_followed_and_written_to_where_it_is() {
    let stored = stored();
    let location = stored.metadata_location.clone();
    let scripted = Scripted::start(move |operation, body| {
        match (operation, body["Name"].as_str().unwrap_or_default()) {
            ("GetTable", "linked") => {
                let target = json!({"CatalogId": OWNER, "DatabaseName": "theirs", "Name": "t"});
                (200, json!({"Table": link(&target)}))
            }
            ("GetTable", "t") if body["CatalogId"] == OWNER => {
                (200, json!({"Table": table("t", &location)}))
            }
            ("UpdateTable", _) => (200, json!({})),
            _ => not_found(),
        }
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    let linked = ident("ours", "linked");
    let base = catalog.load_table(&linked).await.unwrap();
    let outcome = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert!(
        matches!(outcome, Ok(CommitOutcome::Committed(_))),
        "{outcome:?}"
    );
    let [update] = scripted.calls("UpdateTable").try_into().unwrap();
    assert_eq!(update["CatalogId"], OWNER);
    assert_eq!(update["DatabaseName"], "theirs");
    assert_eq!(update["TableInput"]["Name"], "t");
    // The version is that of the answer which named the metadata file: rs#1868.
    assert_eq!(update["VersionId"], "41");
    // Glue keeps 100 000 versions of a table and no more: java#6916.
    assert_eq!(update["SkipArchive"], true);
    let renamed = catalog.rename_table(&linked, &ident("ours", "new")).await;
    assert_eq!(renamed.unwrap_err().kind(), ErrorKind::Unsupported);
    // Whoever purges deletes the files next, and they are the owner's.
    let purged = catalog.drop_owned_table(&base).await.unwrap_err();
    assert_eq!(purged.kind(), ErrorKind::Unsupported);
    assert!(purged.to_string().contains("without PURGE"), "{purged}");
    assert!(scripted.calls("DeleteTable").is_empty());
}

/// Between the reading of what is to be purged and its removal, somebody makes the name another's.
#[tokio::test]
async fn a_name_that_stands_for_another_table_is_not_purged() {
    let stored = stored();
    let location = stored.metadata_location.clone();
    let asked = Mutex::new(0);
    let scripted = Scripted::start(move |operation, _| match operation {
        "GetTable" => {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            let now = if *asked == 1 {
                &location
            } else {
                "s3://b/new.metadata.json"
            };
            (200, json!({"Table": table("t", now)}))
        }
        _ => (200, json!({})),
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    let base = catalog.load_table(&ident("n", "t")).await.unwrap();
    let purged = catalog.drop_owned_table(&base).await.unwrap_err();
    assert_eq!(purged.kind(), ErrorKind::Conflict);
    assert!(scripted.calls("DeleteTable").is_empty());
}

/// Glue drops a database with its tables, and a page of them may be empty before the last.
#[tokio::test]
async fn a_database_with_an_empty_page_of_tables_is_not_dropped() {
    let scripted = Scripted::start(move |operation, body| match operation {
        "GetDatabase" => (200, json!({"Database": {"Name": "n"}})),
        "GetTables" if body["NextToken"].is_null() => {
            (200, json!({"TableList": [], "NextToken": "1"}))
        }
        "GetTables" => (200, json!({"TableList": [table("t", "s3://b/x")]})),
        _ => (200, json!({})),
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    let dropped = catalog
        .drop_namespace(&NamespaceIdent::new("n".to_owned()))
        .await;
    assert_eq!(dropped.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(scripted.calls("DeleteDatabase").is_empty());
}

/// The request was doubled on its way, two others committed on top, and the refusal of the second is
/// what came back: the history has our file.
#[tokio::test]
async fn c02_a_commit_that_others_followed_is_found_in_the_history() {
    let stored = stored();
    let base_location = stored.metadata_location.clone();
    let asked_for: Arc<Mutex<Option<String>>> = Arc::default();
    let seen = Arc::clone(&asked_for);
    let scripted = Scripted::start(move |operation, body| {
        let mut asked_for = seen.lock().unwrap();
        match (operation, asked_for.as_ref()) {
            ("GetTable", None) => (200, json!({"Table": table("t", &base_location)})),
            ("GetTable", Some(ours)) => {
                // What the last of them wrote.
                let mut metadata: Value =
                    serde_json::from_slice(&std::fs::read(ours).unwrap()).unwrap();
                let logged = json!([
                    {"timestamp-ms": 1, "metadata-file": base_location},
                    {"timestamp-ms": 2, "metadata-file": ours},
                    {"timestamp-ms": 3, "metadata-file": "s3://b/theirs.metadata.json"},
                ]);
                metadata["metadata-log"] = logged;
                let last = format!("{base_location}.last.metadata.json");
                std::fs::write(&last, metadata.to_string()).unwrap();
                let mut found = table("t", &last);
                found["VersionId"] = json!("44");
                found["Parameters"]["previous_metadata_location"] =
                    json!("s3://b/theirs.metadata.json");
                (200, json!({"Table": found}))
            }
            ("UpdateTable", _) => {
                let location = &body["TableInput"]["Parameters"]["metadata_location"];
                *asked_for = location.as_str().map(str::to_owned);
                (
                    400,
                    json!({"__type": "ConcurrentModificationException", "Message": "moved"}),
                )
            }
            _ => not_found(),
        }
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    let base = catalog.load_table(&ident("n", "t")).await.unwrap();
    let outcome = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert!(
        matches!(outcome, Ok(CommitOutcome::Committed(_))),
        "{outcome:?}"
    );
    let ours = asked_for.lock().unwrap().clone().unwrap();
    assert!(std::path::Path::new(&ours).exists());
}

/// Who changes what stands beside the pointer, a tag or an owner, makes a new version and no commit:
/// ours was certainly not made, and may be tried again.
#[tokio::test]
async fn a_commit_that_meets_a_change_of_tags_is_a_conflict() {
    for code in [
        "ConcurrentModificationException",
        "InternalServiceException",
    ] {
        let stored = stored();
        let location = stored.metadata_location.clone();
        let asked = Mutex::new(0);
        let scripted = Scripted::start(move |operation, _| {
            let mut asked = asked.lock().unwrap();
            match operation {
                "GetTable" => {
                    let mut found = table("t", &location);
                    found["VersionId"] = json!((41 + *asked).to_string());
                    (200, json!({"Table": found}))
                }
                _ => {
                    *asked += 1;
                    let status = if code.starts_with("Internal") {
                        500
                    } else {
                        400
                    };
                    (status, json!({"__type": code, "Message": "no"}))
                }
            }
        });
        let catalog = scripted.catalog(GlueSettings::default()).await;
        let base = catalog.load_table(&ident("n", "t")).await.unwrap();
        let outcome = catalog.commit(&base, vec![], set_property("a", "1")).await;
        assert!(
            matches!(outcome, Ok(CommitOutcome::Conflicted(_))),
            "{code}: {outcome:?}"
        );
        assert_eq!(scripted.calls("UpdateTable").len(), 1);
    }
}

#[tokio::test]
async fn demand_25_trino_13413_versions_are_archived_only_when_asked() {
    for skip_archive in [true, false] {
        let stored = stored();
        let location = stored.metadata_location.clone();
        let scripted = Scripted::start(move |operation, _| match operation {
            "GetTable" => (200, json!({"Table": table("t", &location)})),
            _ => (200, json!({})),
        });
        let settings = GlueSettings {
            skip_archive,
            ..GlueSettings::default()
        };
        let catalog = scripted.catalog(settings).await;
        let base = catalog.load_table(&ident("a", "t")).await.unwrap();
        let outcome = catalog.commit(&base, vec![], set_property("a", "1")).await;
        assert!(matches!(outcome, Ok(CommitOutcome::Committed(_))));
        let updates = scripted.calls("UpdateTable");
        assert_eq!(updates[0]["SkipArchive"], skip_archive);
    }
}

/// A link to a database stands for the tables in it, where Glue does not follow it by itself.
#[tokio::test]
async fn a_link_to_a_database_is_followed() {
    let stored = stored();
    let location = stored.metadata_location.clone();
    let scripted = Scripted::start(move |operation, body| {
        let is_theirs = body["CatalogId"] == OWNER && body["DatabaseName"] == "theirs";
        match operation {
            "GetDatabase" if body["Name"] == "ours" => {
                let target = json!({"CatalogId": OWNER, "DatabaseName": "theirs"});
                (
                    200,
                    json!({"Database": {"Name": "ours", "TargetDatabase": target}}),
                )
            }
            "GetTable" if is_theirs => (200, json!({"Table": table("t", &location)})),
            "GetTables" if is_theirs => (200, json!({"TableList": [table("t", &location)]})),
            _ => not_found(),
        }
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    catalog.load_table(&ident("ours", "t")).await.unwrap();
    let ours = NamespaceIdent::new("ours".to_owned());
    assert_eq!(
        catalog.list_tables(&ours).await.unwrap(),
        [ident("ours", "t")]
    );
}

/// What is in another region, or not shared, says so; a table without a version is not written to.
#[tokio::test]
async fn what_cannot_be_reached_or_written_safely_says_why() {
    let stored = stored();
    let location = stored.metadata_location.clone();
    let scripted = Scripted::start(move |operation, body| {
        match (operation, body["Name"].as_str().unwrap_or_default()) {
            ("GetTable", "far") => {
                let target = json!({
                    "CatalogId": OWNER, "DatabaseName": "d", "Name": "t", "Region": "us-west-2",
                });
                (200, json!({"Table": link(&target)}))
            }
            ("GetTable", "unshared") => {
                let target = json!({"CatalogId": OWNER, "DatabaseName": "d", "Name": "none"});
                (200, json!({"Table": link(&target)}))
            }
            ("GetTable", "unversioned") => {
                let mut found = table("unversioned", &location);
                found["VersionId"] = Value::Null;
                (200, json!({"Table": found}))
            }
            ("GetTable", "denied") => (
                400,
                json!({"__type": "AccessDeniedException", "Message":
                    "User: arn:aws:iam::1:user/ann is not authorized to perform: glue:GetTable on \
                     resource: arn:aws:glue:eu-central-1:1:table/d/denied"}),
            ),
            ("UpdateTable", _) => (200, json!({})),
            _ => not_found(),
        }
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    for (name, kind, said) in [
        ("far", ErrorKind::Unsupported, "us-west-2"),
        ("unshared", ErrorKind::PermissionDenied, "not shared"),
        (
            "denied",
            ErrorKind::PermissionDenied,
            "glue:GetTable on resource",
        ),
    ] {
        let error = catalog.load_table(&ident("d", name)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let base = catalog
        .load_table(&ident("d", "unversioned"))
        .await
        .unwrap();
    let refused = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(scripted.calls("UpdateTable").is_empty());
}

/// Lists are read to their end, page by page, in the account that the settings name.
#[tokio::test]
async fn lists_are_read_page_by_page_in_the_account_that_was_named() {
    let stopped = Mutex::new(0);
    let scripted = Scripted::start(move |operation, body| {
        let page: usize = body["NextToken"].as_str().unwrap_or("0").parse().unwrap();
        let next = (page < 2).then(|| (page + 1).to_string());
        match operation {
            "GetDatabases" => {
                let listed = json!([{"Name": format!("d{}", 2 - page)}]);
                (200, json!({"DatabaseList": listed, "NextToken": next}))
            }
            "GetDatabase" => (200, json!({"Database": {"Name": "d"}})),
            "GetTables" => {
                // The second page is throttled once, as real ones are.
                let mut stopped = stopped.lock().unwrap();
                if page == 1 && *stopped == 0 {
                    *stopped += 1;
                    return (
                        400,
                        json!({"__type": "ThrottlingException", "Message": "slow"}),
                    );
                }
                let listed = json!([table(&format!("t{page}"), "s3://b/m"), {"Name": "hive"}]);
                (200, json!({"TableList": listed, "NextToken": next}))
            }
            _ => not_found(),
        }
    });
    let settings = GlueSettings {
        catalog_id: Some(OWNER.to_owned()),
        ..GlueSettings::default()
    };
    let catalog = scripted.catalog(settings).await;
    let databases = catalog.list_namespaces().await.unwrap();
    let names: Vec<String> = databases.iter().map(|one| one.join(".")).collect();
    assert_eq!(names, ["d0", "d1", "d2"]);
    let tables = catalog.list_tables(&databases[0]).await.unwrap();
    let names: Vec<&str> = tables.iter().map(|one| one.name()).collect();
    assert_eq!(names, ["t0", "t1", "t2"]);
    let calls = scripted.calls("GetTables");
    assert_eq!(calls.len(), 4, "three pages, one asked twice");
    assert!(calls.iter().all(|call| call["CatalogId"] == OWNER));
}

/// What Lake Formation refuses names the action, the resource and where to allow it: java#10226,
/// #11126, #13354.
#[tokio::test]
async fn demand_31_java_10226_a_refusal_of_lake_formation_says_what_to_allow() {
    let scripted = Scripted::start(|operation, _| match operation {
        "GetDatabase" => (200, json!({"Database": {"Name": "d"}})),
        "GetTable" => not_found(),
        _ => (
            400,
            json!({"__type": "AccessDeniedException", "Message":
                "Insufficient Lake Formation permission(s): Required Create Table on d"}),
        ),
    });
    let settings = GlueSettings {
        warehouse: Some("memory:///lake".to_owned()),
        ..GlueSettings::default()
    };
    let catalog = scripted.catalog(settings).await;
    let made = crate::emulated::try_make(&catalog, &ident("d", "t")).await;
    let error = made.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let text = error.to_string();
    assert!(text.contains("Required Create Table on d"), "{text}");
    assert!(text.contains("in Lake Formation"), "{text}");
    assert!(text.contains("CreateTable of table \"d.t\""), "{text}");
}
