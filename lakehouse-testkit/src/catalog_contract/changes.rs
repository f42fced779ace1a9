//! Cases about commits.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{
    Operation, Snapshot, SnapshotReference, SnapshotRetention, Summary, TableMetadata,
};
use iceberg::{TableRequirement, TableUpdate};
use lakehouse_core::catalog::{Catalog, CommitOutcome, TablePointer};
use lakehouse_core::error::{ErrorKind, Result};
use lakehouse_core::runtime::spawn;
use lakehouse_core::storage::join;

use super::{assert_conflict, assert_kind, committed, make_table, new_metadata, schema, table};

const COMMITTERS: usize = 6;
const ROUNDS: usize = 4;

fn set_property(key: &str, value: &str) -> TableUpdate {
    TableUpdate::SetProperties {
        updates: HashMap::from([(key.to_owned(), value.to_owned())]),
    }
}

fn main_at(snapshot_id: i64) -> TableUpdate {
    TableUpdate::SetSnapshotRef {
        ref_name: "main".to_owned(),
        reference: SnapshotReference::new(snapshot_id, SnapshotRetention::branch(None, None, None)),
    }
}

/// A first append to an empty table: the snapshot, and `main` on it.
fn append(metadata: &TableMetadata, snapshot_id: i64) -> [TableUpdate; 2] {
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(metadata.next_sequence_number())
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(join(
            metadata.location(),
            &format!("metadata/snap-{snapshot_id}.avro"),
        ))
        .with_schema_id(metadata.current_schema_id())
        .with_summary(Summary {
            operation: Operation::Append,
            additional_properties: HashMap::new(),
        })
        .build();
    [TableUpdate::AddSnapshot { snapshot }, main_at(snapshot_id)]
}

/// Whoever deletes a table's files next drops the name only of what he has read: neither of what
/// others committed since, nor of another table of that name.
///
/// # Errors
/// When the catalog fails.
pub async fn an_owned_table_is_dropped_only_as_it_was_read(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let read = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let ident = &read.ident;
    let updates = vec![set_property("owner", "somebody")];
    let moved = committed(catalog.commit(&read, vec![], updates).await?)?;
    assert_kind(&catalog.drop_owned_table(&read).await, ErrorKind::Conflict);
    assert_eq!(
        catalog.load_table(ident).await?.metadata_location,
        moved.metadata_location
    );
    catalog.drop_table(ident).await?;
    assert_kind(&catalog.drop_owned_table(&moved).await, ErrorKind::NotFound);
    let anew = make_table(catalog.as_ref(), &["n", "t"]).await?;
    assert_kind(&catalog.drop_owned_table(&moved).await, ErrorKind::Conflict);
    assert_eq!(
        catalog.load_table(ident).await?.metadata_location,
        anew.metadata_location
    );
    catalog.drop_owned_table(&anew).await?;
    assert_kind(&catalog.load_table(ident).await, ErrorKind::NotFound);
    assert!(catalog.storage().exists(&anew.metadata_location).await?);
    Ok(())
}

/// Each committer adds a column and requires that nobody else did: one wins each round, the others
/// conflict, and the table is what the winner made of it.
///
/// # Errors
/// When the catalog fails.
pub async fn c05_one_of_many_commits_on_one_base_wins_each_round(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let mut base = make_table(catalog.as_ref(), &["n", "t"]).await?;
    for round in 0..ROUNDS {
        let mut tasks = Vec::new();
        for committer in 0..COMMITTERS {
            let (catalog, base) = (Arc::clone(&catalog), base.clone());
            tasks.push(spawn(async move {
                let requirement = TableRequirement::LastAssignedFieldIdMatch {
                    last_assigned_field_id: base.metadata.last_column_id(),
                };
                let mut columns = vec!["id".to_owned()];
                columns.extend((0..round).map(|past| format!("c{past}")));
                columns.push(format!("c{round}"));
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                let updates = vec![
                    TableUpdate::AddSchema {
                        schema: schema(&columns)?,
                    },
                    TableUpdate::SetCurrentSchema { schema_id: -1 },
                    set_property(&format!("winner-{round}"), &committer.to_string()),
                ];
                catalog.commit(&base, vec![requirement], updates).await
            }));
        }
        let mut winners = Vec::new();
        for task in tasks {
            match task.await?? {
                CommitOutcome::Committed(pointer) => winners.push(pointer),
                outcome => assert_conflict(&outcome),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let current = catalog.load_table(&base.ident).await?;
        assert_eq!(current.metadata_location, winners[0].metadata_location);
        assert_eq!(current.metadata, winners[0].metadata);
        base = current;
    }
    assert_eq!(base.metadata.metadata_log().len(), ROUNDS);
    // The losers' files are gone: what stands is the first file and one for each round.
    assert_eq!(
        metadata_files(catalog.as_ref(), &base).await?.len(),
        ROUNDS + 1
    );
    Ok(())
}

/// Committers that try again after a conflict all get through, and no change is lost.
///
/// # Errors
/// When the catalog fails.
pub async fn c05_commits_tried_again_lose_nothing(catalog: Arc<dyn Catalog>) -> Result<()> {
    let base = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let mut tasks = Vec::new();
    for committer in 0..COMMITTERS {
        let (catalog, mut base) = (Arc::clone(&catalog), base.clone());
        tasks.push(spawn(async move {
            for round in 0..ROUNDS {
                let update = set_property(&format!("{committer}-{round}"), "done");
                // Each attempt fails only because another one got through.
                for _ in 0..=COMMITTERS * ROUNDS {
                    match catalog.commit(&base, vec![], vec![update.clone()]).await? {
                        CommitOutcome::Committed(pointer) => {
                            base = pointer;
                            break;
                        }
                        outcome => {
                            assert_conflict(&outcome);
                            base = catalog.load_table(&base.ident).await?;
                        }
                    }
                }
            }
            Ok::<(), lakehouse_core::error::Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let current = catalog.load_table(&base.ident).await?;
    assert_eq!(current.metadata.properties().len(), COMMITTERS * ROUNDS);
    Ok(())
}

/// Two first commits to an empty table both assert that it is empty: the second conflicts. So does
/// a snapshot that was made for an older state without asserting anything.
///
/// # Errors
/// When the catalog fails.
pub async fn c08_a_second_first_commit_conflicts(catalog: Arc<dyn Catalog>) -> Result<()> {
    let empty = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let is_empty = TableRequirement::RefSnapshotIdMatch {
        r#ref: "main".to_owned(),
        snapshot_id: None,
    };
    let first = append(&empty.metadata, 1).to_vec();
    let first = committed(
        catalog
            .commit(&empty, vec![is_empty.clone()], first)
            .await?,
    )?;
    let second = append(&empty.metadata, 2).to_vec();
    assert_conflict(
        &catalog
            .commit(&empty, vec![is_empty], second.clone())
            .await?,
    );
    assert_conflict(&catalog.commit(&empty, vec![], second).await?);
    let current = catalog.load_table(&empty.ident).await?;
    assert_eq!(current.metadata_location, first.metadata_location);
    assert_eq!(current.metadata.current_snapshot_id(), Some(1));
    Ok(())
}

/// A table's uuid outlives commits and new names, cannot be changed, and tells a table made anew
/// under an old name from the old one.
///
/// # Errors
/// When the catalog fails.
pub async fn c19_the_uuid_never_changes(catalog: Arc<dyn Catalog>) -> Result<()> {
    let made = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let uuid = made.metadata.uuid();
    let update = vec![set_property("a", "1")];
    let changed = committed(catalog.commit(&made, vec![], update.clone()).await?)?;
    assert_eq!(changed.metadata.uuid(), uuid);
    let other = new_metadata(catalog.as_ref(), &made.ident).await?.uuid();
    let reassigned = catalog
        .commit(
            &changed,
            vec![],
            vec![TableUpdate::AssignUuid { uuid: other }],
        )
        .await;
    assert_kind(&reassigned, ErrorKind::InvalidInput);

    let renamed = table(&["n", "renamed"])?;
    catalog.rename_table(&made.ident, &renamed).await?;
    assert_eq!(catalog.load_table(&renamed).await?.metadata.uuid(), uuid);
    assert_kind(
        &catalog.commit(&changed, vec![], update.clone()).await,
        ErrorKind::NotFound,
    );
    make_table(catalog.as_ref(), &["n", "t"]).await?;
    assert_conflict(&catalog.commit(&changed, vec![], update).await?);
    Ok(())
}

/// A commit on an old state is made on the current one when its requirements still hold.
///
/// # Errors
/// When the catalog fails.
pub async fn a_stale_base_commits_only_when_its_requirements_hold(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let old = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let same_uuid = TableRequirement::UuidMatch {
        uuid: old.metadata.uuid(),
    };
    let same_schema = TableRequirement::CurrentSchemaIdMatch {
        current_schema_id: old.metadata.current_schema_id(),
    };
    let evolve = vec![
        TableUpdate::AddSchema {
            schema: schema(&["id", "more"])?,
        },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    committed(
        catalog
            .commit(&old, vec![same_schema.clone()], evolve)
            .await?,
    )?;
    let update = vec![set_property("late", "yes")];
    assert_conflict(
        &catalog
            .commit(&old, vec![same_schema], update.clone())
            .await?,
    );
    let both = committed(catalog.commit(&old, vec![same_uuid], update).await?)?;
    assert_eq!(both.metadata.current_schema().as_struct().fields().len(), 2);
    assert_eq!(both.metadata.properties()["late"], "yes");
    let nonsense = vec![TableUpdate::SetCurrentSchema { schema_id: 99 }];
    assert_kind(
        &catalog.commit(&both, vec![], nonsense).await,
        ErrorKind::InvalidInput,
    );
    Ok(())
}

/// Updates that change nothing write no file.
///
/// # Errors
/// When the catalog fails.
pub async fn a_change_to_nothing_moves_nothing(catalog: Arc<dyn Catalog>) -> Result<()> {
    let made = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let same = committed(catalog.commit(&made, vec![], vec![]).await?)?;
    assert_eq!(same.metadata_location, made.metadata_location);
    assert_eq!(metadata_files(catalog.as_ref(), &made).await?.len(), 1);
    Ok(())
}

/// Metadata files that leave the log are deleted when the table's properties want it.
///
/// # Errors
/// When the catalog fails.
pub async fn g12_trimmed_metadata_files_go_after_the_swap(catalog: Arc<dyn Catalog>) -> Result<()> {
    let mut base = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let bounds = TableUpdate::SetProperties {
        updates: HashMap::from([
            (
                "write.metadata.previous-versions-max".to_owned(),
                "2".to_owned(),
            ),
            (
                "write.metadata.delete-after-commit.enabled".to_owned(),
                "true".to_owned(),
            ),
        ]),
    };
    base = committed(catalog.commit(&base, vec![], vec![bounds]).await?)?;
    for round in 0..5 {
        let update = vec![set_property("round", &round.to_string())];
        base = committed(catalog.commit(&base, vec![], update).await?)?;
    }
    let mut expected: Vec<String> = base
        .metadata
        .metadata_log()
        .iter()
        .map(|entry| entry.metadata_file.clone())
        .collect();
    assert_eq!(expected.len(), 2);
    expected.push(base.metadata_location.clone());
    for location in &expected {
        assert!(catalog.storage().exists(location).await?, "{location}");
    }
    assert_eq!(metadata_files(catalog.as_ref(), &base).await?.len(), 3);
    Ok(())
}

/// The property decides whether a metadata file is compressed; any codec but gzip is refused.
///
/// # Errors
/// When the catalog fails.
pub async fn metadata_files_are_compressed_when_asked(catalog: Arc<dyn Catalog>) -> Result<()> {
    const CODEC: &str = "write.metadata.compression-codec";
    let made = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let packed = vec![set_property(CODEC, "gzip")];
    let packed = committed(catalog.commit(&made, vec![], packed).await?)?;
    let location = &packed.metadata_location;
    assert!(location.ends_with(".gz.metadata.json"), "{location}");
    assert!(location.contains("/00001-"), "{location}");
    let bytes = catalog.storage().read(location).await?;
    assert_eq!(bytes[..2], [0x1f, 0x8b]);
    let foreign = vec![set_property(CODEC, "zstd")];
    assert_kind(
        &catalog.commit(&packed, vec![], foreign).await,
        ErrorKind::InvalidInput,
    );
    assert_eq!(
        catalog.load_table(&made.ident).await?.metadata_location,
        *location
    );
    Ok(())
}

async fn metadata_files(catalog: &dyn Catalog, table: &TablePointer) -> Result<Vec<String>> {
    use futures::TryStreamExt;
    let folder = join(table.metadata.location(), "metadata");
    let files = catalog.storage().list(&folder)?;
    files.map_ok(|file| file.location).try_collect().await
}
