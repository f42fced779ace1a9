//! `CREATE NAMESPACE`, also spelled `SCHEMA` and `DATABASE`.

use datafusion::sql::sqlparser::ast::Ident;
use lakehouse_core::error::Result;

use super::{Statement, if_not_exists, properties};
use crate::parse::Cursor;

/// `CREATE SCHEMA`, `CREATE DATABASE` or `CREATE NAMESPACE`.
#[derive(Debug, Clone)]
pub struct CreateNamespace {
    /// The name's parts; the first may be a catalog.
    pub name: Vec<Ident>,
    /// No error if it exists already.
    pub if_not_exists: bool,
    /// Properties in the order written; comment and location are not among them.
    pub properties: Vec<(String, String)>,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
    /// Where new tables of this namespace go.
    pub location: Option<String>,
}

/// The rest after `CREATE NAMESPACE`.
pub(super) fn create_namespace(cursor: &mut Cursor) -> Result<Statement> {
    let if_not_exists = if_not_exists(cursor)?;
    let name = cursor.name("the name of a namespace")?;
    let mut namespace = CreateNamespace {
        name,
        if_not_exists,
        properties: Vec::new(),
        comment: None,
        location: None,
    };
    while !cursor.at_end() {
        if cursor.peek_words(&["COMMENT"]) {
            properties::text_clause(cursor, &mut namespace.comment)?;
        } else if cursor.peek_words(&["LOCATION"]) {
            properties::text_clause(cursor, &mut namespace.location)?;
        } else if cursor.accept(&["WITH"]) {
            let is_spark = cursor.accept_one(&["DBPROPERTIES", "PROPERTIES"]).is_some();
            for property in properties::list(cursor)? {
                // Trino's WITH has fixed keys, of which this is the one that means the same here.
                if is_spark {
                    namespace.properties.push((property.key, property.value));
                } else if property.key == "location" {
                    namespace.location = Some(property.value);
                } else {
                    return Err(property.unknown(&["location"]));
                }
            }
        } else {
            return Err(cursor.expected("COMMENT, LOCATION, WITH or the end of the statement"));
        }
    }
    Ok(Statement::CreateNamespace(namespace))
}
