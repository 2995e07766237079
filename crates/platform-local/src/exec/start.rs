//! Fills one slot: decides by the inventory of this run; the plugin then decides again.

use std::time::{Duration, SystemTime};

use anyhow::bail;

use super::check::{item_refusal, may_start_blind};
use super::protocol::{
    Capabilities, Code, Operation, Session, SlotKey, Spawn, SpawnResult, Spawned, Spec, State,
};
use super::{Exec, Failure, Lease};
use coordinator_core::environment::Identity;
use coordinator_core::fleet::{Follows, Hold, HoldReason, Seat, SlotRecord, Want};
use coordinator_core::placeholders::{command, takes_prompt};
use coordinator_core::platform::{CycleId, Start};
use coordinator_core::report::RateLimit;

/// A session that has not started by then must not start: a later cycle has requested it again.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// The next session of a slot.
#[derive(Debug, PartialEq, Eq)]
struct NewSession {
    generation: u64,
    /// The plugin's id of the newest session before.
    predecessor: Option<String>,
    /// For a work item, the generation that it must follow: the plugin compares it.
    follows: Option<u64>,
}

/// What to do about a slot.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Request this session from the plugin.
    Spawn(NewSession),
    /// Leave it alone.
    Answer(Start),
}

/// The decision on a slot with this record, whose newest session is `last`.
fn decide(
    want: &Want,
    name: &str,
    record: &SlotRecord,
    last: Option<&Session>,
    now: SystemTime,
) -> Step {
    if record.live.is_some() {
        return Step::Answer(Start::AlreadyRunning);
    }
    if !want.follows.allows(record.generation) {
        return Step::Answer(Start::Superseded);
    }
    match want.hold(name, &record.history, now) {
        Some(hold) => Step::Answer(Start::Held(hold)),
        None => Step::Spawn(NewSession {
            generation: record.generation.saturating_add(1),
            predecessor: last.map(|last| last.id.clone()),
            follows: match want.follows {
                Follows::Anything => None,
                Follows::Generation(generation) => Some(generation),
            },
        }),
    }
}

fn unknown(detail: String) -> Step {
    Step::Answer(Start::Held(Hold { reason: HoldReason::Unknown, until: None, detail }))
}

/// Why a work item is held whatever its slot holds.
fn unsupported(want: &Want, capabilities: &Capabilities) -> Option<Hold> {
    want.item.as_ref()?;
    let detail = item_refusal(capabilities)?.to_owned();
    Some(Hold { reason: HoldReason::Unsupported, until: None, detail })
}

impl Exec {
    pub(super) async fn fill(
        &self,
        want: &Want,
        cycle: &CycleId,
        now: SystemTime,
    ) -> anyhow::Result<Start> {
        let capabilities = self.fit().await?;
        if let Some(hold) = unsupported(want, capabilities) {
            return Ok(Start::Held(hold));
        }
        if let Some(Lease::Theirs) = self.lease(capabilities).await? {
            return Ok(Start::Held(Hold {
                reason: HoldReason::Unknown,
                until: None,
                detail: self.is_leased(),
            }));
        }
        match self.step(want, capabilities, now) {
            Step::Spawn(new) => {
                let request = self.request(want, &new, cycle, now);
                self.spawn(want, request, capabilities, now).await
            }
            Step::Answer(start) => Ok(start),
        }
    }

    /// The same decision without a start. A plugin with `dry_run` gives its own decision.
    pub(super) async fn rehearse(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        let capabilities = self.fit().await?;
        if let Some(hold) = unsupported(want, capabilities) {
            return Ok(Start::Held(hold));
        }
        match self.step(want, capabilities, now) {
            Step::Spawn(new) if capabilities.dry_run => {
                let cycle = CycleId("dry-run".to_owned());
                let request = Spawn { dry_run: true, ..self.request(want, &new, &cycle, now) };
                self.spawn(want, request, capabilities, now).await
            }
            Step::Spawn(new) => Ok(Start::Started { generation: new.generation }),
            Step::Answer(start) => Ok(start),
        }
    }

    fn step(&self, want: &Want, capabilities: &Capabilities, now: SystemTime) -> Step {
        let name = want.slot.session_name(&self.settings.fleet);
        match self.view.borrow().as_ref() {
            Some(view) => {
                let now = view.as_of.unwrap_or(now);
                let (record, last) = (view.record(&want.slot), view.sessions(&want.slot).last());
                decide(want, &name, &record, last, now)
            }
            None if want.item.is_some() => unknown(
                "the plugin's sessions are unknown, and a work item must follow one of them"
                    .to_owned(),
            ),
            None if may_start_blind(capabilities) => {
                Step::Spawn(NewSession { generation: 1, predecessor: None, follows: None })
            }
            None => unknown(
                "the plugin's sessions are unknown, and it may not start any without a list"
                    .to_owned(),
            ),
        }
    }

    fn is_leased(&self) -> String {
        let directory = self.settings.exec.state_dir.join(self.settings.fleet.as_str());
        format!(
            "another run has {}: the plugin cannot refuse a second session, so one run at a time \
            starts them",
            directory.join("exec.lock").display()
        )
    }

    fn request<'a>(
        &'a self,
        want: &'a Want,
        new: &'a NewSession,
        cycle: &'a CycleId,
        now: SystemTime,
    ) -> Spawn<'a> {
        let (fleet, slot, generation) = (&self.settings.fleet, &want.slot, new.generation);
        let seat = match &slot.seat {
            Seat::Index(index) => index.to_string(),
            seat @ Seat::Item(_) => seat.to_string(),
        };
        Spawn {
            slot: SlotKey::new(fleet, slot, want.item.as_ref()),
            generation,
            expected_predecessor: new.predecessor.as_deref(),
            follows: new.follows,
            item: want.item_run(),
            idempotency_key: format!("{fleet}/{}/{seat}/{generation}", slot.group),
            cycle: &cycle.0,
            expires_at: now + MAX_WAIT,
            spec: self.spec(want, generation, cycle),
            dry_run: false,
        }
    }

    fn spec<'a>(&'a self, want: &'a Want, generation: u64, cycle: &CycleId) -> Spec<'a> {
        let (spec, fleet) = (&want.spec, &self.settings.fleet);
        let repository = self.settings.repository.as_deref();
        let identity = Identity {
            fleet,
            slot: &want.slot,
            role: &want.role,
            item: want.item.as_ref(),
            generation,
            cycle: &cycle.0,
            prompt: &spec.prompt,
            repository,
        };
        let role = spec.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        Spec {
            session: want.slot.session_name(fleet),
            role: want.role.as_str(),
            command: command(want, fleet),
            stdin: (!takes_prompt(&spec.command)).then_some(spec.prompt.as_str()),
            prompt: &spec.prompt,
            env: role.chain(identity.variables()).collect(),
            time_limit_s: spec.time_limit.as_secs().max(1),
            stall_timeout_ms: u64::try_from(spec.stall_timeout.as_millis()).unwrap_or(u64::MAX),
            agent: spec.agent.word(),
            repository,
        }
    }

    async fn spawn(
        &self,
        want: &Want,
        request: Spawn<'_>,
        capabilities: &Capabilities,
        now: SystemTime,
    ) -> anyhow::Result<Start> {
        if let Some(max) = capabilities.max_spec_bytes {
            let bytes = serde_json::to_vec(&request.spec)?.len() as u64;
            if bytes > max {
                bail!(
                    "its `spec` has {bytes} bytes and the plugin takes {max}; shorten the brief, \
                    the command or `env`"
                );
            }
        }
        let started = Start::Started { generation: request.generation };
        let asked: Result<Spawned, Failure> = self.plugin.call(Operation::Spawn, &request).await;
        match asked {
            Ok(Spawned { result: SpawnResult::Created | SpawnResult::Deferred, .. }) => Ok(started),
            Ok(Spawned { result: SpawnResult::Exists, session }) => {
                let is_ours = session
                    .as_ref()
                    .is_some_and(|session| session.cycle.as_deref() == Some(request.cycle));
                let is_over = session.is_some_and(|session| session.state == State::Finished);
                Ok(match (is_ours, is_over && want.item.is_some()) {
                    (true, _) => started,
                    (false, true) => Start::Superseded,
                    (false, false) => Start::AlreadyRunning,
                })
            }
            Err(failure) => refused(failure, now),
        }
    }
}

/// What a spawn without a result comes to.
fn refused(failure: Failure, now: SystemTime) -> anyhow::Result<Start> {
    match failure {
        Failure::Refused { refusal, sentence } => {
            let until = refusal.retry_after.map(|wait| now + wait);
            match refusal.code {
                Code::Quota => {
                    let detail = sentence;
                    Ok(Start::Held(Hold { reason: HoldReason::Quota, until, detail }))
                }
                Code::RateLimited => {
                    Ok(Start::RateLimited(RateLimit { resets_at: until, said: String::new() }))
                }
                Code::Conflict => Ok(Start::AlreadyRunning),
                Code::Superseded => Ok(Start::Superseded),
                Code::Unavailable
                | Code::Denied
                | Code::Invalid
                | Code::Unsupported
                | Code::Ambiguous
                | Code::Internal => bail!(sentence),
            }
        }
        Failure::NotStarted(why) => bail!(why),
        Failure::Late(why) | Failure::Garbled(why) => {
            bail!("{why}; the session may still have started: the next inventory shows it")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exec::stopped::HeldSlots;
    use crate::exec::view::View;
    use coordinator_core::backoff::BackoffSettings;
    use coordinator_core::fleet::{FleetName, RoleKey, SessionSpec, Slot};

    const BACKOFF: BackoffSettings = BackoffSettings {
        backoff_base: Duration::from_secs(60),
        backoff_cap: Duration::from_secs(3600),
        min_runtime: Duration::from_secs(30),
        min_interval: Duration::ZERO,
    };

    fn step(sessions: &str, now: &str) -> Step {
        following(Follows::Anything, sessions, now)
    }

    fn following(follows: Follows, sessions: &str, now: &str) -> Step {
        let listed = format!(r#"{{"complete":true,"sessions":{sessions}}}"#);
        let listed = serde_json::from_str(&listed).expect("a list");
        let fleet = FleetName::parse("demo").expect("a valid name");
        let view = View::of(listed, &fleet, HeldSlots::default()).expect("a list that can be used");
        let now = humantime::parse_rfc3339(now).expect("a time");
        let role = RoleKey::parse("qa").expect("a valid key");
        let slot = Slot::of_role(&role, 0);
        let spec = Arc::new(SessionSpec { backoff: BACKOFF, ..SessionSpec::default() });
        let want = Want { slot, role, spec, item: None, follows, by_hand: false };
        let (record, last) = (view.record(&want.slot), view.sessions(&want.slot).last());
        decide(&want, "demo-qa-s0", &record, last, now)
    }

    const FAILED: &str = r#"[{"id":"old","slot":{"role":"qa","index":0},"generation":4,
        "state":"finished","outcome":"failure","exit_code":1,
        "started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:05Z"}]"#;

    #[test]
    fn the_next_generation_follows_the_newest_session() {
        let expected =
            NewSession { generation: 5, predecessor: Some("old".to_owned()), follows: None };
        assert_eq!(step(FAILED, "2026-01-01T01:00:00Z"), Step::Spawn(expected));
        assert_eq!(
            step("[]", "2026-01-01T01:00:00Z"),
            Step::Spawn(NewSession { generation: 1, predecessor: None, follows: None })
        );
    }

    #[test]
    fn a_start_that_does_not_follow_the_newest_session_is_superseded_without_a_request() {
        let later = "2026-01-01T01:00:00Z";
        for stale in [0, 3, 5] {
            let step = following(Follows::Generation(stale), FAILED, later);
            assert_eq!(step, Step::Answer(Start::Superseded), "{stale}");
        }
        let step = following(Follows::Generation(4), FAILED, later);
        assert!(
            matches!(step, Step::Spawn(NewSession { generation: 5, follows: Some(4), .. })),
            "{step:?}"
        );
    }

    #[test]
    fn a_slot_that_just_failed_is_held_and_a_live_one_is_left_alone() {
        let held = step(FAILED, "2026-01-01T00:00:30Z");
        assert!(
            matches!(held, Step::Answer(Start::Held(Hold { reason: HoldReason::Backoff, .. }))),
            "{held:?}"
        );
        let live = FAILED.replace("finished\"", "running\"");
        assert_eq!(step(&live, "2026-01-01T01:00:00Z"), Step::Answer(Start::AlreadyRunning));
    }
}
