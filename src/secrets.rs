//! Keeps secrets out of everything that leaves the program.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, Stderr, Write};

#[cfg(target_os = "linux")]
use anyhow::Context;

use coordinator_core::secrets::Secrets;

use crate::render::progress;
use crate::workflow_commands::{Escape, EscapedWriter};

/// The credentials of this process and the values of the variables in `names`.
pub fn from_environment(names: &BTreeSet<String>) -> Secrets {
    Secrets::named(names, |name| env::var(name).ok())
}

/// Closes this process to others (Linux: `PR_SET_DUMPABLE`): the kernel writes no core of it, and
/// other processes of this user, such as agents, cannot read its memory or its environment. The
/// programs that it starts are not affected.
///
/// Fails where the kernel refuses.
pub fn seal_process() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("close the memory of this process to others")?;
    Ok(())
}

/// Standard error without secrets, and without commands to a runner that reads it. Each `write`
/// must carry whole lines, as the log's formatter does.
#[derive(Debug)]
pub struct MaskedStderr {
    secrets: Secrets,
    stderr: EscapedWriter<Stderr>,
}

impl MaskedStderr {
    /// Standard error of this process; commands are escaped where a runner reads it.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, stderr: EscapedWriter::over(io::stderr(), Escape::from_environment()) }
    }
}

impl Write for MaskedStderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buffer);
        let masked = self.secrets.mask(&text);
        progress::beside(|| self.stderr.write_all(masked.as_bytes()))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr.flush()
    }
}
