//! Whether buckets exist, where, and whether objects can be written to them.

use bytes::Bytes;
use http::Method;
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::settings::GlueSettings;
use lakehouse_core::storage::{Location, Scheme, join};

use super::ask::{Answer, Call};
use super::lake::needs;
use super::{Finding, Patient, Seen};
use crate::answer::unacknowledged;

const REGION: &str = "x-amz-bucket-region";
/// What is written to find out whether one may.
const PROBE: &[u8] = b"written and deleted by lake doctor\n";

/// A place of the settings whose bucket is looked at.
#[derive(Debug)]
pub(super) struct BucketPlace<'a> {
    location: &'a str,
    /// The URL of S3 there, where it is another than usual.
    endpoint: Option<&'a str>,
    /// Whether credentials other than the catalog's are used there.
    has_own_identity: bool,
    is_warehouse: bool,
}

/// The warehouse, and each prefix with settings of its own.
pub(super) fn places(settings: &GlueSettings) -> Vec<BucketPlace<'_>> {
    let warehouse = settings.warehouse.as_deref().map(|location| BucketPlace {
        location,
        endpoint: None,
        has_own_identity: false,
        is_warehouse: true,
    });
    let prefixes = settings.prefixes.iter().map(|prefix| BucketPlace {
        location: &prefix.prefix,
        endpoint: prefix.endpoint.as_deref(),
        has_own_identity: prefix.profile.is_some() || prefix.role_arn.is_some(),
        is_warehouse: false,
    });
    warehouse.into_iter().chain(prefixes).collect()
}

/// Asks for a bucket with our credentials; S3 says where it is even to those it refuses.
pub(super) async fn find(
    patient: &Patient<'_>,
    place: &BucketPlace<'_>,
    seen: &mut Seen,
) -> Finding {
    match found(patient, place, seen).await {
        Ok(finding) => finding,
        Err(error) => Finding::Failed(error),
    }
}

async fn found(patient: &Patient<'_>, place: &BucketPlace<'_>, seen: &mut Seen) -> Result<Finding> {
    let location = Location::parse(place.location)?;
    if location.scheme() != Scheme::S3 {
        let shown = place.location;
        return Err(Error::invalid(format!(
            "{shown:?} is in no bucket: give it as s3://bucket/prefix/"
        )));
    }
    let stated = place.endpoint.or(patient.settings.s3_endpoint.as_deref());
    let endpoint = patient.endpoint(stated, "s3")?;
    let bucket = location.bucket();
    let call = Call {
        shown: format!("HeadBucket of {bucket:?}"),
        service: "s3",
        region: &patient.region,
        method: Method::HEAD,
        endpoint: &endpoint,
        path: &format!("/{bucket}"),
        headers: &[],
        body: String::new(),
    };
    let answer = patient.asker.ask(&call).await?;
    let region = answer.header(REGION).map(str::to_owned);
    if place.is_warehouse {
        seen.warehouse_region.clone_from(&region);
    }
    let below = location.path()?;
    if answer.status == 403 && may_list(patient, &call, bucket, below.as_ref()).await {
        let at = region.map_or_else(String::new, |region| format!(" in {region}"));
        return Ok(Finding::Passed(format!(
            "{bucket:?}{at}, may be listed below {below}"
        )));
    }
    judged(patient, place, bucket, &answer, region).map_err(|error| match error {
        Some(error) => error,
        None => unacknowledged("HeadBucket", &format!("{bucket:?}"), &endpoint).error,
    })
}

/// Whether a bucket that may not be listed as a whole may be listed below a prefix.
async fn may_list(patient: &Patient<'_>, head: &Call<'_>, bucket: &str, below: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if below.is_empty() || !below.bytes().all(is_plain) {
        return false;
    }
    let call = Call {
        shown: format!("ListObjectsV2 of {bucket:?}"),
        method: Method::GET,
        path: &format!("/{bucket}?list-type=2&max-keys=1&prefix={below}/"),
        body: String::new(),
        ..*head
    };
    let answer = patient.asker.ask(&call).await;
    answer.is_ok_and(|answer| answer.is_success() && answer.tag("Name").is_some())
}

/// What an answer without a body says of a bucket; no error for one that is none of S3's.
fn judged(
    patient: &Patient<'_>,
    place: &BucketPlace<'_>,
    bucket: &str,
    answer: &Answer,
    region: Option<String>,
) -> Result<Finding, Option<Error>> {
    let is_aws = region.is_some()
        || ["x-amz-request-id", "x-amz-id-2"]
            .iter()
            .any(|name| answer.header(name).is_some());
    if !is_aws {
        return Err(None);
    }
    let own = &patient.region;
    let at = region.map_or_else(String::new, |region| format!(" in {region}"));
    let is_elsewhere = !at.is_empty() && at != format!(" in {own}");
    let elsewhere = format!(
        "bucket {bucket:?} is{at}, the catalog in {own}: it works, but every request crosses \
         regions, which is slow and costs; is region right?"
    );
    match answer.status {
        404 => Err(Some(Error::not_found(format!(
            "bucket {bucket:?} does not exist: make it, or correct {:?} in the settings",
            place.location
        )))),
        200..=299 if is_elsewhere => Ok(Finding::Doubtful(elsewhere)),
        200..=299 => Ok(Finding::Passed(format!("{bucket:?}{at}, may be listed"))),
        301 | 307 | 400 if is_elsewhere => Ok(Finding::Doubtful(elsewhere)),
        403 if place.has_own_identity => Ok(Finding::Doubtful(format!(
            "{bucket:?}{at} exists; it is not the catalog's credentials that are used there"
        ))),
        403 => Ok(Finding::Doubtful(format!(
            "{bucket:?}{at} exists, and these credentials may not list it (s3:ListBucket on \
             arn:aws:s3:::{bucket}): readers need not, and S3 then answers 403 where a file is \
             missing; writers need it, and a bucket of another account must allow it too"
        ))),
        status => Err(Some(Error::new(
            ErrorKind::Unavailable,
            format!("HeadBucket of {bucket:?} was answered with HTTP {status}; try again later"),
        ))),
    }
}

/// Writes an object below the warehouse, reads it and deletes it, when that was asked for.
pub(super) async fn write(patient: &Patient<'_>, seen: &mut Seen) -> Finding {
    if !patient.examination.writes {
        return Finding::NotChecked("nothing is written unless it is asked for".to_owned());
    }
    let Some(warehouse) = patient.settings.warehouse.as_deref() else {
        return Finding::NotChecked("the settings name no warehouse".to_owned());
    };
    let name = format!("lake-doctor-{}", patient.clock.new_uuid());
    let at = join(warehouse, &name);
    let storage = patient.catalog.storage();
    let right = |action: &str| format!("s3:{action} on {at}");
    if let Err(error) = storage.write_new(&at, Bytes::from_static(PROBE)).await {
        let right = right("PutObject");
        return Finding::Failed(needs(error, &format!("{right} and kms:GenerateDataKey")));
    }
    let read = storage.read(&at).await;
    if let Err(error) = storage.delete(&at).await {
        let error = needs(error, &right("DeleteObject"));
        return Finding::Failed(error.with_context("left behind", &at));
    }
    match read {
        Ok(bytes) if bytes == PROBE => {
            seen.has_written = true;
            Finding::Passed(format!("an object was written, read and deleted: {at}"))
        }
        Ok(bytes) => Finding::failed(
            ErrorKind::Corrupt,
            format!(
                "{at} was written with {} bytes and read with {}: check the endpoint",
                PROBE.len(),
                bytes.len()
            ),
        ),
        Err(error) => {
            let right = right("GetObject");
            Finding::Failed(needs(error, &format!("{right} and kms:Decrypt")))
        }
    }
}
