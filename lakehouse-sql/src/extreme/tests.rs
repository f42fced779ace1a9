//! Extremes of floats, in groups as by the total order of all.

use arrow::array::{Array, AsArray, BooleanArray, Date32Array, Float64Array};
use datafusion::logical_expr::EmitTo;
use proptest::prelude::*;

use super::*;

fn any_value() -> impl Strategy<Value = Option<f64>> {
    let value = prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(0.0),
        Just(-0.0),
        -3.0..3.0,
    ];
    prop::option::weighted(0.8, value)
}

/// The bits of the expected result: equal values may be different zeros.
fn expected(kind: Kind, rows: &[(usize, Option<f64>, Option<bool>)], group: usize) -> Option<u64> {
    let taken = rows
        .iter()
        .filter(|row| row.0 == group && row.2 == Some(true));
    let values = taken.filter_map(|row| row.1);
    let best = match kind {
        Kind::Min => values.min_by(f64::total_cmp),
        Kind::Max => values.max_by(f64::total_cmp),
    };
    best.map(f64::to_bits)
}

proptest! {
    #[test]
    fn groups_have_the_extremes_of_the_total_order(
        rows in prop::collection::vec(
            (0_usize..3, any_value(), prop::option::of(any::<bool>())), 0..20),
        is_max in any::<bool>(),
        cut in 0_usize..20,
        is_merged in any::<bool>(),
    ) {
        let kind = if is_max { Kind::Max } else { Kind::Min };
        let mut groups = GroupExtremes::<Float64Type>::new(kind);
        let (first, second) = rows.split_at(cut.min(rows.len()));
        for part in [first, second] {
            let indices: Vec<usize> = part.iter().map(|row| row.0).collect();
            let values: Float64Array = part.iter().map(|row| row.1).collect();
            let filter: BooleanArray = part.iter().map(|row| row.2).collect();
            let values: Vec<arrow::array::ArrayRef> = vec![Arc::new(values)];
            if is_merged {
                let states = groups.convert_to_state(&values, Some(&filter)).unwrap();
                groups.merge_batch(&states, &indices, None, 3).unwrap();
            } else {
                groups.update_batch(&values, &indices, Some(&filter), 3).unwrap();
            }
        }
        let mut found = Vec::new();
        for emit_to in [EmitTo::First(1), EmitTo::All] {
            let result = groups.evaluate(emit_to).unwrap();
            found.extend(result.as_primitive::<Float64Type>().iter());
        }
        for (group, found) in found.into_iter().enumerate() {
            prop_assert_eq!(found.map(f64::to_bits), expected(kind, &rows, group));
        }
    }
}

#[test]
fn under_the_null_of_a_group_without_dates_is_no_number() {
    let mut groups = GroupExtremes::<Date32Type>::new(Kind::Max);
    let values: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(Date32Array::from(vec![None, Some(-7)]))];
    groups.update_batch(&values, &[0, 1], None, 2).unwrap();
    let result = groups.evaluate(EmitTo::All).unwrap();
    assert_eq!(result.as_primitive::<Date32Type>().values(), &[0, -7]);
    assert!(result.is_null(0) && result.is_valid(1));
}
