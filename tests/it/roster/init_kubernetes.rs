//! `coordinator init --kubernetes`: a fleet for a cluster, named after its folder or its roster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Folder, Run};

fn init(folder: &Folder, dir: &str) -> Run {
    let run = folder.run(&["init", "--kubernetes", dir]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    run
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each file below the folder, with its text.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            let below = files(&path);
            found.extend(below.into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.insert(name, read(&path));
        }
    }
    found
}

#[test]
fn a_fleet_for_a_cluster_is_named_after_its_folder() {
    let folder = Folder::bare("not a roster");
    let run = init(&folder, "My Shop");
    let written = files(&folder.path().join("My Shop"));
    for (file, part) in [
        ("roster.toml", "\nfleet = \"myshop\""),
        ("roster.toml", "\nkind = \"kubernetes\""),
        ("roster.toml", "\nnamespace = \"coordinator-myshop\"\n"),
        ("kustomization.yaml", "\nnamespace: coordinator-myshop\n"),
        ("kustomization.yaml", "coordinator.dev/fleet: \"myshop\"\n"),
        ("briefs/kustomization.yaml", "      - sentinel.md\n"),
    ] {
        assert!(written[file].contains(part), "{part:?} is missing in {file}\n{}", written[file]);
    }
    for part in [
        "  kustomization.yaml\n",
        "kubectl create namespace coordinator-myshop --save-config\n",
        "kubectl apply -k .\n",
        "kubectl -n coordinator-myshop create secret generic reviewers --from-env-file=FILE\n",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("crontab"), "on a cluster, no crontab: {}", run.stdout);
}

#[test]
fn the_manifests_below_the_overlay_are_the_shipped_ones() {
    let folder = Folder::bare("not a roster");
    init(&folder, "shop");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/base");
    assert_eq!(files(&folder.path().join("shop/kubernetes")), files(&shipped));
}

#[test]
fn every_file_that_a_kustomization_names_is_there() {
    let folder = Folder::bare("not a roster");
    for (arguments, expected) in [(&[][..], 17), (&["--full"][..], 39)] {
        let run = folder.run(&[&["init", "--kubernetes", "shop"], arguments].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let dir = folder.path().join("shop");
        assert_eq!(named_files(&files(&dir)), expected, "6 manifests, 2 rosters, briefs, 5 modes");
        fs::remove_dir_all(dir).expect("it can be removed");
    }
}

/// How many files the kustomizations name; each is among those that were written.
fn named_files(written: &BTreeMap<String, String>) -> usize {
    let mut named = 0;
    for (file, text) in written.iter().filter(|(file, _)| file.ends_with("kustomization.yaml")) {
        let below = file.trim_end_matches("kustomization.yaml");
        for entry in text.lines().filter_map(|line| line.trim().strip_prefix("- ")) {
            let path = format!("{below}{entry}");
            if matches!(entry.rsplit('.').next(), Some("md" | "yaml" | "toml")) {
                assert!(written.contains_key(&path), "{file} names {path}");
                named += 1;
            }
        }
    }
    named
}

#[test]
fn a_roster_that_is_there_stays_and_names_the_fleet() {
    let folder = Folder::bare("fleet = \"mine\"\n");
    folder.write("kubernetes/quota.yaml", "mine");
    let run = init(&folder, ".");
    let written = files(folder.path());
    assert_eq!(
        (&*written["roster.toml"], &*written["kubernetes/quota.yaml"]),
        ("fleet = \"mine\"\n", "mine")
    );
    assert!(written["kustomization.yaml"].contains("coordinator.dev/fleet: \"mine\"\n"));
    for part in
        ["they exist:\n  roster.toml\n  kubernetes/quota.yaml\n", " kind = \"kubernetes\"\n"]
    {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
}

#[test]
fn init_twice_changes_nothing() {
    let folder = Folder::bare("not a roster");
    init(&folder, "shop");
    let first = files(&folder.path().join("shop"));
    let again = init(&folder, "shop");
    assert!(again.stdout.contains(": nothing\n"), "{}", again.stdout);
    assert_eq!(files(&folder.path().join("shop")), first);
}

#[test]
fn a_fleet_is_run_by_systemd_or_by_a_cluster() {
    let folder = Folder::bare("");
    let run = folder.run(&["init", "--kubernetes", "--systemd", "shop"]);
    assert_eq!(run.code, Some(2), "{}", run.stdout);
    assert!(run.stderr.contains("cannot be used with"), "{}", run.stderr);
    assert!(!folder.path().join("shop").exists());
}

#[test]
fn the_rosters_for_a_cluster_are_valid() {
    let folder = Folder::bare("not a roster");
    init(&folder, "shop");
    let check = folder.run(&["check", "--config", "shop/roster.toml"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    assert!(check.stdout.contains("fleet shop: 3 roles, 3 agents"), "{}", check.stdout);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes");
    for (path, fleet) in
        [("base", "fleet demo: 0 roles"), ("overlays/example", "fleet example: 2 roles")]
    {
        let folder = Folder::with_briefs(&read(&shipped.join(path).join("roster.toml")));
        let check = folder.run(&["check"]);
        assert_eq!(check.code, Some(0), "{path}: {}", check.stderr);
        assert!(check.stdout.contains(fleet), "{}", check.stdout);
    }
}
