//! Plans read, answer and fail as without the rule.

use arrow::array::{Array, AsArray, Decimal128Array, Int64Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, concat_batches};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, Field};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::physical_expr::expressions::{col, lit};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::*;

/// Values that a column of a precision holds, and values that only a damaged file has.
fn any_value(precision: u8) -> impl Strategy<Value = i128> {
    let bound = 10_i128.pow(u32::from(precision)) - 1;
    let edge = (0_u32..128).prop_flat_map(|bits| {
        let edge = 1_i128.wrapping_shl(bits);
        prop_oneof![
            Just(edge),
            Just(edge.wrapping_neg()),
            Just(edge.wrapping_sub(1))
        ]
    });
    prop_oneof![
        12 => -bound..=bound,
        12 => -1_000_i128..1_000,
        1 => prop_oneof![Just(bound), Just(-bound)],
        1 => edge,
    ]
}

#[derive(Debug, Clone)]
enum Side {
    Column(Decimal128Array),
    Literal(ScalarValue),
}

impl Side {
    fn data_type(&self) -> DataType {
        match self {
            Self::Column(array) => array.data_type().clone(),
            Self::Literal(literal) => literal.data_type(),
        }
    }
}

/// A column of `rows` rows that begins within its buffers, or a literal.
fn any_side(rows: usize) -> impl Strategy<Value = Side> {
    let types = (1..=DECIMAL128_MAX_PRECISION)
        .prop_flat_map(|precision| (Just(precision), 0..=i8::try_from(precision).unwrap_or(0)));
    types.prop_flat_map(move |(precision, scale)| {
        let data_type = DataType::Decimal128(precision, scale);
        // Few columns hold large values only: most go by the narrow loop.
        let width = prop_oneof![Just(precision), Just(precision.min(9))];
        let values = width.prop_flat_map(move |width| {
            prop::collection::vec((any_value(width), prop::bool::weighted(0.9)), rows + 3)
        });
        let column = (values, any::<bool>()).prop_map(move |(rows, has_nulls)| {
            let (values, valid): (Vec<i128>, Vec<bool>) = rows.into_iter().unzip();
            let nulls = has_nulls.then(|| NullBuffer::from(valid));
            let array = Decimal128Array::new(values.into(), nulls);
            let array = array.with_data_type(data_type.clone());
            Side::Column(array.slice(3, array.len() - 3))
        });
        let literal = prop::option::weighted(0.9, any_value(precision))
            .prop_map(move |value| Side::Literal(ScalarValue::Decimal128(value, precision, scale)));
        prop_oneof![3 => column, 1 => literal]
    })
}

fn any_sides() -> impl Strategy<Value = (usize, Side, Side)> {
    let rows = prop_oneof![1 => Just(0), 20 => 1_usize..40, 1 => Just(2_500)];
    rows.prop_flat_map(|rows| (Just(rows), any_side(rows), any_side(rows)))
}

/// The sides as a batch, and as expressions that read it.
fn batch_of(rows: usize, sides: [&Side; 2]) -> (RecordBatch, [Arc<dyn PhysicalExpr>; 2]) {
    let names = ["left", "right"];
    let fields: Vec<Field> = names
        .iter()
        .zip(sides)
        .map(|(name, side)| Field::new(*name, side.data_type(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = sides.map(|side| match side {
        Side::Column(array) => Arc::new(array.clone()) as _,
        Side::Literal(literal) => literal.to_array_of_size(rows).expect("an array"),
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.to_vec()).expect("a batch");
    let expressions = [0, 1].map(|side| match sides[side] {
        Side::Column(_) => col(names[side], &schema).expect("a column"),
        Side::Literal(literal) => lit(literal.clone()),
    });
    (batch, expressions)
}

/// Whether every value has at most the digits of its type.
fn is_in_precision(values: &dyn Array) -> bool {
    let values: &Decimal128Array = values.as_primitive();
    let bound = 10_i128.pow(u32::from(values.precision()));
    values
        .iter()
        .flatten()
        .all(|value| -bound < value && value < bound)
}

/// The values of an expression, or the text of its error.
fn values_of(
    expression: &dyn PhysicalExpr,
    batch: &RecordBatch,
) -> Result<arrow::array::ArrayRef, String> {
    let values = expression.evaluate(batch);
    values
        .and_then(|values| values.into_array(batch.num_rows()))
        .map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn results_are_those_of_the_engine_or_leave_their_type(
        (rows, left, right) in any_sides(),
        operator in prop::sample::select(vec![
            Operator::Plus, Operator::Minus, Operator::Multiply, Operator::Divide, Operator::Modulo,
        ]),
    ) {
        let (batch, [left, right]) = batch_of(rows, [&left, &right]);
        let engine = BinaryExpr::new(left, operator, right);
        let own = DecimalArithmetic::new(engine.clone());
        match (values_of(&own, &batch), values_of(&engine, &batch)) {
            (Err(own), Ok(engine)) => {
                prop_assert!(own.contains("leaves DECIMAL"), "{}", own);
                // Two literals are computed with though there is no row.
                prop_assert!(rows == 0 || !is_in_precision(&engine));
            }
            (Ok(own), Ok(engine)) => {
                prop_assert_eq!(&own, &engine);
                // A file may hold more digits than its type; small precisions are not looked at.
                let DataType::Decimal128(precision, _) = own.data_type() else {
                    return Err(TestCaseError::fail("a decimal"));
                };
                prop_assert!(*precision < DECIMAL128_MAX_PRECISION || is_in_precision(&own));
            }
            (own, engine) => prop_assert_eq!(own, engine),
        }
        let schema = batch.schema();
        prop_assert_eq!(own.nullable(&schema).ok(), engine.nullable(&schema).ok());
        let types = [&own as &dyn PhysicalExpr, &engine].map(|side| side.data_type(&schema));
        let [own, engine] = types.map(|kind| kind.map_err(|error| error.to_string()));
        prop_assert_eq!(own, engine);
    }
}

fn prices() -> RecordBatch {
    let decimals = |values: &[i128]| {
        let array = Decimal128Array::from(values.to_vec());
        Arc::new(array.with_data_type(DataType::Decimal128(15, 2))) as arrow::array::ArrayRef
    };
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 1])) as _),
        ("price", decimals(&[10_000, 99_999_999, 1])),
        ("discount", decimals(&[5, 10, 0])),
        ("tax", decimals(&[8, 0, 2])),
    ])
    .expect("a batch")
}

/// The plan without this rule, and with it.
async fn plans(sql: &str) -> (SessionContext, [Arc<dyn ExecutionPlan>; 2]) {
    plans_in(SessionContext::new(), sql).await
}

async fn plans_in(
    context: SessionContext,
    sql: &str,
) -> (SessionContext, [Arc<dyn ExecutionPlan>; 2]) {
    let prices = prices();
    let table = MemTable::try_new(prices.schema(), vec![vec![prices]]).expect("a table");
    let table = Arc::new(table);
    context
        .register_table("t", table)
        .expect("no such table yet");
    let frame = context.sql(sql).await.expect("valid SQL");
    let plan = frame.create_physical_plan().await.expect("a plan");
    let options = context.copied_config().options().as_ref().clone();
    let own = DecimalArithmeticRule
        .optimize(Arc::clone(&plan), &options)
        .expect("a plan");
    (context, [plan, own])
}

/// How many expressions of a plan are this project's.
fn count_own(plan: &Arc<dyn ExecutionPlan>) -> usize {
    count(plan, is_own)
}

/// How many results of a plan a function looks at.
fn count_checks(plan: &Arc<dyn ExecutionPlan>) -> usize {
    count(plan, |expression| {
        let call = expression.as_any().downcast_ref::<ScalarFunctionExpr>();
        call.is_some_and(|call| call.fun().inner().as_any().is::<InPrecision>())
    })
}

fn count(plan: &Arc<dyn ExecutionPlan>, is: fn(&Arc<dyn PhysicalExpr>) -> bool) -> usize {
    let mut expressions: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    if let Some(node) = plan.as_any().downcast_ref::<ProjectionExec>() {
        expressions.extend(node.expr().iter().map(|column| Arc::clone(&column.expr)));
    }
    if let Some(node) = plan.as_any().downcast_ref::<FilterExec>() {
        expressions.push(Arc::clone(node.predicate()));
    }
    if let Some(node) = plan.as_any().downcast_ref::<AggregateExec>() {
        expressions.extend(node.aggr_expr().iter().flat_map(|one| one.expressions()));
        let groups = node.group_expr().expr().iter();
        expressions.extend(groups.map(|(group, _)| Arc::clone(group)));
    }
    let mut counted = 0;
    for expression in expressions {
        let walked = expression.transform_down(|expression| {
            counted += usize::from(is(&expression));
            Ok(Transformed::no(expression))
        });
        walked.expect("only counted");
    }
    let children = plan.children().into_iter();
    counted + children.map(|child| count(child, is)).sum::<usize>()
}

async fn assert_same_but_own(sql: &str, own_expected: usize) {
    let (context, [engine, own]) = plans(sql).await;
    assert_eq!(
        (count_own(&engine), count_own(&own)),
        (0, own_expected),
        "{sql}"
    );
    let texts = [&engine, &own].map(|plan| displayable(plan.as_ref()).indent(true).to_string());
    assert_eq!(texts[0], texts[1], "{sql}");
    let mut results = Vec::new();
    for plan in [engine, own] {
        let schema = plan.schema();
        let rows = datafusion::physical_plan::collect(plan, context.task_ctx()).await;
        results.push(concat_batches(&schema, &rows.expect("rows")).expect("one batch"));
    }
    assert_eq!(results[0], results[1], "{sql}");
}

#[tokio::test]
async fn arithmetic_on_rows_is_replaced_and_reads_like_before() {
    for (sql, own_expected) in [
        ("SELECT price * (1 - discount) * (1 + tax) - 2 FROM t", 5),
        ("SELECT price - (discount - tax) FROM t", 2),
        ("SELECT price / (tax + 1), id / 2 FROM t", 2),
        ("SELECT (price + tax) / 3, tax % (discount + 1) FROM t", 4),
        (
            "SELECT id FROM t WHERE price * discount > tax + 1 ORDER BY id",
            2,
        ),
        (
            "SELECT id, sum(price * (1 - discount)), sum(price * (1 - discount) * (1 + tax)), \
             avg(price * 2) FROM t GROUP BY id ORDER BY id",
            5,
        ),
        ("SELECT sum(price + tax) FROM t", 1),
        ("SELECT id + 1, cast(price AS DOUBLE) * 2 FROM t", 0),
    ] {
        assert_same_but_own(sql, own_expected).await;
    }
}

#[tokio::test]
async fn an_order_by_an_expression_stays_known() {
    let (_, [engine, own]) = plans("SELECT price, tax FROM t").await;
    assert_eq!(count_own(&own), 0);
    let schema = engine.schema();
    let price = col("price", &schema).expect("a column");
    let tax = col("tax", &schema).expect("a column");
    let sum: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(price, Operator::Plus, tax));
    let order = PhysicalSortExpr::new(Arc::clone(&sum), SortOptions::default());
    let sorted = SortExec::new(LexOrdering::from([order]), engine);
    let column = ProjectionExpr::new(sum, "sum");
    let plan = ProjectionExec::try_new([column], Arc::new(sorted)).expect("a projection");
    let plan: Arc<dyn ExecutionPlan> = Arc::new(plan);
    assert!(plan.output_ordering().is_some());
    let options = ConfigOptions::default();
    let own = DecimalArithmeticRule
        .optimize(Arc::clone(&plan), &options)
        .expect("a plan");
    assert_eq!(own.output_ordering(), plan.output_ordering());
}

#[tokio::test]
async fn results_are_looked_at_once() {
    for (sql, before, after) in [
        ("SELECT price * price * price FROM t", 1, 0),
        ("SELECT id FROM t WHERE price * tax * tax * tax > 1", 2, 0),
        ("SELECT sum(price * price * price) FROM t", 1, 0),
        (
            "SELECT price * price, price + tax, price / tax FROM t",
            0,
            0,
        ),
        (
            "SELECT price * price * price, count(*) FROM t GROUP BY price * price * price",
            1,
            1,
        ),
    ] {
        let context = SessionContext::new_with_config(
            datafusion::prelude::SessionConfig::new().with_target_partitions(1),
        );
        context.add_analyzer_rule(Arc::new(DecimalPrecisionRule));
        let (_, [engine, own]) = plans_in(context, sql).await;
        assert_eq!(
            (count_checks(&engine), count_checks(&own)),
            (before, after),
            "{sql}"
        );
    }
}
