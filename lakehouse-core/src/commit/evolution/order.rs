//! The order that new files are to have, and how rows are spread over them.

use std::collections::HashMap;
use std::fmt;

use iceberg::TableUpdate;
use iceberg::spec::{NullOrder, SortDirection, SortField, SortOrder, TableMetadata, Transform};

use super::ColumnPath;
use super::draft::Draft;
use crate::catalog::foreign_type::refuse_write;
use crate::commit::change::Step;
use crate::error::{Error, Result};
use crate::table::{Table, type_text};

/// The property that says how rows are spread over the writers.
const DISTRIBUTION_MODE: &str = "write.distribution-mode";

/// Says how new files are to be sorted; files that are there stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetSortOrder {
    /// By what rows are sorted; empty for no order.
    pub terms: Vec<SortTerm>,
    /// How rows are spread over writers; as it was when unset.
    pub distribution: Option<DistributionMode>,
}

/// One column, or transform of one, that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortTerm {
    /// The column.
    pub column: ColumnPath,
    /// What is done with its values before they are compared.
    pub transform: Transform,
    /// Up or down.
    pub direction: SortDirection,
    /// Where NULL goes.
    pub null_order: NullOrder,
}

/// How rows are spread over the writers of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionMode {
    /// As they come.
    None,
    /// Those of a partition together.
    Hash,
    /// In ranges of the sort order.
    Range,
}

impl fmt::Display for DistributionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Hash => "hash",
            Self::Range => "range",
        })
    }
}

impl SetSortOrder {
    /// What the change comes to on a table's state.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] for a column that is not there,
    /// [`crate::error::ErrorKind::InvalidInput`] for one that cannot be sorted by.
    pub fn updates(&self, metadata: &TableMetadata) -> Result<Vec<TableUpdate>> {
        refuse_write(metadata)?;
        let fields = self.fields(metadata).map_err(|(_, error)| error)?;
        let mut updates = Vec::new();
        if fields != metadata.default_sort_order().fields {
            let known = metadata
                .sort_orders_iter()
                .find(|order| order.fields == fields);
            match known {
                Some(known) => updates.push(TableUpdate::SetDefaultSortOrder {
                    sort_order_id: known.order_id,
                }),
                None => {
                    let highest = metadata
                        .sort_orders_iter()
                        .map(|order| order.order_id)
                        .max();
                    let order_id = match fields.is_empty() {
                        true => 0,
                        false => highest.unwrap_or(0).saturating_add(1),
                    };
                    updates.push(TableUpdate::AddSortOrder {
                        sort_order: SortOrder { order_id, fields },
                    });
                    updates.push(TableUpdate::SetDefaultSortOrder { sort_order_id: -1 });
                }
            }
        }
        if let Some(mode) = self.distribution {
            let mode = mode.to_string();
            if metadata.properties().get(DISTRIBUTION_MODE) != Some(&mode) {
                updates.push(TableUpdate::SetProperties {
                    updates: HashMap::from([(DISTRIBUTION_MODE.to_owned(), mode)]),
                });
            }
        }
        Ok(updates)
    }

    /// The term, by its place, that [`Self::updates`] refuses on this state.
    pub fn refused(&self, metadata: &TableMetadata) -> Option<usize> {
        self.fields(metadata).err().map(|(index, _)| index)
    }

    fn fields(
        &self,
        metadata: &TableMetadata,
    ) -> std::result::Result<Vec<SortField>, (usize, Error)> {
        let draft = Draft::new(metadata);
        let mut fields: Vec<SortField> = Vec::with_capacity(self.terms.len());
        for (index, term) in self.terms.iter().enumerate() {
            let field = term.field(&draft).map_err(|error| (index, error))?;
            let is_known = fields.iter().any(|known| {
                known.source_id == field.source_id && known.transform == field.transform
            });
            if is_known {
                let error = Error::invalid(format!("{} is in the sort order twice", term.column));
                return Err((index, error));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    pub(in crate::commit) fn plan(&self, table: &Table) -> Result<Step> {
        Ok(Step::of_metadata(table, self.updates(table.metadata())?))
    }
}

impl SortTerm {
    fn field(&self, draft: &Draft<'_>) -> Result<SortField> {
        let found = draft.find(&self.column)?;
        let refused = |why: String| {
            Err(Error::invalid(format!(
                "rows cannot be sorted by column {}: {why}",
                found.shown()
            )))
        };
        if found
            .parents
            .iter()
            .any(|parent| !parent.field_type.is_struct())
        {
            return refused("it is in a list or map".to_owned());
        }
        let kind = &found.field.field_type;
        if !kind.is_primitive() {
            return refused("its type is nested".to_owned());
        }
        if matches!(self.transform, Transform::Void | Transform::Unknown)
            || self.transform.result_type(kind).is_err()
        {
            return refused(format!(
                "transform {} does not take {}",
                self.transform,
                type_text(kind)
            ));
        }
        Ok(SortField {
            source_id: found.field.id,
            transform: self.transform,
            direction: self.direction,
            null_order: self.null_order,
        })
    }
}
