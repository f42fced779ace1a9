//! Signed requests to services that nothing else here speaks to.

use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::{HeaderMap, HeaderValue, Method};
use lakehouse_core::error::{Error, ErrorKind, Result};
use object_store::aws::AwsAuthorizer;
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use object_store::{ClientOptions, CredentialProvider};

use crate::answer::{self, Failure};
use crate::chain::{CONNECT_MS_MAX, Chain};
use crate::credentials::RenewedCredentials;
use std::sync::Arc;

/// Sends requests with the credentials of a chain. None is sent twice.
#[derive(Debug)]
pub(super) struct Asker {
    client: HttpClient,
    credentials: Arc<RenewedCredentials>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// As messages name it, such as `DescribeKey of "alias/lake"`.
    pub(super) shown: String,
    /// As the signature names it.
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) method: Method,
    pub(super) endpoint: &'a str,
    /// With a slash before it.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'static str)],
    pub(super) body: String,
}

/// What came back, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Asker {
    /// # Errors
    /// When no connections can be made on this machine.
    pub(super) fn try_new(chain: &Chain, call_ms_max: u64) -> Result<Self> {
        let options = ClientOptions::new()
            .with_connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .with_timeout(Duration::from_millis(call_ms_max))
            .with_allow_http(true);
        let client = ReqwestConnector::default()
            .connect(&options)
            .map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?;
        Ok(Self {
            client,
            credentials: Arc::clone(&chain.credentials),
        })
    }

    /// # Errors
    /// When there are no credentials or no answer.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<Answer> {
        let (shown, endpoint) = (&call.shown, call.endpoint);
        let mut request = HttpRequest::new(HttpRequestBody::from(call.body.clone()));
        *request.method_mut() = call.method.clone();
        let uri = format!("{endpoint}{}", call.path).parse();
        *request.uri_mut() =
            uri.map_err(|_| Error::invalid(format!("{shown}: {endpoint:?} makes no URL")))?;
        for (name, value) in call.headers {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(*name, value);
        }
        self.credentials.check().await?;
        let credential = self.credentials.get_credential().await;
        let credential = credential.map_err(|_| {
            Error::new(
                ErrorKind::PermissionDenied,
                "AWS credentials cannot be had any longer",
            )
        })?;
        AwsAuthorizer::new(&credential, call.service, call.region).authorize(&mut request, None);
        let lost = |cause: String| {
            Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{shown} failed: the connection to {endpoint} cannot be made or was lost \
                     ({cause}); check endpoint, region and network"
                ),
            )
        };
        let answer = self.client.execute(request).await;
        let answer = answer.map_err(|error| lost(answer::innermost(&error)))?;
        let (head, body) = answer.into_parts();
        let body = body.bytes().await;
        let body = body.map_err(|error| lost(answer::innermost(&error)))?;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What AWS calls the failure, in whichever form the service speaks.
    pub(super) fn code(&self) -> Option<String> {
        if let Some(code) = self.tag("Code") {
            return Some(code.to_owned());
        }
        let named = self.header("x-amzn-errortype").map(str::to_owned);
        let named = named.or_else(|| {
            let body = self.json()?;
            let code = body.get("__type").or_else(|| body.get("code"))?;
            code.as_str().map(str::to_owned)
        })?;
        let name = named.rsplit('#').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// The failure that the answer is.
    pub(super) fn failure(&self, call: &Call<'_>) -> Failure {
        let json = self.json();
        let of_json = json.as_ref().and_then(|body| {
            let message = body.get("message").or_else(|| body.get("Message"))?;
            message.as_str()
        });
        let message = self.tag("Message").or(of_json);
        let status = self.status;
        answer::said(
            &call.shown,
            call.endpoint,
            status,
            self.code().as_deref(),
            message,
        )
    }

    /// The text of an element of XML.
    pub(super) fn tag(&self, name: &str) -> Option<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let (_, rest) = self.text.split_once(&open)?;
        rest.split_once(&close).map(|(text, _)| text)
    }

    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.text).ok()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When the server sent it, in milliseconds since 1970.
    pub(super) fn sent_at_ms(&self) -> Option<i64> {
        let date = DateTime::from_str(self.header("date")?, Format::HttpDate).ok()?;
        date.to_millis().ok()
    }
}
