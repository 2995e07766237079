//! Ends a live session for a person. Its shim gives the agent its grace and records the
//! end.

use std::path::Path;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};

use super::record::{self, StopRecord, VERSION};
use super::scan::SlotScan;
use super::{Settings, proc};
use coordinator_core::fleet::{HISTORY, Slot};
use coordinator_core::platform::StopAnswer;

/// Who stopped the session in `home`, where a person did.
pub(super) fn stopped_by(home: &Path) -> Option<String> {
    let found: anyhow::Result<Option<StopRecord>> = record::read(&home.join("stop.json"));
    Some(found.ok()??.by)
}

/// Signals the shim of the slot's live session to end it.
pub(super) fn stop(settings: &Settings, slot: &Slot, by: &str) -> anyhow::Result<StopAnswer> {
    let directory = settings.directory();
    directory.check()?;
    let scan = SlotScan::read(&directory, slot.clone(), HISTORY, &proc::boot_id())?;
    if !scan.is_held {
        return Ok(StopAnswer::NotLive);
    }
    let name = slot.name();
    let Some(holder) = scan.holder() else {
        bail!("the process that holds {name} is unknown; see `coordinator sessions`");
    };
    let shim = holder.start.shim;
    let pid = Pid::from_raw(shim.pid).context("read the shim's process id")?;
    let process = Handle::of(pid);
    let Some(process) = process.filter(|_| shim.is_alive()) else {
        let agent = holder
            .start
            .agent
            .map_or_else(String::new, |agent| format!("; end it with `kill {}`", agent.pid));
        bail!("the shim of {name} is gone, so nothing records the end of its agent{agent}");
    };
    let stop = StopRecord { version: VERSION, by: by.to_owned() };
    record::write(&holder.directory.join("stop.json"), &stop)?;
    process.terminate().with_context(|| format!("signal the shim of {name}"))?;
    Ok(StopAnswer::Asked { generation: Some(holder.generation) })
}

/// A process that stays the same one when its number is reused.
#[cfg(target_os = "linux")]
struct Handle(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Handle {
    fn of(pid: Pid) -> Option<Self> {
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok().map(Self)
    }

    fn terminate(&self) -> rustix::io::Result<()> {
        rustix::process::pidfd_send_signal(&self.0, Signal::TERM)
    }
}

/// A process by its number: the system has no better name for it.
#[cfg(not(target_os = "linux"))]
struct Handle(Pid);

#[cfg(not(target_os = "linux"))]
impl Handle {
    fn of(pid: Pid) -> Option<Self> {
        Some(Self(pid))
    }

    fn terminate(&self) -> rustix::io::Result<()> {
        rustix::process::kill_process(self.0, Signal::TERM)
    }
}
