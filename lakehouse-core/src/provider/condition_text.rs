//! Conditions as a person writes them: columns by name, values as in SQL, long ones cut.

use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::fmt_sql;

/// Longer texts are cut: a list of values may have thousands.
const CHARS_MAX: usize = 200;

/// The text of a condition.
pub(super) fn condition_text(condition: &Arc<dyn PhysicalExpr>) -> String {
    // The engine writes values without quotes and times as numbers; a column it writes as it is.
    let named = Arc::clone(condition).transform_down(|node| {
        let literal = node.as_any().downcast_ref::<Literal>();
        Ok(
            match literal.and_then(|literal| value_text(literal.value())) {
                Some(text) => {
                    Transformed::yes(Arc::new(Column::new(&text, 0)) as Arc<dyn PhysicalExpr>)
                }
                None => Transformed::no(node),
            },
        )
    });
    let text = match named {
        Ok(named) => fmt_sql(named.data.as_ref()).to_string(),
        Err(_) => fmt_sql(condition.as_ref()).to_string(),
    };
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The names of the columns that a condition looks at, sorted.
pub(super) fn column_names(condition: &Arc<dyn PhysicalExpr>) -> Vec<String> {
    let columns = collect_columns(condition);
    let mut names: Vec<String> = columns.iter().map(|c| c.name().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A value in quotes; none for those that the engine writes as SQL does.
fn value_text(value: &ScalarValue) -> Option<String> {
    let data_type = value.data_type();
    if value.is_null() || data_type.is_numeric() || data_type.is_nested() {
        return None;
    }
    if matches!(value, ScalarValue::Boolean(_)) {
        return None;
    }
    let array = value.to_array().ok()?;
    let text = array_value_to_string(&array, 0).ok()?;
    Some(format!("'{}'", text.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{BinaryExpr, lit};

    use super::*;

    fn equals(value: ScalarValue) -> String {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("c", 3));
        let equals = BinaryExpr::new(column, Operator::Eq, lit(value));
        condition_text(&(Arc::new(equals) as Arc<dyn PhysicalExpr>))
    }

    #[test]
    fn values_are_written_as_in_sql() {
        let text = |text: &str| ScalarValue::Utf8View(Some(text.to_owned()));
        let time = ScalarValue::TimestampMicrosecond(Some(1_714_521_600_000_000), None);
        for (value, expected) in [
            (text("Oslo"), "c = 'Oslo'"),
            (text("it's"), "c = 'it''s'"),
            (ScalarValue::Int64(Some(7)), "c = 7"),
            (ScalarValue::Boolean(Some(true)), "c = true"),
            (ScalarValue::Date32(Some(3)), "c = '1970-01-04'"),
            (time, "c = '2024-05-01T00:00:00'"),
        ] {
            assert_eq!(equals(value), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = equals(ScalarValue::Utf8(Some("ø".repeat(1_000))));
        assert_eq!(cut.chars().count(), CHARS_MAX + 1);
        assert!(cut.ends_with("ø…"), "{cut}");
    }
}
