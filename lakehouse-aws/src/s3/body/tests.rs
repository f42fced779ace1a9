//! Objects of a server whose answers stop in the middle.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};

use super::*;
use crate::s3::access::Access;
use crate::s3::tests::access;

/// The object.
const WHOLE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Bytes of an answer.
const PIECE: usize = 7;

/// How requests after the first are answered.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// With a piece of what was asked for, of which more was promised.
    Piece,
    /// With nothing of what was promised.
    Nothing,
    /// As refused.
    Refused(u16, &'static str),
}

/// The headers of the requests that came, each as one text in lower case.
type Requests = Arc<Mutex<Vec<String>>>;

fn serve(then: Then) -> (BucketStore, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let noted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let headers = headers(&connection);
            let first = noted.lock().unwrap().is_empty();
            let answer = answer(&headers, if first { Then::Piece } else { then });
            noted.lock().unwrap().push(headers);
            // A client that has gone needs no answer.
            let _sent = connection.write_all(&answer);
        }
    });
    let access = Access {
        // The client itself never goes on: what is read comes by the body's own doing.
        retry: RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        },
        ..access(&address.to_string())
    };
    (
        BucketStore::try_new("lake", Arc::new(access)).unwrap(),
        requests,
    )
}

fn headers(connection: &TcpStream) -> String {
    let lines = BufReader::new(connection).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    lines.join("\n").to_lowercase()
}

fn answer(headers: &str, then: Then) -> Vec<u8> {
    let start = headers.split("range: bytes=").nth(1).map(|range| {
        let start = range.split('-').next().unwrap();
        start.parse::<usize>().unwrap()
    });
    let given = match then {
        Then::Refused(status, body) => {
            return format!(
                "HTTP/1.1 {status} told\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes();
        }
        Then::Nothing => 0,
        Then::Piece => PIECE,
    };
    let status = if start.is_some() { 206 } else { 200 };
    let start = start.unwrap_or(0);
    let end = WHOLE.len().min(start + given);
    let head = format!(
        "HTTP/1.1 {status} told\r\nx-amz-request-id: 1\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan \
         2026 00:00:00 GMT\r\nContent-Range: bytes {start}-{}/{}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        WHOLE.len() - 1,
        WHOLE.len(),
        WHOLE.len() - start
    );
    [head.as_bytes(), &WHOLE[start..end]].concat()
}

async fn read(store: &BucketStore) -> Result<Bytes> {
    let path = Path::from("a/b");
    let got = store.get_opts(&path, GetOptions::default()).await?;
    got.bytes().await
}

/// The client gives up some minutes after a request: a reader that is slower than that goes on all
/// the same, as long as each answer gives something.
#[tokio::test]
async fn a_body_goes_on_as_long_as_bytes_come() {
    let (store, requests) = serve(Then::Piece);
    let whole = read(&store).await.unwrap();
    assert_eq!(whole, Bytes::from_static(WHOLE));
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), WHOLE.len().div_ceil(PIECE));
    for (number, request) in requests.iter().enumerate().skip(1) {
        let range = format!("range: bytes={}-{}", number * PIECE, WHOLE.len() - 1);
        assert!(request.contains(&range), "{request}");
        assert!(request.contains("if-match: \"1\""), "{request}");
    }
}

/// Ranges that are read together go on as well.
#[tokio::test]
async fn ranges_go_on_as_bodies_do() {
    let (store, _) = serve(Then::Piece);
    let last = WHOLE.len() as u64;
    let ranges = [8..12, 40..last];
    let read = store.get_ranges(&Path::from("a/b"), &ranges).await;
    assert_eq!(read.unwrap(), [&WHOLE[8..12], &WHOLE[40..]]);
}

#[tokio::test]
async fn a_body_that_gives_nothing_more_is_an_error() {
    let (store, requests) = serve(Then::Nothing);
    let failed = Error::from(read(&store).await.unwrap_err());
    assert_eq!(failed.kind(), ErrorKind::Unavailable, "{failed}");
    assert!(failed.to_string().contains("s3://lake/a/b"), "{failed}");
    assert_eq!(requests.lock().unwrap().len(), 2);
}

/// What a signature did not fit holds what was signed: nothing of it is told.
#[tokio::test]
async fn what_a_body_is_refused_with_holds_no_secret() {
    let refusal = "<Error><Code>SignatureDoesNotMatch</Code><Message>no fit</Message>\
                   <StringToSign>x-amz-security-token:HUSH</StringToSign></Error>";
    let (store, requests) = serve(Then::Refused(403, refusal));
    let failed = Error::from(read(&store).await.unwrap_err());
    let shown = format!("{failed} {failed:?}");
    assert_eq!(failed.kind(), ErrorKind::PermissionDenied, "{shown}");
    assert!(
        shown.contains("no fit") && !shown.contains("HUSH"),
        "{shown}"
    );
    assert_eq!(requests.lock().unwrap().len(), 2, "nobody asks again");
}

/// Bytes of two objects are never put together.
#[tokio::test]
async fn a_body_whose_object_was_replaced_is_an_error() {
    let refusal = "<Error><Code>PreconditionFailed</Code><Message>other</Message></Error>";
    let (store, requests) = serve(Then::Refused(412, refusal));
    let failed = read(&store).await.unwrap_err();
    assert!(
        matches!(failed, object_store::Error::Precondition { .. }),
        "{failed}"
    );
    assert_eq!(requests.lock().unwrap().len(), 2);
}

/// A head has a length and no body.
#[tokio::test]
async fn a_head_is_not_gone_on_with() {
    let (store, requests) = serve(Then::Piece);
    let found = store.head(&Path::from("a/b")).await.unwrap();
    assert_eq!(found.size, WHOLE.len() as u64);
    assert_eq!(requests.lock().unwrap().len(), 1);
}
