//! `IF EXISTS` and `OR REPLACE` hold whatever others do to the name meanwhile.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use lakehouse::core::clock::SystemClock;
use lakehouse::core::governance::{Decision, PolicySource, Principal, Privilege};
use lakehouse::core::name::TableIdent;
use lakehouse::core::runtime::spawn;
use lakehouse::{Error, ErrorKind, Lakehouse, Result, Session};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::lake::{rows_of, settings};

/// Runs statements of somebody else, one each time a table is to be dropped, altered or made:
/// between the lookup of its name and what is done to it.
#[derive(Debug)]
struct Meddler {
    other: Session,
    statements: Mutex<Vec<String>>,
}

impl PolicySource for Meddler {
    fn decide(
        &self,
        _: &Principal,
        privilege: Privilege,
        _: &str,
        _: &TableIdent,
    ) -> Result<Decision> {
        if matches!(
            privilege,
            Privilege::Drop | Privilege::Alter | Privilege::Create
        ) {
            let next = self.statements.lock().unwrap().pop();
            if let Some(sql) = next {
                block_in_place(|| Handle::current().block_on(self.other.sql(&sql)))?;
            }
        }
        Ok(Decision::Admit)
    }
}

async fn open(folder: &TempDir, policies: Option<Arc<dyn PolicySource>>) -> Session {
    let mut builder = Lakehouse::builder()
        .location(folder.path().join("lake").to_str().unwrap())
        .settings(settings())
        .clock(Arc::new(SystemClock));
    if let Some(policies) = policies {
        builder = builder.policies(policies);
    }
    builder.build().await.unwrap().session().unwrap()
}

/// How a statement ended, and a lake to look at afterwards.
struct Meddled {
    ended: Result<()>,
    other: Session,
    _folder: TempDir,
}

impl Meddled {
    async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&self.other, sql).await
    }

    fn error(self) -> Error {
        self.ended.unwrap_err()
    }
}

/// Runs `statement` in a lake of `before`, while somebody else runs `meanwhile`.
async fn meddled(before: &str, statement: &str, meanwhile: &[&str]) -> Meddled {
    let folder = TempDir::new().unwrap();
    let other = open(&folder, None).await;
    for statement in lakehouse::sql::parse(before).unwrap() {
        other.execute(statement).await.unwrap();
    }
    let statements: Vec<String> = meanwhile
        .iter()
        .rev()
        .map(|sql| (*sql).to_owned())
        .collect();
    let meddler = Meddler {
        other: other.clone(),
        statements: Mutex::new(statements),
    };
    let session = open(&folder, Some(Arc::new(meddler))).await;
    let ended = session.sql(statement).await.map(drop);
    Meddled {
        ended,
        other,
        _folder: folder,
    }
}

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    rows_of(session.sql(sql).await.unwrap()).await.unwrap()
}

const TABLE: &str = "CREATE TABLE t (a INT)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_exists_is_content_with_what_others_dropped_meanwhile() {
    for statement in [
        "DROP TABLE IF EXISTS t",
        "DROP TABLE IF EXISTS t PURGE",
        "ALTER TABLE IF EXISTS t RENAME TO u",
        "ALTER TABLE IF EXISTS t ADD COLUMN b INT",
    ] {
        let done = meddled(TABLE, statement, &["DROP TABLE t"]).await;
        assert!(done.ended.is_ok(), "{statement}: {:?}", done.ended);
        assert!(done.rows("SHOW TABLES").await.is_empty());
        // Without it the statement says that there is nothing to change.
        let plain = statement.replace("IF EXISTS ", "");
        let error = meddled(TABLE, &plain, &["DROP TABLE t"]).await.error();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{plain}: {error}");
    }
    // The table is there: what is missing is something else.
    let statement = "ALTER TABLE IF EXISTS t DROP COLUMN b";
    meddled(TABLE, statement, &[]).await.error();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn or_replace_takes_the_place_of_what_others_made_meanwhile() {
    let made = "CREATE TABLE t AS SELECT 1 AS a";
    for (statement, expected) in [
        ("CREATE OR REPLACE TABLE t AS SELECT 2 AS a", vec!["2"]),
        ("CREATE OR REPLACE TABLE t (a INT)", vec![]),
    ] {
        let done = meddled("", statement, &[made]).await;
        assert!(done.ended.is_ok(), "{:?}", done.ended);
        assert_eq!(done.rows("SELECT a FROM t").await, expected);
        // It is the table of the other one, with its past.
        let past = done
            .rows("SELECT summary['total-records'] FROM t.snapshots")
            .await;
        assert!(past.len() == 2, "{past:?}");
        // One that has gone meanwhile is made anew.
        let done = meddled(made, statement, &["DROP TABLE t"]).await;
        assert!(done.ended.is_ok(), "{:?}", done.ended);
        assert_eq!(done.rows("SELECT a FROM t").await, expected);
    }
    // What must be there is not made.
    let replace = "REPLACE TABLE t AS SELECT 2 AS a";
    let error = meddled(TABLE, replace, &["DROP TABLE t"]).await.error();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn or_replace_gives_up_with_a_conflict() {
    // Whether a table may be made is asked once, whether it may be replaced twice.
    let turn = ["CREATE TABLE t (b INT)", "DROP TABLE t", "SELECT 1"];
    let meanwhile: Vec<&str> = turn.into_iter().cycle().take(60).collect();
    let statement = "CREATE OR REPLACE TABLE t AS SELECT 2 AS a";
    let error = meddled("", statement, &meanwhile).await.error();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("try again"), "{error}");
}

/// Lakes of their own, as processes have them.
async fn several(folder: &TempDir) -> Vec<Session> {
    join_all((0..4).map(|_| open(folder, None))).await
}

async fn each(sessions: &[Session], statement: &str) -> Vec<Error> {
    let ran = sessions.iter().cloned().map(|session| {
        let statement = statement.to_owned();
        spawn(async move { session.sql(&statement).await.map(drop) })
    });
    let ended = join_all(ran).await.into_iter().map(|ran| ran.unwrap());
    ended.filter_map(Result::err).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_do_the_same_at_once() {
    let folder = TempDir::new().unwrap();
    let sessions = several(&folder).await;
    for round in 0..25 {
        for error in each(&sessions, "CREATE OR REPLACE TABLE g AS SELECT 1 AS a").await {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{round}: {error}");
        }
        assert_eq!(rows(&sessions[0], "SELECT a FROM g").await, ["1"]);
        for statement in [
            "CREATE SCHEMA IF NOT EXISTS s",
            "CREATE TABLE IF NOT EXISTS h (a INT)",
            "DROP SCHEMA IF EXISTS s",
            "DROP TABLE IF EXISTS g, h",
        ] {
            let errors = each(&sessions, statement).await;
            assert!(errors.is_empty(), "{round}: {statement}: {errors:?}");
        }
    }
}
