//! Emulated AWS beside a test: started through `interop/aws/emulators.py`, stopped when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use lakehouse_core::error::{Error, ErrorKind, Result};
use serde_json::Value;

/// The exit code with which the script says that something is to be installed.
const MISSING: i32 = 3;

/// Emulators of AWS on the loopback, empty when they start.
///
/// ministack has S3, Glue (with its check of `VersionId`), KMS and STS; moto has Lake Formation's
/// settings and grants. What neither shows is in `interop/aws/README.md`. They stop when this is
/// dropped, and when the process of the test ends in whatever way.
///
/// ```no_run
/// use lakehouse_testkit::{Emulators, FaultProxy};
///
/// # fn main() -> lakehouse_core::error::Result<()> {
/// let Some(emulators) = Emulators::shared()? else {
///     return Ok(()); // not installed, and not CI: has said so
/// };
/// let proxy = FaultProxy::start(emulators.ministack(), 1)?;
/// let region = emulators.variable("AWS_REGION");
/// # let _ = (proxy, region);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Emulators {
    keeper: Child,
    variables: Vec<(String, String)>,
}

/// Why there are none.
#[derive(Debug)]
enum Trouble {
    /// Python or an environment is missing: says how to install it.
    Missing(String),
    /// They are there and did not start: says what they printed.
    Failed(String),
}

impl Emulators {
    /// Starts both.
    ///
    /// # Errors
    /// When Python or an environment is missing, saying how to install it; when an emulator does not
    /// come up, with what it printed.
    pub fn start() -> Result<Self> {
        try_start(&script()).map_err(|trouble| error(&trouble))
    }

    /// Those that all tests of this process share: buckets and databases are to have names of the
    /// test. None where they are not installed, which is printed; with `CI` set an error, so that
    /// nothing passes unseen.
    ///
    /// # Errors
    /// As [`Self::start`], less what is missing outside of CI.
    pub fn shared() -> Result<Option<&'static Self>> {
        static SHARED: OnceLock<Result<Emulators, Trouble>> = OnceLock::new();
        let strict = std::env::var_os("CI").is_some();
        match SHARED.get_or_init(|| try_start(&script())) {
            Ok(emulators) => Ok(Some(emulators)),
            Err(Trouble::Missing(message)) if !strict => {
                eprintln!("NOT RUN: {message}");
                Ok(None)
            }
            Err(trouble) => Err(error(trouble)),
        }
    }

    /// ministack's endpoint, `http://127.0.0.1:port`.
    pub fn ministack(&self) -> &str {
        self.variable("MINISTACK_ENDPOINT_URL")
    }

    /// moto's endpoint, `http://127.0.0.1:port`.
    pub fn moto(&self) -> &str {
        self.variable("MOTO_ENDPOINT_URL")
    }

    /// What a process needs in its environment to speak to ministack and to no other AWS: endpoint,
    /// region, keys, and files of settings that are empty.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// One of [`Self::variables`], such as `AWS_ACCESS_KEY_ID`; empty if there is no such.
    pub fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.keeper.stdin.take());
        // It cannot be waited for twice, and nobody else does.
        let _ended = self.keeper.wait();
    }
}

fn error(trouble: &Trouble) -> Error {
    match trouble {
        Trouble::Missing(message) => Error::new(
            ErrorKind::NotFound,
            format!("the emulators of AWS are not installed: {message}"),
        ),
        Trouble::Failed(message) => Error::new(
            ErrorKind::Unavailable,
            format!("the emulators of AWS did not start: {message}"),
        ),
    }
}

fn script() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("../interop/aws/emulators.py")
}

fn try_start(script: &Path) -> Result<Emulators, Trouble> {
    let mut keeper = Command::new("python3")
        .arg(script)
        .arg("serve")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Trouble::Missing(format!("python3 cannot be run ({error})")))?;
    let mut told = String::new();
    if let Some(output) = keeper.stdout.take() {
        // An unreadable line is an empty one: what it printed elsewhere says more.
        let _read = BufReader::new(output).read_line(&mut told);
    }
    let variables = serde_json::from_str(&told)
        .ok()
        .and_then(|told| variables_of(&told));
    match variables {
        Some(variables) => Ok(Emulators { keeper, variables }),
        None => Err(trouble_of(keeper)),
    }
}

fn variables_of(told: &Value) -> Option<Vec<(String, String)>> {
    let named = told["variables"].as_object()?.iter();
    named
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// What a keeper that has no emulators says about it.
fn trouble_of(mut keeper: Child) -> Trouble {
    drop(keeper.stdin.take());
    let mut printed = String::new();
    if let Some(mut errors) = keeper.stderr.take() {
        // As far as it can be read.
        let _read = errors.read_to_string(&mut printed);
    }
    let printed = printed.trim().to_owned();
    match keeper.wait() {
        Ok(status) if status.code() == Some(MISSING) => Trouble::Missing(printed),
        Ok(status) => Trouble::Failed(format!("{printed} ({status})")),
        Err(error) => Trouble::Failed(format!("{printed} ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};

    use super::*;

    fn answers(endpoint: &str) -> bool {
        let address: SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        assert!(address.ip().is_loopback());
        TcpStream::connect(address).is_ok()
    }

    #[test]
    fn emulators_answer_until_they_are_dropped() {
        if Emulators::shared().unwrap().is_none() {
            return;
        }
        let emulators = Emulators::start().unwrap();
        let endpoints = [
            emulators.ministack().to_owned(),
            emulators.moto().to_owned(),
        ];
        assert!(endpoints.iter().all(|endpoint| answers(endpoint)));
        assert_eq!(
            emulators.variable("AWS_ENDPOINT_URL"),
            emulators.ministack()
        );
        drop(emulators);
        assert!(!endpoints.iter().any(|endpoint| answers(endpoint)));
    }

    /// Elsewhere the kernel has no such way.
    #[cfg(target_os = "linux")]
    #[test]
    fn emulators_end_with_a_keeper_that_was_killed() {
        if Emulators::shared().unwrap().is_none() {
            return;
        }
        let mut emulators = Emulators::start().unwrap();
        let endpoints = [
            emulators.ministack().to_owned(),
            emulators.moto().to_owned(),
        ];
        emulators.keeper.kill().unwrap();
        for _ in 0..100 {
            if !endpoints.iter().any(|endpoint| answers(endpoint)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("they still answer: {endpoints:?}");
    }

    #[test]
    fn what_is_missing_and_what_fails_are_told_apart() {
        let folder = std::env::temp_dir().join(format!("emulators-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let trouble = |code: &str| {
            let script = folder.join("script.py");
            std::fs::write(
                &script,
                format!("import sys\nprint('why', file=sys.stderr)\n{code}"),
            )
            .unwrap();
            error(&try_start(&script).unwrap_err())
        };
        let missing = trouble("sys.exit(3)");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(
            missing.message().ends_with("not installed: why"),
            "{missing}"
        );
        let failed = trouble("print('no JSON')\nsys.exit(4)");
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
        assert!(failed.message().contains("why"), "{failed}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
