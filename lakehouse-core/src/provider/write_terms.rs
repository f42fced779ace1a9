//! How a statement writes, beside what: isolation, audit, properties of its files and snapshot.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::commit::{FileChange, Isolation};
use crate::error::{Error, Result};
use crate::table::{MAIN_BRANCH, ReferenceKind, Table, Version};

/// How a statement writes, beside what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteTerms {
    /// What must not have happened meanwhile; without one, by the table's properties where rows are
    /// changed, and serializable where they are replaced.
    pub isolation: Option<Isolation>,
    /// Makes the snapshot without moving the branch to it, to be published by this id.
    pub wap_id: Option<String>,
    /// Writes to this branch, which does not exist yet, on top of what `main` has; for a table that
    /// is viewed at no branch.
    pub new_branch: Option<String>,
    /// Properties of this write, such as `write.target-file-size-bytes`, before the table's.
    pub properties: HashMap<String, String>,
    /// Keys of the snapshot's summary; they never replace keys of the format.
    pub summary: BTreeMap<String, String>,
}

impl WriteTerms {
    /// The same change on these terms.
    pub(super) fn apply(&self, mut change: FileChange) -> FileChange {
        if let Some(isolation) = self.isolation {
            change = change.with_isolation(isolation);
        }
        if let Some(branch) = &self.new_branch {
            change = change.with_new_branch(branch);
        }
        if let Some(id) = &self.wap_id {
            change = change.staged(Some(id.clone()));
        }
        change.with_summary(self.summary.clone())
    }
}

/// What a plan says of the terms.
impl fmt::Display for WriteTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(branch) = &self.new_branch {
            write!(f, ", new branch={branch}")?;
        }
        if let Some(id) = &self.wap_id {
            write!(f, ", wap.id={id}")?;
        }
        Ok(())
    }
}

/// The branch that is written: the one that the table is viewed at.
///
/// # Errors
/// [`crate::error::ErrorKind::InvalidInput`] when it is viewed at another kind of version.
pub(super) fn written_branch(table: &Table) -> Result<&str> {
    match table.version() {
        None => Ok(MAIN_BRANCH),
        Some(Version::Branch(name) | Version::Reference(name))
            if table.refs()?.iter().any(|known| {
                known.kind == ReferenceKind::Branch && known.name.eq_ignore_ascii_case(name)
            }) =>
        {
            Ok(name)
        }
        Some(version) => Err(Error::invalid(format!(
            "a table or a branch of it is written, not its version {version}"
        ))
        .with_context("table", table.ident())),
    }
}
