//! Objects in buckets: written once, encrypted and paid for as the settings say.

use std::time::Duration;

use bytes::Bytes;
use lakehouse_aws::{GlueSettings, S3PrefixSettings};
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::ErrorKind;
use lakehouse_testkit::{HttpCalls, HttpFault};

use crate::emulated::Emulated;

/// A file of a lake is never overwritten, and one whose answer was lost is the writer's own.
#[tokio::test]
async fn a_new_object_is_made_once_even_when_its_answer_is_lost() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let storage = emulated.catalog().await.storage().clone();
    let location = format!("s3://{}/a/b%20c=1", emulated.bucket);
    storage
        .write_new(&location, Bytes::from_static(b"one"))
        .await
        .unwrap();
    let again = storage
        .write_new(&location, Bytes::from_static(b"two"))
        .await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        storage.read(&location).await.unwrap(),
        Bytes::from_static(b"one")
    );

    for (number, fault) in [
        HttpFault::AnswerLost,
        HttpFault::RequestLost,
        HttpFault::Html,
        HttpFault::Unavailable,
    ]
    .into_iter()
    .enumerate()
    {
        emulated.proxy.heal();
        let puts = HttpCalls::of("s3", "PutObject");
        emulated.proxy.fail_nth(puts, 1, fault);
        let location = format!("s3://{}/{number}", emulated.bucket);
        let written = storage
            .write_new(&location, Bytes::from_static(b"own"))
            .await;
        assert!(written.is_ok(), "{fault:?} {written:?}");
        let found = storage.read(&location).await.unwrap();
        assert_eq!(found, Bytes::from_static(b"own"), "{fault:?}");
    }
    emulated.proxy.heal();
    let puts = HttpCalls::of("s3", "PutObject");
    emulated
        .proxy
        .fail_nth(puts, 1, HttpFault::AppliedThenFailed);
    let lost = format!("s3a://{}/lost", emulated.bucket);
    storage
        .write_new(&lost, Bytes::from_static(b"mine"))
        .await
        .unwrap();
    assert_eq!(
        storage.read(&lost).await.unwrap(),
        Bytes::from_static(b"mine")
    );
    storage.delete(&lost).await.unwrap();
    assert!(!storage.exists(&lost).await.unwrap());
    storage.delete(&lost).await.unwrap();
}

#[tokio::test]
async fn files_of_many_parts_come_back_whole() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let storage = emulated.catalog().await.storage().clone();
    let location = format!("s3://{}/large", emulated.bucket);
    let piece = Bytes::from(vec![7_u8; 5 << 20]);
    let mut writer = storage.writer(&location).unwrap();
    for _ in 0..4 {
        writer.write(piece.clone()).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), 20 << 20);
    assert_eq!(storage.size_bytes(&location).await.unwrap(), 20 << 20);
    let middle = storage
        .read_range(&location, 9 << 20..(9 << 20) + 5)
        .await
        .unwrap();
    assert_eq!(middle, Bytes::from_static(&[7; 5]));
}

/// The request that ends an upload is sent again when its answer was lost. An upload whose end is
/// refused is aborted, so that no parts are left; whether S3 takes an abort with the headers of
/// encryption, which the client sends with it, no emulator shows.
#[tokio::test]
async fn the_end_of_a_file_of_many_parts_is_made_or_aborted() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let storage = emulated.catalog().await.storage().clone();
    let ends = HttpCalls::of("s3", "CompleteMultipartUpload");
    for (number, fault) in [
        HttpFault::AppliedThenFailed,
        HttpFault::AnswerLost,
        HttpFault::RequestLost,
        HttpFault::Denied,
    ]
    .into_iter()
    .enumerate()
    {
        emulated.proxy.heal();
        emulated.proxy.forget();
        emulated.proxy.fail_nth(ends.clone(), 1, fault);
        let location = format!("s3://{}/large-{number}", emulated.bucket);
        let mut writer = storage.writer(&location).unwrap();
        for _ in 0..2 {
            let piece = Bytes::from(vec![7_u8; 5 << 20]);
            writer.write(piece).await.unwrap();
        }
        let finished = writer.finish().await;
        if fault == HttpFault::Denied {
            let error = finished.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            writer.abort().await.unwrap();
            let aborts = emulated.proxy.counts().of("s3", "AbortMultipartUpload");
            assert_eq!(aborts, 1);
            assert!(!storage.exists(&location).await.unwrap());
        } else {
            assert!(finished.is_ok(), "{fault:?} {finished:?}");
            assert_eq!(storage.size_bytes(&location).await.unwrap(), 10 << 20);
        }
    }
}

/// Parts that nobody ends would be billed.
#[tokio::test]
async fn a_file_of_many_parts_that_is_dropped_is_aborted() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let storage = emulated.catalog().await.storage().clone();
    let location = format!("s3://{}/dropped", emulated.bucket);
    let mut writer = storage.writer(&location).unwrap();
    for _ in 0..2 {
        let piece = Bytes::from(vec![7_u8; 5 << 20]);
        writer.write(piece).await.unwrap();
    }
    drop(writer);
    let aborts = || emulated.proxy.counts().of("s3", "AbortMultipartUpload");
    for _ in 0..1_000 {
        if aborts() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(aborts(), 1);
    assert!(!storage.exists(&location).await.unwrap());
}

#[tokio::test]
async fn missing_buckets_and_objects_are_told_apart() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let storage = emulated.catalog().await.storage().clone();
    let object = storage
        .read(&format!("s3://{}/none", emulated.bucket))
        .await;
    let object = object.unwrap_err();
    assert_eq!(object.kind(), ErrorKind::NotFound);
    assert!(!object.to_string().contains("bucket's name"), "{object}");
    let bucket = storage.read("s3://no-such-bucket-anywhere/none").await;
    let bucket = bucket.unwrap_err();
    assert_eq!(bucket.kind(), ErrorKind::NotFound);
    assert!(bucket.to_string().contains("NoSuchBucket"), "{bucket}");
}

/// Each prefix is reached as its settings say: here, one through an endpoint that nobody is at.
#[tokio::test]
async fn prefixes_have_settings_of_their_own() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let settings = GlueSettings {
        prefixes: vec![S3PrefixSettings {
            prefix: format!("s3://{}/partner/", emulated.bucket),
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            ..S3PrefixSettings::default()
        }],
        call_ms_max: 300,
        ..emulated.settings()
    };
    let storage = emulated.catalog_with(&settings).await.storage().clone();
    let own = format!("s3://{}/partners", emulated.bucket);
    storage
        .write_new(&own, Bytes::from_static(b"x"))
        .await
        .unwrap();
    let other = storage.resolve(&format!("s3://{}/partner/x", emulated.bucket));
    let (store, _) = other.unwrap();
    assert!(format!("{store:?}").contains("127.0.0.1:9"));
}
