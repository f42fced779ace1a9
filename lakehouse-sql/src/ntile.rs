//! The window function `ntile`: buckets of sizes that differ by one at most, the larger ones first.
//!
//! The engine's spreads the larger buckets over all of them.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_window::ntile::Ntile;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::Literal;
use lakehouse_core::error::Error;

/// The function.
pub(crate) fn ntile() -> WindowUDF {
    let engine = Ntile::new();
    WindowUDF::from(Buckets { engine })
}

/// The engine's function with other numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Buckets {
    engine: Ntile,
}

impl WindowUDFImpl for Buckets {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let buckets = args.input_exprs().first().and_then(buckets);
        let buckets = buckets.ok_or_else(|| {
            Error::invalid("ntile takes the number of buckets: a constant integer above 0")
        })?;
        Ok(Box::new(Numbering { buckets }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.engine.field(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }

    fn limit_effect(&self, args: &[PhysicalExprRef]) -> LimitEffect {
        self.engine.limit_effect(args)
    }
}

/// The number of buckets that an argument gives, if it does.
fn buckets(argument: &PhysicalExprRef) -> Option<u64> {
    let literal = argument.as_any().downcast_ref::<Literal>()?;
    match literal.value().cast_to(&DataType::UInt64) {
        Ok(ScalarValue::UInt64(buckets)) => buckets.filter(|buckets| *buckets > 0),
        _ => None,
    }
}

/// Numbers the rows of a partition by their buckets.
#[derive(Debug)]
struct Numbering {
    /// How many there are to be; at least one.
    buckets: u64,
}

impl PartitionEvaluator for Numbering {
    fn evaluate_all(&mut self, _: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let rows = rows as u64;
        let size = rows / self.buckets;
        let larger = rows % self.buckets;
        // Rows in the larger buckets.
        let in_larger = larger * (size + 1);
        let numbers = (0..rows).map(|row| match row.checked_sub(in_larger) {
            None => row / (size + 1) + 1,
            Some(row) => larger + row / size.max(1) + 1,
        });
        Ok(Arc::new(UInt64Array::from_iter_values(numbers)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::UInt64Type;

    use super::*;

    #[test]
    fn buckets_differ_by_one_row_and_the_larger_come_first() {
        for rows in 0..40_usize {
            for buckets in (1..50).chain([u64::MAX]) {
                let numbers = Numbering { buckets }.evaluate_all(&[], rows).unwrap();
                let numbers = numbers.as_primitive::<UInt64Type>().values();
                assert_eq!(numbers.len(), rows);
                assert!(numbers.is_sorted());
                let used = buckets.min(rows as u64);
                let sizes: Vec<usize> = (1..=used)
                    .map(|bucket| numbers.iter().filter(|number| **number == bucket).count())
                    .collect();
                assert_eq!(sizes.iter().sum::<usize>(), rows);
                let (most, least) = (sizes.first(), sizes.last());
                assert!(most.copied() <= least.map(|least| least + 1));
                assert!(sizes.is_sorted_by(|left, right| left >= right));
            }
        }
    }

    #[test]
    fn buckets_are_counted_by_a_positive_constant() {
        let given = |value| buckets(&(Arc::new(Literal::new(value)) as PhysicalExprRef));
        assert_eq!(given(ScalarValue::Int64(Some(4))), Some(4));
        assert_eq!(given(ScalarValue::UInt64(Some(u64::MAX))), Some(u64::MAX));
        for value in [Some(0), Some(-1), None] {
            assert_eq!(given(ScalarValue::Int64(value)), None);
        }
    }
}
