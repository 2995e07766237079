//! One operation of a plugin: a process that gets a request, answers, and is gone by the deadline
//! with all its children.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::ExecSettings;
use super::protocol::{self, Operation, Refusal, VERSION};
use coordinator_core::environment::passed_on;
use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

mod group;
mod pipe;
mod stderr;

use group::{Group, Trouble};

/// What an error quotes of a plugin's words, in characters.
const QUOTED: usize = 300;

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

/// Why an operation has no result. Each sentence names the plugin and the operation, and is safe to show.
#[derive(Debug)]
pub enum Failure {
    /// No process ran: nothing was done.
    NotStarted(String),
    /// It was cut off: nobody knows what it has done.
    Late(String),
    /// Its answer is none by the protocol: nobody knows what it has done.
    Garbled(String),
    /// It says itself that it failed.
    Refused {
        /// As it said it.
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
    /// The plugin of a roster. It gets this process's environment without any of `secret_names`, and nothing of it runs
    /// after `until`.
    pub fn new(settings: &ExecSettings, secret_names: &BTreeSet<String>, until: Instant) -> Self {
        let own = settings.env.iter().map(|(name, value)| (name.into(), value.into()));
        let withheld = secret_names.union(&settings.secret_names).cloned().collect();
        Self {
            program: settings.plugin.clone(),
            timeout: settings.timeout,
            until,
            environment: passed_on(env::vars_os(), &withheld).chain(own).collect(),
            secrets: Secrets::named(&withheld, |name| std::env::var(name).ok()),
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
    pub async fn ask<T: DeserializeOwned>(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask_until(self.until, operation, request).await
    }

    /// The same with less time: for a step that must have ended before the run does.
    pub async fn ask_until<T: DeserializeOwned>(
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

    /// [`Plugin::ask`] for requests that the coordinator never sends: any operation, any bytes, in
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
        match protocol::judge(status, answer) {
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
        let left = until.min(self.until).saturating_duration_since(Instant::now()).min(self.timeout);
        if left.is_zero() {
            return Err(not_started("not started: no time is left of the run's `deadline`"));
        }
        let deadline = Instant::now() + left;
        let own = [
            ("COORDINATOR_PROTOCOL".into(), VERSION.to_string().into()),
            ("COORDINATOR_DEADLINE_MS".into(), left.as_millis().to_string().into()),
        ];
        let environment = self.environment.iter().cloned().chain(own);
        let mut group = Group::start(&self.program, operation, environment)
            .map_err(|error| not_started(&self.no_start(&error)))?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut log = stderr::Log::new(self.of(operation, ""), &self.secrets);
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
                    "no end after {left}, so it was killed; `timeout` in [platform.exec] and the run's `deadline` bound it"
                );
                Failure::Late(self.of(operation, &why))
            }
            Trouble::TooLong => {
                let most = protocol::LARGEST_ANSWER >> 20;
                let why = format!("its answer on stdout is longer than {most} MiB, so it was killed");
                Failure::Garbled(self.of(operation, &why))
            }
            Trouble::Io(error) => {
                Failure::Garbled(self.of(operation, &format!("lost sight of it, so it was killed: {error}")))
            }
        }
    }

    fn no_start(&self, error: &std::io::Error) -> String {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "install the plugin and what its first line names, or set `plugin` in [platform.exec]"
            }
            std::io::ErrorKind::PermissionDenied => {
                "make it executable for the user that runs the coordinator"
            }
            _ => "see whether it runs by hand",
        };
        format!("cannot start {}: {error}; {remedy}", self.program.display())
    }

    /// What a plugin's own error means, in a sentence.
    fn sentence(&self, operation: &str, refusal: &Refusal) -> String {
        let message = self.quoted(&refusal.message);
        let message = if message.is_empty() { "no message" } else { &message };
        let wait = refusal.retry_after.map_or_else(String::new, |wait| {
            format!(" (not before {})", humantime::format_duration(Duration::from_secs(wait.as_secs())))
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
        one_line(&self.secrets.mask(text), QUOTED)
    }
}
