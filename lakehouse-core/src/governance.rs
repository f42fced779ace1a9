//! Who asks, and what a policy decides: pure values, no IO.

use std::fmt::Debug;

use crate::error::Result;
use crate::name::TableIdent;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    name: String,
}

impl Principal {
    /// A principal by name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// The program itself, where nobody else was named.
    pub fn owner() -> Self {
        Self::new("owner")
    }

    /// The name under which accesses are logged.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a statement wants of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// Read rows.
    Select,
    /// Add rows.
    Insert,
    /// Change rows.
    Update,
    /// Remove rows.
    Delete,
    /// Change definition, refs or properties.
    Alter,
    /// Make a table.
    Create,
    /// Remove a table.
    Drop,
    /// See names and definition.
    Describe,
}

/// What a policy says to one access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The whole table.
    Admit,
    /// Nothing; the reason is for the audit, not for the asker.
    Deny(String),
}

/// Where policies come from.
///
/// A lake without a source admits its owner to everything; a source that cannot answer denies.
pub trait PolicySource: Debug + Send + Sync {
    /// Decides one access to one table of a catalog.
    ///
    /// # Errors
    /// When the source cannot answer; the access is then denied.
    fn decide(
        &self,
        principal: &Principal,
        privilege: Privilege,
        catalog: &str,
        table: &TableIdent,
    ) -> Result<Decision>;
}

/// The source of a lake without policies: admits everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl PolicySource for AdmitAll {
    fn decide(&self, _: &Principal, _: Privilege, _: &str, _: &TableIdent) -> Result<Decision> {
        Ok(Decision::Admit)
    }
}
