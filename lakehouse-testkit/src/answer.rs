//! Answers of different engines to one query, and whether they are the same answer.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lakehouse_core::error::Result;

/// Two floating point results are the same when they differ by this share at most.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// What a column's values are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Integers and decimals: every digit counts.
    Exact,
    /// Floating point: equal but for the last digits.
    Float,
    /// Anything else: the same text.
    Text,
}

impl Kind {
    /// The kind of that name: `exact`, `float`, or any other for text.
    pub fn named(name: &str) -> Self {
        match name {
            "exact" => Self::Exact,
            "float" => Self::Float,
            _ => Self::Text,
        }
    }
}

/// The rows of one result, each value as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The columns' names.
    pub names: Vec<String>,
    /// What each column's values are compared as.
    pub kinds: Vec<Kind>,
    /// Row by row, a value for each column; `None` is a null.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Answer {
    /// The answer in these batches.
    ///
    /// # Errors
    /// When a column's type cannot be written as text.
    pub fn of(batches: &[RecordBatch]) -> Result<Self> {
        let schema = batches.first().map(RecordBatch::schema);
        let fields = schema.iter().flat_map(|schema| schema.fields().iter());
        let (names, kinds) = fields
            .map(|field| (field.name().clone(), kind_of(field.data_type())))
            .unzip();
        let options = FormatOptions::default();
        let mut rows = Vec::new();
        for batch in batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| Ok((column, ArrayFormatter::try_new(column, &options)?)))
                .collect::<Result<_>>()?;
            for row in 0..batch.num_rows() {
                let values = columns.iter().map(|(column, formatter)| {
                    column
                        .is_valid(row)
                        .then(|| formatter.value(row).to_string())
                });
                rows.push(values.collect());
            }
        }
        Ok(Self { names, kinds, rows })
    }

    /// Where another answer is not this one; `None` when they are the same.
    ///
    /// `order` has the names of the columns that the query is ordered by: their values have to
    /// come in the same order. Rows that they do not tell apart may come in any.
    pub fn difference(&self, other: &Self, order: &[&str]) -> Option<String> {
        if self.rows.len() != other.rows.len() {
            return Some(format!(
                "{} rows instead of {}",
                other.rows.len(),
                self.rows.len()
            ));
        }
        if !self.rows.is_empty()
            && let Some(missing) = order.iter().find(|name| self.place(name).is_none())
        {
            return Some(format!("no column {missing} to be ordered by"));
        }
        let places: Vec<usize> = order.iter().filter_map(|name| self.place(name)).collect();
        self.first_difference(other, false, |column| places.contains(&column))
            .or_else(|| {
                let in_order = self.first_difference(other, false, |_| true);
                in_order.and_then(|_| self.first_difference(other, true, |_| true))
            })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    fn first_difference(
        &self,
        other: &Self,
        sorted: bool,
        counts: impl Fn(usize) -> bool,
    ) -> Option<String> {
        let pairs = self.order(sorted).into_iter().zip(other.order(sorted));
        for (number, (left, right)) in pairs.enumerate() {
            if left.len() != right.len() {
                return Some(format!("{} columns instead of {}", right.len(), left.len()));
            }
            let columns = left.iter().zip(right).enumerate();
            for (column, (a, b)) in columns.filter(|(column, _)| counts(*column)) {
                let (one, two) = (kind(&self.kinds, column), kind(&other.kinds, column));
                if !same(a.as_deref(), one, b.as_deref(), two) {
                    return Some(format!(
                        "row {}, column {}: {b:?} instead of {a:?}",
                        number + 1,
                        column + 1
                    ));
                }
            }
        }
        None
    }

    /// The rows as they are, or sorted by the columns that are the same in every engine.
    fn order(&self, sorted: bool) -> Vec<&Vec<Option<String>>> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        if sorted {
            let text = |row: &[Option<String>]| -> Vec<Option<String>> {
                let columns = row.iter().enumerate();
                columns
                    .filter(|(column, _)| kind(&self.kinds, *column) == Kind::Text)
                    .map(|(_, value)| value.clone())
                    .chain(row.iter().cloned())
                    .collect()
            };
            rows.sort_by_cached_key(|row| text(row));
        }
        rows
    }

    /// Where this is not the answer that the standard prints, which has two decimals and pads its
    /// columns; `None` when it is.
    pub fn difference_from_standard(&self, printed: &str) -> Option<String> {
        let lines = printed
            .lines()
            .filter(|line| !line.trim().is_empty())
            .skip(1);
        let standard: Vec<Vec<&str>> = lines
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        if standard.len() != self.rows.len() {
            return Some(format!(
                "{} rows instead of {}",
                self.rows.len(),
                standard.len()
            ));
        }
        for (number, (found, expected)) in self.rows.iter().zip(&standard).enumerate() {
            for (column, (value, text)) in found.iter().zip(expected).enumerate() {
                let value = value.as_deref().unwrap_or_default().trim();
                if !same_as_printed(value, text, kind(&self.kinds, column)) {
                    return Some(format!("row {}: {value:?} instead of {text:?}", number + 1));
                }
            }
        }
        None
    }
}

fn kind(kinds: &[Kind], column: usize) -> Kind {
    kinds.get(column).copied().unwrap_or(Kind::Text)
}

fn kind_of(data_type: &DataType) -> Kind {
    if data_type.is_floating() {
        Kind::Float
    } else if data_type.is_numeric() {
        Kind::Exact
    } else {
        Kind::Text
    }
}

fn same(left: Option<&str>, one: Kind, right: Option<&str>, two: Kind) -> bool {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.is_none() && right.is_none(),
    };
    match (one, two) {
        (Kind::Text, _) | (_, Kind::Text) => left == right,
        (Kind::Exact, Kind::Exact) => shortest(left) == shortest(right),
        _ => {
            let (Ok(a), Ok(b)) = (left.parse::<f64>(), right.parse::<f64>()) else {
                return left == right;
            };
            // A decimal that stands against a float was cut at its last digit.
            let digit = [(left, one), (right, two)]
                .into_iter()
                .filter(|(_, kind)| *kind == Kind::Exact)
                .map(|(text, _)| last_digit(text))
                .fold(0.0, f64::max);
            (a - b).abs() <= digit.max(RELATIVE_TOLERANCE * a.abs().max(b.abs()))
        }
    }
}

fn same_as_printed(value: &str, printed: &str, kind: Kind) -> bool {
    match (kind, value.parse::<f64>(), printed.parse::<f64>()) {
        (Kind::Exact | Kind::Float, Ok(a), Ok(b)) => (a - b).abs() <= last_digit(printed),
        _ => value == printed,
    }
}

/// What one unit of a decimal's last digit is worth.
fn last_digit(text: &str) -> f64 {
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    (0..digits).fold(1.0, |unit, _| unit / 10.0)
}

/// A decimal without the zeros that only its scale adds.
fn shortest(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kinds: &[Kind], rows: &[&[&str]]) -> Answer {
        let row = |row: &&[&str]| row.iter().map(|value| Some((*value).to_owned())).collect();
        let names = (0..kinds.len()).map(|number| format!("c{number}"));
        Answer {
            names: names.collect(),
            kinds: kinds.to_vec(),
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn exact_numbers_differ_by_any_digit_and_floats_by_more_than_rounding() {
        let exact = answer(&[Kind::Exact], &[&["0.050"]]);
        assert_eq!(
            exact.difference(&answer(&[Kind::Exact], &[&["0.05"]]), &[]),
            None
        );
        assert!(
            exact
                .difference(&answer(&[Kind::Exact], &[&["0.051"]]), &[])
                .is_some()
        );
        assert_eq!(
            exact.difference(&answer(&[Kind::Float], &[&["0.0501"]]), &[]),
            None
        );
        assert!(
            exact
                .difference(&answer(&[Kind::Float], &[&["0.052"]]), &[])
                .is_some()
        );
        let float = answer(&[Kind::Float], &[&["1000000.0000000001"]]);
        assert_eq!(
            float.difference(&answer(&[Kind::Float], &[&["1000000.0000000002"]]), &[]),
            None
        );
    }

    #[test]
    fn order_counts_only_where_rows_differ() {
        let kinds = [Kind::Text, Kind::Exact];
        let one = answer(&kinds, &[&["a", "1"], &["b", "1"]]);
        let other = answer(&kinds, &[&["b", "1"], &["a", "1"]]);
        assert_eq!(one.difference(&other, &[]), None);
        assert_eq!(one.difference(&other, &["c1"]), None);
        for order in [&["c0"][..], &["c1", "c0"], &["c2"]] {
            assert!(one.difference(&other, order).is_some(), "{order:?}");
        }
        let wrong = answer(&kinds, &[&["b", "1"], &["a", "2"]]);
        assert!(one.difference(&wrong, &[]).is_some());
        let short = answer(&kinds, &[&["b", "1"]]);
        assert!(one.difference(&short, &[]).is_some());
    }

    #[test]
    fn the_standard_pads_and_rounds() {
        let kinds = [Kind::Text, Kind::Exact];
        let found = answer(&kinds, &[&["A", "25.522006"]]);
        assert_eq!(
            found.difference_from_standard("\nflag |avg\nA    |25.52\n"),
            None
        );
        assert!(
            found
                .difference_from_standard("\nflag |avg\nA    |25.54\n")
                .is_some()
        );
    }
}
