//! The rows as text, JSON and Markdown, and what follows for the roster.

use anstyle::{AnsiColor, Style};
use serde_json::json;

use crate::render::Output;
use crate::render::Screen;
use crate::render::markdown::escaped;
use crate::render::words::sentence;
use coordinator_platform_local::exec::protocol::{Capabilities, SlotExclusive};
use coordinator_plugin_test::{Grade, Row, Trial};

const SCHEMA: &str = "coordinator.plugin-test/v1";

/// Where a row's name begins, and its sentence.
const GRADE_WIDTH: usize = 9;
const NAME_WIDTH: usize = 19;

/// The rows in the form that was asked for, with a line break at its end.
pub(super) fn render(trial: &Trial, output: Output, screen: Screen) -> anyhow::Result<String> {
    match output {
        Output::Text => Ok(text(trial, screen)),
        Output::Json => Ok(serde_json::to_string_pretty(&document(trial))? + "\n"),
        Output::Markdown => Ok(markdown(&trial.capabilities, &trial.rows)),
    }
}

fn document(trial: &Trial) -> serde_json::Value {
    let Trial { fleet, capabilities, rows, .. } = trial;
    let shown = rows.iter().map(
        |row| json!({ "row": row.name, "result": row.grade.word().to_lowercase(), "detail": sentence(&row.detail) }),
    );
    json!({
        "schema": SCHEMA,
        "fleet": fleet,
        "name": sentence(&capabilities.name),
        "slot_exclusive": word(capabilities.slot_exclusive),
        "demand": demand(capabilities),
        "rows": shown.collect::<Vec<_>>(),
        "passed": count(rows, Grade::Pass),
        "failed": count(rows, Grade::Fail),
        "skipped": count(rows, Grade::Skipped),
    })
}

fn text(trial: &Trial, screen: Screen) -> String {
    let Trial { fleet, capabilities, is_forgotten, rows } = trial;
    let line = |row: &Row| {
        let (grade, name) = (painted(row.grade, screen), row.name);
        format!("{grade}{name:NAME_WIDTH$}{}\n", sentence(&row.detail))
    };
    let lines: String = rows.iter().map(line).collect();
    let left = if *is_forgotten {
        "the plugin has forgotten it"
    } else {
        "what the plugin remembers of it may be removed"
    };
    let fleet = format!("fleet {fleet}: {left}");
    format!("{lines}\n{fleet}\n{}\n{}\n", class(capabilities), summary(rows))
}

fn markdown(capabilities: &Capabilities, rows: &[Row]) -> String {
    let line = |row: &Row| {
        format!("| {} | {} | {} |\n", row.grade.word(), row.name, escaped(&sentence(&row.detail)))
    };
    let lines: String = rows.iter().map(line).collect();
    let class = escaped(&class(capabilities));
    format!("| result | row | what was seen |\n|---|---|---|\n{lines}\n{class}\n\n{}\n", summary(rows))
}

fn class(capabilities: &Capabilities) -> String {
    format!("slot_exclusive {}: {}", word(capabilities.slot_exclusive), demand(capabilities))
}

fn word(exclusive: SlotExclusive) -> &'static str {
    match exclusive {
        SlotExclusive::Create => "create",
        SlotExclusive::Execution => "execution",
        SlotExclusive::None => "none",
    }
}

/// What the coordinator wants of a roster that names the plugin.
fn demand(capabilities: &Capabilities) -> &'static str {
    match (capabilities.slot_exclusive, capabilities.blind_spawn) {
        (SlotExclusive::None, _) => {
            "the roster must say on_inventory_failure = \"skip\", and one machine alone may run the coordinator"
        }
        (SlotExclusive::Create | SlotExclusive::Execution, true) => "the roster needs nothing more",
        (SlotExclusive::Create | SlotExclusive::Execution, false) => {
            "without blind_spawn, nothing starts while the list fails"
        }
    }
}

fn summary(rows: &[Row]) -> String {
    let [passed, failed, skipped] =
        [Grade::Pass, Grade::Fail, Grade::Skipped].map(|grade| count(rows, grade));
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

fn count(rows: &[Row], grade: Grade) -> usize {
    rows.iter().filter(|row| row.grade == grade).count()
}

fn painted(grade: Grade, screen: Screen) -> String {
    let word = format!("{:<GRADE_WIDTH$}", grade.word());
    let color = match grade {
        Grade::Pass => AnsiColor::Green,
        Grade::Fail => AnsiColor::Red,
        Grade::Skipped => AnsiColor::Yellow,
    };
    let style = Style::new().fg_color(Some(color.into()));
    if screen.color { format!("{style}{word}{style:#}") } else { word }
}
