//! Credentials that are renewed before they expire.

use std::error::Error as StdError;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use futures::future::{Either, select};
use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, ErrorKind, Result};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

/// How long before their end credentials are renewed.
const RENEWED_AHEAD_MS: i64 = 5 * 60_000;
/// How long credentials that say no end are used before they are asked for again: files of profiles
/// change.
const ENDLESS_LIFE_MS: i64 = 15 * 60_000;
/// How long nobody asks again after credentials could not be renewed, while the old ones are valid.
const PAUSE_AFTER_FAILURE_MS: i64 = 10_000;
/// How long the way to new credentials may take: a process that asks for a second factor is slow.
const ASKED_MS_MAX: u64 = 60_000;

/// The credentials of one identity, shared by Glue and S3.
///
/// They are asked for when the first request needs them and renewed before they end; many requests
/// at once ask once.
pub struct RenewedCredentials {
    provider: SharedCredentialsProvider,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
    failed: Mutex<Failed>,
}

/// What those are told who waited while somebody else asked in vain.
#[derive(Clone, Default)]
struct Failed {
    count: u64,
    why: String,
}

#[derive(Clone)]
struct Held {
    credentials: Credentials,
    for_s3: Arc<AwsCredential>,
    renew_at_ms: i64,
    ends_at_ms: i64,
}

impl Held {
    fn new(credentials: Credentials, now_ms: i64) -> Self {
        let for_s3 = AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        };
        let end = credentials.expiry().and_then(|end| {
            let since = end.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since.as_millis()).ok()
        });
        let (renew_at_ms, ends_at_ms) = match end {
            None => (now_ms.saturating_add(ENDLESS_LIFE_MS), i64::MAX),
            Some(end) => {
                let life = end.saturating_sub(now_ms).max(0);
                (end - RENEWED_AHEAD_MS.min(life / 2), end)
            }
        };
        Self {
            credentials,
            for_s3: Arc::new(for_s3),
            renew_at_ms,
            ends_at_ms,
        }
    }
}

impl RenewedCredentials {
    /// Credentials as `provider` gives them.
    pub fn new(provider: SharedCredentialsProvider, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            clock,
            held: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
            failed: Mutex::default(),
        }
    }

    fn failed(&self) -> Failed {
        let failed = self.failed.lock();
        failed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn held(&self) -> Option<Held> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn fresh(&self) -> Option<Held> {
        let now_ms = self.clock.now_ms();
        self.held().filter(|held| now_ms < held.renew_at_ms)
    }

    async fn asked(&self) -> Result<Credentials, CredentialsError> {
        let asked = pin!(self.provider.provide_credentials());
        let limit = self.clock.sleep(Duration::from_millis(ASKED_MS_MAX));
        match select(asked, limit).await {
            Either::Left((asked, _)) => asked,
            Either::Right(_) => Err(CredentialsError::not_loaded(format!(
                "there was no answer in {} s; the profile's credential_process, the sign-in or the \
                 machine's role service is stuck or too slow",
                ASKED_MS_MAX / 1_000
            ))),
        }
    }

    async fn current(&self) -> Result<Held, CredentialsError> {
        if let Some(held) = self.fresh() {
            return Ok(held);
        }
        let failed_before = self.failed().count;
        let _asking = self.asking.lock().await;
        if let Some(held) = self.fresh() {
            return Ok(held);
        }
        let failed = self.failed();
        if failed.count > failed_before {
            return Err(CredentialsError::not_loaded(failed.why));
        }
        let asked = self.asked().await;
        let now_ms = self.clock.now_ms();
        let next = match asked {
            Ok(credentials) => Held::new(credentials, now_ms),
            Err(error) => match self.held().filter(|held| now_ms < held.ends_at_ms) {
                Some(held) => {
                    tracing::warn!(%error, "AWS credentials could not be renewed yet");
                    let later = now_ms.saturating_add(PAUSE_AFTER_FAILURE_MS);
                    Held {
                        renew_at_ms: later.min(held.ends_at_ms),
                        ..held
                    }
                }
                None => {
                    let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.count += 1;
                    failed.why = causes(&error);
                    return Err(error);
                }
            },
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(next.clone());
        Ok(next)
    }

    /// Asks for the credentials now, to find out whether there are any.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] with what to do.
    pub async fn check(&self) -> Result<()> {
        self.current()
            .await
            .map(|_| ())
            .map_err(|error| not_found(&error))
    }
}

/// That no credentials can be had.
fn not_found(error: &CredentialsError) -> Error {
    Error::new(ErrorKind::PermissionDenied, advice(error))
}

/// Why no credentials can be had, in words of the one who is to find them.
pub(crate) fn advice(error: &(dyn StdError + 'static)) -> String {
    format!(
        "AWS credentials cannot be had: {}; set AWS_PROFILE or the keys of the environment, sign \
         in with `aws sso login`, or run where a role is given",
        causes(error)
    )
}

/// An error and its causes in one line. What AWS' own crates say of credentials names sources and
/// codes, never the secrets.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

impl fmt::Debug for RenewedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedCredentials").finish_non_exhaustive()
    }
}

impl ProvideCredentials for RenewedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { Ok(self.current().await?.credentials) })
    }
}

#[async_trait]
impl CredentialProvider for RenewedCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let held = self.current().await;
        let held = held.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: not_found(&error).into(),
        })?;
        Ok(held.for_s3)
    }
}

#[cfg(test)]
mod tests;
