//! Changes of single rows: what is changed and how, as a plan's node, and as it is executed.
//!
//! A plan of the engine finds the rows and computes new values only: one row for each change, in
//! the form of [`RowChange::input_schema`]. [`RowChangeExec`] applies them file by file (`changes`
//! gathers what becomes of one file, `strategy` decides between writing it anew and deleting rows
//! of it, `worker` reads, patches and writes, `row_groups` takes over what stays as it is) and
//! commits all as one snapshot (`run`).

mod changes;
mod deletes_in_place;
mod exec;
mod node;
mod patch;
mod row_groups;
mod run;
mod stop;
mod strategy;
mod target;
mod whole_files;
mod worker;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use iceberg::spec::FormatVersion;

pub use exec::RowChangeExec;
pub use node::{RowChangeNode, RowChangePlanner};

use super::write_terms::{WriteTerms, written_branch};
use crate::catalog::foreign_type::refuse_write;
use crate::commit::RowStatement;
use crate::error::{Error, Result};
use crate::lake::{FoundTable, Lake, Selector};
use crate::scan::{MetadataColumn, Predicate, ScanFile};
use crate::table::{Table, read_schema};

/// What becomes of a row, as a plan says it in column [`RowChange::ACTION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RowAction {
    /// A row of the table is deleted.
    Delete = 0,
    /// A row of the table gets new values.
    Update = 1,
    /// A row is new.
    Insert = 2,
    /// As [`Self::Delete`], by a clause for rows that no source row matches.
    DeleteBySource = 3,
    /// As [`Self::Update`], by a clause for rows that no source row matches.
    UpdateBySource = 4,
}

impl RowAction {
    /// The number that stands for it.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The action of a number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Delete),
            1 => Some(Self::Update),
            2 => Some(Self::Insert),
            3 => Some(Self::DeleteBySource),
            4 => Some(Self::UpdateBySource),
            _ => None,
        }
    }
}

/// What is changed and how, beside the rows themselves.
#[derive(Debug, Clone)]
pub struct RowChange {
    /// The lake that the table is in.
    pub lake: Lake,
    /// The table as the rows were found in it: at the head of `main`, or at that of the branch that
    /// is changed.
    pub target: FoundTable,
    /// What the change is called in the snapshot.
    pub statement: RowStatement,
    /// The columns that updated rows get new values of, by position in the table's current schema,
    /// each once, ascending.
    pub update_columns: Vec<usize>,
    /// Whether rows may be inserted: the input then has all columns of the table.
    pub insert: bool,
    /// Whether the input may name a row several times, which then is deleted each time, and once.
    pub repeats: bool,
    /// For a DELETE: the condition itself, where it can be said exactly.
    pub delete_filter: Option<Predicate>,
    /// Data files whose rows all are deleted, of which the input names none.
    pub removed: Vec<ScanFile>,
    /// What is true of every row that the change looks at; it says which files of others conflict
    /// with it, and which files it may touch.
    pub conflict_filter: Predicate,
    /// What is true of every row of the target that the input reads beside those that it looks at,
    /// as in a subquery; none where it reads no others.
    pub read_filter: Option<Predicate>,
    /// How it is written.
    pub terms: WriteTerms,
}

impl RowChange {
    /// The input's column of [`RowAction`] codes.
    pub const ACTION: &'static str = "action";

    /// The columns that the input of the change must have, in this order: what becomes of the row,
    /// where it is (NULL for inserted rows), its id (in tables of format version 3), and the new
    /// values: of all columns where rows may be inserted, else of the updated ones.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for a type that is not read,
    /// [`crate::error::ErrorKind::Internal`] for an updated column that the table does not have.
    pub fn input_schema(&self) -> Result<SchemaRef> {
        let optional = |name: &str, kind| -> FieldRef { Arc::new(Field::new(name, kind, true)) };
        let mut fields = vec![
            Arc::new(Field::new(Self::ACTION, DataType::UInt8, false)),
            optional(MetadataColumn::File.name(), DataType::Utf8View),
            optional(MetadataColumn::Pos.name(), DataType::Int64),
        ];
        if self.has_row_lineage() {
            fields.push(optional(MetadataColumn::RowId.name(), DataType::Int64));
        }
        let columns = read_schema(self.table().metadata().current_schema())?;
        for position in self.value_columns() {
            let field = columns.fields().get(position).ok_or_else(|| {
                Error::internal("a column is updated that the table does not have")
            })?;
            fields.push(optional(field.name(), field.data_type().clone()));
        }
        Ok(Arc::new(ArrowSchema::new(fields)))
    }

    /// Refuses a change that cannot be made, before there is any work.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for a version that can only be read,
    /// [`crate::error::ErrorKind::Unsupported`] for types that are not written,
    /// [`crate::error::ErrorKind::Internal`] for updated columns out of order.
    pub fn check(&self) -> Result<()> {
        let of = |error: Error| error.with_context("table", self.table().ident());
        if matches!(self.target.selector, Some(Selector::Metadata(_))) {
            return Err(of(Error::invalid(
                "rows of a table are changed, not those of its metadata",
            )));
        }
        written_branch(self.table())?;
        if !self
            .update_columns
            .is_sorted_by(|before, after| before < after)
        {
            return Err(of(Error::internal(
                "the updated columns of a change are not in the order of the table's",
            )));
        }
        refuse_write(self.table().metadata()).map_err(of)
    }

    /// The table that is changed.
    fn table(&self) -> &Table {
        &self.target.table
    }

    /// Whether rows have ids.
    fn has_row_lineage(&self) -> bool {
        self.table().format_version() >= FormatVersion::V3
    }

    /// The table's columns that the input has values of, by position.
    fn value_columns(&self) -> Vec<usize> {
        match self.insert {
            true => (0..self
                .table()
                .metadata()
                .current_schema()
                .as_struct()
                .fields()
                .len())
                .collect(),
            false => self.update_columns.clone(),
        }
    }
}
