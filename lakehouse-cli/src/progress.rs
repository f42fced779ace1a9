//! One line on standard error that says how far long work has come, when a person looks.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use lakehouse::{Clock, SystemClock};
use tokio::time::sleep;

use crate::message::print;

/// Work that ends earlier shows nothing.
const QUIET: Duration = Duration::from_secs(1);

/// The time between two lines.
const INTERVAL: Duration = Duration::from_millis(200);

/// Clears the line and puts the cursor at its beginning.
const CLEAR: &str = "\r\x1b[K";

/// How far one statement has come.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    watched: bool,
    shown: bool,
    rows: u64,
    batches: u64,
}

impl Progress {
    /// Starts the clock; nothing is shown unless standard error is a terminal.
    pub(crate) fn start() -> Self {
        Self {
            started: SystemClock.instant(),
            watched: io::stderr().is_terminal(),
            shown: false,
            rows: 0,
            batches: 0,
        }
    }

    /// Counts a batch of `rows`.
    pub(crate) fn add(&mut self, rows: usize) {
        self.rows += rows as u64;
        self.batches += 1;
    }

    /// Rows counted so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        SystemClock.instant().duration_since(self.started)
    }

    /// Waits for `work` and renews the line meanwhile.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        if !self.watched {
            return work.await;
        }
        let mut work = std::pin::pin!(work);
        loop {
            let elapsed = self.elapsed();
            let pause = QUIET.saturating_sub(elapsed).max(INTERVAL);
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(pause) => self.show(),
            }
        }
    }

    /// Removes the line, so that something else can be written.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            self.shown = false;
            print(CLEAR);
        }
    }

    fn show(&mut self) {
        self.shown = true;
        let line = line(self.rows, self.batches, self.elapsed());
        print(&format!("{CLEAR}{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(rows: u64, batches: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if batches == 0 {
        return format!("working, {seconds:.1} s");
    }
    format!(
        "{} so far in {}, {seconds:.1} s",
        count(rows, "row"),
        count(batches, "batch")
    )
}

/// `1 row`, `12,345 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let ending = match (number, noun.ends_with("ch")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{grouped} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_nouns_counted() {
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(0, "row"), "0 rows");
        assert_eq!(count(999, "row"), "999 rows");
        assert_eq!(count(1_000, "row"), "1,000 rows");
        assert_eq!(count(12_345_678, "batch"), "12,345,678 batches");
    }

    #[test]
    fn the_line_says_what_is_known() {
        let elapsed = Duration::from_millis(1_250);
        assert_eq!(line(0, 0, elapsed), "working, 1.2 s");
        assert_eq!(
            line(9_000, 2, elapsed),
            "9,000 rows so far in 2 batches, 1.2 s"
        );
    }
}
