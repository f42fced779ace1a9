//! The types of a query's columns, as a table that is made of them has them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::Column;
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::Expr;
use iceberg::spec::{FormatVersion, NestedFieldRef, PrimitiveType, Type};
use lakehouse_core::error::Result;
use lakehouse_core::provider::LakeTable;
use lakehouse_core::table::uuid_field;

use crate::uuid_text::UUID;

/// The query with the types that its rows will have: a plan has those of a `UNION`'s first branch
/// and of the first value of a `CASE` until its types are coerced.
///
/// # Errors
/// Those of the analysis.
pub(crate) fn with_types_of_rows(query: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    // Nothing is known about parameters before they have their values.
    if !query.get_parameter_names()?.is_empty() {
        return Ok(query);
    }
    let options = state.config_options();
    let analyzer = state.analyzer();
    let analyzed = analyzer.execute_and_check(query.clone(), options, |_, _| {})?;
    let types = |plan: &LogicalPlan| -> Vec<DataType> {
        let fields = plan.schema().fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    Ok(match types(&analyzed) == types(&query) {
        true => query,
        false => analyzed,
    })
}

/// The columns of a table that holds the query's rows, in the types that a table of this version
/// has; all are nullable.
pub(crate) fn stored_fields(query: &LogicalPlan, format: FormatVersion) -> Vec<Field> {
    let columns = query.schema().iter();
    let stored = columns.map(|(qualifier, field)| {
        let like = origin(query, &Column::from((qualifier, field)));
        stored(field.name(), field.data_type(), like.as_ref(), format)
    });
    stored.collect()
}

/// The column as it is stored; `like` is the type of the table's column that it is, if it is one.
fn stored(name: &str, data_type: &DataType, like: Option<&Type>, format: FormatVersion) -> Field {
    let inner = |field: &FieldRef, like: Option<&NestedFieldRef>| {
        let like = like.map(|like| like.field_type.as_ref());
        Arc::new(stored(field.name(), field.data_type(), like, format))
    };
    let plain = |data_type| Field::new(name, data_type, true);
    match data_type {
        // The engine's own timestamps are nanoseconds; format 3 alone has them.
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if format != FormatVersion::V3 => {
            plain(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        // Counts, none of which is beyond a BIGINT; what is, is refused when it is stored.
        DataType::UInt64 => plain(DataType::Int64),
        // A cast makes UUIDs of it; only another table's column is known to be something else.
        uuid if *uuid == UUID => {
            let is_fixed = matches!(like, Some(Type::Primitive(PrimitiveType::Fixed(_))));
            match is_fixed {
                true => plain(UUID),
                false => uuid_field(name),
            }
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _) => {
            let like = like.and_then(|like| match like {
                Type::List(list) => Some(&list.element_field),
                _ => None,
            });
            plain(DataType::List(inner(element, like)))
        }
        DataType::Struct(fields) => {
            let likes = match like {
                Some(Type::Struct(like)) => like.fields(),
                _ => &[],
            };
            let fields = fields.iter().enumerate();
            let fields = fields.map(|(index, field)| inner(field, likes.get(index)));
            plain(DataType::Struct(fields.collect()))
        }
        DataType::Map(entries, is_sorted) => {
            let likes = match like {
                Some(Type::Map(map)) => [Some(&map.key_field), Some(&map.value_field)],
                _ => [None; 2],
            };
            let DataType::Struct(pair) = entries.data_type() else {
                return plain(data_type.clone());
            };
            let pair = pair.iter().zip(likes).enumerate();
            let pair = pair.map(|(index, (field, like))| {
                let field = inner(field, like);
                Arc::new(field.as_ref().clone().with_nullable(index > 0))
            });
            let pair = DataType::Struct(pair.collect());
            let entries = Field::new(entries.name(), pair, false);
            plain(DataType::Map(Arc::new(entries), *is_sorted))
        }
        other => plain(other.clone()),
    }
}

/// The type of the table's column that a column of a plan is, unchanged.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<Type> {
    let index = plan.schema().maybe_index_of_column(column)?;
    let at = |input: &LogicalPlan| {
        let field = input.schema().iter().nth(index)?;
        origin(input, &Column::from(field))
    };
    match plan {
        LogicalPlan::Projection(projection) => {
            let mut value = projection.expr.get(index)?;
            while let Expr::Alias(alias) = value {
                value = &alias.expr;
            }
            match value {
                Expr::Column(column) => origin(&projection.input, column),
                _ => None,
            }
        }
        LogicalPlan::SubqueryAlias(alias) => at(&alias.input),
        // A UUID of one branch makes UUIDs of all.
        LogicalPlan::Union(union) => {
            let mut origins = union.inputs.iter().map(|input| at(input));
            let first = origins.next()??;
            origins
                .all(|origin| origin.as_ref() == Some(&first))
                .then_some(first)
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let table = provider.as_any().downcast_ref::<LakeTable>()?;
            let fields = table.table().schema().as_struct();
            let field = fields.field_by_name(&column.name)?;
            Some(field.field_type.as_ref().clone())
        }
        other => other
            .inputs()
            .into_iter()
            .find_map(|input| origin(input, column)),
    }
}
