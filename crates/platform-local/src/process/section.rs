//! `[platform.process]`.

use coordinator_core::section::{FilePath, Placed};

coordinator_core::section! {
    /// Settings of the `process` platform.
    pub struct Section {
        /// Records, logs and work directories, one folder per fleet below it; on a local disk.
        /// Default: `$XDG_STATE_HOME/coordinator`, else `~/.local/state/coordinator`.
        state_dir: Option<Placed<FilePath>> = None,
    }
}
