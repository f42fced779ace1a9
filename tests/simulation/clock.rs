//! The clock of one process: the run's time with the process's own error, identifiers from the seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use lakehouse::{Clock, SystemClock};
use lakehouse_testkit::Random;
use uuid::{Builder, Uuid};

use crate::time::Time;

/// Where every run's time begins: 2026-01-01T00:00:00Z, in milliseconds since 1970.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

/// A clock that follows the time of a run.
pub(crate) struct SimulatedClock {
    time: Arc<Time>,
    /// Any instant: only what passes since counts.
    began: Instant,
    /// How far the process's clock is ahead of the run's, in milliseconds.
    ahead_ms: i64,
    random: Mutex<Random>,
}

impl SimulatedClock {
    pub(crate) fn new(time: Arc<Time>, ahead_ms: i64, random: Random) -> Self {
        Self {
            time,
            began: SystemClock.instant(),
            ahead_ms,
            random: Mutex::new(random),
        }
    }
}

impl fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedClock")
            .field("ahead_ms", &self.ahead_ms)
            .finish_non_exhaustive()
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        START_MS + self.ahead_ms + self.time.now_ms().cast_signed()
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_millis(self.time.now_ms())
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        self.time.sleep(pause).boxed()
    }

    fn new_uuid(&self) -> Uuid {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}
