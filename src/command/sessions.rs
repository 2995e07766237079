//! `coordinator sessions`: live and remembered sessions.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::cli::Global;
use crate::command::{Finished, clients};
use crate::render::json::Json;
use crate::render::shown;
use crate::render::table::{Cell, Table, View};
use crate::render::words::{Clock, count, rfc3339, sentence, span};
use crate::render::{Form, Output};
use coordinator_core::backoff::{self, BackoffSettings};
use coordinator_core::fleet::{
    FleetName, ItemRun, LiveSession, Outcome, ResultStatus, Role, Run, SessionResult, SlotSessions,
    State, Usage,
};
use coordinator_core::secrets::Secrets;
use coordinator_roster::Roster;

/// Characters of a session's end in the table.
const MAX_LAST: usize = 72;

/// A slot that cannot be read is an error in the log and in the exit code; the others are shown.
pub async fn run(roster: &Roster, global: &Global, form: Form<'_>) -> anyhow::Result<Finished> {
    let found = clients::platform_to_look(roster, global).await?.sessions().await?;
    for error in &found.unreadable {
        tracing::error!("{error:#}");
    }
    let now = found.as_of.unwrap_or_else(SystemTime::now);
    let stdout = show(&roster.fleet, &found.slots, &roster.roles, form, now)?;
    Ok(Finished { stdout, code: u8::from(!found.unreadable.is_empty()) })
}

/// The sessions on record. `roles` have the backoff settings; `now` is by the clock that wrote the
/// times in `slots`.
fn show(
    fleet: &FleetName,
    slots: &[SlotSessions],
    roles: &[Role],
    form: Form<'_>,
    now: SystemTime,
) -> serde_json::Result<String> {
    let view = || match slots {
        [] => View { lines: vec![NOTHING.to_owned()], ..View::default() },
        slots => {
            let clock = Clock { now, zone: form.zone };
            let row =
                |found| row(fleet, found, backoff_settings(roles, found), clock, form.secrets);
            let headings = &["slot", "state", "since", "gen", "last"];
            View {
                table: Table { headings, rows: slots.iter().map(row).collect() },
                lines: vec![LOGS.to_owned()],
            }
        }
    };
    let shown = form.show(view, |secrets| document(fleet, slots, roles).pretty(secrets))?;
    Ok(match form.output {
        Output::Markdown => format!("{}\n\n{shown}", count(slots.len() as u64, "slot")),
        Output::Text | Output::Json => shown,
    })
}

const LOGS: &str = "`coordinator logs SLOT` prints what the agent of a slot wrote";
const NOTHING: &str = "no sessions yet; `coordinator reconcile` starts them";

fn backoff_settings(roles: &[Role], found: &SlotSessions) -> Option<BackoffSettings> {
    roles.iter().find(|role| found.slot.group == role.key).map(|role| role.spec.backoff)
}

fn row(
    fleet: &FleetName,
    found: &SlotSessions,
    backoff_settings: Option<BackoffSettings>,
    clock: Clock<'_>,
    secrets: &Secrets,
) -> Vec<Cell> {
    let (state, since) = state(&found.slot.session_name(fleet), found, backoff_settings, clock);
    let newest = found.live.as_ref().map(|live| live.generation);
    let generation = newest.unwrap_or_else(|| found.history.last().map(|run| run.generation));
    let ended =
        || found.history.last().map(|run| last(run, found.recent(), backoff_settings, secrets));
    let stuck = found.stuck.as_ref().map(|stuck| without_remedy(&stuck.detail, secrets));
    let last = stuck.or_else(ended).unwrap_or_default();
    vec![
        Cell::new(slot(found)),
        Cell::ours(state),
        Cell::ours(since),
        Cell::ours(generation.map_or_else(String::new, |number| number.to_string())),
        Cell::new(last).max(MAX_LAST),
    ]
}

/// A work item's slot by the item's id, where a session has it.
fn slot(found: &SlotSessions) -> String {
    let live = found.live.as_ref().and_then(|live| live.item.as_ref());
    let item = live.or_else(|| found.history.last()?.item.as_ref());
    item.map_or_else(|| found.slot.name(), |of| format!("{}/{}", found.slot.group, of.item.id))
}

fn state(
    session: &str,
    found: &SlotSessions,
    backoff_settings: Option<BackoffSettings>,
    clock: Clock<'_>,
) -> (String, String) {
    let now = clock.now;
    let ago = |time: SystemTime| span(now.duration_since(time).unwrap_or_default());
    if let Some(stuck) = &found.stuck {
        return (stuck.reason.word().to_owned(), stuck.since.map(ago).unwrap_or_default());
    }
    if let Some(live) = &found.live {
        return (live.state.word().to_owned(), live.started_at.map(ago).unwrap_or_default());
    }
    let hold = backoff_settings.and_then(|backoff_settings| {
        backoff::hold(session, found.recent(), &backoff_settings, now)
    });
    if let Some(hold) = hold {
        let until = hold.until.map(|until| format!("until {}", clock.time(until)));
        return (hold.reason.word().to_owned(), until.unwrap_or_default());
    }
    let ended = found.history.last().map(|run| ago(run.finished_at));
    (State::Finished.word().to_owned(), ended.unwrap_or_default())
}

/// The remedy after the semicolon is in the report. A secret may contain a semicolon.
fn without_remedy(detail: &str, secrets: &Secrets) -> String {
    shown(detail, usize::MAX, secrets).split(';').next().unwrap_or_default().to_owned()
}

/// `succeeded after 41 min`, `failed, exit 1 after 4 s (3 in a row)`.
fn last(
    run: &Run,
    history: &[Run],
    backoff_settings: Option<BackoffSettings>,
    secrets: &Secrets,
) -> String {
    let outcome = outcome(run, backoff_settings);
    let word = word(outcome);
    let how = match (outcome, run.exit_code, &run.detail) {
        (Outcome::Succeeded | Outcome::TimedOut | Outcome::Idle, ..) | (_, None, None) => {
            String::new()
        }
        // It names the person.
        (Outcome::Stopped, _, Some(detail)) => {
            let by = detail.strip_prefix("stopped").unwrap_or_default();
            format!(" {}", shown(by, usize::MAX, secrets)).trim_end().to_owned()
        }
        (_, Some(code), _) => format!(", exit {code}"),
        (_, None, Some(detail)) => format!(", {}", without_remedy(detail, secrets)),
    };
    let streak = backoff_settings
        .map_or(0, |backoff_settings| backoff::in_a_row(history, &backoff_settings));
    let streak = if streak > 1 { format!(" ({streak} in a row)") } else { String::new() };
    format!("{word}{how} {}{streak}", after(run))
}

/// An outcome for people.
pub(super) fn word(outcome: Outcome) -> String {
    outcome.word().replace('_', " ")
}

/// `after 41 min`.
pub(super) fn after(run: &Run) -> String {
    format!("after {}", span(run.runtime()))
}

/// The outcome under the role's settings; a removed role has none.
fn outcome(run: &Run, backoff_settings: Option<BackoffSettings>) -> Outcome {
    backoff_settings
        .map_or(run.outcome, |backoff_settings| backoff::outcome(run, &backoff_settings))
}

fn document(fleet: &FleetName, slots: &[SlotSessions], roles: &[Role]) -> Json {
    let sessions = slots.iter().flat_map(|found| {
        let backoff_settings = backoff_settings(roles, found);
        let finished =
            found.history.iter().map(|run| finished_json(fleet, found, run, backoff_settings));
        finished
            .chain(found.live.as_ref().map(|live| live_json(fleet, found, live)))
            .collect::<Vec<_>>()
    });
    let document = json!({
        "schema": "coordinator.sessions/v1",
        "fleet": fleet.as_str(),
        "sessions": sessions.collect::<Vec<_>>(),
    });
    document.into()
}

/// The recipe of a session: its group is the role, unless it works on an item.
fn role<'a>(found: &'a SlotSessions, item: Option<&'a ItemRun>) -> &'a str {
    item.map_or(found.slot.group.as_str(), |item| item.role.as_str())
}

/// Item and attempt beside the slot, where there is one.
fn of_item(item: Option<&ItemRun>, mut session: Value) -> Value {
    if let Some(ItemRun { item, .. }) = item {
        session["item"] = json!(sentence(&item.id));
        session["attempt"] = json!(item.counts.attempt);
    }
    session
}

fn finished_json(
    fleet: &FleetName,
    found: &SlotSessions,
    run: &Run,
    backoff_settings: Option<BackoffSettings>,
) -> Value {
    of_item(
        run.item.as_ref(),
        json!({
            "slot": found.slot.session_name(fleet),
            "role": role(found, run.item.as_ref()),
            "index": found.slot.index(),
            "generation": run.generation,
            "state": State::Finished.word(),
            "outcome": outcome(run, backoff_settings).word(),
            "exit_code": run.exit_code,
            "detail": run.detail.as_deref().map(sentence),
            "pid": null,
            "started_at": rfc3339(run.started_at),
            "finished_at": rfc3339(run.finished_at),
            "log": found.logs.get(&run.generation),
            "result": run.result.as_ref().map(result_json),
            "usage": run.result.as_ref().and_then(usage_json),
        }),
    )
}

/// What the agent left, in its own words.
fn result_json(result: &SessionResult) -> Value {
    let reason = Some(sentence(&result.reason)).filter(|reason| !reason.is_empty());
    json!({ "status": result.status.map(ResultStatus::word), "reason": reason })
}

/// What a session used; `None` where nothing is known.
pub(super) fn usage_json(result: &SessionResult) -> Option<Value> {
    let Usage { cost_usd, measured: _, input_tokens, output_tokens, turns } = result.usage;
    let usage = json!({
        "cost_usd": cost_usd,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "turns": turns,
    });
    (!result.usage.is_unknown()).then_some(usage)
}

fn live_json(fleet: &FleetName, found: &SlotSessions, live: &LiveSession) -> Value {
    let stuck = found.stuck.as_ref();
    of_item(
        live.item.as_ref(),
        json!({
            "slot": found.slot.session_name(fleet),
            "role": role(found, live.item.as_ref()),
            "index": found.slot.index(),
            "generation": live.generation,
            "state": live.state.word(),
            "outcome": null,
            "exit_code": null,
            "detail": stuck.map(|stuck| {
                sentence(&format!("{}: {}", stuck.reason.word(), stuck.detail))
            }),
            "pid": found.pid,
            "started_at": live.started_at.map(rfc3339),
            "finished_at": null,
            "log": live.generation.and_then(|generation| found.logs.get(&generation)),
            "result": null,
            "usage": null,
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use coordinator_core::fleet::{Listing, RoleKey, Slot, SlotRecord, Stuck, StuckReason};

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + second)
    }

    fn slot(index: u32) -> Slot {
        Slot::of_role(&RoleKey::parse("ui_builder").expect("a valid key"), index)
    }

    fn live(generation: u64, state: State, started: Option<u64>) -> LiveSession {
        LiveSession { generation: Some(generation), state, started_at: started.map(at), item: None }
    }

    fn failed(generation: u64, last_words: &str) -> Run {
        Run {
            generation,
            outcome: Outcome::Failed,
            exit_code: Some(3),
            detail: Some(last_words.to_owned()),
            started_at: at(60),
            finished_at: at(64),
            disrupted: false,
            stopped_by: None,
            result: None,
            item: None,
        }
    }

    /// What a platform without files lists: a running, a stuck and a finished session.
    fn listed() -> Vec<SlotSessions> {
        let record = |live, history| SlotRecord::of(live, history);
        let slots = BTreeMap::from([
            (
                slot(0),
                record(
                    Some(live(2, State::Running, Some(0))),
                    vec![failed(1, "no \u{1b}[31mkey\u{202e}")],
                ),
            ),
            (slot(1), record(Some(live(1, State::Starting, None)), Vec::new())),
            (slot(2), record(None, vec![failed(4, "out of memory")])),
        ]);
        let stuck = vec![Stuck {
            slot: slot(1),
            reason: StuckReason::Pending,
            since: Some(at(0)),
            detail: "ImagePullBackOff: no image \u{1b}[31m`a:1`; correct `image`".to_owned(),
        }];
        SlotSessions::of(Listing { slots, stuck, ..Listing::default() })
    }

    fn shown(output: Output) -> String {
        let fleet = FleetName::parse("demo").expect("a valid name");
        let secrets = Secrets::default();
        let form = Form::plain(output, &secrets);
        show(&fleet, &listed(), &[], form, at(660)).expect("it is written")
    }

    #[test]
    fn a_stopped_session_names_the_person_once() {
        let stopped = |detail: &str| {
            let run = Run { outcome: Outcome::Stopped, ..failed(1, detail) };
            last(&run, &[], None, &Secrets::default())
        };
        assert_eq!(stopped("stopped by alice"), "stopped by alice after 4.0 s");
        assert_eq!(stopped("stopped"), "stopped after 4.0 s");
    }

    #[test]
    fn a_stuck_session_shows_its_reason_in_place_of_its_state_and_its_end() {
        assert_snapshot!(shown(Output::Text), @r#"
        SLOT           STATE     SINCE   GEN  LAST
        ui-builder-s0  running   11 min  2    failed, exit 3 after 4.0 s
        ui-builder-s1  pending   11 min  1    ImagePullBackOff: no image [31m`a:1`
        ui-builder-s2  finished  9 min   4    failed, exit 3 after 4.0 s

        `coordinator logs SLOT` prints what the agent of a slot wrote
        "#);
        assert_snapshot!(shown(Output::Markdown), @r#"
        3 slots

        | slot | state | since | gen | last |
        |---|---|---|---|---|
        | ui-builder-s0 | running | 11 min | 2 | failed, exit 3 after 4.0 s |
        | ui-builder-s1 | pending | 11 min | 1 | ImagePullBackOff: no image &#91;31m&#96;a:1&#96; |
        | ui-builder-s2 | finished | 9 min | 4 | failed, exit 3 after 4.0 s |

        &#96;coordinator logs SLOT&#96; prints what the agent of a slot wrote
        "#);
    }

    #[test]
    fn without_files_there_is_no_log_and_no_pid_and_the_detail_says_why() {
        let json: Value = serde_json::from_str(&shown(Output::Json)).expect("it is JSON");
        let sessions = json["sessions"].as_array().expect("a list");
        let fields =
            |name: &str| sessions.iter().map(|session| session[name].clone()).collect::<Vec<_>>();
        assert_eq!(fields("state"), ["finished", "running", "starting", "finished"]);
        assert!(fields("log").iter().chain(&fields("pid")).all(Value::is_null), "{json:#}");
        let stuck = "pending: ImagePullBackOff: no image [31m`a:1`; correct `image`";
        assert_eq!(
            fields("detail"),
            [json!("no [31mkey"), json!(null), json!(stuck), json!("out of memory")]
        );
    }
}
