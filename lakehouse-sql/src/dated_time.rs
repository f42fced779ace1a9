//! Dates beside times become times, at midnight in the session's zone where the times have one, and
//! times become of the finest unit among them.
//!
//! The engine makes nanoseconds of dates, which end in 2262: `coalesce(valid_to, DATE '9999-12-31')`
//! would fail, and inside of lists and structs other days would come out. It also forgets the zone.
//! Of times it takes the coarsest unit, and what is behind the seconds of the others is cut off.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Case, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;

use crate::field_match::field_places;

/// The functions whose arguments become of one type.
const OF_ONE_TYPE: &[&str] = &["coalesce", "greatest", "least", "make_array"];

/// See the module documentation. Stands before the engine's coercion.
#[derive(Debug)]
pub(crate) struct DatedTimeRule;

impl AnalyzerRule for DatedTimeRule {
    fn name(&self) -> &str {
        "lakehouse_dated_times"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_down_with_subqueries(of_recursion)?.data;
        plan.transform_up_with_subqueries(|node| {
            let mut node = match node {
                LogicalPlan::Union(union) => return of_union(union),
                node => node,
            };
            if let LogicalPlan::Join(join) = &mut node {
                let schema = merge_schema(&[join.left.as_ref(), join.right.as_ref()]);
                for (left, right) in &mut join.on {
                    make_times([left, right].into_iter(), &schema);
                }
            }
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            let timed = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let timed = expr.transform_up(|expr| of_expression(expr, &schema))?;
                Ok(timed.update_data(|expr| name.restore(expr)))
            })?;
            // Also of a node above one whose types are others now.
            let is_changed = timed.transformed;
            let node = timed.data.recompute_schema()?;
            Ok(match is_changed {
                true => Transformed::yes(node),
                false => Transformed::no(node),
            })
        })
        .data()
    }
}

/// A recursive query whose parts keep the types that the rows of each round are read with.
fn of_recursion(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::RecursiveQuery(mut recursion) = node else {
        return Ok(Transformed::no(node));
    };
    let kept = |part: &Arc<LogicalPlan>| -> Result<Arc<LogicalPlan>> {
        let columns = part.schema().iter().map(|column| {
            let (qualifier, field) = column;
            let value = Expr::Column(Column::from(column));
            match has_times(field.data_type()) {
                true => Expr::Cast(Cast::new(Box::new(value), field.data_type().clone()))
                    .alias_qualified(qualifier.cloned(), field.name()),
                false => value,
            }
        });
        let columns: Vec<_> = columns.collect();
        let part = LogicalPlanBuilder::from(Arc::clone(part));
        Ok(Arc::new(part.project(columns)?.build()?))
    };
    recursion.static_term = kept(&recursion.static_term)?;
    recursion.recursive_term = kept(&recursion.recursive_term)?;
    Ok(Transformed::yes(LogicalPlan::RecursiveQuery(recursion)))
}

/// The parts of a union, with the same times in all of them.
fn of_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let types = |input: &Arc<LogicalPlan>| -> Vec<DataType> {
        let fields = input.schema().fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    let parts: Vec<Vec<DataType>> = union.inputs.iter().map(types).collect();
    let mut is_changed = false;
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for (input, own) in union.inputs.into_iter().zip(&parts) {
        let timed = own.iter().enumerate().map(|(index, own)| {
            let others: Vec<_> = parts.iter().filter_map(|part| part.get(index)).collect();
            Timed::beside(own, &others)
        });
        let timed: Vec<_> = timed.collect();
        if timed.iter().all(Option::is_none) {
            inputs.push(input);
            continue;
        }
        is_changed = true;
        let columns = input.schema().iter().zip(timed).map(|(column, timed)| {
            let (qualifier, field) = column;
            let column = Expr::Column(Column::from(column));
            match timed {
                Some(timed) => timed
                    .cast(column)
                    .alias_qualified(qualifier.cloned(), field.name()),
                None => column,
            }
        });
        let columns: Vec<_> = columns.collect();
        let timed = LogicalPlanBuilder::from(input).project(columns)?.build()?;
        inputs.push(Arc::new(timed));
    }
    let schema = union.schema;
    Ok(match is_changed {
        true => Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)),
        false => Transformed::no(LogicalPlan::Union(Union { inputs, schema })),
    })
}

/// An expression, with the same times in values that become of one type.
fn of_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Case(case) => of_case(case, schema),
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if OF_ONE_TYPE.contains(&func.name()) =>
        {
            let is_changed = make_times(args.iter_mut(), schema);
            let call = Expr::ScalarFunction(ScalarFunction { func, args });
            Transformed::new_transformed(call, is_changed)
        }
        // Those of values that stand alone are others' to compare.
        Expr::BinaryExpr(mut compared)
            if compared.op.supports_propagation() && is_nested(&compared.left, schema) =>
        {
            let sides = [compared.left.as_mut(), compared.right.as_mut()];
            let is_changed = make_times(sides.into_iter(), schema);
            Transformed::new_transformed(Expr::BinaryExpr(compared), is_changed)
        }
        Expr::InList(mut list) if is_nested(&list.expr, schema) => {
            let values = std::iter::once(list.expr.as_mut()).chain(&mut list.list);
            let is_changed = make_times(values, schema);
            Transformed::new_transformed(Expr::InList(list), is_changed)
        }
        Expr::Between(mut range) if is_nested(&range.expr, schema) => {
            let values = [&mut range.expr, &mut range.low, &mut range.high];
            let is_changed = make_times(values.into_iter().map(AsMut::as_mut), schema);
            Transformed::new_transformed(Expr::Between(range), is_changed)
        }
        other => Transformed::no(other),
    })
}

fn is_nested(value: &Expr, schema: &DFSchema) -> bool {
    value.get_type(schema).is_ok_and(|kind| kind.is_nested())
}

fn of_case(mut case: Case, schema: &DFSchema) -> Transformed<Expr> {
    let results = case.when_then_expr.iter_mut().map(|(_, result)| result);
    let results = results.chain(case.else_expr.as_mut());
    let is_changed = make_times(results.map(AsMut::as_mut), schema);
    Transformed::new_transformed(Expr::Case(case), is_changed)
}

/// Casts the values that become of one type; whether there were any to cast.
fn make_times<'a>(values: impl Iterator<Item = &'a mut Expr>, schema: &DFSchema) -> bool {
    let mut typed = Vec::new();
    for value in values {
        // What has no type yet is no date.
        if let Ok(data_type) = value.get_type(schema) {
            typed.push((value, data_type));
        }
    }
    let types: Vec<DataType> = typed.iter().map(|(_, own)| own.clone()).collect();
    let types: Vec<&DataType> = types.iter().collect();
    let mut is_changed = false;
    for (value, own) in typed {
        if let Some(timed) = Timed::beside(&own, &types) {
            *value = timed.cast(std::mem::take(value));
            is_changed = true;
        }
    }
    is_changed
}

/// What becomes of a value beside others.
struct Timed {
    /// Its type with dates as times in microseconds: the engine's casts of dates to nanoseconds go
    /// past their end.
    coarse: Option<DataType>,
    data_type: DataType,
}

impl Timed {
    /// `None` for a value that stays.
    fn beside(own: &DataType, others: &[&DataType]) -> Option<Self> {
        let data_type = beside(own, others, TimeUnit::Nanosecond)?;
        let coarse = beside(own, others, TimeUnit::Microsecond);
        Some(Self { coarse, data_type })
    }

    fn cast(self, value: Expr) -> Expr {
        let to = |value, data_type| Expr::Cast(Cast::new(Box::new(value), data_type));
        match self.coarse.filter(|coarse| *coarse != self.data_type) {
            Some(coarse) => to(to(value, coarse), self.data_type),
            None => to(value, self.data_type),
        }
    }
}

/// The type with times in the place of dates where one of the others has times, and with times of
/// the finest unit, at most `finest`; `None` where it stays.
fn beside(own: &DataType, others: &[&DataType], finest: TimeUnit) -> Option<DataType> {
    let element = |field: &FieldRef| {
        let others = others.iter().filter_map(|other| element_of(other));
        let others: Vec<_> = others.collect();
        let timed = beside(field.data_type(), &others, finest)?;
        Some(Arc::new(field.as_ref().clone().with_data_type(timed)))
    };
    let times = others.iter().filter_map(|other| match other {
        DataType::Timestamp(unit, zone) => Some((*unit, zone)),
        _ => None,
    });
    let unit = times.clone().map(|(unit, _)| unit.min(finest)).max();
    match own {
        DataType::Date32 | DataType::Date64 => {
            let zone = times.filter_map(|(_, zone)| zone.as_ref()).next();
            let unit = unit?.max(TimeUnit::Microsecond);
            Some(DataType::Timestamp(unit, zone.map(Arc::clone)))
        }
        DataType::Timestamp(own, zone) => {
            let unit = unit.filter(|unit| own < unit)?;
            Some(DataType::Timestamp(unit, zone.clone()))
        }
        DataType::List(field) => element(field).map(DataType::List),
        DataType::LargeList(field) => element(field).map(DataType::LargeList),
        DataType::FixedSizeList(field, size) => {
            element(field).map(|field| DataType::FixedSizeList(field, *size))
        }
        DataType::Map(entries, sorted) => {
            element(entries).map(|entries| DataType::Map(entries, *sorted))
        }
        DataType::Struct(fields) => fields_beside(fields, others, finest),
        _ => None,
    }
}

fn has_times(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_times(field.data_type())),
        other => element_of(other).is_some_and(has_times),
    }
}

fn element_of(other: &DataType) -> Option<&DataType> {
    match other {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => Some(field.data_type()),
        _ => None,
    }
}

fn fields_beside(own: &Fields, others: &[&DataType], finest: TimeUnit) -> Option<DataType> {
    let mut beside_each: Vec<Vec<&DataType>> = vec![Vec::new(); own.len()];
    for other in others {
        if let DataType::Struct(other) = other
            && let Ok(places) = field_places(own, other)
        {
            for (found, place) in beside_each.iter_mut().zip(places) {
                found.extend(other.get(place).map(|field| field.data_type()));
            }
        }
    }
    let timed = own.iter().zip(&beside_each);
    let timed = timed.map(|(field, others)| beside(field.data_type(), others, finest));
    let timed: Vec<_> = timed.collect();
    if timed.iter().all(Option::is_none) {
        return None;
    }
    let fields = own.iter().zip(timed).map(|(field, timed)| match timed {
        Some(timed) => Arc::new(field.as_ref().clone().with_data_type(timed)),
        None => Arc::clone(field),
    });
    Some(DataType::Struct(fields.collect()))
}
