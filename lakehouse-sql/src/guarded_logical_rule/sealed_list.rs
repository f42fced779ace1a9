//! Lists of `IN` that a rule takes for functions, so that it does not make one of several.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// Rewrites a plan's own expressions with a rule that does not see lists about the same values.
pub(super) fn rewrite_around_lists(
    plan: LogicalPlan,
    rule: impl FnOnce(LogicalPlan) -> Result<Transformed<LogicalPlan>>,
) -> Result<Transformed<LogicalPlan>> {
    if !has_lists_to_combine(&plan)? {
        return rule(plan);
    }
    let names = NamePreserver::new(&plan);
    let mut saved = Vec::new();
    let sealed = plan.map_expressions(|expr| {
        saved.push(names.save(&expr));
        expr.transform_up(|expr| Ok(seal(expr)))
    })?;
    let rewritten = rule(sealed.data)?;
    let mut saved = saved.into_iter();
    rewritten.map_data(|plan| {
        let opened = plan.map_expressions(|expr| {
            let opened = expr.transform_up(|expr| Ok(open(expr)))?;
            Ok(match saved.next() {
                Some(name) => opened.update_data(|expr| name.restore(expr)),
                None => opened,
            })
        })?;
        Ok(opened.data)
    })
}

/// Whether two lists are about the same values, which no constant is.
fn has_lists_to_combine(plan: &LogicalPlan) -> Result<bool> {
    let (mut seen, mut found) = (Vec::new(), false);
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            if let Expr::InList(list) = expr
                && !list.expr.column_refs().is_empty()
            {
                found |= seen.contains(&list.expr);
                seen.push(list.expr.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

fn seal(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::InList(list) if !list.expr.column_refs().is_empty() => {
            let sealed = ScalarUDF::new_from_impl(SealedList::new(list.negated));
            let arguments = std::iter::once(*list.expr).chain(list.list).collect();
            Transformed::yes(sealed.call(arguments))
        }
        other => Transformed::no(other),
    }
}

fn open(expr: Expr) -> Transformed<Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else {
        return Transformed::no(expr);
    };
    let sealed = func.inner().as_any().downcast_ref::<SealedList>();
    match (sealed, args.split_first()) {
        (Some(sealed), Some((value, list))) => Transformed::yes(Expr::InList(InList::new(
            Box::new(value.clone()),
            list.to_vec(),
            sealed.negated,
        ))),
        _ => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
    }
}

/// `value IN (…)` as a function of the value and the items; never computed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SealedList {
    negated: bool,
    signature: Signature,
}

impl SealedList {
    /// Volatile, so that it is left where it is.
    fn new(negated: bool) -> Self {
        Self {
            negated,
            signature: Signature::variadic_any(Volatility::Volatile),
        }
    }
}

impl ScalarUDFImpl for SealedList {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn name(&self) -> &'static str {
        if self.negated {
            "sealed_not_in"
        } else {
            "sealed_in"
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a list was not opened again")
    }
}
