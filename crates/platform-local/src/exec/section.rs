//! `[platform.exec]`: the settings of a plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::time::Duration;

use coordinator_core::section::{
    FilePath, LoadContext, Placed, Problem, Time, Variables, state_dir,
};

coordinator_core::section! {
    /// Settings of the `exec` platform.
    pub struct Section {
        /// The program that starts and lists sessions. Without a `/` it is looked up in PATH.
        /// Default: required when `kind = "exec"`.
        plugin: Option<Placed<FilePath>> = None,
        /// For one operation of the plugin. Whatever it has started by then is ended, sessions
        /// aside.
        timeout: Time<1000> = Time::seconds(30),
        /// Variables for the plugin; `"${NAME}"` takes a value from the coordinator's environment,
        /// such as a key of the vendor's. It gets no other secret.
        env: Variables = Variables::default(),
        /// Where a plugin that cannot refuse a second session is locked: one run at a time on this
        /// machine. Default: `$XDG_STATE_HOME/coordinator`, else `~/.local/state/coordinator`.
        state_dir: Option<Placed<FilePath>> = None,
    }
}

/// `[platform.exec]`, checked.
#[derive(Debug, Clone)]
pub struct ExecSettings {
    /// The program: absolute, or a bare name to be looked up in PATH.
    pub plugin: PathBuf,
    /// Where the roster names it, in bytes of the file.
    pub place: Option<Range<usize>>,
    /// For one operation.
    pub timeout: Duration,
    /// What the plugin's environment has beside the coordinator's without its secrets.
    pub env: BTreeMap<String, String>,
    /// The variables that some `${...}` in `env` names.
    pub secret_names: BTreeSet<String>,
    /// Where the lock of a plugin without exclusivity is: one folder per fleet below it.
    pub state_dir: PathBuf,
}

impl ExecSettings {
    /// The settings, with the section's `env` already expanded. `kind` is where the roster chooses
    /// plugins.
    pub fn of(
        section: &Placed<Section>,
        kind: Option<&Range<usize>>,
        (env, secret_names): (BTreeMap<String, String>, BTreeSet<String>),
        around: LoadContext<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let place = section.span.as_ref().or(kind);
        let plugin = plugin(section, place, around).map_err(|problem| problems.push(problem));
        let state_dir = state_dir(section.state_dir.as_ref(), "[platform.exec]", around);
        let state_dir = state_dir.map_err(|problem| problems.push(problem));
        Some(Self {
            plugin: plugin.ok()?,
            place: section.plugin.as_ref().and_then(|plugin| plugin.span.clone()),
            timeout: section.timeout.get(),
            env,
            secret_names,
            state_dir: state_dir.ok()?,
        })
    }
}

fn plugin(
    section: &Section,
    place: Option<&Range<usize>>,
    around: LoadContext<'_>,
) -> Result<PathBuf, Problem> {
    let Some(plugin) = &section.plugin else {
        let problem = Problem::new("[platform.exec] has no `plugin`", place.cloned());
        return Err(
            problem.hint("add `plugin = \"plugins/tmux\"`, the program that starts sessions")
        );
    };
    let text: &str = plugin;
    if !text.contains(MAIN_SEPARATOR) && !text.starts_with('~') {
        return Ok(PathBuf::from(text));
    }
    around.resolve(text).filter(|path| is_program(path)).ok_or_else(|| {
        let problem = Problem::new(format!("plugin not found: {text}"), plugin.span.clone());
        problem.label("name an executable file; a path is relative to the roster")
    })
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
