//! Commits whose answers are lost, late, refused or wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use lakehouse_core::catalog::{Catalog, CommitOutcome, SwapTrace};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::runtime::spawn;
use lakehouse_testkit::{HttpCalls, HttpFault};

use crate::emulated::{Emulated, ident, make_table, set_property, try_make};

fn updates() -> HttpCalls {
    HttpCalls::of("glue", "UpdateTable")
}

/// Faults after which nobody tells whether a request was carried out.
const AMBIGUOUS: [HttpFault; 6] = [
    HttpFault::AnswerLost,
    HttpFault::RequestLost,
    HttpFault::AppliedThenFailed,
    HttpFault::BodyCut,
    HttpFault::LengthTooLong,
    HttpFault::Html,
];

async fn committed(catalog: &dyn Catalog, key: &str) -> CommitOutcome {
    let base = catalog.load_table(&ident("silver", "t")).await.unwrap();
    let updates = set_property(key, "1");
    catalog.commit(&base, vec![], updates).await.unwrap()
}

/// A swap whose answer is lost is looked for: found, it is a commit and nothing of it is deleted;
/// not made, it is asked for again from the same version. java#7151, #3717, #2328, #15530, #12792.
#[tokio::test]
async fn c01_a_swap_without_an_answer_is_made_exactly_once() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    for (number, fault) in AMBIGUOUS.into_iter().enumerate() {
        emulated.proxy.heal();
        emulated.proxy.fail_nth(updates(), 1, fault);
        let key = format!("round-{number}");
        let CommitOutcome::Committed(pointer) = committed(&catalog, &key).await else {
            panic!("{fault:?}");
        };
        let now = catalog.load_table(&pointer.ident).await.unwrap();
        assert_eq!(
            now.metadata_location, pointer.metadata_location,
            "{fault:?}"
        );
        assert_eq!(now.metadata.metadata_log().len(), number + 1, "{fault:?}");
        let table = emulated.glue_table("silver", "t").await;
        assert_eq!(table.version_id(), Some(format!("{}", number + 2).as_str()));
    }
}

/// When nobody can be asked any longer, the outcome is unknown, the metadata file stays, and the
/// request that comes through later is found in the history.
#[tokio::test]
async fn c03_a_swap_that_nobody_answers_for_is_unknown_and_its_file_stays() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    emulated
        .proxy
        .fail_nth(updates(), 1, HttpFault::Late { ms: 1_500 });
    emulated
        .proxy
        .fail_always(updates(), HttpFault::RequestLost);
    let commit = catalog
        .commit(&base, vec![], set_property("late", "1"))
        .await;
    let CommitOutcome::Unknown {
        swap: Some(swap), ..
    } = commit.unwrap()
    else {
        panic!("nobody could know");
    };
    emulated.proxy.heal();
    assert!(catalog.storage().exists(&swap.to).await.unwrap());
    emulated.proxy.settle(std::time::Duration::from_secs(10));
    let now = catalog.load_table(&base.ident).await.unwrap();
    assert_eq!(now.metadata_location, swap.to);
    assert_eq!(swap.trace(&now), SwapTrace::Applied);
    let CommitOutcome::Committed(next) = committed(&catalog, "next").await else {
        panic!("nothing is in the way");
    };
    assert_eq!(swap.trace(&next), SwapTrace::Applied, "found in the log");
}

/// The SDK's own retry would send a swap again and hide that the first was carried out: it is off,
/// and a refusal that follows a lost answer is known for what it is. java#7151, java#9411.
#[tokio::test]
async fn c02_a_commit_that_was_made_is_not_taken_for_a_conflict() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    emulated.proxy.forget();
    emulated
        .proxy
        .fail_nth(updates(), 1, HttpFault::AppliedThenFailed);
    let outcome = committed(&catalog, "once").await;
    assert!(
        matches!(outcome, CommitOutcome::Committed(_)),
        "{outcome:?}"
    );
    let counts = emulated.proxy.counts();
    assert_eq!(
        counts.of("glue", "UpdateTable"),
        1,
        "nothing is sent blindly"
    );
}

/// A swap is one from the version that was read: rs#1868, trino#9583, trino#12126. The one that
/// comes second is refused by Glue itself, and nothing of the first is lost.
#[tokio::test]
async fn c09_demand_26_rs_1868_a_stale_version_is_refused_and_tried_again() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    // The first commit's request waits at the door until the second has been carried out.
    let late = HttpFault::DelayedRequest { ms: 700 };
    emulated.proxy.fail_nth(updates(), 1, late);
    let (catalog, slow_base) = (Arc::new(catalog), base.clone());
    let slow = {
        let catalog = Arc::clone(&catalog);
        spawn(async move {
            let updates = set_property("slow", "1");
            catalog.commit(&slow_base, vec![], updates).await
        })
    };
    let is_waiting = || emulated.proxy.counts().of("glue", "UpdateTable") > 0;
    while !is_waiting() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let fast = catalog.commit(&base, vec![], set_property("fast", "1"));
    assert!(matches!(fast.await.unwrap(), CommitOutcome::Committed(_)));
    let slow = slow.await.unwrap().unwrap();
    let CommitOutcome::Conflicted(error) = slow else {
        panic!("{slow:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let again = committed(catalog.as_ref(), "slow").await;
    let CommitOutcome::Committed(both) = again else {
        panic!("{again:?}");
    };
    let properties = both.metadata.properties();
    assert!(properties.contains_key("fast") && properties.contains_key("slow"));
}

/// Status 400 with `ThrottlingException`, 429 and 503 are asked again. java#17824.
#[tokio::test]
async fn j04_throttled_calls_are_asked_again() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    for (number, fault) in [HttpFault::Throttled, HttpFault::TooManyRequests]
        .into_iter()
        .enumerate()
    {
        emulated.proxy.heal();
        for operation in ["GetTable", "UpdateTable"] {
            emulated
                .proxy
                .fail_nth(HttpCalls::of("glue", operation), 1, fault);
        }
        emulated
            .proxy
            .fail_nth(HttpCalls::of_service("s3"), 1, fault);
        let outcome = committed(&catalog, &format!("{number}")).await;
        assert!(
            matches!(outcome, CommitOutcome::Committed(_)),
            "{outcome:?}"
        );
    }
}

/// A throttling that does not end is told as such, and nothing was changed.
#[tokio::test]
async fn throttling_without_end_is_an_error_that_says_so() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    let base = make_table(&catalog).await;
    emulated.proxy.fail_always(updates(), HttpFault::Throttled);
    let refused = catalog.commit(&base, vec![], set_property("a", "1")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("Throttling"), "{error}");
    emulated.proxy.heal();
    let now = catalog.load_table(&base.ident).await.unwrap();
    assert_eq!(now.metadata_location, base.metadata_location);
    assert_eq!(emulated.proxy.counts().of("glue", "UpdateTable"), 8);
}

/// A creation whose answer was lost is found by the name of its file; another's table of the same
/// name is another's.
#[tokio::test]
async fn c01_a_creation_without_an_answer_is_made_exactly_once() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let catalog = emulated.catalog().await;
    make_table(&catalog).await;
    for (number, fault) in AMBIGUOUS.into_iter().enumerate() {
        emulated.proxy.heal();
        let creates = HttpCalls::of("glue", "CreateTable");
        emulated.proxy.fail_nth(creates, 1, fault);
        let name = ident("silver", &format!("t{number}"));
        let made = try_make(&catalog, &name).await;
        assert!(
            matches!(made, Ok(CommitOutcome::Committed(_))),
            "{fault:?} {made:?}"
        );
        let again = try_make(&catalog, &name).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    }
}

/// Two catalogs, each with tasks of its own, behind a proxy that loses one answer in eight: every
/// commit that was answered for is in the table, and none is in it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demand_26_many_writers_behind_a_failing_proxy_lose_nothing() {
    const WRITERS: usize = 4;
    const COMMITS: usize = 12;
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    make_table(&emulated.catalog().await).await;
    let faults = [
        HttpFault::AnswerLost,
        HttpFault::RequestLost,
        HttpFault::AppliedThenFailed,
        HttpFault::Throttled,
        HttpFault::TooManyRequests,
        HttpFault::Late { ms: 30 },
        HttpFault::DelayedRequest { ms: 30 },
        HttpFault::BodyCut,
        HttpFault::Html,
    ];
    emulated
        .proxy
        .fail_share(HttpCalls::of_service("glue"), 125, &faults);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let catalog = emulated.catalog().await;
        writers.push(spawn(async move {
            let mut known = BTreeSet::new();
            for number in 0..COMMITS {
                let key = format!("{writer}-{number}");
                if commit_until_known(&catalog, &key).await? {
                    known.insert(key);
                }
            }
            Ok::<_, Error>(known)
        }));
    }
    let mut known = BTreeSet::new();
    for writer in writers {
        known.extend(writer.await.unwrap().unwrap());
    }
    emulated.proxy.heal();
    emulated.proxy.settle(std::time::Duration::from_secs(10));
    let catalog = emulated.catalog().await;
    let now = catalog.load_table(&ident("silver", "t")).await.unwrap();
    let found: BTreeSet<String> = now.metadata.properties().keys().cloned().collect();
    let lost: Vec<_> = known.difference(&found).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(
        known.len(),
        WRITERS * COMMITS,
        "every outcome was found out"
    );
    assert_eq!(now.metadata.metadata_log().len(), found.len().min(100));
}

/// Commits as `commit` does: again after a conflict, and after an unknown outcome by what the
/// history tells. False when it cannot be told.
async fn commit_until_known(catalog: &dyn Catalog, key: &str) -> Result<bool> {
    let name = ident("silver", "t");
    'again: for _ in 0..1_000 {
        let Ok(base) = catalog.load_table(&name).await else {
            continue;
        };
        let outcome = catalog.commit(&base, vec![], set_property(key, "1")).await;
        let swap = match outcome {
            Ok(CommitOutcome::Committed(_)) => return Ok(true),
            Ok(CommitOutcome::Unknown { swap, .. }) => swap,
            Ok(CommitOutcome::Conflicted(_)) | Err(_) => continue,
        };
        for _ in 0..200 {
            let (Ok(now), Some(swap)) = (catalog.load_table(&name).await, &swap) else {
                continue;
            };
            match swap.trace(&now) {
                SwapTrace::Applied => return Ok(true),
                SwapTrace::NeverApplied => continue 'again,
                SwapTrace::Open => {}
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        return Ok(false);
    }
    Ok(false)
}
