//! `[alerts]`: where a cycle that is not healthy is reported.

use std::path::{MAIN_SEPARATOR, Path};

use coordinator_core::section::{Argument, LoadContext, Placed, Problem};

use super::AlertSettings;

coordinator_core::section! {
    /// Alerts, beside the report. None of them changes the status or stops a step, and a dry run
    /// raises none.
    pub(super) struct Alerts {
        /// Each cause of alert has one issue in `[repository]`, labelled `coordinator:alert`: it is
        /// opened, rewritten when its text changes, and closed once the cause is gone. The token
        /// needs write access to issues.
        github_issue: Placed<bool> = false.into(),
        /// Program and arguments, without a shell, run after each cycle that is not healthy: it
        /// reads the report as JSON on standard input, and is killed after 10 s. Its directory is
        /// the roster's; it inherits no secret. Default: none.
        command: Placed<Vec<Argument>> = Placed::default(),
    }
}

impl Alerts {
    pub(super) fn settings(
        &self,
        has_repository: bool,
        around: LoadContext<'_>,
        problems: &mut Vec<Problem>,
    ) -> AlertSettings {
        if *self.github_issue && !has_repository {
            let problem = Problem::new(
                "`github_issue` without a [repository]: issues need one",
                self.github_issue.span.clone(),
            );
            problems.push(problem.hint("add [repository] with its `name`"));
        }
        let mut command: Vec<String> = self.command.iter().map(ToString::to_string).collect();
        match command.first().map(|program| located(program, around)) {
            Some(Ok(program)) => command[0] = program,
            Some(Err(message)) => {
                let problem = Problem::new(message, self.command.span.clone());
                problems.push(
                    problem.label("name an executable file; a path is relative to the roster"),
                );
            }
            None => {}
        }
        AlertSettings { github_issue: *self.github_issue, command }
    }
}

/// A name without a `/` is looked up in PATH when it runs.
fn located(program: &str, around: LoadContext<'_>) -> Result<String, String> {
    if program.trim().is_empty() {
        return Err("`command` in [alerts] has no program".to_owned());
    }
    if !program.contains(MAIN_SEPARATOR) && !program.starts_with('~') {
        return Ok(program.to_owned());
    }
    let path = around.resolve(program).filter(|path| is_program(path));
    let path = path.and_then(|path| path.to_str().map(str::to_owned));
    path.ok_or_else(|| format!("program of [alerts] not found: {program}"))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
