//! Processes that commit to one table of one emulated Glue, behind a proxy that fails.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_credential_types::Credentials;
use lakehouse_aws::{GlueSettings, open_glue_with};
use lakehouse_core::catalog::Catalog;
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_testkit::{AwsAccount, HttpCalls, HttpFault};

use crate::emulated::{Emulated, ident, make_table, parts};
use crate::lost_answers::commit_until_known;

/// Commits of both processes together; the variable asks for another number.
const COMMITS: usize = 300;
const COMMITS_VARIABLE: &str = "LAKEHOUSE_AWS_COMMITS";
const PROCESSES: usize = 2;

const PROCESS: &str = "COMMITTING_PROCESS";
const SHARE: &str = "COMMITTING_SHARE";
const ENDPOINT: &str = "COMMITTING_ENDPOINT";
const KEY: &str = "COMMITTING_KEY";
const REGION: &str = "COMMITTING_REGION";
const BUCKET: &str = "COMMITTING_BUCKET";
/// What stands before a commit of which its process could not find out what became of it.
const UNKNOWN: &str = "not known: ";

/// Every commit that a process was told of is in the table, whatever happened to requests and
/// answers; and each swap is one version of the Glue table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demand_26_two_processes_on_one_glue_table_lose_nothing() {
    let Some(emulated) = Emulated::start().await else {
        return;
    };
    let commits = std::env::var(COMMITS_VARIABLE).map_or(COMMITS, |text| text.parse().unwrap());
    let share = commits.div_ceil(PROCESSES);
    make_table(&emulated.catalog().await).await;
    let passing = [
        HttpFault::Throttled,
        HttpFault::TooManyRequests,
        HttpFault::DelayedRequest { ms: 30 },
        HttpFault::DelayedAnswer { ms: 30 },
    ];
    let ambiguous = [
        HttpFault::AnswerLost,
        HttpFault::RequestLost,
        HttpFault::AppliedThenFailed,
        HttpFault::Late { ms: 30 },
        HttpFault::BodyCut,
        HttpFault::LengthTooLong,
        HttpFault::Html,
    ];
    let (glue, s3) = (HttpCalls::of_service("glue"), HttpCalls::of_service("s3"));
    emulated.proxy.fail_share(glue.clone(), 30, &passing);
    emulated.proxy.fail_share(glue, 60, &ambiguous);
    emulated.proxy.fail_share(s3, 5, &ambiguous[..3]);
    let begun = SystemClock.instant();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|process| child(&emulated, process, share))
        .collect();
    for child in children {
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stdout);
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{told}\n{errors}");
        assert!(!told.contains(UNKNOWN), "{told}");
    }
    let took = SystemClock.instant() - begun;
    emulated.proxy.heal();
    assert!(emulated.proxy.settle(Duration::from_secs(10)));
    let journal = emulated.proxy.journal();
    let swaps = |call: &&lakehouse_testkit::HttpCall| call.operation == "UpdateTable";
    let asked = journal.iter().filter(swaps).count();
    let faults = journal.iter().filter(|call| call.fault.is_some()).count();
    let applied = journal
        .iter()
        .filter(swaps)
        .filter(|call| call.is_applied());
    let applied = applied.count();

    let catalog = emulated.catalog().await;
    let now = catalog.load_table(&ident("silver", "t")).await.unwrap();
    let found: BTreeSet<&str> = now
        .metadata
        .properties()
        .keys()
        .map(String::as_str)
        .collect();
    let wanted: Vec<String> = (0..PROCESSES)
        .flat_map(|process| (0..share).map(move |number| key(process, number)))
        .collect();
    let lost: Vec<&String> = wanted
        .iter()
        .filter(|key| !found.contains(key.as_str()))
        .collect();
    println!(
        "{} commits of {PROCESSES} processes in {:.1} s, {asked} swaps asked for, {applied} made, \
         {faults} faults, {} commits lost",
        wanted.len(),
        took.as_secs_f64(),
        lost.len()
    );
    assert!(lost.is_empty(), "{lost:?}");
    let version = emulated.glue_table("silver", "t").await;
    let version: usize = version.version_id().unwrap().parse().unwrap();
    assert!(
        version > wanted.len(),
        "every commit is a version: {version}"
    );
}

fn key(process: usize, number: usize) -> String {
    format!("commit-{process}-{number}")
}

fn child(emulated: &Emulated, process: usize, share: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "two_processes::of_another_test"])
        .args(["--ignored", "--nocapture"])
        .env(PROCESS, process.to_string())
        .env(SHARE, share.to_string())
        .env(ENDPOINT, emulated.proxy.endpoint())
        .env(KEY, &emulated.key)
        .env(REGION, &emulated.region)
        .env(BUCKET, &emulated.bucket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in processes that another test starts"]
async fn of_another_test() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let Ok(process) = variable(PROCESS).parse::<usize>() else {
        return;
    };
    let share: usize = variable(SHARE).parse().unwrap();
    let settings = GlueSettings {
        region: Some(variable(REGION)),
        warehouse: Some(format!("s3://{}/warehouse/", variable(BUCKET))),
        endpoint: Some(variable(ENDPOINT)),
        s3_endpoint: Some(variable(ENDPOINT)),
        ..GlueSettings::default()
    };
    let keys = Credentials::new(variable(KEY), AwsAccount::SECRET, None, None, "test");
    let catalog = open_glue_with("glue", &settings, parts(), keys)
        .await
        .unwrap();
    for number in 0..share {
        let key = key(process, number);
        if !commit_until_known(&catalog, &key).await.unwrap() {
            println!("{UNKNOWN}{key}");
        }
    }
}
