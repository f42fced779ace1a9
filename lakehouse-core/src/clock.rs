//! The only source of time, identifiers and randomness, so that a run can be repeated from a seed.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};

/// 2262-01-01T00:00:00Z. A little later nanoseconds since 1970 leave 64 bits.
const NOW_MS_MAX: i64 = 9_214_646_400_000;

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
        self.now_ns().div_euclid(1_000_000)
    }

    fn now_ns(&self) -> i64 {
        since_1970_ns(SystemTime::now())
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// Nanoseconds from 1970 to `now`, less than none before; the nearest that there are for a clock
/// that is set to centuries from here.
fn since_1970_ns(now: SystemTime) -> i64 {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Refuses a clock that nobody has set: the engine does not work with its times.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a time before 1970 or after 2261.
pub fn check_clock(clock: &dyn Clock) -> Result<()> {
    let says = |when| {
        let message = format!("the machine's clock shows a time {when}; set it");
        Error::new(ErrorKind::InvalidInput, message)
    };
    match clock.now_ms() {
        ..0 => Err(says("before 1970")),
        NOW_MS_MAX.. => Err(says("after 2261")),
        _ => Ok(()),
    }
}

/// A positive snapshot id made of a new identifier's bits, as Iceberg's Java library makes them.
pub fn new_snapshot_id(clock: &dyn Clock) -> i64 {
    let (high, low) = clock.new_uuid().as_u64_pair();
    // Cutting the sign bit keeps the value in the positive range of a signed 64-bit integer.
    ((high ^ low) & (i64::MAX as u64)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_of_the_machine_is_a_number() {
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        assert_eq!(since_1970_ns(at(1).unwrap()), 1_000_000_000);
        assert_eq!(since_1970_ns(at(1 << 40).unwrap()), i64::MAX);
        let before = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_millis(1));
        assert_eq!(since_1970_ns(before.unwrap()), -1_000_000);
        let before = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1 << 40));
        assert_eq!(since_1970_ns(before.unwrap()), i64::MIN);
    }
}
