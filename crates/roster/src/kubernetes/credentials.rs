//! The coordinator's own credentials on a cluster, which no agent may be given. The admission
//! policy in `deploy/kubernetes/base/admission.yaml` has the same rule.

use crate::problem::Problem;
use crate::section::Values;

/// The service account that the manifests give to the coordinator.
pub(super) const ACCOUNT: &str = "coordinator";

pub(super) const SECRETS: &str = "name another Secret: `coordinator` and all that begin with `coordinator-` hold the coordinator's own credentials";

/// Whether a Secret of this name is the coordinator's. A rule for names, because neither a roster
/// nor an admission policy can look at a Secret's labels. It covers the token Secrets of the
/// coordinator's service account, too.
pub(super) fn is_secret(name: &str) -> bool {
    name.strip_prefix("coordinator").is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

pub(super) fn is_account(name: &str) -> bool {
    name == ACCOUNT
}

/// Refuses the coordinator's Secrets and its account in `[platform.kubernetes]` and in the
/// `[role.kubernetes]` of each role.
pub(super) fn check(document: &Values, platform: &Values, problems: &mut Vec<Problem>) {
    let roles = document.sections("role").iter().filter_map(|role| role.section("kubernetes"));
    for section in [platform].into_iter().chain(roles) {
        for key in ["env_from", "image_pull_secrets"] {
            for name in section.texts(key).iter().filter(|name| is_secret(name)) {
                let message = format!("`{key}` gives the coordinator's Secret `{name}` to agents");
                problems.push(Problem::new(message, section.span(key)).hint(SECRETS));
            }
        }
        if section.text("service_account").is_some_and(is_account) {
            let message = format!("`service_account` is `{ACCOUNT}`, the coordinator's own");
            let hint = "name another account; the manifests make `coordinator-session`";
            problems.push(Problem::new(message, section.span("service_account")).hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: [&str; 5] = ["agents", "coordinators", "my-coordinator", "coordinator.github", ""];

    const OURS: [&str; 4] = ["coordinator", "coordinator-github", "coordinator-token-x7f2k", "coordinator-"];

    #[test]
    fn the_coordinators_secrets_are_told_by_their_names() {
        assert!(OURS.into_iter().all(is_secret));
        assert!(!THEIRS.into_iter().any(is_secret));
    }

    #[test]
    fn the_admission_policy_tells_them_by_the_same_rule() {
        let policy = include_str!("../../../../deploy/kubernetes/base/admission.yaml");
        let patterns = policy.split(".matches('").skip(1).filter_map(|rest| rest.split('\'').next());
        // Others are about the names of ConfigMaps.
        let patterns: Vec<&str> = patterns.filter(|pattern| pattern.starts_with("^coordinator")).collect();
        assert_eq!(
            patterns.len(),
            5,
            "variables, whole Secrets, pull secrets, projected volumes, all other volumes"
        );
        for pattern in patterns {
            let pattern = regex::Regex::new(pattern).expect("a pattern");
            assert!(OURS.into_iter().all(|name| pattern.is_match(name)), "{pattern}");
            assert!(!THEIRS.into_iter().any(|name| pattern.is_match(name)), "{pattern}");
        }
    }
}
