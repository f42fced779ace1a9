//! Random rows of every type: metrics and partitions against a count by hand.
#![expect(
    clippy::cast_possible_truncation,
    reason = "test values are made to fit"
)]

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::*;
use iceberg::spec::{
    Datum, FormatVersion, Literal, PrimitiveLiteral, PrimitiveType, Transform, Type,
};
use lakehouse_core::table::write_schema;
use lakehouse_core::write::WrittenFile;
use proptest::prelude::*;

use super::reference::{transform, within};
use super::{Space, primitive, rows_of, table, write_within};

type Value = Option<PrimitiveLiteral>;

/// A small generator: a run is repeated by its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low) as u64) as i64
    }

    fn text(&mut self) -> String {
        let letters = [
            'a',
            'b',
            ' ',
            '#',
            'é',
            '\u{D7FF}',
            '\u{FFFF}',
            '😀',
            '\u{10FFFF}',
        ];
        let length = match self.below(4) {
            0 => self.below(120),
            1 => 16 + self.below(2),
            _ => self.below(4),
        };
        // Some texts repeat one letter, so that long ones share their beginnings.
        let letter = letters[self.below(9) as usize];
        let repeated = self.below(2) == 0;
        (0..length)
            .map(|_| {
                if repeated {
                    letter
                } else {
                    letters[self.below(9) as usize]
                }
            })
            .collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(24) as usize;
        let high = self.below(2) == 0;
        (0..length)
            .map(|_| if high { 0xFF } else { self.next() as u8 })
            .collect()
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => f64::NAN,
            1 => -f64::NAN,
            2 => 0.0,
            3 => -0.0,
            4 => f64::INFINITY,
            _ => self.between(-1000, 1000) as f64 / 4.0,
        }
    }

    fn value(&mut self, value_type: &PrimitiveType) -> Value {
        use PrimitiveLiteral as L;
        use PrimitiveType as P;
        if self.below(5) == 0 {
            return None;
        }
        // A few values come often, so that partitions have several rows.
        let small = self.below(2) == 0;
        let number = |dice: &mut Self, limit: i64| {
            if small {
                dice.between(-3, 3)
            } else {
                dice.between(-limit, limit)
            }
        };
        let year_us = 366 * 86_400_000_000;
        Some(match value_type {
            P::Boolean => L::Boolean(self.below(2) == 0),
            P::Int => L::Int(number(self, i64::from(i32::MAX) - 100) as i32),
            P::Long => L::Long(number(self, i64::MAX / 2)),
            P::Float => L::Float((self.float() as f32).into()),
            P::Double => L::Double(self.float().into()),
            P::Decimal { precision, .. } if *precision > 18 => {
                L::Int128(i128::from(number(self, i64::MAX / 2)) * 1000)
            }
            P::Decimal { .. } => L::Int128(i128::from(number(self, 9_999_000))),
            P::Date => L::Int(number(self, 200_000) as i32),
            P::Time => L::Long(self.between(0, 86_400_000_000)),
            P::Timestamp | P::Timestamptz => L::Long(number(self, 200 * year_us)),
            P::TimestampNs | P::TimestamptzNs => L::Long(number(self, i64::MAX / 2)),
            P::String => L::String(self.text()),
            P::Uuid if small => L::UInt128(u128::from(self.below(3)) << 100),
            P::Uuid => L::UInt128(u128::from(self.next()) << 64 | u128::from(self.next())),
            P::Fixed(length) => {
                let length = *length as usize;
                let high = self.below(2) == 0;
                let byte = |dice: &mut Self| if high { 0xFF } else { dice.next() as u8 };
                L::Binary((0..length).map(|_| byte(self)).collect())
            }
            P::Binary => L::Binary(self.bytes()),
        })
    }
}

fn types() -> Vec<PrimitiveType> {
    use PrimitiveType as P;
    vec![
        P::Long,
        P::Boolean,
        P::Int,
        P::Float,
        P::Double,
        P::Decimal {
            precision: 9,
            scale: 2,
        },
        P::Decimal {
            precision: 15,
            scale: 3,
        },
        P::Decimal {
            precision: 38,
            scale: 5,
        },
        P::Date,
        P::Time,
        P::Timestamp,
        P::Timestamptz,
        P::String,
        P::Uuid,
        P::Fixed(20),
        P::Binary,
    ]
}

/// Pairs of column and transform that a run is partitioned by.
fn partitions(choice: usize) -> Vec<(usize, Transform)> {
    use Transform as T;
    match choice {
        0 => vec![],
        1 => vec![(1, T::Identity), (2, T::Truncate(10))],
        2 => vec![(10, T::Year), (7, T::Bucket(3))],
        3 => vec![(11, T::Month), (5, T::Truncate(500))],
        4 => vec![(8, T::Day), (2, T::Void)],
        5 => vec![(10, T::Hour)],
        6 => vec![(12, T::Truncate(1)), (15, T::Bucket(2))],
        7 => vec![(13, T::Bucket(4)), (12, T::Bucket(2))],
        8 => vec![(15, T::Truncate(1)), (9, T::Bucket(2)), (14, T::Bucket(2))],
        9 => vec![(3, T::Identity)],
        10 => vec![(8, T::Month), (11, T::Bucket(3)), (5, T::Bucket(2))],
        _ => vec![(13, T::Identity), (0, T::Bucket(2)), (8, T::Year)],
    }
}

const PARTITION_CHOICES: usize = 12;

fn array(values: &[Value], stored: &DataType) -> ArrayRef {
    use PrimitiveLiteral as L;
    macro_rules! values {
        ($array:ty, $pattern:pat => $value:expr) => {
            values
                .iter()
                .map(|value| {
                    value.as_ref().map(|value| match value {
                        $pattern => $value,
                        other => panic!("{other:?}"),
                    })
                })
                .collect::<$array>()
        };
    }
    let plain: ArrayRef = match stored {
        DataType::Boolean => Arc::new(values!(BooleanArray, L::Boolean(v) => *v)),
        DataType::Int32 | DataType::Date32 => Arc::new(values!(Int32Array, L::Int(v) => *v)),
        DataType::Float32 => Arc::new(values!(Float32Array, L::Float(v) => v.0)),
        DataType::Float64 => Arc::new(values!(Float64Array, L::Double(v) => v.0)),
        DataType::Decimal128(p, s) => {
            let values = values!(Decimal128Array, L::Int128(v) => *v);
            Arc::new(values.with_precision_and_scale(*p, *s).unwrap())
        }
        DataType::Utf8 => Arc::new(values!(StringViewArray, L::String(v) => v.as_str())),
        DataType::LargeBinary => Arc::new(values!(BinaryViewArray, L::Binary(v) => v.as_slice())),
        DataType::FixedSizeBinary(length) => {
            let bytes = values.iter().map(|value| match value {
                Some(L::UInt128(value)) => Some(value.to_be_bytes().to_vec()),
                Some(L::Binary(bytes)) => Some(bytes.clone()),
                _ => None,
            });
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, *length).unwrap())
        }
        _ => Arc::new(values!(Int64Array, L::Long(v) => *v)),
    };
    match stored {
        DataType::Utf8 | DataType::LargeBinary => plain,
        _ => cast(&plain, stored).unwrap(),
    }
}

struct Case {
    types: Vec<PrimitiveType>,
    /// Values by column; the first column is the row's number.
    columns: Vec<Vec<Value>>,
}

impl Case {
    fn new(seed: u64, rows: usize) -> Self {
        let mut dice = Dice(seed);
        let types = types();
        let columns = types.iter().enumerate().map(|(index, value_type)| {
            let values = (0..rows).map(|row| match index {
                0 => Some(PrimitiveLiteral::Long(row as i64)),
                _ => dice.value(value_type),
            });
            values.collect()
        });
        Self {
            columns: columns.collect(),
            types,
        }
    }

    fn batch(&self, stored: &Schema) -> RecordBatch {
        let arrays = self
            .columns
            .iter()
            .zip(stored.fields())
            .map(|(values, field)| array(values, field.data_type()));
        let arrays: Vec<ArrayRef> = arrays.collect();
        let fields = arrays
            .iter()
            .zip(stored.fields())
            .map(|(array, field)| Field::new(field.name(), array.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Fields>());
        RecordBatch::try_new(Arc::new(schema), arrays).unwrap()
    }

    fn check_metrics(&self, file: &WrittenFile, rows: &[usize]) {
        let data = &file.data_file;
        for (index, values) in self.columns.iter().enumerate() {
            let id = index as i32 + 1;
            let mine: Vec<&Value> = rows.iter().map(|row| &values[*row]).collect();
            let nulls = mine.iter().filter(|value| value.is_none()).count() as u64;
            assert_eq!(data.value_counts()[&id], rows.len() as u64);
            assert_eq!(data.null_value_counts()[&id], nulls, "column {index}");
            let is_float = matches!(
                self.types[index],
                PrimitiveType::Float | PrimitiveType::Double
            );
            let nan = mine
                .iter()
                .copied()
                .flatten()
                .filter(|value| value.is_nan())
                .count() as u64;
            assert_eq!(
                data.nan_value_counts().get(&id).copied(),
                is_float.then_some(nan)
            );
            let lower = data.lower_bounds().get(&id).map(Datum::literal);
            let upper = data.upper_bounds().get(&id).map(Datum::literal);
            let plain: Vec<_> = mine
                .into_iter()
                .flatten()
                .filter(|value| !value.is_nan())
                .collect();
            for value in &plain {
                assert!(
                    within(value, lower, upper),
                    "{index}: {lower:?} {value:?} {upper:?}"
                );
            }
            assert_eq!(lower.is_some(), !plain.is_empty(), "column {index}");
            for bound in [lower, upper].into_iter().flatten() {
                assert!(!bound.is_nan());
                match bound {
                    PrimitiveLiteral::String(text) => assert!(text.chars().count() <= 16),
                    PrimitiveLiteral::Binary(bytes) => assert!(bytes.len() <= 16),
                    _ => {}
                }
            }
        }
    }

    fn check_partition(&self, file: &WrittenFile, rows: &[usize], choice: usize) {
        let partition = file.data_file.partition();
        for (place, (column, how)) in partitions(choice).into_iter().enumerate() {
            for row in rows {
                let value = self.columns[column][*row].as_ref();
                let expected = transform(how, &self.types[column], value);
                let written = partition.fields()[place].clone();
                assert_eq!(
                    written,
                    expected.map(Literal::Primitive),
                    "{how} of row {row}"
                );
            }
        }
    }
}

async fn check(seed: u64, rows: usize, choice: usize, group_bytes: usize, memory: usize) {
    let case = Case::new(seed, rows);
    let names: Vec<String> = (0..case.types.len())
        .map(|index| format!("c{index}"))
        .collect();
    let columns: Vec<(&str, Type)> = names
        .iter()
        .zip(&case.types)
        .map(|(name, value_type)| (name.as_str(), primitive(value_type.clone())))
        .collect();
    let chosen = partitions(choice);
    let by: Vec<(&str, Transform)> = chosen
        .iter()
        .map(|(column, how)| (names[*column].as_str(), *how))
        .collect();
    let group_bytes = group_bytes.to_string();
    let properties = [("write.parquet.row-group-size-bytes", group_bytes.as_str())];
    let table = table(&columns, &by, &properties, FormatVersion::V2);
    let stored = write_schema(table.schema()).unwrap();
    let whole = case.batch(&stored);
    let cut = rows / 3;
    let batches = vec![whole.slice(0, cut), whole.slice(cut, rows - cut)];
    let files = write_within(&table, batches, Space::Spilled(memory))
        .await
        .unwrap();

    let mut seen = vec![false; rows];
    for file in &files {
        let (batches, _) = rows_of(&table, file).await;
        let read = concat_batches(&batches[0].schema(), &batches).unwrap();
        let numbers = read.column(0).as_primitive::<Int64Type>();
        let rows: Vec<usize> = numbers.values().iter().map(|row| *row as usize).collect();
        for row in &rows {
            assert!(
                !std::mem::replace(&mut seen[*row], true),
                "row {row} is there twice"
            );
        }
        case.check_metrics(file, &rows);
        case.check_partition(file, &rows, choice);
        for (index, values) in case.columns.iter().enumerate() {
            let mine: Vec<Value> = rows.iter().map(|row| values[*row].clone()).collect();
            let target = read.column(index).data_type();
            let expected = cast(&array(&mine, stored.field(index).data_type()), target).unwrap();
            assert_eq!(
                read.column(index).to_data(),
                expected.to_data(),
                "column {index}"
            );
        }
    }
    assert!(seen.into_iter().all(|seen| seen), "a row is lost");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn t01_t04_t05_t06_t07_m02_m04_files_hold_their_rows_and_describe_them(
        seed in any::<u64>(),
        rows in 1_usize..120,
        choice in 0..PARTITION_CHOICES,
        group_bytes in prop_oneof![Just(1_usize), Just(4_000), Just(1 << 27)],
        memory in prop_oneof![Just(256 << 10), Just(usize::MAX)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(seed, rows, choice, group_bytes, memory));
    }
}
