//! The coordinator's own credentials on a cluster, which no agent may be given. The admission
//! policy in `deploy/kubernetes/base/admission.yaml` has the same rule.

use coordinator_core::section::{DnsName, Placed, Problem};

use super::{RoleFacts, Section};

/// The service account that the manifests give to the coordinator.
pub(super) const ACCOUNT: &str = "coordinator";

pub(super) const SECRETS: &str = "name another Secret: `coordinator` and all that begin with \
    `coordinator-` hold the coordinator's own credentials";

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
pub(super) fn check(platform: &Section, roles: &[RoleFacts<'_>], problems: &mut Vec<Problem>) {
    check_secrets("env_from", &platform.env_from, problems);
    check_secrets("image_pull_secrets", &platform.image_pull_secrets, problems);
    for names in roles.iter().filter_map(|role| role.own.env_from.as_ref()) {
        check_secrets("env_from", names, problems);
    }
    if let Some(account) = platform.service_account.as_ref().filter(|name| is_account(name)) {
        let message = format!("`service_account` is `{ACCOUNT}`, the coordinator's own");
        let hint = "name another account; the manifests make `coordinator-session`";
        problems.push(Problem::new(message, account.span.clone()).hint(hint));
    }
}

fn check_secrets(key: &str, names: &Placed<Vec<DnsName>>, problems: &mut Vec<Problem>) {
    for name in names.iter().filter(|name| is_secret(name)) {
        let message = format!("`{key}` gives the coordinator's Secret `{name}` to agents");
        problems.push(Problem::new(message, names.span.clone()).hint(SECRETS));
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
