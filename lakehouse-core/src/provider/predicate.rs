//! From the engine's filters to what planning may skip files by.
//!
//! The result holds for every row for which the filter is true, and may hold for more: whatever is
//! not understood says nothing. Negation is pushed to the leaves on the way, so a half-understood
//! condition never ends up below a NOT.

mod exact;
mod fit;
mod function;
mod physical;
mod prefix;
mod range;
mod time;

use std::cell::Cell;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator};
use iceberg::spec::{Datum, NestedFieldRef, PrimitiveType, Schema, Type};

use super::pruning::keeps_order;
use crate::scan::{Comparison, Predicate};
use crate::table::{self, Table};
use arrow::datatypes::DataType;
pub use exact::exact_predicate;
use fit::{Fit, fit};
pub(super) use physical::derived_conditions;

/// A list longer than this says nothing: comparing it with every file would cost more than it saves.
const LIST_MAX: usize = 1_000;

/// The conjunction of `filters` as far as planning can use it.
pub(super) fn convert(filters: &[Expr], schema: &Schema) -> Predicate {
    Converter::new(schema, false).conjunction(filters)
}

/// What is true of the rows of a table for which all of `filters` are true, as far as it can be said
/// of files: it may hold for more rows.
pub fn filter_predicate(filters: &[Expr], table: &Table) -> Predicate {
    convert(filters, table.schema())
}

/// As [`convert`], with conditions on fields of structs that are never NULL themselves.
pub(super) fn convert_nested(filters: &[Expr], schema: &Schema) -> Predicate {
    Converter::new(schema, true).conjunction(filters)
}

fn all(parts: Vec<Predicate>) -> Predicate {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Predicate::AlwaysTrue => {}
            Predicate::AlwaysFalse => return Predicate::AlwaysFalse,
            Predicate::And(inner) => kept.extend(inner),
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Predicate::AlwaysTrue,
        1 => kept.swap_remove(0),
        _ => Predicate::And(kept),
    }
}

fn any(parts: Vec<Predicate>) -> Predicate {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Predicate::AlwaysFalse => {}
            Predicate::AlwaysTrue => return Predicate::AlwaysTrue,
            Predicate::Or(inner) => kept.extend(inner),
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Predicate::AlwaysFalse,
        1 => kept.swap_remove(0),
        _ => Predicate::Or(kept),
    }
}

/// A column below casts that change nothing of how it compares.
struct ColumnOperand<'a> {
    field_id: i32,
    kind: &'a PrimitiveType,
    /// What the casts make of it.
    shown: DataType,
}

struct Converter<'a> {
    schema: &'a Schema,
    /// Whether fields of structs are looked into.
    nested: bool,
    /// Whether a condition on a function of a column became one on the column.
    derived: Cell<bool>,
}

impl<'a> Converter<'a> {
    fn new(schema: &'a Schema, nested: bool) -> Self {
        let derived = Cell::new(false);
        Self {
            schema,
            nested,
            derived,
        }
    }

    fn conjunction(&self, filters: &[Expr]) -> Predicate {
        all(filters
            .iter()
            .map(|filter| self.condition(filter, false))
            .collect())
    }

    /// What holds for rows for which `expr` is true, or false when `negated`.
    fn condition(&self, expr: &Expr, negated: bool) -> Predicate {
        match expr {
            Expr::Alias(alias) => self.condition(&alias.expr, negated),
            Expr::Not(inner) => self.condition(inner, !negated),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                self.binary(left, *op, right, negated)
            }
            Expr::Literal(ScalarValue::Boolean(value), _) => match value {
                Some(value) if *value != negated => Predicate::AlwaysTrue,
                // NULL is neither true nor false.
                _ => Predicate::AlwaysFalse,
            },
            Expr::Column(_) => self.compare(expr, Comparison::Eq, &ScalarValue::from(!negated)),
            Expr::IsNull(inner) => self.is_null(inner, !negated),
            Expr::IsNotNull(inner) => self.is_null(inner, negated),
            Expr::IsTrue(inner) if !negated => self.condition(inner, false),
            Expr::IsFalse(inner) if !negated => self.condition(inner, true),
            // "Not known to be true" holds for NULL too: false only when the inner one is true.
            Expr::IsNotTrue(inner) if negated => self.condition(inner, false),
            Expr::IsNotFalse(inner) if negated => self.condition(inner, true),
            Expr::Between(between) => self.between(between, negated),
            Expr::InList(list) => self.in_list(list, negated),
            Expr::Like(like) if !negated => self.like(like),
            Expr::ScalarFunction(function) if !negated => self.starts_with(function),
            _ => Predicate::AlwaysTrue,
        }
    }

    fn binary(&self, left: &Expr, op: Operator, right: &Expr, negated: bool) -> Predicate {
        let parts = || {
            vec![
                self.condition(left, negated),
                self.condition(right, negated),
            ]
        };
        let comparison = match op {
            Operator::And if negated => return any(parts()),
            Operator::And => return all(parts()),
            Operator::Or if negated => return all(parts()),
            Operator::Or => return any(parts()),
            Operator::Eq => Comparison::Eq,
            Operator::NotEq => Comparison::NotEq,
            Operator::Lt => Comparison::Lt,
            Operator::LtEq => Comparison::LtEq,
            Operator::Gt => Comparison::Gt,
            Operator::GtEq => Comparison::GtEq,
            _ => return Predicate::AlwaysTrue,
        };
        let comparison = if negated {
            opposite(comparison)
        } else {
            comparison
        };
        match (left, right) {
            (column, Expr::Literal(value, _)) => self.compare(column, comparison, value),
            (Expr::Literal(value, _), column) => self.compare(column, mirrored(comparison), value),
            _ => Predicate::AlwaysTrue,
        }
    }

    fn compare(&self, column: &Expr, comparison: Comparison, value: &ScalarValue) -> Predicate {
        if value.is_null() {
            return match self.operand(column) {
                // Never true, whatever the column holds.
                Some(_) => Predicate::AlwaysFalse,
                None => Predicate::AlwaysTrue,
            };
        }
        let Some(operand) = self.operand(column) else {
            return match self.compare_function(column, comparison, value) {
                Some(derived) => {
                    self.derived.set(true);
                    derived
                }
                None => Predicate::AlwaysTrue,
            };
        };
        match fit(value, operand.kind) {
            Some(fitted) => compare_fitted(operand.field_id, comparison, fitted),
            None => Predicate::AlwaysTrue,
        }
    }

    fn is_null(&self, inner: &Expr, is_null: bool) -> Predicate {
        // Any column will do, nested ones too; casts that keep the order fail for no value.
        let field_id = match inner {
            Expr::Column(_) => self.field_of(inner).map(|field| field.id),
            other => self.operand(other).map(|operand| operand.field_id),
        };
        match field_id {
            Some(field_id) if is_null => Predicate::IsNull { field_id },
            Some(field_id) => Predicate::IsNotNull { field_id },
            None => Predicate::AlwaysTrue,
        }
    }

    fn between(&self, between: &Between, negated: bool) -> Predicate {
        let (Expr::Literal(low, _), Expr::Literal(high, _)) =
            (between.low.as_ref(), between.high.as_ref())
        else {
            return Predicate::AlwaysTrue;
        };
        if between.negated == negated {
            all(vec![
                self.compare(&between.expr, Comparison::GtEq, low),
                self.compare(&between.expr, Comparison::LtEq, high),
            ])
        } else {
            any(vec![
                self.compare(&between.expr, Comparison::Lt, low),
                self.compare(&between.expr, Comparison::Gt, high),
            ])
        }
    }

    fn in_list(&self, list: &InList, negated: bool) -> Predicate {
        if list.list.len() > LIST_MAX {
            return Predicate::AlwaysTrue;
        }
        let comparison = if list.negated == negated {
            Comparison::Eq
        } else {
            Comparison::NotEq
        };
        let mut parts = Vec::with_capacity(list.list.len());
        for value in &list.list {
            let Expr::Literal(value, _) = value else {
                return Predicate::AlwaysTrue;
            };
            parts.push(self.compare(&list.expr, comparison, value));
        }
        if comparison == Comparison::Eq {
            any(together(parts))
        } else {
            all(parts)
        }
    }

    fn like(&self, like: &Like) -> Predicate {
        let Expr::Literal(pattern, _) = like.pattern.as_ref() else {
            return Predicate::AlwaysTrue;
        };
        let (false, false, Some(Some(pattern))) =
            (like.negated, like.case_insensitive, pattern.try_as_str())
        else {
            return Predicate::AlwaysTrue;
        };
        // A backslash may escape what follows: the prefix ends before it.
        let escape = like.escape_char.unwrap_or('\\');
        let end = pattern
            .find(['%', '_', '\\', escape])
            .unwrap_or(pattern.len());
        self.prefix(&like.expr, &pattern[..end])
    }

    fn starts_with(&self, function: &ScalarFunction) -> Predicate {
        match (function.name(), function.args.as_slice()) {
            ("starts_with", [text, Expr::Literal(prefix, _)]) => match prefix.try_as_str() {
                Some(Some(prefix)) => self.prefix(text, prefix),
                _ => Predicate::AlwaysTrue,
            },
            _ => Predicate::AlwaysTrue,
        }
    }

    fn prefix(&self, text: &Expr, prefix: &str) -> Predicate {
        match self.operand(text) {
            Some(operand) if *operand.kind == PrimitiveType::String => {
                self.derived.set(true);
                Predicate::StartsWith {
                    field_id: operand.field_id,
                    prefix: prefix.to_owned(),
                }
            }
            _ => Predicate::AlwaysTrue,
        }
    }

    fn field(&self, name: &str) -> Option<&'a NestedFieldRef> {
        let fields = self.schema.as_struct().fields();
        fields.iter().find(|field| field.name == name)
    }

    /// The field of a column, or of a path into its structs.
    fn field_of(&self, expr: &Expr) -> Option<&'a NestedFieldRef> {
        match expr {
            Expr::Column(column) => self.field(&column.name),
            Expr::ScalarFunction(function) if self.nested && function.name() == "get_field" => {
                let (outer, path) = function.args.split_first()?;
                let mut field = self.field_of(outer)?;
                for name in path {
                    let (Type::Struct(inner), Expr::Literal(name, _)) =
                        (field.field_type.as_ref(), name)
                    else {
                        return None;
                    };
                    let name = name.try_as_str()??;
                    field = inner.fields().iter().find(|field| field.name == name)?;
                }
                Some(field)
            }
            _ => None,
        }
    }

    fn operand(&self, expr: &Expr) -> Option<ColumnOperand<'a>> {
        match expr {
            Expr::Column(_) | Expr::ScalarFunction(_) => {
                let field = self.field_of(expr)?;
                let Type::Primitive(kind) = field.field_type.as_ref() else {
                    return None;
                };
                Some(ColumnOperand {
                    field_id: field.id,
                    kind,
                    shown: table::read_type(&field.field_type).ok()?,
                })
            }
            Expr::Alias(alias) => self.operand(&alias.expr),
            Expr::Cast(Cast { expr, data_type }) => {
                let inner = self.operand(expr)?;
                // Values and literals of the two types are the same numbers or texts. A cast to a
                // float may round, so that a literal names more values than itself, and the day
                // of a time names all times of it.
                let is_same = keeps_order(&inner.shown, data_type)
                    && (!data_type.is_floating() || inner.shown == DataType::Float32)
                    && !(inner.shown.is_temporal() && *data_type == DataType::Date32);
                is_same.then(|| ColumnOperand {
                    shown: data_type.clone(),
                    ..inner
                })
            }
            _ => None,
        }
    }
}

fn compare_fitted(field_id: i32, comparison: Comparison, fitted: Fit) -> Predicate {
    let never = Predicate::AlwaysFalse;
    let unless_null = Predicate::IsNotNull { field_id };
    let compare = |comparison, literal| Predicate::Compare {
        field_id,
        comparison,
        literal,
    };
    match fitted {
        Fit::Exact(literal) => compare(comparison, literal),
        Fit::After(floor) => match comparison {
            Comparison::Eq => never,
            Comparison::NotEq => unless_null,
            Comparison::Lt | Comparison::LtEq => compare(Comparison::LtEq, floor),
            Comparison::Gt | Comparison::GtEq => compare(Comparison::Gt, floor),
        },
        Fit::Above => match comparison {
            Comparison::Eq | Comparison::Gt | Comparison::GtEq => never,
            Comparison::NotEq | Comparison::Lt | Comparison::LtEq => unless_null,
        },
        Fit::Below => match comparison {
            Comparison::Eq | Comparison::Lt | Comparison::LtEq => never,
            Comparison::NotEq | Comparison::Gt | Comparison::GtEq => unless_null,
        },
    }
}

/// Equalities on one column as one list.
fn together(parts: Vec<Predicate>) -> Vec<Predicate> {
    let mut list: Option<(i32, Vec<Datum>)> = None;
    let mut others = Vec::new();
    for part in parts {
        match part {
            Predicate::Compare {
                field_id,
                comparison: Comparison::Eq,
                literal,
            } => match &mut list {
                Some((known, literals)) if *known == field_id => literals.push(literal),
                Some(_) => others.push(Predicate::Compare {
                    field_id,
                    comparison: Comparison::Eq,
                    literal,
                }),
                None => list = Some((field_id, vec![literal])),
            },
            other => others.push(other),
        }
    }
    others.extend(list.map(|(field_id, literals)| Predicate::In { field_id, literals }));
    others
}

fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Eq => Comparison::NotEq,
        Comparison::NotEq => Comparison::Eq,
        Comparison::Lt => Comparison::GtEq,
        Comparison::LtEq => Comparison::Gt,
        Comparison::Gt => Comparison::LtEq,
        Comparison::GtEq => Comparison::Lt,
    }
}

fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Eq | Comparison::NotEq => comparison,
        Comparison::Lt => Comparison::Gt,
        Comparison::LtEq => Comparison::GtEq,
        Comparison::Gt => Comparison::Lt,
        Comparison::GtEq => Comparison::LtEq,
    }
}

#[cfg(test)]
mod tests;
