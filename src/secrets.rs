//! Keeps secrets out of everything that leaves the program.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::env;
use std::io::{self, Write};

/// Variables that hold the coordinator's own credentials.
pub const CREDENTIAL_NAMES: [&str; 5] =
    ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_APP_ID", "GITHUB_APP_INSTALLATION_ID", "GITHUB_APP_PRIVATE_KEY"];

/// Ids, not secrets: masking a short number would garble the report.
const PUBLIC_NAMES: [&str; 2] = ["GITHUB_APP_ID", "GITHUB_APP_INSTALLATION_ID"];

/// A shorter value masks too much by accident and protects nothing.
const SHORTEST_BYTES: usize = 4;

const MASK: &str = "***";

/// The values to mask, longest first, so that no secret is left over from a shorter one within it.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// The credentials of this process and the values of the variables in `names`, read from the environment.
    pub fn from_environment(names: &BTreeSet<String>) -> Self {
        let credentials = CREDENTIAL_NAMES.into_iter().filter(|name| !PUBLIC_NAMES.contains(name));
        let values =
            credentials.chain(names.iter().map(String::as_str)).filter_map(|name| env::var(name).ok());
        Self::new(values)
    }

    /// These values, each line of a multi-line value on its own, and as they look inside JSON.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut all = Vec::new();
        for value in values {
            for line in value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_BYTES) {
                let json = serde_json::Value::from(line).to_string();
                all.push(json.trim_matches('"').to_owned());
                all.push(line.to_owned());
            }
        }
        all.sort_by_key(|value| std::cmp::Reverse(value.len()));
        all.dedup();
        Self { values: all }
    }

    /// The text with every secret replaced.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.values.iter().fold(Cow::Borrowed(text), |text, secret| {
            if text.contains(secret) { Cow::Owned(text.replace(secret, MASK)) } else { text }
        })
    }
}

/// A writer that masks; each `write` must carry whole lines, as the log's formatter does.
#[derive(Debug, Clone)]
pub struct MaskedStderr(pub Secrets);

impl Write for MaskedStderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buffer);
        io::stderr().write_all(self.0.mask(&text).as_bytes())?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        let secrets = Secrets::new(["ghp_abc".to_owned(), "ghp_abcdef".to_owned(), "quo\"ted".to_owned()]);
        assert_eq!(secrets.mask("x ghp_abcdef y ghp_abc"), "x *** y ***");
        assert_eq!(secrets.mask(r#"{"error":"quo\"ted"}"#), r#"{"error":"***"}"#);
    }

    #[test]
    fn each_line_of_a_private_key_is_a_secret() {
        let secrets = Secrets::new(["-----BEGIN-----\nMIIEabc\n-----END-----".to_owned()]);
        assert_eq!(secrets.mask("got MIIEabc"), "got ***");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(Secrets::new(["1".to_owned()]).mask("11"), "11");
    }
}
