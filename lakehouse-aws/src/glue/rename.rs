//! New names for tables, which Glue cannot give: a new entry, then the old one goes.

use lakehouse_core::catalog::{Swap, no_namespace, no_table, table_exists};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::TableIdent;

use super::calls::Place;
use super::pointers::{GluePointers, SeenTable, changed, version};
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
    make(pointers, &seen, &new, to).await?;
    if let Err(failure) = mark(pointers, &seen, &new).await {
        return Err(undo(pointers, &seen, &new, failure).await);
    }
    match pointers.calls.delete_table(&place).await {
        Ok(()) => Ok(()),
        Err(failure) if failure.is("EntityNotFoundException") => Ok(()),
        Err(failure) => Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the table is {} now, but what is left under its old name could not be removed: \
                 drop {}",
                new.shown(),
                place.shown()
            ),
        )
        .with_source(failure.error)),
    }
}

async fn make(
    pointers: &GluePointers,
    seen: &SeenTable,
    new: &Place,
    to: &TableIdent,
) -> Result<()> {
    let parameters = seen.table.parameters().cloned().unwrap_or_default();
    let location = parameters.get(other::METADATA_LOCATION).cloned();
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
            let location = location.unwrap_or_default();
            let settled = pointers.settle_creation(new, &location, &input, failure);
            match settled.await? {
                Swap::Moved => Ok(()),
                Swap::Stale => Err(table_exists(to)),
                Swap::Unknown(error) => Err(Error::new(
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

/// Turns the old entry into a remainder; from here on nobody commits to it.
async fn mark(pointers: &GluePointers, seen: &SeenTable, new: &Place) -> Result<(), Failure> {
    let mut parameters = seen.table.parameters().cloned().unwrap_or_default();
    parameters.remove(other::TABLE_TYPE);
    parameters.remove(other::METADATA_LOCATION);
    let renamed_to = format!("{}.{}", new.database, new.table);
    parameters.insert(other::RENAMED_TO.to_owned(), renamed_to.clone());
    let none_sent = |error| Failure {
        error,
        effect: Effect::None,
        is_passing: false,
        code: None,
    };
    let version = version(seen).map_err(none_sent)?;
    let input = table_input::copied(&seen.table, &seen.place.table, parameters);
    let input = input.map_err(none_sent)?;
    let calls = &pointers.calls;
    let sent = calls.update_table(&seen.place, &input, version, pointers.skip_archive);
    match sent.await {
        Err(failure) if failure.effect == Effect::Possible => {
            calls.pause(1).await;
            match calls.get_table(&seen.place).await {
                Ok(Some(now)) if other::parameter(&now, other::RENAMED_TO) == Some(&renamed_to) => {
                    Ok(())
                }
                _ => Err(failure),
            }
        }
        ended => ended,
    }
}

/// Takes the new entry back, after the old one could not be turned into a remainder.
async fn undo(pointers: &GluePointers, seen: &SeenTable, new: &Place, failure: Failure) -> Error {
    let both = |failure: Failure| {
        let message = format!(
            "the renaming was cut off: {} and {} stand on the same metadata file; drop one of them \
             before anybody writes",
            seen.place.shown(),
            new.shown()
        );
        Error::new(ErrorKind::Unknown, message).with_source(failure.error)
    };
    if failure.effect == Effect::Possible {
        // The old entry may have become a remainder: then the new one is all there is.
        return both(failure);
    }
    if let Err(second) = pointers.calls.delete_table(new).await
        && !second.is("EntityNotFoundException")
    {
        return both(second);
    }
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
