//! A fleet on the fake cluster, driven through the real binary.

use serde_json::{Value, json};

use crate::coordinator;
use testkit::kubernetes::cluster::Cluster;
use testkit::kubernetes::request::Asked;
use testkit::kubernetes::trouble::Call;
use testkit::workplace::RosterText;
use testkit::{Finished, Kubernetes, Program, Workplace};

/// Settings that keep slots free to start: each test sets the limits that it needs.
pub(crate) const OPEN: &str = "backoff_base = \"0s\"";

/// One cycle of inventory and spawn.
pub(crate) const RECONCILE: [&str; 5] = ["reconcile", "--only", "spawn", "-o", "json"];

/// The slot of most tests.
pub(crate) const SLOT: &str = "demo-ui-builder-s0";

/// The time limit of the shipped defaults and the start timeout, in seconds.
pub(crate) const START_TIMEOUT: i64 = 600;

pub(crate) struct Fleet {
    pub(crate) cluster: Kubernetes,
    workplace: Workplace,
}

/// A roster on Kubernetes: these lines of `[defaults]`, these roles and counts.
pub(crate) fn roster(defaults: &str, roles: &[(&str, u32)]) -> RosterText {
    let text = RosterText::kubernetes("").defaults(defaults);
    roles.iter().fold(text, |text, (key, count)| text.role(key, *count, r#"["agent", "{prompt}"]"#))
}

impl Fleet {
    /// With slots that nothing holds back.
    pub(crate) fn open(roles: &[(&str, u32)]) -> Self {
        Self::of(&roster(OPEN, roles))
    }

    pub(crate) fn of(roster: &RosterText) -> Self {
        Self { cluster: Kubernetes::start(), workplace: roster.write() }
    }

    /// From the next run on.
    pub(crate) fn rewrite(&self, roster: &RosterText) {
        self.write_roster("roster.toml", roster);
    }

    /// Another roster beside the fleet's own.
    pub(crate) fn write_roster(&self, file: &str, roster: &RosterText) {
        self.workplace.write(file, roster.text());
        for key in roster
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("key = \"")?.strip_suffix('"'))
        {
            self.workplace.write(&format!("briefs/{key}.md"), "Do one useful thing.");
        }
    }

    pub(crate) fn workplace(&self) -> &Workplace {
        &self.workplace
    }

    pub(crate) fn program<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Program {
        coordinator(&self.workplace).kubeconfig(&self.cluster).args(arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.program(arguments.iter().copied()).run()
    }

    /// One cycle, as its report.
    pub(crate) fn reconcile(&self) -> Value {
        self.run(&RECONCILE).json()
    }

    /// One cycle, and nothing in the journal but its requests.
    pub(crate) fn reconcile_alone(&self) -> Value {
        self.cluster.forget();
        self.reconcile()
    }

    /// The sessions that `sessions` lists for a slot, oldest first.
    pub(crate) fn sessions(&self, slot: &str) -> Vec<Value> {
        let listing = self.run(&["sessions", "-o", "json"]).json();
        let sessions = listing["sessions"].as_array().expect("sessions are an array").clone();
        sessions.into_iter().filter(|session| session["slot"] == slot).collect()
    }

    /// The uid of a slot's Job.
    pub(crate) fn uid(&self, slot: &str) -> String {
        self.cluster.state().job(slot)["metadata"]["uid"].as_str().expect("a uid").to_owned()
    }

    /// The generation of a slot's Job.
    pub(crate) fn generation(&self, slot: &str) -> String {
        let label =
            self.cluster.state().job(slot)["metadata"]["labels"]["coordinator.dev/generation"]
                .clone();
        label.as_str().expect("a label is text").to_owned()
    }

    /// The requests of this kind, in order.
    pub(crate) fn asked(&self, call: Call) -> Vec<Asked> {
        self.cluster.journal().into_iter().filter(|asked| asked.call == call).collect()
    }
}

/// Live Jobs of the fleet in these slots of a role, as earlier cycles made them.
pub(crate) fn occupy(cluster: &mut Cluster, role: &str, slots: std::ops::Range<u32>) {
    for index in slots {
        let name = format!("demo-{}-s{index}", role.replace('_', "-"));
        let labels = json!({
            "coordinator.dev/fleet": "demo", "coordinator.dev/role": role,
            "coordinator.dev/slot": name,
            "coordinator.dev/generation": "1",
        });
        cluster.add(&name, &labels);
    }
}

/// The slots in one array of the spawn step.
pub(crate) fn slots(report: &Value, array: &str) -> Vec<String> {
    let items = report["steps"]["spawn"][array].as_array().expect("arrays are always present");
    let name = |item: &Value| item["slot"].as_str().or(item.as_str()).map(str::to_owned);
    items.iter().map(|item| name(item).expect("an item names its slot")).collect()
}

/// The reasons for which slots were held.
pub(crate) fn held(report: &Value) -> Vec<String> {
    let items = report["steps"]["spawn"]["held"].as_array().expect("arrays are always present");
    items
        .iter()
        .map(|item| item["reason"].as_str().expect("a reason is a word").to_owned())
        .collect()
}

/// The only failure of the spawn step.
pub(crate) fn failure(report: &Value) -> String {
    let failed = report["steps"]["spawn"]["failed"].as_array().expect("arrays are always present");
    assert_eq!(failed.len(), 1, "{report:#}");
    failed[0]["error"].as_str().expect("a failure has an error").to_owned()
}

/// Asserts that no start was tried.
pub(crate) fn assert_idle(report: &Value) {
    assert_eq!(slots(report, "spawned"), [""; 0], "{report:#}");
    assert_eq!(slots(report, "failed"), [""; 0], "{report:#}");
}
