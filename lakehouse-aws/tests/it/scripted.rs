//! Servers of one test's making, for what the emulators do not have: pages, links between accounts,
//! regions, refusals, and the exact form of requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use lakehouse_aws::{GlueCatalog, GlueSettings, open_glue_with};
use lakehouse_testkit::AwsAccount;
use serde_json::{Value, json};

use crate::emulated::parts;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET /bucket/key`.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The region that the request was signed for.
    pub(crate) fn region(&self) -> &str {
        self.scope(2)
    }

    /// The service that the request was signed for.
    pub(crate) fn service(&self) -> &str {
        self.scope(3)
    }

    fn scope(&self, part: usize) -> &str {
        let signed = self.header("authorization").split("Credential=").nth(1);
        signed
            .and_then(|scope| scope.split('/').nth(part))
            .unwrap_or_default()
    }
}

/// What a request is answered with.
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: "x-amz-request-id: 1\r\nx-amzn-RequestId: 1\r\n".to_owned(),
            body: body.into(),
        }
    }

    /// One that nobody of AWS has given.
    pub(crate) fn foreign(status: u16, body: impl Into<String>) -> Self {
        Self {
            headers: String::new(),
            ..Self::new(status, body)
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers = format!("{}{name}: {value}\r\n", self.headers);
        self
    }

    /// An object of S3.
    pub(crate) fn object(body: &str) -> Self {
        Self::new(200, body)
            .with("ETag", "\"1\"")
            .with("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
    }

    /// An error of S3.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>as told</Message></Error>");
        Self::new(status, body).with("Content-Type", "application/xml")
    }
}

/// Answers requests as a test says, and remembers them.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if let Some(request) = request(&connection) {
                    let answer = script(&request);
                    let has_body = !request.line.starts_with("HEAD");
                    noted.lock().unwrap().push(request);
                    answer_with(&connection, &answer, has_body);
                }
            }
        });
        Self { endpoint, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// A catalog whose buckets are here.
    pub(crate) async fn buckets(&self, settings: GlueSettings) -> GlueCatalog {
        let settings = GlueSettings {
            s3_endpoint: Some(self.endpoint.clone()),
            ..settings
        };
        open(settings).await
    }
}

/// A Glue that answers calls by their operation and body.
pub(crate) struct Scripted(Server);

impl Scripted {
    pub(crate) fn start(script: impl Fn(&str, &Value) -> (u16, Value) + Send + 'static) -> Self {
        Self(Server::start(move |request| {
            let (operation, body) = call(request);
            let (status, body) = script(&operation, &body);
            Answer::new(status, body.to_string()).with("Content-Type", "application/x-amz-json-1.1")
        }))
    }

    pub(crate) async fn catalog(&self, settings: GlueSettings) -> GlueCatalog {
        let settings = GlueSettings {
            endpoint: Some(self.0.endpoint.clone()),
            ..settings
        };
        open(settings).await
    }

    /// The bodies of the calls of an operation, in order.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Value> {
        let requests = self.0.requests();
        let calls = requests.iter().map(call);
        calls
            .filter(|(called, _)| called == operation)
            .map(|(_, body)| body)
            .collect()
    }
}

async fn open(settings: GlueSettings) -> GlueCatalog {
    let settings = GlueSettings {
        region: Some("eu-central-1".to_owned()),
        ..settings
    };
    let keys = Credentials::new("AKIA", AwsAccount::SECRET, None, None, "test");
    open_glue_with("glue", &settings, parts(), keys)
        .await
        .unwrap()
}

pub(crate) fn not_found() -> (u16, Value) {
    (
        400,
        json!({"__type": "EntityNotFoundException", "Message": "not there"}),
    )
}

fn call(request: &Request) -> (String, Value) {
    let target = request.header("x-amz-target");
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    (
        operation,
        serde_json::from_slice(&request.body).unwrap_or_default(),
    )
}

fn request(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let (line, headers) = lines.split_first()?;
    let headers: Vec<(String, String)> = headers
        .iter()
        .filter_map(|header| header.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request {
        line: line.rsplit_once(' ')?.0.to_owned(),
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn answer_with(mut connection: &TcpStream, answer: &Answer, has_body: bool) {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    let head = format!(
        "HTTP/1.1 {status} told\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let body = if has_body { body } else { "" };
    // A client that has gone needs no answer.
    let _sent = connection.write_all(format!("{head}{body}").as_bytes());
}
