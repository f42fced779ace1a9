//! Sort order, format version.

use iceberg::spec::{NullOrder, SortDirection, Transform};

use super::*;

fn by(column: &str, transform: Transform) -> SortTerm {
    SortTerm {
        column: path(column),
        transform,
        direction: SortDirection::Ascending,
        null_order: NullOrder::First,
    }
}

fn order(terms: Vec<SortTerm>, distribution: Option<DistributionMode>) -> SetSortOrder {
    SetSortOrder {
        terms,
        distribution,
    }
}

#[test]
fn an_order_is_added_once_and_chosen_again() {
    let table = table(FormatVersion::V2);
    let terms = || {
        vec![
            by("id", Transform::Identity),
            by("name", Transform::Bucket(4)),
        ]
    };
    let range = order(terms(), Some(DistributionMode::Range));
    let sorted = applied(&table, range.updates(&table));
    assert_eq!(sorted.default_sort_order_id(), 1);
    assert_eq!(sorted.default_sort_order().fields.len(), 2);
    assert_eq!(sorted.properties()["write.distribution-mode"], "range");
    assert!(range.updates(&sorted).unwrap().is_empty());
    let none = order(Vec::new(), Some(DistributionMode::None));
    let unsorted = applied(&sorted, none.updates(&sorted));
    assert_eq!(unsorted.default_sort_order_id(), 0);
    let again = order(terms(), None).updates(&unsorted);
    assert_eq!(
        again.unwrap(),
        [TableUpdate::SetDefaultSortOrder { sort_order_id: 1 }]
    );
}

#[test]
fn what_cannot_be_sorted_by_is_refused() {
    let table = table(FormatVersion::V2);
    for (column, transform, rule) in [
        ("point", Transform::Identity, "nested"),
        ("tags.element.a", Transform::Identity, "list or map"),
        ("id", Transform::Day, "does not take"),
        ("id", Transform::Void, "does not take"),
    ] {
        let change = order(
            vec![by("name", Transform::Identity), by(column, transform)],
            None,
        );
        let error = change.updates(&table).unwrap_err();
        assert_refused(&error, ErrorKind::InvalidInput, rule);
        assert_eq!(change.refused(&table), Some(1));
    }
    let twice = order(vec![by("id", Transform::Identity); 2], None);
    let error = twice.updates(&table).unwrap_err();
    assert_refused(&error, ErrorKind::InvalidInput, "twice");
}

#[test]
fn a_column_in_the_order_stays() {
    let table = table(FormatVersion::V2);
    let change = order(vec![by("point.x", Transform::Identity)], None);
    let sorted = applied(&table, change.updates(&table));
    for column in ["point.x", "point"] {
        let error = refused(&sorted, drop(column));
        assert_refused(&error, ErrorKind::InvalidInput, "sort order");
    }
    let none = order(Vec::new(), None);
    let unsorted = applied(&sorted, none.updates(&sorted));
    assert_eq!(
        id_of(&evolved(&unsorted, vec![drop("point.x")]), "point.x"),
        None
    );
}

#[test]
fn versions_are_raised_and_never_lowered() {
    use FormatVersion as V;
    for (from, to) in [(V::V1, V::V2), (V::V1, V::V3), (V::V2, V::V3)] {
        let table = table(from);
        let raised = applied(&table, UpgradeFormat { version: to }.updates(&table));
        assert_eq!(raised.format_version(), to);
        assert_eq!(raised.next_row_id(), 0);
        let back = UpgradeFormat { version: from }.updates(&raised);
        assert_refused(
            &back.unwrap_err(),
            ErrorKind::InvalidInput,
            "cannot be lowered",
        );
        let same = UpgradeFormat { version: to }.updates(&raised);
        assert!(same.unwrap().is_empty());
    }
}
