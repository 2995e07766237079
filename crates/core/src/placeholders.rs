//! The placeholders of a command: `{prompt}`, `{role}` and the like.

use crate::fleet::{FleetName, RoleKey, Slot, Want};

/// The values of a command's placeholders in one slot.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    pub fleet: &'a FleetName,
    pub slot: &'a Slot,
    pub role: &'a RoleKey,
    /// The item's id; empty in the slot of a role.
    pub item: &'a str,
    pub prompt: &'a str,
    pub brief: &'a str,
}

/// The command of one slot, every placeholder filled.
pub fn command(want: &Want, fleet: &FleetName) -> Vec<String> {
    let Want { slot, role, spec, item, .. } = want;
    let item = item.as_ref().map_or("", |item| &item.id);
    filled(
        &spec.command,
        Values { fleet, slot, role, item, prompt: &spec.prompt, brief: &spec.brief },
    )
}

/// The same for a command that came without its specification.
pub fn filled(command: &[String], of: Values<'_>) -> Vec<String> {
    let session_name = of.slot.session_name(of.fleet);
    let values = [
        ("{prompt}", of.prompt),
        ("{brief}", of.brief),
        ("{role}", of.role.as_str()),
        ("{item}", of.item),
        ("{slot}", session_name.as_str()),
        ("{fleet}", of.fleet.as_str()),
    ];
    command.iter().map(|argument| fill(argument, &values)).collect()
}

/// Replaces placeholders in one pass, so that a value which contains one stays as it is; other
/// braces stay too.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        let (before, from_brace) = rest.split_at(brace);
        filled.push_str(before);
        let placeholder =
            values.iter().find(|(placeholder, _)| from_brace.starts_with(placeholder));
        let (value, used) =
            placeholder.map_or(("{", 1), |(placeholder, value)| (*value, placeholder.len()));
        filled.push_str(value);
        rest = &from_brace[used..];
    }
    filled.push_str(rest);
    filled
}

/// Every placeholder, without its braces.
const NAMES: [&str; 7] = ["prompt", "brief", "role", "item", "slot", "fleet", "budget"];

/// What a person probably misspelt: the first text in braces that is one edit, or a change of case,
/// away from a placeholder, and that placeholder. Doubled braces and a shell's `${...}` are left
/// alone.
pub fn misspelt(argument: &str) -> Option<(&str, &'static str)> {
    argument.match_indices('{').find_map(|(brace, _)| {
        if argument[..brace].ends_with(['{', '$']) {
            return None;
        }
        let (word, _) = argument[brace + 1..].split_once('}')?;
        let lower = word.to_lowercase();
        let is_near = |name: &&str| strsim::osa_distance(&lower, name) <= 1;
        let meant = NAMES.into_iter().find(is_near)?;
        (!NAMES.contains(&word)).then_some((word, meant))
    })
}

/// Whether the command carries the prompt itself; else it comes on standard input.
pub fn takes_prompt(command: &[String]) -> bool {
    command.iter().any(|argument| argument.contains("{prompt}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fleet::{Counts, Follows, Group, SessionSpec, WorkItem};

    fn texts(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    #[test]
    fn every_placeholder_of_a_command_is_filled() {
        let spec = SessionSpec {
            command: texts(&[
                "agent",
                "{role}/{item}",
                "--in={fleet}:{slot}",
                "{prompt}",
                "{brief}",
            ]),
            prompt: "do {brief}".to_owned(),
            brief: "the brief".to_owned(),
            ..SessionSpec::default()
        };
        let mut want = Want {
            slot: Slot::of_item(&Group::parse("queue").expect("a valid name"), "7"),
            role: RoleKey::parse("ui_builder").expect("a valid key"),
            spec: Arc::new(spec),
            item: Some(WorkItem { id: "#7".to_owned(), counts: Counts::default() }),
            follows: Follows::Anything,
            by_hand: false,
        };
        let fleet = FleetName::parse("demo").expect("a valid name");
        let filled =
            ["agent", "ui_builder/#7", "--in=demo:demo-queue-i7", "do {brief}", "the brief"];
        assert_eq!(command(&want, &fleet), filled);
        want.item = None;
        assert_eq!(command(&want, &fleet)[1], "ui_builder/", "the slot of a role has no item");
    }

    #[test]
    fn braces_that_are_not_a_placeholder_stay() {
        let values = [("{a}", "1"), ("{b}", "{a}")];
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{a}{b}{c}", "1{a}{c}"),
            ("{{a}} {", "{1} {"),
            ("ü{a}ü", "ü1ü"),
        ] {
            assert_eq!(fill(text, &values), expected);
        }
    }

    #[test]
    fn a_placeholder_is_misspelt_by_one_edit_or_by_case() {
        for (argument, found) in [
            ("{promt}", Some(("promt", "prompt"))),
            ("--in={Slot}", Some(("Slot", "slot"))),
            ("{role} {FLEET}", Some(("FLEET", "fleet"))),
            ("{rloe}", Some(("rloe", "role"))),
            ("{prompt}{brief}{role}{item}{slot}{fleet}", None),
            ("{x} {budget} {max_turns} {\"a\": 1} {}", None),
            ("{{promt}} ${ROLE} {promt", None),
            ("{prmt}", None),
        ] {
            assert_eq!(misspelt(argument), found, "{argument}");
        }
    }

    #[test]
    fn a_command_takes_the_prompt_where_one_of_its_arguments_holds_it() {
        assert!(takes_prompt(&texts(&["agent", "--prompt={prompt}"])));
        assert!(!takes_prompt(&texts(&["agent", "{brief}"])));
    }
}
