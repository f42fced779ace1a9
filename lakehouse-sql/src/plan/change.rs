//! DELETE, UPDATE and MERGE: one relational plan that finds the rows and computes new values.
//!
//! The plan gives a row for each change ([`RowChange::input_schema`]), and reads only the columns
//! that conditions and new values need; what is done with the rows is below the SQL.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::session_state::SessionState;
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::functions::core::named_struct;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::prelude::{Expr, lit};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast;
use iceberg::spec::{NestedFieldRef, Type};
use lakehouse_core::commit::RowStatement;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::lake::Lake;
use lakehouse_core::provider::{RowAction, RowChange, RowChangeNode, write_default};
use lakehouse_core::scan::{MetadataColumn, Predicate};

use super::conflict::{Condition, filters, read_again};
use super::{delete, merge, update};
use crate::exact_cast::assigned;
use crate::resolve::{ChangeKind, Changes, ColumnChange, NamedTarget, Value};

/// What a statement's rows are computed from.
pub(super) struct Found {
    /// The target, and what is read beside it: its columns are behind the target's.
    pub(super) input: LogicalPlan,
    /// The statement's expressions over them.
    items: Vec<Expr>,
    /// How many of the columns are the target's.
    target_columns: usize,
}

impl Found {
    /// Of expressions that are planned already.
    ///
    /// # Errors
    /// `Unsupported` for aggregates and window functions among them.
    pub(super) fn of(input: LogicalPlan, items: Vec<Expr>, target_columns: usize) -> Result<Self> {
        for item in &items {
            let is_of_many = |expr: &Expr| {
                Ok(matches!(
                    expr,
                    Expr::AggregateFunction(_) | Expr::WindowFunction(_)
                ))
            };
            if item.exists(is_of_many)? {
                return Err(one_row_at_a_time());
            }
        }
        Ok(Self {
            input,
            items,
            target_columns,
        })
    }

    /// The target's columns, metadata columns among them.
    pub(super) fn target(&self) -> Vec<Column> {
        let columns = self.input.schema().columns();
        columns.into_iter().take(self.target_columns).collect()
    }

    /// The columns of what is read beside the target.
    pub(super) fn others(&self) -> Vec<Column> {
        let columns = self.input.schema().columns();
        columns.into_iter().skip(self.target_columns).collect()
    }

    pub(super) fn item(&self, index: usize) -> Result<&Expr> {
        let item = self.items.get(index);
        item.ok_or_else(|| Error::internal("an expression that was not planned"))
    }

    /// A metadata column of the target.
    pub(super) fn metadata(&self, wanted: MetadataColumn) -> Result<Expr> {
        let own = self.target();
        // Behind the table's own, none of which has its name.
        let found = own.into_iter().rfind(|column| column.name == wanted.name());
        let found = found.ok_or_else(|| Error::internal("a target without metadata columns"))?;
        Ok(Expr::Column(found))
    }
}

/// How the table's columns get their values.
pub(super) struct Assigner<'a> {
    /// The table's columns in the format's form.
    pub(super) fields: &'a [NestedFieldRef],
    /// The types in which values are stored, one for each of the table's columns.
    pub(super) types: Vec<FieldRef>,
    found: &'a Found,
}

impl Assigner<'_> {
    /// The new value of a column: a whole one, or the old one with other fields.
    pub(super) fn changed(&self, column: usize, changes: &[&ColumnChange]) -> Result<Expr> {
        let data_type = self.data_type(column)?;
        if let [ColumnChange { fields, value, .. }] = changes
            && fields.is_empty()
        {
            return self.value(column, *value);
        }
        let own = self.found.target();
        let current = own
            .get(column)
            .cloned()
            .ok_or_else(|| Error::internal("a column is assigned that the target does not have"))?;
        let parts: Vec<(&[usize], Value)> = changes
            .iter()
            .map(|change| (change.fields.as_slice(), change.value))
            .collect();
        let field = self.fields.get(column);
        let field = field.ok_or_else(|| Error::internal("a field of no column is assigned"))?;
        let changed =
            self.with_fields(Expr::Column(current), data_type, &field.field_type, &parts)?;
        Ok(assigned(changed, data_type, field))
    }

    /// A value on its way into a whole column.
    pub(super) fn value(&self, column: usize, value: Value) -> Result<Expr> {
        let data_type = self.data_type(column)?;
        let field = self.fields.get(column);
        let field = field.ok_or_else(|| Error::internal("a value of no column"))?;
        match value {
            Value::Item(item) => Ok(assigned(self.found.item(item)?.clone(), data_type, field)),
            Value::Default => Ok(Expr::Literal(write_default(field, data_type)?, None)),
        }
    }

    pub(super) fn data_type(&self, column: usize) -> Result<&DataType> {
        let field = self.types.get(column);
        let field =
            field.ok_or_else(|| Error::internal("a column that the table does not have"))?;
        Ok(field.data_type())
    }

    /// A struct with other values of some fields. A struct that is NULL becomes one of NULLs: a
    /// field cannot be set in nothing.
    fn with_fields(
        &self,
        current: Expr,
        data_type: &DataType,
        field_type: &Type,
        changes: &[(&[usize], Value)],
    ) -> Result<Expr> {
        let (DataType::Struct(fields), Type::Struct(nested)) = (data_type, field_type) else {
            return Err(Error::internal("a field is assigned of what has none"));
        };
        let mut arguments = Vec::with_capacity(fields.len() * 2);
        for (index, (field, of_table)) in fields.iter().zip(nested.fields()).enumerate() {
            let inner: Vec<(&[usize], Value)> = changes
                .iter()
                .filter_map(|(path, value)| match path.split_first() {
                    Some((first, rest)) if *first == index => Some((rest, *value)),
                    _ => None,
                })
                .collect();
            let old = || current.clone().field(field.name().as_str());
            let value = match inner.as_slice() {
                [] => old(),
                [([], Value::Item(item))] => {
                    assigned(self.found.item(*item)?.clone(), field.data_type(), of_table)
                }
                [([], Value::Default)] => {
                    Expr::Literal(write_default(of_table, field.data_type())?, None)
                }
                inner => self.with_fields(old(), field.data_type(), &of_table.field_type, inner)?,
            };
            arguments.push(lit(field.name().as_str()));
            arguments.push(value);
        }
        Ok(named_struct().call(arguments))
    }
}

/// The rows of a change, and what the change is told about them.
pub(super) struct Planned {
    /// A column for each of the action, the row's place and, as `columns` says, new values.
    pub(super) rows: LogicalPlan,
    pub(super) columns: ChangedColumns,
    /// What is known about rows of the target that the change looks at.
    pub(super) condition: Condition,
    /// Whether a row may be named more than once, when each of its changes deletes it.
    pub(super) repeats: bool,
}

/// The columns that a change gives new values of.
#[derive(Debug, Clone, Default)]
pub(super) struct ChangedColumns {
    /// Those of updated rows, by place in the table.
    pub(super) updated: BTreeSet<usize>,
    /// Whether rows are inserted, with all columns.
    pub(super) inserts: bool,
}

impl ChangedColumns {
    /// The columns behind a row's place, by place in the table of `count` columns.
    pub(super) fn written(&self, count: usize) -> Vec<usize> {
        match self.inserts {
            true => (0..count).collect(),
            false => self.updated.iter().copied().collect(),
        }
    }
}

/// Plans a statement that changes rows.
pub(super) fn plan_changes<C: ContextProvider>(
    changes: Changes,
    lake: &Lake,
    planner: &SqlToRel<'_, C>,
    context: &C,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let Changes {
        target,
        key,
        query,
        kind,
        explain: _,
    } = changes;
    let read = context.get_table_source(key)?.schema();
    refuse_deleted_rows(&target, &read)?;
    let found = find_rows(query, read.fields().len(), planner)?;
    plan_found(target, kind, &found, lake, state)
}

/// Plans a change whose expressions are planned.
pub(super) fn plan_found(
    target: NamedTarget,
    kind: ChangeKind,
    found: &Found,
    lake: &Lake,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let NamedTarget {
        found: target,
        columns: _,
        terms,
    } = target;
    let statement = match kind {
        ChangeKind::Delete => RowStatement::Delete,
        ChangeKind::Update(_) => RowStatement::Update,
        ChangeKind::Merge(_) => RowStatement::Merge,
    };
    let mut change = RowChange {
        lake: lake.clone(),
        target,
        statement,
        update_columns: Vec::new(),
        insert: true,
        repeats: false,
        delete_filter: None,
        read_filter: None,
        removed: Vec::new(),
        conflict_filter: Predicate::AlwaysTrue,
        terms,
    };
    change.check()?;
    let table = change.target.table.clone();
    let fields = table.metadata().current_schema().as_struct().fields();
    let all = change.input_schema()?;
    let assigner = Assigner {
        fields,
        types: types_of(&all, fields.len()),
        found,
    };
    let planned = match kind {
        ChangeKind::Delete => delete::plan_delete(found)?,
        ChangeKind::Update(changes) => update::plan_update(&changes, found, &assigner)?,
        ChangeKind::Merge(clauses) => merge::plan_merge(&clauses, found, &assigner)?,
    };
    change.update_columns = planned.columns.updated.iter().copied().collect();
    change.insert = planned.columns.inserts;
    change.repeats = planned.repeats;
    let filters = filters(&planned.condition, found, &table, state)?;
    change.conflict_filter = filters.conflict;
    if statement == RowStatement::Delete {
        change.delete_filter = filters.exact;
    }
    let level = match change.terms.isolation {
        Some(level) => level,
        None => statement.isolation(&table)?,
    };
    // The statement's own scan of the target is one of them.
    change.read_filter = read_again(&planned.rows, 1, &table, level, state)?;
    Ok(RowChangeNode::try_new(change, planned.rows)?.into_plan())
}

/// The types of the table's columns, which are the last ones of an input that inserts.
fn types_of(input: &SchemaRef, count: usize) -> Vec<FieldRef> {
    let first = input.fields().len().saturating_sub(count);
    input.fields().iter().skip(first).cloned().collect()
}

/// A statement that names the column which says whether a row is deleted would read the deleted rows
/// of its target too, which are not there to be changed.
fn refuse_deleted_rows(target: &NamedTarget, read: &SchemaRef) -> Result<()> {
    let deleted = MetadataColumn::Deleted.name();
    let own = target.found.table.schema().as_struct().fields().len();
    let mut beside = read.fields().iter().skip(own);
    match beside.any(|column| column.name() == deleted) {
        true => Err(Error::unsupported(format!(
            "column {deleted} is not offered where rows of its table are changed: deleted rows are \
             not there for DELETE, UPDATE and MERGE; to read them, make a table of them first with \
             CREATE TABLE … AS SELECT"
        ))),
        false => Ok(()),
    }
}

/// Plans the query that holds a statement's expressions.
fn find_rows<C: ContextProvider>(
    query: Box<ast::Query>,
    target_columns: usize,
    planner: &SqlToRel<'_, C>,
) -> Result<Found> {
    let plan = planner
        .sql_statement_to_plan(ast::Statement::Query(query))
        .map_err(super::planning_error)?;
    let LogicalPlan::Projection(Projection { expr, input, .. }) = plan else {
        return Err(one_row_at_a_time());
    };
    let input = std::sync::Arc::unwrap_or_clone(input);
    if let LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Unnest(_) = &input {
        return Err(one_row_at_a_time());
    }
    let items = expr.into_iter().map(Expr::unalias).collect();
    Found::of(input, items, target_columns)
}

fn one_row_at_a_time() -> Error {
    Error::unsupported(
        "aggregates, window functions and unnest are not offered where rows are changed; put them \
         into a subquery",
    )
}

/// The columns by which a row is found: its file, its place there, and its id where it has one.
pub(super) fn place(found: &Found) -> Result<Vec<Expr>> {
    let mut place = Vec::with_capacity(3);
    for column in [MetadataColumn::File, MetadataColumn::Pos] {
        place.push(found.metadata(column)?.alias(column.name()));
    }
    if let Ok(id) = found.metadata(MetadataColumn::RowId) {
        place.push(id.alias(MetadataColumn::RowId.name()));
    }
    Ok(place)
}

/// A row's new value of a column, by a name that no other column of a change has.
pub(super) fn named_value(value: Expr, field: &NestedFieldRef) -> Expr {
    value.alias(format!("{} (new)", field.name))
}

/// An action's code as a value.
pub(super) fn code(action: RowAction) -> Expr {
    lit(action.code())
}

/// Rows in the form of a change's input.
pub(super) fn project(
    input: LogicalPlan,
    action: Expr,
    place: Vec<Expr>,
    values: Vec<Expr>,
) -> Result<LogicalPlan> {
    let mut columns = vec![action.alias(RowChange::ACTION)];
    columns.extend(place);
    columns.extend(values);
    Ok(LogicalPlanBuilder::from(input).project(columns)?.build()?)
}
