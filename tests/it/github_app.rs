//! Signing in as a GitHub App.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::contract::assert_conforms;
use crate::coordinator;
use crate::merging::merged;
use testkit::workplace::RosterText;
use testkit::{Fault, Finished, GitHub, Kind, Pull, Repository, Route};

/// A key, and its PEM as GitHub hands it out.
fn key() -> (KeyPair, String) {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key can be made");
    let der: Pkcs8V1Der = key.as_der().expect("a key can be written");
    let lines = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> =
        lines.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    (key, pem)
}

fn run(github: &GitHub, pem: &str) -> Finished {
    let finished = coordinator(&RosterText::default().merging(github, "").write())
        .env("GITHUB_APP_ID", "4711")
        .env("GITHUB_APP_INSTALLATION_ID", "99")
        .env("GITHUB_APP_PRIVATE_KEY", pem)
        .args(["reconcile", "--only", "merge", "-o", "json", "--log-level", "debug"])
        .run();
    for line in pem.lines().filter(|line| !line.starts_with("-----")) {
        finished.hides(line);
    }
    finished
}

#[test]
fn an_app_signs_in_once_and_works_with_the_installations_token() {
    let github = GitHub::start(Repository::with([Pull::eligible(1), Pull::eligible(2)]));
    github.state().installation = Some(99);
    github.state().repository().viewer_permission = None;
    let (key, pem) = key();
    let finished = run(&github, &pem);
    assert_eq!(merged(&finished.json()["steps"]["merge"]), json!([1, 2]), "{}", finished.stderr);
    assert_conforms(&github);
    assert_eq!(github.count(Kind::AccessToken), 1);
    let journal = github.journal();
    for entry in &journal[1..] {
        assert!(entry.header("authorization").ends_with("-of-installation-99"), "{}", entry.path);
    }
    let jwt = journal[0].header("authorization").trim_start_matches("Bearer ").to_owned();
    let (signed, signature) = jwt.rsplit_once('.').expect("a token of three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
        .verify(signed.as_bytes(), &signature)
        .expect("signed with the App's key");
    let claims = signed.split_once('.').map(|(_, claims)| claims).unwrap_or_default();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    let (issued, expires) =
        (claims["iat"].as_u64().expect("iat"), claims["exp"].as_u64().expect("exp"));
    assert_eq!(claims["iss"].to_string().trim_matches('"'), "4711");
    assert!(
        expires > issued && expires - issued <= 660,
        "GitHub takes at most ten minutes: {claims}"
    );
}

#[test]
fn an_app_that_cannot_sign_in_fails_the_merge_step_alone() {
    let (_, pem) = key();
    for fault in
        [Fault::status(401, "A JSON web token could not be decoded"), Fault::html(), Fault::reset()]
    {
        let github = GitHub::start(Repository::with([Pull::eligible(1)]));
        github.always(Route::AccessToken, fault);
        let finished = run(&github, &pem);
        let step = &finished.json()["steps"]["merge"];
        assert_eq!(step["outcome"], "failed", "{step:#}");
        assert_eq!(github.count(Kind::List), 0);
    }
}

#[test]
fn a_server_that_quotes_our_credentials_brings_them_into_no_output() {
    let github = GitHub::start(Repository::with([Pull::eligible(1)]));
    github.state().installation = Some(99);
    let (_, pem) = key();
    run(&github, &pem);
    let journal = github.journal();
    let token = journal[1].header("authorization").trim_start_matches("Bearer ").to_owned();
    assert!(token.len() > 10, "{token}");
    // Long enough that cutting the message cuts the token.
    let message = format!("{} Bearer {token}", "x".repeat(190));
    github.always(Route::List, Fault::status(401, &message));
    let finished = run(&github, &pem);
    let error = finished.json()["steps"]["merge"]["error"].to_string();
    assert!(error.contains("401"), "{error}");
    finished.hides(&token);
    finished.hides(&token[..6]);
}
