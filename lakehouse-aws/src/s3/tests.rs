//! Which settings hold for which object.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use lakehouse_core::clock::SystemClock;

use super::*;
use crate::credentials::RenewedCredentials;

pub(super) fn access(name: &str) -> Access {
    let keys = Credentials::new("AKIA", "hush", None, None, "test");
    let provider = SharedCredentialsProvider::new(keys);
    Access {
        credentials: Arc::new(RenewedCredentials::new(provider, Arc::new(SystemClock))),
        clock: Arc::new(SystemClock),
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(format!("http://{name}")),
        path_style: true,
        kms_key: None,
        requester_pays: false,
        http: connector::connected(1_000, true).unwrap(),
        retry: access::retry(),
    }
}

fn stores(prefixes: &[(&str, &str)]) -> S3Stores {
    let mut prefixes: Vec<Prefix> = prefixes
        .iter()
        .map(|(bucket, key)| Prefix {
            bucket: (*bucket).to_owned(),
            key: (*key).to_owned(),
            access: Arc::new(access(&format!("{bucket}-{key}").replace('/', "-"))),
        })
        .collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.key.len()));
    S3Stores {
        usual: Arc::new(access("usual")),
        prefixes,
        stores: Mutex::default(),
    }
}

#[test]
fn the_longest_prefix_of_whole_segments_decides() {
    let stores = stores(&[("lake", ""), ("lake", "a/b"), ("lake", "a")]);
    let endpoint = |bucket: &str, key: &str| {
        let store = stores.store(bucket, &Path::from(key)).unwrap();
        let text = format!("{store:?}");
        let start = text.find("http://").unwrap() + "http://".len();
        text[start..].split('"').next().unwrap().to_owned()
    };
    assert_eq!(endpoint("lake", "a/b/c"), "lake-a-b");
    assert_eq!(endpoint("lake", "a/bc"), "lake-a");
    assert_eq!(endpoint("lake", "ab"), "lake-");
    assert_eq!(endpoint("other", "a"), "usual");
}

#[test]
fn stores_are_made_once_and_show_no_secret() {
    let stores = stores(&[("lake", "a")]);
    stores.store("lake", &Path::from("a/1")).unwrap();
    stores.store("lake", &Path::from("a/2")).unwrap();
    stores.store("lake", &Path::from("b")).unwrap();
    assert_eq!(stores.stores.lock().unwrap().len(), 2);
    let shown = format!("{stores:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

fn reached_at(access: &Access, bucket: &str, region: &str) -> String {
    let client = format!("{:?}", access.client(bucket, region).unwrap());
    let start = client.find("bucket_endpoint: \"").unwrap() + "bucket_endpoint: \"".len();
    client[start..].split('"').next().unwrap().to_owned()
}

#[test]
fn buckets_are_reached_in_their_partition_and_under_names_that_certificates_have() {
    let aws = Access {
        endpoint: None,
        path_style: false,
        ..access("unused")
    };
    for (bucket, region, endpoint) in [
        (
            "lake",
            "eu-central-1",
            "https://lake.s3.eu-central-1.amazonaws.com",
        ),
        (
            "lake",
            "cn-north-1",
            "https://lake.s3.cn-north-1.amazonaws.com.cn",
        ),
        (
            "a.b",
            "eu-central-1",
            "https://s3.eu-central-1.amazonaws.com/a.b",
        ),
        (
            "a.b",
            "cn-north-1",
            "https://s3.cn-north-1.amazonaws.com.cn/a.b",
        ),
    ] {
        assert_eq!(reached_at(&aws, bucket, region), endpoint);
    }
    let plain = Access {
        path_style: false,
        ..access("store:9000")
    };
    assert_eq!(reached_at(&plain, "a.b", "x"), "http://a.b.store:9000");
}
