//! A clock moved by hand, with identifiers from a seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use lakehouse_core::clock::{Clock, SystemClock};
use uuid::{Builder, Uuid};

/// A clock that stands still until it is moved, and whose identifiers follow from a seed.
///
/// The time must not lie ahead of the machine's: the format crate checks some changes of metadata
/// against the machine's clock.
///
/// ```
/// use lakehouse_core::clock::Clock;
/// use lakehouse_testkit::FakeClock;
///
/// let clock = FakeClock::new(1_000, 7);
/// clock.advance_ms(500);
/// assert_eq!(clock.now_ms(), 1_500);
/// assert_eq!(FakeClock::new(0, 7).new_uuid(), FakeClock::new(9, 7).new_uuid());
/// ```
#[derive(Debug)]
pub struct FakeClock {
    now_ms: AtomicI64,
    started_ms: i64,
    started: Instant,
    random: Mutex<u64>,
}

impl FakeClock {
    /// A clock at `now_ms` since 1970 whose identifiers follow from `seed`.
    pub fn new(now_ms: i64, seed: u64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            started_ms: now_ms,
            started: SystemClock.instant(),
            random: Mutex::new(seed),
        }
    }

    /// Sets the time, in milliseconds since 1970.
    pub fn set_ms(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Moves the time on; a negative number moves it back.
    pub fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The next number of the sequence (splitmix64).
    fn next_random(&self) -> u64 {
        let mut state = self
            .random
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn instant(&self) -> Instant {
        let passed_ms = self.now_ms().saturating_sub(self.started_ms);
        self.started + Duration::from_millis(u64::try_from(passed_ms).unwrap_or(0))
    }

    fn new_uuid(&self) -> Uuid {
        let high = u128::from(self.next_random());
        let low = u128::from(self.next_random());
        Builder::from_random_bytes(((high << 64) | low).to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_identifiers_do_not() {
        let (first, second) = (FakeClock::new(0, 1), FakeClock::new(0, 1));
        let ids: Vec<Uuid> = (0..100).map(|_| first.new_uuid()).collect();
        assert!(ids.iter().all(|id| *id == second.new_uuid()));
        let different: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        assert_ne!(FakeClock::new(0, 2).new_uuid(), ids[0]);
    }
}
