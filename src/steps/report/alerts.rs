//! What is worth an alert: pure, from the report alone.

use std::collections::BTreeMap;

use super::{MAX_NAMED, answer, budget_holds, names, numbers, offline, unjudged};
use coordinator_core::fleet::Slot;
use coordinator_core::merge::reason::Reason as PullReason;
use coordinator_core::report::{
    EndpointHealth, HealthVerdict, NotMerged, Report, SourceReport, StepOutcome,
};

/// More roles whose slots keep failing have one alert together: their cause is most likely one.
const MAX_ROLES: usize = 3;

/// What sort of cause an alert has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// Nothing outside of this machine answers.
    Offline,
    /// An endpoint is down or does not answer; its subject is the endpoint.
    ProductionDown,
    /// Pull requests could not be listed, or not be judged.
    PullsUnreadable,
    /// Sessions could not be listed.
    SessionsUnreadable,
    /// A source could not be read, or only in part; its subject is the source.
    SourceUnreadable,
    /// The last three sessions of slots failed; its subject is their role or source, or none where
    /// those are many.
    KeepsFailing,
    /// GitHub does not let the token merge.
    MergeForbidden,
    /// `[budget]` holds sessions back.
    BudgetHolds,
}

impl AlertKind {
    /// The order is the one of their weight.
    pub const ALL: [Self; 8] = [
        Self::Offline,
        Self::ProductionDown,
        Self::PullsUnreadable,
        Self::SessionsUnreadable,
        Self::SourceUnreadable,
        Self::KeepsFailing,
        Self::MergeForbidden,
        Self::BudgetHolds,
    ];

    /// The word in metrics and in the mark of an issue.
    pub fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::ProductionDown => "production_down",
            Self::PullsUnreadable => "pulls_unreadable",
            Self::SessionsUnreadable => "sessions_unreadable",
            Self::SourceUnreadable => "source_unreadable",
            Self::KeepsFailing => "keeps_failing",
            Self::MergeForbidden => "merge_forbidden",
            Self::BudgetHolds => "budget_holds",
        }
    }
}

/// Why there is an alert: one per fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertCause {
    pub kind: AlertKind,
    /// Which endpoint, source or role; empty where the kind is all that there is.
    pub subject: String,
}

impl AlertCause {
    pub fn new(kind: AlertKind, subject: &str) -> Self {
        Self { kind, subject: subject.to_owned() }
    }
}

/// A cause that holds in this cycle. Its texts may quote untrusted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub cause: AlertCause,
    /// A phrase.
    pub title: String,
    /// What was seen.
    pub text: String,
    /// What may help.
    pub action: String,
    /// What must change for an alert to be written again: `text` without times and other numbers
    /// that differ from cycle to cycle.
    pub steady: String,
}

impl Alert {
    fn new(kind: AlertKind, subject: &str, title: String, text: String, action: &str) -> Self {
        let steady = text.clone();
        let cause = AlertCause::new(kind, subject);
        Self { cause, title, text, action: action.to_owned(), steady }
    }

    /// Of an alert whose text quotes an error: the numbers in it do not count.
    fn with_error(self) -> Self {
        Self { steady: self.text.replace(|c: char| c.is_ascii_digit(), ""), ..self }
    }
}

/// Every cause that holds, the weightiest first.
pub fn alerts(report: &Report) -> Vec<Alert> {
    if let Some(offline) = offline(report) {
        let title = "nothing outside of this machine answers".to_owned();
        let (text, action) = (offline.reason, offline.action);
        return vec![Alert::new(AlertKind::Offline, "", title, text, &action).with_error()];
    }
    AlertKind::ALL.into_iter().flat_map(|kind| of_kind(report, kind)).collect()
}

fn of_kind(report: &Report, kind: AlertKind) -> Vec<Alert> {
    match kind {
        AlertKind::Offline => Vec::new(),
        AlertKind::ProductionDown => {
            let endpoints = report.health.body.endpoints.iter().filter(|it| is_down(it));
            endpoints.map(|endpoint| production_down(report, endpoint)).collect()
        }
        AlertKind::PullsUnreadable => pulls_unreadable(report).into_iter().collect(),
        AlertKind::SessionsUnreadable => sessions_unreadable(report).into_iter().collect(),
        AlertKind::SourceUnreadable => {
            report.inventory.body.sources.iter().filter_map(source_unreadable).collect()
        }
        AlertKind::KeepsFailing => keeps_failing(report),
        AlertKind::MergeForbidden => merge_forbidden(report).into_iter().collect(),
        AlertKind::BudgetHolds => budget(report).into_iter().collect(),
    }
}

/// Whether a cause has certainly gone, in a cycle without an alert of it: a cycle that could not
/// look does not know. `is_source` is whether the roster has a source of that name.
pub fn is_gone(report: &Report, cause: &AlertCause, is_source: impl Fn(&str) -> bool) -> bool {
    if !is_seen(report, cause.kind) || alerts(report).iter().any(|alert| alert.cause == *cause) {
        return false;
    }
    match cause.kind {
        AlertKind::ProductionDown => {
            let endpoints = &report.health.body.endpoints;
            let endpoint = endpoints.iter().find(|endpoint| endpoint.name == cause.subject);
            endpoint.is_none_or(|endpoint| endpoint.verdict == HealthVerdict::Up)
        }
        AlertKind::SourceUnreadable => {
            let is_read = |source: &SourceReport| source.source == cause.subject;
            !is_source(&cause.subject) || report.inventory.body.sources.iter().any(is_read)
        }
        // While many roles keep failing, none of them has an alert of its own.
        AlertKind::KeepsFailing => !failing(report).contains_key(cause.subject.as_str()),
        AlertKind::Offline
        | AlertKind::PullsUnreadable
        | AlertKind::SessionsUnreadable
        | AlertKind::MergeForbidden
        | AlertKind::BudgetHolds => true,
    }
}

/// Whether this cycle could see causes of this kind.
pub fn is_seen(report: &Report, kind: AlertKind) -> bool {
    let is_offline = offline(report).is_some();
    let has_ended = |outcome: &StepOutcome| match outcome {
        StepOutcome::Ok | StepOutcome::NotConfigured => true,
        StepOutcome::Failed(_) | StepOutcome::Skipped => false,
    };
    let merge = &report.merge;
    let merges_seen = has_ended(&merge.outcome) && merge.body.rate_limit.is_none();
    match kind {
        AlertKind::Offline => true,
        _ if is_offline => false,
        AlertKind::ProductionDown => has_ended(&report.health.outcome),
        AlertKind::PullsUnreadable => merges_seen,
        AlertKind::SessionsUnreadable | AlertKind::KeepsFailing => {
            has_ended(&report.inventory.outcome)
        }
        AlertKind::BudgetHolds => has_ended(&report.spawn.outcome),
        AlertKind::SourceUnreadable => {
            let is_skipped = |outcome: &StepOutcome| *outcome == StepOutcome::Skipped;
            !is_skipped(&report.inventory.outcome) || !is_skipped(&report.spawn.outcome)
        }
        // A merge that waits for the next cycle may be one that is forbidden.
        AlertKind::MergeForbidden => {
            let waits = |pull: &NotMerged| pull.reason == PullReason::Deferred;
            merges_seen && !merge.body.skipped.iter().any(waits)
        }
    }
}

fn is_down(endpoint: &EndpointHealth) -> bool {
    match endpoint.verdict {
        HealthVerdict::Down | HealthVerdict::PotentialOutage => true,
        HealthVerdict::Unexpected | HealthVerdict::Up => false,
    }
}

fn production_down(report: &Report, endpoint: &EndpointHealth) -> Alert {
    let seen = answer(endpoint);
    let error = endpoint.error.as_ref().map(|error| format!(" ({error})"));
    let text = format!("{seen}{}", error.unwrap_or_default());
    let advice = report.advice.iter().find(|advice| advice.signal == seen);
    let action = advice.map_or("", |advice| &advice.action);
    let title = format!("production is down: {}", endpoint.name);
    let alert = Alert::new(AlertKind::ProductionDown, &endpoint.name, title, text, action);
    Alert { steady: seen, ..alert }
}

fn pulls_unreadable(report: &Report) -> Option<Alert> {
    let merge = &report.merge.body;
    if merge.rate_limit.is_some() || report.interrupted.is_some() {
        return None;
    }
    let text = match report.merge.outcome.error() {
        // A step that failed later had read them.
        Some(error) if merge.open == 0 => error.to_owned(),
        Some(_) | None if merge.unjudged.is_empty() => return None,
        Some(_) | None => unjudged(merge),
    };
    let action = "`coordinator doctor` names the cause and its remedy";
    let title = "pull requests cannot be judged".to_owned();
    Some(Alert::new(AlertKind::PullsUnreadable, "", title, text, action).with_error())
}

fn sessions_unreadable(report: &Report) -> Option<Alert> {
    let error = report.inventory.outcome.error().filter(|_| report.interrupted.is_none())?;
    let title = "sessions cannot be listed".to_owned();
    let action = "`coordinator doctor` names the cause and its remedy";
    let alert =
        Alert::new(AlertKind::SessionsUnreadable, "", title, error.to_owned(), action).with_error();
    Some(alert)
}

fn source_unreadable(source: &SourceReport) -> Option<Alert> {
    let error = source.outcome.error()?.to_owned();
    let name = &source.source;
    let title = format!("source {name} cannot be read");
    let action = "`coordinator check` names what it lacks; nothing of it starts until then";
    Some(Alert::new(AlertKind::SourceUnreadable, name, title, error, action).with_error())
}

/// The slots that keep failing, by role or source.
fn failing(report: &Report) -> BTreeMap<&str, Vec<&Slot>> {
    let mut groups: BTreeMap<&str, Vec<&Slot>> = BTreeMap::new();
    for slot in &report.inventory.body.failing {
        groups.entry(slot.group.as_str()).or_default().push(slot);
    }
    groups
}

fn keeps_failing(report: &Report) -> Vec<Alert> {
    let groups = failing(report);
    let action = |slots: &[&Slot]| {
        let first = slots.first().map(|slot| slot.name()).unwrap_or_default();
        format!("look at `coordinator logs {first}`")
    };
    if groups.len() > MAX_ROLES {
        let named: Vec<&str> = groups.keys().take(MAX_NAMED).copied().collect();
        let more = groups.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!("the last three sessions failed of slots of {}{more}", named.join(", "));
        let title = format!("slots of more than {MAX_ROLES} roles keep failing");
        let slots: Vec<&Slot> = groups.values().flatten().copied().collect();
        let action = action(&slots);
        return vec![Alert::new(AlertKind::KeepsFailing, "", title, text, &action)];
    }
    let alert = |(group, slots): (&str, Vec<&Slot>)| {
        let text = format!("the last three sessions failed of {}", names(&slots));
        let title = format!("{group} keeps failing");
        Alert::new(AlertKind::KeepsFailing, group, title, text, &action(&slots))
    };
    groups.into_iter().map(alert).collect()
}

fn merge_forbidden(report: &Report) -> Option<Alert> {
    let merge = &report.merge.body;
    let all = merge.failed.iter().chain(&merge.skipped);
    let forbidden: Vec<&NotMerged> =
        all.filter(|pull| pull.reason == PullReason::Forbidden).collect();
    let text = match (&merge.blocker, forbidden.first()) {
        (Some(blocker), _) => format!("nothing can be merged: {}", blocker.detail),
        (None, Some(first)) => {
            let which = numbers(forbidden.iter().take(MAX_NAMED).map(|pull| pull.number));
            format!("{which}: {}", first.detail)
        }
        (None, None) => return None,
    };
    let action = "give the token write access to contents and pull requests, or merge by hand";
    let title = "merging is forbidden".to_owned();
    Some(Alert::new(AlertKind::MergeForbidden, "", title, text, action))
}

fn budget(report: &Report) -> Option<Alert> {
    let text = budget_holds(report)?;
    let action = "`coordinator budget` shows the caps and when they free; raise one in [budget]";
    let title = "the budget holds sessions back".to_owned();
    Some(Alert::new(AlertKind::BudgetHolds, "", title, text, action).with_error())
}

#[cfg(test)]
mod tests;
