//! What single texts must look like.

use std::net::IpAddr;

use coordinator_core::fleet::{FleetName, RoleKey};
use coordinator_core::pull::parse_full_name;
use coordinator_core::sanitize;

use super::reference::Kind;
use super::section;

/// Longer names break tables.
const LONGEST_LINE: usize = 200;

/// Whether `text` is what `kind` says, or what was expected.
pub(super) fn check(kind: &Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::FleetName => FleetName::parse(text).map(drop).map_err(str::to_owned),
        Kind::RoleKey => RoleKey::parse(text).map(drop).map_err(str::to_owned),
        Kind::RepositoryName => parse_full_name(text).map(drop),
        Kind::Url => url(text).map(drop),
        Kind::ApiUrl => api_url(text),
        Kind::Word(words) => word(words, text),
        Kind::Path if text.is_empty() || text.contains(char::is_control) => Err("write a path".to_owned()),
        Kind::Line => line(text),
        Kind::Formed(form) => form.check(text),
        _ => Ok(()),
    }
}

/// Bytes of `"500MB"`, `"1GiB"`, `"0"`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor: u64 = match text[digits..].trim() {
        "B" => 1,
        "" if number == 0 => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A name that an environment variable may have, and that is not one of the coordinator's own.
pub(super) fn variable_name(name: &str) -> Result<(), String> {
    if !is_variable_name(name) {
        return Err("letters, digits and `_`, not starting with a digit".to_owned());
    }
    if name.starts_with("COORDINATOR_") {
        return Err("`COORDINATOR_` is reserved: each session gets these from the coordinator".to_owned());
    }
    Ok(())
}

/// Whether `name` can stand in `${...}`.
pub(super) fn is_variable_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(allowed)
}

/// The text in quotes, on one line and not too long, as it can be shown.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", sanitize::one_line(text, 60))
}

fn line(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("one line, without control characters".to_owned());
    }
    if text.chars().count() > LONGEST_LINE {
        return Err(format!("at most {LONGEST_LINE} characters"));
    }
    Ok(())
}

fn word(words: &[&str], text: &str) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    Err(match section::nearest(words.iter().copied(), text) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", words.join(", ")),
    })
}

fn url(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| format!("write an address such as https://host/path: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("write http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address is shown in reports: it must not hold credentials".to_owned());
    }
    Ok(url)
}

fn api_url(text: &str) -> Result<(), String> {
    let url = url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("write it without `?` and `#`".to_owned());
    }
    if url.scheme() == "https" || url.host_str().is_some_and(is_loopback) {
        return Ok(());
    }
    Err("write https://: the token travels with each request".to_owned())
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
