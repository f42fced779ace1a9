//! Column types, with nested ones as Spark (`STRUCT<a: INT>`) and Trino (`ROW(a int)`) write them.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, StructBracketKind, StructField};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use crate::parse::{Cursor, unsupported_at};

/// How deep types may nest; beyond it no table of any engine is readable anyway.
pub(crate) const DEPTH_MAX: usize = 32;

/// What is said of deeper ones.
const TOO_DEEP: &str = "types nest at most 32 deep";

/// One type. Nested types come in one form each, however they were written:
/// `Array(AngleBracket)`, `Array(SquareBracket)` for `int[]`, `Map`, and `Struct` whose fields all
/// have names.
pub(super) fn data_type(cursor: &mut Cursor) -> Result<DataType> {
    let mut reader = Reader {
        cursor,
        closed: 0,
        depth: 0,
    };
    let data_type = reader.data_type()?;
    if depth(&data_type) > DEPTH_MAX {
        return Err(reader.cursor.unsupported(TOO_DEEP));
    }
    if reader.closed > 0 {
        return Err(reader
            .cursor
            .expected("a type without a second closing `>`"));
    }
    Ok(data_type)
}

/// How deep a type nests. What the reader let through is shallow enough to walk.
fn depth(data_type: &DataType) -> usize {
    1 + match data_type {
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::Parenthesis(element),
        ) => depth(element),
        DataType::Map(key, value) => depth(key).max(depth(value)),
        DataType::Struct(fields, _) => {
            let depths = fields.iter().map(|field| depth(&field.field_type));
            depths.max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// How many pairs of square brackets end a type.
fn square_brackets(mut data_type: &DataType) -> usize {
    let mut brackets = 0;
    while let DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) = data_type {
        data_type = element;
        brackets += 1;
    }
    brackets
}

/// The brackets around the parts of a nested type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Angle,
    Round,
}

struct Reader<'a> {
    cursor: &'a mut Cursor,
    /// Angle brackets that are read but not yet used: `>>` is one token that closes two types.
    closed: usize,
    depth: usize,
}

impl Reader<'_> {
    fn data_type(&mut self) -> Result<DataType> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.cursor.unsupported(TOO_DEEP));
        }
        let mut data_type = self.unnested()?;
        let mut brackets = square_brackets(&data_type);
        // PostgreSQL's and DuckDB's `int[]`; sqlparser has read those of the types it knows.
        while self.closed == 0 && self.cursor.accept_token(&Token::LBracket) {
            self.cursor.expect_token(&Token::RBracket)?;
            brackets += 1;
            if brackets > DEPTH_MAX {
                return Err(self.cursor.unsupported(TOO_DEEP));
            }
            data_type = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(data_type), None));
        }
        if brackets > DEPTH_MAX {
            return Err(self.cursor.unsupported(TOO_DEEP));
        }
        self.depth -= 1;
        Ok(data_type)
    }

    fn unnested(&mut self) -> Result<DataType> {
        let word = self.cursor.peek_upper().unwrap_or_default();
        let is_nested = matches!(word.as_str(), "ARRAY" | "MAP" | "STRUCT" | "ROW");
        if !is_nested {
            if !matches!(self.cursor.peek(), Token::Word(_)) {
                return Err(self.cursor.expected("a type"));
            }
            return self.cursor.run(Parser::parse_data_type);
        }
        let location = self.cursor.location();
        self.cursor.advance();
        let bracket = self.open()?;
        let data_type = match word.as_str() {
            "ARRAY" => {
                let element = Box::new(self.data_type()?);
                DataType::Array(ArrayElemTypeDef::AngleBracket(element))
            }
            "MAP" => {
                let key = Box::new(self.data_type()?);
                if self.closed > 0 {
                    return Err(unsupported_at(
                        location,
                        "a MAP has a key type and a value type",
                    ));
                }
                self.cursor.expect_token(&Token::Comma)?;
                DataType::Map(key, Box::new(self.data_type()?))
            }
            _ => DataType::Struct(self.fields()?, StructBracketKind::AngleBrackets),
        };
        self.close(bracket)?;
        Ok(data_type)
    }

    fn fields(&mut self) -> Result<Vec<StructField>> {
        let mut fields = Vec::new();
        loop {
            let field_name = Some(self.cursor.identifier("the name of a field")?);
            self.cursor.accept_token(&Token::Colon);
            let field_type = self.data_type()?;
            // Behind the end of the struct they are the column's.
            let is_open = self.closed == 0;
            if is_open && (self.cursor.peek_words(&["NOT"]) || self.cursor.peek_words(&["COMMENT"]))
            {
                return Err(self.cursor.unsupported(
                    "NOT NULL and COMMENT are not offered in a \
                     STRUCT",
                ));
            }
            fields.push(StructField {
                field_name,
                field_type,
                options: None,
            });
            if self.closed > 0 || !self.cursor.accept_token(&Token::Comma) {
                return Ok(fields);
            }
        }
    }

    fn open(&mut self) -> Result<Bracket> {
        if self.cursor.accept_token(&Token::Lt) {
            Ok(Bracket::Angle)
        } else if self.cursor.accept_token(&Token::LParen) {
            Ok(Bracket::Round)
        } else {
            Err(self.cursor.expected("`<` or `(`"))
        }
    }

    fn close(&mut self, bracket: Bracket) -> Result<()> {
        if bracket == Bracket::Round {
            if self.closed > 0 {
                return Err(self.cursor.expected("`)` before the closing `>`"));
            }
            return self.cursor.expect_token(&Token::RParen);
        }
        if self.closed > 0 {
            self.closed -= 1;
        } else if self.cursor.accept_token(&Token::ShiftRight) {
            self.closed += 1;
        } else if !self.cursor.accept_token(&Token::Gt) {
            return Err(self.cursor.expected("`,` or `>`"));
        }
        Ok(())
    }
}
