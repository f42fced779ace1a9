//! Tables made and registered while answers are lost and others commit to what was made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use iceberg::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder, TableMetadata,
    TableMetadataBuilder, Type,
};
use lakehouse_aws::GlueSettings;
use lakehouse_core::catalog::{Catalog, CommitOutcome};
use lakehouse_core::error::ErrorKind;
use lakehouse_testkit::{HttpCalls, HttpFault};
use serde_json::{Value, json};

use crate::emulated::{Emulated, ident, make_table};
use crate::scripted::{Scripted, not_found};

pub(crate) fn metadata(location: &str) -> TableMetadata {
    let id = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long));
    let built = TableMetadataBuilder::new(
        Schema::builder().with_fields([id.into()]).build().unwrap(),
        PartitionSpec::unpartition_spec(),
        SortOrder::unsorted_order(),
        location.to_owned(),
        FormatVersion::V2,
        HashMap::new(),
    );
    built.unwrap().build().unwrap().metadata
}

/// Who stands in the entry when it is read after the creation.
#[derive(Debug, Clone, Copy)]
enum Now {
    /// One commit on top of what was made.
    Followed,
    /// A table that was committed to more than once.
    Elsewhere,
}

/// How the creation was answered.
#[derive(Debug, Clone, Copy)]
enum Answered {
    /// Not at all, as far as anybody can tell.
    Lost,
    /// As one of two requests that something on the way made of it.
    Taken,
}

fn glue(answered: Answered, now: Now) -> (Scripted, Arc<Mutex<Option<String>>>) {
    let made: Arc<Mutex<Option<String>>> = Arc::default();
    let seen = Arc::clone(&made);
    let scripted = Scripted::start(move |operation, body| {
        let mut made = seen.lock().unwrap();
        match (operation, made.as_ref()) {
            ("GetDatabase", _) => (200, json!({"Database": {"Name": "d"}})),
            ("GetTable", Some(ours)) => {
                let previous = match now {
                    Now::Followed => ours.as_str(),
                    Now::Elsewhere => "s3://b/theirs-1.json",
                };
                let parameters = json!({
                    "table_type": "ICEBERG",
                    "metadata_location": "s3://b/theirs-2.json",
                    "previous_metadata_location": previous,
                });
                let table = json!({"Name": "t", "VersionId": "2", "Parameters": parameters});
                (200, json!({"Table": table}))
            }
            ("CreateTable", _) => {
                let location = &body["TableInput"]["Parameters"]["metadata_location"];
                *made = location.as_str().map(str::to_owned);
                match answered {
                    Answered::Lost => (500, json!({"__type": "InternalServiceException"})),
                    Answered::Taken => (400, json!({"__type": "AlreadyExistsException"})),
                }
            }
            _ => not_found(),
        }
    });
    (scripted, made)
}

/// A creation whose answer was lost, and on which others have committed already, is one; one of
/// which nobody can tell is unknown. In neither case is the metadata file deleted.
#[tokio::test]
async fn c01_a_creation_that_others_followed_keeps_its_file() {
    for answered in [Answered::Lost, Answered::Taken] {
        for now in [Now::Followed, Now::Elsewhere] {
            let folder = tempfile::tempdir().unwrap();
            let location = folder.path().join("t").to_str().unwrap().to_owned();
            let (scripted, made) = glue(answered, now);
            let catalog = scripted.catalog(GlueSettings::default()).await;
            let name = ident("d", "t");
            let outcome = catalog.create_table(&name, metadata(&location)).await;
            let outcome = outcome.unwrap();
            let is_known = matches!(outcome, CommitOutcome::Committed(_));
            assert_eq!(
                is_known,
                matches!(now, Now::Followed),
                "{answered:?} {outcome:?}"
            );
            assert!(is_known || matches!(outcome, CommitOutcome::Unknown { .. }));
            let file = made.lock().unwrap().clone().unwrap();
            assert!(std::path::Path::new(&file).exists(), "{answered:?} {now:?}");
            assert_eq!(scripted.calls("CreateTable").len(), 1);
        }
    }
}

/// A creation that is refused says which right is missing and leaves no file; one of which an
/// earlier request may still come leaves it.
#[tokio::test]
async fn a_creation_that_is_refused_leaves_nothing() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    let creates = HttpCalls::of("glue", "CreateTable");
    for (first, kept) in [(HttpFault::Denied, false), (HttpFault::RequestLost, true)] {
        emulated.proxy.heal();
        emulated.proxy.fail_nth(creates.clone(), 1, first);
        emulated
            .proxy
            .fail_always(creates.clone(), HttpFault::Denied);
        let location = format!("s3://{}/new-{kept}", emulated.bucket);
        let made = catalog
            .create_table(&ident("silver", "new"), metadata(&location))
            .await;
        match made {
            Err(error) => {
                assert!(!kept, "{error}");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                for said in ["glue:CreateTable", "table \"silver.new\""] {
                    assert!(error.to_string().contains(said), "{error}");
                }
            }
            Ok(outcome) => assert!(
                kept && matches!(outcome, CommitOutcome::Unknown { .. }),
                "{outcome:?}"
            ),
        }
        let listed = catalog.storage().list(&location).unwrap();
        let files: Vec<_> = listed.try_collect().await.unwrap();
        assert_eq!(files.len(), usize::from(kept), "{files:?}");
    }
}

/// A registration is settled as a creation is; when nobody can tell, it is told as unknown and not
/// as something to try again.
#[tokio::test]
async fn a_registration_without_an_answer_is_looked_for() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let made = make_table(&catalog).await;
    let creates = HttpCalls::of("glue", "CreateTable");
    for (number, fault) in [HttpFault::AnswerLost, HttpFault::RequestLost]
        .into_iter()
        .enumerate()
    {
        emulated.proxy.heal();
        emulated.proxy.fail_nth(creates.clone(), 1, fault);
        let name = ident("silver", &format!("again{number}"));
        let again = catalog.register_table(&name, &made.metadata_location).await;
        assert_eq!(
            again.unwrap().metadata_location,
            made.metadata_location,
            "{fault:?}"
        );
        catalog.load_table(&name).await.unwrap();
    }
    emulated.proxy.fail_always(creates, HttpFault::RequestLost);
    let name = ident("silver", "never");
    let never = catalog.register_table(&name, &made.metadata_location).await;
    let never = never.unwrap_err();
    assert_eq!(never.kind(), ErrorKind::Unknown, "{never}");
    assert!(never.to_string().contains("look for it"), "{never}");
}

/// What a refusal of Glue is told as, and that nothing of what was signed is in it.
#[tokio::test]
async fn refusals_of_glue_say_what_to_do() {
    const HUSH: &str = "x-amz-security-token:HUSH";
    let denied = "User: arn:aws:iam::1:user/ann is not authorized to perform: glue:GetTable on \
                  resource: arn:aws:glue:eu-central-1:1:table/d/t";
    for (code, message, kind, said) in [
        (
            "ExpiredTokenException",
            "expired",
            ErrorKind::PermissionDenied,
            "sign in again",
        ),
        (
            "AccessDeniedException",
            denied,
            ErrorKind::PermissionDenied,
            "glue:GetTable on resource",
        ),
        (
            "UnrecognizedClientException",
            "no",
            ErrorKind::PermissionDenied,
            "profile, region",
        ),
        (
            "InvalidSignatureException",
            HUSH,
            ErrorKind::PermissionDenied,
            "secret key does not fit",
        ),
        (
            "RequestExpired",
            "late",
            ErrorKind::PermissionDenied,
            "clock",
        ),
        (
            "GlueEncryptionException",
            "kms",
            ErrorKind::PermissionDenied,
            "key's policy",
        ),
        (
            "ResourceNotReadyException",
            "soon",
            ErrorKind::Unavailable,
            "try again",
        ),
    ] {
        let answer: Value = json!({"__type": code, "Message": message});
        let scripted = Scripted::start(move |_, _| (400, answer.clone()));
        let catalog = scripted.catalog(GlueSettings::default()).await;
        let error = catalog.load_table(&ident("d", "t")).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(
            text.contains(said) && text.contains("d.t"),
            "{code}: {text}"
        );
        assert!(!format!("{error:?}").contains("HUSH"), "{error:?}");
    }
}
