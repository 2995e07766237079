//! Fills one slot: decides by this run's inventory, reads the slot's concurrency group from GitHub,
//! dispatches once.
//!
//! GitHub does not refuse a dispatch to a taken slot: the run waits, and starts when the other one
//! ends. So the group is read right before the dispatch. A run that was dispatched all the same is
//! checked at its admission, by its ticket and the slot's history.

use std::time::SystemTime;

use super::item::ItemTicket;
use super::list::Snapshot;
use super::session_input::{NewSession, dispatch, item_title};
use super::title::MAX_ITEM_PART;
use super::{Actions, ActionsSettings};
use coordinator_core::fleet::{FleetName, Hold, HoldReason, Slot, Want};
use coordinator_core::platform::{CycleId, Start};
use coordinator_core::pull::Repository;
use coordinator_github::Error;
use coordinator_github::actions::{DispatchAnswer, Group, Short, used_up};

/// The requests of a start: the group's runs, and the dispatch.
const REQUESTS: u32 = 2;

/// The decision on a slot.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Start a session of this generation if GitHub has the slot free.
    Dispatch {
        generation: u64,
        item: Option<ItemTicket>,
    },
    Answer(Start),
}

/// The decision by the inventory's record of the slot; `None` where it failed or has no record.
/// Without an inventory an item does not start. Pure.
fn decide(session: &str, view: Option<&Snapshot>, want: &Want, now: SystemTime) -> Step {
    let known = view.and_then(|view| view.slots.get(&want.slot));
    if known.is_some_and(|known| known.record.live.is_some()) {
        return Step::Answer(Start::AlreadyRunning);
    }
    let newest = known.map_or(0, |known| known.record.generation);
    let item = match (want.item_run(), view) {
        (None, _) => None,
        (Some(_), None) => {
            let why = "the inventory failed, and only a list shows which session of the item was \
                       the last";
            return Step::Answer(held(HoldReason::Unknown, why.to_owned()));
        }
        (Some(_), Some(_)) if !want.follows.allows(newest) => {
            return Step::Answer(Start::Superseded);
        }
        (Some(of), Some(view)) => {
            let last_session = known.and_then(|known| known.last_session);
            Some(ItemTicket::new(of, newest, last_session, view))
        }
    };
    let history = known.map_or(&[][..], |known| &known.record.history);
    match want.hold(session, history, now) {
        Some(hold) => Step::Answer(Start::Held(hold)),
        None => Step::Dispatch { generation: known.map_or(1, |known| known.next_generation), item },
    }
}

/// The workflow's `concurrency.group`: the lock of a slot. GitHub takes no notice of the case of
/// letters, nor do names here.
pub(super) fn group(fleet: &FleetName, slot: &Slot) -> String {
    format!("coord-{fleet}-{}", slot.name())
}

fn held(reason: HoldReason, detail: String) -> Start {
    Start::Held(Hold { reason, until: None, detail })
}

impl Actions {
    pub(super) async fn fill(
        &self,
        want: &Want,
        cycle: &CycleId,
        now: SystemTime,
    ) -> anyhow::Result<Start> {
        let (generation, item) = match self.ready(want, now).await {
            Step::Dispatch { generation, item } => (generation, item),
            Step::Answer(start) => return Ok(start),
        };
        let now = self.workflow.server_time().unwrap_or(now);
        let run = dispatch(&self.settings, want, NewSession { cycle, generation, now, item })?;
        match self.workflow.dispatch(&run).await {
            DispatchAnswer::Accepted { url } => {
                tracing::info!(slot = want.slot.name(), generation, url, "dispatched");
                Ok(Start::Started { generation })
            }
            DispatchAnswer::Refused { status, message }
                if want.item.is_some() && takes_no_items(status, &message) =>
            {
                self.takes_items.set(false);
                Ok(self.no_items())
            }
            DispatchAnswer::Refused { status, message } => {
                let repository = self.workflow.repository();
                anyhow::bail!(refusal(status, &message, &self.settings.actions, repository))
            }
            DispatchAnswer::RateLimited(limit) => Ok(Start::RateLimited(limit)),
            DispatchAnswer::Lost(why) => {
                anyhow::bail!(
                    "{why}; it may still have started: the next cycle's inventory shows it"
                )
            }
        }
    }

    /// The same up to the dispatch.
    pub(super) async fn rehearse(&self, want: &Want, now: SystemTime) -> Start {
        match self.ready(want, now).await {
            Step::Dispatch { generation, .. } => Start::Started { generation },
            Step::Answer(start) => start,
        }
    }

    fn no_items(&self) -> Start {
        let workflow = &self.settings.actions.workflow;
        let detail = format!(
            "{workflow} has no input for work items: renew it with `coordinator init \
             --github-actions`"
        );
        held(HoldReason::Unsupported, detail)
    }

    /// Why the item cannot run here, whatever its slot holds.
    fn unsupported(&self, want: &Want) -> Option<Start> {
        let length = item_title(want)?.part().len();
        if !self.takes_items.get() {
            return Some(self.no_items());
        }
        (length > MAX_ITEM_PART).then(|| {
            let detail = format!(
                "its id is too long for the title of a run: its part has {length} characters, at \
                 most {MAX_ITEM_PART}"
            );
            held(HoldReason::Unsupported, detail)
        })
    }

    /// Whether the slot may be filled now. The dispatch then has its place in the budget.
    async fn ready(&self, want: &Want, now: SystemTime) -> Step {
        if let Some(answer) = self.unsupported(want) {
            return Step::Answer(answer);
        }
        let now = self.workflow.server_time().unwrap_or(now);
        let session = want.slot.session_name(&self.settings.fleet);
        let step = decide(&session, self.view.borrow().as_ref(), want, now);
        if let Step::Answer(_) = step {
            return step;
        }
        if let Err(short) = self.workflow.reserve(REQUESTS) {
            return Step::Answer(match short {
                Short::RateLimited(limit) => Start::RateLimited(limit),
                Short::Budget(most) => held(HoldReason::Quota, used_up(most)),
            });
        }
        let taken = match self.workflow.group(&group(&self.settings.fleet, &want.slot)).await {
            Ok(Group::Free) => return step,
            Ok(Group::Taken) => Start::AlreadyRunning,
            Err(Error::RateLimited(limit)) => Start::RateLimited(limit),
            Err(error @ (Error::Overloaded(_) | Error::Failed(_))) => {
                held(HoldReason::Unknown, error.to_string())
            }
        };
        self.workflow.give_back(1);
        Step::Answer(taken)
    }
}

/// Whether the workflow refused a dispatch because it has no input `item`: it was written before
/// there were work items.
fn takes_no_items(status: u16, message: &str) -> bool {
    status == 422
        && message.to_lowercase().contains("unexpected inputs")
        && message.contains("\"item\"")
}

/// A definite refusal of a dispatch, in one sentence.
fn refusal(
    status: u16,
    message: &str,
    settings: &ActionsSettings,
    repository: &Repository,
) -> String {
    let ActionsSettings { workflow, git_ref, .. } = settings;
    let Repository { owner, name, .. } = repository;
    let said = match message {
        "" => format!("GitHub answered {status}"),
        message => format!("GitHub answered {status}: {message}"),
    };
    let has = |part: &str| message.to_lowercase().contains(part);
    let remedy = match status {
        300..=399 => "the repository has moved: correct `name` in [repository]".to_owned(),
        401 => "the token is wrong, expired or revoked".to_owned(),
        403 => format!("the token needs `actions: write` in {owner}/{name}"),
        404 => format!(
            "{workflow} not found in {owner}/{name}, or the token may not read it; write it with \
             `coordinator init --github-actions` and merge it into the default branch"
        ),
        422 if has("disabled") => format!("enable {workflow} in the repository's Actions tab"),
        422 if has("no ref found") => {
            format!("branch {git_ref} does not exist; correct `ref` in [platform.github-actions]")
        }
        422 if has("input") || has("workflow_dispatch") => format!(
            "{workflow} on {git_ref} does not fit this coordinator: \
             renew it with `coordinator init --github-actions`"
        ),
        _ => "the run was not started".to_owned(),
    };
    format!("could not start a run of {workflow}: {said}; {remedy}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_workflow_without_the_input_for_items_is_told_from_other_refusals() {
        assert!(takes_no_items(422, "Unexpected inputs provided: [\"item\"]"));
        for (status, message) in [
            (422, "Unexpected inputs provided: [\"slot\"]"),
            (422, "Required input 'item' not provided"),
            (404, "Unexpected inputs provided: [\"item\"]"),
        ] {
            assert!(!takes_no_items(status, message), "{status} {message}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let settings = ActionsSettings {
            workflow: "agent-session.yml".to_owned(),
            git_ref: "main".to_owned(),
            ticket: Duration::from_secs(300),
            start_timeout: Duration::from_secs(900),
            max_requests: 80,
        };
        let repository = Repository {
            owner: "octo".to_owned(),
            name: "demo".to_owned(),
            api_url: String::new(),
            graphql_url: String::new(),
        };
        for (status, message, remedy) in [
            (307, "Moved Permanently", "[repository]"),
            (401, "Bad credentials", "expired"),
            (403, "Resource not accessible by integration", "`actions: write` in octo/demo"),
            (404, "Not Found", "init --github-actions"),
            (
                422,
                "Cannot trigger a 'workflow_dispatch' on a disabled workflow",
                "enable agent-session.yml",
            ),
            (422, "No ref found for: main", "correct `ref`"),
            (422, "Unexpected inputs provided: [\"slot\"]", "renew it"),
            (422, "Required input 'model' not provided", "renew it"),
            (422, "Workflow does not have 'workflow_dispatch' trigger", "renew it"),
            (409, "", "GitHub answered 409; the run was not started"),
        ] {
            let sentence = refusal(status, message, &settings, &repository);
            assert!(sentence.contains(remedy) && sentence.contains(message), "{sentence}");
        }
    }
}
