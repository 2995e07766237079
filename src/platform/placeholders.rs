//! The placeholders of a command: `{prompt}`, `{role}` and the like.

/// Replaces placeholders in one pass, so that a value which contains one stays as it is; other braces stay too.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
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

/// Whether the command carries the prompt itself; else it comes on standard input.
pub(crate) fn takes_prompt(command: &[String]) -> bool {
    command.iter().any(|argument| argument.contains("{prompt}"))
}
