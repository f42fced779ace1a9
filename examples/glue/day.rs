//! A clock that shows the day a story tells of.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use lakehouse::core::clock::{Clock, SystemClock};

const DAY_MS: i64 = 86_400_000;
/// 2024-12-31T12:00:00Z.
const BEFORE_JANUARY_MS: i64 = 1_735_646_400_000;

/// Noon of a day in January 2025, a little later each time it is asked.
#[derive(Debug)]
pub(crate) struct Day {
    now_ms: AtomicI64,
}

impl Day {
    /// Noon of that day.
    pub(crate) fn of_january_2025(day: i64) -> Self {
        let now_ms = AtomicI64::new(BEFORE_JANUARY_MS + day * DAY_MS);
        Self { now_ms }
    }

    /// Goes on to noon of a later day.
    pub(crate) fn set(&self, day: i64) {
        let noon = BEFORE_JANUARY_MS + day * DAY_MS;
        self.now_ms.store(noon, Ordering::SeqCst);
    }

    /// A name that nobody had before.
    pub(crate) fn unique(&self) -> String {
        SystemClock.new_uuid().simple().to_string()
    }
}

impl Clock for Day {
    fn now_ms(&self) -> i64 {
        self.now_ms.fetch_add(1, Ordering::SeqCst)
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn new_uuid(&self) -> uuid::Uuid {
        SystemClock.new_uuid()
    }
}
