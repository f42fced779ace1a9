//! Who AWS takes us for, and by which clock.

use http::Method;
use lakehouse_core::error::ErrorKind;

use super::ask::{Answer, Call};
use super::{Finding, Patient};
use crate::answer::unacknowledged;

/// AWS refuses signatures that differ by more.
const SKEW_MS_MAX: i64 = 5 * 60_000;
/// Beyond this something is wrong with the clock, though nothing fails yet.
const SKEW_MS_USUAL: i64 = 30_000;

/// Asks STS who we are, and tells its clock from its answer. The finding of the clock is the second.
pub(super) async fn find(patient: &Patient<'_>) -> (Finding, Finding) {
    if let Err(error) = patient.chain.credentials.check().await {
        return (Finding::Failed(error), unknown_skew());
    }
    let stated = patient.settings.sts_endpoint.as_deref();
    let endpoint = match patient.endpoint(stated, "sts") {
        Ok(endpoint) => endpoint,
        Err(error) => return (Finding::Failed(error), unknown_skew()),
    };
    let call = Call {
        shown: "GetCallerIdentity of the credentials".to_owned(),
        service: "sts",
        region: &patient.region,
        method: Method::POST,
        endpoint: &endpoint,
        path: "/",
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        body: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
    };
    let asked_ms = patient.clock.now_ms();
    let answer = match patient.asker.ask(&call).await {
        Ok(answer) => answer,
        Err(error) => return (Finding::Failed(error), unknown_skew()),
    };
    let now_ms = patient.clock.now_ms();
    let skew = || match answer.sent_at_ms() {
        // The header has whole seconds.
        Some(sent_ms) => skew(asked_ms.midpoint(now_ms) - (sent_ms + 500)),
        None => unknown_skew(),
    };
    match (answer.is_success(), answer.tag("Arn")) {
        (true, Some(arn)) => (Finding::Passed(shown(arn, &answer)), skew()),
        (true, None) => {
            let error = unacknowledged("GetCallerIdentity", "the credentials", &endpoint).error;
            (Finding::Failed(error), unknown_skew())
        }
        (false, _) => {
            let failure = answer.failure(&call);
            let clock = match failure.code {
                Some(_) => skew(),
                // Of a page of somebody else's nobody knows when it was made.
                None => unknown_skew(),
            };
            (Finding::Failed(failure.error), clock)
        }
    }
}

fn shown(arn: &str, answer: &Answer) -> String {
    match answer.tag("Account") {
        Some(account) => format!("{arn} of account {account}"),
        None => arn.to_owned(),
    }
}

pub(super) fn unknown_skew() -> Finding {
    Finding::NotChecked("AWS has told no time".to_owned())
}

fn skew(ms: i64) -> Finding {
    let seconds = ms.unsigned_abs().div_ceil(1_000);
    let way = match ms > 0 {
        true => "ahead of",
        false => "behind",
    };
    let said = format!("this machine's clock is {seconds} s {way} AWS'");
    match ms.saturating_abs() {
        off if off > SKEW_MS_MAX => Finding::failed(
            ErrorKind::InvalidInput,
            format!(
                "{said}, and requests signed more than {} s off are refused: set the clock, or let \
                 it be set from the network (NTP)",
                SKEW_MS_MAX / 1_000
            ),
        ),
        off if off > SKEW_MS_USUAL => Finding::Doubtful(format!(
            "{said}; requests are refused from {} s on: let it be set from the network (NTP)",
            SKEW_MS_MAX / 1_000
        )),
        off if off <= 2_000 => Finding::Passed("as AWS'".to_owned()),
        _ => Finding::Passed(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_what_signatures_allow() {
        assert!(matches!(skew(-1_000), Finding::Passed(_)));
        assert!(matches!(skew(31_000), Finding::Doubtful(_)));
        let Finding::Failed(error) = skew(-400_000) else {
            panic!("400 s are too many");
        };
        assert!(error.to_string().contains("400 s behind"), "{error}");
        assert!(matches!(skew(i64::MIN), Finding::Failed(_)));
    }
}
