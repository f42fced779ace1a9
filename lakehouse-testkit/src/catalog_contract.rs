//! The contract of `Catalog`, as tests that each implementation runs.
//!
//! A case gets a catalog without namespaces and panics where the contract is broken. The macro
//! [`crate::catalog_contract!`] makes a test of each case.

mod changes;
mod lower_case;
mod names;

use std::collections::HashMap;
use std::fmt::Debug;

use iceberg::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder, TableMetadata,
    TableMetadataBuilder, Type,
};
use lakehouse_core::catalog::{Catalog, CommitOutcome, TablePointer};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent};

pub use changes::*;
pub use lower_case::*;
pub use names::*;

/// A test for each case of the catalog contract.
///
/// The argument names an async function that makes an empty catalog: it returns a pair of
/// `Arc<dyn Catalog>` and whatever has to live as long as the catalog, such as a folder; or an
/// option of such a pair, where what the catalog needs may be missing. With
/// `lower_case` behind it, the cases about names are those of catalogs that keep lower case and
/// whose namespaces do not nest.
#[macro_export]
macro_rules! catalog_contract {
    ($make:path) => {
        $crate::catalog_contract!(@every $make);
        $crate::catalog_contract!(@tests $make:
            namespaces_nest_and_are_listed_parents_first,
            namespaces_that_cannot_be_made_or_dropped_change_nothing,
            tables_of_inner_namespaces_are_their_own,
            names_of_every_script_and_with_quotes_are_kept,
        );
    };
    ($make:path, lower_case) => {
        $crate::catalog_contract!(@every $make);
        $crate::catalog_contract!(@tests $make:
            namespaces_of_one_level_are_listed_in_order,
            namespaces_that_do_not_nest_are_refused_and_change_nothing,
            names_in_another_case_are_found_and_not_made,
            names_of_every_script_are_kept_in_lower_case,
        );
    };
    (@every $make:path) => {
        $crate::catalog_contract!(@tests $make:
            namespace_properties_come_back,
            tables_are_made_listed_and_loaded,
            tables_that_cannot_be_made_or_found_say_so,
            new_tables_never_share_a_folder,
            renamed_tables_keep_their_files_and_free_their_name,
            registered_files_become_tables_and_dropping_keeps_them,
            one_of_many_that_make_the_same_table_wins,
            an_owned_table_is_dropped_only_as_it_was_read,
            c05_one_of_many_commits_on_one_base_wins_each_round,
            c05_commits_tried_again_lose_nothing,
            c08_a_second_first_commit_conflicts,
            c19_the_uuid_never_changes,
            a_stale_base_commits_only_when_its_requirements_hold,
            a_change_to_nothing_moves_nothing,
            g12_trimmed_metadata_files_go_after_the_swap,
            metadata_files_are_compressed_when_asked,
        );
    };
    (@tests $make:path: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let made = Option::from($make().await);
                let Some((catalog, _kept)) = made else {
                    return;
                };
                if let Err(error) = $crate::catalog_contract::$case(catalog).await {
                    panic!("{error:?}");
                }
            }
        )+
    };
}

fn namespace(parts: &[&str]) -> Result<NamespaceIdent> {
    Ok(NamespaceIdent::from_strs(parts)?)
}

fn table(parts: &[&str]) -> Result<TableIdent> {
    Ok(TableIdent::from_strs(parts)?)
}

/// Makes the namespaces on the way to a table, where they are missing.
async fn make_namespaces(catalog: &dyn Catalog, ident: &TableIdent) -> Result<()> {
    let parts = ident.namespace().as_ref();
    for length in 1..=parts.len() {
        let one = NamespaceIdent::from_vec(parts[..length].to_vec())?;
        match catalog.create_namespace(&one, HashMap::new()).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}

/// The metadata of a new table with one column.
async fn new_metadata(catalog: &dyn Catalog, ident: &TableIdent) -> Result<TableMetadata> {
    let location = catalog.new_table_location(ident).await?;
    Ok(TableMetadataBuilder::new(
        schema(&["id"])?,
        PartitionSpec::unpartition_spec(),
        SortOrder::unsorted_order(),
        location,
        FormatVersion::V2,
        HashMap::new(),
    )?
    .build()?
    .metadata)
}

fn schema(columns: &[&str]) -> Result<Schema> {
    let fields = columns.iter().zip(1..).map(|(name, id)| {
        NestedField::optional(id, *name, Type::Primitive(PrimitiveType::Long)).into()
    });
    Ok(Schema::builder().with_fields(fields).build()?)
}

/// Makes a table, with its namespaces.
async fn make_table(catalog: &dyn Catalog, parts: &[&str]) -> Result<TablePointer> {
    let ident = table(parts)?;
    make_namespaces(catalog, &ident).await?;
    let metadata = new_metadata(catalog, &ident).await?;
    committed(catalog.create_table(&ident, metadata).await?)
}

fn committed(outcome: CommitOutcome) -> Result<TablePointer> {
    match outcome {
        CommitOutcome::Committed(pointer) => Ok(pointer),
        CommitOutcome::Conflicted(error) | CommitOutcome::Unknown { error, .. } => Err(error),
    }
}

#[track_caller]
fn assert_conflict(outcome: &CommitOutcome) {
    let kind = match outcome {
        CommitOutcome::Conflicted(error) => Some(error.kind()),
        CommitOutcome::Committed(_) | CommitOutcome::Unknown { .. } => None,
    };
    assert_eq!(kind, Some(ErrorKind::Conflict), "{outcome:?}");
}

#[track_caller]
fn assert_kind<T: Debug>(result: &Result<T>, kind: ErrorKind) {
    let found = result.as_ref().err().map(Error::kind);
    assert_eq!(found, Some(kind), "{result:?}");
}
