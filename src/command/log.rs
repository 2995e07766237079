//! The log: stderr, with every secret masked.

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::cli::{Global, LogFormat};
use crate::render::Screen;
use crate::render::words::LOCAL;
use crate::secrets::MaskedStderr;
use coordinator_core::secrets::Secrets;

/// `17:12:03.250 CET`.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        let now = Timestamp::now().to_zoned(LOCAL.clone());
        write!(line, "{}", now.strftime("%H:%M:%S%.3f %Z"))
    }
}

/// Starts the log. For people it has no module path, and times only where `-v` shows more of it.
/// A panic is logged like an error, so that it is masked, too.
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
    match (global.log_format, global.verbose) {
        (LogFormat::Json, _) => log.json().init(),
        (LogFormat::Text, 0) => log.compact().with_target(false).without_time().init(),
        (LogFormat::Text, 1) => log.compact().with_target(false).with_timer(LocalTime).init(),
        (LogFormat::Text, _) => log.compact().with_timer(LocalTime).init(),
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}
