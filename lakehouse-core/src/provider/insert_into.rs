//! How the rows of an insert take their place among those of a table.

use super::write_terms::{WriteTerms, written_branch};
use crate::commit::{FileChange, FilesOnFailure, SchemaOperation};
use crate::error::Result;
use crate::scan::{Predicate, predicate_text};
use crate::table::Table;
use crate::write::WrittenFile;

/// What becomes of the rows that a table has when others are inserted.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum InsertMode {
    /// They stay.
    #[default]
    Append,
    /// Those that match go. A data file of which only some match refuses the insert.
    OverwriteRows(Predicate),
    /// Those of each partition that gets a row go; all of an unpartitioned table that gets any.
    ReplacePartitions,
}

/// How the rows of an insert take their place.
#[derive(Debug, Clone, Default)]
pub struct InsertInto {
    /// What becomes of other rows.
    pub mode: InsertMode,
    /// How it is written.
    pub terms: WriteTerms,
    /// Where rows are replaced: what is true of every row of the table that the inserted rows were
    /// computed from; none where they were computed from others.
    pub read_filter: Option<Predicate>,
    /// Columns that the table gets with the rows; see [`super::LakeTable::with_added_columns`].
    pub(super) columns: Option<AddedColumns>,
}

/// Changes of a table's columns that rows bring with them.
#[derive(Debug, Clone)]
pub struct AddedColumns {
    /// The table before.
    pub(super) before: Table,
    /// What becomes of its columns.
    pub(super) operations: Vec<SchemaOperation>,
}

impl InsertInto {
    /// An insert on these terms.
    pub fn new(mode: InsertMode, terms: WriteTerms) -> Self {
        Self {
            mode,
            terms,
            read_filter: None,
            columns: None,
        }
    }
}

impl InsertInto {
    /// What a plan says of it, behind the table's name.
    pub(super) fn text(&self, table: &Table) -> String {
        let mut text = match &self.mode {
            InsertMode::Append => String::new(),
            InsertMode::OverwriteRows(filter) => {
                format!(", overwrite=[{}]", predicate_text(filter, table.metadata()))
            }
            InsertMode::ReplacePartitions => ", overwrite=[partitions]".to_owned(),
        };
        text.push_str(&self.terms.to_string());
        text
    }

    /// The change that makes written files part of the table; none when there is nothing to do.
    ///
    /// # Errors
    /// For a version of the table that can only be read.
    pub(super) fn change(
        &self,
        table: &Table,
        files: Vec<WrittenFile>,
    ) -> Result<Option<FileChange>> {
        let branch = written_branch(table)?;
        let change = match &self.mode {
            // No rows, no snapshot: an empty insert leaves the history as it is.
            InsertMode::Append | InsertMode::ReplacePartitions if files.is_empty() => {
                return Ok(None);
            }
            InsertMode::Append => FileChange::append(table, files),
            InsertMode::ReplacePartitions => FileChange::replace_partitions(table, files),
            InsertMode::OverwriteRows(filter) => {
                FileChange::overwrite_rows(table, filter.clone(), files)
            }
        };
        let mut change = change
            .with_branch(branch)
            .with_files_on_failure(FilesOnFailure::Delete);
        if let Some(columns) = &self.columns {
            change = change.with_columns(&columns.before, columns.operations.clone());
        }
        if let Some(read) = &self.read_filter {
            change = change.with_read_filter(read.clone());
        }
        Ok(Some(self.terms.apply(change)))
    }
}
