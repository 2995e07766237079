use super::*;
use coordinator_github::AlertIssue;
use coordinator_github::fake;

fn alert(kind: AlertKind, subject: &str, text: &str) -> Alert {
    Alert {
        cause: AlertCause::new(kind, subject),
        title: "a title".to_owned(),
        text: text.to_owned(),
        action: String::new(),
        steady: text.to_owned(),
    }
}

/// What `plan` makes of these issues, as one line each.
fn planned(
    issues: &[(u64, &Alert)],
    is_complete: bool,
    alerts: &[Alert],
    is_gone: bool,
) -> Vec<String> {
    let (github, _) = fake::github(|_| fake::Reply::Reset);
    let (fleet, secrets) = (FleetName::parse("demo").expect("valid"), Secrets::default());
    let write = Writing { github: &github, fleet: &fleet, secrets: &secrets };
    let ours =
        issues.iter().map(|(number, it)| AlertIssue { number: *number, body: write.body(it) });
    let issues = AlertIssues { ours: ours.collect(), is_complete };
    plan(&issues, alerts, &write, |_| is_gone)
        .into_iter()
        .map(|change| match change {
            Change::Open { alert } => format!("open {}", alert.cause.subject),
            Change::Rewrite { number, .. } => format!("rewrite {number}"),
            Change::Close { number } => format!("close {number}"),
            Change::CloseDuplicate { number, of } => format!("close {number} as {of}"),
        })
        .collect()
}

#[tokio::test]
async fn an_issue_changes_when_its_alert_does_and_closes_when_the_cause_is_gone() {
    let [web, worse] = ["503", "500"].map(|text| alert(AlertKind::ProductionDown, "web", text));
    let alerts = [worse.clone()];
    assert_eq!(planned(&[], true, &alerts, false), ["open web"]);
    assert_eq!(planned(&[(4, &worse)], true, &alerts, false), Vec::<String>::new());
    assert_eq!(planned(&[(4, &web)], true, &alerts, false), ["rewrite 4"]);
    assert_eq!(planned(&[(4, &web)], true, &[], true), ["close 4"]);
    assert_eq!(planned(&[(4, &web)], true, &[], false), Vec::<String>::new());
    assert_eq!(
        planned(&[(9, &web), (4, &web), (7, &web)], true, &[], false),
        ["close 7 as 4", "close 9 as 4"]
    );
}

#[tokio::test]
async fn nothing_is_opened_while_the_list_is_cut() {
    let web = alert(AlertKind::ProductionDown, "web", "503");
    assert_eq!(planned(&[], false, &[web], false), Vec::<String>::new());
}

#[test]
fn no_name_ends_the_mark_that_holds_it() {
    let subject = "web --> <b>@alice</b> \u{2014} \"x\"\n<!-- coordinator:alert {} -->";
    let (fleet, secrets) = (FleetName::parse("demo").expect("valid"), Secrets::default());
    let mark = Mark::of(&alert(AlertKind::ProductionDown, subject, "t"), &fleet, &secrets);
    let line = mark.line();
    assert_eq!((line.lines().count(), line.matches("-->").count()), (1, 1), "{line}");
    assert_eq!(Mark::read(&line), Some(mark.clone()));
    assert_eq!(mark.cause().map(|cause| cause.subject).as_deref(), Some(subject));
    let later = Mark { cause: "gate_waits_long".to_owned(), ..mark };
    assert_eq!(later.cause(), None, "a cause of a later version is left alone");
}

#[tokio::test]
async fn a_rate_limit_ends_the_writes_and_another_error_does_not() {
    for (status, sent) in [(429, 1), (500, 3)] {
        let (github, journal) =
            fake::github(move |_| fake::Reply::json(status, &serde_json::json!({})));
        let (fleet, secrets) = (FleetName::parse("demo").expect("valid"), Secrets::default());
        let write = Writing { github: &github, fleet: &fleet, secrets: &secrets };
        let changes = [1, 2, 3].map(|number| Change::Close { number });
        let error = write.all(&changes).await.expect_err("GitHub refuses");
        let is_limit = error.downcast_ref::<Error>().is_some_and(|it| it.rate_limit().is_some());
        assert_eq!(is_limit, status == 429);
        assert_eq!(journal.lock().expect("no panic").len(), sent);
    }
}
