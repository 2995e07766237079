//! `coordinator plugin-test`: tries a plugin against the protocol and its own `capabilities`.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::time::SystemTime;

use coordinator_plugin_test::Grade;

use crate::cli::{Global, PluginTest};
use crate::command::{Outcome, Refused};
use crate::render::Screen;

mod view;

/// Exits with 1 when a row fails.
///
/// Refuses a path that is not a file.
pub async fn run(options: &PluginTest, global: &Global) -> anyhow::Result<Outcome> {
    let program = program(&options.path)?;
    let trial = coordinator_plugin_test::run(program, options.timeout, SystemTime::now()).await;
    let stdout = view::render(&trial, global.output, Screen::stdout(global.color))?;
    let failed = trial.rows.iter().any(|row| row.grade == Grade::Fail);
    Ok(Outcome { stdout, code: u8::from(failed) })
}

/// A bare name is a file of this folder when there is one, else it is looked up in PATH.
fn program(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_file() {
        return Ok(std::path::absolute(path)?);
    }
    if path.as_os_str().to_string_lossy().contains(MAIN_SEPARATOR) {
        anyhow::bail!(Refused::Usage(format!("there is no program {}", path.display())));
    }
    Ok(path.to_owned())
}
