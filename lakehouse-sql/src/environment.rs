//! What one session works with: its access, engine context, own tables and variables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::config::TableOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::NamespaceIdent;
use lakehouse_core::commit::Isolation;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::Principal;
use lakehouse_core::lake::{DEFAULT_NAMESPACE, Lake, dotted};
use lakehouse_core::name::hint;
use lakehouse_core::provider::{Access, LakeCatalog, transform_functions};
use lakehouse_core::settings::{BATCH_ROWS_MAX, PARALLELISM_MAX};

use crate::aggregate_filter::AggregateFilterRule;
use crate::aggregate_order::AggregateOrderRule;
use crate::bounded_call::bound_calls;
use crate::bytes_planner::BytesPlanner;
use crate::cast_name::CastNames;
use crate::checked_sum::CheckedSumRule;
use crate::compared::ComparedRule;
use crate::correlation::CorrelationRule;
use crate::date_bin::DateBin;
use crate::date_format::formats;
use crate::date_trunc::DateTrunc;
use crate::dated_time::DatedTimeRule;
use crate::decimal_arithmetic::DecimalPrecisionRule;
use crate::extreme::ExtremeRule;
use crate::frame_aggregate::FrameAggregateRule;
use crate::grouping_set::GroupingSetRule;
use crate::guarded_logical_rule::logical_rules;
use crate::joined_subqueries::JoinedSubqueries;
use crate::lateral_unnest::LateralUnnestRule;
use crate::lead_lag::{lag, lead};
use crate::length_product::LengthProducts;
use crate::local_time::parse_zone;
use crate::ntile::ntile;
use crate::null_counts::NullCountsPlanner;
use crate::one_nan::OneNanRule;
use crate::physical_rules::physical_rules;
use crate::recursive_type::RecursiveTypeRule;
use crate::scalar_subquery::OneRowRule;
use crate::session_time::session_times;
use crate::session_zone::LocalTimeRule;
use crate::set_operation::SetOperationRule;
use crate::shared_subplan::SharingPlanner;
use crate::statement::WriteOptions;
use crate::subquery_value::SubqueryValueRule;
use crate::truth_test::TruthTestRule;
use crate::typed_call::TypedCallRule;
use crate::wide_arithmetic::WideArithmetic;

/// The variable that fixes every table of a session at one time.
pub(crate) const AS_OF: &str = "lakehouse.as_of";
/// The variable of which rows an INSERT OVERWRITE replaces: `static` or `dynamic`.
pub(crate) const OVERWRITE_MODE: &str = "lakehouse.partition_overwrite_mode";
/// The variable of the id that stages what is written to tables with `write.wap.enabled`.
pub(crate) const WAP_ID: &str = "lakehouse.wap_id";
/// The variable of the branch that what is written to such tables goes to, and is read from.
pub(crate) const WAP_BRANCH: &str = "lakehouse.wap_branch";
/// Variables of a session that stand for options of its writes.
const WRITE_OPTIONS: &[(&str, &str)] = &[
    ("lakehouse.app_id", "app-id"),
    ("lakehouse.compression_codec", "compression-codec"),
    ("lakehouse.compression_level", "compression-level"),
    ("lakehouse.distribution_mode", "distribution-mode"),
    ("lakehouse.isolation_level", "isolation-level"),
    ("lakehouse.merge_schema", "merge-schema"),
    ("lakehouse.target_file_size_bytes", "target-file-size-bytes"),
];
/// What other engines call variables of ours, in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("spark.sql.sources.partitionoverwritemode", OVERWRITE_MODE),
    ("spark.wap.id", WAP_ID),
    ("spark.wap.branch", WAP_BRANCH),
    ("spark.app.id", "lakehouse.app_id"),
    (
        "spark.sql.iceberg.compression-codec",
        "lakehouse.compression_codec",
    ),
    (
        "spark.sql.iceberg.compression-level",
        "lakehouse.compression_level",
    ),
    (
        "spark.sql.iceberg.distribution-mode",
        "lakehouse.distribution_mode",
    ),
    ("spark.sql.iceberg.merge-schema", "lakehouse.merge_schema"),
];
/// The variable of `SET TIME ZONE`.
const TIME_ZONE: &str = "time zone";
/// The engine's name of the session's time zone.
const ENGINE_TIME_ZONE: &str = "datafusion.execution.time_zone";

/// Settings of the engine by which the lake's names and texts are read: other values would make
/// statements mean something else, or find nothing.
const FIXED: &[&str] = &["datafusion.catalog.", "datafusion.sql_parser."];
/// The engine's settings that are counts, with the most of each; there is one at least.
const COUNTS: &[(&str, usize)] = &[
    ("datafusion.execution.batch_size", BATCH_ROWS_MAX),
    ("datafusion.execution.target_partitions", PARALLELISM_MAX),
];

/// The engine's name of the choice between hashing and merging, for all joins.
const HASH_JOINS: &str = "datafusion.optimizer.prefer_hash_join";

/// Which rows an INSERT OVERWRITE replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OverwriteMode {
    /// Those with the fixed partition values, all without any.
    #[default]
    Static,
    /// Those of the partitions that get rows.
    Dynamic,
}

impl OverwriteMode {
    /// The mode of a text.
    ///
    /// # Errors
    /// For other texts.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "static" => Ok(Self::Static),
            "dynamic" => Ok(Self::Dynamic),
            _ => Err(Error::invalid(format!(
                "{OVERWRITE_MODE} is static or dynamic, found {text:?}"
            ))),
        }
    }
}

/// One session's parts.
pub(crate) struct Environment {
    access: Access,
    context: SessionContext,
    local: BTreeMap<String, Arc<LakeCatalog>>,
    variables: Mutex<Variables>,
}

/// What `SET` and `USE` change.
#[derive(Debug, Clone)]
pub(crate) struct Variables {
    /// The catalog of names that do not name one.
    pub(crate) catalog: String,
    /// The namespace of unqualified names.
    pub(crate) namespace: NamespaceIdent,
    /// The time that fixes every table at once, in milliseconds since 1970.
    pub(crate) as_of_ms: Option<i64>,
    /// Which rows an INSERT OVERWRITE replaces.
    pub(crate) overwrite_mode: OverwriteMode,
    /// Where what is written to tables with `write.wap.enabled` goes.
    pub(crate) wap: Wap,
    /// How statements write that do not say it.
    pub(crate) write: WriteOptions,
}

/// Where a session lets its writes be audited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wap {
    /// The id by which a staged snapshot is published.
    pub(crate) id: Option<String>,
    /// The branch that is written to, and read where it exists.
    pub(crate) branch: Option<String>,
}

impl Environment {
    /// The parts of a new session of `principal`.
    ///
    /// # Errors
    /// When the engine refuses the lake's settings.
    pub(crate) fn try_new(lake: Lake, principal: Principal) -> Result<Self> {
        let catalog = lake.default_catalog().to_owned();
        let namespace = NamespaceIdent::new(DEFAULT_NAMESPACE.to_owned());
        let rules = physical_rules(lake.settings().memory_budget_bytes);
        let planner = Arc::new(NullCountsPlanner::new(Arc::new(SharingPlanner::new())));
        let config = session_config(&lake, &catalog);
        let state = SessionStateBuilder::new()
            .with_table_options(table_options(&config))
            .with_config(config)
            .with_runtime_env(Arc::clone(lake.runtime().env()))
            .with_expr_planners(vec![
                Arc::new(CastNames),
                Arc::new(LengthProducts),
                Arc::new(WideArithmetic),
                Arc::new(BytesPlanner),
            ])
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .with_optimizer_rules(logical_rules())
            .with_query_planner(Arc::new(JoinedSubqueries::new(planner)))
            .with_analyzer_rules(vec![
                Arc::new(LateralUnnestRule),
                Arc::new(RecursiveTypeRule),
                Arc::new(TypedCallRule),
                Arc::new(DatedTimeRule),
                // Before the engine's coercion, which would make texts of numbers.
                Arc::new(ComparedRule),
                Arc::new(ResolveGroupingFunction::new()),
                Arc::new(TypeCoercion::new()),
                Arc::new(TruthTestRule),
                Arc::new(LocalTimeRule),
                Arc::new(OneRowRule),
                Arc::new(CorrelationRule),
                Arc::new(SubqueryValueRule),
                Arc::new(DecimalPrecisionRule),
                Arc::new(CheckedSumRule),
                Arc::new(ExtremeRule),
                Arc::new(FrameAggregateRule),
                Arc::new(AggregateFilterRule),
                Arc::new(AggregateOrderRule),
                Arc::new(GroupingSetRule),
                Arc::new(SetOperationRule),
                Arc::new(OneNanRule),
            ])
            .build();
        let context = SessionContext::new_with_state(state).enable_url_table();
        register_functions(&context);
        bound_calls(&context, lake.settings().memory_budget_bytes);
        let access = Access::new(lake, principal);
        let local = crate::register::register_catalogs(&access, &context)?;
        let variables = Mutex::new(Variables {
            catalog,
            namespace,
            as_of_ms: None,
            overwrite_mode: OverwriteMode::default(),
            wap: Wap::default(),
            write: WriteOptions::default(),
        });
        Ok(Self {
            access,
            context,
            local,
            variables,
        })
    }

    /// The lake as the session's principal may see it.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The engine's context.
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The catalogs by name, with the session's own tables in them.
    pub(crate) fn local(&self) -> &BTreeMap<String, Arc<LakeCatalog>> {
        &self.local
    }

    /// The variables as they are now.
    pub(crate) fn variables(&self) -> Variables {
        self.lock_variables().clone()
    }

    fn lock_variables(&self) -> MutexGuard<'_, Variables> {
        self.variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a namespace the current one.
    pub(crate) fn use_namespace(&self, catalog: String, namespace: NamespaceIdent) {
        {
            let mut variables = self.lock_variables();
            variables.catalog.clone_from(&catalog);
            variables.namespace = namespace.clone();
        }
        let state = self.context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog = catalog;
        options.catalog.default_schema = dotted(&namespace);
    }

    /// Fixes every table at one time, or none.
    pub(crate) fn set_as_of(&self, as_of_ms: Option<i64>) {
        self.lock_variables().as_of_ms = as_of_ms;
    }

    /// Sets a variable from its text, or takes it back to its value at the session's start.
    ///
    /// # Errors
    /// Unknown variables with the nearest names; values that do not fit.
    pub(crate) fn set(&self, name: &str, value: Option<String>) -> Result<()> {
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name.to_lowercase());
        let name = alias.map_or(name, |(_, own)| *own);
        match (name, value) {
            (AS_OF, None) => {
                self.set_as_of(None);
                Ok(())
            }
            (OVERWRITE_MODE, value) => {
                let mode = value.as_deref().map(OverwriteMode::parse).transpose()?;
                self.lock_variables().overwrite_mode = mode.unwrap_or_default();
                Ok(())
            }
            (WAP_ID, value) => {
                if value.as_deref().is_some_and(|id| id.trim().is_empty()) {
                    return Err(Error::invalid(format!(
                        "{WAP_ID} must not be empty; RESET {WAP_ID} ends staging"
                    )));
                }
                self.lock_variables().wap.id = value;
                Ok(())
            }
            (WAP_BRANCH, value) => {
                if value.as_deref().is_some_and(|name| name.trim().is_empty()) {
                    return Err(Error::invalid(format!(
                        "{WAP_BRANCH} must not be empty; RESET {WAP_BRANCH} goes back to main"
                    )));
                }
                self.lock_variables().wap.branch = value;
                Ok(())
            }
            (TIME_ZONE | ENGINE_TIME_ZONE, value) => {
                let zone = value.unwrap_or_else(|| "UTC".to_owned());
                parse_zone(&zone)?;
                self.set_engine_option(ENGINE_TIME_ZONE, &zone)?;
                self.tell_functions();
                Ok(())
            }
            (fixed, _) if FIXED.iter().any(|prefix| fixed.starts_with(prefix)) => {
                Err(Error::unsupported(format!(
                    "{fixed} cannot be changed: the lake's own names and texts are read by it"
                )))
            }
            (HASH_JOINS, Some(value)) if !value.trim().eq_ignore_ascii_case("true") => {
                Err(Error::unsupported(format!(
                    "{HASH_JOINS} cannot be changed: NOT IN and FULL JOIN give other rows by merging; \
                     with a memory budget, joins that do not fit are merged where that is safe"
                )))
            }
            (engine, Some(value)) if engine.starts_with("datafusion.") => {
                check_count(engine, &value)?;
                self.set_engine_option(engine, &value)
            }
            (engine, None) if engine.starts_with("datafusion.") => self.reset_engine_option(engine),
            (other, value) => self.set_write_option(other, value.as_deref()),
        }
    }

    fn set_write_option(&self, name: &str, value: Option<&str>) -> Result<()> {
        let Some((_, option)) = WRITE_OPTIONS.iter().find(|(known, _)| *known == name) else {
            let own = [AS_OF, OVERWRITE_MODE, WAP_ID, WAP_BRANCH, TIME_ZONE];
            let known = own
                .into_iter()
                .chain(WRITE_OPTIONS.iter().map(|(known, _)| *known));
            return Err(Error::invalid(format!(
                "there is no variable {name:?}{}",
                hint(name, known)
            )));
        };
        if let ("isolation-level", Some(level)) = (*option, value) {
            level.parse::<Isolation>()?;
        }
        let set = self.lock_variables().write.set(option, value);
        set.unwrap_or_else(|| Err(Error::internal("a variable of no option")))
    }

    fn set_engine_option(&self, name: &str, value: &str) -> Result<()> {
        let state = self.context.state_ref();
        let mut state = state.write();
        Ok(state.config_mut().options_mut().set(name, value)?)
    }

    /// Gives the functions that know the session's zone the one of now.
    fn tell_functions(&self) {
        let state = self.context.state();
        let options = state.config_options();
        let told = state.scalar_functions().values();
        for function in told.filter_map(|function| function.inner().with_updated_config(options)) {
            self.context.register_udf(function);
        }
    }

    fn reset_engine_option(&self, name: &str) -> Result<()> {
        let lake = self.access.lake();
        let defaults = session_config(lake, lake.default_catalog());
        let entries = defaults.options().entries();
        let entry = entries
            .iter()
            .find(|entry| entry.key == name)
            .ok_or_else(|| {
                let names = entries.iter().map(|entry| entry.key.as_str());
                Error::invalid(format!(
                    "there is no variable {name:?}{}",
                    hint(name, names)
                ))
            })?;
        match &entry.value {
            Some(value) => self.set_engine_option(name, value),
            None => Err(Error::unsupported(format!(
                "{name} has no default to go back to"
            ))),
        }
    }
}

/// Refuses a count of the engine that nothing can be executed with; what is no number the engine
/// refuses.
fn check_count(name: &str, value: &str) -> Result<()> {
    let known = COUNTS.iter().find(|(known, _)| *known == name);
    let (Some((_, max)), Ok(count)) = (known, value.trim().parse::<usize>()) else {
        return Ok(());
    };
    match count {
        0 => Err(Error::invalid(format!("{name} must be 1 at least"))),
        count if count > *max => Err(Error::invalid(format!("{name} must be {max} at most"))),
        _ => Ok(()),
    }
}

/// Registers the lake's functions, in place of the engine's own of the same name.
fn register_functions(context: &SessionContext) {
    for function in transform_functions() {
        context.register_udf(function);
    }
    context.register_udwf(lag());
    context.register_udwf(lead());
    context.register_udwf(ntile());
    context.register_udf(ScalarUDF::from(DateTrunc::default()));
    context.register_udf(ScalarUDF::from(DateBin::new()));
    for function in formats() {
        context.register_udf(function);
    }
    for function in session_times(context.state().config_options()) {
        context.register_udf(function);
    }
}

/// What files are read by that are queried directly.
fn table_options(config: &SessionConfig) -> TableOptions {
    let mut options = TableOptions::default_from_session_config(config.options());
    // The engine looks at some lines only, and then cuts the fractions and leaves out the keys of
    // the others.
    options.json.schema_infer_max_rec = Some(usize::MAX);
    options
}

/// The engine's settings of a session that nobody has changed yet.
fn session_config(lake: &Lake, catalog: &str) -> SessionConfig {
    let settings = lake.settings();
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(catalog, DEFAULT_NAMESPACE);
    if let Some(partitions) = settings.parallelism {
        config = config.with_target_partitions(partitions);
    }
    let sizes = Sizes::of(settings.memory_budget_bytes);
    config = config.with_batch_size(settings.batch_size.unwrap_or(sizes.batch_rows));
    let options = config.options_mut();
    options.optimizer.hash_join_single_partition_threshold = sizes.collected_build_bytes;
    options.optimizer.hash_join_single_partition_threshold_rows =
        sizes.collected_build_bytes / COLLECTED_ROW_BYTES;
    options.execution.sort_spill_reservation_bytes = sizes.merge_bytes;
    // It forgets columns of derived tables beside a subquery, and such statements fail.
    options.optimizer.enable_leaf_expression_pushdown = false;
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    // Places of names in errors.
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

/// Sizes of execution that follow from the memory budget.
struct Sizes {
    /// Rows per batch.
    batch_rows: usize,
    /// The largest build side of a join that is collected once for all partitions, in bytes.
    collected_build_bytes: usize,
    /// What each sort holds back for the merge of what it spilled, in bytes.
    merge_bytes: usize,
}

/// What a row of a build side is taken for where only the number of rows is known, in bytes.
const COLLECTED_ROW_BYTES: usize = 16;

impl Sizes {
    /// Large batches and builds collected once are fastest while there is memory for them: dealing
    /// both sides of a join out to a few partitions costs more than it saves.
    fn of(budget_bytes: Option<u64>) -> Self {
        const LARGE_BATCH_ROWS: usize = 32 * 1024;
        const SMALL_BATCH_ROWS: usize = 8 * 1024;
        /// Below this budget batches are small.
        const AMPLE_BYTES: u64 = 1 << 30;
        const COLLECTED_BYTES_MAX: u64 = 1 << 30;
        const MERGE_BYTES_MAX: u64 = 10 << 20;
        let budget = budget_bytes.unwrap_or(u64::MAX);
        let collected = (budget / 4).min(COLLECTED_BYTES_MAX);
        // A query may sort in many places, each in as many parts as there are cores.
        let merge = (budget / 64).min(MERGE_BYTES_MAX);
        Self {
            batch_rows: if budget < AMPLE_BYTES {
                SMALL_BATCH_ROWS
            } else {
                LARGE_BATCH_ROWS
            },
            collected_build_bytes: usize::try_from(collected).unwrap_or(usize::MAX),
            merge_bytes: usize::try_from(merge).unwrap_or(usize::MAX),
        }
    }
}
