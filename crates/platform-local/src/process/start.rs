//! Starts one session. The holder of the slot's lock decides; the lock is never released between
//! the decision and the session, because the shim inherits it.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::left::{RESULT_FILE, RESULT_VARIABLE};
use super::record::{self, Launch, VERSION};
use super::scan::SlotScan;
use super::{Settings, retention, shim};
use crate::lock::{self, Probe};
use crate::secure_fs::{create_directory, open_private, write_new};
use coordinator_core::environment::{Identity, passed_on};
use coordinator_core::fleet::{Hold, HoldReason, Want};
use coordinator_core::placeholders::{command, takes_prompt};
use coordinator_core::platform::{CycleId, Start};

/// From the spawn of the shim until its agent runs.
const MAX_READINESS: Duration = Duration::from_secs(10);

/// Starts a session where the slot is free and nothing holds it back.
pub(crate) fn start(
    settings: &Settings,
    want: &Want,
    cycle: &CycleId,
    now: SystemTime,
) -> anyhow::Result<Start> {
    let directory = settings.directory();
    directory.create()?;
    let Some(lock) = lock::acquire(&directory.lock(&want.slot))? else {
        return Ok(Start::AlreadyRunning);
    };
    // Only now: before the lock was taken, a sweep could remove the folder.
    create_directory(&directory.records(&want.slot))?;
    retention::came_back(&directory, &want.slot)?;
    let scan = SlotScan::of_free(&directory, &want.slot)?;
    for (lost, end) in scan.lost() {
        record::write(&lost.directory.join("exit.json"), &end)?;
    }
    let decision = decide(&scan, settings, want, now)?;
    if let Start::Started { generation } = decision {
        launch(settings, want, cycle, generation, lock)?;
    }
    Ok(decision)
}

/// What [`start`] would answer. Nothing is written, and no session can start meanwhile.
pub(crate) fn preview(settings: &Settings, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
    let directory = settings.directory();
    directory.check()?;
    let _guard = match lock::probe(&directory.lock(&want.slot))? {
        Probe::Held => return Ok(Start::AlreadyRunning),
        free @ Probe::Free { .. } => free,
    };
    decide(&SlotScan::of_free(&directory, &want.slot)?, settings, want, now)
}

/// The decision on a free slot by its own records.
fn decide(
    scan: &SlotScan,
    settings: &Settings,
    want: &Want,
    now: SystemTime,
) -> anyhow::Result<Start> {
    let newest = scan.newest_generation();
    if !want.follows.allows(newest) {
        return Ok(Start::Superseded);
    }
    let session = want.slot.session_name(&settings.fleet);
    let backoff = || want.hold(&session, &scan.history(), now);
    let hold = match scan.orphan().or_else(backoff) {
        None => disk(&settings.state_dir, want.spec.local.min_free_bytes)?,
        hold => hold,
    };
    Ok(hold.map_or(Start::Started { generation: newest + 1 }, Start::Held))
}

fn disk(state_dir: &Path, min_free_bytes: u64) -> anyhow::Result<Option<Hold>> {
    if min_free_bytes == 0 {
        return Ok(None);
    }
    let existing = state_dir.ancestors().find(|directory| directory.exists()).unwrap_or(state_dir);
    let disk = rustix::fs::statvfs(existing)
        .with_context(|| format!("read the free space of {}", state_dir.display()))?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    let mib = |bytes: u64| bytes >> 20;
    let detail = || {
        format!("{} MiB free, less than `min_free` ({} MiB)", mib(free_bytes), mib(min_free_bytes))
    };
    let is_held = free_bytes < min_free_bytes;
    Ok(is_held.then(|| Hold { reason: HoldReason::Disk, until: None, detail: detail() }))
}

/// Writes what the shim reads, spawns it and waits until its agent runs.
///
/// The session's environment is the coordinator's without any secret, plus what the role adds, plus
/// the session's names. The lock travels as the shim's standard input: all other descriptors of
/// this process close at exec, so that starts beside this one inherit none of it.
fn launch(
    settings: &Settings,
    want: &Want,
    cycle: &CycleId,
    generation: u64,
    lock: File,
) -> anyhow::Result<()> {
    let identity = Identity {
        fleet: &settings.fleet,
        slot: &want.slot,
        role: &want.role,
        item: want.item.as_ref(),
        generation,
        cycle: &cycle.0,
        prompt: &want.spec.prompt,
        repository: settings.repository.as_deref(),
    };
    let home = settings.directory().home(&want.slot, generation);
    prepare(settings, want, identity, &home)?;
    let log =
        open_private(&home.join("monitor.log"), OpenOptions::new().append(true).create(true))?;
    let mut shim = Command::new(&settings.program)
        .arg0("coordinator")
        .arg("session-run")
        .arg(&home)
        .env_clear()
        .envs(passed_on(env::vars_os(), &settings.secret_names))
        .env("PWD", home.join("work"))
        .envs(&want.spec.env)
        .envs(identity.variables())
        .env(RESULT_VARIABLE, home.join(RESULT_FILE))
        .stdin(Stdio::from(lock))
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        .spawn()
        .context("start the session's shim")?;
    let readiness = shim.stdout.take().context("open the shim's readiness pipe")?;
    await_readiness(readiness, &home)
}

/// Makes the generation's folder. One that exists already never started: its coordinator died
/// early.
fn prepare(
    settings: &Settings,
    want: &Want,
    identity: Identity<'_>,
    home: &Path,
) -> anyhow::Result<()> {
    let (directory, spec) = (settings.directory(), &want.spec);
    let launch = Launch {
        version: VERSION,
        session: identity.session(),
        cycle: identity.cycle.to_owned(),
        roster: settings.roster.clone(),
        root: directory.root().to_owned(),
        lock: directory.lock(&want.slot),
        command: spec.command.clone(),
        argv: argv(want, settings),
        prompt_on_stdin: !takes_prompt(&spec.command),
        time_limit: spec.time_limit,
        stall_timeout: spec.stall_timeout,
        agent: spec.agent,
        slot: want.slot.name(),
        role: want.role.to_string(),
        generation: identity.generation,
        retain: spec.local.retain,
        retain_work: spec.local.retain_work,
        item: want.item_run(),
    };
    if fs::symlink_metadata(home).is_ok() {
        fs::remove_dir_all(home).with_context(|| format!("remove {}", home.display()))?;
    }
    let fill = || {
        create_directory(home)?;
        create_directory(&home.join("work"))?;
        write_new(&home.join("prompt.md"), spec.prompt.as_bytes())?;
        write_new(&home.join("launch.json"), &record::encode(&launch)?)
    };
    fill().inspect_err(|_| {
        if let Err(error) = fs::remove_dir_all(home) {
            tracing::debug!("cannot remove {}: {error}", home.display());
        }
    })
}

/// The command of one slot. A program with a `/` in it is a path, relative to the roster.
fn argv(want: &Want, settings: &Settings) -> Vec<String> {
    let mut argv = command(want, &settings.fleet);
    if let (Some(program), Some(directory)) = (argv.first_mut(), settings.roster.parent())
        && program.contains(MAIN_SEPARATOR)
    {
        *program = directory.join(&*program).to_string_lossy().into_owned();
    }
    argv
}

/// This very program, also after an upgrade has replaced its file. Fails where the system does
/// not show it.
pub fn own_program() -> anyhow::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        env::current_exe().context("find the coordinator's own program")
    }
}

fn await_readiness(mut readiness: ChildStdout, home: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + MAX_READINESS;
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!(
                "no agent runs after {MAX_READINESS:?}; see {}",
                home.join("monitor.log").display()
            );
        }
        let timeout = Timespec::try_from(left).context("convert a timeout")?;
        match poll(
            &mut [PollFd::from_borrowed_fd(readiness.as_fd(), PollFlags::IN)],
            Some(&timeout),
        ) {
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
        "" => bail!(
            "the session's shim died before its agent ran; see {}",
            home.join("monitor.log").display()
        ),
        error => Err(anyhow!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use coordinator_core::fleet::{FleetName, Follows, RoleKey, SessionSpec, Slot};

    fn settings() -> Settings {
        Settings {
            fleet: FleetName::parse("demo").expect("a valid name"),
            roster: PathBuf::from("/etc/fleet/roster.toml"),
            state_dir: PathBuf::from("/nowhere"),
            repository: Some("acme/app".to_owned()),
            secret_names: BTreeSet::new(),
            program: PathBuf::from("/nowhere"),
        }
    }

    fn spec(command: &[&str]) -> SessionSpec {
        SessionSpec {
            command: command.iter().map(ToString::to_string).collect(),
            prompt: "do {brief} now".to_owned(),
            brief: "build {slot}".to_owned(),
            ..SessionSpec::default()
        }
    }

    fn want(spec: SessionSpec) -> Want {
        let role = RoleKey::parse("ui_builder").expect("a valid key");
        let slot = Slot::of_role(&role, 2);
        Want {
            slot,
            role,
            spec: Arc::new(spec),
            item: None,
            follows: Follows::Anything,
            by_hand: false,
        }
    }

    #[test]
    fn placeholders_are_replaced_in_a_single_pass() {
        let spec = spec(&[
            "agent",
            "-p",
            "{prompt}",
            "{brief}|{role}|{slot}|{fleet}",
            "{}{x}{{fleet}",
            "{",
        ]);
        let expected = [
            "agent",
            "-p",
            "do {brief} now",
            "build {slot}|ui_builder|demo-ui-builder-s2|demo",
            "{}{x}{demo",
            "{",
        ];
        assert_eq!(argv(&want(spec), &settings()), expected);
    }

    #[test]
    fn a_program_path_is_relative_to_the_roster_and_a_bare_name_is_not() {
        for (program, expected) in
            [("./agent", "/etc/fleet/./agent"), ("/bin/agent", "/bin/agent"), ("agent", "agent")]
        {
            assert_eq!(argv(&want(spec(&[program])), &settings()), [expected]);
        }
    }
}
