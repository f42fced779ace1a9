//! A wall that filters on ambiguous names do not pass.
//!
//! On the way down, the engine looks the columns of a filter up by their names alone. But operators
//! have no qualifiers: a join gives columns of both sides, of which several may have one name, and
//! the filter ends up on another column than the one it is of.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, FilterDescription, FilterPushdownPhase,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// The plan with walls above the operators that have ambiguous names; the same plan without any.
pub(super) fn with_walls(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let names = ambiguous_names(&node);
        Ok(match names.is_empty() {
            true => Transformed::no(node),
            false => Transformed::yes(Arc::new(Wall { input: node, names })),
        })
    })
    .data()
}

/// The plan with walls above some operators, which only projections do not pass.
pub(super) fn with_walls_above(
    plan: Arc<dyn ExecutionPlan>,
    is_below: fn(&Arc<dyn ExecutionPlan>) -> bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let names = HashSet::new();
        Ok(match is_below(&node) {
            true => Transformed::yes(Arc::new(Wall { input: node, names })),
            false => Transformed::no(node),
        })
    })
    .data()
}

/// The plan without its walls.
pub(super) fn without_walls(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let wall = node.as_any().downcast_ref::<Wall>();
        let input = wall.map(|wall| Arc::clone(&wall.input));
        Ok(input.map_or_else(|| Transformed::no(node), Transformed::yes))
    })
    .data()
}

/// Names in an operator's rows that may be taken for those of other columns.
fn ambiguous_names(node: &Arc<dyn ExecutionPlan>) -> HashSet<String> {
    let schema = node.schema();
    let mut seen = HashSet::new();
    let fields = schema.fields().iter();
    let mut names: HashSet<String> = fields
        .filter(|field| !seen.insert(field.name().as_str()))
        .map(|field| field.name().clone())
        .collect();
    if let Some(join) = node.as_any().downcast_ref::<HashJoinExec>() {
        names.extend(misleading_keys(join));
    }
    names
}

/// Keys of a semi or anti join that have their names with other columns of the side that is looked
/// at: a filter on the key goes there, too.
fn misleading_keys(join: &HashJoinExec) -> Vec<String> {
    let (is_left_kept, other) = match join.join_type() {
        JoinType::LeftSemi | JoinType::LeftAnti => (true, join.right().schema()),
        JoinType::RightSemi | JoinType::RightAnti => (false, join.left().schema()),
        _ => return Vec::new(),
    };
    let misleading = join.on().iter().filter_map(|(left, right)| {
        let (kept, partner) = match is_left_kept {
            true => (left, right),
            false => (right, left),
        };
        let kept = kept.as_any().downcast_ref::<Column>()?;
        let namesake = place(&other, kept.name())?;
        let partner = partner.as_any().downcast_ref::<Column>();
        let is_partner = partner.is_some_and(|partner| partner.index() == namesake);
        (!is_partner).then(|| kept.name().to_owned())
    });
    misleading.collect()
}

fn place(schema: &Schema, name: &str) -> Option<usize> {
    schema.index_of(name).ok()
}

/// Lets rows through, and filters on all but some columns.
#[derive(Debug)]
struct Wall {
    input: Arc<dyn ExecutionPlan>,
    names: HashSet<String>,
}

impl DisplayAs for Wall {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wall")
    }
}

impl ExecutionPlan for Wall {
    fn name(&self) -> &str {
        "Wall"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return internal_err!("a wall has one input");
        };
        Ok(Arc::new(Self {
            input: Arc::clone(input),
            names: self.names.clone(),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<PhysicalExprRef>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        // The rows are the input's: columns stay where they are.
        let schema = self.schema();
        let columns = schema.fields().iter().enumerate();
        let clear = columns.filter(|(_, column)| !self.names.contains(column.name()));
        let passed = ChildFilterDescription::from_child_with_allowed_indices(
            &filters,
            clear.map(|(place, _)| place).collect(),
            &self.input,
        )?;
        Ok(FilterDescription::new().with_child(passed))
    }
}
