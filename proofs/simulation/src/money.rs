//! What sessions of the world cost, by the world's own count: each as much as it may cost, from its
//! start until 24 h after its end.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scene::Scene;
use crate::time;
use testkit::kubernetes::witness::is_live_job;

/// For how long a session counts after its end, in seconds.
const WINDOW: i64 = 24 * 3_600;

/// The cluster writes whole seconds.
const TOLERANCE: i64 = 2;

/// Every session that started, by its name and generation.
pub(crate) type Sessions = BTreeMap<(String, u64), Session>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    /// In seconds of the world.
    started: i64,
    ended: Option<i64>,
    /// Nothing shows it any more: its Job was removed before a cycle replaced it.
    is_forgotten: bool,
}

/// A session has started.
pub(crate) fn starts(scene: &mut Scene, name: &str, generation: u64) {
    let session = Session { started: time::seconds(), ended: None, is_forgotten: false };
    scene.sessions.insert((name.to_owned(), generation), session);
}

/// Looks at what became of them, after every step.
pub(crate) fn look(scene: &mut Scene) {
    let now = time::seconds();
    let space = scene.cluster.namespace();
    for ((name, generation), session) in &mut scene.sessions {
        let job = space.jobs.get(name).filter(|job| number(job) == *generation);
        let is_live = job.is_some_and(is_live_job);
        if !is_live {
            session.ended.get_or_insert(now);
        }
        // In the ledger by the session's name, and in the register of that name.
        let is_kept = |(map, content): (&String, &Value)| {
            let key = if map == name { "runs" } else { name };
            let runs = content["data"][key].as_str().unwrap_or_default();
            runs.contains(&format!("\"gen\":{generation},"))
        };
        if job.is_none() && !session.is_forgotten {
            session.is_forgotten = !space.config_maps.iter().any(is_kept);
        }
    }
}

fn number(job: &Value) -> u64 {
    let label = job["metadata"]["labels"]["coordinator.dev/generation"].as_str();
    label.and_then(|label| label.parse().ok()).unwrap_or_default()
}

/// The sessions that a coordinator must have counted that listed the Jobs at that second.
pub(crate) fn counted(sessions: &Sessions, listed: i64) -> Vec<String> {
    let counts = |session: &&Session| {
        let leaves = session.ended.map_or(i64::MAX, |ended| ended + WINDOW);
        session.started < listed && leaves > listed + TOLERANCE && !session.is_forgotten
    };
    let counted = sessions.iter().filter(|(_, session)| counts(session));
    counted.map(|((name, generation), _)| format!("{name}-g{generation}")).collect()
}
