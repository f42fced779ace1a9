//! An account of the emulated AWS that one test has for itself, behind a proxy of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use lakehouse_core::error::{Error, ErrorKind, Result};

use crate::{Emulators, FaultProxy};

/// The first of the accounts that are given out.
const FIRST_ACCOUNT: u64 = 100_000_000_000;

/// An account with an empty Glue catalog and one empty bucket.
///
/// ministack takes an access key of twelve digits for the account itself and checks no signature, so
/// tests of one process share the emulator and see nothing of each other.
#[derive(Debug)]
pub struct AwsAccount {
    /// What stands between the test and the emulator.
    pub proxy: FaultProxy,
    /// The account, which is its access key too.
    pub key: String,
    /// A bucket of a name that no other test uses.
    pub bucket: String,
    /// Where the emulator is.
    pub region: String,
}

impl AwsAccount {
    /// The secret that goes with each key; it must never be seen.
    pub const SECRET: &'static str = "hush-secret-key";

    /// A new account. None where the emulators are not installed, see [`Emulators::shared`].
    ///
    /// # Errors
    /// As [`Emulators::shared`] and [`FaultProxy::start`]; when the bucket cannot be made.
    pub fn start() -> Result<Option<Self>> {
        static ACCOUNTS: AtomicU64 = AtomicU64::new(FIRST_ACCOUNT);
        let Some(emulators) = Emulators::shared()? else {
            return Ok(None);
        };
        let number = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        let account = Self {
            proxy: FaultProxy::start(emulators.ministack(), number)?,
            key: number.to_string(),
            bucket: format!("lake-{number}"),
            region: emulators.variable("AWS_REGION").to_owned(),
        };
        account.make_bucket(&account.bucket)?;
        account.proxy.forget();
        Ok(Some(account))
    }

    /// Makes another bucket.
    ///
    /// # Errors
    /// When the emulator does not answer, or refuses.
    pub fn make_bucket(&self, bucket: &str) -> Result<()> {
        let (key, region) = (&self.key, &self.region);
        let body = match region.as_str() {
            // The oldest region is the one that must not be named.
            "us-east-1" => String::new(),
            other => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{other}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        let length = body.len();
        let request = format!(
            "PUT /{bucket} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Connection: close\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={key}/20260101/{region}/s3/aws4_request, SignedHeaders=host, \
             Signature=0\r\n\r\n{body}"
        );
        let endpoint = self.proxy.endpoint();
        let address = endpoint.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(request.as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let first = answer.lines().next().unwrap_or_default();
        if first.split(' ').nth(1) == Some("200") {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("bucket {bucket:?} cannot be made: {first}"),
        ))
    }
}
