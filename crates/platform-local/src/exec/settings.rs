//! `[platform.exec]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// `[platform.exec]`.
#[derive(Debug, Clone)]
pub struct ExecSettings {
    /// The program: absolute, or a bare name to be looked up in PATH.
    pub plugin: PathBuf,
    /// Where the roster names it, in bytes of the file.
    pub place: Option<Range<usize>>,
    /// For one operation.
    pub timeout: Duration,
    /// What the plugin's environment has beside the coordinator's without its secrets; `${NAME}` already replaced.
    pub env: BTreeMap<String, String>,
    /// The variables that some `${...}` in `env` names.
    pub secret_names: BTreeSet<String>,
    /// Where the lock of a plugin without exclusivity is: one folder per fleet below it.
    pub state_dir: PathBuf,
}
