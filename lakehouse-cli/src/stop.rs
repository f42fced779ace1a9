//! Who ends the work early: a person with Ctrl-C, or the system with its signals.

use std::future::pending;
use std::io;

use tokio::signal::ctrl_c;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// What ended the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl-C (SIGINT).
    Interrupted,
    /// SIGTERM, as `timeout`, systemd and containers send it.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no such signals"))]
    Terminated,
    /// SIGHUP: the terminal has gone.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no such signals"))]
    HungUp,
}

impl Stop {
    /// What the process returns: 128 and the signal's number, as shells tell it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::HungUp => 129,
        }
    }
}

/// The signals by which the system ends programs. While this is listened to they end nothing by
/// themselves, so that files are cleaned up first.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens from now on.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        let hangup = hangup_ends().then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    /// There are none.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Does `work`, which is dropped when it is ended early.
    pub(crate) async fn unless_stopped<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            stop = self.any() => Err(Failure::cancelled(stop?)),
        }
    }

    /// Waits for Ctrl-C, or for the system.
    pub(crate) async fn any(&mut self) -> io::Result<Stop> {
        tokio::select! {
            interrupted = ctrl_c() => interrupted.map(|()| Stop::Interrupted),
            stop = self.of_system() => Ok(stop),
        }
    }

    /// Waits for the system; what it sent since [`Self::listen`] counts.
    #[cfg(unix)]
    pub(crate) async fn of_system(&mut self) -> Stop {
        let Self { terminate, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => Stop::Terminated,
            _ = hung_up => Stop::HungUp,
        }
    }

    /// Waits for ever.
    #[cfg(not(unix))]
    pub(crate) async fn of_system(&mut self) -> Stop {
        pending().await
    }
}

/// Whether a terminal that goes ends the work. `nohup` says that it does not, by a signal that is
/// ignored; where nobody can tell whether it is, the system's own way stays.
#[cfg(unix)]
fn hangup_ends() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first of the mask.
    ignored.is_some_and(|mask| mask & 1 == 0)
}
