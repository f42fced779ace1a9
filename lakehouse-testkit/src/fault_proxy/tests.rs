//! Each fault against a server that counts what it did.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::message::Head;
use super::*;

const WAIT: Duration = Duration::from_secs(10);
const BODY: &str = "0123456789";

/// The heads and bodies a server got.
type Seen = Mutex<Vec<(Head, Vec<u8>)>>;

/// A server that answers everything with [`BODY`], and remembers the requests.
struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    done: Arc<AtomicU64>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            done: Arc::default(),
        };
        let (seen, done) = (Arc::clone(&server.seen), Arc::clone(&server.done));
        // It ends with the process: tests leave nothing else behind.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                answer(&client.unwrap(), &seen, &done);
            }
        });
        server
    }

    fn proxy(&self, seed: u64) -> FaultProxy {
        FaultProxy::start(&format!("http://{}", self.address), seed).unwrap()
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }
}

fn answer(client: &TcpStream, seen: &Seen, done: &AtomicU64) {
    let mut reader = BufReader::new(client);
    let Some(head) = Head::read(&mut reader).unwrap() else {
        return;
    };
    let body = head.read_body(&mut reader, false).unwrap();
    let method = head.first_line.split(' ').next().unwrap().to_owned();
    seen.lock().unwrap().push((head, body));
    done.fetch_add(1, Ordering::SeqCst);
    let told = match method.as_str() {
        "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 77\r\nETag: \"a\"\r\n\r\n".to_owned(),
        "DELETE" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "POST" => {
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n"
                .to_owned()
        }
        _ => format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"a\"\r\n\r\n{BODY}",
            BODY.len()
        ),
    };
    (&mut &*client).write_all(told.as_bytes()).unwrap();
}

/// A client's connection, and what came back as bytes until its end.
fn exchange(proxy: &FaultProxy, sent: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    String::from_utf8(received).unwrap()
}

const SCOPE: &str = "AWS4-HMAC-SHA256 Credential=KEY/20260101/eu-central-1";

fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: lake.test\r\nAuthorization: {SCOPE}/s3/aws4_request, S=1\r\n\
         Range: bytes=0-9\r\nConnection: close\r\n\r\n"
    )
}

fn glue(operation: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: glue.test\r\nX-Amz-Target: AWSGlue.{operation}\r\nContent-Length: 2\r\n\
         Content-Type: application/x-amz-json-1.1\r\n\
         Authorization: {SCOPE}/glue/aws4_request, S=1\r\nConnection: close\r\n\r\n{{}}"
    )
}

fn one_fault(fault: HttpFault, sent: &str) -> (String, HttpCall, u64) {
    let server = Server::start();
    let proxy = server.proxy(1);
    proxy.fail_nth(HttpCalls::all(), 1, fault);
    let received = exchange(&proxy, sent);
    assert!(proxy.settle(WAIT));
    let call = proxy.journal().remove(0);
    assert_eq!(call.fault, Some(fault));
    assert_eq!(call.is_applied(), fault.is_forwarded());
    (received, call, server.done())
}

#[test]
fn without_faults_everything_arrives_as_it_was_sent() {
    let server = Server::start();
    let proxy = server.proxy(1);
    let received = exchange(&proxy, &get("/lake/data/a%20b.parquet?versionId=1"));
    assert!(
        received.starts_with("HTTP/1.1 200 OK\r\nETag: \"a\"\r\n"),
        "{received}"
    );
    assert!(
        received.ends_with(&format!("Content-Length: 10\r\n\r\n{BODY}")),
        "{received}"
    );
    let chunked = exchange(&proxy, &glue("GetTable"));
    assert!(
        chunked.ends_with(&format!("Content-Length: 10\r\n\r\n{BODY}")),
        "{chunked}"
    );
    let seen = server.seen.lock().unwrap();
    assert_eq!(
        seen[0].0.first_line,
        "GET /lake/data/a%20b.parquet?versionId=1 HTTP/1.1"
    );
    assert_eq!(seen[0].0.value("host"), Some("lake.test"));
    assert!(seen[0].0.value("authorization").unwrap().starts_with(SCOPE));
    assert_eq!(seen[1].1, b"{}");
}

#[test]
fn a_connection_serves_request_after_request() {
    let server = Server::start();
    let proxy = server.proxy(1);
    let head = "HEAD /lake/a HTTP/1.1\r\nHost: a\r\n\r\n";
    let put = "PUT /lake/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n\
               2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    let delete = "DELETE /lake/a HTTP/1.1\r\nHost: a\r\n\r\n";
    let received = exchange(&proxy, &format!("{head}{put}{delete}{}", get("/lake/a")));
    let statuses: Vec<&str> = received
        .lines()
        .filter(|line| line.contains("HTTP/1.1"))
        .collect();
    // The body before it has no line's end.
    assert_eq!(
        statuses,
        [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 200 OK",
            "0123456789HTTP/1.1 204 No Content",
            "HTTP/1.1 200 OK"
        ]
    );
    assert!(received.contains("Content-Length: 77\r\n"), "{received}");
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[1].1, b"abc");
    assert_eq!(seen[1].0.value("content-length"), Some("3"));
    assert_eq!(seen[1].0.value("expect"), None);
}

#[test]
fn a_lost_answer_is_of_a_request_that_was_done() {
    let (received, call, done) = one_fault(HttpFault::AnswerLost, &glue("UpdateTable"));
    assert_eq!((received.as_str(), done), ("", 1));
    assert_eq!((call.upstream_status, call.told_status), (Some(200), None));
}

#[test]
fn a_lost_request_is_not_done() {
    let (received, call, done) = one_fault(HttpFault::RequestLost, &glue("UpdateTable"));
    assert_eq!((received.as_str(), done), ("", 0));
    assert_eq!((call.upstream_status, call.told_status), (None, None));
}

#[test]
fn a_late_request_is_done_after_its_connection_has_closed() {
    let server = Server::start();
    let proxy = server.proxy(1);
    proxy.fail_nth(HttpCalls::all(), 1, HttpFault::Late { ms: 300 });
    assert_eq!(exchange(&proxy, &glue("UpdateTable")), "");
    assert_eq!(server.done(), 0);
    assert!(proxy.settle(WAIT));
    assert_eq!(server.done(), 1);
    assert!(proxy.journal()[0].is_applied());
}

#[test]
fn a_proxy_that_stops_does_nothing_late() {
    let server = Server::start();
    let proxy = server.proxy(1);
    proxy.fail_nth(HttpCalls::all(), 1, HttpFault::Late { ms: 3_600_000 });
    assert_eq!(exchange(&proxy, &glue("UpdateTable")), "");
    drop(proxy);
    assert_eq!(server.done(), 0);
}

#[test]
fn delays_are_before_or_after_it_is_done() {
    for (fault, told_late) in [
        (HttpFault::DelayedRequest { ms: 200 }, 0),
        (HttpFault::DelayedAnswer { ms: 200 }, 1),
    ] {
        let server = Server::start();
        let proxy = server.proxy(1);
        proxy.fail_nth(HttpCalls::all(), 1, fault);
        let start: Instant = SystemClock.instant();
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        stream.write_all(get("/lake/a").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(server.done(), told_late, "{fault:?}");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        assert!(SystemClock.instant() - start >= Duration::from_millis(200));
    }
}

#[test]
fn throttling_speaks_the_language_of_the_service() {
    let (received, call, done) = one_fault(HttpFault::Throttled, &glue("UpdateTable"));
    assert!(received.starts_with("HTTP/1.1 400 "), "{received}");
    assert!(received.ends_with(r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#));
    assert_eq!((call.told_status, done), (Some(400), 0));
    let (received, ..) = one_fault(HttpFault::Throttled, &get("/lake/a"));
    assert!(received.starts_with("HTTP/1.1 503 "), "{received}");
    assert!(received.contains("<Code>SlowDown</Code>"), "{received}");
    let (received, _, done) = one_fault(HttpFault::TooManyRequests, &get("/lake/a"));
    assert!(received.starts_with("HTTP/1.1 429 "), "{received}");
    assert_eq!(done, 0);
    let form = "Action=AssumeRole&RoleArn=a";
    let sts = format!(
        "POST / HTTP/1.1\r\nHost: sts.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    let (received, call, _) = one_fault(HttpFault::Throttled, &sts);
    assert!(received.contains("<Code>Throttling</Code>"), "{received}");
    assert_eq!(
        (call.service.as_str(), call.operation.as_str()),
        ("sts", "AssumeRole")
    );
}

#[test]
fn refusals_name_the_right() {
    let (received, _, done) = one_fault(HttpFault::Denied, &glue("DeleteTable"));
    assert!(received.starts_with("HTTP/1.1 400 "), "{received}");
    assert!(
        received.contains("AccessDeniedException") && received.contains("glue:DeleteTable"),
        "{received}"
    );
    assert_eq!(done, 0);
    let (received, ..) = one_fault(HttpFault::Denied, &get("/lake/a"));
    assert!(received.starts_with("HTTP/1.1 403 "), "{received}");
    assert!(received.contains("<Code>AccessDenied</Code>"), "{received}");
}

#[test]
fn failures_are_before_or_after_it_is_done() {
    let (received, _, done) = one_fault(HttpFault::AppliedThenFailed, &glue("UpdateTable"));
    assert!(received.starts_with("HTTP/1.1 500 "), "{received}");
    assert!(received.contains("InternalServiceException"), "{received}");
    assert_eq!(done, 1);
    let (received, _, done) = one_fault(HttpFault::Unavailable, &get("/lake/a"));
    assert!(received.starts_with("HTTP/1.1 503 "), "{received}");
    assert_eq!(done, 0);
}

#[test]
fn a_cut_body_has_its_right_length() {
    let (received, ..) = one_fault(HttpFault::BodyCut, &get("/lake/a"));
    assert!(
        received.ends_with("Content-Length: 10\r\n\r\n01234"),
        "{received}"
    );
    // Without a body, the head is what is cut.
    let delete = "DELETE /lake/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (received, ..) = one_fault(HttpFault::BodyCut, delete);
    assert!(
        received.starts_with("HTTP/1.1") && !received.contains("\r\n\r\n"),
        "{received}"
    );
}

#[test]
fn wrong_lengths_are_too_long_or_too_short() {
    let (received, ..) = one_fault(HttpFault::LengthTooLong, &get("/lake/a"));
    assert!(
        received.ends_with(&format!("Content-Length: 17\r\n\r\n{BODY}")),
        "{received}"
    );
    let (received, ..) = one_fault(HttpFault::LengthTooShort, &get("/lake/a"));
    assert!(
        received.ends_with(&format!("Content-Length: 5\r\n\r\n{BODY}")),
        "{received}"
    );
}

#[test]
fn a_portal_answers_with_html() {
    let (received, call, done) = one_fault(HttpFault::Html, &glue("GetTable"));
    assert!(
        received.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"),
        "{received}"
    );
    assert!(received.ends_with("</html>\n"), "{received}");
    assert_eq!((call.upstream_status, done), (None, 0));
}

#[test]
fn rules_are_about_some_requests_and_counts_about_all() {
    let server = Server::start();
    let proxy = server.proxy(1);
    proxy.fail_nth(
        HttpCalls::of("glue", "UpdateTable"),
        2,
        HttpFault::AnswerLost,
    );
    let portal = HttpCalls::of_service("s3")
        .with_method("GET")
        .with_path_prefix("/lake/data/");
    proxy.fail_always(portal.with_path_part(".parquet"), HttpFault::Unavailable);
    let target = HttpCalls::all().with_target("AWSGlue.GetTables");
    proxy.fail_always(target, HttpFault::Html);
    let told = |sent: &str| exchange(&proxy, sent).lines().next().map(str::to_owned);
    assert_eq!(told(&glue("UpdateTable")).unwrap(), "HTTP/1.1 200 OK");
    assert_eq!(told(&glue("GetTable")).unwrap(), "HTTP/1.1 200 OK");
    assert_eq!(told(&glue("UpdateTable")), None);
    assert_eq!(told(&glue("UpdateTable")).unwrap(), "HTTP/1.1 200 OK");
    assert_eq!(
        told(&get("/lake/data/a.parquet")).unwrap(),
        "HTTP/1.1 503 Service Unavailable"
    );
    assert_eq!(told(&get("/lake/data/a.avro")).unwrap(), "HTTP/1.1 200 OK");
    assert_eq!(
        told(&get("/lake/metadata/a.parquet")).unwrap(),
        "HTTP/1.1 200 OK"
    );
    assert!(exchange(&proxy, &glue("GetTables")).contains("</html>"));
    proxy.heal();
    assert_eq!(
        told(&get("/lake/data/a.parquet")).unwrap(),
        "HTTP/1.1 200 OK"
    );

    let counts = proxy.counts();
    assert_eq!(counts.of("glue", "UpdateTable"), 3);
    assert_eq!(counts.of("s3", "GetObject"), 4);
    assert_eq!(
        (
            counts.of_service("glue"),
            counts.of_host("lake.test"),
            counts.total()
        ),
        (5, 4, 9)
    );
    proxy.forget();
    assert_eq!((proxy.counts().total(), proxy.journal().len()), (0, 0));
}

#[test]
fn operations_of_s3_have_their_names() {
    let server = Server::start();
    let proxy = server.proxy(1);
    let asked = [
        ("GET", "/", "ListBuckets"),
        ("GET", "/lake?list-type=2&prefix=a", "ListObjectsV2"),
        ("HEAD", "/lake", "HeadBucket"),
        ("PUT", "/lake/", "CreateBucket"),
        ("PUT", "/lake?versioning", "PUT ?versioning"),
        ("HEAD", "/lake/a", "HeadObject"),
        ("PUT", "/lake/a/b", "PutObject"),
        ("PUT", "/lake/a?partNumber=1&uploadId=2", "UploadPart"),
        ("DELETE", "/lake/a", "DeleteObject"),
        (
            "GET",
            "/lake/a?X-Amz-Signature=secret&versionId=3",
            "GetObject",
        ),
    ];
    for (method, uri, operation) in asked {
        exchange(
            &proxy,
            &format!("{method} {uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        );
        let call = proxy.journal().pop().unwrap();
        assert_eq!(
            (call.service.as_str(), call.operation.as_str()),
            ("s3", operation)
        );
        assert!(!call.query.contains("secret"));
    }
}

#[test]
fn a_seed_repeats_and_others_differ() {
    let fates = |seed: u64| -> Vec<Option<HttpFault>> {
        let server = Server::start();
        let proxy = server.proxy(seed);
        proxy.fail_share(
            HttpCalls::of_service("s3"),
            300,
            &[HttpFault::RequestLost, HttpFault::Html],
        );
        for _ in 0..40 {
            exchange(&proxy, &get("/lake/a"));
            // What the rule is not about changes nothing.
            if seed == 7 {
                exchange(&proxy, &glue("GetTable"));
            }
        }
        let calls = proxy
            .journal()
            .into_iter()
            .filter(|call| call.service == "s3");
        calls.map(|call| call.fault).collect()
    };
    let first = fates(7);
    assert_eq!(first, fates(7));
    assert_ne!(first, fates(8));
    let met = first.iter().flatten().count();
    assert!((4..=24).contains(&met), "{met} of 40 at 300 in a thousand");
}

#[test]
fn other_processes_ask_for_rules_and_journal() {
    let server = Server::start();
    let proxy = server.proxy(1);
    let control = |method: &str, task: &str, body: &str| {
        let length = body.len();
        let sent = format!(
            "{method} /_fault_proxy/{task} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        exchange(&proxy, &sent)
    };
    let rule = r#"{"calls": {"service": "glue"}, "when": {"nth": 1}, "faults": ["answer_lost"]}"#;
    assert!(control("POST", "rules", rule).ends_with("\r\n\r\n1"));
    let rules = r#"[{"when": "always", "faults": [{"late": {"ms": 5}}]}, {"when": {"per_mille": 5}, "faults": []}]"#;
    assert!(control("POST", "rules", rules).ends_with("\r\n\r\n2"));
    let wrong = control(
        "POST",
        "rules",
        r#"{"call": {}, "when": "always", "faults": []}"#,
    );
    assert!(wrong.starts_with("HTTP/1.1 400 "), "{wrong}");
    assert_eq!(exchange(&proxy, &glue("GetTable")), "");
    assert!(control("POST", "settle", "").starts_with("HTTP/1.1 200 "));
    let journal = control("GET", "journal", "");
    assert!(journal.contains(r#""fault":"answer_lost""#), "{journal}");
    let counts = control("GET", "counts", "");
    assert!(counts.contains(r#""operation":"GetTable""#), "{counts}");
    assert!(control("POST", "heal", "").starts_with("HTTP/1.1 200 "));
    assert!(!exchange(&proxy, &get("/lake/a")).is_empty());
    assert!(control("GET", "nothing", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_server_that_is_gone_is_told_as_such() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = FaultProxy::start(&format!("http://{}", server.local_addr().unwrap()), 1).unwrap();
    drop(server);
    let received = exchange(&proxy, &get("/lake/a"));
    assert!(received.starts_with("HTTP/1.1 502 "), "{received}");
    assert_eq!(proxy.journal()[0].upstream_status, None);
}

#[test]
fn only_servers_of_this_machine_are_served() {
    for upstream in [
        "https://127.0.0.1:1",
        "http://192.0.2.1:80",
        "127.0.0.1:1",
        "http://127.0.0.1",
    ] {
        let error = FaultProxy::start(upstream, 1).unwrap_err();
        assert!(error.message().contains("http://host:port"), "{error}");
    }
}
