//! The form of requests to S3: region, key, payer, and what refusals are told as.

use aws_credential_types::provider::{ProvideCredentials, future};
use bytes::Bytes;
use lakehouse_aws::{GlueSettings, S3PrefixSettings};
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::ErrorKind;

use crate::scripted::{Answer, Server};

const LOCATION: &str = "s3://lake/a/b";

/// New objects are encrypted with the key that the settings name, and the reader pays where they say
/// so.
#[tokio::test]
async fn objects_are_encrypted_and_paid_for_as_the_settings_say() {
    let server = Server::start(|_| Answer::object(""));
    let settings = GlueSettings {
        kms_key: Some("alias/lake".to_owned()),
        requester_pays: true,
        ..GlueSettings::default()
    };
    let storage = server.buckets(settings).await.storage().clone();
    storage
        .write_new(LOCATION, Bytes::from_static(b"x"))
        .await
        .unwrap();
    storage.read(LOCATION).await.unwrap();
    let [put, get] = server.requests().try_into().unwrap();
    assert_eq!(put.line, "PUT /lake/a/b");
    assert_eq!(put.header("x-amz-server-side-encryption"), "aws:kms");
    let key = put.header("x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(key, "alias/lake");
    let bucket_key = put.header("x-amz-server-side-encryption-bucket-key-enabled");
    assert_eq!(bucket_key, "true");
    assert_eq!(put.header("if-none-match"), "*", "no object is overwritten");
    for request in [&put, &get] {
        assert_eq!(request.header("x-amz-request-payer"), "requester");
        assert_eq!(request.region(), "eu-central-1");
    }
}

/// A prefix has its own key, region and payer; what it does not say is the catalog's.
#[tokio::test]
async fn a_prefix_has_its_own_key_and_payer() {
    let server = Server::start(|_| Answer::object(""));
    let settings = GlueSettings {
        kms_key: Some("alias/lake".to_owned()),
        prefixes: vec![S3PrefixSettings {
            prefix: "s3://lake/a/".to_owned(),
            region: Some("us-west-2".to_owned()),
            kms_key: Some("alias/partner".to_owned()),
            requester_pays: true,
            ..S3PrefixSettings::default()
        }],
        ..GlueSettings::default()
    };
    let storage = server.buckets(settings).await.storage().clone();
    for location in [LOCATION, "s3://lake/c"] {
        storage
            .write_new(location, Bytes::from_static(b"x"))
            .await
            .unwrap();
    }
    let told: Vec<(String, String, String)> = server
        .requests()
        .iter()
        .map(|put| {
            let key = put.header("x-amz-server-side-encryption-aws-kms-key-id");
            let payer = put.header("x-amz-request-payer");
            (put.region().to_owned(), key.to_owned(), payer.to_owned())
        })
        .collect();
    let expected = [
        ("us-west-2", "alias/partner", "requester"),
        ("eu-central-1", "alias/lake", ""),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(told, expected);
}

/// A bucket that is elsewhere is asked where it is, once, and only when it has said so.
#[tokio::test]
async fn a_bucket_in_another_region_is_found() {
    let server = Server::start(|request| {
        let is_there = request.region() == "eu-west-3";
        match request.line.as_str() {
            "HEAD /lake" => Answer::new(403, "").with("x-amz-bucket-region", "eu-west-3"),
            _ if is_there && request.line.contains("list-type=2") => Answer::new(
                200,
                "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
            )
            .with("Content-Type", "application/xml"),
            _ if is_there => Answer::object("found"),
            _ => Answer::error(301, "PermanentRedirect"),
        }
    });
    let catalog = server.buckets(GlueSettings::default()).await;
    let storage = catalog.storage().clone();
    for _ in 0..2 {
        let found = storage.read(LOCATION).await.unwrap();
        assert_eq!(found, Bytes::from_static(b"found"));
    }
    storage
        .write_new("s3://lake/new", Bytes::from_static(b"x"))
        .await
        .unwrap();
    let lines: Vec<String> = server.requests().into_iter().map(|one| one.line).collect();
    assert_eq!(
        lines,
        [
            "GET /lake/a/b",
            "HEAD /lake",
            "GET /lake/a/b",
            "GET /lake/a/b",
            "PUT /lake/new"
        ]
    );
    // A list that is the first request finds it as well.
    let fresh = server.buckets(GlueSettings::default()).await;
    use futures::TryStreamExt;
    let listed: Vec<_> = fresh
        .storage()
        .list("s3://lake/a")
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(listed.is_empty());
}

/// An answer without a body says of another region only that the request is bad. One that is bad for
/// another reason is told as it was.
#[tokio::test]
async fn a_bucket_in_another_region_is_found_without_a_body() {
    for region in ["eu-west-3", "eu-central-1"] {
        let server = Server::start(move |request| match request.line.as_str() {
            "HEAD /lake" => Answer::new(403, "").with("x-amz-bucket-region", region),
            _ if request.region() == "eu-west-3" => Answer::object("found"),
            _ => Answer::new(400, ""),
        });
        let catalog = server.buckets(GlueSettings::default()).await;
        let size = catalog.storage().size_bytes(LOCATION).await;
        match region {
            "eu-west-3" => assert_eq!(size.unwrap(), 5),
            _ => assert!(size.unwrap_err().to_string().contains("lake/a/b")),
        }
        let lines: Vec<String> = server.requests().into_iter().map(|one| one.line).collect();
        assert_eq!(lines, ["HEAD /lake/a/b", "HEAD /lake", "HEAD /lake/a/b"]);
    }
}

/// A file of several parts is encrypted as a small one is, and each request says who pays.
#[tokio::test]
async fn files_of_many_parts_are_encrypted_and_paid_for() {
    let server = Server::start(|request| {
        let xml = match request.line.as_str() {
            "POST /lake/a/b?uploads=" => {
                "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            }
            line if line.starts_with("POST") => {
                "<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>"
            }
            _ => "",
        };
        Answer::new(200, xml)
            .with("Content-Type", "application/xml")
            .with("ETag", "\"1\"")
    });
    let settings = GlueSettings {
        kms_key: Some("alias/lake".to_owned()),
        requester_pays: true,
        ..GlueSettings::default()
    };
    let storage = server.buckets(settings).await.storage().clone();
    let mut writer = storage.writer(LOCATION).unwrap();
    writer.write(Bytes::from(vec![1; 8 << 20])).await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    writer.finish().await.unwrap();
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().map(|one| one.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /lake/a/b?uploads=",
            "PUT /lake/a/b?partNumber=1&uploadId=u",
            "PUT /lake/a/b?partNumber=2&uploadId=u",
            "POST /lake/a/b?uploadId=u",
        ]
    );
    let key = requests[0].header("x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(key, "alias/lake");
    for request in requests {
        assert_eq!(request.header("x-amz-request-payer"), "requester");
    }
}

/// The end of an upload that was made and not answered for finds no upload any more: the object is
/// there as it was sent, or the file is none. The emulators end an upload twice.
#[tokio::test]
async fn an_upload_that_has_gone_is_looked_for() {
    const BYTES: usize = (8 << 20) + 1;
    for found in [Some(BYTES), Some(BYTES - 1), None] {
        let server = Server::start(move |request| match request.line.as_str() {
            "POST /lake/a/b?uploads=" => Answer::new(
                200,
                "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
            ),
            line if line.starts_with("POST") => Answer::error(404, "NoSuchUpload"),
            "HEAD /lake/a/b" => match found {
                Some(bytes) => Answer::object(&"x".repeat(bytes)),
                None => Answer::new(404, ""),
            },
            _ => Answer::object(""),
        });
        let catalog = server.buckets(GlueSettings::default()).await;
        let mut writer = catalog.storage().writer(LOCATION).unwrap();
        for bytes in [BYTES - 1, 1] {
            writer.write(Bytes::from(vec![1; bytes])).await.unwrap();
        }
        let finished = writer.finish().await;
        match found {
            Some(BYTES) => assert_eq!(finished.unwrap(), BYTES as u64),
            _ => {
                let error = finished.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("lifecycle"), "{error}");
            }
        }
    }
}

/// A bucket that is elsewhere is found by the first deletion as well.
#[tokio::test]
async fn a_deletion_follows_a_bucket_to_its_region() {
    let server = Server::start(|request| match request.line.as_str() {
        "HEAD /lake" => Answer::new(403, "").with("x-amz-bucket-region", "eu-west-3"),
        _ if request.region() == "eu-west-3" => Answer::new(
            200,
            "<DeleteResult><Deleted><Key>a/b</Key></Deleted></DeleteResult>",
        )
        .with("Content-Type", "application/xml"),
        _ => Answer::error(301, "PermanentRedirect"),
    });
    let catalog = server.buckets(GlueSettings::default()).await;
    catalog.storage().delete(LOCATION).await.unwrap();
    let lines: Vec<String> = server.requests().into_iter().map(|one| one.line).collect();
    assert_eq!(
        lines,
        ["POST /lake?delete", "HEAD /lake", "POST /lake?delete"]
    );
}

/// S3 answers a request to delete several objects with success and refuses each by itself.
#[tokio::test]
async fn a_deletion_that_is_refused_names_the_right_and_the_object() {
    let refused = "<DeleteResult><Error><Key>a/b</Key><Code>AccessDenied</Code><Message>User: \
                   arn:aws:iam::1:user/ann is not authorized</Message></Error></DeleteResult>";
    for whole in [false, true] {
        let server = Server::start(move |_| match whole {
            true => Answer::error(403, "AccessDenied"),
            false => Answer::new(200, refused).with("Content-Type", "application/xml"),
        });
        let catalog = server.buckets(GlueSettings::default()).await;
        let error = catalog.storage().delete(LOCATION).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{text}");
        for said in ["s3:DeleteObject", "s3://lake/a/b", "AccessDenied"] {
            assert!(text.contains(said), "{text}");
        }
        assert!(!text.contains("network"), "{text}");
    }
}

/// Credentials that take longer than a call may are waited for, those of a role as well.
#[tokio::test]
async fn credentials_may_take_longer_than_a_call() {
    let server = Server::start(|request| match request.header("x-amz-target") {
        "" => Answer::new(
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>hush-role</SecretAccessKey>\
             <SessionToken>role-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
             </Credentials><AssumedRoleUser><AssumedRoleId>a:b</AssumedRoleId><Arn>arn:aws:sts::1:x\
             </Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>",
        ),
        _ => Answer::new(200, "{\"DatabaseList\": []}")
            .with("Content-Type", "application/x-amz-json-1.1"),
    });
    for role_arn in [
        None,
        Some("arn:aws:iam::111122223333:role/reader".to_owned()),
    ] {
        let settings = GlueSettings {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some(server.endpoint.clone()),
            sts_endpoint: Some(server.endpoint.clone()),
            role_arn,
            call_ms_max: 500,
            ..GlueSettings::default()
        };
        let parts = crate::emulated::parts();
        let catalog = lakehouse_aws::open_glue_with("glue", &settings, parts, Slow).await;
        let listed = catalog.unwrap().list_namespaces().await;
        assert_eq!(listed.unwrap(), []);
    }
}

/// Credentials of a program that takes its time.
#[derive(Debug)]
struct Slow;

impl ProvideCredentials for Slow {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
            let keys = aws_credential_types::Credentials::new("AKIA", "hush", None, None, "test");
            Ok(keys)
        })
    }
}

/// Refusals say what to do and nothing of what was signed.
#[tokio::test]
async fn refusals_are_told_with_what_to_do() {
    for (status, code, kind, said) in [
        (
            400,
            "ExpiredToken",
            ErrorKind::PermissionDenied,
            "sign in again",
        ),
        (
            403,
            "AccessDenied",
            ErrorKind::PermissionDenied,
            "s3:GetObject",
        ),
        (
            403,
            "RequestTimeTooSkewed",
            ErrorKind::PermissionDenied,
            "clock",
        ),
        (
            403,
            "InvalidAccessKeyId",
            ErrorKind::PermissionDenied,
            "profile",
        ),
        (
            400,
            "KMS.DisabledException",
            ErrorKind::PermissionDenied,
            "enabled",
        ),
        (404, "NoSuchBucket", ErrorKind::NotFound, "bucket's name"),
        (404, "NoSuchKey", ErrorKind::NotFound, "does not exist"),
    ] {
        let server = Server::start(move |_| Answer::error(status, code));
        let storage = server
            .buckets(GlueSettings::default())
            .await
            .storage()
            .clone();
        let error = storage.read(LOCATION).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(said), "{code}: {text}");
        assert!(
            text.contains("lake/a/b") || code == "NoSuchBucket",
            "{text}"
        );
        assert!(!format!("{error:?}").contains("Signature="), "{error:?}");
    }
}

/// A role is assumed under the name and with the id that the settings give, with the catalog's own
/// credentials, and its keys and token sign the requests below its prefix alone.
#[tokio::test]
async fn a_prefix_is_read_in_a_role() {
    let server = Server::start(|request| match request.line.as_str() {
        "POST /" => Answer::new(
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>hush-role</SecretAccessKey>\
             <SessionToken>role-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
             </Credentials><AssumedRoleUser><AssumedRoleId>a:b</AssumedRoleId><Arn>arn:aws:sts::1:x\
             </Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>",
        ),
        _ => Answer::object("x"),
    });
    let settings = GlueSettings {
        sts_endpoint: Some(server.endpoint.clone()),
        prefixes: vec![S3PrefixSettings {
            prefix: "s3://partner/".to_owned(),
            role_arn: Some("arn:aws:iam::111122223333:role/reader".to_owned()),
            role_session_name: Some("nightly".to_owned()),
            external_id: Some("shared-id".to_owned()),
            ..S3PrefixSettings::default()
        }],
        ..GlueSettings::default()
    };
    let catalog = server.buckets(settings).await;
    for location in ["s3://partner/a", "s3://partner/b", LOCATION] {
        catalog.storage().read(location).await.unwrap();
    }
    let [asked, first, second, own] = server.requests().try_into().unwrap();
    for said in [
        "RoleSessionName=nightly",
        "ExternalId=shared-id",
        "role%2Freader",
    ] {
        assert!(asked.text().contains(said), "{}", asked.text());
    }
    assert!(asked.header("authorization").contains("Credential=AKIA/"));
    for request in [first, second] {
        assert!(
            request
                .header("authorization")
                .contains("Credential=ASIAROLE/")
        );
        assert_eq!(request.header("x-amz-security-token"), "role-token");
    }
    assert!(own.header("authorization").contains("Credential=AKIA/"));
    assert!(!format!("{catalog:?}").contains("hush"));
}

/// Where the bucket stands in the host's name, and where in the path.
#[tokio::test]
async fn buckets_are_in_the_path_of_other_endpoints_unless_told() {
    for (path_style, line) in [(None, "GET /lake/a/b"), (Some(false), "GET /a/b")] {
        let server = Server::start(|_| Answer::object(""));
        let endpoint = server.endpoint.replace("127.0.0.1", "localhost");
        let settings = GlueSettings {
            region: Some("eu-central-1".to_owned()),
            s3_endpoint: Some(endpoint),
            path_style,
            ..GlueSettings::default()
        };
        let keys = aws_credential_types::Credentials::new("AKIA", "hush", None, None, "test");
        let parts = crate::emulated::parts();
        let catalog = lakehouse_aws::open_glue_with("glue", &settings, parts, keys).await;
        let read = catalog.unwrap().storage().read(LOCATION).await;
        if path_style.is_none() {
            read.unwrap();
        }
        // Names below `localhost` are not found on every machine; those that are lead here.
        if let Some(request) = server.requests().first() {
            assert_eq!(request.line, line);
        }
    }
}
