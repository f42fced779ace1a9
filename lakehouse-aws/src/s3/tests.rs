//! Which settings hold for which object.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use lakehouse_core::clock::SystemClock;

use super::*;
use crate::credentials::RenewedCredentials;

fn access(name: &str) -> Access {
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
        call_ms_max: 1_000,
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
