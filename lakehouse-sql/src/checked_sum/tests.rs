//! Sums and averages are exact or errors, however the rows are dealt out.

use arrow::array::{AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::*;

/// A row: its group, value and whether a filter takes it.
type Row = (i64, Option<i128>, bool);

const NINES: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

fn any_value() -> impl Strategy<Value = Option<i128>> {
    let value = prop_oneof![
        4 => -1_000_i128..1_000,
        2 => -NINES..=NINES,
        1 => prop_oneof![Just(NINES), Just(-NINES), Just(NINES / 2), Just(-NINES / 3)],
    ];
    prop::option::weighted(0.85, value)
}

/// Rows in batches, of small values only or of any.
fn any_batches() -> impl Strategy<Value = Vec<Vec<Row>>> {
    let row = (0_i64..4, any_value(), prop::bool::weighted(0.8));
    let batches = prop::collection::vec(prop::collection::vec(row, 0..6), 1..5);
    (batches, prop_oneof![Just(1_i128), Just(1_000_000)]).prop_map(|(mut batches, divisor)| {
        for (_, value, _) in batches.iter_mut().flatten() {
            *value = value.map(|value| value / divisor);
        }
        batches
    })
}

fn batch_of(rows: &[Row], first_id: i64, scale: i8) -> RecordBatch {
    let ids = (first_id..).take(rows.len());
    let values: Decimal128Array = rows.iter().map(|row| row.1).collect();
    let values = values.with_data_type(DataType::Decimal128(38, scale));
    RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            Arc::new(Int64Array::from_iter_values(ids)) as _,
            false,
        ),
        (
            "g",
            Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()) as _,
            true,
        ),
        ("v", Arc::new(values) as _, true),
        (
            "f",
            Arc::new(rows.iter().map(|row| Some(row.2)).collect::<BooleanArray>()) as _,
            true,
        ),
    ])
    .expect("a batch")
}

/// The rows as a table `t`, each batch a partition of its own.
fn context_of(batches: &[Vec<Row>], scale: i8, config: SessionConfig) -> SessionContext {
    let context = SessionContext::new_with_config(config);
    context.add_analyzer_rule(Arc::new(CheckedSumRule));
    let mut id = 0;
    let partitions: Vec<Vec<RecordBatch>> = batches
        .iter()
        .map(|rows| {
            let batch = batch_of(rows, id, scale);
            id += i64::try_from(rows.len()).expect("few rows");
            vec![batch]
        })
        .collect();
    let schema = partitions[0][0].schema();
    let table = MemTable::try_new(schema, partitions).expect("a table");
    context
        .register_table("t", Arc::new(table))
        .expect("no such table yet");
    context
}

/// The decimals of the first column, or the text of the error.
async fn answers(context: &SessionContext, sql: &str) -> Result<Vec<Option<i128>>, String> {
    let frame = context.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let values = batches.iter().flat_map(|batch| {
        let values: &Decimal128Array = batch.column(0).as_primitive();
        values.iter().collect::<Vec<_>>()
    });
    Ok(values.collect())
}

/// The exact sum, or `Err` when the type does not hold it.
fn exact_sum(values: &[i128]) -> Result<Option<i128>, ()> {
    let sum = values.iter().fold(i256::ZERO, |sum, value| {
        sum.wrapping_add(i256::from_i128(*value))
    });
    let sum = sum.to_i128().filter(|sum| (-NINES..=NINES).contains(sum));
    match values {
        [] => Ok(None),
        _ => sum.map(Some).ok_or(()),
    }
}

fn exact_average(values: &[i128], scale: i8) -> Result<Option<i128>, ()> {
    let sum = values.iter().fold(i256::ZERO, |sum, value| {
        sum.wrapping_add(i256::from_i128(*value))
    });
    let digits = u32::try_from((scale + 4).min(38) - scale).expect("more digits");
    let scaled = sum.wrapping_mul(i256::from_i128(10_i128.pow(digits)));
    let Some(count) = i128::try_from(values.len()).ok().filter(|count| *count > 0) else {
        return Ok(None);
    };
    let average = scaled.wrapping_div(i256::from_i128(count)).to_i128();
    let average = average.filter(|average| (-NINES..=NINES).contains(average));
    average.map(Some).ok_or(())
}

/// Whether no part of the values has a sum beyond 128 bits, in any order.
fn is_always_in_128_bits(values: &[i128]) -> bool {
    let sum = values
        .iter()
        .try_fold(0_i128, |sum, value| sum.checked_add(value.abs()));
    sum.is_some()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

/// States of single rows, partial states of several partitions, and one partition alone.
fn configs() -> [SessionConfig; 3] {
    let several = SessionConfig::new()
        .with_target_partitions(3)
        .with_batch_size(2);
    let mut unaggregated = several.clone();
    let options = unaggregated.options_mut();
    options
        .execution
        .skip_partial_aggregation_probe_rows_threshold = 1;
    options
        .execution
        .skip_partial_aggregation_probe_ratio_threshold = 0.0;
    [
        SessionConfig::new().with_target_partitions(1),
        several,
        unaggregated,
    ]
}

fn take(rows: &[Row], group: Option<i64>, only_filtered: bool, distinct: bool) -> Vec<i128> {
    let rows = rows
        .iter()
        .filter(|row| group.is_none_or(|group| row.0 == group));
    let rows = rows.filter(|row| !only_filtered || row.2);
    let mut values: Vec<i128> = rows.filter_map(|row| row.1).collect();
    if distinct {
        values.sort_unstable();
        values.dedup();
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn results_are_exact_or_errors(
        batches in any_batches(),
        scale in prop_oneof![Just(0_i8), Just(10), Just(36)],
        grouped in any::<bool>(),
        (filtered, distinct, averages) in any::<(bool, bool, bool)>(),
    ) {
        let function = if averages { "avg" } else { "sum" };
        let argument = if distinct { "DISTINCT v" } else { "v" };
        let filter = if filtered { " FILTER (WHERE f)" } else { "" };
        let group = if grouped { " GROUP BY g ORDER BY g" } else { "" };
        let sql = format!("SELECT {function}({argument}){filter} FROM t{group}");
        let rows: Vec<Row> = batches.iter().flatten().copied().collect();
        let mut groups: Vec<Option<i64>> = rows.iter().map(|row| Some(row.0)).collect();
        groups.sort_unstable();
        groups.dedup();
        if !grouped {
            groups = vec![None];
        }
        let values: Vec<Vec<i128>> = groups
            .iter()
            .map(|group| take(&rows, *group, filtered, distinct))
            .collect();
        let expected: Result<Vec<Option<i128>>, ()> = values
            .iter()
            .map(|values| match averages {
                true => exact_average(values, scale),
                false => exact_sum(values),
            })
            .collect();
        let is_certain = values.iter().all(|values| is_always_in_128_bits(values));
        for config in configs() {
            let context = context_of(&batches, scale, config);
            match (runtime().block_on(answers(&context, &sql)), &expected) {
                (Ok(answers), Ok(expected)) => prop_assert_eq!(&answers, expected, "{}", sql),
                (Ok(answers), Err(())) => prop_assert!(false, "{}: {:?}", sql, answers),
                (Err(error), expected) => {
                    prop_assert!(error.contains("leaves DECIMAL(38"), "{}", error);
                    prop_assert!(expected.is_err() || !is_certain, "{}", sql);
                }
            }
        }
    }

    #[test]
    fn windows_are_exact_and_fail_only_when_a_frame_does(
        batches in any_batches(),
        averages in any::<bool>(),
        (before, after) in (0_usize..3, 0_usize..3),
    ) {
        let function = if averages { "avg" } else { "sum" };
        let sql = format!(
            "SELECT {function}(v) OVER (ORDER BY id ROWS BETWEEN {before} PRECEDING AND {after} \
             FOLLOWING) FROM t ORDER BY id"
        );
        let rows: Vec<Row> = batches.iter().flatten().copied().collect();
        let expected: Result<Vec<Option<i128>>, ()> = (0..rows.len())
            .map(|row| {
                let frame = &rows[row.saturating_sub(before)..rows.len().min(row + after + 1)];
                let values = take(frame, None, false, false);
                match averages {
                    true => exact_average(&values, 0),
                    false => exact_sum(&values),
                }
            })
            .collect();
        let context = context_of(&batches, 0, SessionConfig::new());
        let answers = runtime().block_on(answers(&context, &sql)).map_err(|error| {
            assert!(error.contains("leaves DECIMAL(38"), "{error}");
        });
        prop_assert_eq!(answers, expected);
    }
}

#[tokio::test]
async fn only_values_of_many_digits_are_checked() {
    let rows = vec![(1, Some(7), true)];
    let context = context_of(&[rows], 4, SessionConfig::new());
    for (expression, is_checked) in [
        ("sum(v)", true),
        ("avg(v)", true),
        ("sum(CAST(v AS DECIMAL(29, 2)))", true),
        ("sum(CAST(v AS DECIMAL(28, 2)))", false),
        ("sum(id)", false),
        ("avg(id)", false),
        ("sum(v) OVER (ORDER BY id)", true),
        ("avg(CAST(v AS DECIMAL(10, 2))) OVER (ORDER BY id)", false),
    ] {
        let frame = context.sql(&format!("SELECT {expression} FROM t")).await;
        let state = context.state();
        let plan = frame.expect("valid SQL").into_unoptimized_plan();
        let analyzed = state
            .analyzer()
            .execute_and_check(plan, state.config_options(), |_, _| {})
            .expect("a plan");
        let text = format!("{analyzed:?}");
        assert_eq!(text.contains("CheckedSum"), is_checked, "{expression}");
    }
}

fn spills(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spill_count());
    let children = plan.children();
    own.unwrap_or(0) + children.iter().map(|child| spills(child)).sum::<usize>()
}

#[tokio::test]
async fn spilled_sums_are_exact() {
    const GROUPS: i64 = 60_000;
    let half = (NINES - 1) / 2;
    let rows: Vec<Row> = (0..2 * GROUPS)
        .map(|id| (id % GROUPS, Some(half), true))
        .collect();
    let batches: Vec<Vec<Row>> = rows.chunks(4_000).map(<[Row]>::to_vec).collect();
    let env = RuntimeEnvBuilder::new().with_memory_limit(4_000_000, 1.0);
    let env = env.build_arc().expect("an environment");
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(1_024);
    config.options_mut().execution.sort_spill_reservation_bytes = 100_000;
    let memory = context_of(&batches, 0, config.clone());
    let context = SessionContext::new_with_config_rt(config, env);
    context.add_analyzer_rule(Arc::new(CheckedSumRule));
    let table = memory.table_provider("t").await.expect("the table");
    context
        .register_table("t", table)
        .expect("no such table yet");
    for (sql, expected) in [
        ("SELECT sum(v), g FROM t GROUP BY g", 2 * half),
        (
            "SELECT avg(v % 1000000007), g FROM t GROUP BY g",
            half % 1_000_000_007 * 10_000,
        ),
    ] {
        let frame = context.sql(sql).await.expect("valid SQL");
        let plan = frame.create_physical_plan().await.expect("a plan");
        let batches = collect(Arc::clone(&plan), context.task_ctx()).await;
        let batches = batches.expect("rows");
        let text = displayable(plan.as_ref()).indent(true).to_string();
        assert!(spills(&plan) > 0, "{text}");
        let mut groups = 0;
        for batch in batches {
            let sums: &Decimal128Array = batch.column(0).as_primitive();
            groups += sums.len();
            assert!(
                sums.iter().all(|sum| sum == Some(expected)),
                "{sql}: {sums:?}"
            );
        }
        assert_eq!(i64::try_from(groups), Ok(GROUPS));
    }
}

#[test]
fn groups_are_given_out_one_after_the_other() {
    let results = Results {
        kind: Kind::Sum,
        values: (38, 0),
        results: (38, 0),
    };
    let decimals = |values: &[Option<i128>]| -> Vec<arrow::array::ArrayRef> {
        let values: Decimal128Array = values.iter().copied().collect();
        vec![Arc::new(values.with_data_type(DataType::Decimal128(38, 0)))]
    };
    let given = |sums: arrow::array::ArrayRef| -> Vec<Option<i128>> {
        let sums: &Decimal128Array = sums.as_primitive();
        sums.iter().collect()
    };
    let mut sums = GroupSums::new(results);
    let values = decimals(&[Some(1), Some(2), Some(3), Some(10)]);
    sums.update_batch(&values, &[0, 1, 2, 2], None, 3)
        .expect("small sums");
    let first = sums.evaluate(EmitTo::First(2)).expect("small sums");
    assert_eq!(given(first), [Some(1), Some(2)]);
    // The third group is the first now, and the two that are new begin with a NULL.
    let values = decimals(&[Some(4), None, None, Some(5)]);
    sums.update_batch(&values, &[0, 1, 2, 2], None, 3)
        .expect("small sums");
    let first = sums.evaluate(EmitTo::First(1)).expect("small sums");
    assert_eq!(given(first), [Some(17)]);
    let rest = sums.evaluate(EmitTo::All).expect("small sums");
    assert_eq!(given(rest), [None, Some(5)]);
    // A group whose only row is filtered out has no sum either.
    let filter = BooleanArray::from(vec![Some(true), None]);
    sums.update_batch(&decimals(&[Some(6), Some(7)]), &[0, 1], Some(&filter), 2)
        .expect("small sums");
    let state = sums.state(EmitTo::All).expect("one state");
    assert_eq!(given(Arc::clone(&state[0])), [Some(6), None]);
}
