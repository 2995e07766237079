//! `doctor --try-agent`: runs each distinct agent command once, with a prompt of one sentence.
//!
//! The session is one of the process platform, with a state directory of its own that is removed
//! afterwards: the agent has a session's environment, an empty work directory and a time limit, and
//! its shim ends every process that it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};

use crate::render::transcript::Rendering;
use crate::render::words::count;
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::finding::Finding;
use coordinator_core::fleet::{
    Follows, LocalSettings, Outcome, Role, Run, SessionSpec, Slot, Want,
};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_core::pull::Repository;
use coordinator_core::secrets::Secrets;
use coordinator_platform_local::process::{self, Process};
use coordinator_roster::{PlatformKind, Roster};

const PROMPT: &str = "Reply with the word: ready";
const EXPECTED: &str = "ready";
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// For its start and its shim's grace as well; beyond it the shim is stuck.
const MAX_WAIT: Duration = Duration::from_secs(120);
/// Between two looks at the session.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the output that are kept, from its end.
const MAX_OUTPUT: usize = 1024 * 1024;
/// The last lines of the output, which are shown.
const MAX_LINES: usize = 3;

/// What the trials showed.
#[derive(Default)]
pub(super) struct Tried {
    /// One per distinct command and environment, or why nothing was tried.
    pub(super) findings: Vec<Finding>,
    /// The exit code, where a signal ended them.
    pub(super) interrupted: Option<u8>,
}

impl From<Finding> for Tried {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], interrupted: None }
    }
}

/// Tries every distinct command, all at once.
pub(super) async fn run(roster: &Roster) -> Tried {
    let PlatformKind::Process { state_dir } = &roster.platform.kind else {
        let remedy = "run the agent's command there by hand";
        let what = "not checked: whether the agent replies: it runs elsewhere";
        return Finding::note(what, remedy).into();
    };
    // The finding of the platform has it.
    if process::refusal(state_dir).is_some() {
        return Tried::default();
    }
    tried(roster, state_dir).await.unwrap_or_else(|error| {
        Finding::fail(format!("try the agent: {error:#}"), "repair that first").into()
    })
}

async fn tried(roster: &Roster, state_dir: &Path) -> anyhow::Result<Tried> {
    let scratch = Scratch::below(state_dir);
    let process = Process::open(process::Settings {
        fleet: roster.fleet.clone(),
        roster: roster.path.clone(),
        state_dir: scratch.path.clone(),
        repository: roster.repository.as_ref().map(Repository::full_name),
        secret_names: roster.secret_names.clone(),
        program: process::own_program()?,
    })?;
    let trials = trials(roster);
    let mut all = pin!(join_all(trials.iter().map(|trial| trial.run(&process))));
    let tried = tokio::select! {
        findings = &mut all => Tried { findings, interrupted: None },
        code = interrupted() => {
            let interrupted = Some(code?);
            for trial in &trials {
                // One that has ended needs no stop.
                let _ = process.stop(&trial.want.slot, "doctor");
            }
            Tried { findings: all.await, interrupted }
        }
    };
    scratch.remove()?;
    Ok(tried)
}

/// Returns at SIGINT or SIGTERM, with the exit code: the agents must not outlive this command.
async fn interrupted() -> anyhow::Result<u8> {
    let mut sigint = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut sigterm = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    Ok(tokio::select! {
        _ = sigint.recv() => 130,
        _ = sigterm.recv() => 143,
    })
}

/// The directory of the trial's sessions, beside those of the fleets.
struct Scratch {
    path: PathBuf,
    /// The nearest directory above it that was there before.
    kept: PathBuf,
}

impl Scratch {
    fn below(state_dir: &Path) -> Self {
        let kept = state_dir.ancestors().find(|path| path.exists()).unwrap_or(state_dir);
        let path = state_dir.join(format!(".try-agent-{}", std::process::id()));
        Self { path, kept: kept.to_owned() }
    }

    /// Removes it, and what was made above it.
    fn remove(self) -> anyhow::Result<()> {
        if self.path.exists() {
            fs::remove_dir_all(&self.path)
                .with_context(|| format!("remove {}", self.path.display()))?;
        }
        let made = self.path.ancestors().skip(1).take_while(|path| **path != self.kept);
        // Another command may use one of them by now.
        made.map(fs::remove_dir).take_while(Result::is_ok).for_each(drop);
        Ok(())
    }
}

/// One command in one environment.
struct Trial {
    want: Want,
    /// The roles that have it.
    roles: usize,
}

/// Roles that lack a variable are left out: their sessions cannot start either.
fn trials(roster: &Roster) -> Vec<Trial> {
    let lacking: BTreeSet<_> = roster.missing.iter().flat_map(|missing| &missing.roles).collect();
    let mut distinct: BTreeMap<_, Trial> = BTreeMap::new();
    for role in roster.roles.iter().filter(|role| role.count > 0 && !lacking.contains(&role.key)) {
        let recipe = (&role.spec.command, &role.spec.env);
        let first = || Trial { want: want(role), roles: 0 };
        distinct.entry(recipe).or_insert_with(first).roles += 1;
    }
    distinct.into_values().collect()
}

fn want(role: &Role) -> Want {
    let spec = SessionSpec {
        prompt: PROMPT.to_owned(),
        brief: PROMPT.to_owned(),
        local: LocalSettings { retain: 1, ..role.spec.local },
        time_limit: TIME_LIMIT,
        backoff: BackoffSettings::default(),
        ..(*role.spec).clone()
    };
    Want {
        slot: Slot::of_role(&role.key, 0),
        role: role.key.clone(),
        spec: Arc::new(spec),
        item: None,
        follows: Follows::Anything,
        by_hand: false,
    }
}

impl Trial {
    async fn run(&self, process: &Process) -> Finding {
        let ended = tokio::time::timeout(MAX_WAIT, self.to_the_end(process)).await;
        let Ok(ended) = ended else {
            // It fails where the shim is stuck, which the finding reports.
            let _ = process.stop(&self.want.slot, "doctor");
            let seconds = MAX_WAIT.as_secs();
            return Finding::fail(
                format!("the agent of {} did not end within {seconds} s", self.whose()),
                "run its command by hand, and look for processes that it left",
            );
        };
        match ended {
            Ok((run, output)) => judge(&self.whose(), &run, &output),
            Err(error) => Finding::fail(
                format!("the agent of {} does not start: {error:#}", self.whose()),
                "repair that, then run `coordinator doctor --try-agent` again",
            ),
        }
    }

    fn whose(&self) -> String {
        match self.roles {
            1 => format!("role {}", self.want.role),
            roles => count(roles as u64, "role"),
        }
    }

    /// How the session ended, and what it printed, as a person reads it.
    async fn to_the_end(&self, process: &Process) -> anyhow::Result<(Run, String)> {
        let (now, slot) = (SystemTime::now(), &self.want.slot);
        let cycle = CycleId(format!("doctor-{:x}", std::process::id()));
        match process.start(&self.want, &cycle, now).await? {
            Start::Started { .. } => {}
            Start::Held(hold) => return Err(anyhow!("{}", hold.detail)),
            other => return Err(anyhow!("unexpected answer {other:?}")),
        }
        let run = loop {
            let record = process.list().await?.slots.remove(slot);
            let record = record.context("its record is missing")?;
            if record.live.is_none() {
                break record.history.into_iter().next_back().context("its end is missing")?;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let slots = [slot.clone()];
        let mut log = pin!(process.logs(&slots, None, false)?);
        let secrets = Secrets::default();
        let mut readable = Rendering::readable(self.want.spec.agent, false, &secrets);
        let mut output = Vec::new();
        while let Some(piece) = log.try_next().await? {
            readable.read(&piece, |line| output.extend_from_slice(line));
            // The reply is at the end.
            output.drain(..output.len().saturating_sub(MAX_OUTPUT));
        }
        readable.finish(|line| output.extend_from_slice(line));
        Ok((run, String::from_utf8_lossy(&output).into_owned()))
    }
}

fn judge(whose: &str, run: &Run, output: &str) -> Finding {
    let seconds = run.runtime().as_secs();
    let printed = last_lines(output);
    match run.outcome {
        Outcome::Succeeded | Outcome::Idle if output.to_lowercase().contains(EXPECTED) => {
            Finding::ok(format!("the agent of {whose} replied after {seconds} s: {printed}"))
        }
        Outcome::Succeeded | Outcome::Idle => Finding::warn(
            format!(
                "the agent of {whose} exited with 0 after {seconds} s \
                 without the word `{EXPECTED}`: {printed}"
            ),
            "check that this is its reply to a prompt",
        ),
        Outcome::TimedOut => Finding::fail(
            format!("the agent of {whose} did not finish within {seconds} s: {printed}"),
            "run its command by hand: it may wait for a login or a confirmation",
        ),
        Outcome::Failed | Outcome::Lost | Outcome::Stopped => {
            let end = match (run.exit_code, &run.detail) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(detail)) => detail.clone(),
                (None, None) => run.outcome.word().to_owned(),
            };
            Finding::fail(
                format!("the agent of {whose} failed, {end} after {seconds} s: {printed}"),
                "log the agent in as the user that runs the coordinator, or correct its command",
            )
        }
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match &lines[lines.len().saturating_sub(MAX_LINES)..] {
        [] => "it printed nothing".to_owned(),
        last => last.join(" | "),
    }
}
