//! A server in front of another that loses, delays and distorts answers where a test wants it to.

mod connection;
mod control;
mod fault;
mod journal;
mod made_up;
mod message;
mod request;
mod shared;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::error::{Error, ErrorKind, Result};

pub use fault::{HttpCalls, HttpFault, HttpRule, When};
pub use journal::{HttpCall, HttpCounts};
use shared::{Seat, Shared};

/// Connections served at once; further ones wait.
const CONNECTIONS_MAX: usize = 512;

/// A reverse proxy for HTTP/1.1 on the loopback that fails as it was told.
///
/// It stands in front of an emulator of AWS and passes requests on as they are, `Host` and
/// signature included, each exactly once and on a connection of its own. A fault is of one request:
/// it is lost, late, refused, or done and answered wrongly ([`HttpFault`]). The journal tells what
/// the server was asked and what the clients were told, so that a test can hold one against the
/// other; the counts tell how many requests something took. It has threads of its own, so that
/// tests of every kind can use it, and stops when it is dropped; what was to be done late is not
/// done then.
///
/// ```no_run
/// use lakehouse_testkit::{FaultProxy, HttpCalls, HttpFault};
///
/// # fn main() -> lakehouse_core::error::Result<()> {
/// let proxy = FaultProxy::start("http://127.0.0.1:4566", 7)?;
/// // The second swap of a pointer is done, and nobody is told.
/// proxy.fail_nth(HttpCalls::of("glue", "UpdateTable"), 2, HttpFault::AnswerLost);
/// // … clients use `proxy.endpoint()` …
/// assert_eq!(proxy.counts().of("glue", "GetTable"), 1);
/// assert!(proxy.counts().of_service("s3") <= 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts one on a free port in front of `upstream`, `http://host:port` on this machine. What is
    /// left to chance follows from `seed`: the nth request that a rule is about meets the same each
    /// time, whatever else happens.
    ///
    /// # Errors
    /// When `upstream` is no such address, and when the machine gives no port or thread.
    pub fn start(upstream: &str, seed: u64) -> Result<Self> {
        Self::start_at(upstream, seed, 0)
    }

    /// As [`Self::start`], on a port that was chosen.
    ///
    /// # Errors
    /// As [`Self::start`], and when the port is taken.
    pub fn start_at(upstream: &str, seed: u64, port: u16) -> Result<Self> {
        let shared = Arc::new(Shared::new(loopback_address(upstream)?, seed));
        let failed = |what: &str, error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("fault proxy: {what}")).with_source(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| failed("cannot listen on the loopback", error))?;
        let address = listener
            .local_addr()
            .map_err(|error| failed("has no port", error))?;
        let accepting = Arc::clone(&shared);
        let listening = Builder::new()
            .name("fault proxy".to_owned())
            .spawn(move || accept(&listener, &accepting))
            .map_err(|error| failed("cannot start a thread", error))?;
        Ok(Self {
            shared,
            address,
            listening: Some(listening),
        })
    }

    /// Where clients are to go: `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `nth` of these requests from now on meets a fault, counted from 1; the others pass.
    pub fn fail_nth(&self, calls: HttpCalls, nth: u64, fault: HttpFault) {
        self.add(HttpRule {
            calls,
            when: When::Nth(nth),
            faults: vec![fault],
        });
    }

    /// Every one of these requests meets a fault until [`Self::heal`].
    pub fn fail_always(&self, calls: HttpCalls, fault: HttpFault) {
        self.add(HttpRule {
            calls,
            when: When::Always,
            faults: vec![fault],
        });
    }

    /// So many in a thousand of these requests meet one of the faults, as the seed says, until
    /// [`Self::heal`].
    pub fn fail_share(&self, calls: HttpCalls, per_mille: u64, faults: &[HttpFault]) {
        self.add(HttpRule {
            calls,
            when: When::PerMille(per_mille),
            faults: faults.to_vec(),
        });
    }

    /// Adds a rule behind those there are: a request meets the fault of the first that has one.
    pub fn add(&self, rule: HttpRule) {
        self.shared.plan.add(rule);
    }

    /// Forgets all rules; what is under way goes on as it was to.
    pub fn heal(&self) {
        self.shared.plan.heal();
    }

    /// The requests so far, in the order they came: at most the last 200 000.
    pub fn journal(&self) -> Vec<HttpCall> {
        self.shared.journal.calls()
    }

    /// How many requests there were.
    pub fn counts(&self) -> HttpCounts {
        self.shared.journal.counts()
    }

    /// Empties the journal and the counts; rules go on.
    pub fn forget(&self) {
        self.shared.journal.forget();
    }

    /// Blocks until no request is under way, also of those that are done late; false if that takes
    /// longer than `wait`.
    pub fn settle(&self, wait: Duration) -> bool {
        let clock = SystemClock;
        self.shared.journal.settle(wait, || clock.instant())
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stop();
        // The listener waits for a connection: this one tells it that there is nothing more to do.
        let woken = TcpStream::connect(self.address);
        if let (Some(listening), Ok(_)) = (self.listening.take(), woken) {
            // A panic of that thread has been printed.
            let _ended = listening.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_stopped() {
            break;
        }
        let Ok(client) = client else {
            continue;
        };
        let Some(seat) = Seat::take(shared, CONNECTIONS_MAX) else {
            break;
        };
        // A thread that cannot be had costs this client its connection. So does what the client
        // sends wrongly, or its going away; no other client notices.
        let _started = Builder::new().spawn(move || serve(seat.shared(), client));
    }
}

fn serve(shared: &Shared, client: TcpStream) -> std::io::Result<()> {
    let open = shared.register(client)?;
    let served = connection::serve(shared, &open.stream);
    // The registered copy would keep the connection open.
    let _closed = open.stream.shutdown(std::net::Shutdown::Both);
    served
}

/// The address in `http://host:port`, if it is on this machine.
fn loopback_address(upstream: &str) -> Result<SocketAddr> {
    let wrong = || {
        let wanted = "give the server as http://host:port on the loopback";
        Error::invalid(format!(
            "fault proxy: {upstream:?} cannot be served: {wanted}"
        ))
    };
    let named = upstream.strip_prefix("http://").ok_or_else(wrong)?;
    let found = named
        .trim_end_matches('/')
        .to_socket_addrs()
        .map_err(|error| wrong().with_source(error))?;
    let here = found.filter(|address| address.ip().is_loopback());
    // `localhost` is two addresses, and emulators listen on the older one.
    here.min_by_key(SocketAddr::is_ipv6).ok_or_else(wrong)
}
