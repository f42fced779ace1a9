//! `TRUNCATE TABLE`.

use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::change::{Target, refusal};
use super::delete::Delete;
use super::{Statement, WriteOptions, write_option};
use crate::parse::Cursor;

/// `TRUNCATE TABLE t`, which is a `DELETE` without a condition.
pub(super) fn truncate(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["TRUNCATE", "TABLE"])?;
    let name = cursor.name("the name of a table")?;
    if *cursor.peek() == Token::Comma {
        let hint = "write a TRUNCATE for each table";
        return Err(refusal(
            cursor.location(),
            "a second table",
            "TRUNCATE",
            hint,
        ));
    }
    let mut options = WriteOptions::default();
    write_option::accept(cursor, &mut options)?;
    for word in ["PARTITION", "RESTART", "CONTINUE", "CASCADE", "RESTRICT"] {
        if cursor.peek_words(&[word]) {
            let hint = "write DELETE FROM … WHERE, or nothing behind the name";
            return Err(refusal(cursor.location(), word, "TRUNCATE", hint));
        }
    }
    let target = Target {
        name,
        alias: None,
        options,
    };
    Ok(Statement::Delete(Box::new(Delete {
        target,
        condition: None,
    })))
}
