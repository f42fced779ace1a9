//! What was found out of functions of columns, as conditions that row groups and pages are skipped
//! by: the engine's own pruning does not know those functions.

use std::sync::Arc;

use arrow::datatypes::Schema as ArrowSchema;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNotNullExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, conjunction_opt};
use iceberg::spec::{Datum, Schema};

use super::super::values;
use super::prefix::after_prefix;
use super::{Converter, LIST_MAX};
use crate::scan::{Comparison, Predicate};

/// The conditions on columns that follow from those of `filters` that are on functions of columns,
/// in terms of `read`, the schema in which the columns come first; `None` when there are none.
pub(in crate::provider) fn derived_conditions(
    filters: &[Expr],
    schema: &Schema,
    read: &ArrowSchema,
) -> Option<Arc<dyn PhysicalExpr>> {
    let columns = Columns { schema, read };
    conjunction_opt(filters.iter().filter_map(|filter| {
        let converter = Converter::new(schema, false);
        let condition = converter.condition(filter, false);
        let condition = converter.derived.get().then_some(condition)?;
        columns.condition(&condition)
    }))
}

struct Columns<'a> {
    schema: &'a Schema,
    read: &'a ArrowSchema,
}

impl Columns<'_> {
    /// The condition, or one that holds for more; `None` when it says nothing.
    fn condition(&self, predicate: &Predicate) -> Option<Arc<dyn PhysicalExpr>> {
        match predicate {
            Predicate::And(parts) => {
                conjunction_opt(parts.iter().filter_map(|part| self.condition(part)))
            }
            Predicate::Or(parts) => {
                let parts: Option<Vec<_>> = parts.iter().map(|part| self.condition(part)).collect();
                parts?
                    .into_iter()
                    .reduce(|left, right| binary(left, Operator::Or, right))
            }
            Predicate::Compare {
                field_id,
                comparison,
                literal,
            } => self.compare(*field_id, operator(*comparison), literal),
            Predicate::In { field_id, literals } if literals.len() <= LIST_MAX => literals
                .iter()
                .map(|literal| self.compare(*field_id, Operator::Eq, literal))
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .reduce(|left, right| binary(left, Operator::Or, right)),
            Predicate::IsNotNull { field_id } => {
                let (column, _) = self.column(*field_id)?;
                Some(Arc::new(IsNotNullExpr::new(column)))
            }
            Predicate::StartsWith { field_id, prefix } => {
                let start = self.compare(*field_id, Operator::GtEq, &Datum::string(prefix))?;
                Some(match after_prefix(prefix) {
                    Some(end) => {
                        let end = self.compare(*field_id, Operator::Lt, &Datum::string(end))?;
                        binary(start, Operator::And, end)
                    }
                    None => start,
                })
            }
            Predicate::AlwaysFalse => {
                let never = ScalarValue::Boolean(Some(false));
                Some(Arc::new(Literal::new(never)))
            }
            _ => None,
        }
    }

    fn column(&self, field_id: i32) -> Option<(Arc<dyn PhysicalExpr>, usize)> {
        let fields = self.schema.as_struct().fields();
        let position = fields.iter().position(|field| field.id == field_id)?;
        let name = self.read.fields().get(position)?.name();
        Some((Arc::new(Column::new(name, position)), position))
    }

    fn compare(
        &self,
        field_id: i32,
        operator: Operator,
        literal: &Datum,
    ) -> Option<Arc<dyn PhysicalExpr>> {
        let (column, position) = self.column(field_id)?;
        let data_type = self.read.field(position).data_type();
        let value = values::scalar(literal.literal(), data_type)?;
        Some(binary(column, operator, Arc::new(Literal::new(value))))
    }
}

fn binary(
    left: Arc<dyn PhysicalExpr>,
    operator: Operator,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, operator, right))
}

fn operator(comparison: Comparison) -> Operator {
    match comparison {
        Comparison::Eq => Operator::Eq,
        Comparison::NotEq => Operator::NotEq,
        Comparison::Lt => Operator::Lt,
        Comparison::LtEq => Operator::LtEq,
        Comparison::Gt => Operator::Gt,
        Comparison::GtEq => Operator::GtEq,
    }
}
