//! `coordinator sessions`: live and remembered sessions.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::backoff::{self, Restraint};
use crate::cli::Output;
use crate::command::Outcome;
use crate::fleet::{self, Role, Run, SlotRecord, State};
use crate::platform::process::{Process, Record, SlotSurvey};
use crate::render::words::{clock, count, rfc3339, span};
use crate::untrusted::one_line;

/// A longer end of a session is cut in the table.
const LONGEST_LAST: usize = 72;

/// Looks at every slot and renders what is there; changes nothing. `roles` say how long a slot backs off. A slot that
/// cannot be read is an error in the log and in the exit code, and hides no other.
pub fn run(process: &Process, roles: &[Role], output: Output, now: SystemTime) -> anyhow::Result<Outcome> {
    let (mut slots, mut code) = (Vec::new(), 0);
    for found in process.survey()? {
        match found {
            Ok(found) => slots.push(found),
            Err(error) => {
                tracing::error!("{error:#}");
                code = 1;
            }
        }
    }
    slots.retain(|found| found.is_held || !found.records.is_empty());
    let rows = || slots.iter().map(|found| row(process, found, restraint(roles, found), now)).collect();
    let stdout = match output {
        Output::Json => format!("{:#}\n", json(process, &slots)),
        Output::Text if slots.is_empty() => NOTHING.to_owned(),
        Output::Text => table(rows()),
        Output::Markdown => markdown(rows()),
    };
    Ok(Outcome { stdout, code })
}

const NOTHING: &str = "no sessions yet; `coordinator reconcile` starts them\n";

const HEAD: [&str; 6] = ["SLOT", "STATE", "SINCE", "GEN", "LAST", "LOG"];

type Row = [String; 6];

fn restraint(roles: &[Role], found: &SlotSurvey) -> Option<Restraint> {
    roles.iter().find(|role| role.key == found.slot.role).map(|role| role.spec.restraint)
}

fn row(process: &Process, found: &SlotSurvey, restraint: Option<Restraint>, now: SystemTime) -> Row {
    let session = found.slot.session_name(process.fleet());
    let record = found.record();
    let (state, since) = state(&session, &record, restraint, now);
    let newest = record.live.as_ref().map(|live| live.generation);
    let generation = newest.unwrap_or_else(|| record.history.last().map(|run| run.generation));
    let last = record.history.last().map(|run| last(run, &record.history, restraint)).unwrap_or_default();
    let slot = found.slot.name();
    let log = format!("coordinator logs {slot}");
    [slot, state, since, generation.map_or_else(String::new, |number| number.to_string()), last, log]
}

fn state(
    session: &str,
    record: &SlotRecord,
    restraint: Option<Restraint>,
    now: SystemTime,
) -> (String, String) {
    let ago = |time: SystemTime| span(now.duration_since(time).unwrap_or_default());
    if let Some(live) = &record.live {
        return (live.state.word().to_owned(), live.started_at.map(ago).unwrap_or_default());
    }
    let hold = restraint.and_then(|restraint| backoff::hold(session, &record.history, &restraint, now));
    if let Some(hold) = hold {
        let until = hold.until.map(|until| format!("until {}", clock(until, now)));
        return (hold.reason.word().to_owned(), until.unwrap_or_default());
    }
    let ended = record.history.last().map(|run| ago(run.finished_at));
    (State::Finished.word().to_owned(), ended.unwrap_or_default())
}

/// `succeeded after 41 min`, `failed, exit 1 after 4 s (3 in a row)`.
fn last(run: &Run, history: &[Run], restraint: Option<Restraint>) -> String {
    let word = run.outcome.word().replace('_', " ");
    let how = match (run.outcome, run.exit_code, &run.detail) {
        (fleet::Outcome::Succeeded | fleet::Outcome::TimedOut, ..) | (_, None, None) => String::new(),
        (_, Some(code), _) => format!(", exit {code}"),
        // The remedy after the semicolon is in the report; the table has one line.
        (_, None, Some(detail)) => format!(", {}", detail.split(';').next().unwrap_or_default()),
    };
    let streak = restraint.map_or(0, |restraint| backoff::failure_streak(history, &restraint));
    let streak = if streak > 1 { format!(" ({streak} in a row)") } else { String::new() };
    one_line(&format!("{word}{how} after {}{streak}", span(run.runtime())), LONGEST_LAST)
}

fn table(rows: Vec<Row>) -> String {
    let rows: Vec<Row> = [HEAD.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &Row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn markdown(rows: Vec<Row>) -> String {
    let line = |row: Row| format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let head = line(HEAD.map(str::to_owned)) + &line(HEAD.map(|_| "---".to_owned()));
    let slots = count(rows.len() as u64, "slot");
    format!("{slots}\n\n{head}{}", rows.into_iter().map(line).collect::<String>())
}

fn json(process: &Process, slots: &[SlotSurvey]) -> Value {
    let sessions = slots.iter().flat_map(|found| {
        let finished = found.finished().map(|record| finished_json(process, found, record));
        finished.chain(live_json(process, found)).collect::<Vec<_>>()
    });
    json!({
        "schema": "coordinator.sessions/v1",
        "fleet": process.fleet().as_str(),
        "sessions": sessions.collect::<Vec<_>>(),
    })
}

fn finished_json(process: &Process, found: &SlotSurvey, record: &Record) -> Value {
    let run = record.run(found.boot_id());
    let log = record.directory.join("out.log");
    json!({
        "slot": found.slot.session_name(process.fleet()),
        "role": found.slot.role.as_str(),
        "index": found.slot.index,
        "generation": run.generation,
        "state": "finished",
        "outcome": run.outcome.word(),
        "exit_code": run.exit_code,
        "detail": run.detail,
        "pid": null,
        "started_at": rfc3339(run.started_at),
        "finished_at": rfc3339(run.finished_at),
        "log": log.exists().then_some(log),
    })
}

fn live_json(process: &Process, found: &SlotSurvey) -> Option<Value> {
    let live = found.live()?;
    let holder = found.holder();
    Some(json!({
        "slot": found.slot.session_name(process.fleet()),
        "role": found.slot.role.as_str(),
        "index": found.slot.index,
        "generation": live.generation,
        "state": live.state.word(),
        "outcome": null,
        "exit_code": null,
        "detail": null,
        "pid": holder.and_then(|record| record.start.agent).map(|agent| agent.pid),
        "started_at": live.started_at.map(rfc3339),
        "finished_at": null,
        "log": holder.map(|record| record.directory.join("out.log")),
    }))
}
