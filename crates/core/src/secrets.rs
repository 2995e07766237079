//! Keeps secrets out of everything that leaves the program.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// Variables that hold the coordinator's own credentials.
const CREDENTIAL_NAMES: [&str; 4] =
    ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_APP_PRIVATE_KEY", "REDIS_URL"];

/// Variables that describe where and as which user a program runs. They are not secrets, even if a
/// `${...}` names them.
const EVERYDAY_NAMES: [&str; 11] =
    ["HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "TMPDIR", "PWD", "HOSTNAME"];

/// Whether a variable is the coordinator's own: no session inherits it. Of `GITHUB_*` some are
/// credentials, and the others describe the workflow run that the coordinator is part of.
pub fn is_own(name: &str) -> bool {
    CREDENTIAL_NAMES.contains(&name) || name.starts_with("GITHUB_")
}

/// Whether a variable stays in every session and is shown, although a `${...}` names it.
pub fn is_everyday(name: &str) -> bool {
    EVERYDAY_NAMES.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_")
}

/// A shorter value masks too much by accident and protects nothing.
const SHORTEST_BYTES: usize = 4;

const MASK: &str = "***";

/// The values to mask, longest first, so that no secret is left over from a shorter one within it.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// The coordinator's credentials and the values of the variables in `names`, looked up in
    /// `environment`.
    pub fn named(names: &BTreeSet<String>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let names = CREDENTIAL_NAMES.into_iter().chain(names.iter().map(String::as_str));
        Self::new(names.filter_map(environment))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        let secrets =
            Secrets::new(["ghp_abc".to_owned(), "ghp_abcdef".to_owned(), "quo\"ted".to_owned()]);
        assert_eq!(secrets.mask("x ghp_abcdef y ghp_abc"), "x *** y ***");
        assert_eq!(secrets.mask(r#"{"error":"quo\"ted"}"#), r#"{"error":"***"}"#);
    }

    #[test]
    fn everyday_variables_are_known_by_name_and_by_prefix_and_no_other_is_one() {
        for name in ["HOME", "PATH", "LC_ALL", "XDG_RUNTIME_DIR", "TMPDIR"] {
            assert!(is_everyday(name) && !is_own(name), "{name}");
        }
        for name in ["REDIS_URL", "GITHUB_TOKEN", "GITHUB_RUN_ID"] {
            assert!(is_own(name), "{name}");
        }
        for name in ["HOMES", "PATH_TOKEN", "LC", "ANTHROPIC_API_KEY", "REDIS_URL", "GITHUB_TOKEN"]
        {
            assert!(!is_everyday(name), "{name}");
        }
    }

    #[test]
    fn each_line_of_a_private_key_is_a_secret() {
        let secrets = Secrets::new(["-----BEGIN-----\nMIIEabc\n-----END-----".to_owned()]);
        assert_eq!(secrets.mask("got MIIEabc"), "got ***");
    }

    #[test]
    fn the_own_credentials_and_the_named_variables_are_secrets() {
        let environment = |name: &str| match name {
            "GH_TOKEN" => Some("token".to_owned()),
            "MODEL_KEY" => Some("model".to_owned()),
            "PATH" => Some("/bin".to_owned()),
            _ => None,
        };
        let secrets = Secrets::named(&BTreeSet::from(["MODEL_KEY".to_owned()]), environment);
        assert_eq!(secrets.mask("token model /bin"), "*** *** /bin");
    }

    #[test]
    fn short_values_are_left_alone() {
        let secrets = Secrets::new(["123".to_owned(), "abcd".to_owned()]);
        assert_eq!(secrets.mask("1234 abcde"), "1234 ***e");
    }
}
