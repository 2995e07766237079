//! `coordinator plugin-test`, tried on a plugin that keeps the protocol and on the same plugin with
//! one thing broken.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const PLUGIN: &str = include_str!("plugin_test/plugin.sh");

/// One fault of a plugin, and the rows that must fail.
struct Mutant {
    from: &'static str,
    to: &'static str,
    rows: &'static [&'static str],
}

const MUTANTS: &[Mutant] = &[
    Mutant { from: r#""protocol":[1]"#, to: r#""protocol":[2]"#, rows: &["capabilities"] },
    Mutant { from: r#""complete":true"#, to: r#""complete":false"#, rows: &["empty_fleet"] },
    Mutant { from: r#"*'"dry_run":true'*)"#, to: "never)", rows: &["dry_run"] },
    // Each request makes a session beside the last one.
    Mutant {
        from: "place=$state/$(text session)\n",
        to: "place=$state/$(text session)-$$\n",
        rows: &["one_of_many"],
    },
    // The lock has the generation in it.
    Mutant {
        from: "place=$state/$(text session)\n",
        to: "place=$state/$(text session)-$(number generation)\n",
        rows: &["taken", "next_generation"],
    },
    Mutant { from: r#""cycle":"%s""#, to: r#""other":"%s""#, rows: &["listed"] },
    Mutant { from: r#""generation":%s,"#, to: r#""generation":7%s,"#, rows: &["listed"] },
    Mutant { from: "&& answer exists \"$known\"", to: "&& refuse conflict", rows: &["replay"] },
    Mutant {
        from: "case $request in '{'",
        to: "case $request in '{'*of_a_later*) refuse invalid ;; '{'",
        rows: &["unknown_fields"],
    },
    Mutant {
        from: "request=$(cat)",
        to: "request=$(dd bs=65536 count=1 2>/dev/null)",
        rows: &["slow_request"],
    },
    Mutant {
        from: "    *) outcome=\"\\\"failure\\\"",
        to: "    *) outcome=\"\\\"success\\\"",
        rows: &["ends"],
    },
    Mutant { from: "|| refuse unavailable", to: "|| :", rows: &["expired"] },
    Mutant {
        from: "'\"timeout\",\"exit_code\":null'",
        to: "'\"failure\",\"exit_code\":124'",
        rows: &["time_limit"],
    },
    Mutant { from: "'{'*'}') ;; *) refuse invalid ;;", to: "*) ;;", rows: &["garbage"] },
    Mutant { from: "  exit 1\n", to: "  exit 0\n", rows: &["garbage", "unknown_operation"] },
    Mutant { from: "*) refuse unsupported ;;", to: "*) sleep 60 ;;", rows: &["unknown_operation"] },
    Mutant { from: "|| refuse conflict", to: "|| :", rows: &["stale_view"] },
    Mutant {
        from: "then mv \"$place\" \"$place.g",
        to: "then rm -rf \"$place\"; : \"$place.g",
        rows: &["next_generation"],
    },
    Mutant {
        from: "\"$(number tail_bytes)\" \"$place/log\"",
        to: "99 \"$place/log\"",
        rows: &["logs"],
    },
    // A line that the agent has not finished.
    Mutant { from: "lines=$(wc -l <\"$place/log\")", to: "lines=99", rows: &["follow"] },
    Mutant { from: "item=,$(object item)", to: "item=", rows: &["items"] },
    Mutant { from: "|| refuse superseded", to: "|| :", rows: &["superseded"] },
    // The comparison reads the live sessions alone.
    Mutant {
        from: "\"${ran:-0}\" ] || refuse superseded",
        to: "\"$((generation - 1))\" ] || refuse superseded",
        rows: &["superseded"],
    },
    Mutant {
        from: "outcome=\"\\\"stopped\\\"",
        to: "outcome=\"\\\"cancelled\\\"",
        rows: &["stop"],
    },
    Mutant { from: "    kill \"$(cat \"$place/pid\")\"\n", to: "", rows: &["stop"] },
    Mutant { from: "  rm -rf \"$state/$(text fleet)\"-*\n", to: "", rows: &["forget"] },
    // A process that it leaves behind still runs when the session is finished.
    Mutant {
        from: "  exec 9>&-\n",
        to: "  exec 9>&-\n  setsid sleep 30 &\n  echo $! >>\"$state/strays\"\n",
        rows: &["nothing_left"],
    },
];

/// A plugin in a folder of its own; dropping it ends its processes.
struct Plugin {
    folder: TempDir,
}

impl Plugin {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let plugin = Self { folder };
        fs::write(plugin.path(), script).expect("a file can be written");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(plugin.path(), mode).expect("a file can be made executable");
        plugin
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("plugin")
    }

    /// The exit code, and the rows: name and result.
    fn tried(&self) -> (Option<i32>, Value) {
        let mut command = coordinator(self.folder.path());
        let command =
            command.args(["plugin-test", "-o", "json", "--timeout", "10s"]).arg(self.path());
        let output = command.output().expect("the binary starts");
        let stdout = String::from_utf8(output.stdout).expect("it is UTF-8");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
        (output.status.code(), document)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let strays =
            fs::read_to_string(self.folder.path().join("state/strays")).unwrap_or_default();
        for stray in strays
            .lines()
            .filter_map(|pid| pid.parse().ok())
            .filter_map(rustix::process::Pid::from_raw)
        {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(stray, rustix::process::Signal::KILL);
        }
    }
}

fn coordinator(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .current_dir(folder);
    command
}

fn rows_that(result: &str, document: &Value) -> Vec<String> {
    let rows = document["rows"].as_array().expect("it has rows").iter();
    let rows = rows.filter(|row| row["result"] == result);
    rows.map(|row| row["row"].as_str().expect("a row has a name").to_owned()).collect()
}

#[test]
fn a_plugin_that_keeps_the_protocol_passes_every_row() {
    let (code, document) = Plugin::new(PLUGIN).tried();
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(document["schema"], "coordinator.plugin-test/v1");
    assert_eq!(
        (&document["name"], &document["slot_exclusive"]),
        (&"fake".into(), &"create".into())
    );
    assert_eq!(
        (&document["passed"], &document["failed"], &document["skipped"]),
        (&25.into(), &0.into(), &0.into())
    );
}

#[test]
fn a_broken_plugin_fails_in_the_row_of_its_fault() {
    let mutants = MUTANTS.iter().map(|mutant| {
        assert_eq!(PLUGIN.matches(mutant.from).count(), 1, "{}", mutant.from);
        (mutant, Plugin::new(&PLUGIN.replace(mutant.from, mutant.to)))
    });
    let mutants: Vec<_> = mutants.collect();
    // Most of the time they sleep.
    for some in mutants.chunks(7) {
        std::thread::scope(|scope| {
            let tried: Vec<_> = some
                .iter()
                .map(|(mutant, plugin)| (mutant, scope.spawn(|| plugin.tried())))
                .collect();
            for (mutant, tried) in tried {
                let (code, document) = tried.join().expect("the binary ran");
                let failed = rows_that("fail", &document);
                let told = mutant.rows.iter().all(|row| failed.iter().any(|one| one == row));
                assert!(
                    told && code == Some(1),
                    "`{}` fails in {failed:?}, exit {code:?}",
                    mutant.to
                );
            }
        });
    }
}

#[test]
fn a_plugin_without_a_lock_is_not_tested_for_one_and_the_roster_is_warned() {
    let script = PLUGIN
        .replace(r#""slot_exclusive":"create","blind_spawn":true"#, r#""slot_exclusive":"none""#);
    let (code, document) = Plugin::new(&script).tried();
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(
        rows_that("skipped", &document),
        ["one_of_many", "taken", "killed", "items", "superseded"]
    );
    let demand = document["demand"].as_str().expect("it demands something");
    assert!(demand.contains("on_inventory_failure = \"skip\""), "{demand}");
}

#[test]
fn a_plugin_of_roles_alone_is_not_tested_for_items() {
    let script = PLUGIN.replace(r#","items":true,"stop":true,"forget":true"#, "");
    let (code, document) = Plugin::new(&script).tried();
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(rows_that("skipped", &document), ["items", "superseded", "stop", "forget"]);
}

#[test]
fn a_path_without_a_program_is_a_mistake_in_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let output = coordinator(folder.path())
        .args(["plugin-test", "./nothing"])
        .output()
        .expect("the binary starts");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("plugin not found: ./nothing"));
}

#[test]
fn a_plugin_that_cannot_be_started_is_a_mistake_and_not_a_failed_test() {
    let plugin = Plugin::new("#!/no/such/interpreter\n");
    let folder = tempfile::tempdir().expect("a folder can be made");
    for program in [plugin.path().to_string_lossy().as_ref(), "no-such-plugin-on-path"] {
        let output = coordinator(folder.path())
            .args(["plugin-test", program])
            .output()
            .expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{stderr}");
    }
}
