//! GitHub's answers about runs of the session workflow: their titles, their jobs, their logs.

use std::sync::LazyLock;

use coordinator::steps::StepName;
use coordinator_core::fleet::Slot;
use coordinator_core::report::StepOutcome;
use coordinator_platform_actions::{Actions, Settings};
use coordinator_roster::PlatformKind;
use serde_json::json;

use super::server::{Answer, Asked, Server};
use super::stage::{Stage, block_on};
use super::{Verdict, documents as answers, shown};

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::on("kind = \"github-actions\""));

/// Takes the inventory, starts what is missing, and reads a log.
pub(crate) fn actions(bytes: &[u8]) -> Verdict {
    let server = Server::new(bytes, answer);
    let platform = || {
        let roster = &STAGE.roster;
        let PlatformKind::GithubActions(actions) = &roster.platform.kind else {
            panic!("the roster has another platform")
        };
        let settings = Settings {
            fleet: roster.fleet.clone(),
            longest: roster.longest_memory(),
            time_limits: roster.time_limits(),
            actions: actions.clone(),
        };
        Actions::new(settings, STAGE.github(&server))
    };
    let slot = Slot::of_role(&STAGE.roster.roles[0].key, 1);
    let (report, log) = block_on(async {
        let steps = [StepName::Inventory, StepName::Spawn];
        let report =
            Box::pin(STAGE.cycle(&steps, Ok(platform()), Err(anyhow::anyhow!("no step needs it"))))
                .await;
        (report, platform().logs(&slot, None).await)
    });
    shown::check(&report);
    assert!(log.is_ok() || !bytes.is_empty(), "{log:?}");
    if let Err(error) = &log {
        shown::is_fair(&format!("{error:#}"));
    }
    match report.inventory.outcome {
        StepOutcome::Ok => Verdict::Taken,
        StepOutcome::Failed(_) | StepOutcome::Skipped | StepOutcome::NotConfigured => {
            Verdict::Refused
        }
    }
}

fn answer(asked: &Asked) -> Answer {
    let ends = |end: &str| asked.path.ends_with(end);
    if ends("/logs") && asked.path.starts_with("/repos/") {
        let location = Some("https://logs.example.com/77?sig=x");
        return Answer { status: 302, location, body: json!(null) };
    }
    Answer::ok(match asked.method.as_str() {
        "POST" if ends("/dispatches") => {
            json!({ "html_url": "https://example.com/runs/13", "workflow_run_id": 13 })
        }
        "POST" => answers::jobs(&asked.body["variables"]),
        _ if asked.path.contains("/concurrency_groups/") => json!({ "group_members": [] }),
        _ if ends("/agent-session.yml") => json!({ "state": "active" }),
        _ if ends("/jobs") => answers::run_jobs(),
        _ if ends("/runs") => answers::runs(),
        _ => json!("what an agent wrote"),
    })
}
