//! From checked values to settings, and the rules that hold between them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::load::Surroundings;
use crate::problem::Problem;
use crate::section::Values;
use coordinator_core::fleet::{Container, Role, RoleKey};

use coordinator_platform_kubernetes::{KubernetesSettings, Toleration, Workspace};

use super::{credentials, template};

/// Each list of the fleet brings every Job whole, and the API server takes none that is much larger.
const LARGEST_JOB: usize = 256 * 1024;

/// A cycle that saw a Job may write down what came of it, and the next one begins in this time.
const MIN_TTL_BEYOND_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// The admission policy accepts no Job that may last longer.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Whether the roster's sessions run on Kubernetes.
pub(crate) fn is_chosen(document: &Values) -> bool {
    document.section("platform").is_some_and(|platform| platform.is("kind", "kubernetes"))
}

/// The settings, when Kubernetes is chosen and nothing is missing. What is wrong in the section is told either way.
pub(crate) fn read(
    document: &Values,
    roles: &mut [Role],
    around: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> Option<KubernetesSettings> {
    let platform = document.section("platform")?;
    let values = platform.section("kubernetes")?;
    let workspace = workspace(values, problems);
    let tolerations =
        values.sections("tolerations").iter().map(|entry| toleration(entry, problems)).collect();
    let template = template::read(document, values, around, problems);
    credentials::check(document, values, problems);
    if !is_chosen(document) {
        return None;
    }
    if !is_ttl_short_of_waits(document, values, problems) {
        check_ttl_outlasts_cycles(document, values, problems);
    }
    check_deadlines(document, values, roles, problems);
    check_sizes(document, roles, problems);
    let mut containers = containers(document, platform, values, problems)?;
    for role in roles {
        Arc::make_mut(&mut role.spec).container = containers.remove(&role.key);
    }
    let name = |key| values.text(key).map(str::to_owned);
    Some(KubernetesSettings {
        namespace: name("namespace"),
        service_account: name("service_account"),
        node_selector: values.table("node_selector").cloned().unwrap_or_default(),
        tolerations,
        image_pull_secrets: values.texts("image_pull_secrets").to_vec(),
        priority_class: name("priority_class"),
        runtime_class: name("runtime_class"),
        queue_name: name("queue_name"),
        start_timeout: values.duration("start_timeout"),
        ttl: values.duration("ttl"),
        workspace,
        template,
    })
}

fn workspace(values: &Values, problems: &mut Vec<Problem>) -> Workspace {
    let size = values.text("workspace_size");
    if !values.is("workspace", "claim") {
        return Workspace::EmptyDir { size_limit: size.map(str::to_owned) };
    }
    if size.is_some() {
        let problem = Problem::new("a claim has its own size", values.span("workspace_size"));
        problems.push(problem.label("goes with `workspace = \"empty-dir\"`: take it out"));
    }
    Workspace::Claim
}

fn toleration(entry: &Values, problems: &mut Vec<Problem>) -> Toleration {
    let text = |key| entry.text(key).map(str::to_owned);
    if entry.text("value").is_some() && !entry.says("key") {
        let problem = Problem::new("a toleration has a `value` and no `key`", entry.span("value"));
        problems.push(problem.label("add the taint's `key`"));
    }
    Toleration { key: text("key"), value: text("value"), effect: text("effect") }
}

/// The container of each role, or a problem that says which have no image.
fn containers(
    document: &Values,
    platform: &Values,
    values: &Values,
    problems: &mut Vec<Problem>,
) -> Option<BTreeMap<RoleKey, Container>> {
    let none = Values::default();
    let mut containers = BTreeMap::new();
    let (mut without, mut is_whole) = (Vec::new(), true);
    for role in document.sections("role") {
        let Some(key) = role.text("key") else { continue };
        let own = role.section("kubernetes").unwrap_or(&none);
        match container(own, values) {
            Some(container) => containers.extend(RoleKey::parse(key).ok().map(|key| (key, container))),
            None if own.says("image") || values.says("image") => is_whole = false,
            None => without.push(key),
        }
    }
    if without.is_empty() {
        return is_whole.then_some(containers);
    }
    let place = platform.span("kubernetes").or_else(|| platform.span("kind"));
    let problem = Problem::new(format!("no image for {}", listed(&without)), place);
    problems.push(problem.hint(
        "add `image = \"images.example.com/team/agent:1.0\"` to [platform.kubernetes], or to [role.kubernetes] of each",
    ));
    None
}

/// The role's own settings over those of the platform; `None` without an image.
fn container(role: &Values, platform: &Values) -> Option<Container> {
    let amounts = |name| {
        let of = |values: &Values| values.section("resources").and_then(|table| table.table(name)).cloned();
        of(role).or_else(|| of(platform)).unwrap_or_default()
    };
    let env_from = if role.value("env_from").is_some() { role } else { platform };
    Some(Container {
        image: role.text("image").or_else(|| platform.text("image"))?.to_owned(),
        env_from: env_from.texts("env_from").to_vec(),
        requests: amounts("requests"),
        limits: amounts("limits"),
    })
}

fn listed(keys: &[&str]) -> String {
    match keys {
        [one] => format!("role `{one}`"),
        [first, rest @ ..] => format!("role `{first}` and {} more", rest.len()),
        [] => "no role".to_owned(),
    }
}

/// A Job's deadline leaves time for the start and for the session.
fn check_deadlines(document: &Values, values: &Values, roles: &[Role], problems: &mut Vec<Problem>) {
    let start_timeout = values.duration("start_timeout");
    let longest = roles.iter().max_by_key(|role| role.spec.time_limit);
    let Some(role) = longest.filter(|role| role.spec.time_limit + start_timeout > MAX_DEADLINE) else {
        return;
    };
    let is_role = |values: &&Values| values.is("key", role.key.as_str());
    let own = document.sections("role").iter().find(is_role).and_then(|values| values.span("time_limit"));
    let inherited = || document.section("defaults").and_then(|defaults| defaults.span("time_limit"));
    let place = own.or_else(inherited).or_else(|| values.span("start_timeout"));
    let days = MAX_DEADLINE.as_secs() / 86_400;
    let message = format!(
        "a Job of `{}` could last longer than {days} days: its `time_limit` and `start_timeout` together",
        role.key
    );
    problems.push(
        Problem::new(message, place)
            .hint("the admission policy accepts no such Job: lower `time_limit` or `start_timeout`"),
    );
}

/// A Job that goes takes the history of its slot along, and with it what holds the slot back.
fn is_ttl_short_of_waits(document: &Values, values: &Values, problems: &mut Vec<Problem>) -> bool {
    let none = Values::default();
    let defaults = document.section("defaults").unwrap_or(&none);
    let waits = document.sections("role").iter().map(|role| longest_wait(role, defaults));
    let Some((wait, key, place)) = waits.max_by_key(|(wait, ..)| *wait) else { return false };
    let ttl = values.duration("ttl");
    if values.value("ttl").is_none() || ttl > wait {
        return false;
    }
    let shown = humantime::format_duration;
    let message = format!("`ttl` is {}, but by `{key}` a slot waits up to {}", shown(ttl), shown(wait));
    problems.push(Problem::new(message, values.span("ttl").or(place)).hint(format!(
        "a finished Job carries the history of its slot and must outlast the wait: raise `ttl`, or lower `{key}`"
    )));
    true
}

/// A Job is there for at least one whole cycle after its end, so that what came of a work item's
/// session is written down.
fn check_ttl_outlasts_cycles(document: &Values, values: &Values, problems: &mut Vec<Problem>) {
    let (ttl, deadline) = (values.duration("ttl"), document.duration("deadline"));
    let least = deadline + MIN_TTL_BEYOND_DEADLINE;
    if values.value("ttl").is_none() || ttl >= least {
        return;
    }
    let shown = humantime::format_duration;
    let message = format!("`ttl` is {}, but a cycle may take {}", shown(ttl), shown(deadline));
    let place = values.span("ttl").or_else(|| document.span("deadline"));
    problems.push(Problem::new(message, place).hint(format!(
        "a finished Job must be there for the next cycle: raise `ttl` to {} or more, or lower `deadline`",
        shown(least)
    )));
}

/// The longest that a slot of the role may be held back, by which key, and where that stands.
fn longest_wait(role: &Values, defaults: &Values) -> (Duration, &'static str, Option<Range<usize>>) {
    let of = |key: &'static str| {
        let values = if role.value(key).is_some() { role } else { defaults };
        (values.duration(key), key, values.span(key))
    };
    let (backoff, interval) = (of("backoff_cap"), of("min_interval"));
    // Waits are spread by up to a tenth, so that slots do not start all at once.
    let spread = backoff.0 + backoff.0 / 10;
    if of("backoff_base").0.is_zero() || spread < interval.0 {
        interval
    } else {
        (spread, backoff.1, backoff.2)
    }
}

fn check_sizes(document: &Values, roles: &[Role], problems: &mut Vec<Problem>) {
    for role in roles {
        let spec = &role.spec;
        let command = spec.command.iter().map(|argument| argument.replace("{brief}", &spec.brief).len());
        let variables = spec.env.iter().map(|(name, value)| name.len() + value.len());
        let bytes = command.chain(variables).sum::<usize>() + spec.prompt.len();
        if bytes > LARGEST_JOB {
            let is_role = |values: &&Values| values.is("key", role.key.as_str());
            let place = document.sections("role").iter().find(is_role).and_then(|values| values.span("key"));
            let message = format!(
                "the Job of `{}` would be too large: {} KiB of command, prompt and variables, at most {}",
                role.key,
                bytes.div_ceil(1024),
                LARGEST_JOB / 1024
            );
            let hint = "put large texts into the image, or into a Secret that `env_from` names";
            problems.push(Problem::new(message, place).hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admission_policy_bounds_a_deadline_as_the_roster_does() {
        let policy = include_str!("../../../../deploy/kubernetes/base/admission.yaml");
        let bound = format!(".orValue({}) <= {}", MAX_DEADLINE.as_secs() + 1, MAX_DEADLINE.as_secs());
        assert!(policy.contains(&format!("activeDeadlineSeconds{bound}")), "{bound}");
    }
}
