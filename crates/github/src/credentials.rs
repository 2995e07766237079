//! The coordinator's credentials for GitHub, from the environment.

use std::env;
use std::fmt;
use std::fs;

use anyhow::{Context, bail, ensure};
use http::HeaderValue;
use octocrab::auth::{EncodingKey, create_jwt};
use octocrab::models::AppId;

const APP: [&str; 3] = ["GITHUB_APP_ID", "GITHUB_APP_INSTALLATION_ID", "GITHUB_APP_PRIVATE_KEY"];
const TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

#[derive(Clone)]
pub enum Credentials {
    /// A personal token, or the token of GitHub Actions.
    Token(HeaderValue),
    /// An installation of a GitHub App.
    App(App),
}

/// An installation of a GitHub App.
#[derive(Clone)]
pub struct App {
    id: u64,
    pub(super) installation: u64,
    key: EncodingKey,
}

impl Credentials {
    /// The App, else `GITHUB_TOKEN`, else `GH_TOKEN`; an empty variable counts as absent.
    ///
    /// Fails on a part of an App alone, an invalid key, or an invalid token.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        let value = |name| {
            variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        match APP.map(value) {
            [Some(id), Some(installation), Some(key)] => app(&id, &installation, &key).map(Some),
            [None, None, None] => TOKENS
                .into_iter()
                .find_map(|name| Some((name, value(name)?)))
                .map(|(name, token)| Self::token(&token).with_context(|| format!("read {name}")))
                .transpose(),
            parts => {
                let missing: Vec<&str> = APP
                    .into_iter()
                    .zip(parts)
                    .filter(|(_, part)| part.is_none())
                    .map(|(name, _)| name)
                    .collect();
                bail!(
                    "incomplete GitHub App: {} is not set; \
                     set it, or unset the other GITHUB_APP_ variables",
                    missing.join(" and ")
                )
            }
        }
    }

    /// Credentials of one token.
    ///
    /// Fails where it has characters that a token cannot have.
    pub fn token(token: &str) -> anyhow::Result<Self> {
        bearer(token).map(Self::Token)
    }
}

impl App {
    /// A header that authenticates the App itself, valid for nine minutes.
    pub(super) fn header(&self) -> anyhow::Result<HeaderValue> {
        let jwt = create_jwt(AppId(self.id), &self.key).context("sign in as the GitHub App")?;
        bearer(&jwt)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(***)"),
            Self::App(app) => write!(f, "App({}, ***)", app.id),
        }
    }
}

/// An `Authorization` header that is never logged.
pub(super) fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let printable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(
        printable,
        "it is not a token: it has spaces, control characters or characters beyond ASCII"
    );
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn app(id: &str, installation: &str, key: &str) -> anyhow::Result<Credentials> {
    let number = |name: &str, text: &str| {
        text.parse::<u64>().with_context(|| format!("read {name}: it must be a number"))
    };
    let pem = pem(key)?;
    // The parser's own error may quote the key.
    let Ok(key) = EncodingKey::from_rsa_pem(pem.as_bytes()) else {
        bail!("GITHUB_APP_PRIVATE_KEY is not an RSA private key in PEM form");
    };
    Ok(Credentials::App(App {
        id: number(APP[0], id)?,
        installation: number(APP[1], installation)?,
        key,
    }))
}

/// The key itself, its line ends perhaps written as `\n`, or the file that holds it.
fn pem(key: &str) -> anyhow::Result<String> {
    if key.starts_with("-----BEGIN") {
        return Ok(key.replace("\\n", "\n"));
    }
    // A key without its first line is not a path and must not be quoted as one.
    ensure!(
        key.len() < 512 && !key.contains('\n'),
        "GITHUB_APP_PRIVATE_KEY is neither a PEM key nor a path"
    );
    fs::read_to_string(key).context("read the file that GITHUB_APP_PRIVATE_KEY names")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> anyhow::Result<Option<Credentials>> {
        Credentials::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn no_variable_or_an_empty_one_is_no_token() {
        assert!(with(&[]).expect("nothing is wrong with nothing").is_none());
        assert!(
            with(&[("GITHUB_TOKEN", ""), ("GH_TOKEN", " ")]).expect("empty is absent").is_none()
        );
    }

    #[test]
    fn the_first_token_that_is_set_counts() {
        let found = with(&[("GITHUB_TOKEN", ""), ("GH_TOKEN", "second\n")]).expect("a good token");
        let Some(Credentials::Token(header)) = found else { panic!("a token was expected") };
        assert_eq!(header.as_bytes(), b"Bearer second");
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_part_of_an_app_alone_is_an_error_that_names_the_rest() {
        let error =
            with(&[("GITHUB_APP_ID", "1"), ("GITHUB_TOKEN", "t")]).expect_err("a part is missing");
        let text = format!("{error:#}");
        assert!(text.contains("GITHUB_APP_INSTALLATION_ID and GITHUB_APP_PRIVATE_KEY"), "{text}");
    }

    #[test]
    fn an_error_never_quotes_a_secret() {
        let app = |key| with(&[(APP[0], "1"), (APP[1], "2"), (APP[2], key)]);
        let long = "MIIE".repeat(400);
        for (result, secret) in [
            (with(&[("GITHUB_TOKEN", "sec ret")]), "sec ret"),
            (
                app("-----BEGIN RSA PRIVATE KEY-----\nMIIEsecret\n-----END RSA PRIVATE KEY-----"),
                "MIIEsecret",
            ),
            (app(&long), "MIIEMIIE"),
        ] {
            let text = format!("{:?}", result.expect_err("no such credential is valid"));
            assert!(!text.contains(secret), "{text}");
        }
    }
}
