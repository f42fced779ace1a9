//! The stores of buckets, each with the credentials, region and key that its settings give it.

mod access;
mod answer;
mod body;
mod connector;
mod region;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::settings::{GlueSettings, S3PrefixSettings};
use lakehouse_core::storage::{Location, RemoteStores, Scheme};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::chain::{Chain, Identity, checked_endpoint};
use access::Access;
use store::BucketStore;

/// Buckets whose stores are kept; beyond them all are made anew when they are asked for.
const STORES_MAX: usize = 1_024;

/// Stores of S3 buckets, made when they are first asked for.
#[derive(Debug)]
pub struct S3Stores {
    /// How what no prefix names is reached.
    usual: Arc<Access>,
    /// The longest prefix first.
    prefixes: Vec<Prefix>,
    stores: Mutex<HashMap<StoreKey, Arc<BucketStore>>>,
}

/// The bucket, and which of the prefixes' settings hold; `None` for the usual ones.
type StoreKey = (String, Option<usize>);

#[derive(Debug)]
struct Prefix {
    bucket: String,
    /// Whole segments, without slashes at the ends; empty for the whole bucket.
    key: String,
    access: Arc<Access>,
}

impl Prefix {
    fn fits(&self, bucket: &str, key: &str) -> bool {
        let below = match key.strip_prefix(self.key.as_str()) {
            Some(rest) => self.key.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        self.bucket == bucket && below
    }
}

impl S3Stores {
    /// The stores of a catalog's tables.
    ///
    /// # Errors
    /// For settings without sense.
    pub(crate) async fn of_catalog(
        settings: &GlueSettings,
        chain: &Chain,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let endpoint = match &settings.s3_endpoint {
            Some(endpoint) => Some(checked_endpoint(endpoint)?),
            None => chain.endpoint_of("S3")?,
        };
        let http = connector::connect(settings.call_ms_max, is_plain(&endpoint)).await?;
        let usual = Access {
            credentials: Arc::clone(&chain.credentials),
            clock: Arc::clone(clock),
            region: chain.region().map(str::to_owned),
            path_style: settings.path_style.unwrap_or(endpoint.is_some()),
            endpoint,
            kms_key: settings.kms_key.clone(),
            requester_pays: settings.requester_pays,
            http,
            retry: access::retry(),
        };
        let mut prefixes = Vec::new();
        for one in &settings.prefixes {
            prefixes.push(prefix(one, settings, chain, &usual).await?);
        }
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.key.len()));
        Ok(Self {
            usual: Arc::new(usual),
            prefixes,
            stores: Mutex::default(),
        })
    }
}

async fn prefix(
    settings: &S3PrefixSettings,
    catalog: &GlueSettings,
    chain: &Chain,
    usual: &Access,
) -> Result<Prefix> {
    let clock = &usual.clock;
    let at = |error: Error| error.with_context("prefix", &settings.prefix);
    let location = Location::parse(&settings.prefix).map_err(at)?;
    if location.scheme() != Scheme::S3 {
        return Err(at(Error::invalid(
            "a prefix with settings of its own must begin with s3://",
        )));
    }
    let key = location.path().map_err(at)?;
    let own = match Identity::of_prefix(settings, catalog) {
        Some(identity) => {
            let given = settings.profile.is_none().then(|| chain.provider());
            let own = Chain::load(identity, catalog.call_ms_max, given, clock).await;
            Some(own.map_err(at)?)
        }
        None => None,
    };
    let region = settings
        .region
        .clone()
        .or_else(|| own.as_ref()?.region().map(str::to_owned))
        .or_else(|| usual.region.clone());
    let endpoint = match &settings.endpoint {
        Some(endpoint) => Some(checked_endpoint(endpoint).map_err(at)?),
        None => usual.endpoint.clone(),
    };
    let http = match is_plain(&endpoint) == is_plain(&usual.endpoint) {
        true => usual.http.clone(),
        false => connector::connect(catalog.call_ms_max, is_plain(&endpoint)).await?,
    };
    let path_style = match (settings.path_style, &settings.endpoint) {
        (Some(stated), _) => stated,
        (None, Some(_)) => true,
        (None, None) => usual.path_style,
    };
    let access = Access {
        clock: Arc::clone(clock),
        credentials: own.map_or_else(|| Arc::clone(&usual.credentials), |chain| chain.credentials),
        region,
        path_style,
        endpoint,
        kms_key: settings.kms_key.clone().or_else(|| usual.kms_key.clone()),
        requester_pays: settings.requester_pays || usual.requester_pays,
        http,
        retry: usual.retry.clone(),
    };
    Ok(Prefix {
        bucket: location.bucket().to_owned(),
        key: key.as_ref().to_owned(),
        access: Arc::new(access),
    })
}

/// Whether an endpoint is spoken to without TLS.
fn is_plain(endpoint: &Option<String>) -> bool {
    let endpoint = endpoint.as_deref();
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

impl RemoteStores for S3Stores {
    fn store(&self, bucket: &str, key: &Path) -> Result<Arc<dyn ObjectStore>> {
        let fitting = self
            .prefixes
            .iter()
            .position(|prefix| prefix.fits(bucket, key.as_ref()));
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store_key = (bucket.to_owned(), fitting);
        if let Some(store) = stores.get(&store_key) {
            return Ok(Arc::clone(store) as Arc<dyn ObjectStore>);
        }
        let access = fitting
            .and_then(|at| self.prefixes.get(at))
            .map_or(&self.usual, |prefix| &prefix.access);
        let store = Arc::new(BucketStore::try_new(bucket, Arc::clone(access))?);
        if stores.len() >= STORES_MAX {
            stores.clear();
        }
        stores.insert(store_key, Arc::clone(&store));
        Ok(store)
    }
}

#[cfg(test)]
mod tests;
