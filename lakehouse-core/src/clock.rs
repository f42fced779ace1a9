//! The only source of time, identifiers and randomness, so that a run can be repeated from a seed.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::BoxFuture;
use uuid::Uuid;

/// Where time and identifiers come from.
///
/// A program uses [`SystemClock`]; tests give a clock they move by hand.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;

    /// Nanoseconds since 1970-01-01T00:00:00Z; what `current_timestamp` answers.
    fn now_ns(&self) -> i64 {
        self.now_ms().saturating_mul(1_000_000)
    }

    /// A monotonic instant, for durations only.
    fn instant(&self) -> Instant;

    /// Waits so long, as between the attempts of a commit.
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(pause))
    }

    /// A universally unique identifier for files, tables and queries.
    fn new_uuid(&self) -> Uuid;
}

/// The machine's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        Utc::now().timestamp_millis()
    }

    fn now_ns(&self) -> i64 {
        let now = Utc::now();
        now.timestamp_nanos_opt()
            .unwrap_or_else(|| now.timestamp_millis().saturating_mul(1_000_000))
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// A positive snapshot id made of a new identifier's bits, as Iceberg's Java library makes them.
pub fn new_snapshot_id(clock: &dyn Clock) -> i64 {
    let (high, low) = clock.new_uuid().as_u64_pair();
    // Cutting the sign bit keeps the value in the positive range of a signed 64-bit integer.
    ((high ^ low) & (i64::MAX as u64)).cast_signed()
}
