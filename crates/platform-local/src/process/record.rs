//! The records of a session on disk. Readers ignore unknown fields and refuse a newer
//! `version`.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::directory::names;
use super::logs::find_log;
use super::proc::ProcessId;
use super::stop::stopped_by;
use crate::secure_fs::{open_private, replace};
use coordinator_core::agent::Profile;
use coordinator_core::fleet::{ItemRun, Outcome, Run, SessionResult};

/// The format that this program writes.
pub(crate) const VERSION: u32 = 1;

/// A prompt of 96 KiB in every argument of a command fits.
const MAX_RECORD_BYTES: u64 = 16 << 20;
/// A usual record is smaller.
const USUAL_RECORD_BYTES: usize = 4 << 10;

/// `launch.json`: what the shim is to do. Written by the coordinator, without its environment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) version: u32,
    /// The value of `COORDINATOR_SESSION`, unique everywhere.
    pub(crate) session: String,
    pub(crate) cycle: String,
    pub(crate) roster: PathBuf,
    /// The fleet's directory.
    pub(crate) root: PathBuf,
    /// The slot's lock file.
    pub(crate) lock: PathBuf,
    /// As the roster has it; the prompt is in a file of its own.
    pub(crate) command: Vec<String>,
    /// The command with its placeholders replaced.
    pub(crate) argv: Vec<String>,
    /// The command does not carry the prompt.
    pub(crate) prompt_on_stdin: bool,
    pub(crate) time_limit: Duration,
    /// Zero: none.
    #[serde(default)]
    pub(crate) stall_timeout: Duration,
    #[serde(default)]
    pub(crate) agent: Profile,
    /// The slot within its fleet.
    #[serde(default)]
    pub(crate) slot: String,
    #[serde(default)]
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) generation: u64,
    pub(crate) retain: u32,
    pub(crate) retain_work: u32,
    /// What it works on, where the slot is a work item's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<ItemRun>,
}

/// `start.json`: what runs or ran. Written by the shim before the agent exists, and again with the
/// agent's pid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StartRecord {
    pub(crate) version: u32,
    pub(crate) session: String,
    pub(crate) cycle: String,
    pub(crate) roster: PathBuf,
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) shim: ProcessId,
    pub(crate) agent: Option<ProcessId>,
    pub(crate) boot_id: String,
    #[serde(with = "rfc3339")]
    pub(crate) started_at: SystemTime,
    /// What it works on, where the slot is a work item's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<ItemRun>,
}

/// `exit.json`: how it ended. Written by the shim, or by the next start where the shim could not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    pub(crate) version: u32,
    #[serde(with = "word")]
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) reason: Option<String>,
    #[serde(with = "rfc3339")]
    pub(crate) started_at: SystemTime,
    #[serde(with = "rfc3339")]
    pub(crate) finished_at: SystemTime,
    /// What the agent left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<SessionResult>,
}

/// The name of a [`ResumeRecord`].
pub(crate) const RESUMED: &str = "resumed.json";

/// [`ExitRecord::reason`] of a session that the machine's end took along.
pub(crate) const REBOOT: &str = "reboot";

/// [`ExitRecord::reason`] of a session whose shim was killed.
pub(crate) const KILLED: &str = "killed";

/// `stop.json`: which person ended the session. Written before the shim is signalled, read by it
/// when the agent has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StopRecord {
    pub(crate) version: u32,
    pub(crate) by: String,
}

/// `resumed.json`: a person let the slot go on after they had stopped the session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResumeRecord {
    pub(crate) version: u32,
}

/// `paused.json`: the fleet is paused.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PauseRecord {
    pub(crate) version: u32,
    pub(crate) by: Option<String>,
    #[serde(with = "rfc3339")]
    pub(crate) since: SystemTime,
    pub(crate) reason: Option<String>,
}

/// One generation of a slot.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) generation: u64,
    pub(crate) directory: PathBuf,
    pub(crate) start: StartRecord,
    /// `None`: it runs, or it was lost.
    pub(crate) exit: Option<ExitRecord>,
    /// The person who stopped it, as long as nobody let the slot go on.
    pub(crate) stopped_by: Option<String>,
}

impl Record {
    /// How it ended. A session that left no end was lost at its last sign of life, a time that
    /// every reader finds alike: with the time of reading, the backoff would never pass.
    pub(crate) fn end(&self, boot_id: &str) -> ExitRecord {
        if let Some(exit) = &self.exit {
            return exit.clone();
        }
        let log = find_log(&self.directory);
        let signs = [Some(self.directory.join("start.json")), log].map(|path| modified(&path?));
        let last = signs.into_iter().flatten().fold(self.start.started_at, SystemTime::max);
        let reason = if self.start.boot_id == boot_id { KILLED } else { REBOOT };
        ExitRecord {
            version: VERSION,
            outcome: Outcome::Lost,
            code: None,
            signal: None,
            reason: Some(reason.to_owned()),
            started_at: self.start.started_at,
            finished_at: last,
            result: None,
        }
    }

    /// The session as history.
    pub(crate) fn run(&self, boot_id: &str) -> Run {
        let end = self.end(boot_id);
        Run {
            generation: self.generation,
            outcome: end.outcome,
            exit_code: end.code,
            detail: end.reason,
            started_at: end.started_at,
            finished_at: end.finished_at,
            disrupted: false,
            stopped_by: self.stopped_by.clone(),
            result: end.result,
            item: self.start.item.clone(),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// All generations that have a directory, oldest first.
pub(crate) fn generations(records: &Path) -> anyhow::Result<Vec<u64>> {
    let names = names(records)?;
    let mut found: Vec<u64> = names.iter().filter_map(|name| generation(name.to_str()?)).collect();
    found.sort_unstable();
    Ok(found)
}

/// The largest number has no successor, so it is not a generation.
fn generation(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    ((1..u64::MAX).contains(&number) && number.to_string() == name).then_some(number)
}

/// The newest `limit` sessions that started, oldest first. A directory without `start.json` never
/// started.
pub(crate) fn read_records(records: &Path, limit: usize) -> anyhow::Result<Vec<Record>> {
    let mut found = Vec::new();
    for generation in generations(records)?.into_iter().rev() {
        if found.len() == limit {
            break;
        }
        found.extend(read_one(generation, records.join(generation.to_string()))?);
    }
    found.reverse();
    Ok(found)
}

fn read_one(generation: u64, directory: PathBuf) -> anyhow::Result<Option<Record>> {
    let Some(start) = read(&directory.join("start.json"))? else { return Ok(None) };
    let exit = read(&directory.join("exit.json"))?;
    let stopped_by = held_by(&directory, exit.as_ref());
    Ok(Some(Record { generation, directory, start, exit, stopped_by }))
}

/// Who stopped the session in `directory`, where that still holds its slot.
fn held_by(directory: &Path, exit: Option<&ExitRecord>) -> Option<String> {
    let is_stopped = exit.is_some_and(|exit| exit.outcome == Outcome::Stopped);
    let by = is_stopped.then(|| stopped_by(directory)).flatten()?;
    fs::symlink_metadata(directory.join(RESUMED)).is_err().then_some(by)
}

/// All sessions that ended since then, or have not ended, oldest first; and of those whose record
/// cannot be read, when it was written and why.
pub(crate) fn read_records_since(records: &Path, since: SystemTime) -> anyhow::Result<Since> {
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for generation in generations(records)?.into_iter().rev() {
        let directory = records.join(generation.to_string());
        let written = ["exit.json", "start.json"].map(|file| modified(&directory.join(file)));
        if written[0].is_some_and(|at| at < since) {
            break;
        }
        match (read_one(generation, directory), written[0].max(written[1])) {
            (Ok(record), _) => found.extend(record),
            (Err(error), Some(at)) => damaged.push((at, format!("{error:#}"))),
            (Err(error), None) => return Err(error),
        }
    }
    found.reverse();
    Ok(Since { found, damaged })
}

/// What [`read_records_since`] read.
pub(crate) struct Since {
    pub(crate) found: Vec<Record>,
    pub(crate) damaged: Vec<(SystemTime, String)>,
}

/// Reads one record; `None` when it does not exist.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let directory = path.parent().unwrap_or(path).display();
    read_with(path, &format!("move {directory} away, only history is lost"))
}

/// [`read`] with another remedy for a record that cannot be read.
pub(crate) fn read_with<T: DeserializeOwned>(
    path: &Path,
    remedy: &str,
) -> anyhow::Result<Option<T>> {
    let unreadable = || format!("record {} cannot be read; {remedy}", path.display());
    let opened = open_private(path, OpenOptions::new().read(true));
    let file = match opened {
        Err(error) if is_absent(&error) => return Ok(None),
        other => other.with_context(unreadable)?,
    };
    // Usual records fit, so that no second buffer is needed.
    let mut text = String::with_capacity(USUAL_RECORD_BYTES);
    file.take(MAX_RECORD_BYTES).read_to_string(&mut text).with_context(unreadable)?;
    let Versioned { version } = serde_json::from_str(&text).with_context(unreadable)?;
    if version > VERSION {
        bail!(
            "record {} was written by a newer coordinator (format {version}, this one reads \
            {VERSION}); install the newer one",
            path.display()
        );
    }
    serde_json::from_str(&text).with_context(unreadable).map(Some)
}

fn is_absent(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(error, Some(ErrorKind::NotFound | ErrorKind::NotADirectory))
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Writes one record so that after a crash all of it exists or nothing.
pub(crate) fn write(path: &Path, record: &impl Serialize) -> anyhow::Result<()> {
    replace(path, &encode(record)?)
}

/// A record as its file's content.
pub(crate) fn encode(record: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(record).context("serialize a record")?;
    text.push(b'\n');
    Ok(text)
}

pub(super) mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::process) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

mod word {
    use serde::{Deserialize, Deserializer, Serializer};

    use coordinator_core::fleet::Outcome;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(
        outcome: &Outcome,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(outcome.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Outcome, D::Error> {
        let text = String::deserialize(deserializer)?;
        Outcome::from_word(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown outcome `{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_a_number_with_a_successor_written_in_one_way() {
        let records = tempfile::tempdir().expect("a temporary folder");
        for name in
            ["2", "10", "0", "01", "+3", "18446744073709551615", "18446744073709551616", "work"]
        {
            fs::create_dir(records.path().join(name)).expect("a folder can be made");
        }
        assert_eq!(generations(records.path()).expect("it can be read"), [2, 10]);
    }
}
