//! Bloom filters skip row groups, and never one that holds a value that is asked for.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::PrimitiveType;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, pruned, rows};

const METRIC: &str = "row_groups_pruned_bloom_filter";
const GROUPS: i64 = 4;
const GROUP_ROWS: i64 = 8;

/// The numbers that values are made of: even ones, those of each row group from end to end of all.
fn numbers() -> Vec<i64> {
    (0..GROUPS)
        .flat_map(|group| (0..GROUP_ROWS).map(move |row| 2 * (row * GROUPS + group)))
        .collect()
}

fn decimal(digits: impl Iterator<Item = i128>, precision: u8) -> ArrayRef {
    let digits = Decimal128Array::from_iter_values(digits);
    Arc::new(digits.with_precision_and_scale(precision, 2).unwrap())
}

fn uuid(number: i64) -> [u8; 16] {
    let mut bytes = [0xAB; 16];
    bytes[8..].copy_from_slice(&number.wrapping_mul(0x0123_4567_89AB).to_be_bytes());
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One column of each type that may have a bloom filter, the last two as an older schema has them.
fn columns(numbers: &[i64]) -> RecordBatch {
    let all = || numbers.iter().copied();
    let small = || all().map(|n| i32::try_from(n - 20).unwrap());
    let fixed = |length: usize| {
        let values = all().map(move |n| uuid(n)[16 - length..].to_vec());
        Arc::new(FixedSizeBinaryArray::try_from_iter(values).unwrap())
    };
    let times = || all().map(|n| (n - 20) * 86_399_999_999);
    batch(vec![
        Arc::new(Int32Array::from_iter_values(small())),
        Arc::new(Int64Array::from_iter_values(all().map(|n| n - 20))),
        Arc::new(StringArray::from_iter_values(
            all().map(|n| format!("text {n}")),
        )),
        decimal(all().map(|n| i128::from(n - 20)), 9),
        decimal(all().map(|n| i128::from(n - 20)), 18),
        decimal(all().map(|n| i128::from(n - 20)), 38),
        fixed(16),
        Arc::new(TimestampMicrosecondArray::from_iter_values(times())),
        Arc::new(TimestampMicrosecondArray::from_iter_values(times()).with_timezone("+00:00")),
        Arc::new(Date32Array::from_iter_values(small())),
        Arc::new(Time64MicrosecondArray::from_iter_values(
            all().map(|n| n * 1_001),
        )),
        Arc::new(Float64Array::from_iter_values(
            all().map(|n| (n - 20) as f64 / 2.0),
        )),
        Arc::new(BinaryArray::from_iter_values(all().map(uuid))),
        fixed(4),
        Arc::new(Int32Array::from_iter_values(small())),
        decimal(all().map(|n| i128::from(n - 20)), 5),
    ])
}

fn kinds(is_promoted: bool) -> Vec<PrimitiveType> {
    let decimal = |precision| PrimitiveType::Decimal {
        precision,
        scale: 2,
    };
    vec![
        PrimitiveType::Int,
        PrimitiveType::Long,
        PrimitiveType::String,
        decimal(9),
        decimal(18),
        decimal(38),
        PrimitiveType::Uuid,
        PrimitiveType::Timestamp,
        PrimitiveType::Timestamptz,
        PrimitiveType::Date,
        PrimitiveType::Time,
        PrimitiveType::Double,
        PrimitiveType::Binary,
        PrimitiveType::Fixed(4),
        if is_promoted {
            PrimitiveType::Long
        } else {
            PrimitiveType::Int
        },
        decimal(if is_promoted { 20 } else { 5 }),
    ]
}

/// Column `c{index}` as it would be asked for the value made of a number.
fn literal(index: usize, number: i64) -> String {
    let cast = |text: String, kind: &str| format!("arrow_cast({text}, '{kind}')");
    let time = |zone: &str| {
        let us = (number - 20) * 86_399_999_999;
        cast(us.to_string(), &format!("Timestamp(Microsecond, {zone})"))
    };
    let cents = |precision: u8| {
        let digits = number - 20;
        let sign = if digits < 0 { "-" } else { "" };
        let (whole, rest) = (digits.abs() / 100, digits.abs() % 100);
        cast(
            format!("'{sign}{whole}.{rest:02}'"),
            &format!("Decimal128({precision}, 2)"),
        )
    };
    let bytes =
        |length: usize, kind: &str| cast(format!("X'{}'", hex(&uuid(number)[16 - length..])), kind);
    match index {
        0 | 1 | 14 => (number - 20).to_string(),
        2 => format!("'text {number}'"),
        3 => cents(9),
        4 => cents(18),
        5 => cents(38),
        6 => bytes(16, "FixedSizeBinary(16)"),
        7 => time("None"),
        8 => time("Some(\"+00:00\")"),
        9 => cast(format!("arrow_cast({}, 'Int32')", number - 20), "Date32"),
        10 => cast((number * 1_001).to_string(), "Time64(Microsecond)"),
        11 => format!("{:.1}", (number - 20) as f64 / 2.0),
        12 => bytes(16, "BinaryView"),
        13 => bytes(4, "FixedSizeBinary(4)"),
        _ => cents(20),
    }
}

async fn table(numbers: &[i64], has_filters: bool) -> HandMade {
    let fields = |is_promoted| {
        let kinds = (1..).zip(kinds(is_promoted));
        let fields = kinds.map(|(id, kind)| optional(id, &format!("c{}", id - 1), kind));
        schema(fields.collect())
    };
    let mut made = HandMade::new(fields(false));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(usize::try_from(GROUP_ROWS).unwrap()))
        .set_bloom_filter_enabled(has_filters)
        .set_bloom_filter_fpp(0.001)
        .build();
    let file = made.write(&columns(numbers), properties);
    made.commit(vec![file]).await;
    made.evolve(fields(true));
    made
}

fn context(made: &HandMade) -> SessionContext {
    made.context(SessionConfig::new().with_target_partitions(1))
}

#[tokio::test]
async fn equalities_skip_row_groups_by_bloom_filters_for_every_type() {
    let numbers = numbers();
    let made = table(&numbers, true).await;
    let context = context(&made);
    for index in 0..kinds(true).len() {
        let mut skipped = 0;
        for number in [18, 22, 24, 26, 38] {
            let sql = format!(
                "SELECT c1 FROM t WHERE c{index} = {}",
                literal(index, number)
            );
            assert_eq!(
                rows(&context, &sql).await,
                [(number - 20).to_string()],
                "{sql}"
            );
            skipped += pruned(&context, &sql, METRIC).await;
        }
        // Each value is in one group of four, and within the bounds of all but for the last bytes
        // of UUIDs, which come in no order.
        let least = if index == 13 { 6 } else { 13 };
        assert!(skipped >= least, "c{index}: {skipped}");
        let sql = format!("SELECT c1 FROM t WHERE c{index} = {}", literal(index, 31));
        assert!(rows(&context, &sql).await.is_empty(), "{sql}");
        assert!(pruned(&context, &sql, METRIC).await >= 3, "{sql}");
    }
}

#[tokio::test]
async fn zeros_and_nan_are_not_looked_up_in_bloom_filters() {
    let mut made = HandMade::new(schema(vec![optional(1, "d", PrimitiveType::Double)]));
    let values = [0.0, -0.0, f64::NAN, -f64::NAN, 1.0];
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1))
        .set_bloom_filter_enabled(true)
        .build();
    let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let file = made.write(&batch(vec![column]), properties);
    made.commit(vec![file]).await;
    for (condition, expected) in [
        ("d IN (0.0, 1.0) OR d = -0.0", 3),
        ("d = CAST('NaN' AS DOUBLE)", 1),
        ("d = 1.0", 1),
    ] {
        let found = made
            .rows(&format!("SELECT d FROM t WHERE {condition}"))
            .await;
        assert!(found.len() >= expected, "{condition}: {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn rows_are_the_same_with_bloom_filters_and_without(
        numbers in prop::collection::vec(0_i64..64, 1..40),
        questions in prop::collection::vec(
            (0_usize..16, prop::collection::vec(0_i64..64, 1..4), 0_u8..4),
            24,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let made = [table(&numbers, true).await, table(&numbers, false).await];
            let [with, without] = made.each_ref().map(context);
            for (index, asked, shape) in &questions {
                let literals: Vec<String> = asked.iter().map(|n| literal(*index, *n)).collect();
                let list = literals.join(", ");
                let condition = match shape {
                    0 => format!("c{index} IN ({list})"),
                    1 => format!("c{index} NOT IN ({list})"),
                    2 => format!("c{index} = {} OR c0 = {}", literals[0], asked[0] - 20),
                    _ => format!("c{index} = {}", literals[0]),
                };
                let sql = format!("SELECT c1 FROM t WHERE {condition}");
                assert_eq!(rows(&with, &sql).await, rows(&without, &sql).await, "{condition}");
            }
        });
    }
}
