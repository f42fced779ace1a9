//! Entries that go: Glue's deletion compares no version, its updates do.

use std::collections::HashMap;

use aws_sdk_glue::types::Table;
use lakehouse_core::catalog::{no_longer_owned, no_table};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::TableIdent;

use super::pointers::{GluePointers, SeenTable, changed, version};
use super::settle::{SETTLE_ATTEMPTS_MAX, is_where_seen};
use super::{other, table_input};
use crate::answer::{Effect, Failure};

impl GluePointers {
    /// The entry that a name's dropping takes away; `None` when there is none.
    ///
    /// # Errors
    /// For what is no Iceberg table and was none.
    pub(super) async fn droppable(&self, ident: &TableIdent) -> Result<Option<SeenTable>> {
        let Some(found) = self.entry(ident).await? else {
            return Ok(None);
        };
        // A link is dropped as such: its target belongs to somebody else.
        let is_ours = other::is_iceberg(&found.table)
            || other::is_remainder(&found.table)
            || found.table.target_table().is_some();
        match is_ours {
            true => Ok(Some(found)),
            false => Err(other::refused(&found.table, &found.place.shown())),
        }
    }

    /// Takes a name away, whatever stands behind it by now: its files stay.
    pub(super) async fn drop_entry(&self, ident: &TableIdent) -> Result<()> {
        let found = self.droppable(ident).await?;
        let place = found.ok_or_else(|| no_table(ident))?.place;
        match self.calls.delete_table(&place).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is("EntityNotFoundException") => Err(no_table(ident)),
            Err(failure) if failure.effect == Effect::Possible => {
                let settled = self.settle_deletion(&place, |_| true, failure).await;
                settled.map_err(changed)
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// Takes the name of the table away that stands on `location`, for one who deletes its files
    /// next. First the entry is made a remainder, from the version that was seen: whoever commits
    /// meanwhile makes the dropping a conflict, and whoever commits later gets one himself.
    pub(super) async fn drop_owned_entry(&self, ident: &TableIdent, location: &str) -> Result<()> {
        let seen = self.droppable(ident).await?;
        let seen = seen.ok_or_else(|| no_table(ident))?;
        if seen.table.target_table().is_some() {
            return Err(Error::unsupported(format!(
                "{} is a link, and the files belong to the table behind it: drop it without PURGE",
                seen.place.shown()
            )));
        }
        if other::parameter(&seen.table, other::METADATA_LOCATION) != Some(location) {
            return Err(no_longer_owned(ident));
        }
        let id = self.calls.new_id();
        let mark = (other::PURGING, id.as_str());
        match self.retire(&seen, mark).await {
            Ok(()) => {}
            Err(failure) if failure.is_stale() => {
                return Err(no_longer_owned(ident).with_source(failure.error));
            }
            Err(failure) if failure.is("EntityNotFoundException") => return Err(no_table(ident)),
            Err(failure) => return Err(changed(failure)),
        }
        match self.erase(&seen, |now| is_marked(now, mark)).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.unpurged(&seen, mark, failure).await),
        }
    }

    /// What is told of an entry that could not be deleted once it was a remainder. Where Glue has
    /// refused the deletion, the entry is the table again that it was; where the deletion may come
    /// late, it stays a remainder: it would go as a table.
    async fn unpurged(&self, seen: &SeenTable, mark: (&str, &str), failure: Failure) -> Error {
        let shown = seen.place.shown();
        let restored = match failure.effect {
            Effect::None => self.restore(seen, mark).await.map_err(Some),
            Effect::Possible => Err(None),
        };
        let undone = match restored {
            Ok(()) => {
                let said = format!("nothing was dropped, {shown} is as it was");
                return Error::new(failure.error.kind(), said).with_source(failure.error);
            }
            Err(undone) => undone,
        };
        let kind = kind_of_change(undone.as_ref().unwrap_or(&failure));
        let location = other::parameter(&seen.table, other::METADATA_LOCATION).unwrap_or_default();
        let said = format!(
            "{shown} is no table any more, but what is left of its entry could not be removed; none \
             of its files was deleted: drop it without PURGE, or register {location:?} under another \
             name"
        );
        let error = Error::new(kind, said).with_source(failure.error);
        match undone {
            Some(undone) => error.with_context("not made a table again", undone.error),
            None => error,
        }
    }

    /// Makes a remainder the table again that was seen.
    async fn restore(&self, seen: &SeenTable, mark: (&str, &str)) -> Result<(), Failure> {
        let table = match self.calls.get_table(&seen.place).await? {
            Some(now) if is_marked(&now, mark) => Box::new(now),
            _ => {
                let said = format!("{} has gone or is another", seen.place.shown());
                return Err(Failure::unsent(Error::new(ErrorKind::Conflict, said)));
            }
        };
        let place = seen.place.clone();
        let parameters = seen.table.parameters().cloned().unwrap_or_default();
        let is_restored = |now: &Table| other::is_iceberg(now) && !is_marked(now, mark);
        self.replace(&SeenTable { table, place }, parameters, is_restored)
            .await
    }

    /// Turns an entry into a remainder, from the version that was seen; from then on nobody commits
    /// to it. `mark` is a parameter by which it is known again.
    pub(super) async fn retire(&self, seen: &SeenTable, mark: (&str, &str)) -> Result<(), Failure> {
        let mut parameters = seen.table.parameters().cloned().unwrap_or_default();
        parameters.remove(other::TABLE_TYPE);
        if let Some(last) = parameters.remove(other::METADATA_LOCATION) {
            parameters.insert(other::PREVIOUS_METADATA_LOCATION.to_owned(), last);
        }
        parameters.insert(mark.0.to_owned(), mark.1.to_owned());
        self.replace(seen, parameters, |now| is_marked(now, mark))
            .await
    }

    /// Gives an entry other parameters, from the version that was seen. `is_made` knows it then.
    async fn replace(
        &self,
        seen: &SeenTable,
        parameters: HashMap<String, String>,
        is_made: impl Fn(&Table) -> bool,
    ) -> Result<(), Failure> {
        let version = version(seen).map_err(Failure::unsent)?;
        let input = table_input::copied(&seen.table, &seen.place.table, parameters);
        let input = input.map_err(Failure::unsent)?;
        let send = || {
            let (place, archive) = (&seen.place, self.skip_archive);
            self.calls.update_table(place, &input, version, archive)
        };
        let mut failure = match send().await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            // A refusal may be that of the second of two requests, where something doubled them.
            if failure.effect == Effect::None && !failure.is_stale() {
                return Err(failure);
            }
            self.calls.pause(attempt).await;
            match self.calls.get_table(&seen.place).await {
                Ok(Some(now)) if is_made(&now) => return Ok(()),
                // The version makes it safe to ask again: one of both is carried out at most.
                Ok(Some(now)) if now.version_id() == Some(version) && is_where_seen(&now, seen) => {
                }
                Ok(Some(_)) => return Err(overtaken(seen, failure)),
                Ok(None) | Err(_) => return Err(failure),
            }
            failure = match send().await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
        }
        Err(failure)
    }

    /// Deletes an entry that `is_left` knows. It is never asked for twice: by then the name may be
    /// somebody else's.
    ///
    /// # Errors
    /// When the entry is there still, or nobody can tell.
    pub(super) async fn erase(
        &self,
        seen: &SeenTable,
        is_left: impl Fn(&Table) -> bool,
    ) -> Result<(), Failure> {
        match self.calls.delete_table(&seen.place).await {
            Err(failure) if failure.is("EntityNotFoundException") => Ok(()),
            Err(failure) if failure.effect == Effect::Possible => {
                self.settle_deletion(&seen.place, is_left, failure).await
            }
            ended => ended,
        }
    }
}

/// The kind of a change that failed: unknown when it may have been carried out all the same.
pub(super) fn kind_of_change(failure: &Failure) -> ErrorKind {
    match failure.effect {
        Effect::None => failure.error.kind(),
        Effect::Possible => ErrorKind::Unknown,
    }
}

fn is_marked(now: &Table, mark: (&str, &str)) -> bool {
    other::parameter(now, mark.0) == Some(mark.1)
}

/// That somebody else changed the entry: from the version that was seen nothing is done any more.
fn overtaken(seen: &SeenTable, failure: Failure) -> Failure {
    let said = format!("somebody else changed {} meanwhile", seen.place.shown());
    Failure {
        error: Error::new(ErrorKind::Conflict, said).with_source(failure.error),
        effect: Effect::None,
        is_passing: false,
        code: Some("ConcurrentModificationException".to_owned()),
    }
}
