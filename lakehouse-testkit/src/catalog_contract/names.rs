//! Cases about the names of namespaces and tables.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use lakehouse_core::catalog::{Catalog, CommitOutcome};
use lakehouse_core::error::{ErrorKind, Result};
use lakehouse_core::runtime::spawn;
use lakehouse_core::storage::join;

use super::{assert_kind, make_namespaces, make_table, namespace, new_metadata, table};

/// Nested namespaces are listed after their parents, in order of name.
///
/// # Errors
/// When the catalog fails.
pub async fn namespaces_nest_and_are_listed_parents_first(catalog: Arc<dyn Catalog>) -> Result<()> {
    for parts in [
        &["b"][..],
        &["a"],
        &["b", "x"],
        &["b", "x", "deep"],
        &["b", "c"],
    ] {
        catalog
            .create_namespace(&namespace(parts)?, HashMap::new())
            .await?;
    }
    let listed: Vec<String> = catalog
        .list_namespaces()
        .await?
        .iter()
        .map(|namespace| namespace.join("/"))
        .collect();
    assert_eq!(listed, ["a", "b", "b/c", "b/x", "b/x/deep"]);
    catalog
        .drop_namespace(&namespace(&["b", "x", "deep"])?)
        .await?;
    catalog.drop_namespace(&namespace(&["b", "x"])?).await?;
    assert_eq!(catalog.list_namespaces().await?.len(), 3);
    Ok(())
}

/// Properties are kept byte for byte; none are added that the caller sees.
///
/// # Errors
/// When the catalog fails.
pub async fn namespace_properties_come_back(catalog: Arc<dyn Catalog>) -> Result<()> {
    let properties: HashMap<String, String> = [("owner", "Zoë"), ("it's", "\"quoted\""), ("e", "")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let (full, empty) = (namespace(&["full"])?, namespace(&["empty"])?);
    catalog.create_namespace(&full, properties.clone()).await?;
    catalog.create_namespace(&empty, HashMap::new()).await?;
    assert_eq!(catalog.namespace_properties(&full).await?, properties);
    assert!(catalog.namespace_properties(&empty).await?.is_empty());
    Ok(())
}

/// A refused change of namespaces says why by its kind and leaves everything as it was.
///
/// # Errors
/// When the catalog fails.
pub async fn namespaces_that_cannot_be_made_or_dropped_change_nothing(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    make_table(catalog.as_ref(), &["a", "inner", "t"]).await?;
    let before = catalog.list_namespaces().await?;
    let none = HashMap::new;
    let (a, inner, missing) = (
        namespace(&["a"])?,
        namespace(&["a", "inner"])?,
        namespace(&["missing"])?,
    );
    assert_kind(
        &catalog.create_namespace(&inner, none()).await,
        ErrorKind::AlreadyExists,
    );
    assert_kind(
        &catalog
            .create_namespace(&namespace(&["missing", "child"])?, none())
            .await,
        ErrorKind::NotFound,
    );
    assert_kind(
        &catalog.create_namespace(&namespace(&[""])?, none()).await,
        ErrorKind::InvalidInput,
    );
    assert_kind(&catalog.drop_namespace(&missing).await, ErrorKind::NotFound);
    assert_kind(
        &catalog.drop_namespace(&inner).await,
        ErrorKind::InvalidInput,
    );
    assert_kind(&catalog.drop_namespace(&a).await, ErrorKind::InvalidInput);
    assert_kind(&catalog.list_tables(&missing).await, ErrorKind::NotFound);
    assert_kind(
        &catalog.namespace_properties(&missing).await,
        ErrorKind::NotFound,
    );
    // Names are matched byte for byte, and a name is no prefix of another.
    for near in [
        &["A"][..],
        &["a", "inne"],
        &["a.inner"],
        &["a_inner"],
        &["%"],
    ] {
        assert_kind(
            &catalog.namespace_properties(&namespace(near)?).await,
            ErrorKind::NotFound,
        );
    }
    assert_eq!(catalog.list_namespaces().await?, before);
    Ok(())
}

/// A new table is listed in order of name and read back as it was made.
///
/// # Errors
/// When the catalog fails.
pub async fn tables_are_made_listed_and_loaded(catalog: Arc<dyn Catalog>) -> Result<()> {
    let second = make_table(catalog.as_ref(), &["n", "t2"]).await?;
    let first = make_table(catalog.as_ref(), &["n", "t1"]).await?;
    make_table(catalog.as_ref(), &["other", "t3"]).await?;
    let listed = catalog.list_tables(&namespace(&["n"])?).await?;
    assert_eq!(listed, [first.ident.clone(), second.ident.clone()]);
    let loaded = catalog.load_table(&first.ident).await?;
    assert_eq!(loaded.metadata_location, first.metadata_location);
    assert_eq!(loaded.metadata, first.metadata);
    assert!(catalog.storage().exists(&first.metadata_location).await?);
    Ok(())
}

/// The tables of a namespace within another are listed and found there alone.
///
/// # Errors
/// When the catalog fails.
pub async fn tables_of_inner_namespaces_are_their_own(catalog: Arc<dyn Catalog>) -> Result<()> {
    let outer = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let inner = make_table(catalog.as_ref(), &["n", "inner", "t"]).await?;
    let listed = catalog.list_tables(&namespace(&["n"])?).await?;
    assert_eq!(listed, std::slice::from_ref(&outer.ident));
    let listed = catalog.list_tables(&namespace(&["n", "inner"])?).await?;
    assert_eq!(listed, std::slice::from_ref(&inner.ident));
    let loaded = catalog.load_table(&inner.ident).await?;
    assert_eq!(loaded.metadata.uuid(), inner.metadata.uuid());
    Ok(())
}

/// Refusals about tables say why by their kind.
///
/// # Errors
/// When the catalog fails.
pub async fn tables_that_cannot_be_made_or_found_say_so(catalog: Arc<dyn Catalog>) -> Result<()> {
    let made = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let metadata = new_metadata(catalog.as_ref(), &made.ident).await?;
    let again = catalog.create_table(&made.ident, metadata.clone()).await;
    assert_kind(&again, ErrorKind::AlreadyExists);
    let (homeless, missing) = (table(&["missing", "t"])?, table(&["n", "missing"])?);
    assert_kind(
        &catalog.create_table(&homeless, metadata.clone()).await,
        ErrorKind::NotFound,
    );
    assert_kind(
        &catalog.create_table(&table(&["n", ""])?, metadata).await,
        ErrorKind::InvalidInput,
    );
    assert_kind(
        &catalog.new_table_location(&homeless).await,
        ErrorKind::NotFound,
    );
    for absent in [&homeless, &missing] {
        assert_kind(&catalog.load_table(absent).await, ErrorKind::NotFound);
        assert_kind(&catalog.drop_table(absent).await, ErrorKind::NotFound);
        assert_kind(
            &catalog.rename_table(absent, &table(&["n", "new"])?).await,
            ErrorKind::NotFound,
        );
    }
    assert_eq!(
        catalog.load_table(&made.ident).await?.metadata_location,
        made.metadata_location
    );
    Ok(())
}

/// Names come back byte for byte, and names that differ in case only are different.
///
/// # Errors
/// When the catalog fails.
pub async fn names_of_every_script_and_with_quotes_are_kept(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let names = [
        "Straße", "STRASSE", "表", "it's", "\"q\"", "a b", "a/b", "%", "_", "t.dot", "🦆", "x;--",
    ];
    let home = namespace(&["Ünï", "it's \"here\""])?;
    for name in names {
        let made = make_table(catalog.as_ref(), &["Ünï", "it's \"here\"", name]).await?;
        assert_eq!(
            catalog.load_table(&made.ident).await?.metadata,
            made.metadata
        );
    }
    let mut expected: Vec<&str> = names.to_vec();
    expected.sort_unstable();
    let listed = catalog.list_tables(&home).await?;
    let listed: Vec<&str> = listed.iter().map(|ident| ident.name()).collect();
    assert_eq!(listed, expected);
    Ok(())
}

/// A table made anew under an old name gets a folder of its own.
///
/// # Errors
/// When the catalog fails.
pub async fn new_tables_never_share_a_folder(catalog: Arc<dyn Catalog>) -> Result<()> {
    let first = make_table(catalog.as_ref(), &["n", "t"]).await?;
    catalog.drop_table(&first.ident).await?;
    let second = make_table(catalog.as_ref(), &["n", "t"]).await?;
    assert_ne!(first.metadata.location(), second.metadata.location());
    assert_ne!(first.metadata.uuid(), second.metadata.uuid());
    assert!(catalog.storage().exists(&first.metadata_location).await?);
    Ok(())
}

/// A renamed table is the same table; its old name is free; names that are taken are refused.
///
/// # Errors
/// When the catalog fails.
pub async fn renamed_tables_keep_their_files_and_free_their_name(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let made = make_table(catalog.as_ref(), &["n", "old"]).await?;
    let other = make_table(catalog.as_ref(), &["m", "taken"]).await?;
    assert_kind(
        &catalog.rename_table(&made.ident, &other.ident).await,
        ErrorKind::AlreadyExists,
    );
    assert_kind(
        &catalog
            .rename_table(&made.ident, &table(&["missing", "t"])?)
            .await,
        ErrorKind::NotFound,
    );
    let new = table(&["m", "new"])?;
    catalog.rename_table(&made.ident, &new).await?;
    assert_kind(&catalog.load_table(&made.ident).await, ErrorKind::NotFound);
    let moved = catalog.load_table(&new).await?;
    assert_eq!(moved.metadata_location, made.metadata_location);
    assert_eq!(moved.metadata.uuid(), made.metadata.uuid());
    make_table(catalog.as_ref(), &["n", "old"]).await?;
    Ok(())
}

/// Dropping keeps the files, a metadata file can be named again, and nothing else can.
///
/// # Errors
/// When the catalog fails.
pub async fn registered_files_become_tables_and_dropping_keeps_them(
    catalog: Arc<dyn Catalog>,
) -> Result<()> {
    let made = make_table(catalog.as_ref(), &["n", "t"]).await?;
    let location = &made.metadata_location;
    assert_kind(
        &catalog.register_table(&made.ident, location).await,
        ErrorKind::AlreadyExists,
    );
    catalog.drop_table(&made.ident).await?;
    assert_kind(&catalog.load_table(&made.ident).await, ErrorKind::NotFound);
    let again = table(&["n", "again"])?;
    let registered = catalog.register_table(&again, location).await?;
    assert_eq!(&registered.metadata_location, location);
    assert_eq!(registered.metadata, made.metadata);
    assert_eq!(catalog.load_table(&again).await?.metadata, made.metadata);

    let free = table(&["n", "free"])?;
    let foreign = join(made.metadata.location(), "metadata/v1.metadata.json");
    catalog
        .storage()
        .write_new(&foreign, Bytes::from_static(b"{\"no\": \"table\"}"))
        .await?;
    assert_kind(
        &catalog.register_table(&free, &foreign).await,
        ErrorKind::Corrupt,
    );
    assert_kind(
        &catalog.register_table(&free, &format!("{location}x")).await,
        ErrorKind::NotFound,
    );
    assert_kind(&catalog.load_table(&free).await, ErrorKind::NotFound);
    Ok(())
}

/// Of many that make the same table at the same time one wins, and the table is the winner's.
///
/// # Errors
/// When the catalog fails.
pub async fn one_of_many_that_make_the_same_table_wins(catalog: Arc<dyn Catalog>) -> Result<()> {
    let ident = table(&["n", "t"])?;
    make_namespaces(catalog.as_ref(), &ident).await?;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (catalog, ident) = (Arc::clone(&catalog), ident.clone());
        tasks.push(spawn(async move {
            let metadata = new_metadata(catalog.as_ref(), &ident).await?;
            catalog.create_table(&ident, metadata).await
        }));
    }
    let mut winners = Vec::new();
    for task in tasks {
        match task.await? {
            Ok(CommitOutcome::Committed(pointer)) => winners.push(pointer),
            other => assert_kind(&other, ErrorKind::AlreadyExists),
        }
    }
    assert_eq!(winners.len(), 1);
    let loaded = catalog.load_table(&ident).await?;
    assert_eq!(loaded.metadata_location, winners[0].metadata_location);
    Ok(())
}
