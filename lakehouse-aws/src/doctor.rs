//! An examination of a catalog's way to AWS, step by step, with what to do where it fails.

mod ask;
mod bucket;
mod identity;
mod lake;
mod rights;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use futures::future::{Either, select};
use lakehouse_core::catalog::CatalogParts;
use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::TableIdent;
use lakehouse_core::settings::GlueSettings;

use crate::chain::{Chain, Identity, aws_endpoint};
use crate::glue::{Calls, GlueCatalog, calls_by, open_by};
use ask::Asker;

/// How long a step may take before it is told as failed.
const STEP_MS_MAX: u64 = 60_000;

/// What is looked at beyond what the settings name.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// The table that is read; the first Iceberg table that Glue lists when unset.
    pub table: Option<TableIdent>,
    /// Whether an object is written below the warehouse, read back and deleted. Without it nothing
    /// is changed, and whether new objects may be written is not known.
    pub writes: bool,
    /// The URL of KMS in the place of AWS' own, such as an emulator's.
    pub kms_endpoint: Option<String>,
    /// The URL of Lake Formation in the place of AWS' own.
    pub lake_formation_endpoint: Option<String>,
}

/// What the steps have found, in their order.
#[derive(Debug)]
pub struct Diagnosis {
    /// Each step once, but for buckets and keys, of which there may be several.
    pub steps: Vec<Step>,
}

/// One step of an examination.
#[derive(Debug)]
pub struct Step {
    /// What was looked at.
    pub check: Check,
    /// What was found.
    pub finding: Finding,
}

/// What a step looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The settings have a sense, and a region is known.
    Settings,
    /// There are credentials, and AWS knows them.
    Credentials,
    /// This machine's clock is AWS' clock, near enough for signatures.
    Clock,
    /// Glue lists databases.
    Glue,
    /// A table's Glue entry and its metadata file can be read.
    Table,
    /// A bucket exists, and where.
    Bucket,
    /// An object can be written, read and deleted, with the encryption of the settings.
    Write,
    /// A KMS key exists and is enabled.
    Key,
    /// What Lake Formation governs.
    LakeFormation,
}

impl Check {
    /// The check's name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Credentials => "credentials",
            Self::Clock => "clock",
            Self::Glue => "glue",
            Self::Table => "table",
            Self::Bucket => "bucket",
            Self::Write => "write",
            Self::Key => "kms key",
            Self::LakeFormation => "lake formation",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a step has found.
#[derive(Debug)]
pub enum Finding {
    /// It is as it should be: what exactly.
    Passed(String),
    /// It works, or may, and something about it should be known.
    Doubtful(String),
    /// It fails: why, and what to do.
    Failed(Error),
    /// It was not looked at: why not.
    NotChecked(String),
}

impl Finding {
    fn failed(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Failed(Error::new(kind, message))
    }
}

impl Diagnosis {
    /// Whether no step has failed.
    pub fn is_sound(&self) -> bool {
        let mut steps = self.steps.iter();
        !steps.any(|step| matches!(step.finding, Finding::Failed(_)))
    }

    fn add(&mut self, check: Check, finding: Finding) {
        self.steps.push(Step { check, finding });
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let check = self.check;
        match &self.finding {
            Finding::Passed(text) => write!(f, "ok    {check:<15} {text}"),
            Finding::Doubtful(text) => write!(f, "note  {check:<15} {text}"),
            Finding::Failed(error) => write!(f, "FAIL  {check:<15} {error}"),
            Finding::NotChecked(why) => write!(f, "-     {check:<15} not checked: {why}"),
        }
    }
}

/// One line for each step.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

/// Goes the way to AWS that a catalog of these settings would go, and tells what is found at each
/// step. No step fails the examination: what went wrong is its finding.
///
/// Nothing is changed unless [`Examination::writes`] asks for it. It asks for the rights
/// `sts:GetCallerIdentity` (which everybody has), `glue:GetDatabases`, `glue:GetTables`,
/// `glue:GetTable`, `s3:GetObject`, `s3:ListBucket`, `kms:DescribeKey` and
/// `lakeformation:GetDataLakeSettings`; without one of the last three it says so in a note.
pub async fn examine(
    settings: &GlueSettings,
    examination: &Examination,
    parts: CatalogParts,
) -> Diagnosis {
    examine_as(settings, examination, parts, None).await
}

/// As [`examine`], with credentials of the program's own in the place of the AWS chain's.
pub async fn examine_with(
    settings: &GlueSettings,
    examination: &Examination,
    parts: CatalogParts,
    credentials: impl ProvideCredentials + 'static,
) -> Diagnosis {
    let credentials = SharedCredentialsProvider::new(credentials);
    examine_as(settings, examination, parts, Some(credentials)).await
}

/// What the steps behind the settings work with.
struct Patient<'a> {
    settings: &'a GlueSettings,
    examination: &'a Examination,
    chain: Chain,
    region: String,
    clock: Arc<dyn Clock>,
    catalog: GlueCatalog,
    calls: Calls,
    asker: Asker,
}

/// What one step tells a later one.
#[derive(Debug, Default)]
struct Seen {
    /// The table that was found, and whether Lake Formation governs its files.
    table: Option<(TableIdent, bool)>,
    /// The region of the warehouse's bucket.
    warehouse_region: Option<String>,
    has_written: bool,
}

async fn examine_as(
    settings: &GlueSettings,
    examination: &Examination,
    parts: CatalogParts,
    credentials: Option<SharedCredentialsProvider>,
) -> Diagnosis {
    let mut found = Diagnosis { steps: Vec::new() };
    let clock = Arc::clone(&parts.clock);
    let patient = match Box::pin(Patient::try_new(settings, examination, parts, credentials)).await
    {
        Ok(patient) => patient,
        Err(error) => {
            found.add(Check::Settings, Finding::Failed(error));
            skip(&mut found, &AFTER_SETTINGS, "the settings come first");
            return found;
        }
    };
    let endpoint = settings.endpoint.as_deref();
    let at = endpoint.map_or_else(String::new, |endpoint| format!(", Glue at {endpoint}"));
    let region = format!("region {}{at}", patient.region);
    found.add(Check::Settings, Finding::Passed(region));

    let (credentials, skew) = match within(&clock, Box::pin(identity::find(&patient))).await {
        Ok((finding, skew)) => (finding, skew),
        Err(late) => (Finding::Failed(late), identity::unknown_skew()),
    };
    let is_known = !matches!(credentials, Finding::Failed(_));
    found.add(Check::Credentials, credentials);
    found.add(Check::Clock, skew);
    if !is_known {
        skip(&mut found, &AFTER_CREDENTIALS, "the credentials come first");
        return found;
    }
    let mut seen = Seen::default();
    let glue = timed(&clock, Box::pin(lake::databases(&patient, &mut seen))).await;
    found.add(Check::Glue, glue);
    let table = timed(&clock, Box::pin(lake::table(&patient, &mut seen))).await;
    found.add(Check::Table, table);
    for place in bucket::places(settings) {
        let bucket = timed(&clock, Box::pin(bucket::find(&patient, &place, &mut seen))).await;
        found.add(Check::Bucket, bucket);
    }
    let write = timed(&clock, Box::pin(bucket::write(&patient, &mut seen))).await;
    found.add(Check::Write, write);
    for key in rights::keys(settings) {
        let key = timed(&clock, Box::pin(rights::key(&patient, key, &seen))).await;
        found.add(Check::Key, key);
    }
    let governed = timed(&clock, Box::pin(rights::lake_formation(&patient, &seen))).await;
    found.add(Check::LakeFormation, governed);
    found
}

const AFTER_SETTINGS: [Check; 2] = [Check::Credentials, Check::Clock];
const AFTER_CREDENTIALS: [Check; 4] = [
    Check::Glue,
    Check::Table,
    Check::Bucket,
    Check::LakeFormation,
];

fn skip(found: &mut Diagnosis, checks: &[Check], why: &str) {
    for check in checks {
        found.add(*check, Finding::NotChecked(why.to_owned()));
    }
}

impl<'a> Patient<'a> {
    async fn try_new(
        settings: &'a GlueSettings,
        examination: &'a Examination,
        parts: CatalogParts,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self> {
        let clock = Arc::clone(&parts.clock);
        let identity = Identity::of_catalog(settings);
        let chain = Chain::load(identity, settings.call_ms_max, credentials, &clock).await?;
        let catalog = open_by(&chain, "glue".to_owned(), settings, parts).await?;
        let region = chain.region().unwrap_or_default().to_owned();
        Ok(Self {
            settings,
            examination,
            calls: calls_by(&chain, settings, &clock)?,
            asker: Asker::try_new(&chain, settings.call_ms_max)?,
            region,
            chain,
            clock,
            catalog,
        })
    }

    /// The URL of a service: the settings', the environment's, or AWS' own.
    fn endpoint(&self, stated: Option<&str>, service: &str) -> Result<String> {
        if let Some(stated) = stated {
            return crate::chain::checked_endpoint(stated);
        }
        let variable = service.to_ascii_uppercase().replace('-', "_");
        Ok(match self.chain.endpoint_of(&variable)? {
            Some(endpoint) => endpoint,
            None => aws_endpoint(&service.replace('-', ""), &self.region),
        })
    }
}

async fn timed(clock: &Arc<dyn Clock>, step: Pin<Box<impl Future<Output = Finding>>>) -> Finding {
    within(clock, step).await.unwrap_or_else(Finding::Failed)
}

async fn within<T>(clock: &Arc<dyn Clock>, step: Pin<Box<impl Future<Output = T>>>) -> Result<T> {
    match select(step, clock.sleep(Duration::from_millis(STEP_MS_MAX))).await {
        Either::Left((found, _)) => Ok(found),
        Either::Right(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "no end after {} s of asking; check network, proxy and endpoints, and whether AWS \
                 throttles the account",
                STEP_MS_MAX / 1_000
            ),
        )),
    }
}
