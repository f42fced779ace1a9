//! Several spellings of one table's name in a statement read one state of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};
use lakehouse::core::catalog::{Catalog, CommitOutcome, TablePointer, Turn};
use lakehouse::core::clock::SystemClock;
use lakehouse::core::name::{NamespaceIdent, TableIdent};
use lakehouse::core::storage::Storage;
use lakehouse::{Lakehouse, Result, Session};

use crate::lake::{TestLake, rows_of, settings};

/// A catalog whose tables get a row when somebody has looked one up, some times.
struct Busy {
    inner: Arc<dyn Catalog>,
    writer: Session,
    lookups: AtomicUsize,
    /// How many rows are still to come: with one for each lookup no change would ever commit.
    rows_left: AtomicUsize,
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Busy")
    }
}

#[async_trait]
impl Catalog for Busy {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn storage(&self) -> &Storage {
        self.inner.storage()
    }

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        self.inner.list_namespaces().await
    }

    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<HashMap<String, String>> {
        self.inner.namespace_properties(namespace).await
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        self.inner.create_namespace(namespace, properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.inner.drop_namespace(namespace).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        self.inner.list_tables(namespace).await
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<TablePointer> {
        let pointer = self.inner.load_table(ident).await?;
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let one_less = |left: usize| left.checked_sub(1);
        let left = self
            .rows_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        if left.is_ok() {
            let insert = format!("INSERT INTO {} VALUES (0)", ident.name());
            self.writer.sql(&insert).await?.collect().await?;
        }
        Ok(pointer)
    }

    async fn new_table_location(&self, ident: &TableIdent) -> Result<String> {
        self.inner.new_table_location(ident).await
    }

    async fn create_table(
        &self,
        ident: &TableIdent,
        metadata: TableMetadata,
    ) -> Result<CommitOutcome> {
        self.inner.create_table(ident, metadata).await
    }

    async fn register_table(&self, ident: &TableIdent, location: &str) -> Result<TablePointer> {
        self.inner.register_table(ident, location).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.inner.drop_table(ident).await
    }

    async fn drop_owned_table(&self, table: &TablePointer) -> Result<()> {
        self.inner.drop_owned_table(table).await
    }

    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        self.inner.rename_table(from, to).await
    }

    async fn turn(&self, ident: &TableIdent) -> Result<Turn> {
        self.inner.turn(ident).await
    }

    async fn commit(
        &self,
        base: &TablePointer,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<CommitOutcome> {
        self.inner.commit(base, requirements, updates).await
    }
}

#[tokio::test]
async fn every_spelling_of_a_table_reads_the_state_of_the_first() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (n INT) TBLPROPERTIES ('write.delete.isolation-level' = 'snapshot');
         INSERT INTO t VALUES (1)",
    )
    .await;
    let name = lake.lake.lake().default_catalog().to_owned();
    let inner = Arc::clone(&lake.lake.lake().catalogs()[&name]);
    let busy = Arc::new(Busy {
        writer: lake.lake.session().unwrap(),
        inner: Arc::clone(&inner),
        lookups: AtomicUsize::new(0),
        rows_left: AtomicUsize::new(100),
    });
    let other = Lakehouse::builder()
        .catalog(&name, Arc::clone(&busy) as Arc<dyn Catalog>)
        .storage(inner.storage().clone())
        .clock(Arc::new(SystemClock))
        .settings(settings())
        .build()
        .await
        .unwrap();
    let session = other.session().unwrap();
    let spellings = [
        "t",
        "T",
        "\"t\"",
        "default.t",
        "Default.\"t\"",
        "t AS x",
        "lake.default.t",
    ];
    let spellings = spellings.map(|spelling| spelling.replace("lake.", &format!("{name}.")));
    let counts: Vec<String> = spellings
        .iter()
        .map(|spelling| format!("(SELECT count(*) FROM {spelling})"))
        .collect();
    let query = format!("SELECT {}", counts.join(", "));
    let before = busy.lookups.load(Ordering::SeqCst);
    let rows = rows_of(session.sql(&query).await.unwrap()).await.unwrap();
    let lookups = busy.lookups.load(Ordering::SeqCst) - before;
    assert!(lookups > 1, "the table was looked up {lookups} times");
    let first = rows[0].split('|').next().unwrap();
    assert_eq!(rows[0], vec![first; spellings.len()].join("|"));
    // And the target of a change.
    busy.rows_left.store(4, Ordering::SeqCst);
    let delete = "DELETE FROM t WHERE n >= 0 AND (SELECT count(*) FROM T) = \
                  (SELECT count(*) FROM default.t)";
    let deleted = rows_of(session.sql(delete).await.unwrap()).await;
    assert_ne!(deleted.unwrap(), ["0"]);
}
