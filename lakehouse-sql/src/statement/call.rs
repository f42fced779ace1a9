//! `CALL` of a procedure.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::Statement;
use crate::parse::{Cursor, invalid_at};

/// `CALL procedure(arguments)`.
#[derive(Debug, Clone)]
pub struct Call {
    /// The name's parts, such as `catalog`, `system`, `expire_snapshots`.
    pub procedure: Vec<Ident>,
    /// Either all named or none.
    pub arguments: Vec<Argument>,
}

/// One argument of a procedure call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// The name before `=>`; `None` if the arguments are by position.
    pub name: Option<Ident>,
    /// The value, to be folded to a constant.
    pub value: Expr,
}

/// `CALL`.
pub(super) fn call(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["CALL"])?;
    let procedure = cursor.name("the name of a procedure")?;
    cursor.expect_token(&Token::LParen)?;
    let mut arguments: Vec<Argument> = Vec::new();
    if !cursor.accept_token(&Token::RParen) {
        loop {
            let place = cursor.location();
            let argument = argument(cursor)?;
            if let Some(first) = arguments.first()
                && first.name.is_some() != argument.name.is_some()
            {
                return Err(invalid_at(
                    place,
                    "expected all arguments as `name => value` or all by position, found both",
                ));
            }
            if let Some(name) = &argument.name {
                refuse_duplicate(&arguments, name)?;
            }
            arguments.push(argument);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(Statement::Call(Call {
        procedure,
        arguments,
    }))
}

fn argument(cursor: &mut Cursor) -> Result<Argument> {
    let name = if *cursor.peek_nth(1) == Token::RArrow {
        let name = cursor.identifier("the name of an argument")?;
        cursor.expect_token(&Token::RArrow)?;
        Some(name)
    } else {
        None
    };
    Ok(Argument {
        name,
        value: cursor.expression()?,
    })
}

fn refuse_duplicate(arguments: &[Argument], name: &Ident) -> Result<()> {
    let is_known = arguments
        .iter()
        .filter_map(|argument| argument.name.as_ref())
        .any(|known| known.value.eq_ignore_ascii_case(&name.value));
    if is_known {
        return Err(invalid_at(
            name.span.start,
            format!("argument `{name}` is given twice"),
        ));
    }
    Ok(())
}
