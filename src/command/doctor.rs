//! `coordinator doctor`: can the coordinator do its work here? It changes nothing and starts
//! nothing.

use std::time::{Duration, SystemTime};

use futures_util::future::{join_all, join3};
use reqwest::Url;

use crate::cli::Global;
use crate::command::{Outcome, Refused, clients};
use crate::cycle::MERGE_RESERVE;
use crate::render::json::{Json, object};
use crate::render::table::{Cell, Table, Tone, View};
use crate::render::words::{count, sentence};
use crate::render::{Form, MAX_LINE};
use coordinator_core::endpoint::Endpoint;
use coordinator_core::finding::{Finding, Grade};
use coordinator_core::fleet::Role;
use coordinator_github::Github;
use coordinator_http::{Client, proxy_for, variable};
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{Missing, Problem, Roster};

/// A name service that takes longer would cost every health check as much.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Exits with 1 when something stands in the way.
///
/// Fails on half the variables of a GitHub App.
pub async fn run(roster: &Roster, global: &Global, form: Form<'_>) -> anyhow::Result<Outcome> {
    let findings = findings(roster, global, &Client::new(), SystemTime::now()).await?;
    let stdout = show(&findings, form)?;
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    Ok(Outcome { stdout, code: u8::from(failed) })
}

/// Checks the roster, the platform, the names of production, and GitHub where the roster configures
/// merges.
async fn findings(
    roster: &Roster,
    global: &Global,
    client: &anyhow::Result<Client>,
    now: SystemTime,
) -> anyhow::Result<Vec<Finding>> {
    let github = clients::github(roster, client)?;
    let (platform, endpoints, merging) = join3(
        platform(roster, global, client, now),
        production(&roster.health),
        merging(roster, &github, now),
    )
    .await;
    let mut findings = vec![agents(roster)];
    findings.extend(roster.missing.iter().map(|missing| unset(roster, missing)));
    Ok([findings, platform?, merging, endpoints].concat())
}

/// The findings of the platform, or why it cannot be used.
async fn platform(
    roster: &Roster,
    global: &Global,
    client: &anyhow::Result<Client>,
    now: SystemTime,
) -> Result<Vec<Finding>, Refused> {
    let context = global.context.as_deref();
    let platform = clients::platform(roster, Purpose::Look, context, client).await?;
    Ok(match platform {
        Ok(platform) => platform.check(roster, context, now).await,
        Err(error) => {
            vec![Finding::fail(format!("{error:#}"), "no session is listed or started until then")]
        }
    })
}

fn deadline(roster: &Roster) -> Option<Finding> {
    let (deadline, reserve) = (roster.deadline, MERGE_RESERVE);
    let what = || {
        let [deadline, reserve] = [deadline, reserve].map(humantime::format_duration);
        format!(
            "nothing is ever merged: no merge starts in the last {reserve} of the deadline, which is {deadline}"
        )
    };
    (deadline <= reserve).then(|| Finding::warn(what(), "raise `deadline`; its default is 200s"))
}

async fn merging(
    roster: &Roster,
    github: &anyhow::Result<Github>,
    now: SystemTime,
) -> Vec<Finding> {
    if roster.repository.is_none() {
        return vec![Finding::ok("merging is not configured: the roster has no [repository]")];
    }
    if !roster.merge.enabled {
        return vec![Finding::ok("merging is turned off: `enabled = false` in [merge]")];
    }
    match github {
        Ok(github) => {
            let mut findings = github.diagnose(now, roster.merge.last_push_approval).await;
            findings.extend(deadline(roster));
            findings
        }
        Err(error) => {
            vec![Finding::fail(
                format!("{error:#}"),
                "the merge step fails until then, the others run",
            )]
        }
    }
}

/// A roster that was read is valid, and so are its briefs.
fn agents(roster: &Roster) -> Finding {
    let agents: u32 = roster.roles.iter().map(|role| role.count).sum();
    let what = format!(
        "{} is valid: {}, {}, every brief is there",
        roster.path.display(),
        count(roster.roles.len() as u64, "role"),
        count(agents.into(), "agent"),
    );
    if agents == 0 {
        Finding::warn(what, "nothing is started until some role has a `count`")
    } else {
        Finding::ok(what)
    }
}

/// A cycle that would start a session or a plugin without the variable does not run.
fn unset(roster: &Roster, missing: &Missing) -> Finding {
    let Problem { message, hint, .. } = &missing.problem;
    let hint = hint.as_deref().unwrap_or_default();
    let starts = |role: &Role| role.count > 0 && missing.roles.contains(&role.key);
    if missing.plugin || roster.roles.iter().any(starts) {
        Finding::fail(message, hint)
    } else {
        Finding::warn(message, hint)
    }
}

/// Whether the names of production are known. Nothing is requested from it.
async fn production(endpoints: &[Endpoint]) -> Vec<Finding> {
    if endpoints.is_empty() {
        return vec![Finding::ok("health checks are not configured: the roster has no [[health]]")];
    }
    join_all(endpoints.iter().map(resolve)).await
}

async fn resolve(Endpoint { name, url, .. }: &Endpoint) -> Finding {
    let Ok(url) = Url::parse(url) else {
        return Finding::fail(
            format!("the URL of {name} cannot be read"),
            "correct it in [[health]]",
        );
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    match proxy_for(&url, &variable) {
        Ok(None) => {}
        // The proxy looks the name up.
        Ok(Some(proxy)) => {
            return Finding::ok(format!("{name} is reached through the proxy {proxy}: {host}"));
        }
        Err(why) => return Finding::fail(format!("{name}: {why}"), "correct the variable"),
    }
    let lookup = tokio::task::spawn_blocking(move || url.socket_addrs(|| None));
    let remedy = "correct `url` in [[health]], or let this machine know the name";
    match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(Ok(addresses))) if !addresses.is_empty() => {
            Finding::ok(format!("the address of {name} is known: {host}"))
        }
        Ok(Ok(Err(error))) => {
            Finding::fail(format!("no address of {name}: {host}: {error}"), remedy)
        }
        Ok(Ok(Ok(_)) | Err(_)) => Finding::fail(format!("no address of {name}: {host}"), remedy),
        Err(_) => {
            let seconds = LOOKUP_TIMEOUT.as_secs();
            Finding::fail(
                format!("no address of {name}: {host} was not found within {seconds} s"),
                remedy,
            )
        }
    }
}

fn show(findings: &[Finding], form: Form<'_>) -> serde_json::Result<String> {
    form.show(|| view(findings), |secrets| document(findings).line(secrets))
}

fn document(findings: &[Finding]) -> Json {
    let shown = findings.iter().map(|finding| {
        object([
            ("grade", finding.grade.word().into()),
            ("what", sentence(&finding.what).into()),
            ("remedy", finding.remedy.as_deref().map(sentence).into()),
        ])
    });
    object([("schema", "coordinator.doctor/v1".into()), ("findings", shown.collect())])
}

fn view(findings: &[Finding]) -> View {
    let row = |finding: &Finding| {
        let (tone, markdown) = match finding.grade {
            Grade::Ok => (Tone::Done, ""),
            Grade::Warn => (Tone::Held, "**warn**"),
            Grade::Fail => (Tone::Failed, "**fail**"),
        };
        let what = sentence(&finding.what);
        let said = match &finding.remedy {
            Some(remedy) => format!("{what}; {}", sentence(remedy)),
            None => what,
        };
        let grade = Cell::ours(finding.grade.word()).tone(tone).in_markdown(markdown);
        vec![grade, Cell::new(said).max(MAX_LINE)]
    };
    let table = Table { headings: &[], rows: findings.iter().map(row).collect() };
    View { table, lines: vec![summary(findings)] }
}

fn summary(findings: &[Finding]) -> String {
    let of = |grade| findings.iter().filter(|finding| finding.grade == grade).count() as u64;
    match (of(Grade::Fail), of(Grade::Warn)) {
        (0, 0) => "all is well".to_owned(),
        (0, warnings) => count(warnings, "warning"),
        (failures, warnings) => {
            format!("{}, {}", count(failures, "failure"), count(warnings, "warning"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Output, Screen};
    use coordinator_core::endpoint::Redirects;
    use coordinator_core::secrets::Secrets;

    fn render(findings: &[Finding], output: Output, screen: Screen) -> serde_json::Result<String> {
        show(findings, Form { screen, ..Form::plain(output, &Secrets::default()) })
    }

    fn findings() -> [Finding; 3] {
        [
            Finding::ok("the token may merge"),
            Finding::warn("the token expires <soon>", "make a new one in time"),
            Finding::fail("no command `claude`\u{1b}[31m on PATH", "install it"),
        ]
    }

    #[test]
    fn each_finding_is_one_line_with_its_remedy() {
        let text = render(&findings(), Output::Text, Screen::PLAIN).expect("it is written");
        let expected = "ok    the token may merge\n\
            warn  the token expires <soon>; make a new one in time\n\
            fail  no command `claude`[31m on PATH; install it\n\n\
            1 failure, 1 warning\n";
        assert_eq!(text, expected);
        let narrow =
            render(&findings()[1..2], Output::Text, Screen { color: false, width: Some(40) });
        let narrow = narrow.expect("it is written");
        assert_eq!(
            narrow,
            "warn  the token expires <soon>; make a\n      new one in time\n\n1 warning\n"
        );
    }

    #[test]
    fn programs_get_a_schema_and_pages_get_no_markup() {
        let json = render(&findings()[1..2], Output::Json, Screen::PLAIN).expect("it is written");
        let expected = r#"{"schema":"coordinator.doctor/v1","findings":[{"grade":"warn","what":"the token expires <soon>","remedy":"make a new one in time"}]}"#;
        assert_eq!(json, format!("{expected}\n"));
        let markdown =
            render(&findings()[1..2], Output::Markdown, Screen::PLAIN).expect("it is written");
        assert!(
            markdown.starts_with("- **warn** the token expires &#60;soon&#62;; make"),
            "{markdown}"
        );
        assert_eq!(
            render(&findings()[..1], Output::Text, Screen::PLAIN)
                .expect("it is written")
                .lines()
                .last(),
            Some("all is well")
        );
    }

    async fn check(url: &str) -> Finding {
        let endpoint = Endpoint {
            name: "production".to_owned(),
            url: url.to_owned(),
            expect: Vec::new(),
            timeout: Duration::from_secs(1),
            redirects: Redirects::default(),
        };
        production(&[endpoint]).await.pop().expect("one finding per endpoint")
    }

    #[tokio::test]
    async fn a_known_name_is_fine_and_its_credentials_are_not_shown() {
        let finding = check("http://user:hunter22@127.0.0.1:9/healthz").await;
        assert_eq!(finding, Finding::ok("the address of production is known: 127.0.0.1"));
    }

    #[tokio::test]
    async fn an_unknown_name_is_a_failure_with_a_remedy() {
        // Too long for a question to a name server: it fails without the network.
        let host = "a".repeat(64) + ".invalid";
        let finding = check(&format!("http://{host}/")).await;
        assert_eq!(finding.grade, Grade::Fail);
        assert!(
            finding.what.starts_with(&format!("no address of production: {host}")),
            "{finding:?}"
        );
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains("[[health]]")));
    }

    #[tokio::test]
    async fn without_endpoints_that_is_said() {
        assert!(production(&[]).await[0].what.contains("not configured"));
    }
}
