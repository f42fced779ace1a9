//! New tables and new definitions of tables, with the rows of a query or without.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast;
use iceberg::spec::{
    FormatVersion, NestedField, NestedFieldRef, Schema, Transform, Type, UnboundPartitionSpec,
};
use lakehouse_core::commit::{FileChange, FilesOnFailure, NewTable};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::lake::FoundTable;
use lakehouse_core::name::{hint, quote};
use lakehouse_core::provider::{WrittenRows, write_plan};
use lakehouse_core::table::{Table, iceberg_schema, read_schema};

use super::QueryResult;
use super::default_value::default_value;
use super::overtaken::overtaken;
use crate::environment::Environment;
use crate::exact_cast::{cast_type, exact_casts};
use crate::query_type::{stored_fields, with_types_of_rows};
use crate::resolve::{TableTarget, audit_of_write, name, refuse_audited};
use crate::sql_type::TypeReader;
use crate::statement::{CreateMode, CreateTable, PartitionTerm, TYPE_DEPTH_MAX};

/// The property of a statement that chooses the Iceberg format version.
const FORMAT_VERSION: &str = "format-version";

/// Makes a table; with a source, its first snapshot holds the source's rows, in one commit. Where
/// the definition says `IF NOT EXISTS`, a table that somebody else made meanwhile is no error; where
/// it says `OR REPLACE`, that one is to be replaced, see [`overtaken`].
pub(super) async fn create_table(
    target: TableTarget,
    definition: CreateTable,
    source: Option<LogicalPlan>,
    session: &Environment,
    state: &SessionState,
) -> Result<QueryResult> {
    let (mode, named) = (definition.mode, target.clone());
    let source = source
        .map(|source| with_types_of_rows(source, state))
        .transpose()?;
    let error = match new_table_of(target, definition, source, session, state).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && mode != CreateMode::New => error,
        made => return made,
    };
    match (mode, named.is_free().await?) {
        (_, true) => Err(overtaken(named.ident)),
        (CreateMode::NewOrNothing, false) => Ok(QueryResult::empty()),
        // What is no table, such as a view, is not replaced.
        _ => match named.catalog.is_droppable(&named.ident).await? {
            true => Err(overtaken(named.ident)),
            false => Err(error),
        },
    }
}

async fn new_table_of(
    target: TableTarget,
    definition: CreateTable,
    source: Option<LogicalPlan>,
    session: &Environment,
    state: &SessionState,
) -> Result<QueryResult> {
    let new = new_table(definition, source.as_ref(), FormatVersion::V2, state).await?;
    let lake = session.access().lake();
    let commits = lake.commits();
    let staged = commits.stage(&target.catalog, &target.ident, new).await?;
    let Some(source) = source else {
        let _ = commits.create(&target.catalog, &staged, None).await?;
        return Ok(QueryResult::empty());
    };
    let audit = audit_of_write(&staged, &session.variables().wap)?;
    let written = write_source(source, &staged, session, state).await?;
    let rows = written.rows;
    let first = (!written.files.is_empty()).then(|| {
        let rows = FileChange::append(&staged, written.files)
            .with_summary(session.variables().write.summary)
            .with_files_on_failure(FilesOnFailure::Delete);
        audit.of_rows(rows)
    });
    let _ = commits.create(&target.catalog, &staged, first).await?;
    count_of(rows)
}

/// Puts another definition and the rows of a source, or none, in the place of a table's, in one
/// commit.
pub(super) async fn replace_table(
    found: &FoundTable,
    definition: CreateTable,
    source: Option<LogicalPlan>,
    session: &Environment,
    state: &SessionState,
) -> Result<QueryResult> {
    let (base, mode) = (&found.table, definition.mode);
    let source = source
        .map(|source| with_types_of_rows(source, state))
        .transpose()?;
    let new = new_table(definition, source.as_ref(), base.format_version(), state).await?;
    let lake = session.access().lake();
    let commits = lake.commits();
    let mut replacement = commits.stage_replacement(base, new).await?;
    let wap = session.variables().wap;
    refuse_audited(replacement.staged(), &wap, "a new definition")?;
    let mut rows = None;
    if let Some(source) = source {
        let written = write_source(source, replacement.staged(), session, state).await?;
        rows = Some(written.rows);
        replacement = replacement.with_files(written.files);
    }
    let replacement = replacement.with_summary(session.variables().write.summary);
    let replaced = commits
        .commit(&found.catalog, base.ident(), replacement)
        .await;
    match replaced {
        Ok(_) => rows.map_or_else(|| Ok(QueryResult::empty()), count_of),
        Err(error) => {
            let target = TableTarget::of(found);
            let is_gone = mode == CreateMode::NewOrReplace
                && error.kind() == ErrorKind::NotFound
                && target.is_free().await?;
            Err(if is_gone {
                overtaken(target.ident)
            } else {
                error
            })
        }
    }
}

/// A definition as the lake takes it, in `format` unless it says another.
async fn new_table(
    definition: CreateTable,
    source: Option<&LogicalPlan>,
    format: FormatVersion,
    state: &SessionState,
) -> Result<NewTable> {
    let mut properties = properties(&definition)?;
    let format = format_version(&mut properties)?.unwrap_or(format);
    let schema = match source {
        Some(source) => source_schema(source, &definition.columns, format)?,
        None => defined_schema(&definition.columns, format, state).await?,
    };
    let partition_spec = partition_spec(&definition.partitioned_by, &schema)?;
    Ok(NewTable {
        schema,
        partition_spec,
        sort_order: None,
        properties,
        location: definition.location,
        format_version: format,
    })
}

async fn write_source(
    source: LogicalPlan,
    staged: &Table,
    session: &Environment,
    state: &SessionState,
) -> Result<WrittenRows> {
    let (lake, write) = (session.access().lake(), session.variables().write);
    let plan = source_plan(source, staged, state).await?;
    let context = state.task_ctx();
    let properties = write.properties.clone().into_iter().collect();
    write_plan(lake, staged, plan, properties, &context).await
}

fn count_of(rows: u64) -> Result<QueryResult> {
    let schema = Arc::new(ArrowSchema::new(vec![Field::new(
        "count",
        DataType::UInt64,
        false,
    )]));
    let rows: UInt64Array = [rows].into_iter().collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(rows)])?;
    Ok(QueryResult::of_batches(schema, vec![batch], false))
}

fn properties(definition: &CreateTable) -> Result<HashMap<String, String>> {
    let mut properties: HashMap<_, _> = definition.properties.iter().cloned().collect();
    if let Some(comment) = &definition.comment {
        properties.insert("comment".to_owned(), comment.clone());
    }
    Ok(properties)
}

/// Takes the format version out of the properties: it is never stored as one.
fn format_version(properties: &mut HashMap<String, String>) -> Result<Option<FormatVersion>> {
    let Some(text) = properties.remove(FORMAT_VERSION) else {
        return Ok(None);
    };
    match text.trim() {
        "1" => Ok(Some(FormatVersion::V1)),
        "2" => Ok(Some(FormatVersion::V2)),
        "3" => Ok(Some(FormatVersion::V3)),
        other => Err(Error::unsupported(format!(
            "format-version {other:?} is not offered; expected 1, 2 or 3"
        ))),
    }
}

/// The schema of a column list.
async fn defined_schema(
    columns: &[crate::statement::ColumnDefinition],
    format: FormatVersion,
    state: &SessionState,
) -> Result<Schema> {
    if columns.is_empty() {
        return Err(Error::invalid("a new table needs a column at least"));
    }
    let mut types = TypeReader::new(format);
    let ids: Vec<i32> = columns.iter().map(|_| types.next_id()).collect();
    let mut fields: Vec<NestedFieldRef> = Vec::with_capacity(columns.len());
    for (id, column) in ids.into_iter().zip(columns) {
        let field_type = types.read(&column.data_type, &column.name.value)?;
        let field = NestedField::new(id, &column.name.value, field_type, !column.nullable);
        let mut field = match &column.comment {
            Some(comment) => field.with_doc(comment),
            None => field,
        };
        if let Some(default) = &column.default {
            let value = default_value(default, &field.field_type, &field.name, state).await?;
            field.initial_default = value.clone();
            field.write_default = value;
        }
        fields.push(Arc::new(field));
    }
    checked_schema(fields)
}

/// The schema of a query's rows, under the names of a column list when there is one. Columns are
/// nullable, as in Spark, because a query's nullability is a guess of the planner.
fn source_schema(
    source: &LogicalPlan,
    columns: &[crate::statement::ColumnDefinition],
    format: FormatVersion,
) -> Result<Schema> {
    let mut fields = stored_fields(source, format);
    if !columns.is_empty() && columns.len() != fields.len() {
        return Err(Error::invalid(format!(
            "the column list has {} names, the query has {} columns",
            columns.len(),
            fields.len()
        )));
    }
    if columns
        .iter()
        .any(|column| column.data_type != ast::DataType::Unspecified)
    {
        return Err(Error::unsupported(
            "CREATE TABLE … AS takes column names without types; cast in the query instead",
        ));
    }
    for (field, column) in fields.iter_mut().zip(columns) {
        field.set_name(&column.name.value);
    }
    let schema = iceberg_schema(&ArrowSchema::new(fields), format)?;
    checked_schema(schema.as_struct().fields().to_vec())
}

/// Names must differ in more than case, or no unquoted name could mean them; types must be shallow
/// enough to be read again, also those that come from a query.
fn checked_schema(fields: Vec<NestedFieldRef>) -> Result<Schema> {
    for (index, field) in fields.iter().enumerate() {
        if field.name.is_empty() {
            return Err(Error::invalid("a column needs a name"));
        }
        if type_depth(&field.field_type) > TYPE_DEPTH_MAX {
            return Err(Error::unsupported(format!(
                "the type of column {} nests more than {TYPE_DEPTH_MAX} deep",
                quote(&field.name)
            )));
        }
        let folded = field.name.to_lowercase();
        if let Some(twin) = fields[..index]
            .iter()
            .find(|other| other.name.to_lowercase() == folded)
        {
            return Err(Error::invalid(format!(
                "columns {} and {} have the same name",
                quote(&twin.name),
                quote(&field.name)
            )));
        }
    }
    Ok(Schema::builder().with_fields(fields).build()?)
}

fn type_depth(field_type: &Type) -> usize {
    1 + match field_type {
        Type::Primitive(_) => 0,
        Type::Struct(fields) => {
            let depths = fields
                .fields()
                .iter()
                .map(|field| type_depth(&field.field_type));
            depths.max().unwrap_or(0)
        }
        Type::List(list) => type_depth(&list.element_field.field_type),
        Type::Map(map) => {
            let key = type_depth(&map.key_field.field_type);
            key.max(type_depth(&map.value_field.field_type))
        }
    }
}

fn partition_spec(
    terms: &[PartitionTerm],
    schema: &Schema,
) -> Result<Option<UnboundPartitionSpec>> {
    if terms.is_empty() {
        return Ok(None);
    }
    let mut builder = UnboundPartitionSpec::builder();
    for term in terms {
        let (id, path) = source_column(term, schema)?;
        let name = match &term.name {
            Some(name) => name.value.clone(),
            None => default_partition_name(&path, term.transform),
        };
        builder = builder
            .add_partition_field(id, name, term.transform)
            .map_err(|error| {
                let error = Error::invalid("the partitioning is not possible").with_source(error);
                at_term(error, term)
            })?;
    }
    let spec = builder.build();
    // Binding checks that each transform takes its column's type.
    spec.clone().bind(schema.clone()).map_err(|error| {
        let error = Error::from(error);
        Error::invalid("the partitioning does not fit the columns").with_source(error)
    })?;
    Ok(Some(spec))
}

/// The column of a partition term, by its path without regard to case.
fn source_column(term: &PartitionTerm, schema: &Schema) -> Result<(i32, String)> {
    let mut fields = schema.as_struct().fields();
    let mut path: Vec<&str> = Vec::new();
    let mut found: Option<&NestedFieldRef> = None;
    for part in &term.source {
        let field = name(part)
            .find(fields, |field| &field.name)?
            .ok_or_else(|| {
                let names = fields.iter().map(|field| field.name.as_str());
                let hint = hint(&part.value, names);
                at_term(
                    Error::not_found(format!("there is no column {part} to partition by{hint}")),
                    term,
                )
            })?;
        path.push(&field.name);
        found = Some(field);
        fields = match field.field_type.as_ref() {
            Type::Struct(inner) => inner.fields(),
            _ => &[],
        };
    }
    let field =
        found.ok_or_else(|| at_term(Error::invalid("expected a column to partition by"), term))?;
    Ok((field.id, path.join(".")))
}

/// The names that Iceberg's Java library gives.
pub(super) fn default_partition_name(path: &str, transform: Transform) -> String {
    match transform {
        Transform::Identity => path.to_owned(),
        Transform::Bucket(_) => format!("{path}_bucket"),
        Transform::Truncate(_) => format!("{path}_trunc"),
        other => format!("{path}_{other}"),
    }
}

fn at_term(error: Error, term: &PartitionTerm) -> Error {
    error
        .with_context("line", term.span.start.line)
        .with_context("column", term.span.start.column)
}

/// The source's rows in the new table's schema.
async fn source_plan(
    source: LogicalPlan,
    staged: &Table,
    state: &SessionState,
) -> Result<Arc<dyn ExecutionPlan>> {
    let wanted = DFSchema::try_from(read_schema(staged.schema())?)?;
    let given = Arc::clone(source.schema());
    let columns = given.iter().zip(wanted.fields());
    let casts: Vec<Expr> = columns
        .map(|((qualifier, field), target)| {
            let column = Expr::Column(datafusion::common::Column::from((qualifier, field)));
            let cast_type = cast_type(field.data_type(), target.data_type());
            let cast = column.cast_to(&cast_type, given.as_ref())?;
            Ok(cast.alias(target.name()))
        })
        .collect::<datafusion::error::Result<_>>()?;
    let plan = LogicalPlanBuilder::from(source).project(casts)?.build()?;
    let plan = exact_casts(plan, &[], state.config_options())?;
    Ok(state.create_physical_plan(&plan).await?)
}
