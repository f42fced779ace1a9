//! A place in the tokens of one statement, with the reading steps that all builders share.

use datafusion::sql::parser::{DFParserBuilder, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::dialect::{Dialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};
use lakehouse_core::error::{Error, Result};

use super::dialect::DIALECT;
use super::failure::{from_datafusion, from_parser, invalid_at, of_tokens, unsupported_at};

/// How deep expressions and queries may nest. A level of sqlparser's takes some 65 KiB of stack in
/// a build without optimisation, and a thread has 2 MiB: the limit must end the reading before the
/// stack does, because an exhausted stack ends the process.
const DEPTH_MAX: usize = if cfg!(debug_assertions) { 24 } else { 50 };

/// Reads the tokens of one statement from left to right.
///
/// Words are matched by their text, not by sqlparser's keyword list, because many words of this
/// dialect (`BRANCH`, `RETAIN`, `TBLPROPERTIES`) are not in it. A quoted word never matches.
pub(crate) struct Cursor {
    parser: Parser<'static>,
    tokens: Vec<TokenWithSpan>,
}

impl Cursor {
    /// Starts before the first token. A mark with the place of the end is added, so that "found
    /// the end" has a line and a column too.
    pub(crate) fn new(mut tokens: Vec<TokenWithSpan>) -> Self {
        let end = tokens
            .last()
            .map_or(Location::new(1, 1), |token| token.span.end);
        tokens.push(TokenWithSpan::new(Token::EOF, Span::new(end, end)));
        let parser = Parser::new(&DIALECT)
            .with_recursion_limit(DEPTH_MAX)
            .with_tokens_with_locations(tokens.clone());
        Self { parser, tokens }
    }

    /// Place of the next token.
    pub(crate) fn location(&self) -> Location {
        self.parser.peek_token_ref().span.start
    }

    /// Span of the next token.
    pub(crate) fn span(&self) -> Span {
        self.parser.peek_token_ref().span
    }

    /// The next token.
    pub(crate) fn peek(&self) -> &Token {
        &self.parser.peek_token_ref().token
    }

    /// The token `n` after the next one.
    pub(crate) fn peek_nth(&self, n: usize) -> &Token {
        &self.parser.peek_nth_token_ref(n).token
    }

    /// Whether the coming tokens are these words, unquoted, in any letter case.
    pub(crate) fn peek_words(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| is_word(self.peek_nth(n), word))
    }

    /// The next token's text if it is an unquoted word, in upper case.
    pub(crate) fn peek_upper(&self) -> Option<String> {
        match self.peek() {
            Token::Word(word) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_uppercase())
            }
            _ => None,
        }
    }

    /// Whether every token is read.
    pub(crate) fn at_end(&self) -> bool {
        *self.peek() == Token::EOF
    }

    /// Moves over the next token.
    pub(crate) fn advance(&mut self) {
        self.parser.advance_token();
    }

    /// Moves over these words if they come next.
    pub(crate) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.peek_words(words);
        if found {
            words.iter().for_each(|_| self.advance());
        }
        found
    }

    /// Moves over the first of these words that comes next, and says which it was.
    pub(crate) fn accept_one(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = words
            .iter()
            .copied()
            .find(|word| is_word(self.peek(), word))?;
        self.advance();
        Some(found)
    }

    /// Moves over this token if it comes next.
    pub(crate) fn accept_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Moves over these words, or fails.
    pub(crate) fn expect(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.accept(&[word]) {
                return Err(self.expected(word));
            }
        }
        Ok(())
    }

    /// Moves over this token, or fails.
    pub(crate) fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.accept_token(token) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{token}`")))
        }
    }

    /// Fails if anything is left.
    pub(crate) fn expect_end(&self) -> Result<()> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.expected("the end of the statement or `;`"))
        }
    }

    /// One identifier, quoted or not.
    pub(crate) fn identifier(&mut self, what: &str) -> Result<Ident> {
        let span = self.span();
        match self.peek().clone() {
            Token::Word(word) => {
                self.advance();
                Ok(word.into_ident(span))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A dotted name of at least one part.
    pub(crate) fn name(&mut self, what: &str) -> Result<Vec<Ident>> {
        let mut parts = vec![self.identifier(what)?];
        while self.accept_token(&Token::Period) {
            parts.push(self.identifier("an identifier after `.`")?);
        }
        Ok(parts)
    }

    /// Dotted names separated by commas.
    pub(crate) fn names(&mut self, what: &str) -> Result<Vec<Vec<Ident>>> {
        let mut names = vec![self.name(what)?];
        while self.accept_token(&Token::Comma) {
            names.push(self.name(what)?);
        }
        Ok(names)
    }

    /// A string literal's value.
    pub(crate) fn string(&mut self, what: &str) -> Result<String> {
        match self.peek().clone() {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text) => {
                self.advance();
                Ok(text)
            }
            Token::DollarQuotedString(text) => {
                self.advance();
                Ok(text.value)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A whole number without sign that fits `T`.
    pub(crate) fn integer<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let number = match self.peek() {
            Token::Number(digits, _) => digits.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected(what))?;
        self.advance();
        Ok(number)
    }

    /// One expression.
    pub(crate) fn expression(&mut self) -> Result<Expr> {
        self.run(Parser::parse_expr)
    }

    /// One expression in the definition of a column. It ends before `NOT NULL`, which would
    /// otherwise be read as a test of the value (`'x' NOT NULL` is `'x' IS NOT NULL`).
    pub(crate) fn default_value(&mut self) -> Result<Expr> {
        self.run(|parser| parser.parse_subexpr(DIALECT.prec_value(Precedence::Is)))
    }

    /// Runs a step of sqlparser's own parser.
    pub(crate) fn run<T>(
        &mut self,
        step: impl FnOnce(&mut Parser<'static>) -> Result<T, ParserError>,
    ) -> Result<T> {
        step(&mut self.parser)
            .map_err(|error| of_tokens(from_parser(&error, self.location()), &self.tokens))
    }

    /// Reads this statement from its first token with DataFusion's parser instead.
    pub(crate) fn run_datafusion(&mut self) -> Result<DataFusionStatement> {
        let start = self
            .tokens
            .first()
            .map_or(Location::new(1, 1), |token| token.span.start);
        let mut statements = DFParserBuilder::new(self.tokens.clone())
            .with_dialect(&DIALECT)
            .with_recursion_limit(DEPTH_MAX)
            .build()
            .and_then(|mut parser| parser.parse_statements())
            .map_err(|error| of_tokens(from_datafusion(&error, start), &self.tokens))?;
        while !self.at_end() {
            self.advance();
        }
        statements
            .pop_front()
            .ok_or_else(|| invalid_at(start, "expected a statement"))
    }

    /// All tokens of the statement, read or not, and the end mark.
    pub(crate) fn tokens(&self) -> &[TokenWithSpan] {
        &self.tokens
    }

    /// How many tokens of the statement are read.
    pub(crate) fn position(&self) -> usize {
        self.parser.index()
    }

    /// Goes back to where [`Self::position`] was so much.
    pub(crate) fn go_back_to(&mut self, position: usize) {
        while self.position() > position {
            self.parser.prev_token();
        }
    }

    /// Starts again, before the first of other tokens.
    pub(crate) fn restart(&mut self, tokens: Vec<TokenWithSpan>) {
        *self = Self::new(tokens);
    }

    /// The error for a next token that is not what must stand here.
    pub(crate) fn expected(&self, what: &str) -> Error {
        let message = match self.peek() {
            Token::EOF => format!("expected {what}, found the end of the statement"),
            token => format!("expected {what}, found `{token}`"),
        };
        invalid_at(self.location(), message)
    }

    /// The error for something at the next token that is understood but not offered.
    pub(crate) fn unsupported(&self, message: &str) -> Error {
        unsupported_at(self.location(), message)
    }
}

/// Whether `token` is this word, unquoted, in any letter case.
pub(super) fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

/// A word token, as if it had been typed at `span`.
pub(crate) fn word_token(text: &str, keyword: Keyword, span: Span) -> TokenWithSpan {
    let word = Word {
        value: text.to_string(),
        quote_style: None,
        keyword,
    };
    TokenWithSpan::new(Token::Word(word), span)
}
