//! Write, audit, publish: where a session's audit sends what is written, and what it reads.

use lakehouse_core::commit::FileChange;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::{FoundTable, Selector};
use lakehouse_core::table::{MAIN_BRANCH, ReferenceKind, Table, Version};

use crate::environment::{WAP_BRANCH, WAP_ID, Wap};

/// The table property that lets writes be staged for an audit.
const WAP_PROPERTY: &str = "write.wap.enabled";

/// Where a write goes instead of to `main`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// The id by which the snapshot is published later, when it is staged.
    pub(crate) wap_id: Option<String>,
    /// The branch that is made for it.
    pub(crate) new_branch: Option<String>,
}

impl Audit {
    /// The first rows of a table, where they go.
    pub(crate) fn of_rows(self, mut rows: FileChange) -> FileChange {
        if let Some(branch) = self.new_branch {
            rows = rows.with_new_branch(branch);
        }
        match self.wap_id {
            Some(id) => rows.staged(Some(id)),
            None => rows,
        }
    }
}

fn is_audited(table: &Table) -> bool {
    let property = table.properties().get(WAP_PROPERTY);
    property.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// What a name without a version means to a session with a branch for its audit: the branch, where
/// the table is audited and has it.
///
/// # Errors
/// When the session has an id for staging, too; when the name is that of a tag.
pub(crate) fn view(mut found: FoundTable, wap: &Wap) -> Result<FoundTable> {
    let is_plain = found.selector.is_none() && found.table.version().is_none();
    let Some(branch) = audit_branch(&found.table, wap)?.filter(|_| is_plain) else {
        return Ok(found);
    };
    let known = found.table.refs()?.iter();
    let named = known
        .into_iter()
        .find(|known| known.name.eq_ignore_ascii_case(branch));
    match named.map(|known| known.kind) {
        None => Ok(found),
        Some(ReferenceKind::Branch) => {
            let branch = Version::Branch(branch.to_owned());
            found.selector = Some(Selector::Version(branch));
            Ok(found)
        }
        Some(ReferenceKind::Tag) => Err(Error::invalid(format!(
            "{WAP_BRANCH} is {branch:?}, which is a tag of the table"
        ))
        .with_context("table", found.table.ident())),
    }
}

/// The session's branch, where it means the table.
fn audit_branch<'a>(table: &Table, wap: &'a Wap) -> Result<Option<&'a str>> {
    if !is_audited(table) {
        return Ok(None);
    }
    if wap.id.is_some() && wap.branch.is_some() {
        return Err(Error::invalid(format!(
            "{WAP_ID} and {WAP_BRANCH} are both set, and a write goes to one of them: RESET the other"
        ))
        .with_context("table", table.ident()));
    }
    Ok(wap.branch.as_deref())
}

/// Where a write to a table goes, which is viewed as it is written.
///
/// # Errors
/// As [`view`]; for a branch of the table with an id for staging.
pub(crate) fn of_write(table: &Table, wap: &Wap) -> Result<Audit> {
    let branch = audit_branch(table, wap)?;
    let is_main = table.version().is_none();
    let wap_id = match &wap.id {
        Some(id) if is_audited(table) && is_main => Some(id.clone()),
        Some(id) if is_audited(table) => {
            return Err(Error::invalid(format!(
                "{WAP_ID} is set to {id:?}, which stages what is written to the table itself; a \
                 branch is audited by itself: RESET {WAP_ID} to write to it"
            )));
        }
        _ => None,
    };
    let new_branch = branch
        .filter(|branch| is_main && !branch.eq_ignore_ascii_case(MAIN_BRANCH))
        .map(str::to_owned);
    Ok(Audit { wap_id, new_branch })
}

/// Refuses what cannot be staged.
///
/// # Errors
/// When the table is audited in this session.
pub(crate) fn refuse(table: &Table, wap: &Wap, what: &str) -> Result<()> {
    if *wap != Wap::default() && is_audited(table) {
        let name = if wap.id.is_some() { WAP_ID } else { WAP_BRANCH };
        return Err(Error::unsupported(format!(
            "{name} is set, but {what} cannot be staged: RESET {name} to change the table at once"
        )));
    }
    Ok(())
}
