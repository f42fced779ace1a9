//! Calls to Glue: what is asked again, after which pause, and how many pages are read.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_glue::operation::RequestId;
use aws_sdk_glue::types::{Database, DatabaseInput, Table, TableInput};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, ErrorKind, Result};

use crate::answer::{Effect, Failure, failure, unacknowledged};
use crate::credentials::RenewedCredentials;

/// Attempts of a call, the first included.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE_MS_MIN: u64 = 100;
const PAUSE_MS_MAX: u64 = 10_000;
/// Answers read for one list; Glue gives up to 100 names in each.
const PAGES_MAX: usize = 10_000;

/// A client of one region that names what it asks in its errors.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    client: aws_sdk_glue::Client,
    /// The region, and the endpoint where it is not AWS' own.
    place: String,
    credentials: Arc<RenewedCredentials>,
    clock: Arc<dyn Clock>,
}

/// A table's place in Glue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The account; the credentials' own when unset.
    pub(crate) catalog_id: Option<String>,
    pub(crate) database: String,
    pub(crate) table: String,
}

impl Place {
    pub(super) fn shown(&self) -> String {
        let name = format!("{:?}", format!("{}.{}", self.database, self.table));
        match &self.catalog_id {
            Some(account) => format!("table {name} of catalog {account}"),
            None => format!("table {name}"),
        }
    }
}

impl Calls {
    pub(super) fn new(
        client: aws_sdk_glue::Client,
        place: String,
        credentials: Arc<RenewedCredentials>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            place,
            credentials,
            clock,
        }
    }

    /// Where calls go, as messages name it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Asks until there is an answer: for calls that change nothing.
    async fn read<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.ask(ask, |failure| failure.is_passing).await
    }

    /// Asks again only when the call was certainly not carried out.
    async fn change<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let again = |failure: &Failure| failure.is_passing && failure.effect == Effect::None;
        self.ask(ask, again).await
    }

    async fn ask<T, F>(
        &self,
        ask: impl Fn() -> F,
        again: impl Fn(&Failure) -> bool,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempts = 1;
        loop {
            // Had before the call begins: its time-out is not that of credentials.
            self.credentials.check().await.map_err(Failure::unsent)?;
            match ask().await {
                Err(failure) if again(&failure) && attempts < ATTEMPTS_MAX => {
                    tracing::debug!(error = %failure.error, attempts, "asking Glue again");
                    self.pause(attempts).await;
                    attempts += 1;
                }
                ended => return ended,
            }
        }
    }

    /// The answer, if it is Glue's. That of a change has an empty body, and an empty body reads as a
    /// list of nothing and as a table that is not there, so only the id that Glue gives each request
    /// tells it from the answer of somebody else.
    fn acknowledged<T, E>(
        &self,
        operation: &str,
        what: &str,
        sent: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T, Failure>
    where
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match sent {
            Ok(answer) if answer.request_id().is_some() => Ok(answer),
            Ok(_) => Err(unacknowledged(operation, what, &self.place)),
            Err(error) => Err(failure(operation, what, &self.place, &error)),
        }
    }

    /// Waits before attempt `attempts + 1`: doubled each time, half of it by chance.
    pub(super) async fn pause(&self, attempts: u32) {
        let doublings = attempts.saturating_sub(1).min(16);
        let full = (PAUSE_MS_MIN << doublings).min(PAUSE_MS_MAX);
        let (_, chance) = self.clock.new_uuid().as_u64_pair();
        let ms = full / 2 + chance % (full / 2 + 1);
        self.clock.sleep(Duration::from_millis(ms)).await;
    }

    pub(crate) async fn get_table(&self, at: &Place) -> Result<Option<Table>, Failure> {
        let found = self.read(|| async {
            let call = self.client.get_table();
            let call = call.set_catalog_id(at.catalog_id.clone());
            let sent = call
                .database_name(&at.database)
                .name(&at.table)
                .send()
                .await;
            self.acknowledged("GetTable", &at.shown(), sent)
        });
        match found.await {
            Ok(found) => Ok(found.table),
            Err(failure) if failure.is("EntityNotFoundException") => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn create_table(&self, at: &Place, input: &TableInput) -> Result<(), Failure> {
        self.change(|| async {
            let call = self.client.create_table();
            let call = call.set_catalog_id(at.catalog_id.clone());
            let call = call.database_name(&at.database).table_input(input.clone());
            let sent = call.send().await;
            self.acknowledged("CreateTable", &at.shown(), sent)
                .map(drop)
        })
        .await
    }

    /// Replaces a table where it still has the version that was read.
    pub(super) async fn update_table(
        &self,
        at: &Place,
        input: &TableInput,
        version: &str,
        skip_archive: bool,
    ) -> Result<(), Failure> {
        self.change(|| async {
            let call = self.client.update_table();
            let call = call
                .set_catalog_id(at.catalog_id.clone())
                .database_name(&at.database)
                .table_input(input.clone())
                .version_id(version)
                .skip_archive(skip_archive);
            let sent = call.send().await;
            self.acknowledged("UpdateTable", &at.shown(), sent)
                .map(drop)
        })
        .await
    }

    pub(super) async fn delete_table(&self, at: &Place) -> Result<(), Failure> {
        self.change(|| async {
            let call = self.client.delete_table();
            let call = call.set_catalog_id(at.catalog_id.clone());
            let sent = call
                .database_name(&at.database)
                .name(&at.table)
                .send()
                .await;
            self.acknowledged("DeleteTable", &at.shown(), sent)
                .map(drop)
        })
        .await
    }

    /// An id that nothing else has.
    pub(super) fn new_id(&self) -> String {
        self.clock.new_uuid().to_string()
    }

    /// The tables of a database, page by page; `None` when there is no such database. With
    /// `first_only` no page is asked for after the first with a table.
    pub(crate) async fn get_tables(
        &self,
        catalog_id: Option<&str>,
        database: &str,
        first_only: bool,
    ) -> Result<Option<Vec<Table>>> {
        let what = format!("the tables of database {database:?}");
        let mut tables = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.read(|| async {
                let call = self.client.get_tables();
                let call = call
                    .set_catalog_id(catalog_id.map(str::to_owned))
                    .database_name(database)
                    .set_next_token(next.clone());
                let sent = call.send().await;
                self.acknowledged("GetTables", &what, sent)
            });
            let page = match page.await {
                Ok(page) => page,
                Err(failure) if failure.is("EntityNotFoundException") => return Ok(None),
                Err(failure) => return Err(failure.error),
            };
            tables.extend(page.table_list.unwrap_or_default());
            next = page.next_token.filter(|token| !token.is_empty());
            // A page may be empty though others follow.
            if next.is_none() || (first_only && !tables.is_empty()) {
                return Ok(Some(tables));
            }
        }
        Err(too_many_pages(&what))
    }

    pub(super) async fn get_database(
        &self,
        catalog_id: Option<&str>,
        database: &str,
    ) -> Result<Option<Database>> {
        let what = format!("database {database:?}");
        let found = self.read(|| async {
            let call = self.client.get_database();
            let call = call.set_catalog_id(catalog_id.map(str::to_owned));
            let sent = call.name(database).send().await;
            self.acknowledged("GetDatabase", &what, sent)
        });
        match found.await {
            Ok(found) => Ok(found.database),
            Err(failure) if failure.is("EntityNotFoundException") => Ok(None),
            Err(failure) => Err(failure.error),
        }
    }

    pub(crate) async fn get_databases(&self, catalog_id: Option<&str>) -> Result<Vec<Database>> {
        let what = "all databases";
        let mut databases = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.read(|| async {
                let call = self.client.get_databases();
                let call = call.set_catalog_id(catalog_id.map(str::to_owned));
                let sent = call.set_next_token(next.clone()).send().await;
                self.acknowledged("GetDatabases", what, sent)
            });
            let page = page.await.map_err(|failure| failure.error)?;
            databases.extend(page.database_list);
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(databases);
            }
        }
        Err(too_many_pages(what))
    }

    pub(super) async fn create_database(
        &self,
        catalog_id: Option<&str>,
        input: &DatabaseInput,
    ) -> Result<(), Failure> {
        let what = format!("database {:?}", input.name());
        self.change(|| async {
            let call = self.client.create_database();
            let call = call.set_catalog_id(catalog_id.map(str::to_owned));
            let sent = call.database_input(input.clone()).send().await;
            self.acknowledged("CreateDatabase", &what, sent).map(drop)
        })
        .await
    }

    pub(super) async fn delete_database(
        &self,
        catalog_id: Option<&str>,
        database: &str,
    ) -> Result<(), Failure> {
        let what = format!("database {database:?}");
        self.change(|| async {
            let call = self.client.delete_database();
            let call = call.set_catalog_id(catalog_id.map(str::to_owned));
            let sent = call.name(database).send().await;
            self.acknowledged("DeleteDatabase", &what, sent).map(drop)
        })
        .await
    }
}

fn too_many_pages(what: &str) -> Error {
    Error::new(
        ErrorKind::ResourcesExhausted,
        format!("the list of {what} has more than {PAGES_MAX} pages, and is not read to its end"),
    )
}
