//! `[platform.exec]`: defaults, overrides, and what cannot be.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use coordinator_platform_local::exec::ExecSettings;
use coordinator_roster::{PlatformKind, Roster};

use super::Folder;
use super::mistakes::refused;

const ROLE: &str = "[[role]]\nkey = \"a\"\n";

fn roster(settings: &str) -> String {
    format!("fleet = \"demo\"\n[platform]\nkind = \"exec\"\n[platform.exec]\n{settings}\n{ROLE}")
}

fn load(folder: &Folder) -> (Roster, ExecSettings) {
    let roster = folder.load().unwrap_or_else(|problems| panic!("{problems}"));
    match &roster.platform.kind {
        PlatformKind::Exec(settings) => (roster.clone(), settings.clone()),
        other => panic!("the platform is exec, not {other:?}"),
    }
}

fn program(folder: &Folder, path: &str, mode: u32) {
    folder.write(path, "#!/bin/sh\n");
    fs::set_permissions(folder.path().join(path), Permissions::from_mode(mode))
        .expect("the file is there");
}

#[test]
fn a_plugin_is_all_that_exec_needs() {
    let (roster, settings) = load(&Folder::with_briefs(&roster("plugin = \"vendor\"")));
    assert_eq!(settings.plugin, Path::new("vendor"), "a bare name is looked up when it is needed");
    assert_eq!(settings.timeout, Duration::from_secs(30));
    assert!(settings.env.is_empty() && roster.secret_names.is_empty());
    assert_eq!(settings.state_dir, Path::new("/home/someone/.local/state/coordinator"));
}

#[test]
fn every_key_arrives_and_what_a_variable_names_is_a_secret() {
    let text = roster(
        "plugin = \"plugins/tmux\"\ntimeout = \"2m\"\n\
         env = { KEY = \"Bearer ${TOKEN}\", PLAIN = \"x\" }\nstate_dir = \"state\"",
    );
    let folder = Folder::with_briefs(&text);
    program(&folder, "plugins/tmux", 0o755);
    let (roster, settings) = load(&folder);
    let home = folder.path().canonicalize().expect("it is there");
    assert_eq!(settings.plugin, home.join("plugins/tmux"));
    assert_eq!(settings.timeout, Duration::from_secs(120));
    let pairs = [("KEY", "Bearer s3cret-value"), ("PLAIN", "x")];
    assert_eq!(
        settings.env,
        BTreeMap::from(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    );
    assert_eq!(roster.secret_names.iter().collect::<Vec<_>>(), ["TOKEN"]);
    assert_eq!(settings.state_dir, home.join("state"));
}

#[test]
fn what_cannot_be_is_refused_with_its_place_and_what_to_do() {
    refused(&roster(""), "4:1", &["[platform.exec] has no `plugin`", "add `plugin = "]);
    let kind_alone = format!("fleet = \"demo\"\n[platform]\nkind = \"exec\"\n{ROLE}");
    refused(&kind_alone, "3:8", &["[platform.exec] has no `plugin`"]);
    refused(&roster("plugin = \"plugins/none\""), "5:10", &["plugin not found: plugins/none"]);
    refused(&roster("plugin = \"x\"\ntimeout = \"0s\""), "6:11", &["1s to 365days"]);
}

#[test]
fn a_variable_that_is_not_set_is_left_out_and_remembered() {
    let (roster, settings) =
        load(&Folder::with_briefs(&roster("plugin = \"x\"\nenv = { K = \"a ${NO}\", L = \"b\" }")));
    assert_eq!(settings.env, BTreeMap::from([("L".to_owned(), "b".to_owned())]));
    let [missing] = roster.missing.as_slice() else { panic!("one: {:?}", roster.missing) };
    assert_eq!((missing.variable.as_str(), missing.plugin, missing.roles.len()), ("NO", true, 0));
}

#[test]
fn a_file_that_is_not_executable_is_not_a_plugin() {
    let folder = Folder::with_briefs(&roster("plugin = \"./plugin\""));
    program(&folder, "plugin", 0o644);
    let problems = folder.load().map(drop).expect_err("it cannot be run");
    assert!(problems.contains("plugin not found: ./plugin"), "{problems}");
}
