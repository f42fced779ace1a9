//! `SHOW` and `DESCRIBE`.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::Statement;
use crate::parse::{Cursor, nearest};

/// What a `SHOW` lists. Patterns are as written: whose wildcards they use is up to the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShowTarget {
    /// `SHOW NAMESPACES | SCHEMAS | DATABASES [IN parent] [LIKE 'pattern']`.
    Namespaces {
        /// Where to look; the current catalog if not given.
        parent: Option<Vec<Ident>>,
        /// Which names.
        pattern: Option<String>,
    },
    /// `SHOW TABLES [IN namespace] [LIKE 'pattern']`.
    Tables {
        /// Where to look; the current namespace if not given.
        namespace: Option<Vec<Ident>>,
        /// Which names.
        pattern: Option<String>,
    },
    /// `SHOW COLUMNS IN table`.
    Columns {
        /// Whose columns.
        table: Vec<Ident>,
    },
    /// `SHOW CREATE TABLE table`.
    CreateTable {
        /// Whose definition.
        table: Vec<Ident>,
    },
    /// `SHOW TAGS IN table`.
    Tags {
        /// Whose tags.
        table: Vec<Ident>,
    },
    /// `SHOW BRANCHES IN table`.
    Branches {
        /// Whose branches.
        table: Vec<Ident>,
    },
    /// `SHOW TBLPROPERTIES table [('key')]`.
    TableProperties {
        /// Whose properties.
        table: Vec<Ident>,
        /// Only this one.
        key: Option<String>,
    },
    /// `SHOW CATALOGS [LIKE 'pattern']`.
    Catalogs {
        /// Which names.
        pattern: Option<String>,
    },
    /// `SHOW CURRENT NAMESPACE | SCHEMA | DATABASE`.
    CurrentNamespace,
}

/// `DESCRIBE [TABLE] [EXTENDED | FORMATTED] table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Describe {
    /// Which table.
    pub table: Vec<Ident>,
    /// Show the table's metadata below its columns.
    pub extended: bool,
}

const TARGETS: &[&str] = &[
    "NAMESPACES",
    "SCHEMAS",
    "DATABASES",
    "TABLES",
    "COLUMNS",
    "CREATE",
    "TAGS",
    "BRANCHES",
    "TBLPROPERTIES",
    "CATALOGS",
    "CURRENT",
];

/// What other engines list, and where to find it here.
const NOT_OFFERED: &[(&str, &str)] = &[
    (
        "PARTITIONS",
        "SHOW PARTITIONS is not offered: read the metadata table `t.partitions`",
    ),
    ("VIEWS", "SHOW VIEWS is not offered: there are no views yet"),
    ("FUNCTIONS", "SHOW FUNCTIONS is not offered"),
    ("ALL", "SHOW ALL is not offered"),
    ("GRANTS", "SHOW GRANTS is not offered"),
    ("STATS", "SHOW STATS is not offered"),
    ("SESSION", "SHOW SESSION is not offered"),
];

/// `SHOW`.
pub(super) fn show(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["SHOW"])?;
    let Some(word) = cursor.accept_one(TARGETS) else {
        let offered = |(word, _): &&(&str, _)| cursor.peek_words(&[*word]);
        if let Some((_, message)) = NOT_OFFERED.iter().find(offered) {
            return Err(cursor.unsupported(message));
        }
        let near = cursor.peek_upper().and_then(|word| nearest(&word, TARGETS));
        return Err(match near {
            Some(near) => cursor.expected(&format!("`{near}`")),
            None => cursor.expected(&format!("one of {}", TARGETS.join(", "))),
        });
    };
    let target = match word {
        "TABLES" => ShowTarget::Tables {
            namespace: parent(cursor)?,
            pattern: pattern(cursor)?,
        },
        "COLUMNS" => ShowTarget::Columns {
            table: table_within(cursor)?,
        },
        "TAGS" => ShowTarget::Tags {
            table: table_within(cursor)?,
        },
        "BRANCHES" => ShowTarget::Branches {
            table: table_within(cursor)?,
        },
        "CATALOGS" => ShowTarget::Catalogs {
            pattern: pattern(cursor)?,
        },
        "CREATE" => {
            cursor.expect(&["TABLE"])?;
            ShowTarget::CreateTable {
                table: cursor.name("the name of a table")?,
            }
        }
        "TBLPROPERTIES" => ShowTarget::TableProperties {
            table: cursor.name("the name of a table")?,
            key: property_key(cursor)?,
        },
        "CURRENT" => {
            if cursor
                .accept_one(&["NAMESPACE", "SCHEMA", "DATABASE"])
                .is_none()
            {
                return Err(cursor.expected("NAMESPACE"));
            }
            ShowTarget::CurrentNamespace
        }
        _ => ShowTarget::Namespaces {
            parent: parent(cursor)?,
            pattern: pattern(cursor)?,
        },
    };
    Ok(Statement::Show(target))
}

fn parent(cursor: &mut Cursor) -> Result<Option<Vec<Ident>>> {
    match cursor.accept_one(&["IN", "FROM"]) {
        Some(_) => cursor.name("the name of a namespace").map(Some),
        None => Ok(None),
    }
}

/// `[LIKE] 'pattern'`; Spark lets the word away.
fn pattern(cursor: &mut Cursor) -> Result<Option<String>> {
    if cursor.accept(&["LIKE"]) || matches!(cursor.peek(), Token::SingleQuotedString(_)) {
        return cursor.string("a pattern in single quotes").map(Some);
    }
    Ok(None)
}

fn table_within(cursor: &mut Cursor) -> Result<Vec<Ident>> {
    if cursor.accept_one(&["IN", "FROM"]).is_none() {
        return Err(cursor.expected("IN and the name of a table"));
    }
    // Trino writes `IN TABLE t`; a table may be called `table` if it is quoted.
    if matches!(cursor.peek_nth(1), Token::Word(_)) {
        cursor.accept(&["TABLE"]);
    }
    cursor.name("the name of a table")
}

fn property_key(cursor: &mut Cursor) -> Result<Option<String>> {
    if !cursor.accept_token(&Token::LParen) {
        return Ok(None);
    }
    let key = cursor.string("the key of a property in single quotes")?;
    cursor.expect_token(&Token::RParen)?;
    Ok(Some(key))
}

/// `DESCRIBE` or `DESC`.
pub(super) fn describe(cursor: &mut Cursor) -> Result<Statement> {
    cursor.advance();
    // A word that stands alone is the table's name, whatever it is.
    let is_followed = |cursor: &Cursor| matches!(cursor.peek_nth(1), Token::Word(_));
    let others = [
        "NAMESPACE",
        "SCHEMA",
        "DATABASE",
        "FUNCTION",
        "QUERY",
        "CATALOG",
        "VIEW",
    ];
    if cursor.peek_words(&["HISTORY"]) && is_followed(cursor) {
        return Err(cursor
            .unsupported("DESCRIBE HISTORY is not offered: read the metadata table `t.history`"));
    }
    let queries = ["SELECT", "WITH", "VALUES"];
    if let Some(word) = cursor.peek_upper()
        && (others.contains(&word.as_str()) && is_followed(cursor)
            || queries.contains(&word.as_str()))
    {
        return Err(cursor.unsupported(&format!("DESCRIBE {word} is not offered")));
    }
    if is_followed(cursor) {
        cursor.accept(&["TABLE"]);
    }
    let extended = is_followed(cursor) && cursor.accept_one(&["EXTENDED", "FORMATTED"]).is_some();
    let table = cursor.name("the name of a table")?;
    Ok(Statement::Describe(Describe { table, extended }))
}
