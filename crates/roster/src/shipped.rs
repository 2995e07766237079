//! The roster, briefs, modes and preamble that come with the program.

use coordinator_core::fleet::Mode;

/// The whole fleet: 25 roles, 38 instances. Also the repository's own `roster.toml`.
pub const ROSTER: &str = include_str!("../../../roster.toml");

/// The roles of a first day, which replace those of [`ROSTER`].
pub const STARTER_ROLES: &str = include_str!("../starter/roles.toml");

/// Key and brief of each role in [`STARTER_ROLES`], in its order.
pub const STARTER_BRIEFS: [(&str, &str); 3] = [
    ("builder", include_str!("../starter/builder.md")),
    ("reviewer", include_str!("../starter/reviewer.md")),
    ("sentinel", include_str!("../../../briefs/sentinel.md")),
];

/// The paragraph of the prompt that every agent gets.
pub const PREAMBLE: &str = include_str!("../../../briefs/preamble.md");

/// The mode's paragraph of the prompt.
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Thinker => include_str!("../../../briefs/modes/thinker.md"),
        Mode::TaskDriven => include_str!("../../../briefs/modes/task-driven.md"),
        Mode::SelfDirected => include_str!("../../../briefs/modes/self-directed.md"),
        Mode::Reviewer => include_str!("../../../briefs/modes/reviewer.md"),
        Mode::Sentinel => include_str!("../../../briefs/modes/sentinel.md"),
    }
}

macro_rules! briefs {
    ($($key:literal)*) => { [$(($key, include_str!(concat!("../../../briefs/", $key, ".md")))),*] };
}

/// Key and brief of each role in [`ROSTER`], in its order.
pub const BRIEFS: [(&str, &str); 25] = briefs! {
    "product_designer"
    "system_architect"
    "uiux_designer"
    "ui_builder"
    "api_builder"
    "fullstack_builder"
    "unit_tester"
    "e2e_tester"
    "security_auditor"
    "dependency_manager"
    "frontend_optimizer"
    "backend_optimizer"
    "mobile_optimizer"
    "refactorer"
    "type_hardener"
    "code_cleaner"
    "web_standards_engineer"
    "documentation_engineer"
    "cicd_engineer"
    "code_reviewer"
    "sentinel"
    "growth_strategist"
    "growth_engineer"
    "content_creator"
    "analytics_engineer"
};
