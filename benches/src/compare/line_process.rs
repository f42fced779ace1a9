//! A program beside this one that answers requests line by line, in JSON.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use lakehouse::{Error, ErrorKind, Result};
use lakehouse_testkit::{Answer, Kind};
use serde_json::Value;

use super::machine;

/// How long a program may take for one answer, unless less is said.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// A program that is waiting for requests.
pub(super) struct LineProcess {
    name: &'static str,
    child: Child,
    requests: ChildStdin,
    responses: Receiver<std::io::Result<String>>,
    /// Why it is not asked any more.
    ended: Option<String>,
}

impl LineProcess {
    /// Starts the program; `name` is what errors call it.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let program = PathBuf::from(command.get_program());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::from(error).with_context("program", program.display()))?;
        let (Some(requests), Some(responses)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("the program's pipes are not there"));
        };
        let (sender, receiver) = sync_channel(1);
        // Waiting with a limit needs somebody who waits without one; the thread ends with the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(responses).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            name,
            child,
            requests,
            responses: receiver,
            ended: None,
        })
    }

    /// The name in results.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Asks within [`ANSWER_WITHIN`].
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value> {
        self.ask_within(request, ANSWER_WITHIN)
    }

    /// The answer to a request; a program that does not give it in time is ended.
    pub(super) fn ask_within(&mut self, request: &Value, limit: Duration) -> Result<Value> {
        self.send(request)?;
        self.receive_within(limit)
    }

    /// Asks without waiting for the answer.
    pub(super) fn send(&mut self, request: &Value) -> Result<()> {
        if let Some(reason) = &self.ended {
            return Err(Error::new(ErrorKind::Unavailable, reason.clone()));
        }
        let written = writeln!(self.requests, "{request}").and_then(|()| self.requests.flush());
        written.map_err(|_| self.gave_up(format!("the program of {} ended", self.name)))
    }

    /// The answer to what was sent; a program that does not give it in time is ended.
    pub(super) fn receive_within(&mut self, limit: Duration) -> Result<Value> {
        let line = match self.responses.recv_timeout(limit) {
            Ok(line) => line?,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = limit.as_secs();
                let reason = format!("{} gave no answer within {seconds} s", self.name);
                return Err(self.gave_up(reason));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(self.gave_up(format!("the program of {} ended", self.name)));
            }
        };
        let response: Value = serde_json::from_str(&line)?;
        match response["error"].as_str() {
            Some(error) => Err(Error::invalid(format!("{}: {error}", self.name))),
            None => Ok(response),
        }
    }

    /// Ends the program, and remembers why it is not asked any more.
    fn gave_up(&mut self, reason: String) -> Error {
        self.end();
        self.ended = Some(reason.clone());
        Error::new(ErrorKind::Unavailable, reason)
    }

    fn end(&mut self) {
        // The process is of no more use; that it has ended already is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for LineProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// The rows in a response to a query.
pub(super) fn answer(response: &Value) -> Result<Answer> {
    let names = list(response, "names")?.iter().filter_map(Value::as_str);
    let kinds = list(response, "kinds")?;
    let rows = list(response, "rows")?;
    let cell = |value: &Value| value.as_str().map(str::to_owned);
    let row = |row: &Value| match row.as_array() {
        Some(cells) => Ok(cells.iter().map(cell).collect()),
        None => Err(misunderstood("rows")),
    };
    Ok(Answer {
        names: names.map(str::to_owned).collect(),
        kinds: kinds
            .iter()
            .map(|kind| Kind::named(kind.as_str().unwrap_or("")))
            .collect(),
        rows: rows.iter().map(row).collect::<Result<_>>()?,
    })
}

/// How long the program itself was at it, without the way through the pipe.
pub(super) fn elapsed(response: &Value) -> Result<Duration> {
    let seconds = response["seconds"].as_f64();
    Ok(Duration::from_secs_f64(
        seconds.ok_or_else(|| misunderstood("seconds"))?,
    ))
}

/// A text in a response.
pub(super) fn text<'a>(response: &'a Value, key: &'static str) -> Result<&'a str> {
    response[key].as_str().ok_or_else(|| misunderstood(key))
}

/// What a response without a key that belongs into it is.
pub(super) fn misunderstood(key: &'static str) -> Error {
    Error::internal("the program answered otherwise than expected").with_context("key", key)
}

fn list<'a>(response: &'a Value, key: &'static str) -> Result<&'a Vec<Value>> {
    response[key].as_array().ok_or_else(|| misunderstood(key))
}

/// The Python of an environment that `cargo xtask interop` makes below the build folder, else the
/// system's.
pub(super) fn python(environment: &str) -> Result<PathBuf> {
    let folder = machine::target_folder()?.join(environment);
    let prepared = folder.join("bin").join("python");
    Ok(if prepared.exists() {
        prepared
    } else {
        PathBuf::from("python3")
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use lakehouse::ErrorKind;
    use serde_json::json;

    use super::LineProcess;

    #[test]
    fn a_program_that_gives_no_answer_in_time_is_ended_and_not_asked_again() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exec sleep 600"]);
        let mut silent = LineProcess::start("silent", &mut command).unwrap();
        let request = json!({ "do": "start" });
        let error = silent
            .ask_within(&request, Duration::from_millis(50))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("no answer within"), "{error}");
        assert!(silent.child.try_wait().unwrap().is_some());
        let again = silent.ask(&request).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
    }

    #[test]
    fn what_a_program_says_went_wrong_is_an_error_and_the_program_goes_on() {
        let mut command = Command::new("sh");
        let script = r#"read line; echo '{"error": "no"}'; read line; echo '{"n": 1}'"#;
        command.args(["-c", script]);
        let mut program = LineProcess::start("program", &mut command).unwrap();
        let error = program.ask(&json!({})).unwrap_err();
        assert!(error.to_string().contains("program: no"), "{error}");
        assert_eq!(program.ask(&json!({})).unwrap()["n"], 1);
    }
}
