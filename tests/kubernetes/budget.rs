//! A budget on a real cluster: what replaced Jobs cost is in the ledger, and the ledger is read.

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Roster, slots};

const SESSION: &str = "demo-ui-builder-s0";

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_cap_of_a_day_holds_once_the_replaced_sessions_have_used_it_up() {
    let cluster = Cluster::new("budget");
    let capped = |usd: &str| Roster {
        defaults: format!(
            "min_runtime = \"0s\"\nbackoff_base = \"0s\"\nsession_usd = 2.0\n\
             [budget]\nper_day_usd = {usd}\n"
        ),
        ..Roster::of("ui_builder", 1)
    };
    let mut fleet = Fleet::new(&cluster, capped("5.0"));
    for session in 1..=2 {
        let report = fleet.cycle();
        assert_eq!(slots(&report, "spawned"), [SESSION], "session {session}: {report:#}");
        cluster.end(SESSION, 0, "done");
    }
    let report = fleet.cycle();
    assert_eq!(report["steps"]["spawn"]["held"][0]["reason"], "budget", "{report:#}");
    assert_eq!(report["status"], "degraded", "{report:#}");
    let cap = fleet.json(&["budget"])["caps"][0].clone();
    assert_eq!((&cap["spent_usd"], &cap["held"]), (&4.0.into(), &true.into()), "{cap:#}");
    assert!(cap["free_at"].is_string(), "{cap:#}");

    fleet.edit(|roster| *roster = capped("6.0"));
    assert_eq!(slots(&fleet.cycle(), "spawned"), [SESSION], "the raised cap has room");
}
