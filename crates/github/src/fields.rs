//! Fields that an older GitHub Enterprise Server lacks: they are left out, and what they were for
//! is said to be unavailable.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A field that a cycle can do without, and what is then missing. None of them lets in what the
/// others would hold: GitHub itself refuses the merge, or the checks are read one by one, or the
/// pull request is not judged.
const OPTIONAL: [(&str, &str); 10] = [
    ("isInMergeQueue", "merge queues cannot be seen"),
    ("isMergeQueueEnabled", "merge queues cannot be seen"),
    ("mergeStateStatus", "branch protection is only known by GitHub's answer to the merge call"),
    ("checkRunCountsByState", "the checks of each approved pull request are read one by one"),
    ("statusContextCountsByState", "the checks of each approved pull request are read one by one"),
    ("isRequired", "`checks = \"required\"` sees only the checks of `required_checks`"),
    ("deleteBranchOnMerge", "whether merged branches stay is unknown"),
    ("rules", "whether heads must be up to date is unknown"),
    ("mergeQueue", "whether the default branch has a merge queue is unknown"),
    ("requireLastPushApproval", "whether the last pusher's approval counts is unknown"),
];

/// The fields that this server turned out not to have.
#[derive(Debug, Default)]
pub(super) struct LackingFields(Mutex<BTreeSet<&'static str>>);

impl LackingFields {
    /// Remembers a field; `false` where it was known already, or where no cycle can do without it.
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

    /// One sentence for each.
    pub(super) fn sentences(&self) -> Vec<String> {
        let lacking = self.lock();
        let lacking = OPTIONAL.iter().filter(|(name, _)| lacking.contains(name));
        lacking.map(|(name, effect)| format!("this GitHub has no field `{name}`: {effect}")).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The field that a message says does not exist, in the words of GitHub's server and of others.
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
        let part_of_a_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
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
        let document = "{ a { rules(first: 1) { nodes { b } } rulesets } ... on C { isRequired(id: $x) } }";
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
            ["this GitHub has no field `isInMergeQueue`: merge queues cannot be seen"]
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
