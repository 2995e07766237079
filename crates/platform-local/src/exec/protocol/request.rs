//! What the coordinator says: the object on standard input.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::SlotKey;
use coordinator_core::fleet::ItemRun;

/// `capabilities`: `{}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Capable {}

/// `list`.
#[derive(Debug, Clone, Serialize)]
pub struct List<'a> {
    /// Whose sessions.
    pub fleet: &'a str,
    /// The groups of the roster, as a hint. A session of the fleet in another group is listed, too.
    pub roles: Vec<&'a str>,
    /// Sessions that finished since are wanted; older ones are welcome.
    #[serde(serialize_with = "time")]
    pub include_finished_since: SystemTime,
}

/// `spawn`.
#[derive(Debug, Clone, Serialize)]
pub struct Spawn<'a> {
    /// Where: the lock.
    pub slot: SlotKey,
    /// 1 + the predecessor's: data.
    pub generation: u64,
    /// The newest session of the slot that is known, which has finished. When the plugin knows of another one, somebody
    /// else was first: `conflict`.
    pub expected_predecessor: Option<&'a str>,
    /// For a work item: the generation that it must follow, 0 when nothing ran yet. When the newest
    /// generation of the slot is another one, the plugin starts nothing: `superseded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
    /// For a work item: its id, role, attempt and counts. The plugin gives it back with the
    /// session, as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemRun>,
    /// `<fleet>/<group>/<seat>/<generation>`, where the seat is an index or `i` and an item's key;
    /// the same when the same start is asked for again: data.
    pub idempotency_key: String,
    /// Who asks. The plugin keeps it with the session.
    pub cycle: &'a str,
    /// A session that has not started by then must not start.
    #[serde(serialize_with = "time")]
    pub expires_at: SystemTime,
    /// What to run.
    pub spec: Spec<'a>,
    /// Answer as if, and start nothing.
    pub dry_run: bool,
}

/// What runs in a session.
#[derive(Debug, Clone, Serialize)]
pub struct Spec<'a> {
    /// The session's full name, `<fleet>-<role>-s<index>` or `<fleet>-<group>-i<key>`.
    pub session: String,
    /// The key of its role.
    pub role: &'a str,
    /// Program and arguments, placeholders filled, for no shell.
    pub command: Vec<String>,
    /// For the command's standard input; `null` when an argument carries the prompt.
    pub stdin: Option<&'a str>,
    /// Preamble, mode and brief.
    pub prompt: &'a str,
    /// The role's variables and those that tell the session who it is.
    pub env: BTreeMap<String, String>,
    /// A session that runs longer is to be ended, by the plugin's side.
    pub time_limit_s: u64,
    /// `owner/repo`.
    pub repository: Option<&'a str>,
}

/// `logs`.
#[derive(Debug, Clone, Serialize)]
pub struct Logs<'a> {
    /// The session's `id`, as the plugin listed it.
    pub id: &'a str,
    /// So much of the end is wanted.
    pub tail_bytes: u64,
}

/// `stop`: end this session and no other one.
#[derive(Debug, Clone, Serialize)]
pub struct Stop<'a> {
    /// Where it is, as the plugin listed it.
    pub slot: &'a SlotKey,
    /// Its `id`, as the plugin listed it: what decides.
    pub id: &'a str,
    /// Its generation.
    pub generation: u64,
    /// Who asks, for the record.
    pub by: &'a str,
}

/// `forget`: a fleet whose sessions have all ended.
#[derive(Debug, Clone, Serialize)]
pub struct Forget<'a> {
    /// Whose records.
    pub fleet: &'a str,
}

/// RFC 3339, in UTC.
fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}
