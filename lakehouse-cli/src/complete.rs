//! What the shell knows of a text that is being typed: whether it is finished, and how its last word
//! may go on.

use std::sync::{Arc, PoisonError, RwLock};

use lakehouse::core::name::quote;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

/// Words of SQL that are worth completing.
const KEYWORDS: &[&str] = &[
    "ALTER",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BRANCH",
    "BY",
    "CALL",
    "CASE",
    "CAST",
    "COPY",
    "COUNT",
    "CREATE",
    "CROSS",
    "CURRENT_TIMESTAMP",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NAMESPACE",
    "NOT",
    "NULL",
    "OFFSET",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PARTITIONED",
    "REPLACE",
    "RESET",
    "RIGHT",
    "SCHEMA",
    "SELECT",
    "SET",
    "SHOW",
    "SYSTEM_TIME",
    "SYSTEM_VERSION",
    "TABLE",
    "TABLES",
    "TAG",
    "THEN",
    "TIMESTAMP",
    "UNION",
    "USE",
    "USING",
    "VALUES",
    "VERSION",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Candidates shown for one word at most.
const CANDIDATES_MAX: usize = 100;

/// What stands at the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// There is no text but spaces and comments.
    Empty,
    /// A command of the shell, which is one line.
    Command,
    /// The last statement is closed by `;`.
    Finished,
    /// A statement, a quoted text or a comment goes on.
    Open,
}

/// Whether a text can be run.
///
/// Only quotes, comments and `;` count; what is inside of a statement is the parser's matter.
pub(crate) fn ending(text: &str) -> Ending {
    let text = text.trim_start();
    if text.starts_with('\\') {
        return Ending::Command;
    }
    let mut ending = Ending::Empty;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let after = rest.peek().copied();
        match (character, after) {
            ('-', Some('-')) => {
                rest.by_ref().find(|next| *next == '\n');
            }
            ('/', Some('*')) => {
                rest.next();
                if !skip_comment(&mut rest) {
                    return Ending::Open;
                }
            }
            // A doubled quote ends one quoted text and begins the next, which comes to the same.
            ('\'' | '"' | '`', _) => {
                ending = Ending::Open;
                if rest.by_ref().find(|next| *next == character).is_none() {
                    return Ending::Open;
                }
            }
            (';', _) if ending != Ending::Empty => ending = Ending::Finished,
            (';', _) => {}
            _ if character.is_whitespace() => {}
            _ => ending = Ending::Open,
        }
    }
    ending
}

/// Moves behind a comment whose beginning was read; comments nest. False when it does not end.
fn skip_comment(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut depth = 1_usize;
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('*', Some('/')) => {
                rest.next();
                depth -= 1;
                if depth == 0 {
                    return true;
                }
            }
            ('/', Some('*')) => {
                rest.next();
                depth += 1;
            }
            _ => {}
        }
    }
    false
}

/// The names that words can be completed with, renewed while the shell runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    names: Arc<RwLock<Vec<String>>>,
}

impl Names {
    /// Takes these names from now on.
    pub(crate) fn replace(&self, names: Vec<String>) {
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Where the word before `position` begins, and what it may become.
    fn candidates(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = line.get(..position).unwrap_or(line);
        let start = before
            .rfind(|character: char| !character.is_alphanumeric() && character != '_')
            .map_or(0, |index| {
                index + before[index..].chars().next().map_or(1, char::len_utf8)
            });
        let word = &before[start..];
        let qualified = before[..start].ends_with('.');
        if word.is_empty() && !qualified {
            return (start, Vec::new());
        }
        let folded = word.to_lowercase();
        let matches = |name: &str| name.to_lowercase().starts_with(&folded);
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<String> = names
            .iter()
            .filter(|name| matches(name))
            .map(|name| as_written(name))
            .collect();
        if !qualified {
            let lower = word.chars().any(char::is_lowercase);
            let keywords = KEYWORDS.iter().filter(|keyword| matches(keyword));
            found.extend(keywords.map(|keyword| {
                if lower {
                    keyword.to_lowercase()
                } else {
                    (*keyword).to_owned()
                }
            }));
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(CANDIDATES_MAX);
        (start, found)
    }
}

/// A name as it can stand in a statement.
fn as_written(name: &str) -> String {
    let mut characters = name.chars();
    let begins = characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_');
    if begins && characters.all(|next| next.is_alphanumeric() || next == '_') {
        name.to_owned()
    } else {
        quote(name)
    }
}

/// What the line editor asks while a text is typed.
#[derive(Debug)]
pub(crate) struct ShellHelper {
    names: Names,
}

impl ShellHelper {
    /// Completes with `names`, which may be renewed meanwhile.
    pub(crate) fn new(names: Names) -> Self {
        Self { names }
    }
}

impl Helper for ShellHelper {}

impl Highlighter for ShellHelper {}

impl Hinter for ShellHelper {
    type Hint = String;
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match ending(context.input()) {
            Ending::Open if !is_word_of_parting(context.input()) => ValidationResult::Incomplete,
            _ => ValidationResult::Valid(None),
        })
    }
}

impl Completer for ShellHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.names.candidates(line, position))
    }
}

/// Whether a line asks to leave in the words of other shells.
pub(crate) fn is_word_of_parting(line: &str) -> bool {
    matches!(line.trim(), "exit" | "quit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_finished_by_a_semicolon_outside_of_quotes_and_comments() {
        for (text, expected) in [
            ("", Ending::Empty),
            ("  -- nothing", Ending::Empty),
            (";", Ending::Empty),
            ("\\d orders", Ending::Command),
            ("select 1", Ending::Open),
            ("select 1;", Ending::Finished),
            ("select 1; -- done", Ending::Finished),
            ("select 1; select 2", Ending::Open),
            ("select ';", Ending::Open),
            ("select 'it''s;'", Ending::Open),
            ("select 'it''s;';", Ending::Finished),
            ("select \"a;b\";", Ending::Finished),
            ("select 1 -- ;", Ending::Open),
            ("select /* ; /* nested */ ; */ 1;", Ending::Finished),
            ("select 1; /* open", Ending::Open),
            ("select 4 / 2 - -1;", Ending::Finished),
        ] {
            assert_eq!(ending(text), expected, "{text:?}");
        }
    }

    fn complete(line: &str) -> (usize, Vec<String>) {
        let names = Names::default();
        let known = ["orders", "order_lines", "Ünder", "two words"];
        names.replace(known.map(str::to_owned).to_vec());
        names.candidates(line, line.len())
    }

    #[test]
    fn words_go_on_as_names_or_keywords() {
        assert_eq!(
            complete("select * from ord"),
            (
                14,
                vec![
                    "order".to_owned(),
                    "order_lines".to_owned(),
                    "orders".to_owned(),
                ]
            )
        );
        assert_eq!(complete("SELE"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(complete("sele"), (0, vec!["select".to_owned()]));
        assert_eq!(complete("from sales.ord").0, 11);
        assert!(!complete("from sales.ord").1.contains(&"order".to_owned()));
        assert_eq!(complete("(ün"), (1, vec!["Ünder".to_owned()]));
        assert_eq!(complete("from two"), (5, vec!["\"two words\"".to_owned()]));
        assert_eq!(complete("select "), (7, Vec::new()));
    }
}
