//! The placeholders of a command: `{prompt}`, `{role}` and the like.

use crate::fleet::{FleetName, SessionSpec, Slot};

/// The command of one slot, every placeholder filled.
pub(super) fn command(spec: &SessionSpec, slot: &Slot, fleet: &FleetName) -> Vec<String> {
    let session_name = slot.session_name(fleet);
    let values = [
        ("{prompt}", spec.prompt.as_str()),
        ("{brief}", spec.brief.as_str()),
        ("{role}", slot.role.as_str()),
        ("{slot}", session_name.as_str()),
        ("{fleet}", fleet.as_str()),
    ];
    spec.command.iter().map(|argument| fill(argument, &values)).collect()
}

/// Whether the command carries the prompt itself; else it comes on standard input.
pub(super) fn takes_prompt(command: &[String]) -> bool {
    command.iter().any(|argument| argument.contains("{prompt}"))
}

/// Replaces placeholders in one pass, so that a value which contains one stays as it is; other braces stay too.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        let (before, from_brace) = rest.split_at(brace);
        filled.push_str(before);
        let placeholder = values.iter().find(|(placeholder, _)| from_brace.starts_with(placeholder));
        let (value, used) = placeholder.map_or(("{", 1), |(placeholder, value)| (*value, placeholder.len()));
        filled.push_str(value);
        rest = &from_brace[used..];
    }
    filled.push_str(rest);
    filled
}
