//! Losses on purpose: a run that does not find them would find no others.

use crate::seed::{self, Report};
use crate::world::PLANTED;

/// So many seeds are tried until a planted loss is found; not each shows, such as a lost file of a
/// statement that fails.
const SEEDS_MAX: u64 = 20;
/// So many seeds are run twice.
const SEEDS_REPEATED: u64 = 5;

/// What a run loses on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The store answers that a file was written, and wrote none.
    FileLost,
    /// The catalog answers that the pointer was moved, and did not move it.
    SwapInVain,
    /// The catalog moves a pointer that somebody else has moved before.
    OthersLost,
    /// The catalog says that it did not move the pointer, and moved it.
    AnswerWrong,
    /// A scan leaves out a row.
    RowLost,
    /// The store answers that a file was deleted, and keeps it.
    DeleteInVain,
}

impl Planted {
    const ALL: [Self; 6] = [
        Self::FileLost,
        Self::SwapInVain,
        Self::OthersLost,
        Self::AnswerWrong,
        Self::RowLost,
        Self::DeleteInVain,
    ];
}

/// What the test itself does wrong: planted losses that no seed found, and a seed that does not
/// repeat.
pub(crate) fn self_test() -> Vec<String> {
    let mut wrong = Vec::new();
    for planted in Planted::ALL {
        let found = (1..=SEEDS_MAX)
            .map(|seed| seed::run(seed, Some(planted)))
            .find(|report| report.counts.contains_key(PLANTED) && !report.findings.is_empty());
        match found {
            Some(report) => println!("simulation: {planted:?} is found: {}", first(&report)),
            None => wrong.push(format!("{planted:?} was not found by {SEEDS_MAX} seeds")),
        }
    }
    for seed in 1..=SEEDS_REPEATED {
        let difference = difference(&seed::run(seed, None), &seed::run(seed, None));
        wrong.extend(difference.map(|difference| format!("seed {seed} {difference}")));
    }
    wrong
}

/// Where two runs of one seed differ, which must not be.
pub(crate) fn difference(once: &Report, again: &Report) -> Option<String> {
    let (once, again) = (&once.log, &again.log);
    let mut pairs = once.iter().zip(again);
    let place = pairs.position(|(one, other)| one != other);
    (once != again).then(|| {
        let place = place.unwrap_or(once.len().min(again.len()));
        format!(
            "does not repeat, from line {place}: {:?}, then {:?}",
            once.get(place),
            again.get(place)
        )
    })
}

fn first(report: &Report) -> String {
    let mut text = report.findings[0].clone();
    if let Some((end, _)) = text.char_indices().nth(120) {
        text.truncate(end);
        text.push('…');
    }
    text
}
