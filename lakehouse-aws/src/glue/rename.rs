//! New names for tables, which Glue cannot give: a new entry, then the old one goes.

use aws_sdk_glue::types::Table;
use lakehouse_core::catalog::{Swap, no_namespace, no_table, table_exists};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::TableIdent;

use super::calls::Place;
use super::pointers::{GluePointers, SeenTable, changed};
use super::remove::kind_of_change;
use super::{other, table_input};
use crate::answer::{Effect, Failure};

/// Renames in three steps: the new entry is made; the old one is turned into a remainder, from the
/// version that was copied, so that whoever committed to the old name meanwhile makes the renaming a
/// conflict, and whoever commits later on what he read before gets one himself; the remainder goes.
///
/// When it is cut off after the first step, both names stand on one metadata file, and the error
/// says to drop one; after the second, a remainder is left that names the new one.
///
/// # Errors
/// As [`lakehouse_core::catalog::Catalog::rename_table`].
pub(super) async fn rename(
    pointers: &GluePointers,
    from: &TableIdent,
    to: &TableIdent,
) -> Result<()> {
    let place = pointers.place(from).ok_or_else(|| no_table(from))?;
    let seen = pointers.find(from).await?.ok_or_else(|| no_table(from))?;
    if seen.place != place {
        return Err(Error::unsupported(format!(
            "{} is a link to {}; rename the table where it is, or drop the link",
            place.shown(),
            seen.place.shown()
        )));
    }
    if !other::is_iceberg(&seen.table) {
        return Err(other::refused(&seen.table, &place.shown()));
    }
    let new = pointers
        .place(to)
        .ok_or_else(|| no_namespace(to.namespace()))?;
    let copy = Copy {
        place: new,
        id: pointers.calls.new_id(),
    };
    make(pointers, &seen, &copy, to).await?;
    let new = &copy.place;
    let renamed_to = format!("{}.{}", new.database, new.table);
    let mark = (other::RENAMED_TO, renamed_to.as_str());
    if let Err(failure) = pointers.retire(&seen, mark).await {
        return Err(undo(pointers, &seen, &copy, failure).await);
    }
    let is_left = |now: &Table| other::parameter(now, mark.0) == Some(mark.1);
    pointers.erase(&seen, is_left).await.map_err(|failure| {
        Error::new(
            kind_of_change(&failure),
            format!(
                "the table is {} now, but what is left under its old name could not be removed: \
                 drop {} if it is still there",
                new.shown(),
                place.shown()
            ),
        )
        .with_source(failure.error)
    })
}

/// The new entry of a renaming.
struct Copy {
    place: Place,
    /// What tells it from the copy that another renaming makes of the same table.
    id: String,
}

async fn make(
    pointers: &GluePointers,
    seen: &SeenTable,
    copy: &Copy,
    to: &TableIdent,
) -> Result<()> {
    let new = &copy.place;
    let mut parameters = seen.table.parameters().cloned().unwrap_or_default();
    parameters.insert(other::RENAMING.to_owned(), copy.id.clone());
    let input = table_input::copied(&seen.table, &new.table, parameters)?;
    let failure = match pointers.calls.create_table(new, &input).await {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    match failure.effect {
        _ if failure.is("AlreadyExistsException") => Err(table_exists(to)),
        _ if failure.is("EntityNotFoundException") => Err(no_namespace(to.namespace())),
        Effect::None => Err(failure.error),
        Effect::Possible => {
            let mark = (other::RENAMING, &*copy.id);
            let settled = pointers.settle_creation(new, mark, &input, failure);
            match settled.await? {
                Swap::Moved => Ok(()),
                Swap::Stale => Err(table_exists(to)),
                Swap::Unknown(error) | Swap::Overtaken(error) => Err(Error::new(
                    ErrorKind::Unknown,
                    format!(
                        "it is not known whether {} was made as a copy; the table has its old name \
                         still: look for the copy and drop it",
                        new.shown()
                    ),
                )
                .with_source(error)),
            }
        }
    }
}

/// Takes the new entry back, after the old one could not be turned into a remainder.
async fn undo(pointers: &GluePointers, seen: &SeenTable, copy: &Copy, failure: Failure) -> Error {
    let new = &copy.place;
    let both = |failure: Failure| {
        let message = format!(
            "the renaming was cut off: {} and {} stand on the same metadata file; drop one of them, \
             without PURGE, before anybody writes",
            seen.place.shown(),
            new.shown()
        );
        Error::new(ErrorKind::Unknown, message).with_source(failure.error)
    };
    if failure.effect == Effect::Possible {
        // The old entry may have become a remainder: then the new one is all there is.
        return both(failure);
    }
    let made = match pointers.calls.get_table(new).await {
        Ok(Some(now)) if is_untouched(&now, seen, copy) => SeenTable {
            table: Box::new(now),
            place: new.clone(),
        },
        Ok(None) => return conflict(seen, failure),
        // Somebody committed to the new name, or it is not ours any more.
        Ok(Some(_)) | Err(_) => return both(failure),
    };
    let still = format!("{}.{}", seen.place.database, seen.place.table);
    let mark = (other::RENAMED_TO, still.as_str());
    if let Err(second) = pointers.retire(&made, mark).await {
        return both(second);
    }
    let is_left = |now: &Table| other::parameter(now, mark.0) == Some(mark.1);
    match pointers.erase(&made, is_left).await {
        Ok(()) => conflict(seen, failure),
        Err(left) => conflict(seen, failure).with_context("left to be dropped", left.error),
    }
}

/// Whether an entry is the copy as it was made.
fn is_untouched(now: &Table, seen: &SeenTable, copy: &Copy) -> bool {
    let location = other::parameter(&seen.table, other::METADATA_LOCATION);
    other::parameter(now, other::RENAMING) == Some(&copy.id)
        && other::parameter(now, other::METADATA_LOCATION) == location
}

fn conflict(seen: &SeenTable, failure: Failure) -> Error {
    match failure.is_stale() {
        true => Error::new(
            ErrorKind::Conflict,
            format!(
                "somebody else committed to {} while it was renamed; it has its old name: try again",
                seen.place.shown()
            ),
        )
        .with_source(failure.error),
        false => changed(failure),
    }
}
