//! `coordinator plugin-test`: tries a plugin against the protocol and its own `capabilities`.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use crate::cli::PluginTest;
use crate::command::{Finished, Refused};
use crate::render::Form;
use crate::render::json::Json;
use crate::render::table::{Cell, Table, Tone, View};
use crate::render::words::sentence;
use coordinator_platform_local::exec::protocol::{Capabilities, SlotExclusive};
use coordinator_plugin_test::{Grade, Row, Trial};

/// Exits with 1 when a row fails, with 2 when the plugin is not found or cannot be started.
pub async fn run(options: &PluginTest, form: Form<'_>) -> anyhow::Result<Finished> {
    let program = program(&options.path)?;
    let trial = coordinator_plugin_test::run(program, options.timeout, SystemTime::now()).await;
    let trial = trial.map_err(|failure| Refused::Usage(failure.to_string()))?;
    let stdout = form.show(|| view(&trial), |secrets| document(&trial).pretty(secrets))?;
    let failed = trial.rows.iter().any(|row| row.grade == Grade::Fail);
    Ok(Finished { stdout, code: u8::from(failed) })
}

/// A bare name is a file of this folder when there is one, else it is looked up in PATH.
fn program(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_file() {
        return Ok(std::path::absolute(path)?);
    }
    if path.as_os_str().to_string_lossy().contains(MAIN_SEPARATOR) {
        anyhow::bail!(Refused::Usage(format!(
            "plugin not found: {}; give the path of a program",
            path.display()
        )));
    }
    Ok(path.to_owned())
}

fn document(trial: &Trial) -> Json {
    let Trial { fleet, capabilities, rows, .. } = trial;
    let shown = rows.iter().map(|row| {
        let result = row.grade.word().to_lowercase();
        json!({ "row": row.name, "result": result, "detail": sentence(&row.detail) })
    });
    let document = json!({
        "schema": "coordinator.plugin-test/v1",
        "fleet": fleet,
        "name": sentence(&capabilities.name),
        "slot_exclusive": word(capabilities.slot_exclusive),
        "demand": demand(capabilities),
        "rows": shown.collect::<Vec<_>>(),
        "passed": count(rows, Grade::Pass),
        "failed": count(rows, Grade::Fail),
        "skipped": count(rows, Grade::Skipped),
    });
    document.into()
}

fn view(trial: &Trial) -> View {
    let Trial { fleet, capabilities, is_forgotten, rows } = trial;
    let row = |row: &Row| {
        let tone = match row.grade {
            Grade::Pass => Tone::Done,
            Grade::Fail => Tone::Failed,
            Grade::Skipped => Tone::Held,
        };
        let grade = Cell::ours(row.grade.word()).tone(tone);
        vec![grade, Cell::ours(row.name), Cell::new(sentence(&row.detail))]
    };
    let headings = &["result", "row", "what was seen"];
    let left = if *is_forgotten {
        "the plugin has removed its records"
    } else {
        "you can remove the plugin's records of it"
    };
    let lines = vec![format!("fleet {fleet}: {left}"), class(capabilities), summary(rows)];
    View { table: Table { headings, rows: rows.iter().map(row).collect() }, lines }
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
            "the roster must set on_inventory_failure = \"skip\", and only one machine may run the \
             coordinator"
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
