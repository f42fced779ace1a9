//! A request as the proxy sees it, with the service and operation of AWS that it is for.

use std::io::{self, BufRead};

use super::message::Head;

/// One request, read whole.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) method: String,
    /// Path and query as they were sent.
    pub(super) uri: String,
    pub(super) body: Vec<u8>,
    pub(super) service: String,
    pub(super) operation: String,
}

impl Request {
    /// Reads the body behind a head, and finds out what it is for.
    pub(super) fn read(head: Head, stream: &mut impl BufRead) -> io::Result<Self> {
        let body = head.read_body(stream, false)?;
        let mut words = head.first_line.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let uri = words.next().unwrap_or_default().to_owned();
        let mut request = Self {
            head,
            method,
            uri,
            body,
            service: String::new(),
            operation: String::new(),
        };
        request.service = request.find_service();
        request.operation = request.find_operation();
        Ok(request)
    }

    pub(super) fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }

    /// The query less what signs it, which is nobody's business.
    pub(super) fn query_shown(&self) -> String {
        let shown = self
            .query()
            .filter(|(name, _)| !name.to_ascii_lowercase().starts_with("x-amz-"));
        let shown = shown.map(|(name, value)| match value.is_empty() {
            true => name.to_owned(),
            false => format!("{name}={value}"),
        });
        shown.collect::<Vec<String>>().join("&")
    }

    /// Whether the client wants to send more on this connection.
    pub(super) fn goes_on(&self) -> bool {
        self.head.first_line.ends_with("HTTP/1.1") && !self.head.has_token("connection", "close")
    }

    fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.uri.split_once('?').map_or("", |(_, query)| query);
        let parts = query.split('&').filter(|part| !part.is_empty());
        parts.map(|part| part.split_once('=').unwrap_or((part, "")))
    }

    fn has_query(&self, name: &str) -> bool {
        self.query().any(|(found, _)| found == name)
    }

    /// The service that the signature is for; of what is not signed, by its form.
    fn find_service(&self) -> String {
        if let Some(service) = self.signed_service() {
            return service;
        }
        match self.head.value("x-amz-target") {
            Some(target) => {
                let named = target.split('.').next().unwrap_or_default();
                let named = named.split('_').next().unwrap_or_default();
                named
                    .strip_prefix("AWS")
                    .unwrap_or(named)
                    .to_ascii_lowercase()
            }
            None if self.action().is_some() => "sts".to_owned(),
            None => "s3".to_owned(),
        }
    }

    /// `glue` of `Credential=KEY/20260101/eu-central-1/glue/aws4_request`.
    fn signed_service(&self) -> Option<String> {
        let header = self.head.value("authorization").and_then(|value| {
            let (_, behind) = value.split_once("Credential=")?;
            Some(
                behind
                    .split([',', ' '])
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            )
        });
        let query = || {
            let found = self.query().find(|(name, _)| *name == "X-Amz-Credential");
            found.map(|(_, value)| value.replace("%2F", "/").replace("%2f", "/"))
        };
        let scope = header.or_else(query)?;
        scope.split('/').nth(3).map(str::to_ascii_lowercase)
    }

    /// The operation of services that take forms: `Action=AssumeRole&…`.
    fn action(&self) -> Option<String> {
        let form = self.head.value("content-type").unwrap_or_default();
        if !form.starts_with("application/x-www-form-urlencoded") {
            return None;
        }
        let body = String::from_utf8_lossy(&self.body).into_owned();
        let mut parts = body.split('&').filter_map(|part| part.split_once('='));
        parts
            .find(|(name, _)| *name == "Action")
            .map(|(_, value)| value.to_owned())
    }

    fn find_operation(&self) -> String {
        if let Some(target) = self.head.value("x-amz-target") {
            return target.rsplit('.').next().unwrap_or_default().to_owned();
        }
        if self.service == "s3" {
            return self.s3_operation();
        }
        self.action().unwrap_or_else(|| {
            // Services that speak JSON without a target name the operation in the path.
            let last = self.path().trim_end_matches('/').rsplit('/').next();
            last.unwrap_or_default().to_owned()
        })
    }

    /// By method, path (`/bucket/key`) and query; `GET ?policy` where the query names a part of a
    /// bucket or object that has no name here.
    fn s3_operation(&self) -> String {
        let path = self.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let method = self.method.as_str();
        let named = match (method, bucket.is_empty(), key.is_empty()) {
            ("GET", true, _) => "ListBuckets",
            ("POST", false, true) if self.has_query("delete") => "DeleteObjects",
            ("GET", false, true) if self.has_query("list-type") => "ListObjectsV2",
            ("GET", false, true) if self.has_query("location") => "GetBucketLocation",
            ("GET", false, true) if self.has_query("versions") => "ListObjectVersions",
            ("POST", false, false) if self.has_query("uploads") => "CreateMultipartUpload",
            ("POST", false, false) if self.has_query("uploadId") => "CompleteMultipartUpload",
            ("PUT", false, false) if self.has_query("uploadId") => "UploadPart",
            ("DELETE", false, false) if self.has_query("uploadId") => "AbortMultipartUpload",
            _ => return self.s3_plain_operation(key.is_empty()),
        };
        named.to_owned()
    }

    fn s3_plain_operation(&self, of_bucket: bool) -> String {
        const PARTS: [&str; 12] = [
            "acl",
            "attributes",
            "cors",
            "encryption",
            "lifecycle",
            "logging",
            "object-lock",
            "policy",
            "publicAccessBlock",
            "tagging",
            "uploads",
            "versioning",
        ];
        let method = self.method.as_str();
        if let Some(part) = PARTS.iter().find(|part| self.has_query(part)) {
            return format!("{method} ?{part}");
        }
        let named = match (method, of_bucket) {
            ("GET", true) => "ListObjects",
            ("HEAD", true) => "HeadBucket",
            ("PUT", true) => "CreateBucket",
            ("DELETE", true) => "DeleteBucket",
            ("GET", false) => "GetObject",
            ("HEAD", false) => "HeadObject",
            ("PUT", false) if self.head.value("x-amz-copy-source").is_some() => "CopyObject",
            ("PUT", false) => "PutObject",
            ("DELETE", false) => "DeleteObject",
            _ => method,
        };
        named.to_owned()
    }
}
