//! A swap whose answer was lost, and what a table's later state tells about it.

use super::TablePointer;

/// The two files between which a pointer was asked to move.
///
/// The name of a new metadata file is its writer's alone, and whoever writes the next one logs it as
/// predecessor: so a table's state tells whether this very swap took place, not only whether the
/// table is as the swap would have made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSwap {
    /// The file the pointer had to stand on.
    pub from: String,
    /// The file it was to stand on after.
    pub to: String,
}

/// What is known of a swap whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapTrace {
    /// It took place.
    Applied,
    /// It did not and never will: the pointer left the old file for another one.
    NeverApplied,
    /// It may still take place, or too little history is left to tell.
    Open,
}

impl AskedSwap {
    /// What the state `now` of the same table tells.
    pub fn trace(&self, now: &TablePointer) -> SwapTrace {
        let log = now.metadata.metadata_log();
        let is_logged = |file: &str| log.iter().any(|entry| entry.metadata_file == file);
        if now.metadata_location == self.to || is_logged(&self.to) {
            SwapTrace::Applied
        } else if now.metadata_location != self.from && is_logged(&self.from) {
            // The log forgets its oldest entries first: what followed the old file is all there.
            SwapTrace::NeverApplied
        } else {
            SwapTrace::Open
        }
    }
}
