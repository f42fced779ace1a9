//! Wrong endpoints, credentials and regions: one clear error each, and no secret in any.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use lakehouse_aws::{GlueSettings, S3PrefixSettings, open_glue_with};
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::{Error, ErrorKind};
use lakehouse_core::name::NamespaceIdent;
use lakehouse_testkit::{AwsAccount, HttpCalls, HttpFault};

use crate::emulated::{Emulated, ident, make_table, parts};
use crate::scripted::{Answer, Server};

/// An error with everything that anybody could print of it.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text} {next} {next:?}");
        cause = next.source();
    }
    text
}

#[tokio::test]
async fn an_endpoint_that_answers_html_is_named() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    let table = ident("silver", "t");
    emulated
        .proxy
        .fail_always(HttpCalls::of_service("glue"), HttpFault::Html);
    let error = catalog.load_table(&table).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("check the endpoint"), "{error}");
    assert!(
        error.to_string().contains(&emulated.proxy.endpoint()),
        "{error}"
    );
    emulated.proxy.heal();
    emulated
        .proxy
        .fail_always(HttpCalls::of_service("s3"), HttpFault::Html);
    let fresh = emulated.catalog().await;
    let error = fresh.load_table(&table).await.unwrap_err();
    assert!(error.to_string().contains("check the endpoint"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// An empty body reads as a table that is not there and as a database without tables, which Glue
/// would drop with those that it has.
#[tokio::test]
async fn an_empty_answer_of_somebody_else_is_no_missing_table() {
    let server = Server::start(|_| Answer::foreign(200, ""));
    let settings = GlueSettings {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(server.endpoint.clone()),
        ..GlueSettings::default()
    };
    let catalog = open_glue_with("glue", &settings, parts(), keys()).await;
    let catalog = catalog.unwrap();
    let name = ident("silver", "t");
    let namespace = name.namespace();
    for error in [
        catalog.load_table(&name).await.unwrap_err(),
        catalog.is_droppable(&name).await.unwrap_err(),
        catalog.list_namespaces().await.unwrap_err(),
        catalog.list_tables(namespace).await.unwrap_err(),
        catalog.drop_namespace(namespace).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("check the endpoint"), "{error}");
    }
}

/// A page that says 404 or 403 is a proxy's and no missing object.
#[tokio::test]
async fn a_page_that_refuses_is_no_missing_object() {
    for status in [403, 404] {
        let server = Server::start(move |_| {
            Answer::foreign(status, "<html>nothing here</html>").with("Content-Type", "text/html")
        });
        let catalog = server.buckets(GlueSettings::default()).await;
        let error = catalog.storage().read("s3://lake/a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("check the endpoint"), "{error}");
    }
}

#[tokio::test]
async fn no_error_and_no_debug_form_holds_a_secret() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let made = make_table(&catalog).await;
    let mut texts = vec![format!("{catalog:?} {:?}", emulated.settings())];
    for fault in HttpFault::ALL {
        for service in ["glue", "s3"] {
            if matches!(
                fault,
                HttpFault::Throttled | HttpFault::TooManyRequests | HttpFault::Unavailable
            ) && service == "s3"
            {
                // Asked again for minutes.
                continue;
            }
            emulated.proxy.heal();
            emulated
                .proxy
                .fail_nth(HttpCalls::of_service(service), 1, fault);
            let fresh = emulated.catalog().await;
            if let Err(error) = fresh.load_table(&made.ident).await {
                texts.push(shown(&error));
            }
        }
    }
    emulated.proxy.heal();
    let missing = format!("s3://{}/none", emulated.bucket);
    texts.push(shown(&catalog.storage().read(&missing).await.unwrap_err()));
    let elsewhere = format!("s3://{}-no-such-bucket/none", emulated.bucket);
    texts.push(shown(
        &catalog.storage().read(&elsewhere).await.unwrap_err(),
    ));
    for text in texts {
        assert!(!text.contains(AwsAccount::SECRET), "{text}");
    }
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = CredentialsError::not_loaded("the session of profile ops has ended");
        future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn missing_credentials_say_how_to_get_some() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let settings = emulated.settings();
    let catalog = open_glue_with("glue", &settings, parts(), NoCredentials)
        .await
        .unwrap();
    let by_glue = catalog.list_namespaces().await.unwrap_err();
    let file = format!("s3://{}/x", emulated.bucket);
    let by_s3 = catalog.storage().read(&file).await.unwrap_err();
    for error in [by_glue, by_s3] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("profile ops") && text.contains("aws sso login"),
            "{text}"
        );
    }
    assert_eq!(emulated.proxy.counts().total(), 0, "nothing was sent");
}

#[tokio::test]
async fn nobody_answering_is_told_with_the_place() {
    let settings = GlueSettings {
        region: Some("eu-central-1".to_owned()),
        // A port that nobody listens on.
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        ..GlueSettings::default()
    };
    let catalog = open_glue_with("glue", &settings, parts(), keys())
        .await
        .unwrap();
    let error = catalog.list_namespaces().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("http://127.0.0.1:9") && text.contains("eu-central-1"),
        "{text}"
    );
}

#[tokio::test]
async fn settings_without_sense_are_refused_when_the_catalog_is_opened() {
    let region = Some("eu-central-1".to_owned());
    let usual = GlueSettings {
        region: region.clone(),
        ..GlueSettings::default()
    };
    let of_prefix = |prefix: &str| GlueSettings {
        prefixes: vec![S3PrefixSettings {
            prefix: prefix.to_owned(),
            ..S3PrefixSettings::default()
        }],
        ..usual.clone()
    };
    for (settings, said) in [
        (of_prefix("gs://b/"), "gs"),
        (of_prefix("/local"), "s3://"),
        (
            GlueSettings {
                endpoint: Some("https://me:hush@host".to_owned()),
                ..usual.clone()
            },
            "password",
        ),
        (
            GlueSettings {
                external_id: Some("x".to_owned()),
                ..usual.clone()
            },
            "role_arn",
        ),
    ] {
        let opened = open_glue_with("glue", &settings, parts(), keys()).await;
        let text = opened.unwrap_err().to_string();
        assert!(text.contains(said) && !text.contains("hush"), "{text}");
    }
}

/// A namespace that is asked for with a wrong name asks Glue once and says which it was.
#[tokio::test]
async fn missing_databases_are_named() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let none = NamespaceIdent::new("none".to_owned());
    let error = catalog.list_tables(&none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("\"none\""), "{error}");
}

fn keys() -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::new("AKIA", AwsAccount::SECRET, None, None, "test")
}
