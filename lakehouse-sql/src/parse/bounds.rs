//! How long expressions and queries may be that nest to the left.
//!
//! The parser reads `a OR b OR c …`, `x::int::int …` and `q UNION r UNION s …` in a loop, so its
//! limit on nesting does not count them; but the tree it makes is as deep as the chain is long, and
//! whoever walks or drops it later needs stack for every level. An exhausted stack ends the process,
//! so the chains are counted on the tokens, before there is a tree.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use lakehouse_core::error::Result;

use super::cursor::is_word;
use super::failure::invalid_at;

/// How deep a statement's tree may be, in operators. A thread of the runtime has 2 MiB of stack, of
/// which a level takes some 8 KiB while it is planned, in a build without optimisation.
const DEPTH_MAX: usize = if cfg!(debug_assertions) { 120 } else { 400 };
/// What a set operation or pipe operator counts: planning takes as much stack for it as for so many
/// operators.
const OPERATION_DEPTH: usize = 4;
/// What a join counts.
const JOIN_DEPTH: usize = 3;

/// Words that are an operator, or a part of one, behind or between values.
const OPERATORS: &[&str] = &[
    "AND", "AT", "BETWEEN", "COLLATE", "DIV", "ESCAPE", "GLOB", "ILIKE", "IN", "IS", "ISNULL",
    "LIKE", "MATCH", "MEMBER", "NOT", "NOTNULL", "OPERATOR", "OR", "OVERLAPS", "REGEXP", "RLIKE",
    "SIMILAR", "XOR",
];
/// Words that begin another expression of a `CASE`.
const CASE_PARTS: &[&str] = &["ELSE", "THEN", "WHEN"];
/// Words between two queries.
const SET_OPERATIONS: &[&str] = &["EXCEPT", "INTERSECT", "MINUS", "UNION"];

/// The depth of what stands between two parentheses, or between `CASE` and `END`. Each operator,
/// join and set operation is one level above what is to its left.
#[derive(Default)]
struct Level {
    /// Of the expression that goes on.
    expression: usize,
    /// Of the `SELECT` that goes on.
    select: usize,
    /// Of the selects before.
    query: usize,
    /// Whether it goes from `CASE` to `END`.
    is_case: bool,
}

/// Refuses a statement with a chain that is too long.
///
/// # Errors
/// `InvalidInput`, with the place where the chain becomes too long.
pub(super) fn refuse_long_chains(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut named_operators = 0_usize;
    let mut before: Option<&Token> = None;
    for token in tokens {
        // Behind a dot these words are names.
        let is_name = before == Some(&Token::Period);
        let opens_case = !is_name && is_one_of(&token.token, &["CASE"]);
        if !is_name && level.is_case && is_one_of(&token.token, &["END"]) {
            level.close(&mut outer);
        }
        if is_bracket(&token.token, false) {
            while level.is_case && !outer.is_empty() {
                level.close(&mut outer);
            }
            level.close(&mut outer);
        }
        // The operand behind `OPERATOR(…)` may be any word, also one that would begin a part.
        named_operators += usize::from(is_one_of(&token.token, &["OPERATOR"]));
        level.count(&token.token, before);
        if level.depth().max(named_operators) > DEPTH_MAX {
            let message = format!(
                "a chain of operators, joins or set operations is too long here: at most \
                 {DEPTH_MAX} operators, {} joins or {} set operations follow each other; write IN \
                 for a list of values, or put parts of the chain in parentheses",
                DEPTH_MAX / JOIN_DEPTH,
                DEPTH_MAX / OPERATION_DEPTH
            );
            return Err(invalid_at(token.span.start, message));
        }
        if opens_case || is_bracket(&token.token, true) {
            outer.push(std::mem::take(&mut level));
            level.is_case = opens_case;
        }
        before = Some(&token.token);
    }
    Ok(())
}

impl Level {
    fn depth(&self) -> usize {
        self.expression.max(self.select).max(self.query)
    }

    fn count(&mut self, token: &Token, before: Option<&Token>) {
        // `SELECT * EXCEPT (…)` is no set operation.
        let follows_star = before == Some(&Token::Mul);
        if *token == Token::VerticalBarRightAngleBracket
            || (is_one_of(token, SET_OPERATIONS) && !follows_star)
        {
            *self = Self {
                query: self.depth() + OPERATION_DEPTH,
                is_case: self.is_case,
                ..Self::default()
            };
        } else if is_one_of(token, &["JOIN", "APPLY"]) {
            self.end_expression();
            self.select += JOIN_DEPTH;
        } else if *token == Token::Comma || self.begins_part(token, before) {
            self.end_expression();
        } else if is_operator(token) || *token == Token::LBracket {
            self.expression += 1;
        }
    }

    /// Whether a word begins another part of this `CASE`, and is no name.
    fn begins_part(&self, token: &Token, before: Option<&Token>) -> bool {
        let is_name = before.is_some_and(|before| {
            is_operator(before) || *before == Token::Period || is_one_of(before, &["FROM", "ZONE"])
        });
        self.is_case && is_one_of(token, CASE_PARTS) && !is_name
    }

    /// Ends this level: it is an operand of the one around.
    fn close(&mut self, outer: &mut Vec<Self>) {
        if let Some(mut around) = outer.pop() {
            around.expression = around.expression.max(self.depth() + 1);
            *self = around;
        }
    }

    fn end_expression(&mut self) {
        self.select = self.select.max(self.expression);
        self.expression = 0;
    }
}

fn is_bracket(token: &Token, opening: bool) -> bool {
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => opening,
        Token::RParen | Token::RBracket | Token::RBrace => !opening,
        _ => false,
    }
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Word(_)) && words.iter().any(|word| is_word(token, word))
}

/// Whether a token makes the expression to its left a part of a larger one: a word that does, or any
/// sign that is neither a value nor a bracket.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(_) => is_one_of(token, OPERATORS),
        Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::SemiColon
        | Token::EOF => false,
        sign => !is_bracket(sign, true) && !is_bracket(sign, false),
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    fn repeated(first: &str, part: &str, times: usize) -> String {
        format!("SELECT {first}{}", part.repeat(times))
    }

    #[test]
    fn chains_of_any_operator_have_a_maximum() {
        for part in [
            " OR a = 1",
            " + 1",
            " || 'x'",
            "::int",
            " IS NULL",
            "[1]",
            " AT TIME ZONE 'UTC'",
            " IS DISTINCT FROM a",
            " + limit",
            " + CASE WHEN a THEN 1 END",
            " NOT IN (1, 2)",
            " COLLATE x",
            " AT TIME ZONE when",
            " + f(end, 1)",
            " + t.case",
            " + (1, 2)",
            " OPERATOR(pg_catalog.+) when",
            " + CASE WHEN t.end THEN 1 END",
            " UNION ALL SELECT 1",
            " EXCEPT (SELECT 1)",
        ] {
            let error = parse(&repeated("a", part, 20_000)).unwrap_err().to_string();
            assert!(error.contains("at most"), "{part}: {error}");
        }
        let joins = format!("FROM t {}", "JOIN t USING (a) ".repeat(5_000));
        assert!(parse(&joins).unwrap_err().to_string().contains("at most"));
        let nested = "(".repeat(20) + "a" + &format!("{})", " + 1".repeat(50)).repeat(20);
        assert!(
            parse(&format!("SELECT {nested}"))
                .unwrap_err()
                .to_string()
                .contains("at most")
        );
        let pipes = format!("FROM t {}", "|> WHERE a ".repeat(5_000));
        assert!(parse(&pipes).unwrap_err().to_string().contains("at most"));
    }

    #[test]
    fn long_lists_are_no_chains() {
        let list = vec!["a + 1"; 5_000].join(", ");
        parse(&format!("SELECT {list} FROM t")).unwrap();
        parse(&format!("SELECT 1 FROM t WHERE a IN ({list})")).unwrap();
        let rows = vec!["(-1, 'x' || 'y')"; 5_000].join(", ");
        parse(&format!("VALUES {rows}")).unwrap();
        let whens = "WHEN a = 1 AND b = 2 THEN c + 1 ".repeat(1_000);
        parse(&format!("SELECT CASE {whens} END FROM t")).unwrap();
        let unions = vec!["SELECT * EXCEPT (x) FROM a JOIN b USING (c) WHERE d = 1"; 20];
        parse(&unions.join(" UNION ALL ")).unwrap();
        let parts = vec![format!("({})", vec!["a = 1"; 40].join(" OR ")); 40].join(" AND ");
        parse(&format!("SELECT 1 FROM t WHERE {parts}")).unwrap();
    }
}
