//! GitHub's answers about pull requests, over GraphQL and REST.

use std::sync::LazyLock;
use std::time::SystemTime;

use coordinator::steps::StepName;
use coordinator_core::merge::LastPushApproval;
use coordinator_core::report::{Report, StepOutcome};
use coordinator_github::documents;
use coordinator_platform_kubernetes::Kubernetes;
use serde_json::json;

use super::server::{Answer, Asked, Server};
use super::stage::{Stage, block_on};
use super::{Verdict, documents as answers, shown};

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::on("kind = \"process\""));

/// Lists, rereads, reads files and merges; then reads what `doctor` reads.
pub(crate) fn merge(bytes: &[u8]) -> Verdict {
    let server = Server::new(bytes, answer);
    let (report, findings) = block_on(async {
        let report = cycle(&server).await;
        let findings =
            STAGE.github(&server).diagnose(SystemTime::now(), LastPushApproval::Github).await;
        (report, findings)
    });
    for finding in findings {
        shown::is_tame(&finding.what);
    }
    shown::check(&report);
    match report.merge.outcome {
        StepOutcome::Ok => Verdict::Taken,
        StepOutcome::Failed(_) | StepOutcome::Skipped | StepOutcome::NotConfigured => {
            Verdict::Refused
        }
    }
}

/// One merge step against this server.
pub(super) async fn cycle(server: &Server) -> Report {
    let nowhere: anyhow::Result<Kubernetes> = Err(anyhow::anyhow!("no step needs it"));
    STAGE.cycle(&[StepName::Merge], nowhere, Ok(STAGE.github(server))).await
}

pub(super) fn answer(asked: &Asked) -> Answer {
    let query = asked.body["query"].as_str().unwrap_or_default();
    Answer::ok(match asked.method.as_str() {
        "PUT" => {
            json!({ "merged": true, "sha": "0123456789abcdef",
                "message": "Pull Request successfully merged" })
        }
        "GET" => json!([{ "filename": "src/lib.rs", "previous_filename": "lib.rs" }]),
        _ if query.contains("query Recheck") => answers::pulls_again(&asked.body["variables"]),
        _ if query == documents::DOCTOR => answers::repository(),
        _ => answers::pulls(),
    })
}
