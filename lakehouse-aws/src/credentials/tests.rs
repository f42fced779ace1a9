//! Credentials of a provider that is told when to fail, on a clock moved by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use lakehouse_core::clock::SystemClock;
use lakehouse_core::runtime::spawn;
use lakehouse_testkit::FakeClock;

use super::*;

const LIFE_MS: i64 = 3_600_000;

/// Gives credentials that live an hour, as long as it is told to.
#[derive(Debug)]
struct Provider {
    clock: Arc<FakeClock>,
    asked: Arc<AtomicU64>,
    fails: Arc<AtomicU64>,
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let count = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) > 0 {
            return future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(
                "no such profile",
            )));
        }
        let end_ms = u64::try_from(self.clock.now_ms() + LIFE_MS).unwrap();
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(end_ms);
        let credentials = Credentials::new(
            format!("AKIA{count}"),
            "hush-secret",
            Some("hush-token".to_owned()),
            Some(end),
            "test",
        );
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

struct World {
    clock: Arc<FakeClock>,
    asked: Arc<AtomicU64>,
    fails: Arc<AtomicU64>,
    credentials: Arc<RenewedCredentials>,
}

fn world() -> World {
    let clock = Arc::new(FakeClock::new(1_700_000_000_000, 1));
    let (asked, fails) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let provider = Provider {
        clock: Arc::clone(&clock),
        asked: Arc::clone(&asked),
        fails: Arc::clone(&fails),
    };
    let shared = SharedCredentialsProvider::new(provider);
    let credentials = RenewedCredentials::new(shared, Arc::clone(&clock) as Arc<dyn Clock>);
    World {
        clock,
        asked,
        fails,
        credentials: Arc::new(credentials),
    }
}

impl World {
    async fn key(&self) -> String {
        let credential = self.credentials.get_credential().await.unwrap();
        credential.key_id.clone()
    }
}

#[tokio::test]
async fn many_who_ask_at_once_ask_once() {
    let world = world();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let credentials = Arc::clone(&world.credentials);
            spawn(async move { credentials.get_credential().await.unwrap().key_id.clone() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "AKIA0");
    }
    assert_eq!(world.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn they_are_renewed_before_they_end_and_kept_while_they_cannot_be() {
    let world = world();
    assert_eq!(world.key().await, "AKIA0");
    world.clock.advance_ms(LIFE_MS - RENEWED_AHEAD_MS - 1);
    assert_eq!(world.key().await, "AKIA0");
    world.fails.store(1, Ordering::SeqCst);
    world.clock.advance_ms(2);
    assert_eq!(world.key().await, "AKIA0", "still valid for minutes");
    assert_eq!(world.asked.load(Ordering::SeqCst), 2);
    assert_eq!(world.key().await, "AKIA0");
    assert_eq!(
        world.asked.load(Ordering::SeqCst),
        2,
        "a pause between questions"
    );
    world.clock.advance_ms(RENEWED_AHEAD_MS);
    let error = Error::from(world.credentials.get_credential().await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("no such profile"), "{error}");
    world.fails.store(0, Ordering::SeqCst);
    assert_eq!(world.key().await, "AKIA3");
}

/// Never answers.
#[derive(Debug)]
struct Stuck(Arc<AtomicU64>);

impl ProvideCredentials for Stuck {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::new(std::future::pending())
    }
}

/// The machine's clock, but that waiting takes a thousandth of its time.
#[derive(Debug)]
struct HastyClock;

impl Clock for HastyClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms()
    }

    fn instant(&self) -> std::time::Instant {
        SystemClock.instant()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(pause / 1_000)
    }

    fn new_uuid(&self) -> uuid::Uuid {
        SystemClock.new_uuid()
    }
}

/// A process that hangs is told as such, once for all who wait for it.
#[tokio::test]
async fn credentials_that_do_not_come_are_waited_for_once() {
    let asked = Arc::new(AtomicU64::new(0));
    let provider = SharedCredentialsProvider::new(Stuck(Arc::clone(&asked)));
    let credentials = Arc::new(RenewedCredentials::new(provider, Arc::new(HastyClock)));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let credentials = Arc::clone(&credentials);
            spawn(async move { credentials.check().await.unwrap_err() })
        })
        .collect();
    for task in tasks {
        let error = task.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(
            text.contains("60 s") && text.contains("credential_process"),
            "{text}"
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let world = world();
    world.key().await;
    let shown = format!(
        "{:?} {:?}",
        world.credentials,
        world.credentials.get_credential().await.unwrap()
    );
    assert!(!shown.contains("hush"), "{shown}");
}
