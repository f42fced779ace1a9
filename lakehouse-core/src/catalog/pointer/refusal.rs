//! What catalogs of stored pointers refuse, in the same words for each of them.

use crate::error::{Error, ErrorKind};
use crate::name::{NamespaceIdent, TableIdent};

/// That there is no such namespace.
pub fn no_namespace(namespace: &NamespaceIdent) -> Error {
    Error::not_found(format!(
        "namespace {:?} does not exist",
        namespace.join(".")
    ))
}

/// That a new namespace's name is taken.
pub fn namespace_exists(namespace: &NamespaceIdent) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("namespace {:?} exists already", namespace.join(".")),
    )
}

/// That a namespace cannot go yet; `holds` names what is in it.
pub fn namespace_not_empty(namespace: &NamespaceIdent, holds: &str) -> Error {
    Error::invalid(format!(
        "namespace {:?} is not empty: it holds {holds}; drop them first",
        namespace.join(".")
    ))
}

/// That there is no such table.
pub fn no_table(ident: &TableIdent) -> Error {
    Error::not_found(format!("table {} does not exist", shown(ident)))
}

/// That a new table's name is taken.
pub fn table_exists(ident: &TableIdent) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("table {} exists already", shown(ident)),
    )
}

/// That a table which was to go with its files is not the one any more that was read.
pub fn no_longer_owned(ident: &TableIdent) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "somebody else committed to table {}, renamed it or made it anew meanwhile: nothing \
             was dropped, try again",
            shown(ident)
        ),
    )
}

pub(super) fn moved_by_others(ident: &TableIdent) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "somebody else committed to table {} at the same time; read it again",
            shown(ident)
        ),
    )
}

fn shown(ident: &TableIdent) -> String {
    format!(
        "{:?}",
        format!("{}.{}", ident.namespace().join("."), ident.name())
    )
}
