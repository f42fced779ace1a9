//! What came to the proxy, what was passed on, and what was told to whom.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::fault::HttpFault;
use super::request::Request;

/// Requests that are remembered; counts go on beyond.
const CALLS_MAX: usize = 200_000;

/// One request, as far as it has come.
#[derive(Debug, Clone, Serialize)]
pub struct HttpCall {
    /// Its place among all requests, from 1, in the order they arrived.
    pub number: u64,
    /// The service it was signed for, in lower case: `s3`, `glue`, `lakeformation`.
    pub service: String,
    /// The service's operation: `GetTable`, `PutObject`, `AssumeRole`.
    pub operation: String,
    /// The method: `GET`, `POST`.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, less its signature.
    pub query: String,
    /// The `Host` that the client named.
    pub host: String,
    /// The `Range` it asked for.
    pub range: Option<String>,
    /// The fault it met.
    pub fault: Option<HttpFault>,
    /// What the server answered; none if it was not asked, or has not answered.
    pub upstream_status: Option<u16>,
    /// What the client was told; none if the connection closed instead, or has not been told yet.
    pub told_status: Option<u16>,
    /// The length of the server's answer, without its head.
    pub answer_bytes: u64,
}

impl HttpCall {
    /// Whether the server did what was asked, whatever the client was told.
    pub fn is_applied(&self) -> bool {
        self.upstream_status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// How many requests there were, by service, operation and host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpCounts(BTreeMap<(String, String, String), u64>);

impl HttpCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those for an operation of a service.
    pub fn of(&self, service: &str, operation: &str) -> u64 {
        self.sum(|(found, named, _)| found == service && named == operation)
    }

    /// Those for a service.
    pub fn of_service(&self, service: &str) -> u64 {
        self.sum(|(found, ..)| found == service)
    }

    /// Those to a host, as the clients named it.
    pub fn of_host(&self, host: &str) -> u64 {
        self.sum(|(.., found)| found == host)
    }

    /// `("glue", "GetTable", host, 1)` and so on, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.0.iter().map(|((service, operation, host), count)| {
            (service.as_str(), operation.as_str(), host.as_str(), *count)
        })
    }

    fn sum(&self, counts: impl Fn(&(String, String, String)) -> bool) -> u64 {
        self.0
            .iter()
            .filter(|(key, _)| counts(key))
            .map(|(_, count)| count)
            .sum()
    }
}

/// The requests so far, and those that are not finished.
#[derive(Debug, Default)]
pub(super) struct Journal {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Notes {
    calls: BTreeMap<u64, HttpCall>,
    counts: HttpCounts,
    arrived: u64,
    in_flight: u64,
}

impl Journal {
    /// Notes a request, and that it is not finished.
    pub(super) fn arrived(
        &self,
        request: &Request,
        fault: impl FnOnce() -> Option<HttpFault>,
    ) -> Entry<'_> {
        let mut notes = self.notes();
        // Under the lock, so that rules count requests in the journal's order.
        let fault = fault();
        notes.arrived += 1;
        notes.in_flight += 1;
        let number = notes.arrived;
        let host = request.head.value("host").unwrap_or_default().to_owned();
        let key = (
            request.service.clone(),
            request.operation.clone(),
            host.clone(),
        );
        *notes.counts.0.entry(key).or_default() += 1;
        notes.calls.insert(
            number,
            HttpCall {
                number,
                service: request.service.clone(),
                operation: request.operation.clone(),
                method: request.method.clone(),
                path: request.path().to_owned(),
                query: request.query_shown(),
                host,
                range: request.head.value("range").map(str::to_owned),
                fault,
                upstream_status: None,
                told_status: None,
                answer_bytes: 0,
            },
        );
        if notes.calls.len() > CALLS_MAX {
            notes.calls.pop_first();
        }
        Entry {
            journal: self,
            number,
            fault,
        }
    }

    pub(super) fn calls(&self) -> Vec<HttpCall> {
        self.notes().calls.values().cloned().collect()
    }

    pub(super) fn counts(&self) -> HttpCounts {
        self.notes().counts.clone()
    }

    pub(super) fn forget(&self) {
        let mut notes = self.notes();
        notes.calls.clear();
        notes.counts = HttpCounts::default();
    }

    /// Waits until every request is finished, also those done late; false if `deadline` comes first.
    pub(super) fn settle(&self, wait: Duration, now: impl Fn() -> Instant) -> bool {
        let deadline = now() + wait;
        let mut notes = self.notes();
        while notes.in_flight > 0 {
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(notes, left);
            notes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not finished; dropped when it is.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    journal: &'a Journal,
    number: u64,
    pub(super) fault: Option<HttpFault>,
}

impl Entry<'_> {
    pub(super) fn answered(&self, status: u16, bytes: usize) {
        self.change(|call| {
            call.upstream_status = Some(status);
            call.answer_bytes = bytes as u64;
        });
    }

    pub(super) fn told(&self, status: u16) {
        self.change(|call| call.told_status = Some(status));
    }

    fn change(&self, change: impl FnOnce(&mut HttpCall)) {
        if let Some(call) = self.journal.notes().calls.get_mut(&self.number) {
            change(call);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.journal.notes().in_flight -= 1;
        self.journal.changed.notify_all();
    }
}
