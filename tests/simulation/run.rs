//! The run of many seeds, and the account of what came of them.

use std::process::ExitCode;
use std::time::Instant;

use crate::seed;

pub(crate) fn main() -> ExitCode {
    for n in 1..20 {
        let start = now();
        let report = seed::run(n);
        println!("seed {n}: {:?} {:?}", start.elapsed(), report.findings);
        if n == 3 {
            println!("{}", report.log.join("\n"));
        }
        println!("{:?}", report.counts);
    }
    ExitCode::SUCCESS
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a run takes is for people"
)]
fn now() -> Instant {
    Instant::now()
}
