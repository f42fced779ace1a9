//! Names that others take or give up while a statement is under way.

use std::error::Error as _;
use std::fmt;

use iceberg::TableIdent;
use lakehouse_core::error::{Error, ErrorKind};

/// What a statement found behind its table's name is no longer so: begun anew, it means the same.
#[derive(Debug)]
struct Overtaken {
    table: TableIdent,
}

impl fmt::Display for Overtaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "somebody else made or dropped table {} at the same time",
            self.table
        )
    }
}

impl std::error::Error for Overtaken {}

/// The error of a statement that changed nothing because others were faster.
pub(super) fn overtaken(table: TableIdent) -> Error {
    let cause = Overtaken { table };
    let message = format!("{cause}; nothing was changed, try again");
    Error::new(ErrorKind::Conflict, message).with_source(cause)
}

/// Whether a statement that failed can begin anew, with the names as they are now.
pub(crate) fn is_overtaken(error: &Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<Overtaken>())
}
