//! Step 4, seen from outside: one GET per endpoint, and a verdict on its answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::coordinator;
use crate::world::production::Refusing;
use crate::world::server::Ending;
use crate::world::workplace::RosterText;
use crate::world::{Finished, GitHub, Production, Pull, Reply, Repository};

fn check(roster: &RosterText) -> (Finished, Value) {
    let finished = coordinator(&roster.write()).args(["reconcile", "--only", "health", "-o", "json"]).run();
    let report = finished.json();
    (finished, report)
}

fn check_url(url: &str, settings: &str) -> (Value, Finished) {
    let (finished, report) = check(&RosterText::default().watching("production", url, settings));
    (report["steps"]["health"]["endpoints"][0].clone(), finished)
}

fn watching(production: &Production, settings: &str) -> RosterText {
    RosterText::default().watching("production", &production.url(), settings)
}

#[test]
fn a_healthy_endpoint_costs_one_request() {
    let production = Production::up();
    let (finished, report) = check(&watching(&production, ""));
    assert_eq!((finished.code, &report["status"]), (Some(0), &Value::from("healthy")));
    let endpoint = &report["steps"]["health"]["endpoints"][0];
    assert_eq!((&endpoint["verdict"], &endpoint["status"]), (&Value::from("up"), &Value::from(200)));
    assert_eq!(production.state().journal, ["GET /healthz"]);
    assert_eq!(report["requests"]["health"], 1);
    assert_eq!(report["steps"]["health"]["recent_merges"], Value::Array(Vec::new()));
}

#[test]
fn every_kind_of_trouble_has_its_verdict_status_and_exit_code() {
    let wire = |ending| Reply::new(200, "ok").ending(ending);
    let silent = Reply::new(200, "ok").after(Duration::MAX);
    for (reply, settings, verdict, status, code) in [
        (Reply::new(503, "busy"), "", "down", "broken", 1),
        (Reply::new(404, "what?"), "", "unexpected", "degraded", 0),
        (Reply::new(200, "<html>"), "expect = [204]", "unexpected", "degraded", 0),
        (Reply::new(418, "tea"), "expect = [418]", "up", "healthy", 0),
        (silent, "timeout = \"1s\"", "potential_outage", "broken", 1),
        (wire(Ending::Garbage(b"\x16\x03 no HTTP\r\n\r\n".to_vec())), "", "potential_outage", "broken", 1),
        (wire(Ending::Reset), "", "potential_outage", "broken", 1),
    ] {
        let (finished, report) = check(&watching(&Production::start(reply), settings));
        let seen = (report["steps"]["health"]["endpoints"][0]["verdict"].as_str(), report["status"].as_str());
        assert_eq!(seen, (Some(verdict), Some(status)), "{report}");
        assert_eq!(finished.code, Some(code), "{report}");
    }
}

#[test]
fn three_redirects_are_followed_and_four_are_not() {
    let production = Production::up();
    for (redirects, verdict, status) in [(3, "up", 200), (4, "unexpected", 302)] {
        let (_, report) =
            check(&RosterText::default().watching("production", &production.url_over(redirects), ""));
        let endpoint = &report["steps"]["health"]["endpoints"][0];
        assert_eq!(
            (&endpoint["verdict"], &endpoint["status"]),
            (&verdict.into(), &status.into()),
            "{endpoint}"
        );
        assert_eq!(report["requests"]["health"], 1);
    }
}

#[test]
fn endpoints_are_asked_at_once_and_reported_in_roster_order() {
    let slow = Production::start(Reply::new(200, "ok").after(Duration::from_millis(300)));
    let fast = Production::up();
    let roster = RosterText::default().watching("slow", &slow.url(), "").watching("fast", &fast.url(), "");
    let (_, report) = check(&roster);
    let endpoints = report["steps"]["health"]["endpoints"].as_array().expect("a list");
    let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint["name"].as_str()).collect();
    assert_eq!(names, [Some("slow"), Some("fast")]);
}

#[test]
fn when_production_is_down_the_merges_of_this_cycle_are_named() {
    let github = GitHub::start(Repository::with([Pull { number: 7, ..Pull::default() }]));
    let production = Production::start(Reply::new(500, "broken"));
    let workplace = watching(&production, "").merging(&github, "").deadline("60s").write();
    let finished = coordinator(&workplace).args(["reconcile", "--only", "merge,health", "-o", "json"]).run();
    let report = finished.json();
    assert_eq!(github.merged(), [7]);
    assert_eq!(report["steps"]["health"]["recent_merges"][0]["number"], 7, "{report}");
}

#[test]
fn a_status_becomes_a_verdict_and_an_exit_code() {
    for (status, settings, verdict, code) in [
        (200, "", "up", 0),
        (204, "", "up", 0),
        (204, "expect = [200]", "unexpected", 0),
        (404, "", "unexpected", 0),
        (404, "expect = [404]", "up", 0),
        (429, "", "unexpected", 0),
        (500, "", "down", 1),
        (503, "", "down", 1),
        (503, "expect = [503]", "up", 0),
    ] {
        let production = Production::start(Reply::new(status, ""));
        let (endpoint, finished) = check_url(&production.url(), settings);
        assert_eq!(endpoint["verdict"], verdict, "{status} {settings}: {endpoint}");
        assert_eq!(endpoint["status"], json!(status), "{endpoint}");
        assert_eq!(finished.code, Some(code), "{status} {settings}: {}", finished.stderr);
        assert_eq!(production.state().journal, ["GET /healthz"]);
    }
}

#[test]
fn no_answer_is_a_potential_outage() {
    let silent = Production::start(Reply::new(200, "").after(Duration::MAX));
    let garbage =
        Production::start(Reply::new(200, "").ending(Ending::Garbage(b"\x00\xffno http\r\n\r\n".to_vec())));
    let reset = Production::start(Reply::new(200, "").ending(Ending::Reset));
    let refusing = Refusing::start();
    let no_tls = Production::up();
    for url in [
        silent.url(),
        garbage.url(),
        reset.url(),
        refusing.url(),
        no_tls.url().replace("http://", "https://"),
        "http://no-such-host.invalid/".to_owned(),
    ] {
        let (endpoint, finished) = check_url(&url, "timeout = \"400ms\"");
        assert_eq!(endpoint["verdict"], "potential_outage", "{url}: {endpoint}");
        assert_eq!(endpoint["status"], Value::Null, "{url}");
        assert!(endpoint["error"].as_str().is_some_and(|error| !error.is_empty()), "{url}: {endpoint}");
        assert_eq!((finished.code, &finished.json()["status"]), (Some(1), &json!("broken")), "{url}");
    }
}

#[test]
fn the_body_is_not_waited_for() {
    let endless = Production::start(Reply::new(200, "x".repeat(10_000)).ending(Ending::Trickle));
    let (endpoint, _) = check_url(&endless.url(), "timeout = \"5s\"");
    assert_eq!((&endpoint["verdict"], &endpoint["error"]), (&json!("up"), &Value::Null), "{endpoint}");
    let huge = Production::start(Reply::new(200, vec![b'x'; 64 << 20]));
    assert_eq!(check_url(&huge.url(), "").0["verdict"], "up");
}

#[test]
fn without_an_endpoint_the_step_is_not_configured() {
    let (finished, report) = check(&RosterText::default());
    assert_eq!(report["steps"]["health"]["outcome"], "not_configured");
    assert_eq!(finished.code, Some(0));
}

#[test]
fn an_endpoint_slower_than_the_whole_run_is_a_potential_outage() {
    let production = Production::start(Reply::new(200, "ok").after(Duration::MAX));
    let (finished, report) = check(&watching(&production, "").deadline("2s"));
    let endpoint = &report["steps"]["health"]["endpoints"][0];
    assert_eq!((finished.code, &endpoint["verdict"]), (Some(1), &json!("potential_outage")));
    assert_eq!(report["status"], "broken");
}
