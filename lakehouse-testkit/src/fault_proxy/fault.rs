//! Which requests meet which fault, and when.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::request::Request;
use crate::Random;

/// What becomes of one request that meets a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpFault {
    /// It is done, but the connection closes instead of an answer.
    AnswerLost,
    /// It is not done, and the connection closes instead of an answer.
    RequestLost,
    /// The connection closes instead of an answer, and it is done later.
    Late {
        /// Until it is done, in milliseconds.
        ms: u64,
    },
    /// It waits before it is done, and is answered; whoever gives up earlier finds it done later.
    DelayedRequest {
        /// Until it is done, in milliseconds.
        ms: u64,
    },
    /// It is done at once, and the answer waits.
    DelayedAnswer {
        /// From the answer of the server to ours, in milliseconds.
        ms: u64,
    },
    /// It is refused and not done, as AWS says that there were too many: 503 `SlowDown` from S3,
    /// 400 `ThrottlingException` from services that speak JSON, 400 `Throttling` from the others.
    Throttled,
    /// As [`Self::Throttled`], with status 429.
    TooManyRequests,
    /// It is not done, and the answer is 503.
    Unavailable,
    /// It is not done, and refused as to somebody without the right: 403 `AccessDenied` from S3 and
    /// services that take forms, 400 `AccessDeniedException` from those that speak JSON.
    Denied,
    /// It is done, but the answer is 500.
    AppliedThenFailed,
    /// It is done, and the connection closes in the middle of the answer's body; of an answer
    /// without one, in its head.
    BodyCut,
    /// It is done, and the answer's `Content-Length` names more bytes than come before the
    /// connection closes.
    LengthTooLong,
    /// It is done, and the answer's `Content-Length` names half of the bytes that come: to the
    /// client a complete but shorter body.
    LengthTooShort,
    /// It is not done, and the answer is a page of HTML with status 200, as from a captive portal.
    Html,
}

impl HttpFault {
    /// Every kind, the waits of 50 ms.
    pub const ALL: [Self; 14] = [
        Self::AnswerLost,
        Self::RequestLost,
        Self::Late { ms: 50 },
        Self::DelayedRequest { ms: 50 },
        Self::DelayedAnswer { ms: 50 },
        Self::Throttled,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Denied,
        Self::AppliedThenFailed,
        Self::BodyCut,
        Self::LengthTooLong,
        Self::LengthTooShort,
        Self::Html,
    ];

    /// Whether the request reaches the server, now or later.
    pub fn is_forwarded(self) -> bool {
        !matches!(
            self,
            Self::RequestLost
                | Self::Throttled
                | Self::TooManyRequests
                | Self::Unavailable
                | Self::Denied
                | Self::Html
        )
    }
}

/// The requests that a rule is about: all that have every property named.
///
/// ```
/// use lakehouse_testkit::HttpCalls;
///
/// let swaps = HttpCalls::of("glue", "UpdateTable");
/// let data = HttpCalls::all().with_method("GET").with_path_prefix("/lake/data/");
/// # let _ = (swaps, data);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpCalls {
    service: Option<String>,
    operation: Option<String>,
    method: Option<String>,
    path_prefix: Option<String>,
    path_part: Option<String>,
    target: Option<String>,
}

impl HttpCalls {
    /// Every request.
    pub fn all() -> Self {
        Self::default()
    }

    /// The requests for an operation of a service, by the names that [`super::HttpCall`] has.
    pub fn of(service: &str, operation: &str) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            ..Self::of_service(service)
        }
    }

    /// The requests to a service, such as `s3` or `glue`.
    pub fn of_service(service: &str) -> Self {
        Self {
            service: Some(service.to_owned()),
            ..Self::default()
        }
    }

    /// Only those with this method.
    #[must_use]
    pub fn with_method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only those whose path begins with `prefix`, as it was sent: `/bucket/…`, percent-encoded.
    #[must_use]
    pub fn with_path_prefix(mut self, prefix: &str) -> Self {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// Only those whose path contains `part`.
    #[must_use]
    pub fn with_path_part(mut self, part: &str) -> Self {
        self.path_part = Some(part.to_owned());
        self
    }

    /// Only those whose `X-Amz-Target` is `target`, such as `AWSGlue.UpdateTable`.
    #[must_use]
    pub fn with_target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    fn has(&self, request: &Request) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let path = request.path();
        is(&self.service, &request.service)
            && is(&self.operation, &request.operation)
            && is(&self.method, &request.method)
            && is(
                &self.target,
                request.head.value("x-amz-target").unwrap_or_default(),
            )
            && self
                .path_prefix
                .as_deref()
                .is_none_or(|p| path.starts_with(p))
            && self.path_part.as_deref().is_none_or(|p| path.contains(p))
    }
}

/// Which of a rule's requests meet its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The nth from now on, counted from 1, and no other.
    Nth(u64),
    /// Each of them.
    Always,
    /// So many of a thousand, as the seed says.
    PerMille(u64),
}

/// Requests, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRule {
    /// The requests that count.
    #[serde(default)]
    pub calls: HttpCalls,
    /// Which of them meet a fault.
    pub when: When,
    /// The faults, of which the seed chooses one; with none, requests pass.
    pub faults: Vec<HttpFault>,
}

/// The rules of one proxy, in the order they came.
#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    rules: Mutex<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    active: Vec<Counted>,
    /// Rules there have been, so that each has draws of its own.
    made: u64,
}

#[derive(Debug)]
struct Counted {
    rule: HttpRule,
    number: u64,
    seen: u64,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            rules: Mutex::default(),
        }
    }

    pub(super) fn add(&self, rule: HttpRule) {
        let mut rules = self.rules();
        rules.made += 1;
        let number = rules.made;
        rules.active.push(Counted {
            rule,
            number,
            seen: 0,
        });
    }

    pub(super) fn heal(&self) {
        self.rules().active.clear();
    }

    /// The fault that meets this request, if any: of the first rule that has one for it. Every rule
    /// counts the request.
    pub(super) fn fault(&self, request: &Request) -> Option<HttpFault> {
        let mut hit = None;
        for counted in &mut self.rules().active {
            if counted.rule.calls.has(request) {
                counted.seen += 1;
                hit = hit.or_else(|| counted.draw(self.seed));
            }
        }
        hit
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// What the request seen last meets: by its place among the rule's requests and nothing else, so
    /// that other requests in between change nothing.
    fn draw(&self, seed: u64) -> Option<HttpFault> {
        let mut random = Random::of_case(seed ^ (self.number << 32), self.seen);
        let meets = match self.rule.when {
            When::Nth(nth) => self.seen == nth,
            When::Always => true,
            When::PerMille(share) => random.chance(share),
        };
        (meets && !self.rule.faults.is_empty()).then(|| *random.pick(&self.rule.faults))
    }
}
