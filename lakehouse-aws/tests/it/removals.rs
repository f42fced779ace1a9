//! Names that go: dropped, dropped with their files, renamed, while others commit and answers are
//! lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_glue::types::TableInput;
use lakehouse_aws::GlueSettings;
use lakehouse_core::catalog::{Catalog, CommitOutcome, TablePointer};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::runtime::spawn;
use lakehouse_testkit::{HttpCalls, HttpFault};
use serde_json::{Value, json};

use crate::creations::metadata;
use crate::emulated::{Emulated, ident, make, make_table, set_property};
use crate::scripted::{Scripted, not_found};

const OWNER: &str = "111122223333";

async fn waits_at(emulated: &Emulated, operation: &str) {
    for _ in 0..2_000 {
        if emulated.proxy.counts().of("glue", operation) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody asks for {operation}");
}

/// Glue's deletion compares no version. Who commits between the look and the removal makes the
/// dropping a conflict.
#[tokio::test]
async fn a_commit_before_a_purge_is_not_lost() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = Arc::new(emulated.catalog().await);
    let base = make_table(catalog.as_ref()).await;
    emulated.proxy.forget();
    let late = HttpFault::DelayedRequest { ms: 700 };
    emulated
        .proxy
        .fail_nth(HttpCalls::of("glue", "UpdateTable"), 1, late);
    let purge = {
        let (catalog, base) = (Arc::clone(&catalog), base.clone());
        spawn(async move { catalog.drop_owned_table(&base).await })
    };
    waits_at(&emulated, "UpdateTable").await;
    let commit = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert!(
        matches!(commit, Ok(CommitOutcome::Committed(_))),
        "{commit:?}"
    );
    let refused = purge.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    let now = catalog.load_table(&base.ident).await.unwrap();
    assert_eq!(now.metadata.properties()["a"], "1");
    assert_eq!(emulated.proxy.counts().of("glue", "DeleteTable"), 0);
}

/// Who commits after it is told that there is nothing to commit to, before any file is deleted.
#[tokio::test]
async fn a_commit_during_a_purge_is_refused() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = Arc::new(emulated.catalog().await);
    let base = make_table(catalog.as_ref()).await;
    emulated.proxy.forget();
    let late = HttpFault::DelayedRequest { ms: 700 };
    emulated
        .proxy
        .fail_nth(HttpCalls::of("glue", "DeleteTable"), 1, late);
    let purge = {
        let (catalog, base) = (Arc::clone(&catalog), base.clone());
        spawn(async move { catalog.drop_owned_table(&base).await })
    };
    waits_at(&emulated, "DeleteTable").await;
    let commit = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert_eq!(commit.unwrap_err().kind(), ErrorKind::Unsupported);
    purge.await.unwrap().unwrap();
    let gone = catalog.load_table(&base.ident).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

/// Each step of a purge whose answer is lost is settled by reading, and nothing is removed twice.
#[tokio::test]
async fn a_purge_without_answers_is_done_once() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    for (number, operation) in ["UpdateTable", "DeleteTable"].into_iter().enumerate() {
        for (other, fault) in [HttpFault::AnswerLost, HttpFault::AppliedThenFailed]
            .into_iter()
            .enumerate()
        {
            emulated.proxy.heal();
            let base = make(&catalog, &ident("silver", &format!("t{number}{other}"))).await;
            emulated.proxy.forget();
            emulated
                .proxy
                .fail_nth(HttpCalls::of("glue", operation), 1, fault);
            catalog.drop_owned_table(&base).await.unwrap();
            let gone = catalog.load_table(&base.ident).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound, "{operation} {fault:?}");
            let counts = emulated.proxy.counts();
            assert_eq!(counts.of("glue", "DeleteTable"), 1, "{operation} {fault:?}");
        }
    }
}

/// A purge that is cut off leaves a remainder that says so; the files stay, and the name can be
/// dropped.
#[tokio::test]
async fn what_a_cut_purge_leaves_can_be_dropped() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    emulated
        .proxy
        .fail_always(HttpCalls::of("glue", "DeleteTable"), HttpFault::RequestLost);
    let cut = catalog.drop_owned_table(&base).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Unknown, "{cut}");
    assert!(cut.to_string().contains("none of its files"), "{cut}");
    emulated.proxy.heal();
    let left = catalog.load_table(&base.ident).await.unwrap_err();
    let text = left.to_string();
    assert!(
        text.contains("drop it") && text.contains(&base.metadata_location),
        "{text}"
    );
    assert!(catalog.is_droppable(&base.ident).await.unwrap());
    catalog.drop_table(&base.ident).await.unwrap();
    let again = catalog.register_table(&base.ident, &base.metadata_location);
    again.await.unwrap();
    catalog.load_table(&base.ident).await.unwrap();
}

/// Whoever may change an entry and not delete it gets the table back as it was, also where the
/// answer to that is lost, and is told what he may not do. That policies refuse so, no emulator
/// shows: the proxy does it in the form that AWS documents.
#[tokio::test]
async fn a_purge_that_is_refused_leaves_the_table_as_it_was() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    let before = emulated.glue_table("silver", "t").await;
    let deletes = HttpCalls::of("glue", "DeleteTable");
    for fault in [
        None,
        Some(HttpFault::AnswerLost),
        Some(HttpFault::RequestLost),
        Some(HttpFault::AppliedThenFailed),
    ] {
        emulated.proxy.heal();
        emulated
            .proxy
            .fail_always(deletes.clone(), HttpFault::Denied);
        if let Some(fault) = fault {
            // The first makes the entry a remainder.
            let updates = HttpCalls::of("glue", "UpdateTable");
            emulated.proxy.fail_nth(updates, 2, fault);
        }
        let refused = catalog.drop_owned_table(&base).await.unwrap_err();
        let text = refused.to_string();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{text}");
        for said in [
            "nothing was dropped",
            "\"silver.t\" is as it was",
            "DeleteTable of table \"silver.t\"",
            "glue:DeleteTable",
            "allow the action",
        ] {
            assert!(text.contains(said), "{fault:?}: {text}");
        }
        let now = emulated.glue_table("silver", "t").await;
        assert_eq!(now.parameters(), before.parameters(), "{fault:?}");
        assert_eq!(now.storage_descriptor(), before.storage_descriptor());
    }
    let now = catalog.load_table(&base.ident).await.unwrap();
    assert_eq!(now.metadata_location, base.metadata_location);
    // Who has read it before may commit still.
    let commit = catalog.commit(&base, vec![], set_property("a", "1")).await;
    assert!(
        matches!(commit, Ok(CommitOutcome::Committed(_))),
        "{commit:?}"
    );
    emulated.proxy.heal();
    let now = catalog.load_table(&base.ident).await.unwrap();
    catalog.drop_owned_table(&now).await.unwrap();
}

/// What can neither be deleted nor given back says so, and that its files are there.
#[tokio::test]
async fn a_refused_purge_that_cannot_be_taken_back_says_what_is_left() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    let deletes = HttpCalls::of("glue", "DeleteTable");
    let updates = HttpCalls::of("glue", "UpdateTable");
    emulated.proxy.fail_always(deletes, HttpFault::Denied);
    emulated.proxy.fail_nth(updates, 2, HttpFault::Denied);
    let error = catalog.drop_owned_table(&base).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    for said in ["none of its files", "glue:DeleteTable", "glue:UpdateTable"] {
        assert!(error.to_string().contains(said), "{error}");
    }
    emulated.proxy.heal();
    catalog.drop_table(&base.ident).await.unwrap();
    let again = catalog.register_table(&base.ident, &base.metadata_location);
    again.await.unwrap();
}

/// A deletion that is not answered is looked for more than once, and never sent again. What may go
/// late is not made a table again, for it would go as one.
#[tokio::test]
async fn a_deletion_without_an_answer_is_waited_for() {
    for comes_at in [Some(3), None] {
        let kept: Arc<Mutex<(Option<Value>, u32)>> = Arc::default();
        let seen = Arc::clone(&kept);
        let location = "s3://b/m.json";
        let scripted = Scripted::start(move |operation, body| {
            let (parameters, looks) = &mut *seen.lock().unwrap();
            match operation {
                "GetTable" => {
                    let is_gone = *looks > 0 && comes_at == Some(*looks);
                    *looks += u32::from(*looks > 0);
                    let first = json!({"table_type": "ICEBERG", "metadata_location": location});
                    let found = table("t", parameters.as_ref().unwrap_or(&first));
                    match is_gone {
                        true => not_found(),
                        false => (200, json!({"Table": found})),
                    }
                }
                "UpdateTable" => {
                    *parameters = Some(body["TableInput"]["Parameters"].clone());
                    (200, json!({}))
                }
                "DeleteTable" => {
                    *looks = 1;
                    (500, json!({"__type": "InternalServiceException"}))
                }
                _ => not_found(),
            }
        });
        let catalog = scripted.catalog(GlueSettings::default()).await;
        let pointer = TablePointer {
            ident: ident("d", "t"),
            metadata_location: location.to_owned(),
            metadata: Arc::new(metadata(location)),
        };
        let dropped = catalog.drop_owned_table(&pointer).await;
        match comes_at {
            Some(_) => dropped.unwrap(),
            None => assert_eq!(dropped.unwrap_err().kind(), ErrorKind::Unknown),
        }
        assert_eq!(scripted.calls("DeleteTable").len(), 1);
        assert_eq!(scripted.calls("UpdateTable").len(), 1, "{comes_at:?}");
    }
}

/// The last step of a renaming removes what is left of the old name, once: by the time that an
/// answer is missed, the name may be somebody else's.
#[tokio::test]
async fn the_last_step_of_a_renaming_is_settled_by_reading() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    let new = ident("silver", "new");
    emulated.proxy.forget();
    let deletes = HttpCalls::of("glue", "DeleteTable");
    emulated
        .proxy
        .fail_nth(deletes.clone(), 1, HttpFault::AnswerLost);
    catalog.rename_table(&base.ident, &new).await.unwrap();
    assert_eq!(emulated.proxy.counts().of("glue", "DeleteTable"), 1);
    assert_eq!(
        catalog.load_table(&base.ident).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    emulated.proxy.heal();
    emulated.proxy.forget();
    emulated.proxy.fail_nth(deletes, 1, HttpFault::RequestLost);
    let back = catalog.rename_table(&new, &base.ident).await.unwrap_err();
    assert_eq!(back.kind(), ErrorKind::Unknown, "{back}");
    assert!(back.to_string().contains("still there"), "{back}");
    assert_eq!(emulated.proxy.counts().of("glue", "DeleteTable"), 1);
    catalog.load_table(&base.ident).await.unwrap();
    catalog.drop_table(&new).await.unwrap();
}

fn table(name: &str, parameters: &Value) -> Value {
    json!({"Name": name, "VersionId": "1", "Parameters": parameters})
}

/// A renaming that is refused takes back the copy that it made, and no other one of the same table:
/// that one may be all there is by now.
#[tokio::test]
async fn a_renaming_takes_back_only_its_own_copy() {
    for is_own in [true, false] {
        let copied: Arc<Mutex<Option<Value>>> = Arc::default();
        let seen = Arc::clone(&copied);
        let iceberg = json!({"table_type": "ICEBERG", "metadata_location": "s3://b/m.json"});
        let scripted = Scripted::start(move |operation, body| {
            let mut copied = seen.lock().unwrap();
            let name = body["TableInput"]["Name"].as_str();
            match (
                operation,
                name.or(body["Name"].as_str()).unwrap_or_default(),
            ) {
                ("GetTable", "old") => (200, json!({"Table": table("old", &iceberg)})),
                ("GetTable", _) => match copied.as_ref() {
                    Some(parameters) => (200, json!({"Table": table("new", parameters)})),
                    None => not_found(),
                },
                ("CreateTable", _) => {
                    let mut parameters = body["TableInput"]["Parameters"].clone();
                    if !is_own {
                        parameters["lakehouse.renaming"] = json!("of somebody else");
                    }
                    *copied = Some(parameters);
                    (200, json!({}))
                }
                // Somebody has committed to the old name.
                ("UpdateTable", "old") => {
                    let code = "ConcurrentModificationException";
                    (400, json!({"__type": code, "Message": "moved"}))
                }
                ("GetDatabase", _) => not_found(),
                _ => (200, json!({})),
            }
        });
        let catalog = scripted.catalog(GlueSettings::default()).await;
        let (old, new) = (ident("d", "old"), ident("d", "new"));
        let error = catalog.rename_table(&old, &new).await.unwrap_err();
        let deleted = scripted.calls("DeleteTable");
        match is_own {
            true => {
                assert_eq!(deleted.len(), 1);
                assert_eq!(deleted[0]["Name"], "new");
            }
            false => {
                assert!(deleted.is_empty(), "{deleted:?}");
                assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
            }
        }
    }
}

/// What errors say is to be dropped can be dropped, though none of it can be read.
#[tokio::test]
async fn tables_that_cannot_be_read_can_be_dropped() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    let input = |name: &str| {
        TableInput::builder()
            .name(name)
            .parameters("table_type", "ICEBERG")
    };
    let missing = format!("s3://{}/gone/v3.metadata.json", emulated.bucket);
    let lost = input("lost").build();
    let gone = input("gone")
        .parameters("metadata_location", missing)
        .build();
    for input in [lost, gone] {
        let input = input.unwrap();
        let name = ident("silver", input.name());
        let put = emulated.glue().create_table().database_name("silver");
        put.table_input(input).send().await.unwrap();
        let error = catalog.load_table(&name).await.unwrap_err();
        assert!(error.to_string().contains("DROP TABLE"), "{error}");
        assert!(catalog.is_droppable(&name).await.unwrap());
        catalog.drop_table(&name).await.unwrap();
        assert!(!catalog.is_droppable(&name).await.unwrap());
    }
}

/// A table behind a link of its database is dropped where it is, and a link that leads nowhere as
/// itself.
#[tokio::test]
async fn names_behind_links_can_be_dropped() {
    let scripted = Scripted::start(move |operation, body| {
        let is_theirs = body["CatalogId"] == OWNER && body["DatabaseName"] == "theirs";
        match (operation, body["Name"].as_str().unwrap_or_default()) {
            ("GetDatabase", "ours") => {
                let target = json!({"CatalogId": OWNER, "DatabaseName": "theirs"});
                (
                    200,
                    json!({"Database": {"Name": "ours", "TargetDatabase": target}}),
                )
            }
            ("GetTable", "t") if is_theirs => {
                let parameters = json!({"table_type": "ICEBERG", "metadata_location": "s3://b/m"});
                (200, json!({"Table": table("t", &parameters)}))
            }
            ("GetTable", "dangling") if !is_theirs => {
                let target = json!({"CatalogId": OWNER, "DatabaseName": "d", "Name": "none"});
                (
                    200,
                    json!({"Table": {"Name": "dangling", "TargetTable": target}}),
                )
            }
            ("DeleteTable", _) => (200, json!({})),
            _ => not_found(),
        }
    });
    let catalog = scripted.catalog(GlueSettings::default()).await;
    let dangling = ident("ours", "dangling");
    let error = catalog.load_table(&dangling).await.unwrap_err();
    assert!(error.to_string().contains("drop the link"), "{error}");
    for name in [ident("ours", "t"), dangling] {
        assert!(catalog.is_droppable(&name).await.unwrap());
        catalog.drop_table(&name).await.unwrap();
    }
    let [behind, link] = scripted.calls("DeleteTable").try_into().unwrap();
    assert_eq!(
        (&behind["CatalogId"], &behind["DatabaseName"]),
        (&json!(OWNER), &json!("theirs"))
    );
    assert_eq!(
        (&link["CatalogId"], &link["DatabaseName"]),
        (&Value::Null, &json!("ours"))
    );
}
