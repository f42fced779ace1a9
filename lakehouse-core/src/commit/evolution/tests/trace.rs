//! What changes of a definition stand on, and what a table tells of one whose answer was lost.

use iceberg::TableRequirement;
use iceberg::spec::Transform;

use super::*;

#[test]
fn a_change_of_columns_stands_on_all_that_columns_are_used_for() {
    let base = table(FormatVersion::V2);
    let updates = evolve(vec![add("a", PrimitiveType::Int)]).updates(&base);
    let requirements = requirements(&base, &updates.unwrap());
    assert!(
        requirements.contains(&TableRequirement::LastAssignedFieldIdMatch {
            last_assigned_field_id: 17
        })
    );
    assert!(
        requirements.contains(&TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: 0
        })
    );
    assert!(requirements.contains(&TableRequirement::DefaultSpecIdMatch { default_spec_id: 0 }));
    assert!(
        requirements.contains(&TableRequirement::DefaultSortOrderIdMatch {
            default_sort_order_id: 0
        })
    );
    let other = evolved(&base, vec![add("b", PrimitiveType::Int)]);
    assert!(
        requirements
            .iter()
            .any(|met| met.check(Some(&other)).is_err())
    );
}

#[test]
fn a_change_of_partitions_stands_on_columns_and_ids() {
    let base = table(FormatVersion::V2);
    let change = EvolvePartitions {
        operations: vec![PartitionOperation::Add(NewPartitionField {
            column: path("id"),
            transform: Transform::Bucket(4),
            name: None,
        })],
    };
    let updates = change.updates(&base).unwrap();
    let requirements = requirements(&base, &updates);
    assert!(
        requirements.contains(&TableRequirement::LastAssignedPartitionIdMatch {
            last_assigned_partition_id: 999
        })
    );
    assert!(
        requirements.contains(&TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: 0
        })
    );
    let renamed = evolved(&base, vec![rename("id", "key")]);
    assert!(has_moved(&updates, &base, &renamed));
    assert!(!has_moved(&updates, &base, &base));
}

#[test]
fn a_schema_that_is_there_was_added_whatever_came_after() {
    let base = table(FormatVersion::V2);
    let ours = evolve(vec![add("a", PrimitiveType::Int)])
        .updates(&base)
        .unwrap();
    assert!(!is_added(&ours, &base, &base));
    let after = change::apply(&base, &ours).unwrap();
    assert!(is_added(&ours, &base, &after));
    let later = evolved(&after, vec![drop("a"), add("b", PrimitiveType::Int)]);
    assert!(is_added(&ours, &base, &later));
    let theirs = evolved(&base, vec![add("b", PrimitiveType::Int)]);
    assert!(!is_added(&ours, &base, &theirs));
    assert!(has_moved(&ours, &base, &theirs));
}

#[test]
fn each_kind_of_update_is_recognised() {
    let base = table(FormatVersion::V2);
    let renamed = evolved(&base, vec![rename("id", "key")]);
    let back = evolve(vec![rename("key", "id")]).updates(&renamed).unwrap();
    let upgrade = UpgradeFormat {
        version: FormatVersion::V3,
    };
    let upgrade = upgrade.updates(&renamed).unwrap();
    let sorted = SetSortOrder {
        terms: vec![SortTerm {
            column: path("key"),
            transform: Transform::Identity,
            direction: iceberg::spec::SortDirection::Descending,
            null_order: iceberg::spec::NullOrder::Last,
        }],
        distribution: None,
    };
    let sorted = sorted.updates(&renamed).unwrap();
    let moved = vec![TableUpdate::SetLocation {
        location: "memory:///elsewhere".to_owned(),
    }];
    for updates in [back, upgrade, sorted, moved] {
        let all = |now: &TableMetadata| {
            updates
                .iter()
                .all(|update| is_as_asked(update, &updates, now) == Some(true))
        };
        assert!(!all(&renamed), "{updates:?}");
        assert!(
            all(&change::apply(&renamed, &updates).unwrap()),
            "{updates:?}"
        );
    }
    let other = TableUpdate::RemoveSnapshots {
        snapshot_ids: Vec::new(),
    };
    assert_eq!(is_as_asked(&other, &[], &base), None);
}
