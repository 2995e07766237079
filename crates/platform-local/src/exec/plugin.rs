//! A plugin: sends it a request, and reads its answer together with its exit code.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::ExecSettings;
use super::operation::{ProcessGroup, StderrLog, Trouble};
use super::protocol::{MAX_ANSWER_BYTES, Operation, Refusal, VERSION};
use coordinator_core::environment::passed_on;
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

/// Characters of a plugin's text that an error quotes.
const MAX_QUOTE: usize = 300;

/// A plugin, and how much time it has.
#[derive(Debug)]
pub struct Plugin {
    program: PathBuf,
    timeout: Duration,
    until: Instant,
    environment: Vec<(OsString, OsString)>,
    secrets: Secrets,
    requests: AtomicU64,
}

/// Why an operation has no result. Each sentence names the plugin and the operation, and is safe to
/// show.
#[derive(Debug)]
pub enum Failure {
    /// No process ran: nothing was done.
    NotStarted(String),
    /// It timed out: its effect is unknown.
    Late(String),
    /// Its answer does not follow the protocol: its effect is unknown.
    Garbled(String),
    /// It answered that it failed.
    Refused {
        /// As it answered.
        refusal: Refusal,
        /// For people.
        sentence: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(sentence)
            | Self::Late(sentence)
            | Self::Garbled(sentence)
            | Self::Refused { sentence, .. } => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Failure {}

impl Plugin {
    /// The plugin of a roster. It gets this process's environment without any of `secret_names`,
    /// and does not run after `until`.
    pub fn new(settings: &ExecSettings, secret_names: &BTreeSet<String>, until: Instant) -> Self {
        let own = settings.env.iter().map(|(name, value)| (name.into(), value.into()));
        let withheld = secret_names.union(&settings.secret_names).cloned().collect();
        Self {
            program: settings.plugin.clone(),
            timeout: settings.timeout,
            until,
            environment: passed_on(env::vars_os(), &withheld).chain(own).collect(),
            secrets: Secrets::named(&withheld, |name| env::var(name).ok()),
            requests: AtomicU64::new(0),
        }
    }

    /// Processes started so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Runs one operation to its end, at most until the deadline, and reads its answer.
    ///
    /// Dropping the future ends the operation's processes.
    pub async fn call<T: DeserializeOwned>(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<T, Failure> {
        self.call_until(self.until, operation, request).await
    }

    /// The same with less time: for a step that must have ended before the run does.
    pub async fn call_until<T: DeserializeOwned>(
        &self,
        until: Instant,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<T, Failure> {
        let operation = operation.word();
        let request = serde_json::to_vec(request)
            .map_err(|error| Failure::NotStarted(self.of(operation, &error.to_string())))?;
        let (status, answer) = self.exchange(until, operation, &[&request]).await?;
        self.judged(operation, status, &answer)
    }

    /// [`Plugin::call`] for requests that the coordinator never sends: any operation, any bytes, in
    /// pieces. `plugin-test` sends them.
    pub async fn call_raw<T: DeserializeOwned>(
        &self,
        operation: &str,
        request: &[&[u8]],
    ) -> Result<T, Failure> {
        let (status, answer) = self.exchange(self.until, operation, request).await?;
        self.judged(operation, status, &answer)
    }

    fn judged<T: DeserializeOwned>(
        &self,
        operation: &str,
        status: ExitStatus,
        answer: &[u8],
    ) -> Result<T, Failure> {
        match judge(status, answer) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => {
                let sentence = self.sentence(operation, &refusal);
                Err(Failure::Refused { refusal, sentence })
            }
            Err(why) => Err(Failure::Garbled(self.of(operation, &self.quoted(&why)))),
        }
    }

    /// How it exited, and all of its standard output, whatever that may be.
    async fn exchange(
        &self,
        until: Instant,
        operation: &str,
        request: &[&[u8]],
    ) -> Result<(ExitStatus, Vec<u8>), Failure> {
        let not_started = |why: &str| Failure::NotStarted(self.of(operation, why));
        let left =
            until.min(self.until).saturating_duration_since(Instant::now()).min(self.timeout);
        if left.is_zero() {
            return Err(not_started("not started: the run's `deadline` is used up"));
        }
        let deadline = Instant::now() + left;
        let own = [
            ("COORDINATOR_PROTOCOL".into(), VERSION.to_string().into()),
            ("COORDINATOR_DEADLINE_MS".into(), left.as_millis().to_string().into()),
        ];
        let environment = self.environment.iter().cloned().chain(own);
        let mut group = ProcessGroup::start(&self.program, operation, environment)
            .map_err(|error| not_started(&self.no_start(&error)))?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut log = StderrLog::new(self.of(operation, ""), &self.secrets);
        let ended = group.exchange(request, &mut log, deadline).await;
        ended.map_err(|trouble| self.failure(operation, trouble, left))
    }

    fn failure(&self, operation: &str, trouble: Trouble, left: Duration) -> Failure {
        match trouble {
            Trouble::Late => {
                let left = humantime::format_duration(Duration::from_millis(
                    u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                ));
                let why = format!(
                    "killed: timed out after {left}, by `timeout` in [platform.exec] or the run's \
                    `deadline`"
                );
                Failure::Late(self.of(operation, &why))
            }
            Trouble::TooLong => {
                let max = MAX_ANSWER_BYTES >> 20;
                let why = format!("killed: its answer on stdout is longer than {max} MiB");
                Failure::Garbled(self.of(operation, &why))
            }
            Trouble::Io(error) => Failure::Garbled(
                self.of(operation, &format!("killed: its output cannot be read: {error}")),
            ),
        }
    }

    fn no_start(&self, error: &io::Error) -> String {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => {
                "install the plugin and the interpreter in its first line, or set `plugin` in \
                [platform.exec]"
            }
            io::ErrorKind::PermissionDenied => {
                "make it executable for the user that runs the coordinator"
            }
            _ => "run it by hand to see its error",
        };
        format!("cannot start {}: {error}; {remedy}", self.program.display())
    }

    /// What a plugin's own error means, in a sentence.
    fn sentence(&self, operation: &str, refusal: &Refusal) -> String {
        let message = self.quoted(&refusal.message);
        let message = if message.is_empty() { "no message" } else { &message };
        let wait = refusal.retry_after.map_or_else(String::new, |wait| {
            format!(
                " (not before {})",
                humantime::format_duration(Duration::from_secs(wait.as_secs()))
            )
        });
        let why = format!("{}: {message}{wait}; {}", refusal.code.word(), refusal.code.remedy());
        self.of(operation, &why)
    }

    /// `tmux list: why`.
    fn of(&self, operation: &str, why: &str) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        format!("plugin {} {operation}: {why}", name.to_string_lossy())
    }

    /// Masked before it is cut: half a secret is one, too.
    fn quoted(&self, text: &str) -> String {
        one_line(&self.secrets.mask(text), MAX_QUOTE)
    }
}

/// The fields of every answer.
#[derive(Deserialize)]
struct Head {
    ok: bool,
    #[serde(default)]
    error: Option<Refusal>,
}

/// The meaning of an exit status and the text before it. Outer error: why they are not an answer.
fn judge<T: DeserializeOwned>(
    status: ExitStatus,
    stdout: &[u8],
) -> Result<Result<T, Refusal>, String> {
    let Some(exit) = status.code() else {
        let signal =
            status.signal().map_or_else(|| status.to_string(), |number| number.to_string());
        return Err(format!("it was ended by signal {signal}"));
    };
    let text = str::from_utf8(stdout).map_err(|error| {
        format!("exit {exit} and an answer that is not UTF-8 from byte {} on", error.valid_up_to())
    })?;
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(format!("exit {exit} without an answer on stdout"));
    }
    let no_answer =
        |why: &str| format!("exit {exit} and no answer by the protocol: {why}: `{text}`");
    if !text.starts_with('{') {
        return Err(no_answer("it must be one JSON object"));
    }
    let parsed = |error: serde_json::Error| no_answer(&error.to_string());
    let Head { ok, error } = serde_json::from_str(text).map_err(parsed)?;
    match (ok, error, exit) {
        (true, _, 0) => serde_json::from_str(text).map(Ok).map_err(parsed),
        (true, _, _) => Err(format!("exit {exit} and \"ok\": true, which contradict each other")),
        (false, Some(refusal), 1..) => Ok(Err(refusal)),
        (false, Some(Refusal { code, message, .. }), _) => Err(format!(
            "exit 0 and \"ok\": false, which contradict each other ({}: {message})",
            code.word()
        )),
        (false, None, _) => Err(format!("exit {exit} and \"ok\": false without an `error`")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exec::protocol::{Code, Log};

    fn exited(code: i32, stdout: &str) -> Result<Result<Log, Refusal>, String> {
        judge(ExitStatus::from_raw(code << 8), stdout.as_bytes())
    }

    #[test]
    fn an_answer_and_its_exit_code_agree_or_are_no_answer() {
        assert_eq!(
            exited(0, "\n{\"ok\":true,\"text\":\"t\"}\n"),
            Ok(Ok(Log { text: "t".to_owned(), truncated: false, size: None }))
        );
        let refusal = r#"{"ok":false,"error":{"code":"quota","message":"m","retry_after_s":1.5}}"#;
        let expected = Refusal {
            code: Code::Quota,
            message: "m".to_owned(),
            retry_after: Some(Duration::from_millis(1500)),
        };
        assert_eq!(exited(9, refusal), Ok(Err(expected)));
        for (code, stdout) in
            [(0, refusal), (1, r#"{"ok":true,"text":"t"}"#), (1, r#"{"ok":false}"#), (0, "")]
        {
            assert!(exited(code, stdout).is_err(), "{code} {stdout}");
        }
    }

    #[test]
    fn a_signal_is_no_answer_whatever_was_said_before() {
        let killed: Result<Result<Log, Refusal>, String> =
            judge(ExitStatus::from_raw(9), br#"{"ok":true,"text":"t"}"#);
        assert!(killed.is_err_and(|why| why.contains("signal 9")));
    }

    #[test]
    fn an_absurd_wait_is_bounded() {
        for (wait, expected) in [("-5", 0), ("1e300", 365 * 86_400), ("null", 0)] {
            let text =
                format!(r#"{{"ok":false,"error":{{"code":"quota","retry_after_s":{wait}}}}}"#);
            let refusal = exited(1, &text).expect("an answer").expect_err("a refusal");
            assert_eq!(
                refusal.retry_after.unwrap_or_default(),
                Duration::from_secs(expected),
                "{wait}"
            );
        }
    }
}
