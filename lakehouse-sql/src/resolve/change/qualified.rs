//! Names without a qualifier in clauses whose rows have one side only: they mean that side.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectNamePart, Query, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::statement::{AssignedValue, MergeAction, MergeClause, MergeKind, Target};

/// Qualifies the names of clauses whose rows are of the target or of the source alone.
pub(super) fn qualify_one_sided(
    clauses: &mut [MergeClause],
    target: &Target,
    source: &TableFactor,
) {
    let target = target.alias.as_ref().or(target.name.last());
    let source = qualifier(source);
    for clause in clauses {
        let side = match clause.kind {
            MergeKind::Matched => continue,
            MergeKind::NotMatched => source,
            MergeKind::NotMatchedBySource => target,
        };
        let Some(side) = side else {
            continue;
        };
        let mut qualifier = Qualifier {
            side,
            queries: 0,
            fields: HashSet::new(),
        };
        // Nothing is refused on this walk.
        let _ = clause.condition.visit(&mut qualifier);
        let values: Vec<&mut AssignedValue> = match &mut clause.action {
            MergeAction::Update(assignments) => assignments
                .iter_mut()
                .map(|assignment| &mut assignment.value)
                .collect(),
            MergeAction::Insert { values, .. } => values.iter_mut().collect(),
            MergeAction::Delete | MergeAction::UpdateAll | MergeAction::InsertAll => Vec::new(),
        };
        for value in values {
            if let AssignedValue::Expression(value) = value {
                let _ = value.visit(&mut qualifier);
            }
        }
    }
}

/// What the columns of a relation are qualified by.
fn qualifier(factor: &TableFactor) -> Option<&Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let last = name.0.last().and_then(ObjectNamePart::as_ident);
            alias.as_ref().map(|alias| &alias.name).or(last)
        }
        TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } => {
            alias.as_ref().map(|alias| &alias.name)
        }
        _ => None,
    }
}

struct Qualifier<'a> {
    side: &'a Ident,
    /// How many queries are around the present place: in them names mean their own tables.
    queries: usize,
    /// Places of names that are fields of what stands before their dot.
    fields: HashSet<Location>,
}

impl VisitorMut for Qualifier<'_> {
    type Break = Infallible;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Infallible> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Infallible> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if self.queries > 0 {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Identifier(ident) if !self.fields.contains(&ident.span.start) => {
                let mut side = self.side.clone();
                side.span = ident.span;
                *expr = Expr::CompoundIdentifier(vec![side, ident.clone()]);
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                // `t.c[1]` is of the side already: its root is no column.
                if let (Expr::Identifier(root), Some(AccessExpr::Dot(_))) =
                    (root.as_ref(), access_chain.first())
                    && root.value.to_lowercase() == self.side.value.to_lowercase()
                {
                    self.fields.insert(root.span.start);
                }
                let fields = access_chain.iter().filter_map(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(field)) => Some(field.span.start),
                    _ => None,
                });
                self.fields.extend(fields);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
