//! Where names in the roster lead.

use std::path::{Path, PathBuf};

use super::{FilePath, Placed, Problem};

/// The roster's folder, and the coordinator's environment.
#[derive(Clone, Copy)]
pub struct LoadContext<'a> {
    /// The roster's folder, absolute.
    pub folder: &'a Path,
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl LoadContext<'_> {
    /// `text` as a path: `~` is the home folder, relative paths start at the roster. `None` without
    /// a home.
    pub fn resolve(&self, text: &str) -> Option<PathBuf> {
        let home = || (self.environment)("HOME").filter(|home| home.starts_with('/'));
        match text.strip_prefix('~') {
            Some("") => home().map(PathBuf::from),
            Some(rest) if rest.starts_with('/') => {
                Some(PathBuf::from(format!("{}{rest}", home()?)))
            }
            _ => Some(self.folder.join(text)),
        }
    }
}

/// Where a platform keeps files of this machine, or what to set in the section called `heading`.
pub fn state_dir(
    given: Option<&Placed<FilePath>>,
    heading: &str,
    around: LoadContext<'_>,
) -> Result<PathBuf, Problem> {
    let state_home = || (around.environment)("XDG_STATE_HOME").filter(|path| path.starts_with('/'));
    let found = match (given, state_home()) {
        (Some(given), _) => around.resolve(given),
        (None, Some(state_home)) => Some(PathBuf::from(state_home).join("coordinator")),
        (None, None) => around.resolve("~/.local/state/coordinator"),
    };
    found.ok_or_else(|| {
        let message = "HOME is not set, so the folder for records is unknown";
        let span = given.and_then(|given| given.span.clone());
        Problem::new(message, span)
            .hint(format!("set `state_dir` in {heading} to an absolute path"))
    })
}
