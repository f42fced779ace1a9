//! Summaries say exact only what is.

use std::collections::HashMap;

use iceberg::spec::{Datum, FormatVersion, PrimitiveType};

use super::*;
use crate::scan::predicate::Predicate;
use crate::scan::testing::{Lake, data_file};
use crate::scan::{ManifestCache, plan};

type Bounds = Option<(Datum, Datum)>;

/// Summary of column `id` over files of 10 values each.
async fn summary(
    id: i32,
    kind: PrimitiveType,
    files: Vec<(Bounds, Option<u64>, Option<u64>)>,
) -> ColumnSummary {
    let mut lake = Lake::new(FormatVersion::V2, &[]);
    let files = files
        .into_iter()
        .enumerate()
        .map(|(n, (bounds, nulls, nans))| {
            let mut file = data_file(&format!("/{n}"), vec![]);
            file.value_counts(HashMap::from([(id, 10)]));
            file.null_value_counts(nulls.map(|nulls| (id, nulls)).into_iter().collect());
            file.nan_value_counts(nans.map(|nans| (id, nans)).into_iter().collect());
            if let Some((lower, upper)) = bounds {
                file.lower_bounds(HashMap::from([(id, lower)]));
                file.upper_bounds(HashMap::from([(id, upper)]));
            }
            file.build().unwrap()
        });
    lake.manifest(files.collect()).await;
    let table = lake.table().await;
    let plan = plan(&table, &Predicate::AlwaysTrue, &ManifestCache::new(0)).await;
    plan.unwrap().column_summary(id, &kind)
}

fn longs(lower: i64, upper: i64) -> Bounds {
    Some((Datum::long(lower), Datum::long(upper)))
}

fn exact(value: Datum) -> Option<BoundSummary> {
    Some(BoundSummary { value, exact: true })
}

fn inexact(value: Datum) -> Option<BoundSummary> {
    Some(BoundSummary {
        value,
        exact: false,
    })
}

#[tokio::test]
async fn bounds_and_counts_are_joined() {
    let files = vec![
        (longs(3, 9), Some(1), None),
        (longs(-2, 4), Some(2), None),
        (None, Some(10), None),
    ];
    let summary = summary(1, PrimitiveType::Long, files).await;
    assert_eq!(summary.null_count, Some(13));
    assert_eq!(summary.nan_count, None);
    assert_eq!(summary.min, exact(Datum::long(-2)));
    assert_eq!(summary.max, exact(Datum::long(9)));
}

#[tokio::test]
async fn m01_what_one_file_does_not_say_is_unknown() {
    let files = vec![(longs(3, 9), Some(1), None), (None, None, None)];
    let summary = summary(1, PrimitiveType::Long, files).await;
    assert_eq!(summary, ColumnSummary::default());
}

#[tokio::test]
async fn m04_bounds_of_texts_are_never_exact() {
    let files = vec![(
        Some((Datum::string("a"), Datum::string("b"))),
        Some(0),
        None,
    )];
    let summary = summary(3, PrimitiveType::String, files).await;
    assert_eq!(summary.min, inexact(Datum::string("a")));
    assert_eq!(summary.max, inexact(Datum::string("b")));
}

#[tokio::test]
async fn m02_bounds_of_floats_are_exact_only_without_nan_and_zeros() {
    let bounds = |lower, upper| Some((Datum::double(lower), Datum::double(upper)));
    let kind = PrimitiveType::Double;
    let known = summary(4, kind.clone(), vec![(bounds(-1.0, 2.0), Some(0), Some(0))]).await;
    assert_eq!(known.min, exact(Datum::double(-1.0)));
    assert_eq!(known.nan_count, Some(0));
    let unknown = summary(4, kind.clone(), vec![(bounds(-1.0, 2.0), Some(0), None)]).await;
    assert_eq!(unknown.max, inexact(Datum::double(2.0)));
    let zeros = vec![
        (bounds(0.0, 2.0), Some(0), Some(0)),
        (bounds(-0.0, 2.0), Some(0), Some(0)),
    ];
    let zeros = summary(4, kind.clone(), zeros).await;
    assert!(!zeros.min.unwrap().exact);
    let nan = summary(
        4,
        kind,
        vec![(bounds(f64::NAN, f64::NAN), Some(0), Some(1))],
    )
    .await;
    assert_eq!((nan.min, nan.max), (None, None));
}

#[tokio::test]
async fn m07_bounds_take_the_type_of_the_column_now() {
    let files = vec![(Some((Datum::long(1), Datum::long(2))), Some(0), None)];
    let promoted = summary(1, PrimitiveType::Long, files.clone()).await;
    assert_eq!(promoted.max, exact(Datum::long(2)));
    let other = summary(1, PrimitiveType::String, files).await;
    assert_eq!((other.min, other.max), (None, None));
}
