//! What the connections of one proxy share, and how they end together.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::Plan;
use super::journal::Journal;

const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// One proxy's state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    pub(super) plan: Plan,
    pub(super) journal: Journal,
    sockets: Mutex<Sockets>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Sockets {
    open: BTreeMap<u64, TcpStream>,
    opened: u64,
    /// Connections of clients that are being served.
    served: usize,
    stopped: bool,
}

impl Shared {
    pub(super) fn new(upstream: SocketAddr, seed: u64) -> Self {
        Self {
            upstream,
            plan: Plan::new(seed),
            journal: Journal::default(),
            sockets: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Opens a connection to the server behind.
    pub(super) fn connect(&self) -> io::Result<Open<'_>> {
        let stream = TcpStream::connect_timeout(&self.upstream, CONNECT_WAIT)?;
        self.register(stream)
    }

    /// Takes a connection in, so that stopping closes it.
    pub(super) fn register(&self, stream: TcpStream) -> io::Result<Open<'_>> {
        stream.set_nodelay(true)?;
        let copy = stream.try_clone()?;
        let mut sockets = self.sockets();
        if sockets.stopped {
            return Err(io::Error::other("the fault proxy was stopped"));
        }
        sockets.opened += 1;
        let number = sockets.opened;
        sockets.open.insert(number, copy);
        Ok(Open {
            shared: self,
            number,
            stream,
        })
    }

    /// Waits; false if the proxy was stopped meanwhile.
    pub(super) fn wait(&self, ms: u64) -> bool {
        let sockets = self.sockets();
        let wait = Duration::from_millis(ms);
        let waited = self
            .changed
            .wait_timeout_while(sockets, wait, |sockets| !sockets.stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.sockets().stopped
    }

    /// Closes every connection and ends every wait; returns when the last one has left.
    pub(super) fn stop(&self) {
        let mut sockets = self.sockets();
        sockets.stopped = true;
        for stream in sockets.open.values() {
            // It may be closed already.
            let _closed = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
        while sockets.served > 0 {
            sockets = self
                .changed
                .wait(sockets)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one client to be served; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Shared>);

impl Seat {
    /// Waits until fewer than `served_max` have one; none if the proxy is stopped.
    pub(super) fn take(shared: &Arc<Shared>, served_max: usize) -> Option<Self> {
        let mut sockets = shared.sockets();
        while sockets.served >= served_max && !sockets.stopped {
            let waited = shared.changed.wait(sockets);
            sockets = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if sockets.stopped {
            return None;
        }
        sockets.served += 1;
        Some(Self(Arc::clone(shared)))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets().served -= 1;
        self.0.changed.notify_all();
    }
}

/// A connection that stopping closes.
#[derive(Debug)]
pub(super) struct Open<'a> {
    shared: &'a Shared,
    number: u64,
    pub(super) stream: TcpStream,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.shared.sockets().open.remove(&self.number);
    }
}
