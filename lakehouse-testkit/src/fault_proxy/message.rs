//! HTTP/1.1 messages on a connection, byte for byte: heads are kept as they came.

use std::io::{self, BufRead, Read, Write};

/// A head that is longer is refused; AWS refuses heads of 16 KiB.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// A body that is longer is refused: bodies are held in memory.
const BODY_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Headers between two neighbours, which are not passed on.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The first line and the headers, in order and in their own spelling.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) first_line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn new(first_line: &str, headers: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            first_line: first_line.to_owned(),
            headers: headers.iter().map(owned).collect(),
        }
    }

    /// Reads one; none if the connection ended before it began.
    pub(super) fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut stream = stream.take(HEAD_BYTES_MAX);
        let Some(first_line) = line(&mut stream)? else {
            return Ok(None);
        };
        let mut headers = Vec::new();
        loop {
            let line = line(&mut stream)?.ok_or_else(|| broken("a head that ends too early"))?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| broken("a header without colon"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Self {
            first_line,
            headers,
        }))
    }

    /// The value of the first header of this name, however that is spelt.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        let value = self.value(name).unwrap_or_default();
        value
            .split(',')
            .any(|found| found.trim().eq_ignore_ascii_case(token))
    }

    /// The head as text, with the headers that are passed on and those given.
    pub(super) fn text(&self, added: &[(&str, &str)]) -> String {
        let mut text = format!("{}\r\n", self.first_line);
        let kept = self.headers.iter().filter(|(name, _)| {
            !HOP_BY_HOP
                .iter()
                .any(|skipped| name.eq_ignore_ascii_case(skipped))
        });
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in kept.chain(added.iter().copied()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text
    }

    /// The body that a head announces; `until_end` if one without a length goes on to the end.
    pub(super) fn read_body(
        &self,
        stream: &mut impl BufRead,
        until_end: bool,
    ) -> io::Result<Vec<u8>> {
        if self.has_token("transfer-encoding", "chunked") {
            return chunked(stream);
        }
        match self.value("content-length") {
            Some(length) => {
                let length = length
                    .parse()
                    .map_err(|_| broken("a Content-Length that is no number"))?;
                exactly(stream, length)
            }
            None if until_end => {
                let mut body = Vec::new();
                stream.take(BODY_BYTES_MAX + 1).read_to_end(&mut body)?;
                match body.len() as u64 > BODY_BYTES_MAX {
                    true => Err(broken("a body that is too long to be held")),
                    false => Ok(body),
                }
            }
            None => Ok(Vec::new()),
        }
    }
}

/// An answer as the server behind gave it, or as we make it up.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// A length without a body, as answers to `HEAD` have it.
    length_told: Option<String>,
}

impl Answer {
    pub(super) fn new(status: u16, reason: &str, headers: &[(&str, &str)], body: &str) -> Self {
        Self {
            head: Head::new(&format!("HTTP/1.1 {status} {reason}"), headers),
            status,
            body: body.as_bytes().to_vec(),
            length_told: None,
        }
    }

    /// Reads the answer to a request with this method; what comes before it (`100`) is skipped.
    pub(super) fn read(stream: &mut impl BufRead, method: &str) -> io::Result<Self> {
        loop {
            let head = Head::read(stream)?.ok_or_else(|| broken("no answer"))?;
            let status = head
                .first_line
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| broken("an answer without a status"))?;
            if status < 200 {
                continue;
            }
            let without_body = method == "HEAD" || status == 204 || status == 304;
            let body = match without_body {
                true => Vec::new(),
                false => head.read_body(stream, true)?,
            };
            let length_told = head.value("content-length").filter(|_| without_body);
            return Ok(Self {
                length_told: length_told.map(str::to_owned),
                head,
                status,
                body,
            });
        }
    }

    /// The length its head is to tell; none where none belongs.
    pub(super) fn length(&self, method: &str) -> Option<String> {
        match (&self.length_told, self.status) {
            (Some(told), _) => Some(told.clone()),
            (None, 204 | 304) => None,
            (None, _) if method == "HEAD" && self.body.is_empty() => None,
            (None, _) => Some(self.body.len().to_string()),
        }
    }

    /// Head and body as bytes, with a length of `length`, and whether the connection goes on.
    pub(super) fn bytes(&self, length: Option<&str>, method: &str, goes_on: bool) -> Vec<u8> {
        let connection = if goes_on { "keep-alive" } else { "close" };
        let mut added = vec![("Connection", connection)];
        if let Some(length) = length {
            added.push(("Content-Length", length));
        }
        let mut bytes = self.head.text(&added).into_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Writes all of it at once, so that no part waits for another.
pub(super) fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

fn exactly(stream: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES_MAX {
        return Err(broken("a body that is too long to be held"));
    }
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    match body.len() as u64 == length {
        true => Ok(body),
        false => Err(broken("a body that ends too early")),
    }
}

fn chunked(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?.ok_or_else(|| broken("a body that ends too early"))?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| broken("a chunk without a size"))?;
        if size == 0 {
            // Trailers: nothing that is passed on.
            while line(stream)?.is_some_and(|line| !line.is_empty()) {}
            return Ok(body);
        }
        if size.saturating_add(body.len() as u64) > BODY_BYTES_MAX {
            return Err(broken("a body that is too long to be held"));
        }
        body.extend(exactly(stream, size)?);
        line(stream)?;
    }
}

/// A line without its end; none at the end of the stream.
fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    stream.take(HEAD_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(broken("a line that ends too early or is too long"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    // Header values outside of ASCII are rare, and may be any bytes.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
