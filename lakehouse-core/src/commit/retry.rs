//! How often and after which pauses a commit is tried again.

use std::time::Duration;

use crate::clock::Clock;
use crate::table::Table;

/// Pauses and bounds of one kind of retry, from the table's properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// Retries after the first attempt; `None` leaves only the time as bound.
    retries_max: Option<u32>,
    wait_ms_min: u64,
    wait_ms_max: u64,
    total_ms_max: u64,
}

impl RetryPolicy {
    /// Of commits that met a conflict: the `commit.retry.*` properties.
    ///
    /// Unset, pauses are far shorter than other engines', whose catalogs are remote, and retries
    /// go on until the total time is used up: a conflict means that somebody else made progress.
    pub(super) fn of_conflicts(table: &Table) -> Self {
        Self {
            retries_max: property(table, "commit.retry.num-retries"),
            wait_ms_min: property(table, "commit.retry.min-wait-ms").unwrap_or(10),
            wait_ms_max: property(table, "commit.retry.max-wait-ms").unwrap_or(1_000),
            total_ms_max: property(table, "commit.retry.total-timeout-ms").unwrap_or(1_800_000),
        }
    }

    /// Of looking for the outcome of a swap that was not answered: the `commit.status-check.*`
    /// properties.
    pub(super) fn of_status_checks(table: &Table) -> Self {
        Self {
            retries_max: Some(property(table, "commit.status-check.num-retries").unwrap_or(3)),
            wait_ms_min: property(table, "commit.status-check.min-wait-ms").unwrap_or(1_000),
            wait_ms_max: property(table, "commit.status-check.max-wait-ms").unwrap_or(60_000),
            total_ms_max: property(table, "commit.status-check.total-timeout-ms")
                .unwrap_or(1_800_000),
        }
    }

    /// Whether another attempt may follow after `attempts` in `elapsed`.
    pub(super) fn allows(&self, attempts: u32, elapsed: Duration) -> bool {
        self.retries_max.is_none_or(|max| attempts <= max)
            && elapsed < Duration::from_millis(self.total_ms_max)
    }

    /// The pause after `attempts`: doubled each time, and half of it by chance, so that writers
    /// that collided do not collide again.
    pub(super) fn pause(&self, attempts: u32, clock: &dyn Clock) -> Duration {
        let doublings = attempts.saturating_sub(1).min(32);
        let full = self
            .wait_ms_min
            .saturating_mul(1_u64 << doublings)
            .min(self.wait_ms_max.max(self.wait_ms_min));
        let half = full / 2;
        let (_, chance) = clock.new_uuid().as_u64_pair();
        Duration::from_millis(half + chance % (full - half + 1))
    }
}

/// A property as a number. One that is no number does not stop commits, since a commit is also
/// what mends it.
fn property<T: std::str::FromStr>(table: &Table, key: &str) -> Option<T> {
    table.numeric_property(key).unwrap_or_else(|error| {
        tracing::warn!(%error, "a property of the table is ignored");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        let policy = RetryPolicy {
            retries_max: Some(2),
            wait_ms_min: 10,
            wait_ms_max: 100,
            total_ms_max: 1_000,
        };
        for (attempts, full) in [(1, 10), (2, 20), (3, 40), (5, 100), (u32::MAX, 100)] {
            let pause = policy.pause(attempts, &SystemClock).as_millis();
            assert!((full / 2..=full).contains(&pause), "{attempts}: {pause}");
        }
        assert!(policy.allows(2, Duration::ZERO));
        assert!(!policy.allows(3, Duration::ZERO));
        assert!(!policy.allows(1, Duration::from_secs(1)));
    }
}
