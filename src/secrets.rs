//! Keeps secrets out of everything that leaves the program.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, Stderr, Write};

#[cfg(target_os = "linux")]
use anyhow::Context;

use coordinator_core::secrets::Secrets;

use crate::workflow_commands::{Escape, EscapedWriter};

/// The credentials of this process and the values of the variables in `names`.
pub fn from_environment(names: &BTreeSet<String>) -> Secrets {
    Secrets::named(names, |name| env::var(name).ok())
}

/// Keeps this process to itself: no core of it is written, and no other process of this user, an
/// agent for instance, reads its memory or its environment (Linux: `PR_SET_DUMPABLE`). Programs
/// that it starts are as always.
///
/// Fails where the kernel refuses.
pub fn seal_process() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("keep other processes from reading this one")?;
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
    /// Standard error of this process, for whoever reads it.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, stderr: EscapedWriter::over(io::stderr(), Escape::from_environment()) }
    }
}

impl Write for MaskedStderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buffer);
        self.stderr.write_all(self.secrets.mask(&text).as_bytes())?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr.flush()
    }
}
