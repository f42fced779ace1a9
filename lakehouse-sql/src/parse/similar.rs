//! `SIMILAR TO` as a regular expression.
//!
//! The engine takes the pattern for a regular expression as it stands, which finds its text
//! anywhere and gives `%` and `_` no meaning. So the pattern is translated, and matches whole
//! values.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan};

/// Puts the match of a regular expression in place of `x SIMILAR TO 'pattern'`.
///
/// # Errors
/// A message, for a pattern that is not constant or not whole.
pub(super) fn as_regex(expr: &mut Expr) -> Result<(), String> {
    let Expr::SimilarTo {
        negated,
        expr: value,
        pattern,
        escape_char,
    } = expr
    else {
        return Ok(());
    };
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(text),
        span,
    }) = pattern.as_ref()
    else {
        return Err("`SIMILAR TO` takes a text in quotes".to_owned());
    };
    let escape = match escape_char {
        None => Some('\\'),
        Some(Value::SingleQuotedString(text)) => {
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (escape, None) => escape,
                _ => return Err("`ESCAPE` takes one character".to_owned()),
            }
        }
        Some(_) => return Err("`ESCAPE` takes one character in quotes".to_owned()),
    };
    let regex = Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(regex(text, escape)?),
        span: *span,
    });
    let op = match negated {
        false => BinaryOperator::PGRegexMatch,
        true => BinaryOperator::PGRegexNotMatch,
    };
    let left = Expr::Nested(value.clone());
    *expr = Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(regex),
    }));
    Ok(())
}

/// The regular expression of a pattern; `escape` takes the meaning of the character after it.
fn regex(pattern: &str, escape: Option<char>) -> Result<String, String> {
    let unfinished = || format!("the pattern {pattern:?} of `SIMILAR TO` ends too early");
    let mut regex = "^(?s:".to_owned();
    let mut characters = pattern.chars();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            escaped if Some(escaped) == escape => {
                push_literal(&mut regex, characters.next().ok_or_else(unfinished)?);
            }
            ']' if in_class => {
                in_class = false;
                regex.push(']');
            }
            '^' | '-' if in_class => regex.push(character),
            '[' if in_class => {
                // A class of characters by name, such as `[:alpha:]`.
                let rest = characters.as_str();
                let name = rest
                    .strip_prefix(':')
                    .and_then(|rest| rest.split_once(":]"));
                let Some((name, rest)) = name else {
                    push_literal(&mut regex, '[');
                    continue;
                };
                regex += &format!("[:{name}:]");
                characters = rest.chars();
            }
            '[' => {
                in_class = true;
                regex.push('[');
            }
            '%' if !in_class => regex += ".*",
            '_' if !in_class => regex.push('.'),
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' if !in_class => regex.push(character),
            literal => push_literal(&mut regex, literal),
        }
    }
    if in_class {
        return Err(unfinished());
    }
    Ok(regex + ")$")
}

/// A character that means itself, in and out of brackets.
fn push_literal(regex: &mut String, character: char) {
    if character.is_ascii_punctuation() {
        regex.push('\\');
    }
    regex.push(character);
}

#[cfg(test)]
mod tests {
    use super::regex;

    #[test]
    fn patterns_match_whole_values() {
        let of = |pattern| regex(pattern, Some('\\')).unwrap();
        assert_eq!(of("a%_"), "^(?s:a.*.)$");
        assert_eq!(of("(a|b)+c?"), "^(?s:(a|b)+c?)$");
        assert_eq!(of("1.5$"), r"^(?s:1\.5\$)$");
        assert_eq!(of(r"50\%"), r"^(?s:50\%)$");
        assert_eq!(of("[^a-z&[:digit:]]{2}"), r"^(?s:[^a-z\&[:digit:]]{2})$");
        assert_eq!(regex("a#_", Some('#')).unwrap(), r"^(?s:a\_)$");
        assert!(regex("[a", None).is_err());
        assert!(regex("a\\", Some('\\')).is_err());
    }
}
