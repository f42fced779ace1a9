//! How often which call fails in which way, as a seed says.

use std::time::Duration;

use lakehouse_testkit::Random;

/// What is asked of store or catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A file written.
    Put,
    /// A file or a part of it read.
    Get,
    /// A file deleted.
    Delete,
    /// A pointer read.
    Find,
    /// A pointer moved.
    Swap,
}

impl Call {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Delete => "delete",
            Self::Find => "find",
            Self::Swap => "swap",
        }
    }
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FaultKind {
    /// It is done.
    #[default]
    None,
    /// It is refused; nothing was done.
    Refused,
    /// It is done, but the answer is lost.
    AnswerLost,
    /// It is not done, and no answer comes: nobody can tell.
    RequestLost,
    /// No answer comes, and it is done later.
    Late,
    /// The process ends before it.
    CrashBefore,
    /// The process ends after it.
    CrashAfter,
}

impl FaultKind {
    /// Its name in logs and counts, none for what is no fault.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Refused => Some("refusal"),
            Self::AnswerLost => Some("lost answer"),
            Self::RequestLost => Some("lost request"),
            Self::Late => Some("late effect"),
            Self::CrashBefore => Some("crash before"),
            Self::CrashAfter => Some("crash after"),
        }
    }
}

/// What becomes of one call, and when.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Until it is done.
    pub(crate) before: Duration,
    /// Until its answer, or until it is done after all.
    pub(crate) after: Duration,
}

/// Shares of calls that fail, in thousandths.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    store: u64,
    catalog: u64,
    crash: u64,
    delay_ms_max: u64,
}

impl Faults {
    /// Seeds differ in what fails: in some nothing, in some much.
    pub(crate) fn of_seed(random: &mut Random) -> Self {
        Self {
            store: *random.pick(&[0, 0, 3, 10, 30]),
            catalog: *random.pick(&[0, 50, 150, 300]),
            crash: *random.pick(&[0, 1, 2, 5]),
            delay_ms_max: *random.pick(&[0, 2, 10, 40]),
        }
    }

    /// Whether anything may fail.
    pub(crate) fn is_any(&self) -> bool {
        self.store + self.catalog + self.crash > 0
    }

    pub(crate) fn draw(&self, call: Call, random: &mut Random) -> Fault {
        let before = random.next() % (self.delay_ms_max + 1);
        let after = random.next() % (self.delay_ms_max + 1);
        let kind = self.kind(call, random);
        let after = match kind {
            // Long enough for others to come between, and for a writer to give up.
            FaultKind::Late => random.next() % 20_000,
            _ => after,
        };
        Fault {
            kind,
            before: Duration::from_millis(before),
            after: Duration::from_millis(after),
        }
    }

    fn kind(&self, call: Call, random: &mut Random) -> FaultKind {
        // A crash is most telling around the swap.
        let crash = match call {
            Call::Swap => self.crash * 20,
            _ => self.crash,
        };
        if random.chance(crash) {
            return *random.pick(&[FaultKind::CrashBefore, FaultKind::CrashAfter]);
        }
        match call {
            Call::Get if random.chance(self.store) => FaultKind::Refused,
            Call::Find if random.chance(self.catalog / 10) => FaultKind::Refused,
            Call::Put | Call::Delete if random.chance(self.store) => {
                *random.pick(&[FaultKind::Refused, FaultKind::AnswerLost])
            }
            Call::Swap if random.chance(self.catalog) => *random.pick(&[
                FaultKind::Refused,
                FaultKind::AnswerLost,
                FaultKind::RequestLost,
                FaultKind::Late,
            ]),
            _ => FaultKind::None,
        }
    }
}
