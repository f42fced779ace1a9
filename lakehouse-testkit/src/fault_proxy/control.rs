//! The proxy's own paths, for programs that are not in its process.
//!
//! | Request | What it does |
//! |---|---|
//! | `POST /_fault_proxy/rules` | adds a rule or an array of rules |
//! | `POST /_fault_proxy/heal` | forgets all rules |
//! | `GET /_fault_proxy/journal` | every request so far, as an array |
//! | `GET /_fault_proxy/counts` | requests by service, operation and host |
//! | `POST /_fault_proxy/forget` | empties the journal and the counts |
//! | `POST /_fault_proxy/settle` | waits until no request is under way; 504 after 60 s |

use std::time::Duration;

use lakehouse_core::clock::{Clock, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::HttpRule;
use super::message::Answer;
use super::request::Request;
use super::shared::Shared;

/// No bucket has such a name, and no service such a path.
const PREFIX: &str = "/_fault_proxy/";
const SETTLE_WAIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    Several(Vec<HttpRule>),
    One(HttpRule),
}

/// The answer to a request for the proxy itself; none if it is for the server behind.
pub(super) fn answer(shared: &Shared, request: &Request) -> Option<Answer> {
    let task = request.path().strip_prefix(PREFIX)?;
    let (status, reason, value) = match (request.method.as_str(), task) {
        ("GET", "journal") => (200, "OK", json!(shared.journal.calls())),
        ("GET", "counts") => (200, "OK", counts(shared)),
        ("POST", "heal") => {
            shared.plan.heal();
            (200, "OK", Value::Null)
        }
        ("POST", "forget") => {
            shared.journal.forget();
            (200, "OK", Value::Null)
        }
        ("POST", "settle") => match shared.journal.settle(SETTLE_WAIT, || SystemClock.instant()) {
            true => (200, "OK", Value::Null),
            false => (
                504,
                "Gateway Timeout",
                json!("requests are still under way"),
            ),
        },
        ("POST", "rules") => match add_rules(shared, &request.body) {
            Ok(added) => (200, "OK", json!(added)),
            Err(error) => (400, "Bad Request", json!(error.to_string())),
        },
        _ => (
            404,
            "Not Found",
            json!(format!("no {} {task}", request.method)),
        ),
    };
    let headers = [("Content-Type", "application/json")];
    Some(Answer::new(status, reason, &headers, &value.to_string()))
}

fn add_rules(shared: &Shared, body: &[u8]) -> serde_json::Result<usize> {
    let rules = match serde_json::from_slice(body)? {
        Rules::Several(rules) => rules,
        Rules::One(rule) => vec![rule],
    };
    let added = rules.len();
    rules.into_iter().for_each(|rule| shared.plan.add(rule));
    Ok(added)
}

fn counts(shared: &Shared) -> Value {
    let counts = shared.journal.counts();
    let found = counts.iter().map(|(service, operation, host, count)| {
        json!({"service": service, "operation": operation, "host": host, "count": count})
    });
    found.collect()
}
