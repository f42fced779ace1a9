//! Who we are and where AWS is, as AWS' own tools find it.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::settings::{GlueSettings, S3PrefixSettings};

use crate::credentials::RenewedCredentials;

/// How long a connection may take to come about.
pub(crate) const CONNECT_MS_MAX: u64 = 5_000;

/// The session of an assumed role whose settings name none.
const SESSION_NAME: &str = "lakehouse";

/// Whose credentials are to be used, of the settings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity<'a> {
    pub(crate) region: Option<&'a str>,
    pub(crate) profile: Option<&'a str>,
    pub(crate) role_arn: Option<&'a str>,
    pub(crate) role_session_name: Option<&'a str>,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) sts_endpoint: Option<&'a str>,
}

impl<'a> Identity<'a> {
    pub(crate) fn of_catalog(settings: &'a GlueSettings) -> Self {
        Self {
            region: settings.region.as_deref(),
            profile: settings.profile.as_deref(),
            role_arn: settings.role_arn.as_deref(),
            role_session_name: settings.role_session_name.as_deref(),
            external_id: settings.external_id.as_deref(),
            sts_endpoint: settings.sts_endpoint.as_deref(),
        }
    }

    /// Of a prefix; `None` when it names neither profile nor role, and so is the catalog's.
    pub(crate) fn of_prefix(
        settings: &'a S3PrefixSettings,
        catalog: &'a GlueSettings,
    ) -> Option<Self> {
        let own = settings.profile.is_some() || settings.role_arn.is_some();
        own.then_some(Self {
            region: settings.region.as_deref().or(catalog.region.as_deref()),
            profile: settings.profile.as_deref(),
            role_arn: settings.role_arn.as_deref(),
            role_session_name: settings.role_session_name.as_deref(),
            external_id: settings.external_id.as_deref(),
            sts_endpoint: catalog.sts_endpoint.as_deref(),
        })
    }

    /// # Errors
    /// When parts are named that mean nothing without a role.
    fn check(&self) -> Result<()> {
        let without_role = self.role_arn.is_none();
        for (key, value) in [
            ("role_session_name", self.role_session_name),
            ("external_id", self.external_id),
        ] {
            if without_role && value.is_some() {
                return Err(Error::invalid(format!(
                    "{key} is set without role_arn: name the role to assume"
                )));
            }
        }
        Ok(())
    }
}

/// What the chain has found.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) config: SdkConfig,
    pub(crate) credentials: Arc<RenewedCredentials>,
}

impl Chain {
    /// Reads environment and profiles; asks nobody for credentials yet. Credentials that are given
    /// take the place of those the chain would find.
    ///
    /// # Errors
    /// When a role is to be assumed and there is no region; settings without sense.
    pub(crate) async fn load(
        identity: Identity<'_>,
        call_ms_max: u64,
        given: Option<SharedCredentialsProvider>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        identity.check()?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .operation_attempt_timeout(Duration::from_millis(call_ms_max))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            // Credentials are kept here; a second cache would give up on slow ones after 5 s.
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(timeouts);
        if let Some(region) = identity.region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(profile) = identity.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(given) = given {
            loader = loader.credentials_provider(given);
        }
        let config = loader.load().await;
        let provider = match identity.role_arn {
            Some(role) => assumed(role, identity, &config, clock).await?,
            None => config.credentials_provider().ok_or_else(|| {
                Error::internal("the AWS chain was loaded without a credential provider")
            })?,
        };
        let renewed = Arc::new(RenewedCredentials::new(provider, Arc::clone(clock)));
        let shared: Arc<dyn ProvideCredentials> = Arc::clone(&renewed) as _;
        let shared = SharedCredentialsProvider::new(shared);
        let config = config.into_builder().credentials_provider(shared).build();
        Ok(Self {
            config,
            credentials: renewed,
        })
    }

    /// These credentials in the place of others.
    pub(crate) fn provider(&self) -> SharedCredentialsProvider {
        let shared: Arc<dyn ProvideCredentials> = Arc::clone(&self.credentials) as _;
        SharedCredentialsProvider::new(shared)
    }

    /// The region, where one is known.
    pub(crate) fn region(&self) -> Option<&str> {
        self.config.region().map(AsRef::as_ref)
    }

    /// The URL that the environment or a profile puts in the place of a service's own; `service` as
    /// variables name it, such as `S3`.
    ///
    /// # Errors
    /// As [`checked_endpoint`].
    pub(crate) fn endpoint_of(&self, service: &str) -> Result<Option<String>> {
        let is_ignored = env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        if is_ignored {
            return Ok(None);
        }
        let own = env::var(format!("AWS_ENDPOINT_URL_{service}")).ok();
        let stated = own.filter(|url| !url.is_empty());
        let stated = stated.or_else(|| self.config.endpoint_url().map(str::to_owned));
        stated.map(|url| checked_endpoint(&url)).transpose()
    }
}

async fn assumed(
    role: &str,
    identity: Identity<'_>,
    config: &SdkConfig,
    clock: &Arc<dyn Clock>,
) -> Result<SharedCredentialsProvider> {
    if config.region().is_none() {
        return Err(Error::invalid(format!(
            "no region is known in which to assume the role {role}; set region in the settings, \
             AWS_REGION, or a region in the profile"
        )));
    }
    let mut builder = config.clone().into_builder();
    if let Some(url) = identity.sts_endpoint {
        builder.set_endpoint_url(Some(checked_endpoint(url)?));
    }
    let own = config.credentials_provider().map(|provider| {
        let own = RenewedCredentials::new(provider, Arc::clone(clock));
        Arc::new(own) as Arc<dyn ProvideCredentials>
    });
    if let Some(own) = &own {
        let own = SharedCredentialsProvider::new(Arc::clone(own));
        builder.set_credentials_provider(Some(own));
    }
    let config = builder.build();
    let session = identity.role_session_name.unwrap_or(SESSION_NAME);
    let mut builder = AssumeRoleProvider::builder(role)
        .configure(&config)
        .session_name(session);
    if let Some(id) = identity.external_id {
        builder = builder.external_id(id);
    }
    let role = SharedCredentialsProvider::new(builder.build().await);
    Ok(match own {
        Some(own) => SharedCredentialsProvider::new(InRole { own, role }),
        None => role,
    })
}

/// The credentials of a role that is assumed with others.
#[derive(Debug)]
struct InRole {
    own: Arc<dyn ProvideCredentials>,
    role: SharedCredentialsProvider,
}

impl ProvideCredentials for InRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            // Had before the role is asked for: a call's time-out is not that of credentials.
            self.own.provide_credentials().await?;
            self.role.provide_credentials().await
        })
    }
}

/// One HTTP client with the cryptography that the rest of the workspace is built with.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The regions of partitions whose services have another domain than most.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];

/// Where AWS has a service of a region.
pub(crate) fn aws_endpoint(service: &str, region: &str) -> String {
    let other = PARTITIONS
        .iter()
        .find(|(begin, _)| region.starts_with(begin));
    let domain = other.map_or("amazonaws.com", |(_, domain)| domain);
    format!("https://{service}.{region}.{domain}")
}

/// The URL of a service that settings or environment put in the place of AWS' own.
///
/// # Errors
/// For a URL that is none, or that holds a user's name or password.
pub(crate) fn checked_endpoint(url: &str) -> Result<String> {
    let trimmed = url.trim_end_matches('/');
    let rest = trimmed
        .strip_prefix("https://")
        .or_else(|| trimmed.strip_prefix("http://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        return Err(Error::invalid(
            "an endpoint must be a URL that begins with http:// or https://",
        ));
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(Error::invalid(
            "an endpoint must not hold a user's name or password; credentials come from the AWS \
             chain",
        ));
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_secrets() {
        let endpoint = checked_endpoint("http://127.0.0.1:4566/").unwrap();
        assert_eq!(endpoint, "http://127.0.0.1:4566");
        for bad in ["127.0.0.1:4566", "https://", "https://me:hush@host"] {
            let error = checked_endpoint(bad).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn partitions_have_domains_of_their_own() {
        for (region, endpoint) in [
            ("eu-central-1", "https://s3.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "https://s3.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "https://s3.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "https://s3.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(aws_endpoint("s3", region), endpoint);
        }
    }

    #[test]
    fn parts_of_a_role_need_the_role() {
        let identity = Identity {
            external_id: Some("x"),
            ..Identity::default()
        };
        assert!(identity.check().is_err());
    }
}
