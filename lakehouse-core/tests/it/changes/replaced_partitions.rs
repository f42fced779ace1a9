//! Partitions replaced in tables whose files have several specs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use iceberg::spec::{Datum, FormatVersion, Transform};
use iceberg::transform::create_transform_function;
use lakehouse_core::commit::{
    ColumnPath, EvolvePartitions, FileChange, Isolation, NewPartitionField,
    PartitionFieldReference, PartitionOperation,
};
use lakehouse_core::error::ErrorKind;
use proptest::prelude::*;

use super::world::{World, refused};

const VERSIONS: [FormatVersion; 3] = [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3];

/// What tables are partitioned by, each or not.
const FIELDS: [(&str, Transform); 5] = [
    ("part", Transform::Identity),
    ("part", Transform::Truncate(1)),
    ("part", Transform::Bucket(2)),
    ("id", Transform::Truncate(10)),
    ("id", Transform::Bucket(2)),
];
const PARTS: [&str; 4] = ["a", "ab", "b", "bb"];

fn toggled(field: usize, adds: bool) -> EvolvePartitions {
    let (name, transform) = FIELDS[field];
    let column = ColumnPath::parse(name).unwrap();
    let operation = match adds {
        true => PartitionOperation::Add(NewPartitionField {
            column,
            transform,
            name: None,
        }),
        false => PartitionOperation::Drop(PartitionFieldReference::Term { column, transform }),
    };
    EvolvePartitions {
        operations: vec![operation],
    }
}

/// The partition of a row, by the format crate's transforms.
fn tuple(fields: &BTreeSet<usize>, id: i64, part: &str) -> Vec<String> {
    let value = |field: &usize| {
        let (name, transform) = FIELDS[*field];
        let source = match name {
            "id" => Datum::long(id),
            _ => Datum::string(part),
        };
        let function = create_transform_function(&transform).unwrap();
        function
            .transform_literal_result(&source)
            .unwrap()
            .to_string()
    };
    fields.iter().map(value).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Toggle(usize),
    Append(Vec<(i64, usize)>),
    Replace(Vec<(i64, usize)>),
}

fn step() -> impl Strategy<Value = Step> {
    let rows = || prop::collection::vec((0..40_i64, 0..PARTS.len()), 1..4);
    prop_oneof![
        3 => (0..FIELDS.len()).prop_map(Step::Toggle),
        3 => rows().prop_map(Step::Append),
        4 => rows().prop_map(Step::Replace),
    ]
}

/// How often a replacement was made over files of several specs, and was refused.
static MADE: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// Those of the rows whose ids nobody has that stays, and the partitions that they are in.
fn new_rows<'a>(
    rows: BTreeMap<i64, &'a str>,
    replaces: bool,
    fields: &BTreeSet<usize>,
    old: &BTreeMap<i64, String>,
) -> (Vec<(i64, &'a str)>, BTreeSet<Vec<String>>) {
    let mut rows: Vec<_> = rows.into_iter().collect();
    loop {
        let tuples = rows.iter().map(|(id, part)| tuple(fields, *id, part));
        let tuples: BTreeSet<_> = tuples.collect();
        let count = rows.len();
        rows.retain(|(id, _)| {
            let goes = |part: &String| replaces && tuples.contains(&tuple(fields, *id, part));
            old.get(id).is_none_or(goes)
        });
        // Without a row its partition may stay, and the others' ids in it.
        if rows.len() == count {
            return (rows, tuples);
        }
    }
}

async fn run(version: FormatVersion, steps: Vec<Step>) {
    let world = World::new(version).await;
    let mut fields = BTreeSet::from([0]);
    let mut rows: BTreeMap<i64, String> = BTreeMap::new();
    // Of the rows: the fields that their files are partitioned by.
    let mut specs: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for step in steps {
        let new = match &step {
            Step::Toggle(field) => {
                let adds = !fields.contains(field);
                let changed = world.commit(toggled(*field, adds)).await;
                if let Err(error) = changed {
                    // Version 1 cannot drop two fields of one column.
                    assert!(version == FormatVersion::V1 && !adds, "{error}");
                } else if adds {
                    fields.insert(*field);
                } else {
                    fields.remove(field);
                }
                continue;
            }
            Step::Append(new) | Step::Replace(new) => new,
        };
        let replaces = matches!(step, Step::Replace(_));
        // An id is there once.
        let new: BTreeMap<i64, &str> = new.iter().map(|(id, part)| (*id, PARTS[*part])).collect();
        let (new, tuples) = new_rows(new, replaces, &fields, &rows);
        let base = world.table().await;
        let files = world.write(&new).await;
        if !replaces {
            world
                .commit(FileChange::append(&base, files))
                .await
                .unwrap();
        } else {
            let is_mixed = specs.values().any(|of_row| *of_row != fields);
            match world
                .commit(FileChange::replace_partitions(&base, files))
                .await
            {
                Ok(_) => {
                    rows.retain(|id, part| !tuples.contains(&tuple(&fields, *id, part)));
                    MADE.fetch_add(usize::from(is_mixed), Ordering::Relaxed);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
                    assert!(is_mixed, "{error}");
                    REFUSED.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
        }
        for (id, part) in new {
            rows.insert(id, part.to_owned());
            specs.insert(id, fields.clone());
        }
        specs.retain(|id, _| rows.contains_key(id));
        let table = world.table().await;
        let found = world.rows_with_ids(&table).await;
        let found: BTreeMap<i64, String> = found
            .into_iter()
            .map(|(id, (part, _))| (id, part))
            .collect();
        assert_eq!(found, rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn t16_replaced_partitions_hold_the_new_rows_alone_or_nothing_changes(
        version in prop::sample::select(VERSIONS.to_vec()),
        steps in prop::collection::vec(step(), 4..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(version, steps));
    }
}

#[tokio::test]
async fn t16_a_partition_under_an_older_spec_goes_stays_or_refuses() {
    for version in VERSIONS {
        let world = World::new(version).await;
        world.append(&[(1, "a"), (2, "b")]).await;
        world.commit(toggled(4, true)).await.unwrap();
        // The older file of the partition may hold rows of the other bucket.
        let base = world.table().await;
        let change = FileChange::replace_partitions(&base, world.write(&[(1, "a")]).await);
        let error = refused(
            world.commit(change).await,
            ErrorKind::InvalidInput,
            "of another partitioning of the table",
        );
        for text in ["partition: part=a", "partition spec: 0", "file: "] {
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(world.ids().await, [1, 2]);
        // No older file is of this one.
        let change = FileChange::replace_partitions(&base, world.write(&[(3, "c")]).await);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 3]);
        // All of the older ones are in these.
        world.commit(toggled(4, false)).await.unwrap();
        let base = world.table().await;
        let change =
            FileChange::replace_partitions(&base, world.write(&[(4, "a"), (5, "c")]).await);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [2, 4, 5]);
    }
}

#[tokio::test]
async fn t16_files_of_another_spec_that_came_meanwhile_conflict_unless_they_are_elsewhere() {
    for level in [Isolation::Serializable, Isolation::None] {
        for (rows, conflicts) in [
            (&[(8, "a"), (9, "b")][..], true),
            (&[(8, "a")][..], level == Isolation::Serializable),
            (&[(8, "z")][..], false),
        ] {
            let world = World::new(FormatVersion::V2).await;
            world.append(&[(1, "a"), (2, "b")]).await;
            let base = world.table().await;
            let change = FileChange::replace_partitions(&base, world.write(&[(5, "a")]).await)
                .with_isolation(level);
            world.commit(toggled(0, false)).await.unwrap();
            world.append(rows).await;
            let committed = world.commit(change).await;
            match conflicts {
                true => {
                    let text = if level == Isolation::None {
                        "of another partitioning"
                    } else {
                        "conflicting data"
                    };
                    refused(committed, ErrorKind::Conflict, text);
                }
                false => {
                    committed.unwrap();
                    let expected: &[i64] = if rows[0].1 == "z" {
                        &[2, 5, 8]
                    } else {
                        &[2, 5]
                    };
                    assert_eq!(world.ids().await, expected);
                }
            }
        }
    }
}

#[test]
fn t16_the_property_sees_both_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let steps = |field| {
        vec![
            Step::Append(vec![(1, 0), (2, 2)]),
            Step::Toggle(field),
            Step::Replace(vec![(3, 0)]),
        ]
    };
    for (field, counter) in [(4, &REFUSED), (1, &MADE)] {
        let before = counter.load(Ordering::Relaxed);
        runtime.block_on(run(FormatVersion::V2, steps(field)));
        assert!(counter.load(Ordering::Relaxed) > before);
    }
}
