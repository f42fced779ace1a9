//! The keys that new objects are encrypted with, and what Lake Formation governs.

use http::Method;
use lakehouse_core::error::ErrorKind;
use lakehouse_core::settings::GlueSettings;

use super::ask::{Answer, Call};
use super::{Finding, Patient, Seen};
use crate::answer::unacknowledged;

/// Whom Lake Formation lets in as IAM alone would.
const ALL_BY_IAM: &str = "IAM_ALLOWED_PRINCIPALS";

/// The keys that the settings name, each once.
pub(super) fn keys(settings: &GlueSettings) -> Vec<&str> {
    let prefixes = settings.prefixes.iter().map(|prefix| &prefix.kms_key);
    let named = [&settings.kms_key].into_iter().chain(prefixes);
    let mut keys: Vec<&str> = named.filter_map(Option::as_deref).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The region in an ARN; none of an id or alias.
fn region_of(key: &str) -> Option<&str> {
    let region = key.strip_prefix("arn:")?.split(':').nth(2)?;
    (!region.is_empty()).then_some(region)
}

/// Asks KMS for the state of a key.
pub(super) async fn key(patient: &Patient<'_>, key: &str, seen: &Seen) -> Finding {
    let bucket_region = seen.warehouse_region.as_deref();
    let region = region_of(key).or(bucket_region).unwrap_or(&patient.region);
    let is_usual = patient.settings.kms_key.as_deref() == Some(key);
    if let Some(bucket_region) = bucket_region.filter(|bucket| is_usual && *bucket != region) {
        return Finding::failed(
            ErrorKind::InvalidInput,
            format!(
                "key {key} is in {region}, the warehouse in {bucket_region}: S3 encrypts with keys \
                 of the bucket's region only; name one of those in kms_key"
            ),
        );
    }
    let stated = patient.examination.kms_endpoint.as_deref();
    let endpoint = match patient.endpoint(stated, "kms") {
        Ok(endpoint) if region == patient.region || stated.is_some() => endpoint,
        Ok(_) => super::aws_endpoint("kms", region),
        Err(error) => return Finding::Failed(error),
    };
    let call = Call {
        shown: format!("DescribeKey of {key:?}"),
        service: "kms",
        region,
        method: Method::POST,
        endpoint: &endpoint,
        path: "/",
        headers: &[
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "TrentService.DescribeKey"),
        ],
        body: serde_json::json!({ "KeyId": key }).to_string(),
    };
    match patient.asker.ask(&call).await {
        Ok(answer) if answer.is_success() => match state(&answer) {
            Some(state) if state == "Enabled" => Finding::Passed(format!("{key} is enabled")),
            Some(state) => Finding::failed(
                ErrorKind::PermissionDenied,
                format!(
                    "key {key} is in the state {state}: no object can be written or read with it \
                     until it is enabled"
                ),
            ),
            None => {
                let error = unacknowledged("DescribeKey", key, &endpoint).error;
                Finding::Failed(error)
            }
        },
        Ok(answer) => refused(&answer, &call, key, seen),
        Err(error) => Finding::Failed(error),
    }
}

fn state(answer: &Answer) -> Option<String> {
    let body = answer.json()?;
    let state = body.get("KeyMetadata")?.get("KeyState")?.as_str()?;
    Some(state.to_owned())
}

fn refused(answer: &Answer, call: &Call<'_>, key: &str, seen: &Seen) -> Finding {
    let failure = answer.failure(call);
    match failure.code.as_deref() {
        Some("AccessDeniedException" | "AccessDenied") if seen.has_written => {
            Finding::Passed(format!("{key}: an object was written with it"))
        }
        Some("AccessDeniedException" | "AccessDenied") => Finding::Doubtful(format!(
            "{key}: these credentials may not describe it (kms:DescribeKey); whether it encrypts is \
             known when an object is written"
        )),
        Some("NotFoundException") => Finding::failed(
            ErrorKind::NotFound,
            format!(
                "{}; check kms_key: an id, an ARN, or alias/name of a key in {}",
                failure.error, call.region
            ),
        ),
        _ => Finding::Failed(failure.error),
    }
}

/// Asks Lake Formation for its settings, and says what they mean for the table that was found.
pub(super) async fn lake_formation(patient: &Patient<'_>, seen: &Seen) -> Finding {
    let stated = patient.examination.lake_formation_endpoint.as_deref();
    let endpoint = match patient.endpoint(stated, "lakeformation") {
        Ok(endpoint) => endpoint,
        Err(error) => return Finding::Failed(error),
    };
    let account = patient.settings.catalog_id.as_deref();
    let call = Call {
        shown: "GetDataLakeSettings of Lake Formation".to_owned(),
        service: "lakeformation",
        region: &patient.region,
        method: Method::POST,
        endpoint: &endpoint,
        path: "/GetDataLakeSettings",
        headers: &[("content-type", "application/json")],
        body: match account {
            Some(account) => serde_json::json!({ "CatalogId": account }).to_string(),
            None => "{}".to_owned(),
        },
    };
    let governed = governed(seen);
    match patient.asker.ask(&call).await {
        Ok(answer) if answer.is_success() => match shown(&answer) {
            Some(settings) => Finding::Passed(format!("{settings}{governed}")),
            None => {
                let what = "Lake Formation";
                Finding::Failed(unacknowledged("GetDataLakeSettings", what, &endpoint).error)
            }
        },
        Ok(answer) => {
            let failure = answer.failure(&call);
            match failure.code.as_deref() {
                Some("AccessDeniedException" | "AccessDenied") => Finding::Doubtful(format!(
                    "its settings may not be seen by these credentials \
                     (lakeformation:GetDataLakeSettings), which nothing but this step needs{governed}"
                )),
                _ => Finding::Failed(failure.error),
            }
        }
        Err(error) => Finding::Failed(error),
    }
}

/// What is to be said of the table that was found.
fn governed(seen: &Seen) -> String {
    match &seen.table {
        Some((ident, true)) => format!(
            "; the files of {ident} are registered: who reads them with S3 rights of its own goes \
             around Lake Formation's permissions, and who has none needs \
             lakeformation:GetDataAccess"
        ),
        Some((ident, false)) => format!("; the files of {ident} are not registered"),
        None => String::new(),
    }
}

/// The settings in words.
fn shown(answer: &Answer) -> Option<String> {
    let body = answer.json()?;
    let settings = body.get("DataLakeSettings")?;
    let admins = settings
        .get("DataLakeAdmins")
        .and_then(|list| list.as_array());
    let admins = admins.map_or(0, Vec::len);
    let defaults = settings.get("CreateTableDefaultPermissions");
    let by_iam = defaults.is_some_and(|defaults| defaults.to_string().contains(ALL_BY_IAM));
    let new_tables = match by_iam {
        true => "new tables are governed by IAM alone",
        false => "new tables are governed by its grants",
    };
    let outside = match settings.get("AllowExternalDataFiltering") {
        Some(serde_json::Value::Bool(true)) => "outside engines may filter data",
        _ => "outside engines get no filtered data",
    };
    Some(format!(
        "{new_tables}, {outside}, {admins} {}",
        if admins == 1 {
            "administrator"
        } else {
            "administrators"
        }
    ))
}
