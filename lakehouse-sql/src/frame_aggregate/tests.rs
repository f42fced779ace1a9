//! Aggregates of frames that move, against those of the frames' rows alone.

use arrow::array::{ArrayRef, Float64Array};
use proptest::prelude::*;

use super::*;

fn any_value() -> impl Strategy<Value = Option<f64>> {
    let value = prop_oneof![
        4 => -3.0..3.0,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300]),
    ];
    prop::option::weighted(0.7, value)
}

fn moments() -> Vec<Moment> {
    let mut moments = vec![Moment::Sum, Moment::Average];
    for is_sample in [false, true] {
        moments.push(Moment::Variance { is_sample });
        moments.push(Moment::Deviation { is_sample });
    }
    moments
}

fn column(values: &[Option<f64>]) -> Vec<ArrayRef> {
    vec![Arc::new(Float64Array::from(values.to_vec()))]
}

/// What a frame comes to that had no rows before.
fn alone(moment: Moment, values: &[Option<f64>]) -> Option<f64> {
    let mut accumulator = MomentsOfFrame::new(moment);
    accumulator.update_batch(&column(values)).unwrap();
    float(&accumulator.evaluate().unwrap())
}

/// What the engine's functions make of the same values, of which they lose none.
fn by_engine(moment: Moment, values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let count = known.len() as f64;
    let sum: f64 = known.iter().sum();
    let squares = |mean: f64| {
        known
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
    };
    let variance = |is_sample| match (known.len(), is_sample) {
        (0, _) | (1, true) => None,
        (1, false) => Some(0.0),
        (_, true) => Some(squares(sum / count) / (count - 1.0)),
        (_, false) => Some(squares(sum / count) / count),
    };
    match moment {
        Moment::Sum => (!known.is_empty()).then_some(sum),
        Moment::Average => (!known.is_empty()).then_some(sum / count),
        Moment::Variance { is_sample } => variance(is_sample),
        Moment::Deviation { is_sample } => variance(is_sample).map(f64::sqrt),
    }
}

fn float(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Float64(value) => *value,
        other => panic!("{other}"),
    }
}

/// Equal but for rounding; of values far beyond the others only that they are.
fn are_close(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) if left.is_finite() && right.is_finite() => {
            (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0)
        }
        (Some(left), Some(right)) => left.is_finite() == right.is_finite(),
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_has_left_a_frame_leaves_no_trace(
        values in prop::collection::vec(any_value(), 0..30),
        steps in prop::collection::vec((0_usize..4, 0_usize..4), 0..30),
    ) {
        for moment in moments() {
            let mut moving = MomentsOfFrame::new(moment);
            let (mut start, mut end) = (0, 0);
            for (enter, leave) in &steps {
                let new_end = (end + enter).min(values.len());
                moving.update_batch(&column(&values[end..new_end])).unwrap();
                end = new_end;
                let new_start = (start + leave).min(end);
                moving.retract_batch(&column(&values[start..new_start])).unwrap();
                start = new_start;
                let found = float(&moving.evaluate().unwrap());
                let frame = &values[start..end];
                prop_assert!(
                    are_close(found, alone(moment, frame)), "{:?} of {:?}: {:?}", moment, frame, found
                );
                let is_ordinary = frame.iter().flatten().all(|value| value.abs() < 10.0);
                prop_assert!(!is_ordinary || are_close(found, by_engine(moment, frame)));
            }
        }
    }
}

#[test]
fn a_frame_knows_when_it_is_empty() {
    let mut moving = MomentsOfFrame::new(Moment::Sum);
    let values = [
        Some(1e300),
        None,
        Some(f64::NAN),
        Some(1.0),
        Some(f64::INFINITY),
    ];
    moving.update_batch(&column(&values)).unwrap();
    assert!(float(&moving.evaluate().unwrap()).is_some_and(f64::is_nan));
    moving.retract_batch(&column(&values[..3])).unwrap();
    assert_eq!(float(&moving.evaluate().unwrap()), Some(f64::INFINITY));
    moving.retract_batch(&column(&values[3..])).unwrap();
    assert_eq!(float(&moving.evaluate().unwrap()), None);
    assert!(moving.retract_batch(&column(&[Some(1.0)])).is_err());
}
