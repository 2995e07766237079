//! `coordinator doctor`: checks the setup. It changes nothing, and starts nothing but the agents of
//! `--try-agent`.

use std::time::{Duration, SystemTime};

use futures_util::future::{join_all, join3};
use reqwest::Url;

use crate::cli::{Doctor, Global};
use crate::command::{Finished, Refused, clients, in_time};
use crate::cycle::MERGE_RESERVE;
use crate::render::json::{Json, object};
use crate::render::table::{Cell, Table, Tone, View};
use crate::render::words::{count, sentence};
use crate::render::{Form, MAX_LINE, Output, progress};
use coordinator_core::endpoint::Endpoint;
use coordinator_core::finding::{Finding, Grade};
use coordinator_core::fleet::Role;
use coordinator_core::report::Contact;
use coordinator_github::Github;
use coordinator_http::{Client, proxy_for, variable};
use coordinator_platform_local::exec::Purpose;
use coordinator_roster::{Missing, PlatformKind, Problem, Roster, leftover_placeholders};

mod identities;
mod memory;
mod trial;

/// A slower name service would delay every health check as well.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Exits with 1 on a problem; a warning alone is not one.
///
/// Fails on half the variables of a GitHub App.
pub async fn run(
    roster: &Roster,
    options: &Doctor,
    global: &Global,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let client = Client::new();
    let checks = Box::pin(findings(roster, global, &client, SystemTime::now()));
    let what = "checking roster, platform, production and GitHub";
    let mut findings = in_time(roster, what, checks).await?;
    let mut interrupted = None;
    if options.try_agent {
        let what = || "trying the agent's command, at most 60 s".to_owned();
        let tried = progress::waiting(what, trial::run(roster)).await;
        findings.extend(tried.findings);
        interrupted = tried.interrupted;
    } else {
        findings.extend(not_tried(roster));
    }
    // The worst first; otherwise in the order of the checks.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
    let stdout = show(&findings, form)?;
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    Ok(Finished { stdout, code: interrupted.unwrap_or(u8::from(failed)) })
}

/// An agent that is not logged in is found by a trial only.
fn not_tried(roster: &Roster) -> Option<Finding> {
    let is_local = matches!(roster.platform.kind, PlatformKind::Process { .. });
    let has_agents = roster.roles.iter().any(|role| role.count > 0);
    (is_local && has_agents).then(|| {
        let what = "not checked: whether the agent is logged in";
        Finding::note(what, "run `coordinator doctor --try-agent`, which sends one short prompt")
    })
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
        merging(roster, client, &github, now),
    )
    .await;
    let mut findings = vec![agents(roster)];
    findings.extend(leftover_placeholders(roster).into_iter().map(|leftover| {
        let what = format!("{} is still the example `{}`", leftover.key, leftover.value);
        Finding::fail(what, "replace it")
    }));
    findings.extend(roster.missing.iter().map(|missing| unset(roster, missing)));
    findings.extend(identities::shared_token(roster));
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
        Ok(platform) => {
            let mut findings = platform.check(roster, context, now).await;
            findings.extend(memory::finding(roster, &platform).await);
            findings
        }
        Err(error) => {
            let remedy = "repair it: until then no session is listed or started";
            vec![Finding::fail(format!("{error:#}"), remedy)]
        }
    })
}

fn deadline(roster: &Roster) -> Option<Finding> {
    let (deadline, reserve) = (roster.deadline, MERGE_RESERVE);
    let what = || {
        let [deadline, reserve] = [deadline, reserve].map(humantime::format_duration);
        format!(
            "nothing is ever merged: \
             the deadline is {deadline}, and no merge starts in its last {reserve}"
        )
    };
    (deadline <= reserve).then(|| Finding::warn(what(), "raise `deadline`; its default is 200s"))
}

async fn merging(
    roster: &Roster,
    client: &anyhow::Result<Client>,
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
            if github.contact() == Contact::Reached {
                findings.extend(identities::findings(roster, client).await);
            }
            findings
        }
        Err(error) => {
            let remedy = "until then the merge step fails; the other steps run";
            vec![Finding::fail(format!("{error:#}"), remedy)]
        }
    }
}

/// A roster that was read is valid, and so are its briefs.
fn agents(roster: &Roster) -> Finding {
    let agents: u32 = roster.roles.iter().map(|role| role.count).sum();
    let what = format!(
        "{} is valid: {}, {}, all briefs found",
        roster.path.display(),
        count(roster.roles.len() as u64, "role"),
        count(agents.into(), "agent"),
    );
    if agents == 0 {
        Finding::warn(what, "set the `count` of a role: until then nothing is started")
    } else {
        Finding::ok(what)
    }
}

/// `reconcile` refuses to run where a session or a plugin would lack the variable.
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

/// Whether the names of production resolve. Production itself gets no request.
async fn production(endpoints: &[Endpoint]) -> Vec<Finding> {
    if endpoints.is_empty() {
        return vec![Finding::ok("health checks are not configured: the roster has no [[health]]")];
    }
    join_all(endpoints.iter().map(resolve)).await
}

async fn resolve(Endpoint { name, url, .. }: &Endpoint) -> Finding {
    let Ok(url) = Url::parse(url) else {
        return Finding::fail(
            format!("the URL of {name} is invalid"),
            "correct `url` in [[health]]",
        );
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    match proxy_for(&url, &variable) {
        Ok(None) => {}
        // The proxy resolves the name.
        Ok(Some(proxy)) => {
            return Finding::ok(format!("{name} ({host}) is reached through the proxy {proxy}"));
        }
        Err(why) => return Finding::fail(format!("{name}: {why}"), "correct the variable"),
    }
    let lookup = tokio::task::spawn_blocking(move || url.socket_addrs(|| None));
    let remedy = "correct `url` in [[health]], or this machine's DNS";
    match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(Ok(addresses))) if !addresses.is_empty() => {
            Finding::ok(format!("{name} resolves: {host}"))
        }
        Ok(Ok(Err(error))) => {
            Finding::fail(format!("{name} does not resolve: {host}: {error}"), remedy)
        }
        Ok(Ok(Ok(_)) | Err(_)) => Finding::fail(format!("{name} does not resolve: {host}"), remedy),
        Err(_) => {
            let seconds = LOOKUP_TIMEOUT.as_secs();
            Finding::fail(format!("{name} does not resolve within {seconds} s: {host}"), remedy)
        }
    }
}

fn show(findings: &[Finding], form: Form<'_>) -> serde_json::Result<String> {
    let shown = form.show(|| view(findings), |secrets| document(findings).line(secrets))?;
    Ok(match form.output {
        Output::Json => shown,
        Output::Text | Output::Markdown => format!("{}\n\n{shown}", summary(findings)),
    })
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
            Grade::Note => (Tone::Detail, "**note**"),
            Grade::Warn => (Tone::Held, "**warn**"),
            Grade::Fail => (Tone::Failed, "**fail**"),
        };
        let what = sentence(&finding.what);
        let text = match &finding.remedy {
            Some(remedy) => format!("{what}; {}", sentence(remedy)),
            None => what,
        };
        let grade = Cell::ours(finding.grade.word()).tone(tone).in_markdown(markdown);
        vec![grade, Cell::new(text).max(MAX_LINE)]
    };
    let table = Table { headings: &[], rows: findings.iter().map(row).collect() };
    View { table, ..View::default() }
}

/// "3 problems, 1 warning".
fn summary(findings: &[Finding]) -> String {
    let of = |grade, word: &str| {
        let found = findings.iter().filter(|finding| finding.grade == grade).count() as u64;
        (found > 0).then(|| count(found, word))
    };
    let counts = [(Grade::Fail, "problem"), (Grade::Warn, "warning")];
    let found: Vec<String> =
        counts.into_iter().filter_map(|(grade, word)| of(grade, word)).collect();
    match (found.as_slice(), of(Grade::Note, "check")) {
        ([], None) => "all checks passed".to_owned(),
        ([], Some(checks)) => format!("no problem found; {checks} not made"),
        (found, _) => found.join(", "),
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
        let expected = "1 problem, 1 warning\n\n\
            ok    the token may merge\n\
            warn  the token expires <soon>; make a new one in time\n\
            fail  no command `claude`[31m on PATH; install it\n";
        assert_eq!(text, expected);
        let narrow =
            render(&findings()[1..2], Output::Text, Screen { color: false, width: Some(40) });
        let narrow = narrow.expect("it is written");
        assert_eq!(
            narrow,
            "1 warning\n\nwarn  the token expires <soon>; make a\n      new one in time\n"
        );
    }

    #[test]
    fn programs_get_a_schema_and_pages_get_no_markup() {
        let json = render(&findings()[1..2], Output::Json, Screen::PLAIN).expect("it is written");
        let expected = concat!(
            r#"{"schema":"coordinator.doctor/v1","findings":[{"grade":"warn","#,
            r#""what":"the token expires <soon>","remedy":"make a new one in time"}]}"#,
        );
        assert_eq!(json, format!("{expected}\n"));
        let markdown =
            render(&findings()[1..2], Output::Markdown, Screen::PLAIN).expect("it is written");
        assert!(
            markdown.starts_with("1 warning\n\n- **warn** the token expires &#60;soon&#62;; make"),
            "{markdown}"
        );
        assert_eq!(
            render(&findings()[..1], Output::Text, Screen::PLAIN)
                .expect("it is written")
                .lines()
                .next(),
            Some("all checks passed")
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
    async fn a_name_that_resolves_is_fine_and_its_credentials_are_not_shown() {
        let finding = check("http://user:hunter22@127.0.0.1:9/healthz").await;
        assert_eq!(finding, Finding::ok("production resolves: 127.0.0.1"));
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_a_problem_with_a_remedy() {
        // Too long for a DNS query: it fails without the network.
        let host = "a".repeat(64) + ".invalid";
        let finding = check(&format!("http://{host}/")).await;
        assert_eq!(finding.grade, Grade::Fail);
        assert!(
            finding.what.starts_with(&format!("production does not resolve: {host}")),
            "{finding:?}"
        );
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains("[[health]]")));
    }

    #[tokio::test]
    async fn a_roster_without_endpoints_has_a_line_for_that() {
        assert!(production(&[]).await[0].what.contains("not configured"));
    }
}
