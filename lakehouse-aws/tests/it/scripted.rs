//! A Glue of one test's making, for what the emulators do not have: pages, links between accounts,
//! and the exact form of requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use lakehouse_aws::{GlueCatalog, GlueSettings, open_glue_with};
use serde_json::{Value, json};

use crate::emulated::parts;

/// What a call is answered with: the status and the body.
type Answer = (u16, Value);

/// Answers calls by their operation and body, and remembers them.
pub(crate) struct Scripted {
    endpoint: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Scripted {
    pub(crate) fn start(script: impl Fn(&str, &Value) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let Some((operation, body)) = request(&connection) else {
                    continue;
                };
                let answer = script(&operation, &body);
                noted.lock().unwrap().push((operation, body));
                answer_with(&connection, &answer);
            }
        });
        Self { endpoint, calls }
    }

    pub(crate) async fn catalog(&self, settings: GlueSettings) -> GlueCatalog {
        let settings = GlueSettings {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some(self.endpoint.clone()),
            ..settings
        };
        let keys = Credentials::new("AKIA", "hush", None, None, "test");
        open_glue_with("glue", &settings, parts(), keys)
            .await
            .unwrap()
    }

    /// The bodies of the calls of an operation, in order.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        let calls = calls.iter().filter(|(called, _)| called == operation);
        calls.map(|(_, body)| body.clone()).collect()
    }
}

pub(crate) fn not_found() -> Answer {
    (
        400,
        json!({"__type": "EntityNotFoundException", "Message": "not there"}),
    )
}

fn request(connection: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(connection);
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.trim().rsplit('.').next()?.to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((operation, serde_json::from_slice(&body).ok()?))
}

fn answer_with(mut connection: &TcpStream, (status, body): &Answer) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} told\r\nContent-Type: application/x-amz-json-1.1\r\n\
         x-amzn-RequestId: 1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that has gone needs no answer.
    let _sent = connection.write_all(format!("{head}{body}").as_bytes());
}
