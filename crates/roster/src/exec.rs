//! `[platform.exec]`: the settings of a plugin.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use coordinator_platform_local::exec::ExecSettings;

use super::load::{Surroundings, resolve};
use super::problem::Problem;
use super::section::Values;
use super::settings::state_dir;
use super::variables::{Destination, MissingVariables, Variables};

/// The settings, when a plugin is chosen and nothing is missing. What is wrong in the section is told either way.
pub(super) fn read(
    platform: &Values,
    around: &Surroundings<'_>,
    missing: &mut MissingVariables,
    problems: &mut Vec<Problem>,
) -> Option<ExecSettings> {
    let values = platform.section("exec")?;
    let is_chosen = platform.is("kind", "exec");
    let mut variables = Variables::new(around.environment, Destination::Agent);
    let env = variables.expand(values);
    missing.note(&env);
    problems.append(&mut variables.problems);
    if !is_chosen {
        return None;
    }
    missing.note_plugin(&env);
    let plugin = plugin(platform, values, around, problems);
    let state_dir = state_dir(values, "[platform.exec]", around, problems);
    Some(ExecSettings {
        plugin: plugin?,
        place: values.span("plugin"),
        timeout: values.duration("timeout"),
        env: env.env,
        secret_names: variables.named,
        state_dir: state_dir?,
    })
}

fn plugin(
    platform: &Values,
    values: &Values,
    around: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> Option<PathBuf> {
    let Some(text) = values.text("plugin") else {
        if !values.says("plugin") {
            let place = platform.span("exec").or_else(|| platform.span("kind"));
            let problem = Problem::new("[platform.exec] has no `plugin`", place);
            problems.push(problem.hint("add `plugin = \"plugins/tmux\"`, the program that starts sessions"));
        }
        return None;
    };
    if !text.contains(MAIN_SEPARATOR) && !text.starts_with('~') {
        return Some(PathBuf::from(text));
    }
    let found = resolve(text, around).filter(|path| is_program(path));
    if found.is_none() {
        let problem = Problem::new(format!("there is no program {text}"), values.span("plugin"));
        problems.push(problem.label("name an executable file; a path is relative to the roster"));
    }
    found
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
