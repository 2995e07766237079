//! The log: stderr, with every secret masked.

use tracing_subscriber::EnvFilter;

use crate::cli::{Global, LogFormat};
use crate::render::Screen;
use crate::secrets::MaskedStderr;
use coordinator_core::secrets::Secrets;

/// Starts the log. A panic is logged like an error, so that it is masked, too.
pub(super) fn start(global: &Global, secrets: &Secrets) {
    let default = match global.verbose {
        0 => "warn",
        1 => "coordinator=info,warn",
        2 => "coordinator=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::new(global.log_level.as_deref().unwrap_or(default));
    let secrets = secrets.clone();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(Screen::stderr(global.color).color)
        .with_writer(move || MaskedStderr::new(secrets.clone()));
    match global.log_format {
        LogFormat::Text => log.compact().init(),
        LogFormat::Json => log.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}
