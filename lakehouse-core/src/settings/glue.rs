//! How a Glue catalog and the buckets of its tables are reached.

use serde::{Deserialize, Serialize};

/// How long a call to AWS may take when nothing else is said, in milliseconds.
const CALL_MS_MAX: u64 = 30_000;

/// A Glue data catalog, and S3 as its tables need it.
///
/// Everything has a default: region, account and credentials then come from where AWS' own tools
/// take them, which are environment variables, profiles, web identity, SSO, and the roles of
/// containers and machines. No secret is ever part of these settings, so a file that holds them
/// may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GlueSettings {
    /// The region of the catalog; the AWS chain's when unset.
    pub region: Option<String>,
    /// The profile of the AWS configuration files to use; the AWS chain's when unset.
    pub profile: Option<String>,
    /// A role to assume, by its ARN, with the credentials that the chain finds.
    pub role_arn: Option<String>,
    /// The name of the assumed role's session, as it is written into CloudTrail.
    pub role_session_name: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// The account whose catalog it is; the credentials' own when unset.
    pub catalog_id: Option<String>,
    /// The root of new tables in databases without a location, such as `s3://bucket/lake/`.
    pub warehouse: Option<String>,
    /// Whether a commit leaves the former version of the Glue table unarchived (the default). Glue
    /// keeps no more than 100 000 versions of a table, and Iceberg has its own history.
    pub skip_archive: bool,
    /// The URL of Glue; AWS' own when unset, or what `AWS_ENDPOINT_URL_GLUE` and
    /// `AWS_ENDPOINT_URL` say.
    pub endpoint: Option<String>,
    /// The URL of S3; AWS' own when unset, or what `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL`
    /// say.
    pub s3_endpoint: Option<String>,
    /// The URL of STS, which gives the credentials of roles; AWS' own when unset, or what
    /// `AWS_ENDPOINT_URL_STS` and `AWS_ENDPOINT_URL` say.
    pub sts_endpoint: Option<String>,
    /// Whether the bucket is a part of the path and not of the host; unset, it is where the URL of
    /// S3 is not AWS' own.
    pub path_style: Option<bool>,
    /// The KMS key, as id or ARN, with which new objects are encrypted; the bucket's own rule when
    /// unset.
    pub kms_key: Option<String>,
    /// Whether requests are charged to the reader and not to the bucket's owner.
    pub requester_pays: bool,
    /// How long one attempt of a call may take, in milliseconds.
    pub call_ms_max: u64,
    /// Buckets, or parts of them, that are reached in another way. The longest prefix that fits
    /// decides.
    pub prefixes: Vec<S3PrefixSettings>,
}

impl Default for GlueSettings {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            role_arn: None,
            role_session_name: None,
            external_id: None,
            catalog_id: None,
            warehouse: None,
            skip_archive: true,
            endpoint: None,
            s3_endpoint: None,
            sts_endpoint: None,
            path_style: None,
            kms_key: None,
            requester_pays: false,
            call_ms_max: CALL_MS_MAX,
            prefixes: Vec::new(),
        }
    }
}

/// How the objects below a prefix are reached. What is unset here is as the catalog's settings say;
/// a role without a profile is assumed with the catalog's credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct S3PrefixSettings {
    /// `s3://bucket/` or `s3://bucket/folder/`.
    pub prefix: String,
    /// The bucket's region; found out by asking the bucket when it is another one.
    pub region: Option<String>,
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// A role to assume, by its ARN.
    pub role_arn: Option<String>,
    /// The name of the assumed role's session.
    pub role_session_name: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// The URL of S3.
    pub endpoint: Option<String>,
    /// Whether the bucket is a part of the path.
    pub path_style: Option<bool>,
    /// The KMS key of new objects.
    pub kms_key: Option<String>,
    /// Whether requests are charged to the reader.
    pub requester_pays: bool,
}
