//! What planning may skip files by.

use iceberg::spec::Datum;

/// A condition on a table's columns, by field id, that prunes manifests, files and row groups.
///
/// A predicate only ever skips what surely holds no matching row: the rows that are left are
/// filtered by the engine. Negation is pushed into the leaves when a predicate is made, so that no
/// evaluation has to turn "may match" around.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Says nothing: every row may match.
    AlwaysTrue,
    /// No row matches.
    AlwaysFalse,
    /// All parts match.
    And(Vec<Predicate>),
    /// One part matches at least.
    Or(Vec<Predicate>),
    /// The column's value compares so with the literal. Never true for NULL.
    ///
    /// The literal has the column's type exactly; whoever makes a predicate leaves out conditions
    /// for which that takes a cast that may lose something.
    Compare {
        /// The column.
        field_id: i32,
        /// How it compares.
        comparison: Comparison,
        /// With what.
        literal: Datum,
    },
    /// The column's value is one of these. Never true for NULL.
    In {
        /// The column.
        field_id: i32,
        /// The values, of the column's type.
        literals: Vec<Datum>,
    },
    /// The column's value is none of these and not NULL.
    NotIn {
        /// The column.
        field_id: i32,
        /// The values, of the column's type.
        literals: Vec<Datum>,
    },
    /// The column is NULL.
    IsNull {
        /// The column.
        field_id: i32,
    },
    /// The column is not NULL.
    IsNotNull {
        /// The column.
        field_id: i32,
    },
    /// The text begins with a prefix.
    StartsWith {
        /// The column.
        field_id: i32,
        /// The prefix.
        prefix: String,
    },
    /// The number of the column's bucket, as the `bucket` transform gives it, compares so with a
    /// number. Never true for NULL.
    Bucket {
        /// The column.
        field_id: i32,
        /// How many buckets there are.
        buckets: u32,
        /// How the number compares.
        comparison: Comparison,
        /// With what.
        number: i32,
    },
}

/// How a value compares with a literal. NaN is larger than every other value, as in DataFusion's
/// sorts and in Iceberg's; a literal NaN is never part of a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
}
