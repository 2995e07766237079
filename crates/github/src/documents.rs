//! The GraphQL documents, assembled from the `.graphql` files beside this one, and the fields that
//! an older GitHub Enterprise Server lacks: they are left out of every document.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

const CANDIDATES: &str = include_str!("candidates.graphql");
const RECHECK_PULL: &str = include_str!("recheck_pull.graphql");
const PULL: &str = include_str!("pull.graphql");
const ALERTS: &str = include_str!("alerts.graphql");
const ALERTS_SELECTION: &str = include_str!("alerts_selection.graphql");

/// The repository, its rules and the token, for `doctor`; variables `owner` and `name`.
pub const DOCTOR: &str = include_str!("doctor.graphql");

/// The account of a token, which `doctor` compares; variables `owner` and `name`.
pub const IDENTITY: &str = include_str!("identity.graphql");

/// Merged pull requests, for `history`; variables `owner`, `name`, `after`.
pub const MERGED: &str = include_str!("merged.graphql");

/// Numbers and titles of open pull requests; variables `owner`, `name`, `first`, `after`.
pub const NUMBERS: &str = include_str!("numbers.graphql");

/// The jobs of workflow runs; variable `ids`, at most 100 node ids.
pub const RUN_JOBS: &str = include_str!("run_jobs.graphql");

/// A page of open pull requests; variables `owner`, `name`, `first`, `after`, and per base
/// `base_0`, `base_1`, ... its full name (`refs/heads/main`), which comes back as `base_0`,
/// `base_1`, ... of the repository.
pub fn candidates(bases: usize) -> String {
    page(bases, "")
}

/// The same with the open issues of alerts, in a root field of their own: where the token may not
/// read them, that field alone is null.
pub fn candidates_and_alerts(bases: usize) -> String {
    page(bases, ALERTS_SELECTION.trim_end())
}

fn page(bases: usize, alerts: &str) -> String {
    let mut variables = String::new();
    let mut aliases = String::new();
    for index in 0..bases {
        // Writing to a String cannot fail.
        let _ = writeln!(variables, "$base_{index}: String!");
        let _ = writeln!(aliases, "base_{index}: ref(qualifiedName: $base_{index}) {{ ...Base }}");
    }
    let document = CANDIDATES.replace("#base-variables", &variables).replace("#bases", &aliases);
    let document = document.replace("#alerts", alerts);
    format!("{document}\n{PULL}")
}

/// The open issues of alerts; variables `owner` and `name`.
pub fn alerts() -> String {
    ALERTS.replace("#alerts", ALERTS_SELECTION.trim_end())
}

/// Pull requests read again, with their check rows; variables per pull request `id_0`, `after_0`
/// (the start of its next page, null at first), ...; the answers come back as `pull_0`, ...
pub fn recheck(pulls: usize) -> String {
    let mut variables = String::new();
    let mut selections = String::new();
    for index in 0..pulls {
        let _ = write!(variables, "$id_{index}: ID! $after_{index}: String ");
        selections.push_str(&RECHECK_PULL.replace("_N", &format!("_{index}")));
    }
    format!(
        "query Recheck({variables}) {{\n  rateLimit {{ cost remaining resetAt }}\n\
         {selections}}}\n\n{PULL}"
    )
}

/// Fields that a cycle can do without, and what is missing then. Without them nothing more is
/// merged: GitHub itself refuses the merge, the checks are read one by one, or the pull request is
/// not judged.
const OPTIONAL: [(&str, &str); 10] = [
    ("isInMergeQueue", "merge queues cannot be seen"),
    ("isMergeQueueEnabled", "merge queues cannot be seen"),
    ("mergeStateStatus", "branch protection shows only in GitHub's answer to the merge call"),
    ("checkRunCountsByState", "the checks of each approved pull request are read one by one"),
    ("statusContextCountsByState", "the checks of each approved pull request are read one by one"),
    ("isRequired", "`checks = \"required\"` sees only the checks of `required_checks`"),
    ("deleteBranchOnMerge", "whether merged branches are deleted is unknown"),
    ("rules", "whether branches must be up to date is unknown"),
    ("mergeQueue", "whether the default branch has a merge queue is unknown"),
    ("requireLastPushApproval", "whether the last pusher can approve is unknown"),
];

/// The fields that this server does not have.
#[derive(Debug, Default)]
pub(super) struct LackingFields(Mutex<BTreeSet<&'static str>>);

impl LackingFields {
    /// Adds a field; `false` where it was added before, or where every cycle needs it.
    pub(super) fn add(&self, field: &str) -> bool {
        let known = OPTIONAL.iter().find(|(name, _)| *name == field);
        known.is_some_and(|(name, _)| self.lock().insert(name))
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.lock().contains(field)
    }

    /// The document without them.
    pub(super) fn left_out_of(&self, document: &str) -> String {
        self.lock().iter().fold(document.to_owned(), |document, field| without(&document, field))
    }

    pub(super) fn sentences(&self) -> Vec<String> {
        let lacking = self.lock();
        let lacking = OPTIONAL.iter().filter(|(name, _)| lacking.contains(name));
        lacking
            .map(|(name, effect)| format!("this GitHub server has no field `{name}`: {effect}"))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The field that does not exist, by the error messages of GitHub's server and of others.
pub(super) fn undefined(message: &str) -> Option<&str> {
    let quoted = |start: &str, quote: char| {
        let (_, rest) = message.split_once(start)?;
        rest.split_once(quote).map(|(field, _)| field)
    };
    if message.contains("doesn't exist on type") {
        return quoted("Field '", '\'');
    }
    quoted("Cannot query field \"", '"').or_else(|| quoted("does not have a field `", '`'))
}

/// `__typename` takes the place of the field, so that no selection is left empty.
fn without(document: &str, field: &str) -> String {
    let mut kept = String::new();
    let mut rest = document;
    while let Some(at) = rest.find(field) {
        let (before, found) = rest.split_at(at);
        let after = &found[field.len()..];
        kept.push_str(before);
        let part_of_a_word =
            |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if part_of_a_word(before.chars().next_back()) || part_of_a_word(after.chars().next()) {
            kept.push_str(field);
            rest = after;
        } else {
            kept.push_str("__typename");
            rest = after_group(after_group(after, '(', ')'), '{', '}');
        }
    }
    kept + rest
}

/// What follows a group in brackets, where one comes next.
fn after_group(text: &str, open: char, close: char) -> &str {
    let trimmed = text.trim_start();
    if !trimmed.starts_with(open) {
        return text;
    }
    let mut depth = 0_usize;
    for (at, c) in trimmed.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return &trimmed[at + c.len_utf8()..];
            }
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_goes_with_its_arguments_and_its_selection_and_leaves_none_empty() {
        let document =
            "{ a { rules(first: 1) { nodes { b } } rulesets } ... on C { isRequired(id: $x) } }";
        let expected = "{ a { __typename rulesets } ... on C { isRequired(id: $x) } }";
        assert_eq!(without(document, "rules"), expected);
        assert!(without(document, "isRequired").ends_with("... on C { __typename } }"));
        assert_eq!(without("{ a(x: $rules) }", "rules"), "{ a(x: $rules) }");
    }

    #[test]
    fn a_field_that_no_cycle_can_do_without_is_not_left_out() {
        let lacking = LackingFields::default();
        assert!(!lacking.add("headRefOid") && lacking.sentences().is_empty());
        assert!(lacking.add("isInMergeQueue") && !lacking.add("isInMergeQueue"));
        assert_eq!(
            lacking.sentences(),
            ["this GitHub server has no field `isInMergeQueue`: merge queues cannot be seen"]
        );
    }

    #[test]
    fn the_messages_of_several_servers_name_the_field() {
        for message in [
            "Field 'isInMergeQueue' doesn't exist on type 'PullRequest'",
            "Cannot query field \"isInMergeQueue\" on type \"PullRequest\".",
            "type `PullRequest` does not have a field `isInMergeQueue`",
        ] {
            assert_eq!(undefined(message), Some("isInMergeQueue"));
        }
        assert_eq!(undefined("Something went wrong"), None);
    }
}
