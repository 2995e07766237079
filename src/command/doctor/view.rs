//! Findings as text, JSON and Markdown.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::render::Output;
use crate::render::markdown::escaped;
use crate::render::words::{count, sentence};
use crate::render::{Screen, wrap};
use coordinator_core::finding::{Finding, Grade};

const SCHEMA: &str = "coordinator.doctor/v1";

/// Where a finding's sentence begins.
const INDENT: usize = 6;

/// The findings in the form that was asked for, with a line break at its end.
pub(super) fn render(findings: &[Finding], output: Output, screen: Screen) -> anyhow::Result<String> {
    match output {
        Output::Text => Ok(text(findings, screen)),
        Output::Json => Ok(serde_json::to_string(&json(findings))? + "\n"),
        Output::Markdown => Ok(markdown(findings)),
    }
}

#[derive(Serialize)]
struct FindingsView {
    schema: &'static str,
    findings: Vec<FindingView>,
}

#[derive(Serialize)]
struct FindingView {
    grade: &'static str,
    what: String,
    remedy: Option<String>,
}

fn json(findings: &[Finding]) -> FindingsView {
    let findings = findings.iter().map(|finding| FindingView {
        grade: finding.grade.word(),
        what: sentence(&finding.what),
        remedy: finding.remedy.as_deref().map(sentence),
    });
    FindingsView { schema: SCHEMA, findings: findings.collect() }
}

fn text(findings: &[Finding], screen: Screen) -> String {
    let lines = findings.iter().flat_map(|finding| {
        let rows = wrap::wrapped(&said(finding), screen.width.map(|width| width.saturating_sub(INDENT)));
        let grade = painted(finding.grade, screen);
        rows.into_iter().enumerate().map(move |(row, text)| match row {
            0 => format!("{grade}{text}\n"),
            _ => format!("{:INDENT$}{text}\n", ""),
        })
    });
    lines.collect::<String>() + "\n" + &summary(findings) + "\n"
}

fn markdown(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| match finding.grade {
        Grade::Ok => format!("- {}\n", escaped(&said(finding))),
        Grade::Warn | Grade::Fail => {
            format!("- **{}** {}\n", finding.grade.word(), escaped(&said(finding)))
        }
    });
    lines.collect::<String>() + "\n" + &summary(findings) + "\n"
}

fn said(finding: &Finding) -> String {
    let what = sentence(&finding.what);
    match &finding.remedy {
        Some(remedy) => format!("{what}; {}", sentence(remedy)),
        None => what,
    }
}

fn summary(findings: &[Finding]) -> String {
    let of = |grade| findings.iter().filter(|finding| finding.grade == grade).count() as u64;
    match (of(Grade::Fail), of(Grade::Warn)) {
        (0, 0) => "all is well".to_owned(),
        (0, warnings) => count(warnings, "warning"),
        (failures, warnings) => format!("{}, {}", count(failures, "failure"), count(warnings, "warning")),
    }
}

fn painted(grade: Grade, screen: Screen) -> String {
    let word = format!("{:<INDENT$}", grade.word());
    let color = match grade {
        Grade::Ok => AnsiColor::Green,
        Grade::Warn => AnsiColor::Yellow,
        Grade::Fail => AnsiColor::Red,
    };
    let style = Style::new().fg_color(Some(color.into()));
    if screen.color { format!("{style}{word}{style:#}") } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let narrow = render(&findings()[1..2], Output::Text, Screen { color: false, width: Some(40) });
        let narrow = narrow.expect("it is written");
        assert_eq!(narrow, "warn  the token expires <soon>; make a\n      new one in time\n\n1 warning\n");
    }

    #[test]
    fn programs_get_a_schema_and_pages_get_no_markup() {
        let json = render(&findings()[1..2], Output::Json, Screen::PLAIN).expect("it is written");
        let expected = r#"{"schema":"coordinator.doctor/v1","findings":[{"grade":"warn","what":"the token expires <soon>","remedy":"make a new one in time"}]}"#;
        assert_eq!(json, format!("{expected}\n"));
        let markdown = render(&findings()[1..2], Output::Markdown, Screen::PLAIN).expect("it is written");
        assert!(markdown.starts_with("- **warn** the token expires &#60;soon&#62;; make"), "{markdown}");
        assert_eq!(
            render(&findings()[..1], Output::Text, Screen::PLAIN).expect("it is written").lines().last(),
            Some("all is well")
        );
    }
}
