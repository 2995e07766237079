//! What an agent leaves at its end: its result file, and what its output shows.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use serde::Serialize;

use super::logs::{aside, find_log};
use super::record::{ExitRecord, Launch, VERSION, rfc3339};
use super::shim::warn;
use crate::secure_fs::{read_regular, replace};
use coordinator_core::agent::{
    MAX_RESULT_BYTES, Profile, Tally, combined, last_words, read_result,
};
use coordinator_core::fleet::SessionResult;

/// The file whose path `COORDINATOR_RESULT` is.
pub(super) const RESULT_FILE: &str = "result.json";

/// The variable that carries the path.
pub(super) const RESULT_VARIABLE: &str = "COORDINATOR_RESULT";

/// The end of the output that is read: the agent's last line is in it.
const TAIL_BYTES: u64 = 8 << 20;

/// The start of the output that is read: it has the agent's own session id.
const HEAD_BYTES: u64 = 1 << 20;

/// What the agent in `home` left. Its file is read once, without following a link; one that is not
/// a regular file, or longer than [`MAX_RESULT_BYTES`], counts as none.
pub(super) fn read(home: &Path, agent: Profile) -> Option<SessionResult> {
    let written = read_regular(&home.join(RESULT_FILE), MAX_RESULT_BYTES);
    let written = warn("read the result of the agent", written).flatten();
    let written = written.and_then(|bytes| read_result(&bytes));
    combined(shown(home, agent), written)
}

/// What the output in `home` shows.
fn shown(home: &Path, agent: Profile) -> Option<SessionResult> {
    if !agent.is_json_lines() {
        return None;
    }
    let mut tally = Tally::new(agent);
    warn("read the start of the output", feed_head(&mut tally, home));
    warn("read the end of the output", feed_tail(&mut tally, home));
    tally.finish()
}

/// The agent's own id of the session, which its first lines have.
pub(super) fn agent_session(home: &Path, agent: Profile) -> Option<String> {
    let mut tally = Tally::new(agent);
    feed_head(&mut tally, home).ok()?;
    tally.agent_session().map(str::to_owned)
}

/// The first of the output, in a part of it that was copied aside if there is one.
fn feed_head(tally: &mut Tally, home: &Path) -> anyhow::Result<()> {
    let log = find_log(home).context("find the log")?;
    let first = Some(aside(&log)).filter(|path| path.is_file()).unwrap_or(log);
    feed(tally, &mut File::open(first)?.take(HEAD_BYTES))?;
    // The last line may be cut: a line of its own ends it.
    tally.read(b"\n");
    Ok(())
}

fn feed_tail(tally: &mut Tally, home: &Path) -> anyhow::Result<()> {
    let mut log = File::open(find_log(home).context("find the log")?)?;
    let skipped = log.metadata()?.len().saturating_sub(TAIL_BYTES);
    log.seek(SeekFrom::Start(skipped))?;
    feed(tally, &mut log)
}

fn feed(tally: &mut Tally, output: &mut impl Read) -> anyhow::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match output.read(&mut piece).context("read the output")? {
            0 => return Ok(()),
            count => tally.read(&piece[..count]),
        }
    }
}

/// `meta.json`: the session for people and other programs. The coordinator itself never reads it.
#[derive(Serialize)]
struct Meta<'a> {
    version: u32,
    slot: &'a str,
    role: &'a str,
    generation: u64,
    session: &'a str,
    cycle: &'a str,
    command: &'a [String],
    agent: Profile,
    outcome: &'a str,
    reason: Option<&'a str>,
    exit_code: Option<i32>,
    #[serde(serialize_with = "rfc3339::serialize")]
    started_at: SystemTime,
    #[serde(serialize_with = "rfc3339::serialize")]
    finished_at: SystemTime,
    result: Option<&'a SessionResult>,
}

/// Writes `result.txt`, the agent's last words, and `meta.json`.
pub(super) fn write(home: &Path, launch: &Launch, exit: &ExitRecord) {
    let words = warn("read the end of the output", tail(home)).unwrap_or_default();
    let words = last_words(launch.agent, &String::from_utf8_lossy(&words));
    warn("write result.txt", replace(&home.join("result.txt"), words.as_bytes()));
    let meta = Meta {
        version: VERSION,
        slot: &launch.slot,
        role: &launch.role,
        generation: launch.generation,
        session: &launch.session,
        cycle: &launch.cycle,
        command: &launch.command,
        agent: launch.agent,
        outcome: exit.outcome.word(),
        reason: exit.reason.as_deref(),
        exit_code: exit.code,
        started_at: exit.started_at,
        finished_at: exit.finished_at,
        result: exit.result.as_ref(),
    };
    warn("write meta.json", super::record::write(&home.join("meta.json"), &meta));
}

fn tail(home: &Path) -> anyhow::Result<Vec<u8>> {
    let mut log = OpenOptions::new().read(true).open(find_log(home).context("find the log")?)?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    log.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail)
}

/// The length of the agent's output, and when it last changed: both stay while the agent is silent.
pub(super) fn output_state(home: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(find_log(home)?).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
