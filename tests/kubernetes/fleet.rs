//! A fleet on the cluster, and the real binary that keeps it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster::Cluster;
use testkit::{Finished, Program, Workplace};

/// A roster in a folder of its own.
pub(crate) struct Fleet<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) workplace: Workplace,
    text: Roster,
    kubeconfig: PathBuf,
}

/// What the roster says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    /// Of a whole cycle.
    pub(crate) deadline: String,
    /// Further lines of `[platform]`.
    pub(crate) platform: String,
    /// Further lines of `[platform.kubernetes]`.
    pub(crate) kubernetes: String,
    /// Lines of `[defaults]`.
    pub(crate) defaults: String,
    /// Key and count.
    pub(crate) roles: Vec<(String, u32)>,
    /// Annotations of every new session's pod: see tests/cluster/README.md.
    pub(crate) behaviour: Vec<(String, String)>,
}

impl Roster {
    /// One role, no waiting between its sessions.
    pub(crate) fn of(key: &str, count: u32) -> Self {
        let defaults = "min_runtime = \"0s\"\nbackoff_base = \"0s\"\n".to_owned();
        let deadline = "50s".to_owned();
        Self { deadline, roles: vec![(key.to_owned(), count)], defaults, ..Self::default() }
    }

    fn text(&self, namespace: &str) -> String {
        let Self { deadline, platform, kubernetes, defaults, .. } = self;
        let mut text = format!(
            "fleet = \"demo\"\ndeadline = \"{deadline}\"\n[platform]\n\
             kind = \"kubernetes\"\n{platform}\n\
             [platform.kubernetes]\nnamespace = \"{namespace}\"\nimage = \"example.com/agent:1\"\n\
             template = \"template.yaml\"\n{kubernetes}\n[defaults]\n{defaults}\n"
        );
        for (key, count) in &self.roles {
            let _ = write!(text, "\n[[role]]\nkey = \"{key}\"\ncount = {count}\n");
        }
        text
    }

    fn template(&self) -> String {
        let mut text = "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    metadata:\n      \
             annotations:\n"
            .to_owned();
        let _ = writeln!(text, "        test.coordinator.dev/suite: kubernetes");
        for (key, value) in &self.behaviour {
            let _ = writeln!(text, "        test.coordinator.dev/{key}: {value:?}");
        }
        text
    }
}

impl<'a> Fleet<'a> {
    /// This fleet, nothing of it running yet.
    pub(crate) fn new(cluster: &'a Cluster, roster: Roster) -> Self {
        let workplace = Workplace::new(&roster.text(cluster.namespace()));
        workplace.write("template.yaml", roster.template());
        let kubeconfig =
            std::env::var_os("KUBECONFIG").expect("the cluster was reached with it").into();
        Self { cluster, workplace, text: roster, kubeconfig }
    }

    /// Reaches the cluster with this kubeconfig instead of the administrator's.
    pub(crate) fn with_kubeconfig(&mut self, text: &str) {
        self.workplace.write("kubeconfig", text);
        self.kubeconfig = self.workplace.path().join("kubeconfig");
    }

    /// Edits the roster, as people do to scale.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Roster)) {
        edit(&mut self.text);
        self.workplace.write("roster.toml", self.text.text(self.cluster.namespace()));
        self.workplace.write("template.yaml", self.text.template());
        for (key, _) in &self.text.roles {
            self.workplace.write(&format!("briefs/{key}.md"), "Do one useful thing.");
        }
    }

    /// The kubeconfig of its coordinators.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The binary in this fleet's folder, with its kubeconfig.
    pub(crate) fn program(&self) -> Program {
        let kubeconfig = self.kubeconfig.to_str().expect("a path in UTF-8");
        let binary = Path::new(env!("CARGO_BIN_EXE_coordinator"));
        Program::new(binary, &self.workplace).env("KUBECONFIG", kubeconfig)
    }

    /// Any command.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.program().args(arguments.iter().copied()).run()
    }

    /// One cycle, and its report.
    pub(crate) fn cycle(&self) -> Value {
        self.json(&["reconcile"])
    }

    /// What a command says with `-o json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.program().args(arguments.iter().copied().chain(["-o", "json"])).run();
        assert!(finished.code.is_some(), "a command ends by itself:\n{}", finished.stderr);
        finished.json()
    }
}

/// The text at this place of a report, or nothing.
pub(crate) fn text<'a>(report: &'a Value, pointer: &str) -> &'a str {
    report.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The slots that a list of the spawn report names.
pub(crate) fn slots(report: &Value, list: &str) -> Vec<String> {
    let entries = report["steps"]["spawn"][list].as_array().expect("a list of the report");
    let name = |entry: &Value| entry["slot"].as_str().expect("a slot has a name").to_owned();
    entries.iter().map(name).collect()
}
