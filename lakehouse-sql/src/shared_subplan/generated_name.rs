//! Names that the engine's optimizer makes up, by which equal subplans would differ.

use std::collections::HashMap;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, SubqueryAlias};

/// What such names begin with; an underscore and a number that the whole plan counts follow.
const PREFIXES: [&str; 4] = [
    "__common_expr_",
    "__correlated_sq_",
    "__scalar_sq_",
    "__datafusion_extracted_",
];

/// The same plan with its generated names counted anew from its own first one, for comparison only.
///
/// Names are exchanged one for one, so plans that are equal afterwards were equal but for them.
pub(super) fn renumbered(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let mut has_generated = false;
    let mut is_safe = true;
    plan.apply(|node| {
        for (relation, field) in node.schema().iter() {
            let is_generated = relation.is_some_and(|table| is_generated(table.table()))
                || is_generated(field.name());
            has_generated |= is_generated;
            // A table's own columns cannot be renamed here.
            is_safe &= !(is_generated && matches!(node, LogicalPlan::TableScan(_)));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !has_generated || !is_safe {
        return Ok(plan.clone());
    }
    let mut names = Names::default();
    let renamed = plan.clone().transform_up(|node| {
        let node = node
            .map_expressions(|expression| {
                expression.transform_up(|part| Ok(names.in_expression(part)))
            })
            .data()?;
        let node = match node {
            LogicalPlan::SubqueryAlias(alias) if is_generated(alias.alias.table()) => {
                let new = names.in_table(&alias.alias);
                LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(alias.input, new)?)
            }
            LogicalPlan::TableScan(_) => return Ok(Transformed::no(node)),
            other => other.recompute_schema()?,
        };
        Ok(Transformed::yes(node))
    });
    // A plan that cannot be written with other names is compared as it is.
    Ok(renamed.data().unwrap_or_else(|_| plan.clone()))
}

fn is_generated(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.contains(prefix))
}

/// New numbers by old names.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, usize>,
}

impl Names {
    fn in_expression(&mut self, part: Expr) -> Transformed<Expr> {
        match part {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column {
                relation: column.relation.as_ref().map(|table| self.in_table(table)),
                name: self.in_text(&column.name),
                spans: column.spans,
            })),
            Expr::Alias(mut alias) => {
                alias.name = self.in_text(&alias.name);
                alias.relation = alias.relation.as_ref().map(|table| self.in_table(table));
                Transformed::yes(Expr::Alias(alias))
            }
            other => Transformed::no(other),
        }
    }

    fn in_table(&mut self, table: &TableReference) -> TableReference {
        match table {
            TableReference::Bare { table } => TableReference::bare(self.in_text(table)),
            named => named.clone(),
        }
    }

    /// The text with each generated name in it exchanged; names of columns hold expressions.
    fn in_text(&mut self, text: &str) -> String {
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((start, prefix)) = first_prefix(rest) {
            let (before, from) = rest.split_at(start);
            let digits = from.get(prefix.len()..).unwrap_or_default();
            let end = digits
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(digits.len());
            let (name, after) = from.split_at(prefix.len() + end);
            let next = self.numbers.len();
            let number = *self.numbers.entry(name.to_owned()).or_insert(next);
            renamed.push_str(before);
            renamed.push_str(prefix);
            renamed.push_str(&number.to_string());
            rest = after;
        }
        renamed.push_str(rest);
        renamed
    }
}

/// The first place in a text at which a generated name begins, with its prefix.
fn first_prefix(text: &str) -> Option<(usize, &'static str)> {
    PREFIXES
        .iter()
        .filter_map(|prefix| text.find(prefix).map(|place| (place, *prefix)))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_from_the_first_and_stay_apart() {
        let mut names = Names::default();
        let first = names.in_text("sum(__common_expr_7 * a) + __common_expr_12");
        assert_eq!(first, "sum(__common_expr_0 * a) + __common_expr_1");
        assert_eq!(names.in_text("__scalar_sq_7"), "__scalar_sq_2");
        assert_eq!(names.in_text("__common_expr_12"), "__common_expr_1");
        assert_eq!(names.in_text("l_suppkey"), "l_suppkey");
    }
}
