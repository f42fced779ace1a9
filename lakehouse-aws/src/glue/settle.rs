//! What became of changes whose answers were lost.

use aws_sdk_glue::types::{Table, TableInput};
use lakehouse_core::catalog::Swap;
use lakehouse_core::error::Result;

use super::calls::Place;
use super::other::{self, METADATA_LOCATION, PREVIOUS_METADATA_LOCATION};
use super::pointers::{GluePointers, SeenTable};
use crate::answer::{Effect, Failure};

/// How often a change whose answer was lost is looked for, and sent again when it was not made.
pub(super) const SETTLE_ATTEMPTS_MAX: u32 = 4;

/// An update that was asked for.
pub(super) struct AskedUpdate<'a> {
    pub(super) seen: &'a SeenTable,
    pub(super) version: &'a str,
    pub(super) input: TableInput,
    pub(super) location: &'a str,
}

impl AskedUpdate<'_> {
    /// Whether the pointer stands where it was seen, whatever else of the entry has changed.
    fn is_unmoved(&self, now: &Table) -> bool {
        is_where_seen(now, self.seen)
    }

    fn is_followed_by(&self, now: &Table) -> bool {
        let from = other::parameter(&self.seen.table, METADATA_LOCATION);
        from.is_some_and(|from| is_at(now, PREVIOUS_METADATA_LOCATION, from))
    }
}

impl GluePointers {
    /// What became of a swap whose answer was lost. The version makes it safe to ask for it again:
    /// of two requests from one version one is carried out at most.
    pub(super) async fn settle(&self, asked: &AskedUpdate<'_>, lost: Failure) -> Result<Swap> {
        let mut lost = lost;
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            self.calls.pause(attempt).await;
            let now = match self.calls.get_table(&asked.seen.place).await {
                Ok(Some(now)) => now,
                Ok(None) | Err(_) => break,
            };
            if is_at(&now, METADATA_LOCATION, asked.location) {
                return Ok(Swap::Moved);
            }
            match (asked.is_unmoved(&now), now.version_id()) {
                (true, version) if version == Some(asked.version) => {}
                // Somebody changed what stands beside the pointer: ours comes too late for good.
                (true, Some(_)) => return Ok(Swap::Stale),
                // Somebody committed, on top of ours or instead of it: the history tells.
                _ => break,
            }
            match self.update(asked).await {
                Ok(()) => return Ok(Swap::Moved),
                Err(failure) if failure.effect == Effect::None && !failure.is_stale() => {
                    lost = failure;
                    break;
                }
                Err(failure) => lost = failure,
            }
        }
        Ok(Swap::Unknown(lost.error))
    }

    /// A swap that was refused because the version has gone. Something between us and Glue may have
    /// sent it twice, and the refusal be that of the second: then the table stands on our file.
    pub(super) async fn refused(&self, asked: &AskedUpdate<'_>, failure: Failure) -> Result<Swap> {
        match self.calls.get_table(&asked.seen.place).await {
            // Who commits next names the file that he found.
            Ok(Some(now)) if is_at(&now, PREVIOUS_METADATA_LOCATION, asked.location) => {
                Ok(Swap::Moved)
            }
            Ok(Some(now)) if is_at(&now, METADATA_LOCATION, asked.location) => Ok(Swap::Moved),
            // One commit has been made from the state that ours was to follow, and it is not ours;
            // or none, and somebody changed what stands beside the pointer.
            Ok(Some(now)) if asked.is_followed_by(&now) || asked.is_unmoved(&now) => {
                Ok(Swap::Stale)
            }
            Ok(Some(_)) => Ok(Swap::Overtaken(failure.error)),
            Ok(None) => Ok(Swap::Stale),
            Err(_) => Ok(Swap::Unknown(failure.error)),
        }
    }

    pub(super) async fn update(&self, asked: &AskedUpdate<'_>) -> Result<(), Failure> {
        let (place, archive) = (&asked.seen.place, self.skip_archive);
        self.calls
            .update_table(place, &asked.input, asked.version, archive)
            .await
    }

    /// What became of a deletion whose answer was lost. It is never sent again: by then the name may
    /// be somebody else's. `is_left` knows the entry that was to go.
    ///
    /// # Errors
    /// When the entry is there still, and may go yet; when nobody can tell.
    pub(super) async fn settle_deletion(
        &self,
        place: &Place,
        is_left: impl Fn(&Table) -> bool,
        lost: Failure,
    ) -> Result<(), Failure> {
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            self.calls.pause(attempt).await;
            match self.calls.get_table(place).await {
                Ok(now) if !now.as_ref().is_some_and(&is_left) => return Ok(()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Err(lost)
    }

    /// What became of a creation whose answer was lost. `mark` is a parameter of its input that no
    /// other input has. [`Swap::Stale`] is never answered: somebody may have committed to what was
    /// made, and its files must stay.
    pub(super) async fn settle_creation(
        &self,
        place: &Place,
        mark: (&str, &str),
        input: &TableInput,
        lost: Failure,
    ) -> Result<Swap> {
        let mut lost = lost;
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            self.calls.pause(attempt).await;
            match self.calls.get_table(place).await {
                Ok(Some(now)) if is_at(&now, mark.0, mark.1) => return Ok(Swap::Moved),
                // Who committed to what was made names the file that he found.
                Ok(Some(now))
                    if mark.0 == METADATA_LOCATION
                        && is_at(&now, PREVIOUS_METADATA_LOCATION, mark.1) =>
                {
                    return Ok(Swap::Moved);
                }
                Ok(Some(_)) => return Ok(Swap::Unknown(lost.error)),
                Ok(None) => {}
                Err(failure) => return Ok(Swap::Unknown(failure.error)),
            }
            match self.calls.create_table(place, input).await {
                Ok(()) => return Ok(Swap::Moved),
                Err(failure) if failure.effect == Effect::Possible => lost = failure,
                // By itself, when an earlier attempt was carried out.
                Err(failure) if failure.is("AlreadyExistsException") => lost = failure,
                // The first request may still be carried out.
                Err(failure) => return Ok(Swap::Unknown(failure.error)),
            }
        }
        Ok(Swap::Unknown(lost.error))
    }

    /// A creation that found the name taken: by itself, when something between us and Glue sent it
    /// twice.
    pub(super) async fn found_taken(
        &self,
        place: &Place,
        location: &str,
        failure: Failure,
    ) -> Result<Swap> {
        match self.calls.get_table(place).await {
            Ok(Some(now))
                if is_at(&now, METADATA_LOCATION, location)
                    || is_at(&now, PREVIOUS_METADATA_LOCATION, location) =>
            {
                Ok(Swap::Moved)
            }
            // A first commit, or no Iceberg table: not on ours, which it would name.
            Ok(Some(now)) if other::parameter(&now, PREVIOUS_METADATA_LOCATION).is_none() => {
                Ok(Swap::Stale)
            }
            Ok(Some(_) | None) | Err(_) => Ok(Swap::Unknown(failure.error)),
        }
    }
}

/// Whether an entry names the metadata file that it was seen with.
pub(super) fn is_where_seen(now: &Table, seen: &SeenTable) -> bool {
    other::parameter(now, METADATA_LOCATION) == other::parameter(&seen.table, METADATA_LOCATION)
}

fn is_at(now: &Table, parameter: &str, location: &str) -> bool {
    other::parameter(now, parameter) == Some(location)
}
