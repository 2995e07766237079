//! Starts one session. Whoever holds the slot's lock decides; the lock is never released between the decision and
//! the session, because the shim inherits it.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::directory::Directory;
use super::environment::{argv, environment};
use super::history::History;
use super::record::{self, Launch, VERSION};
use super::{Settings, shim, sweep};
use crate::lock::{self, Probe};
use crate::secure_fs::{create_directory, open_private, write_new};
use coordinator_core::environment::Identity;
use coordinator_core::fleet::{SessionSpec, Want};
use coordinator_core::placeholders::takes_prompt;
use coordinator_core::platform::{CycleId, Start};

/// From the spawn of the shim until its agent runs.
const READINESS: Duration = Duration::from_secs(10);

/// Starts a session where the slot is free and nothing holds it back.
pub(crate) fn start(
    settings: &Settings,
    want: &Want,
    cycle: &CycleId,
    now: SystemTime,
) -> anyhow::Result<Start> {
    let directory = Directory::new(&settings.state_dir, &settings.fleet);
    directory.create(&want.slot)?;
    let Some(lock) = lock::acquire(&directory.lock(&want.slot))? else {
        return Ok(Start::AlreadyRunning);
    };
    // A sweep may have removed the folder before the lock was taken.
    create_directory(&directory.records(&want.slot))?;
    sweep::came_back(&directory, &want.slot)?;
    let history = History::read(&directory.records(&want.slot))?;
    history.record_ends()?;
    if !want.follows.allows(history.newest_generation()) {
        return Ok(Start::Superseded);
    }
    if let Some(hold) = history.hold(settings, want, now)? {
        return Ok(Start::Held(hold));
    }
    let generation = history.newest_generation() + 1;
    let place = Place { directory, want, cycle, generation };
    let home = place.prepare(settings)?;
    place.launch(settings, &home, lock)?;
    Ok(Start::Started { generation })
}

/// What [`start`] would answer. Nothing is written, and no session can start while it looks.
pub(crate) fn preview(settings: &Settings, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
    let directory = Directory::new(&settings.state_dir, &settings.fleet);
    directory.check()?;
    let _guard = match lock::probe(&directory.lock(&want.slot))? {
        Probe::Held => return Ok(Start::AlreadyRunning),
        free @ Probe::Free { .. } => free,
    };
    let history = History::read(&directory.records(&want.slot))?;
    if !want.follows.allows(history.newest_generation()) {
        return Ok(Start::Superseded);
    }
    let hold = history.hold(settings, want, now)?;
    Ok(hold.map_or_else(|| Start::Started { generation: history.newest_generation() + 1 }, Start::Held))
}

/// Where the new session goes.
struct Place<'a> {
    directory: Directory,
    want: &'a Want,
    cycle: &'a CycleId,
    generation: u64,
}

impl Place<'_> {
    /// Makes the generation's directory. One that is there already never started: its coordinator died early.
    fn prepare(&self, settings: &Settings) -> anyhow::Result<PathBuf> {
        let home = self.directory.records(&self.want.slot).join(self.generation.to_string());
        if fs::symlink_metadata(&home).is_ok() {
            fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
        }
        self.fill(settings, &home).inspect_err(|_| {
            if let Err(error) = fs::remove_dir_all(&home) {
                tracing::debug!("cannot remove {}: {error}", home.display());
            }
        })?;
        Ok(home)
    }

    fn fill(&self, settings: &Settings, home: &Path) -> anyhow::Result<()> {
        let spec = &self.want.spec;
        create_directory(home)?;
        create_directory(&home.join("work"))?;
        write_new(&home.join("prompt.md"), spec.prompt.as_bytes())?;
        write_new(&home.join("launch.json"), &record::encode(&self.order(settings, spec))?)
    }

    fn order(&self, settings: &Settings, spec: &SessionSpec) -> Launch {
        Launch {
            version: VERSION,
            session: self.identity(settings).session(),
            cycle: self.cycle.to_string(),
            roster: settings.roster.clone(),
            root: self.directory.root().to_owned(),
            lock: self.directory.lock(&self.want.slot),
            command: spec.command.clone(),
            argv: argv(self.want, settings),
            prompt_on_stdin: !takes_prompt(&spec.command),
            time_limit: spec.time_limit,
            retain: spec.local.retain,
            retain_work: spec.local.retain_work,
            item: self.want.item_run(),
        }
    }

    fn identity<'b>(&'b self, settings: &'b Settings) -> Identity<'b> {
        Identity {
            fleet: &settings.fleet,
            slot: &self.want.slot,
            role: &self.want.role,
            item: self.want.item.as_ref(),
            generation: self.generation,
            cycle: &self.cycle.0,
            prompt: &self.want.spec.prompt,
            repository: settings.repository.as_deref(),
        }
    }

    /// The lock travels as the shim's standard input: all other descriptors of this process close at exec, so that
    /// starts beside this one inherit nothing of it.
    fn launch(&self, settings: &Settings, home: &Path, lock: File) -> anyhow::Result<()> {
        let cwd = home.join("work");
        let log = open_private(&home.join("shim.log"), fs::OpenOptions::new().append(true).create(true))?;
        let mut shim = Command::new(&settings.program)
            .arg0("coordinator")
            .arg("session-run")
            .arg(home)
            .env_clear()
            .envs(environment(env::vars_os(), self.identity(settings), &cwd, &self.want.spec, settings))
            .stdin(Stdio::from(lock))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .spawn()
            .context("start the session's shim")?;
        let readiness = shim.stdout.take().context("open the shim's readiness pipe")?;
        await_readiness(readiness, home)
    }
}

/// This very program, also after an upgrade has replaced its file. Fails where the system does not
/// say.
pub fn own_program() -> anyhow::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        env::current_exe().context("find the coordinator's own program")
    }
}

fn await_readiness(mut readiness: ChildStdout, home: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + READINESS;
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no agent runs after {READINESS:?}; see {}", home.join("shim.log").display());
        }
        let timeout = Timespec::try_from(left).context("convert a timeout")?;
        match poll(&mut [PollFd::from_borrowed_fd(readiness.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) | Ok(0) => continue,
            other => other.context("wait for the session's shim")?,
        };
        let mut chunk = [0; 4096];
        let count = readiness.read(&mut chunk).context("read from the session's shim")?;
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..count]);
    }
    match String::from_utf8_lossy(&answer).trim() {
        shim::READY => Ok(()),
        "" => bail!("the session's shim died before its agent ran; see {}", home.join("shim.log").display()),
        error => Err(anyhow!("{error}")),
    }
}
