//! `ALTER TABLE`: from what was written to one change of the table.

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Location;
use iceberg::spec::{FormatVersion, TableMetadata};
use lakehouse_core::commit::{
    Change, ColumnPath, DropReference, EvolvePartitions, EvolveSchema, NewColumn,
    NewPartitionField, PartitionFieldReference, PartitionOperation, Position, ReferenceMode,
    RemoveProperties, Retention, SchemaOperation, SetLocation, SetProperties, SetReference,
    SetSortOrder, SortTerm,
};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::FoundTable;
use lakehouse_core::table::ReferenceKind;

use super::default_value::default_value;
use crate::environment::Environment;
use crate::resolve::name;
use crate::sql_type::TypeReader;
use crate::statement::{
    AlterAction, ColumnChange, ColumnPosition, NewColumnDefinition, PartitionTerm, RefKind,
    RefOptions, WriteOrder,
};

/// Changes a table.
pub(super) async fn alter_table(
    found: &FoundTable,
    action: AlterAction,
    session: &Environment,
    state: &SessionState,
) -> Result<()> {
    let planned = change(action, found.table.metadata(), state).await?;
    let commits = session.access().lake().commits();
    let places = planned.places;
    // Which operation a refusal is about is only asked after one.
    let operations = Operations::of(&planned.change);
    match commits
        .commit(&found.catalog, found.table.ident(), planned.change)
        .await
    {
        Ok(_) => Ok(()),
        Err(error) => {
            let refused = operations.refused(found.table.metadata());
            Err(match refused.and_then(|index| places.get(index)) {
                Some(place) => at(error, *place),
                None => error,
            })
        }
    }
}

/// A change, and where each of its operations stands in the SQL.
struct Planned {
    change: Change,
    places: Vec<Location>,
}

impl From<Change> for Planned {
    fn from(change: Change) -> Self {
        Self {
            change,
            places: Vec::new(),
        }
    }
}

/// The operations of a change that is a list of them.
enum Operations {
    Schema(EvolveSchema),
    Partitions(EvolvePartitions),
    Order(SetSortOrder),
    One,
}

impl Operations {
    fn of(change: &Change) -> Self {
        match change {
            Change::EvolveSchema(change) => Self::Schema(change.clone()),
            Change::EvolvePartitions(change) => Self::Partitions(change.clone()),
            Change::SetSortOrder(change) => Self::Order(change.clone()),
            _ => Self::One,
        }
    }

    fn refused(&self, metadata: &TableMetadata) -> Option<usize> {
        match self {
            Self::Schema(change) => change.refused(metadata),
            Self::Partitions(change) => change.refused(metadata),
            Self::Order(change) => change.refused(metadata),
            Self::One => None,
        }
    }
}

async fn change(
    action: AlterAction,
    metadata: &TableMetadata,
    state: &SessionState,
) -> Result<Planned> {
    Ok(match action {
        AlterAction::AddPartitionField(term) => {
            partition_change(PartitionOperation::Add(new_field(&term)), &term)
        }
        AlterAction::DropPartitionField(term) => {
            partition_change(PartitionOperation::Drop(known_field(&term)), &term)
        }
        AlterAction::ReplacePartitionField { dropped, added } => {
            let operation = PartitionOperation::Replace {
                dropped: known_field(&dropped),
                added: new_field(&added),
            };
            partition_change(operation, &dropped)
        }
        AlterAction::Write(order) => sort_order(order),
        AlterAction::SetProperties(properties) => Change::from(SetProperties {
            properties: properties.into_iter().collect(),
        })
        .into(),
        AlterAction::UnsetProperties(keys) => Change::from(RemoveProperties { keys }).into(),
        AlterAction::SetLocation(location) => Change::from(SetLocation { location }).into(),
        AlterAction::Rename(_) => {
            return Err(Error::internal("a new name is no change of a table"));
        }
        AlterAction::CreateRef { .. }
        | AlterAction::ReplaceRef { .. }
        | AlterAction::DropRef { .. } => reference_change(action)?.into(),
        columns => return column_change(columns, metadata, state).await,
    })
}

/// Changes of columns.
async fn column_change(
    action: AlterAction,
    metadata: &TableMetadata,
    state: &SessionState,
) -> Result<Planned> {
    Ok(match action {
        AlterAction::AddColumns(columns) => {
            let mut operations = Vec::with_capacity(columns.len());
            for column in &columns {
                let place = place(&column.path);
                let new = new_column(column, metadata.format_version(), state).await;
                operations.push((SchemaOperation::Add(new.map_err(|e| at(e, place))?), place));
            }
            schema_change(operations)
        }
        AlterAction::DropColumns { columns, if_exists } => {
            schema_change(columns.iter().map(|column| {
                let operation = SchemaOperation::Drop {
                    column: path(column),
                    if_exists,
                };
                (operation, place(column))
            }))
        }
        AlterAction::RenameColumn {
            column,
            to,
            if_exists,
        } => {
            let operation = SchemaOperation::Rename {
                column: path(&column),
                name: to.value,
                if_exists,
            };
            schema_change([(operation, place(&column))])
        }
        AlterAction::AlterColumn { column, changes } => {
            let place = place(&column);
            let mut operations = Vec::with_capacity(changes.len());
            for change in changes {
                let operation = column_operation(&column, change, metadata, state).await;
                operations.push((operation.map_err(|error| at(error, place))?, place));
            }
            schema_change(operations)
        }
        AlterAction::SetIdentifierFields(columns) => {
            let operation = SchemaOperation::SetIdentifiers {
                columns: columns.iter().map(|column| path(column)).collect(),
            };
            let first = columns.first().map_or(&[][..], Vec::as_slice);
            schema_change([(operation, place(first))])
        }
        AlterAction::DropIdentifierFields(columns) => schema_change(columns.iter().map(|column| {
            let operation = SchemaOperation::DropIdentifiers {
                columns: vec![path(column)],
            };
            (operation, place(column))
        })),
        _ => return Err(Error::internal("expected a change of columns")),
    })
}

fn schema_change(operations: impl IntoIterator<Item = (SchemaOperation, Location)>) -> Planned {
    let (operations, places) = operations.into_iter().unzip();
    Planned {
        change: EvolveSchema { operations }.into(),
        places,
    }
}

fn partition_change(operation: PartitionOperation, term: &PartitionTerm) -> Planned {
    Planned {
        change: EvolvePartitions {
            operations: vec![operation],
        }
        .into(),
        places: vec![term.span.start],
    }
}

fn sort_order(order: WriteOrder) -> Planned {
    let places = order
        .terms
        .iter()
        .map(|term| term.term.span.start)
        .collect();
    let terms = order.terms.into_iter().map(|term| SortTerm {
        column: path(&term.term.source),
        transform: term.term.transform,
        direction: term.direction,
        null_order: term.null_order,
    });
    let change = SetSortOrder {
        terms: terms.collect(),
        distribution: order.distribution,
    };
    Planned {
        change: change.into(),
        places,
    }
}

async fn new_column(
    column: &NewColumnDefinition,
    format: FormatVersion,
    state: &SessionState,
) -> Result<NewColumn> {
    let Some((last, outer)) = column.path.split_last() else {
        return Err(Error::invalid("a column needs a name"));
    };
    let data_type = TypeReader::new(format).read(&column.data_type, &last.value)?;
    let default = match &column.default {
        Some(default) => default_value(default, &data_type, &last.value, state).await?,
        None => None,
    };
    Ok(NewColumn {
        parent: (!outer.is_empty()).then(|| path(outer)),
        required: !column.nullable,
        doc: column.comment.clone().filter(|comment| !comment.is_empty()),
        default,
        position: column.position.as_ref().map(position),
        if_not_exists: column.if_not_exists,
        ..NewColumn::new(&last.value, data_type)
    })
}

async fn column_operation(
    column: &[Ident],
    change: ColumnChange,
    metadata: &TableMetadata,
    state: &SessionState,
) -> Result<SchemaOperation> {
    let shown = || column.last().map_or("", |last| last.value.as_str());
    let column = path(column);
    Ok(match change {
        ColumnChange::Type(data_type) => SchemaOperation::SetType {
            column,
            data_type: TypeReader::new(metadata.format_version()).read(&data_type, shown())?,
        },
        ColumnChange::Comment(comment) => SchemaOperation::SetDoc {
            column,
            doc: Some(comment),
        },
        ColumnChange::Position(new) => SchemaOperation::Move {
            column,
            position: position(&new),
        },
        ColumnChange::SetNotNull => SchemaOperation::SetRequired { column },
        ColumnChange::DropNotNull => SchemaOperation::SetOptional { column },
        ColumnChange::SetDefault(default) => {
            let field_type = column.type_in(metadata)?;
            let default = default_value(&default, &field_type, shown(), state).await?;
            SchemaOperation::SetWriteDefault { column, default }
        }
        ColumnChange::DropDefault => SchemaOperation::SetWriteDefault {
            column,
            default: None,
        },
        ColumnChange::Name(to) => SchemaOperation::Rename {
            column,
            name: to.value,
            if_exists: false,
        },
    })
}

fn position(position: &ColumnPosition) -> Position {
    match position {
        ColumnPosition::First => Position::First,
        ColumnPosition::After(peer) => Position::After(name(peer)),
    }
}

fn new_field(term: &PartitionTerm) -> NewPartitionField {
    NewPartitionField {
        column: path(&term.source),
        transform: term.transform,
        name: term.name.as_ref().map(|name| name.value.clone()),
    }
}

fn known_field(term: &PartitionTerm) -> PartitionFieldReference {
    PartitionFieldReference::Term {
        column: path(&term.source),
        transform: term.transform,
    }
}

fn path(parts: &[Ident]) -> ColumnPath {
    ColumnPath::new(parts.iter().map(name))
}

fn place(parts: &[Ident]) -> Location {
    parts
        .first()
        .map_or(Location::empty(), |first| first.span.start)
}

/// The error with the place it is about, unless it has one.
fn at(error: Error, place: Location) -> Error {
    let is_placed = error.context().iter().any(|(key, _)| *key == "line");
    match is_placed || place.line == 0 {
        true => error,
        false => error
            .with_context("line", place.line)
            .with_context("column", place.column),
    }
}

fn reference_change(action: AlterAction) -> Result<Change> {
    Ok(match action {
        AlterAction::CreateRef {
            kind,
            name,
            or_replace,
            if_not_exists,
            options,
        } => {
            let mode = match or_replace {
                true => ReferenceMode::CreateOrReplace,
                false => ReferenceMode::Create { if_not_exists },
            };
            set_reference(kind, name.value, options, mode).into()
        }
        AlterAction::ReplaceRef {
            kind,
            name,
            options,
        } => set_reference(kind, name.value, options, ReferenceMode::Replace).into(),
        AlterAction::DropRef {
            kind,
            name,
            if_exists,
        } => DropReference {
            name: name.value,
            kind: reference_kind(kind),
            if_exists,
        }
        .into(),
        _ => return Err(Error::internal("expected a change of a branch or tag")),
    })
}

fn set_reference(
    kind: RefKind,
    name: String,
    options: RefOptions,
    mode: ReferenceMode,
) -> SetReference {
    SetReference {
        name,
        kind: reference_kind(kind),
        snapshot_id: options.snapshot_id,
        retention: Retention {
            ref_age_ms_max: options.ref_age_max_ms,
            snapshots_min: options.snapshots_min,
            snapshot_age_ms_max: options.snapshot_age_max_ms,
        },
        mode,
    }
}

fn reference_kind(kind: RefKind) -> ReferenceKind {
    match kind {
        RefKind::Branch => ReferenceKind::Branch,
        RefKind::Tag => ReferenceKind::Tag,
    }
}
