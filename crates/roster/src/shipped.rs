//! The roster, briefs, modes and preamble that come with the program.

use coordinator_core::fleet::Mode;

/// The shipped `roster.toml`: 25 roles, 38 instances.
pub const ROSTER: &str = include_str!("../../../roster.toml");

/// The preamble of every prompt.
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

/// Key and brief of each shipped role, in the roster's order.
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
