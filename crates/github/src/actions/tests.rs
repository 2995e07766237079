use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::{
    Conclusion, Dispatch, DispatchAnswer, Group, JobLog, RunStatus, Short, Workflow, WorkflowFile,
    used_up,
};
use crate::Error;
use crate::fake::{self, Journal, Reply, Sent, TOKEN};
use coordinator_core::report::RateLimit;

fn workflow(script: impl FnMut(&Sent) -> Reply + Send + 'static) -> (Workflow, Journal) {
    let (github, journal) = fake::github(script);
    (Workflow::new(github, "agent-session.yml", 80), journal)
}

fn sent(journal: &Journal) -> Vec<Sent> {
    journal.lock().expect("no test panics with the lock").clone()
}

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).expect("a time")
}

fn run(id: u64, status: &str, conclusion: Option<&str>) -> Value {
    json!({
        "id": id, "node_id": format!("WFR_{id}"), "display_title": "coord demo qa-s0 g1 c1",
        "status": status, "conclusion": conclusion, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T01:00:00Z",
        "run_started_at": "2026-01-01T00:00:05Z",
        "html_url": format!("https://github.com/octo/demo/actions/runs/{id}"),
    })
}

fn page(runs: &[Value]) -> Reply {
    Reply::json(200, &json!({ "total_count": runs.len(), "workflow_runs": runs }))
}

fn dispatch() -> Dispatch {
    Dispatch { git_ref: "main".to_owned(), inputs: BTreeMap::from([("fleet", "demo".to_owned())]) }
}

#[tokio::test]
async fn runs_are_listed_without_a_filter_and_every_word_that_is_not_completed_is_live() {
    let (workflow, journal) = workflow(|_| {
        let null = json!({
            "id": 4, "node_id": "WFR_4", "status": null, "conclusion": null,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "html_url": "https://github.com/a\u{1b}[31m",
        });
        page(&[
            run(1, "in_progress", None),
            run(2, "completed", Some("timed_out")),
            run(3, "brand_new", None),
            null,
        ])
        .with("date", "Thu, 01 Jan 2026 02:00:00 GMT")
        .with("x-ratelimit-remaining", "17")
        .with("x-ratelimit-limit", "1000")
        .with("x-ratelimit-reset", "1767229200")
    });
    let page = workflow.runs(1).await.expect("a good page");
    let journal = sent(&journal);
    assert_eq!(
        journal[0].url,
        "https://api.example.com/v3/repos/octo/demo/actions/workflows/agent-session.yml/runs\
         ?per_page=100&page=1"
    );
    assert_eq!(journal[0].authorization, format!("Bearer {TOKEN}"));
    let seen: Vec<_> = page.runs.iter().map(|run| (run.status, run.conclusion)).collect();
    assert_eq!(
        seen,
        [
            (RunStatus::InProgress, None),
            (RunStatus::Completed, Some(Conclusion::TimedOut)),
            (RunStatus::Queued, None),
            (RunStatus::Queued, None)
        ]
    );
    assert_eq!(page.runs[0].started_at, at("2026-01-01T00:00:05Z"));
    assert_eq!(page.runs[3].url, "https://github.com/a[31m");
    assert!(!page.has_next);
    assert!(workflow.server_time().is_some_and(|time| time >= at("2026-01-01T02:00:00Z")));
    let left = workflow.requests_left().expect("it was told");
    assert_eq!(
        (left.requests, left.limit, left.resets_at),
        (17, Some(1000), Some(at("2026-01-01T01:00:00Z")))
    );
}

#[tokio::test]
async fn a_page_goes_on_when_it_is_full_or_its_link_says_so() {
    let (workflow, _) = workflow(|sent| {
        if sent.url.ends_with("page=1") {
            let runs: Vec<Value> =
                (0..100).map(|id| run(id, "completed", Some("success"))).collect();
            page(&runs)
        } else {
            page(&[run(7, "queued", None)])
                .with("link", "<https://elsewhere.example.com/>; rel=\"next\"")
        }
    });
    assert!(workflow.runs(1).await.expect("a full page").has_next);
    assert!(workflow.runs(2).await.expect("a short page").has_next);
}

#[tokio::test]
async fn a_page_with_a_run_that_has_no_time_is_no_page() {
    let (workflow, _) = workflow(|_| {
        let mut bad = run(2, "queued", None);
        bad["created_at"] = json!("soon");
        page(&[run(1, "queued", None), bad])
    });
    assert!(workflow.runs(1).await.is_err());
}

#[tokio::test]
async fn a_workflow_that_is_not_there_says_what_writes_it() {
    let (workflow, _) = workflow(|_| Reply::json(404, &json!({ "message": "Not Found" })));
    let error = workflow.runs(1).await.expect_err("no such workflow").to_string();
    assert!(
        error.contains("no workflow agent-session.yml") && error.contains("init --github-actions"),
        "{error}"
    );
}

#[tokio::test]
async fn no_request_goes_past_the_budget() {
    let (github, journal) = fake::github(|_| page(&[]));
    let workflow = Workflow::new(github, "agent-session.yml", 2);
    workflow.reserve(2).expect("there are two");
    workflow.give_back(1);
    workflow.runs(1).await.expect("one is left");
    let error = workflow.runs(2).await.expect_err("none is left");
    assert_eq!(error, Error::Failed(used_up(2)));
    assert_eq!(workflow.reserve(1), Err(Short::Budget(2)));
    assert_eq!(sent(&journal).len(), 1);
}

#[tokio::test]
async fn what_github_says_is_left_is_respected_and_graphql_has_a_limit_of_its_own() {
    let (workflow, _) = workflow(|sent| {
        if sent.url.ends_with("/graphql") {
            return Reply::json(200, &json!({ "data": { "nodes": [] } }))
                .with("x-ratelimit-remaining", "0");
        }
        page(&[]).with("x-ratelimit-remaining", "1").with("x-ratelimit-reset", "1767229200")
    });
    workflow.jobs(&["WFR_1".to_owned()]).await.expect("jobs");
    workflow.runs(1).await.expect("a page");
    let limit = RateLimit { resets_at: Some(at("2026-01-01T01:00:00Z")), said: String::new() };
    assert_eq!(workflow.reserve(2), Err(Short::RateLimited(limit)));
    assert_eq!(workflow.reserve(1), Ok(()));
}

#[tokio::test]
async fn after_a_refusal_by_a_rate_limit_nothing_more_is_sent() {
    let (workflow, journal) = workflow(|_| {
        Reply::json(429, &json!({ "message": "slow down" }))
            .with("date", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("retry-after", "60")
            .with("x-ratelimit-remaining", "900")
    });
    let limit =
        RateLimit { resets_at: Some(at("2026-01-01T00:01:00Z")), said: "slow down".to_owned() };
    assert_eq!(workflow.group("coord-demo-qa-s0").await, Err(Error::RateLimited(limit.clone())));
    let unsent = RateLimit { said: String::new(), ..limit };
    assert_eq!(workflow.runs(1).await, Err(Error::RateLimited(unsent)));
    assert_eq!(sent(&journal).len(), 1);
}

#[tokio::test]
async fn a_group_is_free_when_github_has_none_or_no_run_is_in_it() {
    let group = async |reply: fn() -> Reply| {
        let (workflow, journal) = workflow(move |_| reply());
        let group = workflow.group("coord demo/x").await;
        assert!(sent(&journal)[0].url.ends_with("/actions/concurrency_groups/coord%20demo%2Fx"));
        group
    };
    assert_eq!(
        group(|| Reply::json(404, &json!({ "message": "Not Found" }))).await,
        Ok(Group::Free)
    );
    assert_eq!(group(|| Reply::json(200, &json!({ "group_members": [] }))).await, Ok(Group::Free));
    let member =
        || Reply::json(200, &json!({ "group_members": [{ "run_id": 1, "status": "pending" }] }));
    assert_eq!(group(member).await, Ok(Group::Taken));
    assert!(group(|| Reply::json(500, &json!({ "message": "Server Error" }))).await.is_err());
    assert!(group(|| Reply::json(200, &json!({ "members": [] }))).await.is_err());
}

async fn dispatched(reply: impl Fn() -> Reply + Send + 'static) -> (DispatchAnswer, usize) {
    let (workflow, journal) = workflow(move |_| reply());
    let answer = workflow.dispatch(&dispatch()).await;
    let count = sent(&journal).len();
    (answer, count)
}

#[tokio::test]
async fn a_dispatch_names_its_inputs_and_is_accepted_with_or_without_a_run() {
    let (client, journal) = workflow(|_| {
        let url = "https://github.com/octo/demo/actions/runs/9";
        Reply::json(200, &json!({ "workflow_run_id": 9, "run_url": "x", "html_url": url }))
    });
    let url = Some("https://github.com/octo/demo/actions/runs/9".to_owned());
    assert_eq!(client.dispatch(&dispatch()).await, DispatchAnswer::Accepted { url });
    let expected =
        json!({ "ref": "main", "inputs": { "fleet": "demo" }, "return_run_details": true });
    assert_eq!(sent(&journal)[0].body, expected);
    let empty = || Reply::Answer(204, Vec::new(), String::new());
    assert_eq!(dispatched(empty).await, (DispatchAnswer::Accepted { url: None }, 1));
}

#[tokio::test]
async fn a_server_that_does_not_know_the_parameter_is_asked_once_more_and_then_never_again() {
    let (workflow, journal) = workflow(|sent| {
        if sent.body["return_run_details"].is_null() {
            return Reply::Answer(204, Vec::new(), String::new());
        }
        Reply::json(422, &json!({ "message": "\"return_run_details\" is not a permitted key." }))
    });
    for _ in 0..2 {
        assert_eq!(workflow.dispatch(&dispatch()).await, DispatchAnswer::Accepted { url: None });
    }
    assert_eq!(sent(&journal).len(), 3);
}

#[tokio::test]
async fn only_a_clear_answer_says_that_nothing_was_started() {
    for status in [301, 400, 401, 403, 404, 409, 422] {
        let (answer, count) =
            dispatched(move || Reply::json(status, &json!({ "message": "no\u{1b}[31m" }))).await;
        let refused = DispatchAnswer::Refused { status, message: "no[31m".to_owned() };
        assert_eq!((answer, count), (refused, 1), "{status}");
    }
    for status in [408, 500, 502, 503, 504] {
        let (answer, count) =
            dispatched(move || Reply::json(status, &json!({ "message": "late" }))).await;
        assert!(matches!(answer, DispatchAnswer::Lost(_)), "{status}: {answer:?}");
        assert_eq!(count, 1, "a start without an answer is never repeated");
    }
    let (answer, count) = dispatched(|| Reply::Reset).await;
    assert!(matches!(answer, DispatchAnswer::Lost(_)) && count == 1, "{answer:?}");
}

#[tokio::test]
async fn a_rate_limit_refuses_a_dispatch_as_such() {
    let limited = || {
        let message = "You have exceeded a secondary rate limit";
        Reply::json(403, &json!({ "message": message })).with("retry-after", "60")
    };
    assert!(matches!(dispatched(limited).await, (DispatchAnswer::RateLimited(_), 1)));
}

fn jobs_answer(nodes: &Value, errors: &Value) -> Reply {
    Reply::json(200, &json!({ "data": { "nodes": nodes }, "errors": errors }))
}

#[tokio::test]
async fn the_jobs_of_many_runs_are_one_question_per_hundred_and_a_run_that_is_gone_is_left_out() {
    let (workflow, journal) = workflow(|sent| {
        let ids = sent.body["variables"]["ids"].as_array().expect("a list").clone();
        let rows = json!([{ "name": "agent", "status": "COMPLETED", "conclusion": "CANCELLED",
            "startedAt": "2026-01-01T00:00:00Z", "completedAt": null }]);
        let node = |id| {
            let suite = json!({ "checkRuns": { "nodes": rows } });
            json!({ "__typename": "WorkflowRun", "id": id, "checkSuite": suite })
        };
        let nodes = ids.into_iter().map(|id| if id == "WFR_5" { Value::Null } else { node(id) });
        let errors =
            json!([{ "type": "NOT_FOUND", "path": ["nodes", 5], "message": "Could not resolve" }]);
        jobs_answer(&nodes.collect(), &errors)
    });
    let ids: Vec<String> = (0..150).map(|id| format!("WFR_{id}")).collect();
    let jobs = workflow.jobs(&ids).await.expect("good answers");
    assert_eq!((jobs.len(), sent(&journal).len()), (149, 2));
    let job = &jobs["WFR_0"][0];
    assert_eq!((job.status, job.conclusion), (RunStatus::Completed, Some(Conclusion::Cancelled)));
    assert_eq!((job.started_at, job.completed_at), (Some(at("2026-01-01T00:00:00Z")), None));
    assert!(workflow.jobs(&[]).await.expect("nothing to ask").is_empty());
    assert_eq!(workflow.requests(), 2);
}

#[tokio::test]
async fn jobs_that_may_not_be_read_are_an_error() {
    for (nodes, errors) in [
        (
            json!([null]),
            json!([{ "type": "FORBIDDEN", "message": "Resource not accessible by integration" }]),
        ),
        (json!([{ "id": "WFR_1", "checkSuite": { "checkRuns": null } }]), json!([])),
        (Value::Null, json!([])),
    ] {
        let (workflow, _) = workflow(move |_| jobs_answer(&nodes, &errors));
        assert!(workflow.jobs(&["WFR_1".to_owned()]).await.is_err());
    }
}

#[tokio::test]
async fn a_log_is_fetched_from_elsewhere_without_the_token() {
    let (workflow, journal) = workflow(|sent| {
        if sent.url.starts_with("https://logs.example.com") {
            return Reply::Answer(200, Vec::new(), "one\ntwo\n".to_owned());
        }
        Reply::json(302, &Value::Null)
            .with("location", "https://logs.example.com/job.txt?sig=s3cret")
    });
    let log = workflow.job_log(7, 1024).await.expect("a log");
    assert_eq!(log, JobLog::Whole("one\ntwo\n".into()));
    let journal = sent(&journal);
    assert!(journal[0].url.ends_with("/repos/octo/demo/actions/jobs/7/logs"));
    assert_eq!(
        (journal[1].url.as_str(), journal[1].authorization.as_str()),
        ("https://logs.example.com/job.txt?sig=s3cret", "")
    );
    assert_eq!(workflow.requests(), 2);
}

#[tokio::test]
async fn a_log_elsewhere_is_not_fetched_unprotected_and_no_further_redirect_is_followed() {
    for (location, requests) in
        [("http://logs.example.com/?sig=s3cret", 1), ("https://logs.example.com/?sig=s3cret", 2)]
    {
        let (workflow, journal) =
            workflow(move |_| Reply::json(302, &Value::Null).with("location", location));
        let error = workflow.job_log(7, 1024).await.expect_err("nothing comes of it").to_string();
        assert!(!error.contains("s3cret"), "{error}");
        assert_eq!(sent(&journal).len(), requests, "{location}");
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_none() {
    for status in [404, 410] {
        let (workflow, _) = workflow(move |_| Reply::json(status, &json!({ "message": "gone" })));
        assert_eq!(workflow.job_log(7, 1024).await, Ok(JobLog::None));
    }
}

#[tokio::test]
async fn a_workflow_is_active_inactive_or_absent_and_a_branch_is_one_segment() {
    let (workflow, journal) = workflow(|sent| {
        if sent.url.contains("/branches/") {
            return Reply::json(200, &json!({ "name": "feature/a" }));
        }
        Reply::json(200, &json!({ "state": "disabled_inactivity" }))
    });
    assert_eq!(
        workflow.state().await,
        Ok(WorkflowFile::Inactive("disabled_inactivity".to_owned()))
    );
    assert_eq!(workflow.has_branch("feature/a").await, Ok(true));
    assert!(sent(&journal)[1].url.ends_with("/branches/feature%2Fa"));
}
