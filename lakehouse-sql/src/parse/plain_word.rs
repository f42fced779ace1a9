//! Words that sqlparser keeps for itself, and that are names where nothing of theirs follows.
//!
//! `sort`, `view` and `interval` are columns of many tables: Spark, Trino and DuckDB read them as
//! names. sqlparser ends a list of columns before a word that may begin a clause, and reads some
//! words as the beginning of an expression whatever comes next.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Whether a word that begins a clause is a name, as `next` does not go on with the clause.
pub(super) fn is_plain_name(keyword: Keyword, next: &TokenWithSpan) -> bool {
    match keyword {
        Keyword::ANALYZE | Keyword::EXPLAIN | Keyword::VIEW => true,
        Keyword::SORT | Keyword::CLUSTER | Keyword::DISTRIBUTE => !is_word(next, Keyword::BY),
        Keyword::START => !is_word(next, Keyword::WITH),
        Keyword::EXCLUDE | Keyword::PIVOT | Keyword::UNPIVOT => next.token != Token::LParen,
        _ => false,
    }
}

/// Whether the next token is a column by the name of a word that begins an expression, as what
/// follows it can only follow a whole one.
pub(super) fn is_plain_column(parser: &Parser<'_>) -> bool {
    const WORDS: [Keyword; 4] = [
        Keyword::EXISTS,
        Keyword::INTERVAL,
        Keyword::STRUCT,
        Keyword::TRIM,
    ];
    let Token::Word(word) = &parser.peek_token_ref().token else {
        return false;
    };
    WORDS.contains(&word.keyword) && ends_an_operand(word.keyword, parser.peek_nth_token_ref(1))
}

fn ends_an_operand(keyword: Keyword, next: &TokenWithSpan) -> bool {
    match &next.token {
        // The fields of `STRUCT<…>`.
        Token::Lt => keyword != Keyword::STRUCT,
        Token::Comma
        | Token::RParen
        | Token::RBracket
        | Token::SemiColon
        | Token::EOF
        | Token::Eq
        | Token::DoubleEq
        | Token::Neq
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::DoubleColon => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::AS
                | Keyword::ASC
                | Keyword::BETWEEN
                | Keyword::DESC
                | Keyword::ELSE
                | Keyword::END
                | Keyword::EXCEPT
                | Keyword::FROM
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ILIKE
                | Keyword::IN
                | Keyword::INTERSECT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::LIMIT
                | Keyword::NULLS
                | Keyword::OR
                | Keyword::ORDER
                | Keyword::THEN
                | Keyword::UNION
                | Keyword::WHEN
                | Keyword::WHERE
        ),
        _ => false,
    }
}

fn is_word(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword)
}
