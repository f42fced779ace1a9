//! Conditions on the first characters of a text as conditions on the text.

use iceberg::spec::Datum;

use crate::scan::{Comparison, Predicate};
use crate::table::transform::text_prefix;

/// What holds for texts whose first `count` characters compare so with `value`.
///
/// Cutting never changes the order of two texts, only makes equal what began alike.
pub(super) fn compare_prefix(
    field_id: i32,
    count: usize,
    comparison: Comparison,
    value: &str,
) -> Predicate {
    let text = |comparison, text: &str| Predicate::Compare {
        field_id,
        comparison,
        literal: Datum::string(text),
    };
    let starts_with = |prefix: &str| Predicate::StartsWith {
        field_id,
        prefix: prefix.to_owned(),
    };
    let up_to = |prefix: &str| match after_prefix(prefix) {
        Some(end) => text(Comparison::Lt, &end),
        None => Predicate::IsNotNull { field_id },
    };
    let beyond = |prefix: &str| match after_prefix(prefix) {
        Some(end) => text(Comparison::GtEq, &end),
        None => Predicate::AlwaysFalse,
    };
    let cut = text_prefix(value, count);
    let is_longer = cut.len() < value.len();
    let is_shorter = !is_longer && value.chars().count() < count;
    match comparison {
        Comparison::Eq if is_longer => Predicate::AlwaysFalse,
        // What is shorter than the cut was not cut.
        Comparison::Eq if is_shorter => text(Comparison::Eq, value),
        Comparison::Eq => starts_with(value),
        Comparison::NotEq => Predicate::IsNotNull { field_id },
        // Nothing that was cut lies between the cut value and the value.
        Comparison::Lt | Comparison::LtEq if is_longer => up_to(cut),
        Comparison::Gt | Comparison::GtEq if is_longer => beyond(cut),
        Comparison::LtEq if !is_shorter => up_to(value),
        Comparison::Gt if !is_shorter => beyond(value),
        other => text(other, value),
    }
}

/// The least text that lies after all that begin with a prefix; `None` when there is none.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut kept: Vec<char> = prefix.chars().collect();
    while let Some(last) = kept.pop() {
        let next = match last {
            // What lies between is no character.
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            kept.push(next);
            return Some(kept.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(predicate: &Predicate, text: &str) -> bool {
        match predicate {
            Predicate::AlwaysFalse => false,
            Predicate::StartsWith { prefix, .. } => text.starts_with(prefix.as_str()),
            Predicate::Compare {
                comparison,
                literal,
                ..
            } => compares(*comparison, &Datum::string(text), literal),
            _ => true,
        }
    }

    fn compares<T: PartialOrd>(comparison: Comparison, left: &T, right: &T) -> bool {
        match comparison {
            Comparison::Eq => left == right,
            Comparison::NotEq => left != right,
            Comparison::Lt => left < right,
            Comparison::LtEq => left <= right,
            Comparison::Gt => left > right,
            Comparison::GtEq => left >= right,
        }
    }

    #[test]
    fn no_text_whose_prefix_matches_is_lost() {
        let texts: Vec<String> = ["", "a", "b", "\u{e4}", "\u{1F980}"]
            .iter()
            .flat_map(|first| {
                ["", "a", "\u{e4}b", "b\u{1F980}"].map(|rest| format!("{first}{rest}"))
            })
            .collect();
        let comparisons = [
            Comparison::Eq,
            Comparison::NotEq,
            Comparison::Lt,
            Comparison::LtEq,
            Comparison::Gt,
            Comparison::GtEq,
        ];
        let mut left_out = 0;
        for comparison in comparisons {
            for (count, value) in (0..4).flat_map(|n| texts.iter().map(move |v| (n, v))) {
                let predicate = compare_prefix(1, count, comparison, value);
                for text in &texts {
                    let wanted = compares(comparison, &text_prefix(text, count), &value.as_str());
                    let kept = holds(&predicate, text);
                    assert!(
                        kept || !wanted,
                        "left({text}, {count}) {comparison:?} {value}"
                    );
                    left_out += usize::from(!kept);
                }
            }
        }
        assert!(left_out > 3_000, "{left_out}");
    }
}
