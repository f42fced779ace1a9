//! The SQL dialect: sqlparser's permissive one, plus versioned tables.
//!
//! Users bring SQL from Spark, Trino, Athena, DuckDB and PostgreSQL. `GenericDialect` reads most
//! of it (backtick and double-quoted names, three spellings of intervals); this wrapper behaves
//! like it in everything but five answers: tables carry versions, comments hold no SQL, `IS DISTINCT
//! FROM` ends before the next `AND`, `||` joins what `+` and `*` have computed, and words that are
//! names elsewhere are names here too ([`super::plain_word`]).

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::plain_word::{is_plain_column, is_plain_name};

/// The one instance; the dialect has no state.
pub(crate) static DIALECT: LakehouseDialect = LakehouseDialect(GenericDialect);

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct LakehouseDialect(GenericDialect);

/// Answers each switch as the wrapped dialect does.
macro_rules! delegate {
    ($($switch:ident),* $(,)?) => {
        $(fn $switch(&self) -> bool {
            self.0.$switch()
        })*
    };
}

impl Dialect for LakehouseDialect {
    /// Makes sqlparser's `dialect_of!` see the wrapped dialect.
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    /// MySQL runs the text inside `/*! … */`; everywhere else it is a comment.
    fn supports_multiline_comment_hints(&self) -> bool {
        false
    }

    /// sqlparser reads everything after `IS DISTINCT FROM` as its right side: `a IS DISTINCT FROM b
    /// AND c` became `a IS DISTINCT FROM (b AND c)`, another answer than every other engine's.
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let distinct = [Keyword::IS, Keyword::DISTINCT, Keyword::FROM];
        let not_distinct = [Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM];
        let node = if parser.parse_keywords(&distinct) {
            Expr::IsDistinctFrom
        } else if parser.parse_keywords(&not_distinct) {
            Expr::IsNotDistinctFrom
        } else {
            return None;
        };
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(right.map(|right| node(Box::new(left.clone()), Box::new(right))))
    }

    /// sqlparser takes `'a' || 1 * 2` for `('a' || 1) * 2`; PostgreSQL, DuckDB and Trino compute
    /// first.
    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let is_concat = *parser.peek_token_ref() == Token::StringConcat;
        is_concat.then(|| Ok(self.prec_value(Precedence::Pipe)))
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        is_plain_column(parser).then(|| parser.parse_identifier().map(Expr::Identifier))
    }

    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.0.is_column_alias(keyword, parser) || is_plain_name(*keyword, parser.peek_token_ref())
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        self.0.is_table_alias(keyword, parser) || is_plain_name(*keyword, parser.peek_token_ref())
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        self.0.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        self.0.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        self.0.is_identifier_part(character)
    }

    delegate! {
        allow_extract_custom,
        allow_extract_single_quotes,
        support_map_literal_syntax,
        supports_array_typedef_with_brackets,
        supports_asc_desc_in_column_definition,
        supports_bitwise_shift_operators,
        supports_comma_separated_set_assignments,
        supports_comment_on,
        supports_comment_optimizer_hint,
        supports_connect_by,
        supports_constraint_keyword_without_name,
        supports_create_index_with_clause,
        supports_create_view_comment_syntax,
        supports_data_type_signed_suffix,
        supports_detach,
        supports_dictionary_syntax,
        supports_empty_projections,
        supports_explain_with_utility_options,
        supports_extract_comma_syntax,
        supports_filter_during_aggregation,
        supports_from_first_select,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_install,
        supports_interpolate,
        supports_interval_options,
        supports_lambda_functions,
        supports_left_associative_joins_without_parens,
        supports_limit_by,
        supports_limit_comma,
        supports_load_extension,
        supports_match_against,
        supports_match_recognize,
        supports_named_fn_args_with_assignment_operator,
        supports_nested_comments,
        supports_optimize_table,
        supports_parens_around_table_factor,
        supports_parenthesized_set_variables,
        supports_pipe_operator,
        supports_prewhere,
        supports_projection_trailing_commas,
        supports_quote_delimited_string,
        supports_select_format,
        supports_select_wildcard_except,
        supports_select_wildcard_exclude,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_select_wildcard_replace,
        supports_set_names,
        supports_settings,
        supports_start_transaction_modifier,
        supports_string_escape_constant,
        supports_struct_literal,
        supports_try_convert,
        supports_unicode_string_literal,
        supports_user_host_grantee,
        supports_values_as_table_factor,
        supports_window_clause_named_window_reference,
        supports_window_function_null_treatment_arg,
        supports_with_fill,
    }
}
