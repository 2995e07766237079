//! What a person may want to do about what the cycle saw.

use std::time::Duration;

use super::offline::{Offline, offline};
use super::{
    MAX_CONFLICTS, MAX_REVIEW_QUEUE, answer, is_not_up, keep_failing, names, numbers, which,
};
use coordinator_core::fleet::{Leftover, Mode, Role, RoleKey, Slot, StuckReason};
use coordinator_core::merge::reason::Reason as PullReason;
use coordinator_core::pull::GapCause;
use coordinator_core::report::{
    Advice, Cause, EndpointHealth, NotMerged, Report, RoleCount, StepOutcome, Unjudged,
};

const TOKEN_EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// What may help; the coordinator never does it itself.
pub(super) fn advise(report: &Report, roles: &[Role]) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut add = |signal: String, action: String| advice.push(Advice { signal, action });
    if let Some(Offline { action, .. }) = offline(report) {
        add("offline".to_owned(), action);
    } else {
        for endpoint in report.health.body.endpoints.iter().filter(|endpoint| is_not_up(endpoint)) {
            add(answer(endpoint), remedy(endpoint, report, roles));
        }
    }
    if let (Some(signal), Some(slot)) =
        (keep_failing(report), report.inventory.body.failing.first())
    {
        add(signal, format!("look at `coordinator logs {}`", slot.name()));
    }
    for role in failed(report) {
        let action =
            format!("`coordinator logs {}` shows the last one", Slot::of_role(role, 0).name());
        add(format!("the last sessions of {role} failed"), action);
    }
    if is_failed(&report.merge.outcome) && report.interrupted.is_none() && offline(report).is_none()
    {
        let action = "`coordinator doctor` names the cause and its remedy".to_owned();
        add("the merge step failed".to_owned(), action);
    }
    if let Some(roles) = idle(report) {
        let action = "give it work, lower its `count`, or let it start less often: `min_interval`";
        add(format!("nothing to do for {roles}"), action.to_owned());
    }
    let signal = match report.inventory.body.unmanaged.len() {
        0 => None,
        1 => Some("1 session is not managed by this roster".to_owned()),
        many => Some(format!("{many} sessions are not managed by this roster")),
    };
    if let Some(signal) = signal {
        add(signal, "the inventory shows the reason and the remedy beside each".to_owned());
    }
    if let Some((signal, action)) = Leftover::describe(&report.inventory.body.leftovers) {
        add(signal, action);
    }
    let merge = &report.merge.body;
    if merge.review_queue > MAX_REVIEW_QUEUE {
        add(format!("review queue is {}", merge.review_queue), more_reviewers(roles));
    }
    if merge.conflicts > MAX_CONFLICTS {
        let action = "lower the counts of the roles that build: they change the same files";
        add(format!("{} pull requests conflict", merge.conflicts), action.to_owned());
    }
    advice.extend(advise_on_stuck(report));
    advice.extend(advise_on_repository(report));
    advice.extend(advise_on_unjudged(report));
    advice.extend(advise_on_reasons(report));
    advice.extend(advise_on_token(report));
    advice
}

fn is_failed(outcome: &StepOutcome) -> bool {
    matches!(outcome, StepOutcome::Failed(_))
}

/// Roles that should run, all of whose slots wait because their last session failed, where no slot
/// is named as one that keeps failing.
fn failed(report: &Report) -> impl Iterator<Item = &RoleKey> {
    let inventory = &report.inventory.body;
    let is_failed = |role: &&RoleCount| {
        role.desired > 0 && role.running == Some(0) && role.backing_off >= role.desired
    };
    let roles = if inventory.failing.is_empty() { &inventory.roles[..] } else { &[] };
    roles.iter().filter(is_failed).map(|role| &role.role)
}

/// Roles that should run, all of whose slots wait because they found nothing to do.
fn idle(report: &Report) -> Option<String> {
    let is_idle = |role: &&RoleCount| {
        role.desired > 0 && role.running == Some(0) && role.idle >= role.desired
    };
    let roles: Vec<&RoleCount> = report.inventory.body.roles.iter().filter(is_idle).collect();
    match roles.as_slice() {
        [] => None,
        [role] => Some(role.role.to_string()),
        roles => Some(format!("{} roles", roles.len())),
    }
}

/// The coordinator never ends a live session: a person decides about one that is stuck.
fn advise_on_stuck(report: &Report) -> impl Iterator<Item = Advice> {
    let stuck = &report.inventory.body.stuck;
    StuckReason::ALL.into_iter().filter_map(move |reason| {
        let slots = stuck.iter().filter(|stuck| stuck.reason == reason).map(|stuck| &stuck.slot);
        let slots: Vec<&Slot> = slots.collect();
        (!slots.is_empty()).then(|| {
            let signal = format!("{}: {}", reason.word(), names(&slots));
            Advice { signal, action: free(reason).to_owned() }
        })
    })
}

/// What frees a slot whose session is stuck.
fn free(reason: StuckReason) -> &'static str {
    match reason {
        StuckReason::Pending => {
            "remove what keeps the agent from starting, which the inventory names; until then, or \
            until its deadline, it holds its slot"
        }
        StuckReason::Terminating => {
            "it was deleted and has not ended: check whether its machine answers; it holds its slot"
        }
        StuckReason::OverDeadline => {
            "the platform should have ended it: check whether the platform works; it holds its slot"
        }
        StuckReason::Suspended => {
            "resume it, or let its queue admit it; until then it holds its slot"
        }
    }
}

/// What concerns all pull requests.
fn advise_on_repository(report: &Report) -> Vec<Advice> {
    let merge = &report.merge.body;
    let renamed = merge.renamed_to.iter().map(|name| Advice {
        signal: format!("the repository is now `{name}`"),
        action: "correct `name` in [repository]".to_owned(),
    });
    let unavailable = merge.unavailable.iter().map(|sentence| Advice {
        signal: sentence.clone(),
        action: "update GitHub Enterprise Server, or do without".to_owned(),
    });
    renamed.chain(unavailable).collect()
}

/// By its cause: a size limit is not a missing permission.
fn advise_on_unjudged(report: &Report) -> Vec<Advice> {
    let merge = &report.merge.body;
    [GapCause::Refused, GapCause::TooLarge, GapCause::Other]
        .into_iter()
        .filter_map(|cause| {
            let pulls: Vec<&Unjudged> =
                merge.unjudged.iter().filter(|pull| pull.cause == cause).collect();
            let sentence = &pulls.first()?.sentence;
            let signal = format!("could not be judged: {}", which(pulls.iter().copied()));
            Some(Advice { signal, action: show_again(cause, sentence).to_owned() })
        })
        .collect()
}

/// What brings to light what GitHub did not show.
fn show_again(cause: GapCause, sentence: &str) -> &'static str {
    match cause {
        GapCause::Refused if sentence.contains("SAML") => {
            "authorize the token for the organization's single sign-on"
        }
        GapCause::Refused => {
            "let the token read checks and commit statuses; `coordinator doctor` shows what it \
            lacks"
        }
        GapCause::TooLarge => {
            "GitHub times out even for it alone; if that lasts, review and merge it by hand"
        }
        GapCause::Other => "the next cycle reads it again; if it lasts, look at it on GitHub",
    }
}

/// Reasons that only a person can remove. What forbids every merge is in the status with its
/// remedy.
const REMEDIES: [(PullReason, &str); 3] = [
    (
        PullReason::AlreadyOnBase,
        "an earlier merge of it succeeded in part: compare it with the base, then close it",
    ),
    (PullReason::MergeOutcomeUnknown, "check whether it was merged; the next cycle checks, too"),
    (
        PullReason::Forbidden,
        "give the token write access to contents and pull requests; merge changes of workflows by \
        hand",
    ),
];

fn advise_on_reasons(report: &Report) -> Vec<Advice> {
    let merge = &report.merge.body;
    let with = |reason: PullReason| {
        let all = merge.failed.iter().chain(&merge.skipped);
        all.filter(|pull| pull.reason == reason).collect::<Vec<&NotMerged>>()
    };
    let mut advice = Vec::new();
    for (reason, remedy) in REMEDIES {
        let pulls = with(reason);
        if !pulls.is_empty() {
            let signal =
                format!("{}: {}", reason.word(), numbers(pulls.iter().map(|pull| pull.number)));
            advice.push(Advice { signal, action: remedy.to_owned() });
        }
    }
    let behind = with(PullReason::BehindBase).len();
    if behind >= 2 || (behind == 1 && !merge.merged.is_empty()) {
        let signal = format!("left behind their base by strict protection: {behind}");
        let action =
            "use a merge queue, or update their branches: every merge leaves the others behind"
                .to_owned();
        advice.push(Advice { signal, action });
    }
    advice
}

fn advise_on_token(report: &Report) -> Vec<Advice> {
    let merge = &report.merge.body;
    let mut advice = Vec::new();
    let left =
        merge.token_expires_at.map(|at| at.duration_since(report.started_at).unwrap_or_default());
    if let Some(left) = left.filter(|left| *left < TOKEN_EXPIRES_SOON) {
        let signal = match left.as_secs() / 86400 {
            0 => "the GitHub token expires within a day".to_owned(),
            1 => "the GitHub token expires in 1 day".to_owned(),
            days => format!("the GitHub token expires in {days} days"),
        };
        let action =
            "make a new one, or use a GitHub App, whose tokens renew themselves".to_owned();
        advice.push(Advice { signal, action });
    }
    if merge.token_is_administrator {
        let signal = "the GitHub token is an administrator's".to_owned();
        let action =
            "use one that may write but not administrate: it cannot bypass branch protection"
                .to_owned();
        advice.push(Advice { signal, action });
    }
    advice
}

/// What fits the cause. Only what a merge may have broken is worth a revert.
fn remedy(endpoint: &EndpointHealth, report: &Report, roles: &[Role]) -> String {
    let repair = || repair(report, roles);
    match (&endpoint.cause, endpoint.status) {
        (Some(Cause::Redirect), _) => {
            "set `url` in [[health]] to the page that should answer, or choose other `redirects`"
                .to_owned()
        }
        (Some(Cause::TooManyHeaders), _) => "watch a page with fewer headers".to_owned(),
        (Some(Cause::Name), _) => {
            "correct `url` in [[health]], or the name's entry in the name service".to_owned()
        }
        (Some(Cause::Proxy(proxy)), _) => {
            format!("look at the proxy {proxy}, or list the host in NO_PROXY")
        }
        (Some(Cause::UnusableProxy), _) => {
            "correct the proxy's variable where the coordinator is started".to_owned()
        }
        (Some(Cause::Certificate(fault)), _) => fault.remedy().to_owned(),
        (Some(Cause::Refused), _) => format!("nothing listens there: start it; {}", repair()),
        (Some(Cause::NotHttp), _) => {
            format!(
                "correct scheme or port of `url` in [[health]] if another service is there; {}",
                repair()
            )
        }
        (_, Some(429)) => {
            "let the coordinator's requests pass its rate limit, or run it less often".to_owned()
        }
        (_, Some(401 | 403 | 407)) => {
            "watch a page that needs no login, or list the status in `expect`".to_owned()
        }
        (_, Some(..500)) => {
            format!("correct `url` or `expect` in [[health]] if that answer is right; {}", repair())
        }
        (
            Some(Cause::Unreachable | Cause::Timeout | Cause::Dropped | Cause::Other) | None,
            Some(500..) | None,
        ) => repair(),
    }
}

fn repair(report: &Report, roles: &[Role]) -> String {
    let recent = &report.health.body.recent_merges;
    let suspects = match recent.as_slice() {
        [] => String::new(),
        some => {
            format!(
                "look at {}, merged within 30 minutes; ",
                numbers(some.iter().map(|merge| merge.number))
            )
        }
    };
    let sentinels = keys(roles.iter().filter(|role| role.mode == Mode::Sentinel && role.count > 0));
    match sentinels.as_str() {
        "" => format!("{suspects}revert what broke it, or repair it"),
        sentinels => format!("{suspects}{sentinels} reverts; if a revert is open, approve it"),
    }
}

fn more_reviewers(roles: &[Role]) -> String {
    match keys(roles.iter().filter(|role| role.mode == Mode::Reviewer)).as_str() {
        "" => "add a role with mode = \"reviewer\"".to_owned(),
        reviewers => format!("raise the `count` of {reviewers}"),
    }
}

fn keys<'a>(roles: impl Iterator<Item = &'a Role>) -> String {
    roles.map(|role| role.key.as_str()).collect::<Vec<_>>().join(" or ")
}
