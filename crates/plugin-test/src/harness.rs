//! The plugin under test, and a fleet of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::row::NotPassed;
use coordinator_core::fleet::{Counts, ItemKey, ItemRun, RoleKey, Usd, WorkItem};
use coordinator_platform_local::exec::protocol::{
    Capabilities, List, Listed, Operation, Session, SlotExclusive, SlotKey, Spawn, Spawned, Spec,
};
use coordinator_platform_local::exec::{ExecSettings, Failure, Plugin};

const ROLE: &str = "plugin_test";

/// Between two looks at the list.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

const SOURCE: &str = "tests";

/// A slot that is free at first; each row has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotNo {
    /// Of the one role, by its index.
    Role(u32),
    /// Of the work item with this id.
    Item(&'static str),
}

/// A spawn of the test; the rest is the same for all.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Where.
    pub(super) place: SlotNo,
    /// Counted from 1.
    pub(super) generation: u64,
    /// The id of the session before.
    pub(super) predecessor: Option<String>,
    /// The cycle's id.
    pub(super) cycle: String,
    /// What to run.
    pub(super) command: Vec<String>,
    /// A session that runs longer is to be ended.
    pub(super) time_limit: Duration,
    /// From now on; negative is past.
    pub(super) expires_in_s: i64,
    /// Start nothing.
    pub(super) dry_run: bool,
}

/// What the sessions of an item have used up, different for each generation.
pub(super) fn counts(generation: u64) -> Counts {
    let attempt = u32::try_from(generation).unwrap_or(u32::MAX);
    Counts { attempt, reworks: 3, cost_usd: Usd::from_dollars(1.25), ..Counts::default() }
}

impl Order {
    /// The first session of a place.
    pub(super) fn first(place: SlotNo, command: &[&str]) -> Self {
        Self {
            place,
            generation: 1,
            predecessor: None,
            cycle: "test".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            time_limit: Duration::from_secs(600),
            expires_in_s: 300,
            dry_run: false,
        }
    }
}

/// The plugin, its fleet, and what the rows have found so far.
#[derive(Debug)]
pub(super) struct Harness {
    plugin: Plugin,
    fleet: String,
    /// Its answer to `capabilities`.
    pub(super) capabilities: Capabilities,
    /// How long an operation takes here.
    pub(super) pace: Duration,
    /// The plugin has removed its records of the fleet.
    pub(super) is_forgotten: bool,
}

impl Harness {
    /// A plugin before its first call, with a fleet named by the clock and this process.
    pub(super) fn new(program: PathBuf, timeout: Duration, now: SystemTime) -> Self {
        let settings = ExecSettings {
            plugin: program,
            place: None,
            timeout,
            env: BTreeMap::new(),
            secret_names: BTreeSet::new(),
            state_dir: PathBuf::new(),
        };
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let number = (nanos / 1000) << 16 | u128::from(std::process::id() & 0xffff);
        let capabilities = Capabilities {
            protocol: Vec::new(),
            name: String::new(),
            slot_exclusive: SlotExclusive::None,
            blind_spawn: false,
            history: false,
            logs: false,
            follow: false,
            dry_run: false,
            items: false,
            stop: false,
            attach: false,
            forget: false,
            max_spec_bytes: None,
        };
        Self {
            plugin: Plugin::new(&settings, &settings.secret_names, Instant::now() + MAX_DURATION),
            fleet: format!("ct{:012x}", number & 0xffff_ffff_ffff),
            capabilities,
            pace: Duration::ZERO,
            is_forgotten: false,
        }
    }

    /// The fleet of this test.
    pub(super) fn fleet(&self) -> &str {
        &self.fleet
    }

    /// The plugin itself, for requests that no coordinator sends.
    pub(super) fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// How long a session lasts that others find live: enough for the rows that look at it.
    pub(super) fn hold_s(&self) -> u64 {
        (Duration::from_secs(3) + self.pace * 30).as_secs().min(120)
    }

    /// How long to wait for what a session does by itself.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.hold_s() + 10)
    }

    /// The slot of a place, as the coordinator sends it.
    pub(super) fn slot(&self, place: SlotNo) -> SlotKey {
        match place {
            SlotNo::Role(index) => SlotKey::Role { role: ROLE.to_owned(), index },
            SlotNo::Item(id) => SlotKey::Item {
                group: SOURCE.to_owned(),
                item: id.to_owned(),
                name: self.session_name(place),
            },
        }
    }

    fn session_name(&self, place: SlotNo) -> String {
        match place {
            SlotNo::Role(index) => format!("{}-{}-s{index}", self.fleet, ROLE.replace('_', "-")),
            SlotNo::Item(id) => format!("{}-{SOURCE}-i{}", self.fleet, ItemKey::of(id).as_str()),
        }
    }

    /// What the session of an order works on.
    pub(super) fn item(order: &Order) -> Option<ItemRun> {
        let SlotNo::Item(id) = order.place else { return None };
        let item = WorkItem { id: id.to_owned(), counts: counts(order.generation) };
        RoleKey::parse(ROLE).ok().map(|role| ItemRun { role, item })
    }

    /// A complete list.
    pub(super) async fn list(&self) -> Result<Vec<Session>, NotPassed> {
        let since = SystemTime::UNIX_EPOCH;
        let request = List { fleet: &self.fleet, roles: vec![ROLE], include_finished_since: since };
        let listed: Listed = self.plugin.call(Operation::List, &request).await?;
        if listed.complete {
            Ok(listed.sessions)
        } else {
            Err(NotPassed::Failed("a list without \"complete\": true counts as failed".to_owned()))
        }
    }

    /// The sessions of one place.
    pub(super) async fn at(&self, place: SlotNo) -> Result<Vec<Session>, NotPassed> {
        let slot = self.slot(place);
        Ok(self.list().await?.into_iter().filter(|session| session.slot == slot).collect())
    }

    /// Looks at a place until something is there, or patience ends.
    pub(super) async fn until<T>(
        &self,
        place: SlotNo,
        what: &str,
        found: impl Fn(&[Session]) -> Option<T>,
    ) -> Result<T, NotPassed> {
        let end = Instant::now() + self.patience();
        loop {
            let sessions = self.at(place).await?;
            if let Some(found) = found(&sessions) {
                return Ok(found);
            }
            if Instant::now() > end {
                let waited = humantime::format_duration(self.patience());
                return Err(NotPassed::Failed(format!(
                    "{what}: not within {waited}; {}",
                    describe(&sessions)
                )));
            }
            sleep(LOOK_AGAIN.max(self.pace)).await;
        }
    }

    /// Requests a session.
    pub(super) async fn spawn(&self, order: &Order) -> Result<Spawned, Failure> {
        self.plugin.call(Operation::Spawn, &self.request(order)).await
    }

    /// The request of an order, as the coordinator sends it.
    pub(super) fn request(&self, order: &Order) -> Value {
        let session = self.session_name(order.place);
        let (follows, place) = match order.place {
            SlotNo::Role(index) => (None, format!("{ROLE}/{index}")),
            SlotNo::Item(id) => {
                (Some(order.generation - 1), format!("{SOURCE}/i{}", ItemKey::of(id).as_str()))
            }
        };
        let own = |name: &str, value: &str| (format!("COORDINATOR_{name}"), value.to_owned());
        let env = [
            own("FLEET", &self.fleet),
            own("ROLE", ROLE),
            own("SLOT", &session),
            own("SESSION", &format!("{session}-g{}", order.generation)),
            own("GENERATION", &order.generation.to_string()),
        ];
        let expires = SystemTime::now();
        let off = Duration::from_secs(order.expires_in_s.unsigned_abs());
        let request = Spawn {
            slot: self.slot(order.place),
            generation: order.generation,
            expected_predecessor: order.predecessor.as_deref(),
            follows,
            item: Self::item(order),
            idempotency_key: format!("{}/{place}/{}", self.fleet, order.generation),
            cycle: &order.cycle,
            expires_at: if order.expires_in_s < 0 { expires - off } else { expires + off },
            spec: Spec {
                session,
                role: ROLE,
                command: order.command.clone(),
                stdin: None,
                prompt: "Nothing is to be done.",
                env: env.into_iter().collect(),
                time_limit_s: order.time_limit.as_secs(),
                stall_timeout_ms: 0,
                agent: "none",
                repository: None,
            },
            dry_run: order.dry_run,
        };
        json!(request)
    }
}

/// The run of all rows ends by then.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Sessions in a few words.
pub(super) fn describe(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "the list has no session there".to_owned();
    }
    let one = |session: &Session| {
        let outcome = session.outcome.map(|outcome| format!(", {outcome:?}")).unwrap_or_default();
        let text = format!(
            "{} generation {} {:?}{outcome}",
            session.id, session.generation, session.state
        );
        text.to_lowercase()
    };
    format!("the list has {}", sessions.iter().map(one).collect::<Vec<_>>().join(" and "))
}
