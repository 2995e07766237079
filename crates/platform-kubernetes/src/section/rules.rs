//! From the section to settings, and the rules that hold between its keys and those of roles.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use coordinator_core::fleet::{Container, RoleKey, SessionSpec};
use coordinator_core::section::{Placed, Problem, Time};

use super::{
    KubernetesSettings, RoleSection, Section, Toleration, TolerationSection, Workspace,
    WorkspaceKind, credentials, template,
};

/// Each list of the fleet brings every Job whole, and the API server takes none that is much
/// larger.
const MAX_JOB: usize = 256 * 1024;

/// A cycle that saw a Job may write down what came of it, and the next one begins in this time.
const MIN_TTL_BEYOND_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// The admission policy accepts no Job that may last longer.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The facts about a role that the rules need.
#[derive(Debug)]
pub struct RoleFacts<'a> {
    pub key: &'a Placed<RoleKey>,
    /// `[role.kubernetes]`.
    pub own: &'a RoleSection,
    pub time_limit: &'a Placed<Time<1000>>,
    pub backoff_base: &'a Placed<Time>,
    pub backoff_cap: &'a Placed<Time>,
    pub min_interval: &'a Placed<Time>,
    /// The variables that it sets.
    pub variables: BTreeSet<&'a str>,
    /// `None` if one of its texts cannot be read.
    pub spec: Option<&'a SessionSpec>,
}

/// The other facts that the rules need.
#[derive(Debug)]
pub struct Context<'a> {
    /// The text of the template's file.
    pub template: Option<String>,
    /// Keys whose values could not be read.
    pub wrong: &'a BTreeSet<String>,
    /// `None`: the fleet does not run on a cluster, and the rules for one are not checked.
    pub chosen: Option<Chosen>,
}

/// The settings, if the fleet runs on a cluster.
pub fn settings(
    section: &Placed<Section>,
    roles: &[RoleFacts<'_>],
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<KubernetesSettings> {
    let Context { template, wrong, chosen } = context;
    let mut settings = of_cluster(section, wrong, problems);
    settings.template = template
        .as_deref()
        .and_then(|text| template::read(section, &settings, text, roles, problems));
    credentials::check(section, roles, problems);
    let chosen = chosen.as_ref()?;
    if !wrong.contains("ttl") && !is_ttl_short_of_waits(section, roles, problems) {
        check_ttl_outlasts_cycles(section, chosen, problems);
    }
    check_deadlines(section, roles, problems);
    check_wrapper(section, roles, problems);
    for role in roles {
        check_size(role, problems);
    }
    if !wrong.contains("image") {
        check_images(section, roles, chosen, problems);
    }
    Some(settings)
}

/// Without the template.
fn of_cluster(
    section: &Section,
    wrong: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> KubernetesSettings {
    let workspace = workspace(section, problems);
    let tolerations = section.tolerations.iter();
    let tolerations = tolerations.map(|entry| toleration(entry, wrong, problems)).collect();
    let name = |name: &Option<_>| name.clone().map(String::from);
    KubernetesSettings {
        namespace: section.namespace.clone().map(String::from),
        service_account: section.service_account.as_ref().map(|name| name.to_string()),
        node_selector: section.node_selector.texts(),
        tolerations,
        image_pull_secrets: section.image_pull_secrets.iter().map(ToString::to_string).collect(),
        priority_class: name(&section.priority_class),
        runtime_class: name(&section.runtime_class),
        wrapper: Some(section.wrapper.to_string()).filter(|path| !path.is_empty()),
        queue_name: section.queue_name.clone().map(String::from),
        start_timeout: section.start_timeout.get(),
        ttl: section.ttl.get(),
        workspace,
        template: None,
    }
}

/// Where and how the roster chooses a cluster.
#[derive(Debug)]
pub struct Chosen {
    pub kind: Option<Range<usize>>,
    pub deadline: Placed<Time<1000>>,
}

fn workspace(section: &Section, problems: &mut Vec<Problem>) -> Workspace {
    let size = section.workspace_size.as_ref();
    if section.workspace == WorkspaceKind::EmptyDir {
        return Workspace::EmptyDir { size_limit: size.map(|size| size.to_string()) };
    }
    if let Some(size) = size {
        let problem = Problem::new("a claim has its own size", size.span.clone());
        problems.push(problem.label("goes with `workspace = \"empty-dir\"`: take it out"));
    }
    Workspace::Claim
}

fn toleration(
    entry: &TolerationSection,
    wrong: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Toleration {
    if let (Some(value), None, false) = (&entry.value, &entry.key, wrong.contains("key")) {
        let problem = Problem::new("a toleration has a `value` and no `key`", value.span.clone());
        problems.push(problem.label("add the taint's `key`"));
    }
    Toleration {
        key: entry.key.clone().map(String::from),
        value: entry.value.as_ref().map(|value| value.to_string()),
        effect: entry.effect.map(|effect| effect.word().to_owned()),
    }
}

fn check_images(
    section: &Placed<Section>,
    roles: &[RoleFacts<'_>],
    chosen: &Chosen,
    problems: &mut Vec<Problem>,
) {
    let without = roles.iter().filter(|role| container(role.own, section).is_none());
    let without: Vec<_> = without.map(|role| role.key.as_str()).collect();
    let whose = match without.as_slice() {
        [] => return,
        [one] => format!("role `{one}`"),
        [first, rest @ ..] => format!("role `{first}` and {} more", rest.len()),
    };
    let place = section.span.clone().or_else(|| chosen.kind.clone());
    problems.push(Problem::new(format!("no image for {whose}"), place).hint(
        "add `image = \"images.example.com/team/agent:1.0\"` to [platform.kubernetes], \
         or to [role.kubernetes] of each",
    ));
}

/// The role's own settings over those of the platform; `None` without an image.
pub fn container(role: &RoleSection, platform: &Section) -> Option<Container> {
    let env_from = role.env_from.as_ref().unwrap_or(&platform.env_from);
    let (own, shared) = (&role.resources, &platform.resources);
    Some(Container {
        image: role.image.as_ref().or(platform.image.as_ref())?.to_string(),
        env_from: env_from.iter().map(ToString::to_string).collect(),
        requests: own.requests.as_ref().unwrap_or(&shared.requests).texts(),
        limits: own.limits.as_ref().unwrap_or(&shared.limits).texts(),
    })
}

/// A Job's deadline leaves time for the start and for the session.
fn check_deadlines(section: &Section, roles: &[RoleFacts<'_>], problems: &mut Vec<Problem>) {
    let start_timeout = &section.start_timeout;
    let Some(role) = roles.iter().max_by_key(|role| role.time_limit.get()) else { return };
    if role.time_limit.get() + start_timeout.get() <= MAX_DEADLINE {
        return;
    }
    let days = MAX_DEADLINE.as_secs() / 86_400;
    let message = format!(
        "a Job of `{}` could last longer than {days} days: its `time_limit` and `start_timeout` \
         together",
        role.key.value
    );
    let place = role.time_limit.span.clone().or_else(|| start_timeout.span.clone());
    problems.push(
        Problem::new(message, place).hint(
            "the admission policy accepts no such Job: lower `time_limit` or `start_timeout`",
        ),
    );
}

/// Only the wrapper sees whether an agent writes.
fn check_wrapper(section: &Section, roles: &[RoleFacts<'_>], problems: &mut Vec<Problem>) {
    let wrapper = &section.wrapper;
    if !wrapper.is_empty() && !wrapper.starts_with('/') {
        let problem = Problem::new("`wrapper` is not an absolute path", wrapper.span.clone());
        problems.push(problem.label("write the program's path in the image"));
    }
    let stalls =
        |role: &&RoleFacts<'_>| role.spec.is_some_and(|spec| !spec.stall_timeout.is_zero());
    if let (true, Some(role)) = (wrapper.is_empty(), roles.iter().find(stalls)) {
        let message = format!("nothing keeps the `stall_timeout` of `{}`", role.key.value);
        problems.push(Problem::new(message, role.key.span.clone()).hint(
            "put this program into the image and set `wrapper` in [platform.kubernetes], \
             or take `stall_timeout` out",
        ));
    }
}

/// A Job that goes takes the history of its slot along, and with it what holds the slot back.
fn is_ttl_short_of_waits(
    section: &Section,
    roles: &[RoleFacts<'_>],
    problems: &mut Vec<Problem>,
) -> bool {
    let Some((wait, key, place)) = roles.iter().map(max_wait).max_by_key(|(wait, ..)| *wait) else {
        return false;
    };
    let ttl = section.ttl.get();
    if ttl > wait {
        return false;
    }
    let shown = humantime::format_duration;
    let message =
        format!("`ttl` is {}, but `{key}` lets a slot wait up to {}", shown(ttl), shown(wait));
    let place = section.ttl.span.clone().or_else(|| place.clone());
    problems.push(Problem::new(message, place).hint(format!(
        "a finished Job carries the history of its slot and must outlast the wait: raise `ttl`, \
         or lower `{key}`"
    )));
    true
}

/// A Job is there for at least one whole cycle after its end, so that what came of a work item's
/// session is written down.
fn check_ttl_outlasts_cycles(section: &Section, chosen: &Chosen, problems: &mut Vec<Problem>) {
    let (ttl, deadline) = (section.ttl.get(), chosen.deadline.get());
    let min = deadline + MIN_TTL_BEYOND_DEADLINE;
    if ttl >= min {
        return;
    }
    let shown = humantime::format_duration;
    let message = format!("`ttl` is {}, but a cycle may take {}", shown(ttl), shown(deadline));
    let place = section.ttl.span.clone().or_else(|| chosen.deadline.span.clone());
    problems.push(Problem::new(message, place).hint(format!(
        "a finished Job must be there for the next cycle: raise `ttl` to {} or more, \
         or lower `deadline`",
        shown(min)
    )));
}

/// The longest that a slot of the role may be held back, by which key, and where that stands.
fn max_wait<'a>(role: &'a RoleFacts<'_>) -> (Duration, &'static str, &'a Option<Range<usize>>) {
    let (cap, interval) = (role.backoff_cap.get(), role.min_interval.get());
    // Waits are spread by up to a tenth, so that slots do not start all at once.
    let spread = cap + cap / 10;
    if role.backoff_base.get().is_zero() || spread < interval {
        (interval, "min_interval", &role.min_interval.span)
    } else {
        (spread, "backoff_cap", &role.backoff_cap.span)
    }
}

fn check_size(role: &RoleFacts<'_>, problems: &mut Vec<Problem>) {
    let Some(spec) = role.spec else { return };
    let command =
        spec.command.iter().map(|argument| argument.replace("{brief}", &spec.brief).len());
    let variables = spec.env.iter().map(|(name, value)| name.len() + value.len());
    let bytes = command.chain(variables).sum::<usize>() + spec.prompt.len();
    if bytes > MAX_JOB {
        let message = format!(
            "the Job of `{}` would be too large: {} KiB of command, prompt and variables, \
             at most {}",
            role.key.value,
            bytes.div_ceil(1024),
            MAX_JOB / 1024
        );
        let hint = "put large texts into the image, or into a Secret that `env_from` names";
        problems.push(Problem::new(message, role.key.span.clone()).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admission_policy_bounds_a_deadline_as_the_roster_does() {
        let policy = include_str!("../../../../deploy/kubernetes/base/admission.yaml");
        let bound =
            format!(".orValue({}) <= {}", MAX_DEADLINE.as_secs() + 1, MAX_DEADLINE.as_secs());
        assert!(policy.contains(&format!("activeDeadlineSeconds{bound}")), "{bound}");
    }
}
