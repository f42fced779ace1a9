//! What updates of a table's definition stand on, and whether a table shows that they were applied.

use iceberg::spec::{PartitionSpec, Schema, TableMetadata, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};

use super::schema::is_same;

/// What must still hold for updates of a definition that were planned on `base`.
///
/// A change of columns also stands on spec and sort order, whose sources are never dropped, and a
/// change of those stands on the columns.
pub(in crate::commit) fn requirements(
    base: &TableMetadata,
    updates: &[TableUpdate],
) -> Vec<TableRequirement> {
    let touches = Touched::of(updates);
    let mut requirements = Vec::new();
    if touches.any() {
        requirements.push(TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: base.current_schema_id(),
        });
    }
    if touches.schema {
        requirements.push(TableRequirement::LastAssignedFieldIdMatch {
            last_assigned_field_id: base.last_column_id(),
        });
    }
    if touches.schema || touches.spec {
        requirements.push(TableRequirement::DefaultSpecIdMatch {
            default_spec_id: base.default_partition_spec_id(),
        });
    }
    if touches.spec {
        requirements.push(TableRequirement::LastAssignedPartitionIdMatch {
            last_assigned_partition_id: base.last_partition_id(),
        });
    }
    if touches.schema || touches.order {
        requirements.push(TableRequirement::DefaultSortOrderIdMatch {
            default_sort_order_id: base.default_sort_order_id(),
        });
    }
    requirements
}

/// Whether a table has a schema, spec or order that was added by these updates, planned on `base`
/// where there was none such.
pub(in crate::commit) fn is_added(
    updates: &[TableUpdate],
    base: &TableMetadata,
    now: &TableMetadata,
) -> bool {
    updates.iter().any(|update| {
        let adds = matches!(
            update,
            TableUpdate::AddSchema { .. }
                | TableUpdate::AddSpec { .. }
                | TableUpdate::AddSortOrder { .. }
        );
        adds && is_as_asked(update, updates, now) == Some(true)
            && is_as_asked(update, updates, base) == Some(false)
    })
}

/// Whether what updates of a definition had to find as `base` has it is no longer so.
pub(in crate::commit) fn has_moved(
    updates: &[TableUpdate],
    base: &TableMetadata,
    now: &TableMetadata,
) -> bool {
    requirements(base, updates)
        .iter()
        .any(|requirement| requirement.check(Some(now)).is_err())
}

/// Whether a table's definition is as this update, one of `updates`, asks; `None` for updates of
/// other things.
pub(in crate::commit) fn is_as_asked(
    update: &TableUpdate,
    updates: &[TableUpdate],
    now: &TableMetadata,
) -> Option<bool> {
    Some(match update {
        TableUpdate::UpgradeFormatVersion { format_version } => {
            now.format_version() >= *format_version
        }
        TableUpdate::SetLocation { location } => now.location() == location,
        // A schema, spec or order that is known was added, whatever became the current one since.
        TableUpdate::AddSchema { schema } => has_schema(now, schema),
        TableUpdate::AddSpec { spec } => has_spec(now, spec),
        TableUpdate::AddSortOrder { sort_order } => now
            .sort_orders_iter()
            .any(|known| known.fields == sort_order.fields),
        TableUpdate::SetCurrentSchema { schema_id: -1 } => {
            let adds = |update: &TableUpdate| matches!(update, TableUpdate::AddSchema { .. });
            updates.iter().any(adds)
        }
        TableUpdate::SetCurrentSchema { schema_id } => now.current_schema_id() == *schema_id,
        TableUpdate::SetDefaultSpec { spec_id: -1 } => {
            let adds = |update: &TableUpdate| matches!(update, TableUpdate::AddSpec { .. });
            updates.iter().any(adds)
        }
        TableUpdate::SetDefaultSpec { spec_id } => now.default_partition_spec_id() == *spec_id,
        TableUpdate::SetDefaultSortOrder { sort_order_id: -1 } => {
            let adds = |update: &TableUpdate| matches!(update, TableUpdate::AddSortOrder { .. });
            updates.iter().any(adds)
        }
        TableUpdate::SetDefaultSortOrder { sort_order_id } => {
            now.default_sort_order_id() == *sort_order_id
        }
        _ => return None,
    })
}

fn has_schema(now: &TableMetadata, schema: &Schema) -> bool {
    now.schemas_iter().any(|known| is_same(known, schema))
}

fn has_spec(now: &TableMetadata, spec: &UnboundPartitionSpec) -> bool {
    let is_equal = |known: &PartitionSpec| {
        let (known, asked) = (known.fields(), spec.fields());
        known.len() == asked.len()
            && known.iter().zip(asked).all(|(known, asked)| {
                known.source_id == asked.source_id
                    && known.name == asked.name
                    && known.transform == asked.transform
            })
    };
    now.partition_specs_iter().any(|known| is_equal(known))
}

/// Which parts of a definition updates touch.
struct Touched {
    schema: bool,
    spec: bool,
    order: bool,
}

impl Touched {
    fn of(updates: &[TableUpdate]) -> Self {
        let any = |test: fn(&TableUpdate) -> bool| updates.iter().any(test);
        Self {
            schema: any(|update| {
                matches!(
                    update,
                    TableUpdate::AddSchema { .. } | TableUpdate::SetCurrentSchema { .. }
                )
            }),
            spec: any(|update| {
                matches!(
                    update,
                    TableUpdate::AddSpec { .. } | TableUpdate::SetDefaultSpec { .. }
                )
            }),
            order: any(|update| {
                matches!(
                    update,
                    TableUpdate::AddSortOrder { .. } | TableUpdate::SetDefaultSortOrder { .. }
                )
            }),
        }
    }

    fn any(&self) -> bool {
        self.schema || self.spec || self.order
    }
}
