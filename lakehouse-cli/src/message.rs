//! What the command tells on standard error. That it cannot be told there changes nothing else: the
//! exit code still says how the run ended.

use std::fmt;
use std::io::{self, Write};

/// Tells one message, as lines of their own.
pub(crate) fn tell(message: impl fmt::Display) {
    print(&format!("{message}\n"));
}

/// Writes a text as it is, at once.
pub(crate) fn print(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}
