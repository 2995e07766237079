//! The API server's answers: Jobs with their annotations, pods, and what becomes of writes.

use std::sync::LazyLock;
use std::time::Duration;

use coordinator::steps::StepName;
use coordinator_core::report::StepOutcome;
use coordinator_platform_kubernetes::{Kubernetes, Settings};
use coordinator_roster::PlatformKind;
use serde_json::json;
use tokio::time::Instant;

use super::server::{Answer, Asked, Server};
use super::stage::{Stage, block_on};
use super::{Verdict, documents as answers, shown};

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let section = "[platform.kubernetes]\nimage = \"example.com/agent:1\"\nnamespace = \"agents\"";
    Stage::on(&format!("kind = \"kubernetes\"\n{section}"))
});

/// Takes the inventory and starts what is missing.
pub(crate) fn kubernetes(bytes: &[u8]) -> Verdict {
    let server = Server::new(bytes, answer);
    let roster = &STAGE.roster;
    let PlatformKind::Kubernetes(kubernetes) = &roster.platform.kind else {
        panic!("the roster has another platform")
    };
    let settings = Settings {
        fleet: roster.fleet.clone(),
        repository: None,
        kubernetes: (**kubernetes).clone(),
        has_items: false,
        deadline: roster.deadline,
    };
    let report = block_on(async {
        let until = Instant::now() + Duration::from_secs(10);
        let platform = Kubernetes::new(settings, server.kubernetes(), "agents", until);
        let steps = [StepName::Inventory, StepName::Spawn];
        STAGE.cycle(&steps, Ok(platform), Err(anyhow::anyhow!("no step needs it"))).await
    });
    shown::check(&report);
    match report.inventory.outcome {
        StepOutcome::Ok => Verdict::Taken,
        StepOutcome::Failed(_) | StepOutcome::Skipped | StepOutcome::NotConfigured => {
            Verdict::Refused
        }
    }
}

fn answer(asked: &Asked) -> Answer {
    let pods = asked.path.ends_with("/pods");
    Answer::ok(match asked.method.as_str() {
        "GET" if pods => answers::kubernetes_pods(),
        "GET" if asked.path.ends_with("/jobs") => answers::kubernetes_jobs(),
        "GET" => answers::kubernetes_jobs()["items"][1].clone(),
        "DELETE" => json!({ "kind": "Status", "status": "Success" }),
        _ => asked.body.clone(),
    })
}
