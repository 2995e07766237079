//! Step 4, seen from outside: one GET per endpoint, and a verdict on its answer.

use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::coordinator;
use testkit::production::Refusing;
use testkit::server::{Ending, Server};
use testkit::workplace::RosterText;
use testkit::{
    Fault, Finished, GitHub, Kubernetes, Production, Pull, Reply, Repository, Route, Workplace,
};

fn check(roster: &RosterText) -> (Finished, Value) {
    let finished =
        coordinator(&roster.write()).args(["reconcile", "--only", "health", "-o", "json"]).run();
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
    assert_eq!(
        (&endpoint["verdict"], &endpoint["status"]),
        (&Value::from("up"), &Value::from(200))
    );
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
        (
            wire(Ending::Garbage(b"\x16\x03 no HTTP\r\n\r\n".to_vec())),
            "",
            "potential_outage",
            "broken",
            1,
        ),
        (wire(Ending::Reset), "", "potential_outage", "broken", 1),
    ] {
        let (finished, report) = check(&watching(&Production::start(reply), settings));
        let seen = (
            report["steps"]["health"]["endpoints"][0]["verdict"].as_str(),
            report["status"].as_str(),
        );
        assert_eq!(seen, (Some(verdict), Some(status)), "{report}");
        assert_eq!(finished.code, Some(code), "{report}");
    }
}

#[test]
fn eight_redirects_are_followed_and_nine_are_not() {
    let production = Production::up();
    for (redirects, verdict, status) in [(5, "up", 200), (8, "up", 200), (9, "unexpected", 302)] {
        let (_, report) = check(&RosterText::default().watching(
            "production",
            &production.url_over(redirects),
            "",
        ));
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
fn endpoints_are_requested_at_once_and_reported_in_roster_order() {
    let slow = Production::start(Reply::new(200, "ok").after(Duration::from_millis(300)));
    let fast = Production::up();
    let roster =
        RosterText::default().watching("slow", &slow.url(), "").watching("fast", &fast.url(), "");
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
    let finished =
        coordinator(&workplace).args(["reconcile", "--only", "merge,health", "-o", "json"]).run();
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
    let garbage = Production::start(
        Reply::new(200, "").ending(Ending::Garbage(b"\x00\xffno http\r\n\r\n".to_vec())),
    );
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
        assert!(
            endpoint["error"].as_str().is_some_and(|error| !error.is_empty()),
            "{url}: {endpoint}"
        );
        assert_eq!(
            (finished.code, &finished.json()["status"]),
            (Some(1), &json!("broken")),
            "{url}"
        );
    }
}

#[test]
fn the_body_is_not_waited_for() {
    let endless = Production::start(Reply::new(200, "x".repeat(10_000)).ending(Ending::Trickle));
    let (endpoint, _) = check_url(&endless.url(), "timeout = \"5s\"");
    assert_eq!(
        (&endpoint["verdict"], &endpoint["error"]),
        (&json!("up"), &Value::Null),
        "{endpoint}"
    );
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

/// Runs merge and health: no form of the report speaks of a revert. The one reason.
fn offline_reason(workplace: &Workplace, variables: &[(&str, &str)]) -> String {
    let run = |form: &str| {
        let program = variables
            .iter()
            .fold(coordinator(workplace), |program, (name, value)| program.env(name, value));
        program.args(["reconcile", "--skip", "inventory,spawn", "-o", form]).run()
    };
    for form in ["text", "markdown", "json"] {
        let finished = run(form);
        assert_eq!(finished.code, Some(1), "{}", finished.stdout);
        assert!(finished.stdout.contains("offline"), "{}", finished.stdout);
        assert!(!finished.stdout.contains("revert"), "{}", finished.stdout);
    }
    let report = run("json").json();
    assert_eq!(
        (&report["status"], report["reasons"].as_array().map(Vec::len)),
        (&json!("broken"), Some(1))
    );
    report["reasons"][0].as_str().expect("a reason is text").to_owned()
}

/// A roster whose GitHub is at `api_url` and whose production at `url`.
fn github_and_production(api_url: &str, url: &str) -> Workplace {
    let github = GitHub::start(Repository::with([]));
    let roster =
        RosterText::default().merging(&github, "").watching("production", url, "timeout = \"3s\"");
    Workplace::new(&roster.text().replace(&github.url(), api_url))
}

#[test]
fn a_machine_that_reaches_neither_github_nor_production_is_offline() {
    let (one, other) = (Refusing::start(), Refusing::start());
    let reason = offline_reason(&github_and_production(&one.url(), &other.url()), &[]);
    assert!(
        reason.starts_with("offline: neither GitHub nor production can be reached; this machine"),
        "{reason}"
    );

    let names =
        github_and_production("https://no-such-host.invalid", "https://neither-this.invalid/");
    let reason = offline_reason(&names, &[]);
    assert!(reason.starts_with("offline: "), "{reason}");
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let (production, proxy) = (Production::up(), Refusing::start());
    let github = GitHub::start(Repository::with([]));
    let workplace = github_and_production(&github.url(), &production.url());
    let reason = offline_reason(&workplace, &[("HTTP_PROXY", &proxy.url())]);
    let address = proxy.url().replace("http://", "");
    assert!(
        reason.contains(&format!("the proxy {address} (HTTP_PROXY) seems to be offline")),
        "{reason}"
    );
    assert!(production.state().journal.is_empty() && github.journal().is_empty());
}

#[test]
fn a_cluster_and_production_out_of_reach_are_offline_too() {
    let (one, other) = (Refusing::start(), Refusing::start());
    let roster = RosterText::kubernetes("").watching("production", &one.url(), "");
    let workplace = roster.role("worker", 1, "[\"agent\"]").write();
    let cluster = Kubernetes::start();
    workplace.write("refusing.yaml", cluster.kubeconfig().replace(&cluster.url(), &other.url()));
    let path = workplace.path().join("refusing.yaml");
    let program = coordinator(&workplace).env("KUBECONFIG", path.to_str().expect("UTF-8"));
    let finished = program.args(["reconcile", "-o", "json"]).run();
    let report = finished.json();
    assert_eq!((finished.code, &report["status"]), (Some(1), &json!("broken")));
    let reasons = report["reasons"].as_array().expect("a list");
    assert_eq!(reasons.len(), 1, "what only follows from it is not a reason: {reasons:?}");
    assert!(
        reasons[0]
            .as_str()
            .is_some_and(|reason| reason.contains("neither the cluster nor production")),
        "{reasons:?}"
    );
}

#[test]
fn when_production_alone_refuses_it_is_an_outage_with_advice() {
    let (github, refusing) = (GitHub::start(Repository::with([])), Refusing::start());
    let workplace = github_and_production(&github.url(), &refusing.url());
    let finished =
        coordinator(&workplace).args(["reconcile", "--only", "merge,health", "-o", "json"]).run();
    let report = finished.json();
    assert_eq!((finished.code, &report["status"]), (Some(1), &json!("broken")), "{report}");
    assert_eq!(
        report["reasons"][0],
        "production does not answer (no connection: connection refused)"
    );
    assert!(
        report["advice"][0]["action"]
            .as_str()
            .is_some_and(|it| it.contains("revert what broke it")),
        "{report}"
    );
}

#[test]
fn a_server_that_accepts_the_connection_and_sends_nothing_was_reached() {
    let github = GitHub::start(Repository::with([]));
    github.always(Route::Any, Fault::reply(Reply::new(200, "").ending(Ending::Reset)));
    let silent = Production::start(Reply::new(200, "ok").after(Duration::MAX));
    let workplace = github_and_production(&github.url(), &silent.url());
    let finished =
        coordinator(&workplace).args(["reconcile", "--only", "merge,health", "-o", "json"]).run();
    let reasons = finished.json()["reasons"].to_string();
    assert!(!reasons.contains("offline") && reasons.contains("no answer within 3s"), "{reasons}");
}

/// An endpoint whose first `count` requests end without an answer, in the way `how`; then it is up.
fn dropping(count: usize, how: Ending) -> Server {
    let seen = AtomicUsize::new(0);
    Server::start(move |_| {
        let dropped = seen.fetch_add(1, Ordering::Relaxed) < count;
        Reply::new(200, "ok").ending(if dropped { how.clone() } else { Ending::Whole })
    })
}

#[test]
fn one_dropped_connection_is_tried_again_at_once_and_both_answers_are_reported() {
    for how in [Ending::Reset, Ending::Garbage(Vec::new())] {
        let (endpoint, finished) = check_url(&dropping(1, how.clone()).url(), "");
        assert_eq!(
            (&endpoint["verdict"], &endpoint["status"]),
            (&json!("up"), &json!(200)),
            "{how:?}: {endpoint}"
        );
        let error = endpoint["error"].as_str().expect("what came first");
        assert!(
            error.starts_with("first no HTTP answer: ")
                && error.ends_with("tried again at once: 200"),
            "{error}"
        );
        let report = finished.json();
        assert_eq!((finished.code, &report["status"]), (Some(0), &json!("healthy")), "{report}");
        assert_eq!(report["requests"]["health"], 2);

        let twice = dropping(2, how);
        let (endpoint, finished) = check_url(&twice.url(), "");
        assert_eq!(
            (&endpoint["verdict"], finished.code),
            (&json!("potential_outage"), Some(1)),
            "{endpoint}"
        );
        let error = endpoint["error"].as_str().expect("both");
        assert_eq!(error.matches("no HTTP answer: ").count(), 2, "{error}");
        assert_eq!(finished.json()["requests"]["health"], 2);
    }
}

#[test]
fn a_connection_that_drops_before_tls_is_made_is_tried_again_too() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let dropping = std::thread::spawn(move || {
        for connection in listener.incoming().take(2) {
            // A connection with unread bytes is reset; one whose bytes are read ends.
            let mut hello = [0; 4096];
            let read = connection.and_then(|mut stream| stream.read(&mut hello));
            assert!(read.expect("a connection can be read") > 0);
        }
    });
    let (endpoint, finished) = check_url(&url, "");
    assert_eq!(finished.json()["requests"]["health"], 2, "{endpoint}");
    dropping.join().expect("two connections came");
    let error = endpoint["error"].as_str().expect("both");
    assert_eq!(error.matches("no connection: ").count(), 2, "{error}");
}

#[test]
fn both_answers_are_shown_to_people_as_well() {
    let server = dropping(1, Ending::Reset);
    let roster = RosterText::default().watching("production", &server.url(), "");
    let finished = coordinator(&roster.write()).args(["reconcile", "--only", "health"]).run();
    assert!(finished.stdout.contains("production 200 in "), "{}", finished.stdout);
    assert!(finished.stdout.contains("tried again at once: 200)"), "{}", finished.stdout);
}

#[test]
fn many_response_headers_are_not_an_outage() {
    let with = |count: usize| {
        (0..count)
            .fold(Reply::new(200, "ok"), |reply, number| reply.header(&format!("x-{number}"), "y"))
    };
    let many = Production::start(with(900));
    let (endpoint, finished) = check_url(&many.url(), "");
    assert_eq!((&endpoint["verdict"], finished.code), (&json!("up"), Some(0)), "{endpoint}");
    let endless = Production::start(with(1500));
    let (endpoint, finished) = check_url(&endless.url(), "");
    assert_eq!(
        (&endpoint["verdict"], finished.code),
        (&json!("unexpected"), Some(0)),
        "{endpoint}"
    );
    assert!(
        endpoint["error"].as_str().is_some_and(|error| error.contains("headers")),
        "{endpoint}"
    );
}

#[test]
fn a_redirect_to_another_host_is_followed_only_where_the_roster_allows_it() {
    let elsewhere = Production::up();
    let there = elsewhere.url().replace("127.0.0.1", "localhost") + "?state=s3cret";
    let production = Production::start(Reply::new(302, "").header("location", there.clone()));
    let shown = there.replace("?state=s3cret", "");
    for (settings, verdict, asked) in [
        ("", "unexpected", 0),
        ("redirects = \"same-host\"", "unexpected", 0),
        ("redirects = \"none\"", "unexpected", 0),
        ("redirects = \"follow\"", "up", 1),
        ("redirects = \"none\"\nexpect = [302]", "up", 0),
    ] {
        let (endpoint, finished) = check_url(&production.url(), settings);
        assert_eq!(
            (&endpoint["verdict"], finished.code),
            (&json!(verdict), Some(0)),
            "{settings}: {endpoint}"
        );
        assert_eq!(elsewhere.state().journal.drain(..).count(), asked, "{settings}");
        if verdict == "unexpected" {
            let error = endpoint["error"].as_str().expect("where it went");
            assert!(error.contains(&shown) && !error.contains("s3cret"), "{settings}: {error}");
            let advice = finished.json()["advice"][0]["action"].to_string();
            assert!(advice.contains("`redirects`") && !advice.contains("revert"), "{advice}");
        }
    }
}

#[test]
fn another_port_of_the_same_host_is_not_another_host() {
    let elsewhere = Production::up();
    let production = Production::start(Reply::new(301, "").header("location", elsewhere.url()));
    let (endpoint, _) = check_url(&production.url(), "");
    assert_eq!(
        (&endpoint["verdict"], &endpoint["status"]),
        (&json!("up"), &json!(200)),
        "{endpoint}"
    );
    assert_eq!(elsewhere.state().journal, ["GET /healthz"]);
}

#[test]
fn a_loop_of_redirects_is_unexpected_at_its_first_turn() {
    let production = Production::start(Reply::new(302, "").header("location", "/healthz"));
    let (endpoint, finished) = check_url(&production.url(), "");
    assert_eq!(
        (&endpoint["verdict"], &endpoint["status"]),
        (&json!("unexpected"), &json!(302)),
        "{endpoint}"
    );
    assert!(
        endpoint["error"].as_str().is_some_and(|error| error.contains("in a loop")),
        "{endpoint}"
    );
    assert_eq!((finished.code, production.state().journal.len()), (Some(0), 1));
}

#[test]
fn a_proxy_whose_scheme_cannot_be_used_is_one_clear_sentence() {
    let production = Production::up();
    let workplace = watching(&production, "").write();
    let run = |variables: &[(&str, &str)]| {
        let program = variables
            .iter()
            .fold(coordinator(&workplace), |program, (name, value)| program.env(name, value));
        program.args(["reconcile", "--only", "health", "-o", "json"]).run().json()
    };
    let socks = ("ALL_PROXY", "socks5://me:hunter22@127.0.0.1:1080");
    let report = run(&[socks]);
    let endpoint = &report["steps"]["health"]["endpoints"][0];
    let sentence = "no connection: ALL_PROXY names a socks5 proxy, which is not supported; name \
        one that begins with http://, or list 127.0.0.1 in NO_PROXY";
    assert_eq!(endpoint["error"], sentence, "{report}");
    assert!(!report["advice"].to_string().contains("revert"), "{report}");
    assert!(production.state().journal.is_empty(), "nothing goes past the proxy that was meant");
    let report = run(&[socks, ("NO_PROXY", "127.0.0.1")]);
    assert_eq!(report["steps"]["health"]["endpoints"][0]["verdict"], "up", "{report}");
}
