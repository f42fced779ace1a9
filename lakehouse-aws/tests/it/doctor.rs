//! The examination of the way to AWS: what each step finds, and that it tells what to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use futures::future::BoxFuture;
use lakehouse_aws::{Check, Diagnosis, Examination, Finding, GlueSettings, examine_with};
use lakehouse_core::catalog::CatalogParts;
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use lakehouse_testkit::{AwsAccount, Emulators, HttpCalls, HttpFault};
use serde_json::json;
use uuid::Uuid;

use crate::emulated::{Emulated, ident, make_table, parts};
use crate::scripted::{Answer, Request, Server};

const TOKEN: &str = "hush-session-token";

fn keys(key: &str) -> Credentials {
    let token = Some(TOKEN.to_owned());
    Credentials::new(key, AwsAccount::SECRET, token, None, "test")
}

/// The findings of a check, told as they are printed. No secret is in any of them.
fn told(found: &Diagnosis, check: Check) -> String {
    let whole = format!("{found} {found:?}");
    assert!(!whole.contains(AwsAccount::SECRET), "{whole}");
    assert!(!whole.contains(TOKEN), "{whole}");
    let steps = found.steps.iter().filter(|step| step.check == check);
    steps
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn failed(found: &Diagnosis) -> Vec<Check> {
    let failed = found.steps.iter();
    let failed = failed.filter(|step| matches!(step.finding, Finding::Failed(_)));
    failed.map(|step| step.check).collect()
}

/// What examines an emulated account, all of it through the proxy but Lake Formation.
fn examination(emulated: &Emulated) -> (GlueSettings, Examination) {
    let settings = GlueSettings {
        sts_endpoint: Some(emulated.proxy.endpoint()),
        ..emulated.settings()
    };
    let moto = Emulators::shared().unwrap().unwrap().moto().to_owned();
    let examination = Examination {
        kms_endpoint: Some(emulated.proxy.endpoint()),
        lake_formation_endpoint: Some(moto),
        ..Examination::default()
    };
    (settings, examination)
}

#[tokio::test]
async fn a_lake_that_is_well_passes_every_step() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    make_table(&emulated.catalog().await).await;
    let (mut settings, mut examination) = examination(&emulated);
    settings.kms_key = Some(emulated.make_key());
    examination.writes = true;
    let found = examine_with(&settings, &examination, parts(), keys(&emulated.key)).await;
    assert!(found.is_sound(), "{found}");
    for (check, said) in [
        (Check::Settings, emulated.region.as_str()),
        (Check::Credentials, emulated.key.as_str()),
        (Check::Clock, "ok"),
        (Check::Glue, "1 database"),
        (Check::Table, "silver.t: s3://"),
        (Check::Bucket, emulated.bucket.as_str()),
        (Check::Write, "written, read and deleted"),
        (Check::Key, "is enabled"),
        (Check::LakeFormation, "new tables are governed by"),
    ] {
        let told = told(&found, check);
        assert!(told.starts_with("ok") && told.contains(said), "{told}");
    }
    let listed = emulated.catalog().await;
    use futures::TryStreamExt;
    use lakehouse_core::catalog::Catalog;
    let folder = format!("s3://{}/warehouse/", emulated.bucket);
    let files = listed.storage().list(&folder).unwrap();
    let files: Vec<_> = files.try_collect().await.unwrap();
    let left = files.iter().filter(|file| file.location.contains("doctor"));
    assert_eq!(left.count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn nothing_is_written_unless_it_is_asked_for() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    make_table(&emulated.catalog().await).await;
    let (settings, mut examination) = examination(&emulated);
    examination.table = Some(ident("silver", "t"));
    emulated.proxy.forget();
    let found = examine_with(&settings, &examination, parts(), keys(&emulated.key)).await;
    assert!(found.is_sound(), "{found}");
    assert!(told(&found, Check::Write).contains("not checked"));
    let changing = |call: &lakehouse_testkit::HttpCall| {
        ["PUT", "DELETE"].contains(&call.method.as_str())
            || ["Create", "Update", "Delete"]
                .iter()
                .any(|verb| call.operation.starts_with(verb))
    };
    let journal = emulated.proxy.journal();
    let changes: Vec<_> = journal.iter().filter(|call| changing(call)).collect();
    assert!(changes.is_empty(), "{changes:?}");
}

#[tokio::test]
async fn a_table_or_bucket_that_is_missing_is_named() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    make_table(&emulated.catalog().await).await;
    let (mut settings, mut examination) = examination(&emulated);
    settings.warehouse = Some("s3://there-is-no-such-lake/".to_owned());
    settings.kms_key = Some("alias/no-such-key".to_owned());
    examination.table = Some(ident("silver", "none"));
    let found = examine_with(&settings, &examination, parts(), keys(&emulated.key)).await;
    assert_eq!(
        failed(&found),
        [Check::Table, Check::Bucket, Check::Key],
        "{found}"
    );
    assert!(told(&found, Check::Table).contains("silver.none"));
    assert!(told(&found, Check::Bucket).contains("\"there-is-no-such-lake\" does not exist"));
    assert!(
        told(&found, Check::Key).contains("check kms_key"),
        "{found}"
    );
}

/// A page in the way of any service is told as such, with the endpoint.
#[tokio::test]
async fn endpoints_that_answer_html_are_named() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    make_table(&emulated.catalog().await).await;
    let (mut settings, mut examination) = examination(&emulated);
    settings.kms_key = Some(emulated.make_key());
    examination.lake_formation_endpoint = Some(emulated.proxy.endpoint());
    for (service, check) in [
        ("sts", Check::Credentials),
        ("glue", Check::Glue),
        ("s3", Check::Bucket),
        ("kms", Check::Key),
        ("lakeformation", Check::LakeFormation),
    ] {
        emulated.proxy.heal();
        let calls = HttpCalls::of_service(service);
        emulated.proxy.fail_always(calls, HttpFault::Html);
        let found = examine_with(&settings, &examination, parts(), keys(&emulated.key)).await;
        let told = told(&found, check);
        assert!(told.starts_with("FAIL"), "{service}: {found}");
        assert!(told.contains(&emulated.proxy.endpoint()), "{told}");
        assert!(told.contains("check the endpoint"), "{told}");
    }
}

/// Time as a machine with a wrong clock has it.
#[derive(Debug)]
struct WrongClock {
    ahead_ms: i64,
}

impl Clock for WrongClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.ahead_ms
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(pause)
    }

    fn new_uuid(&self) -> Uuid {
        SystemClock.new_uuid()
    }
}

#[tokio::test]
async fn a_wrong_clock_is_told_with_its_error() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let (settings, examination) = examination(&emulated);
    for (ahead_ms, said) in [(-900_000, "s behind AWS'"), (900_000, "s ahead of AWS'")] {
        let storage = Storage::new(&SystemClock, Durability::None).unwrap();
        let parts = CatalogParts::new(storage, Arc::new(WrongClock { ahead_ms }));
        let found = examine_with(&settings, &examination, parts, keys(&emulated.key)).await;
        let told = told(&found, Check::Clock);
        assert!(told.starts_with("FAIL") && told.contains(said), "{told}");
        assert!(told.contains("set the clock"), "{told}");
    }
}

const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::111122223333:user/ann</Arn><Account>111122223333</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";

/// AWS as a script answers it, all services at one endpoint.
async fn at(server: &Server, kms_key: Option<&str>) -> Diagnosis {
    let endpoint = Some(server.endpoint.clone());
    let settings = GlueSettings {
        region: Some("eu-central-1".to_owned()),
        warehouse: Some("s3://lake/warehouse/".to_owned()),
        endpoint: endpoint.clone(),
        s3_endpoint: endpoint.clone(),
        sts_endpoint: endpoint.clone(),
        kms_key: kms_key.map(str::to_owned),
        ..GlueSettings::default()
    };
    let examination = Examination {
        kms_endpoint: endpoint.clone(),
        lake_formation_endpoint: endpoint,
        ..Examination::default()
    };
    examine_with(&settings, &examination, parts(), keys("AKIA")).await
}

fn denied(what: &str) -> Answer {
    let message = format!("User: ann is not authorized to perform: {what}");
    let body = json!({"__type": "AccessDeniedException", "Message": message});
    Answer::new(400, body.to_string()).with("Content-Type", "application/x-amz-json-1.1")
}

/// A user who may do nothing: what is refused says which right is missing, and what readers do
/// not need is a note.
fn without_rights(request: &Request) -> Answer {
    match request.service() {
        "sts" => Answer::new(200, IDENTITY),
        "glue" => denied("glue:GetDatabases on resource: arn:aws:glue:eu-central-1:1:catalog"),
        "kms" => denied("kms:DescribeKey"),
        "lakeformation" => denied("lakeformation:GetDataLakeSettings"),
        _ => Answer::new(403, "").with("x-amz-bucket-region", "eu-central-1"),
    }
}

#[tokio::test]
async fn missing_rights_are_named_with_action_and_resource() {
    let server = Server::start(without_rights);
    let found = at(&server, Some("alias/lake")).await;
    assert_eq!(failed(&found), [Check::Glue], "{found}");
    let glue = told(&found, Check::Glue);
    assert!(
        glue.contains("glue:GetDatabases on resource: arn:aws:glue"),
        "{glue}"
    );
    assert!(glue.contains("this step needs glue:GetDatabases"), "{glue}");
    assert!(told(&found, Check::Credentials).contains("user/ann of account 111122223333"));
    for (check, right) in [
        (Check::Bucket, "s3:ListBucket on arn:aws:s3:::lake"),
        (Check::Key, "kms:DescribeKey"),
        (Check::LakeFormation, "lakeformation:GetDataLakeSettings"),
    ] {
        let told = told(&found, check);
        assert!(told.starts_with("note") && told.contains(right), "{told}");
    }
}

#[tokio::test]
async fn expired_credentials_end_the_examination_with_advice() {
    let server = Server::start(|_| {
        Answer::error(403, "ExpiredToken").with("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    let found = at(&server, None).await;
    let credentials = told(&found, Check::Credentials);
    assert!(credentials.contains("sign in again"), "{credentials}");
    assert!(told(&found, Check::Glue).contains("not checked"), "{found}");
    assert!(
        told(&found, Check::Clock).contains("ahead of AWS'"),
        "{found}"
    );
    assert_eq!(server.requests().len(), 1, "nothing is asked in vain");
}

#[tokio::test]
async fn a_bucket_or_key_of_another_region_is_told() {
    let server = Server::start(|request| match request.service() {
        "sts" => Answer::new(200, IDENTITY),
        "s3" => Answer::new(301, "").with("x-amz-bucket-region", "eu-west-3"),
        _ => Answer::new(200, json!({"DatabaseList": []}).to_string())
            .with("Content-Type", "application/x-amz-json-1.1"),
    });
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1";
    let found = at(&server, Some(key)).await;
    let bucket = told(&found, Check::Bucket);
    assert!(
        bucket.starts_with("note") && bucket.contains("in eu-west-3"),
        "{bucket}"
    );
    assert!(bucket.contains("is region right?"), "{bucket}");
    let key = told(&found, Check::Key);
    assert!(
        key.starts_with("FAIL") && key.contains("bucket's region only"),
        "{key}"
    );
    let none = told(&found, Check::Glue);
    assert!(
        none.starts_with("note") && none.contains("check region"),
        "{none}"
    );
}

/// Policies let their roles list below the lake's prefixes only.
#[tokio::test]
async fn a_bucket_that_is_listed_below_a_prefix_is_well() {
    let server = Server::start(|request| match (request.service(), request.line.as_str()) {
        ("s3", "GET /lake?list-type=2&max-keys=1&prefix=warehouse/") => Answer::new(
            200,
            "<ListBucketResult><Name>lake</Name></ListBucketResult>",
        ),
        _ => without_rights(request),
    });
    let bucket = told(&at(&server, None).await, Check::Bucket);
    assert!(bucket.starts_with("ok"), "{bucket}");
    assert!(bucket.contains("may be listed below warehouse"), "{bucket}");
}
