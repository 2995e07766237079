//! The prompt of an agent: preamble, mode, project context, brief, and the session's own data.

use crate::fleet::Mode;

/// The parts of a prompt.
#[derive(Debug)]
pub struct Prompt<'a> {
    /// The fleet's name.
    pub fleet: &'a str,
    /// `owner/repo`, when the roster names it.
    pub repository: Option<&'a str>,
    /// Addresses of production, when the roster names some.
    pub production: Vec<&'a str>,
    /// The role's key.
    pub key: &'a str,
    /// The role's name.
    pub name: &'a str,
    /// What holds for every agent.
    pub preamble: &'a str,
    /// How the role finds its work.
    pub mode: Mode,
    /// The mode's paragraph.
    pub mode_text: &'a str,
    /// What the role does.
    pub brief: &'a str,
}

/// The whole prompt, in Markdown.
pub fn compose(prompt: &Prompt<'_>) -> String {
    let Prompt { fleet, repository, production, key, name, preamble, mode, mode_text, brief } =
        prompt;
    let repository = match repository {
        Some(repository) => format!(
            "The repository is {repository} \
            (also in COORDINATOR_REPOSITORY)."
        ),
        None => "No repository is configured: unless this text names one below, there is nothing \
            to do, so exit at once."
            .to_owned(),
    };
    let production = match production.as_slice() {
        [] => String::new(),
        addresses => format!(" Production answers at {}.", addresses.join(" and ")),
    };
    let sections = [
        format!(
            "# Your session\n\nYou are {name} (role `{key}`) in the fleet `{fleet}`. \
            {repository}{production}"
        ),
        format!("# How every agent works\n\n{preamble}"),
        format!("# How you find work: {}\n\n{mode_text}", mode.word()),
        format!("# What you do\n\n{brief}"),
    ];
    sections.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(repository: Option<&str>) -> String {
        compose(&Prompt {
            fleet: "demo",
            repository,
            production: vec!["https://shop.example.com/healthz"],
            key: "ui_builder",
            name: "UI Builder",
            preamble: "Work in a fresh clone.",
            mode: Mode::TaskDriven,
            mode_text: "Take an open issue.",
            brief: "Builds what people see.",
        })
    }

    #[test]
    fn a_prompt_holds_preamble_mode_and_brief_in_this_order() {
        let text = prompt(Some("acme/shop"));
        let places = [
            "UI Builder",
            "acme/shop",
            "/healthz",
            "fresh clone",
            "task-driven",
            "open issue",
            "what people see",
        ]
        .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is missing in {text}")));
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn without_a_repository_the_prompt_says_so() {
        assert!(prompt(None).contains("No repository is configured"));
    }
}
