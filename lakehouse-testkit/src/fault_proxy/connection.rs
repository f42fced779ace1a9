//! One client's connection: requests are read, passed on, and answered, or not, as the plan says.

use std::io::{self, BufReader};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::control;
use super::fault::HttpFault;
use super::journal::Entry;
use super::made_up;
use super::message::{Answer, Head, send};
use super::request::Request;
use super::shared::Shared;

/// How long the server behind may take for one request.
const UPSTREAM_WAIT: Duration = Duration::from_secs(120);

/// Serves a client until it goes, or until a fault closes the connection.
pub(super) fn serve(shared: &Shared, client: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    while let Some(head) = Head::read(&mut reader)? {
        if head.has_token("expect", "100-continue") {
            send(&mut &*client, b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let request = Request::read(head, &mut reader)?;
        let goes_on = match control::answer(shared, &request) {
            Some(answer) => Turn {
                client,
                request: &request,
            }
            .tell(&answer)?,
            None => Turn {
                client,
                request: &request,
            }
            .run(shared)?,
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// One request and whom to answer. What it returns is whether the connection goes on.
struct Turn<'a> {
    client: &'a TcpStream,
    request: &'a Request,
}

impl Turn<'_> {
    fn run(&self, shared: &Shared) -> io::Result<bool> {
        let fate = || shared.plan.fault(self.request);
        let entry = shared.journal.arrived(self.request, fate);
        match entry.fault {
            None => self.pass_on(shared, &entry),
            Some(fault) => self.meet(fault, shared, &entry),
        }
    }

    fn meet(&self, fault: HttpFault, shared: &Shared, entry: &Entry<'_>) -> io::Result<bool> {
        match fault {
            HttpFault::AnswerLost => {
                forward(shared, self.request, entry);
                self.close()
            }
            HttpFault::RequestLost => self.close(),
            HttpFault::Late { ms } => {
                self.close()?;
                if shared.wait(ms) {
                    forward(shared, self.request, entry);
                }
                Ok(false)
            }
            HttpFault::DelayedRequest { ms } => match shared.wait(ms) {
                true => self.pass_on(shared, entry),
                false => self.close(),
            },
            HttpFault::DelayedAnswer { ms } => {
                let answer = forward(shared, self.request, entry);
                match shared.wait(ms) {
                    true => self.tell_noted(entry, &answer),
                    false => self.close(),
                }
            }
            HttpFault::Throttled => {
                self.tell_noted(entry, &made_up::throttled(self.request, false))
            }
            HttpFault::TooManyRequests => {
                self.tell_noted(entry, &made_up::throttled(self.request, true))
            }
            HttpFault::Unavailable => self.tell_noted(entry, &made_up::unavailable(self.request)),
            HttpFault::Denied => self.tell_noted(entry, &made_up::denied(self.request)),
            HttpFault::AppliedThenFailed => {
                forward(shared, self.request, entry);
                self.tell_noted(entry, &made_up::failed(self.request))
            }
            HttpFault::Html => self.tell_noted(entry, &made_up::html()),
            HttpFault::BodyCut | HttpFault::LengthTooLong | HttpFault::LengthTooShort => {
                let answer = forward(shared, self.request, entry);
                entry.told(answer.status);
                self.distort(fault, &answer)
            }
        }
    }

    fn pass_on(&self, shared: &Shared, entry: &Entry<'_>) -> io::Result<bool> {
        let answer = forward(shared, self.request, entry);
        self.tell_noted(entry, &answer)
    }

    /// Noted first: who has the answer may look into the journal.
    fn tell_noted(&self, entry: &Entry<'_>, answer: &Answer) -> io::Result<bool> {
        entry.told(answer.status);
        self.tell(answer)
    }

    fn tell(&self, answer: &Answer) -> io::Result<bool> {
        let method = &self.request.method;
        let goes_on = self.request.goes_on();
        let length = answer.length(method);
        send(
            &mut &*self.client,
            &answer.bytes(length.as_deref(), method, goes_on),
        )?;
        Ok(goes_on)
    }

    /// An answer whose length and body do not agree.
    fn distort(&self, fault: HttpFault, answer: &Answer) -> io::Result<bool> {
        let method = &self.request.method;
        let body = if method == "HEAD" {
            0
        } else {
            answer.body.len()
        };
        let length = match fault {
            HttpFault::LengthTooLong => Some((body + 7).to_string()),
            HttpFault::LengthTooShort => Some((body / 2).to_string()),
            _ => answer.length(method),
        };
        let mut bytes = answer.bytes(length.as_deref(), method, false);
        if fault == HttpFault::BodyCut {
            let kept = match body {
                0 => bytes.len() / 2,
                _ => bytes.len() - body + body / 2,
            };
            bytes.truncate(kept);
        }
        send(&mut &*self.client, &bytes)?;
        self.close()
    }

    /// All that was sent has been read, so the client sees an orderly end and no reset.
    fn close(&self) -> io::Result<bool> {
        self.client.shutdown(Shutdown::Both)?;
        Ok(false)
    }
}

/// Has the server behind do what is asked, on a connection of its own: each request reaches it
/// exactly once.
fn forward(shared: &Shared, request: &Request, entry: &Entry<'_>) -> Answer {
    match ask(shared, request) {
        Ok(answer) => {
            entry.answered(answer.status, answer.body.len());
            answer
        }
        Err(error) => made_up::bad_gateway(&error),
    }
}

fn ask(shared: &Shared, request: &Request) -> io::Result<Answer> {
    let server = shared.connect()?;
    server.stream.set_read_timeout(Some(UPSTREAM_WAIT))?;
    let length = request.body.len().to_string();
    let mut added = vec![("Connection", "close")];
    if !request.body.is_empty() || !matches!(request.method.as_str(), "GET" | "HEAD" | "DELETE") {
        added.push(("Content-Length", &length));
    }
    let mut bytes = request.head.text(&added).into_bytes();
    bytes.extend_from_slice(&request.body);
    send(&mut &server.stream, &bytes)?;
    Answer::read(&mut BufReader::new(&server.stream), &request.method)
}
