use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::fake::{self, Reply, Sent, TOKEN};
use super::{Error, MergeAnswer, MergeCall};
use crate::finding::Grade;
use crate::pull::{
    Actor, ActorKind, Checks, LastPush, MergeQueue, MergeState, Mergeable, Permission, ReviewDecision,
    RowSource, Sha,
};
use crate::roster::LastPushApproval;

fn bases() -> Vec<String> {
    vec!["main".to_owned()]
}

/// The error of a list that is answered like this.
async fn list_error(reply: impl Fn() -> Reply + Send + 'static) -> Error {
    let (github, _) = fake::github(move |_| reply());
    github.list(&bases()).await.expect_err("the answer is no list")
}

#[tokio::test]
async fn a_list_is_one_request_with_the_token_to_the_graphql_address() {
    let (github, journal) = fake::github(|_| {
        Reply::json(200, &fake::list(&[fake::pull(3)]))
            .with("date", "Thu, 01 Jan 2026 00:10:00 GMT")
            .with("github-authentication-token-expiration", "2026-01-08 00:00:00 UTC")
    });
    let snapshot = github.list(&bases()).await.expect("a good list");
    let journal = journal.lock().expect("no test panics with the lock").clone();
    assert_eq!(journal.len(), 1);
    assert_eq!(github.requests(), 1);
    assert_eq!(journal[0].url, "https://api.example.com/graphql");
    assert_eq!(journal[0].authorization, format!("Bearer {TOKEN}"));
    assert_eq!(journal[0].body["variables"]["base_0"], "refs/heads/main");
    assert_eq!(snapshot.listing.repository.permission, Permission::Write);
    assert_eq!(snapshot.listing.repository.history("main").map(|page| page.items.len()), Some(2));
    assert_eq!(snapshot.listing.pulls.len(), 1);
    let at = |text| humantime::parse_rfc3339(text).expect("a time");
    assert_eq!(snapshot.clock.time, at("2026-01-01T00:10:00Z"));
    assert_eq!(snapshot.token_expires_at, Some(at("2026-01-08T00:00:00Z")));
}

#[tokio::test]
async fn every_page_is_read() {
    let (github, _) = fake::github(|sent| match sent.body["variables"]["after"].as_str() {
        None => Reply::json(200, &fake::page(&[fake::pull(1), fake::pull(2)], Some("c2"))),
        Some("c2") => Reply::json(200, &fake::page(&[fake::pull(2), fake::pull(3)], None)),
        Some(_) => Reply::Reset,
    });
    let snapshot = github.list(&bases()).await.expect("a good list");
    let numbers: Vec<u64> = snapshot.listing.pulls.iter().map(|pull| pull.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(github.requests(), 2);
}

#[tokio::test]
async fn a_list_of_which_a_page_fails_is_no_list() {
    let (github, _) = fake::github(|sent| match sent.body["variables"]["after"].as_str() {
        None => Reply::json(200, &fake::page(&[fake::pull(1)], Some("c2"))),
        Some(_) => Reply::json(500, &json!({ "message": "Server Error" })),
    });
    let error = github.list(&bases()).await.expect_err("half a list is none");
    assert_eq!(error.to_string(), "could not list the open pull requests: GitHub answered 500: Server Error");
}

#[tokio::test]
async fn pages_that_do_not_end_are_an_error() {
    for cursor in [Some("same"), None] {
        let mut page = fake::page(&[fake::pull(1)], Some("same"));
        page["data"]["repository"]["pullRequests"]["pageInfo"]["endCursor"] = json!(cursor);
        let error = list_error(move || Reply::json(200, &page)).await;
        assert!(error.to_string().contains("page"), "{error}");
    }
}

#[tokio::test]
async fn a_page_that_is_too_big_is_halved_once_and_nothing_else_is_repeated() {
    for (status, requests) in [(502, 2), (504, 2), (500, 1), (503, 1), (401, 1), (404, 1)] {
        let (github, _) = fake::github(move |_| Reply::json(status, &json!({ "message": "no" })));
        github.list(&bases()).await.expect_err("no answer is a list");
        assert_eq!(github.requests(), requests, "{status}");
    }
    let (github, _) = fake::github(|sent| match sent.body["variables"]["first"].as_u64() {
        Some(50) => Reply::Answer(504, Vec::new(), "<html>".to_owned()),
        _ => Reply::json(200, &fake::list(&[fake::pull(1)])),
    });
    assert_eq!(github.list(&bases()).await.expect("half a page works").listing.pulls.len(), 1);
}

#[tokio::test]
async fn every_form_of_a_rate_limit_is_recognised_with_its_end() {
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let at = |seconds: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + seconds));
    let used_up = |status, body: Value| {
        Reply::json(status, &body)
            .with("x-ratelimit-remaining", "0")
            .with("x-ratelimit-reset", &(1_767_225_600_u64 + 1800).to_string())
    };
    let limited = || json!({ "message": "You have exceeded a secondary rate limit" });
    for (reply, resets_at) in [
        (used_up(403, json!({ "message": "API rate limit exceeded" })), at(1800)),
        (used_up(429, json!({})), at(1800)),
        (Reply::json(403, &limited()), None),
        (Reply::json(429, &limited()).with("retry-after", "60").with("date", date), at(60)),
        (Reply::json(403, &json!({})).with("retry-after", "Thu, 01 Jan 2026 00:02:00 GMT"), at(120)),
        (Reply::json(403, &limited()).with("retry-after", "18446744073709551615"), None),
        (Reply::json(429, &limited()).with("x-ratelimit-reset", "18446744073709551615"), None),
        (used_up(200, json!({ "errors": [{ "type": "RATE_LIMITED", "message": "limit" }] })), at(1800)),
    ] {
        let mut reply = Some(reply);
        let (github, _) = fake::github(move |_| reply.take().unwrap_or(Reply::Reset));
        let error = github.list(&bases()).await.expect_err("a rate limit is no list");
        let limit = error.rate_limit().expect("a rate limit");
        assert_eq!(limit.resets_at, resets_at, "{error}");
        assert_eq!(github.requests(), 1);
    }
}

#[tokio::test]
async fn a_plain_403_is_no_rate_limit() {
    let error = list_error(|| Reply::json(403, &json!({ "message": "Resource not accessible" }))).await;
    assert_eq!(error.rate_limit(), None);
}

#[tokio::test]
async fn errors_are_one_line_and_tell_neither_token_nor_body() {
    let hostile =
        json!({ "message": format!("no\n\u{1b}[31m{}", "x".repeat(5000)), "body": TOKEN }).to_string();
    for reply in [
        Reply::Answer(500, Vec::new(), hostile),
        Reply::Answer(200, Vec::new(), format!("<html>{TOKEN}</html>")),
        Reply::Answer(301, vec![("location", "https://elsewhere.example.com/".to_owned())], String::new()),
        Reply::json(200, &json!({ "data": { "repository": { "pullRequests": TOKEN } } })),
        Reply::Reset,
    ] {
        let mut reply = Some(reply);
        let (github, journal) = fake::github(move |_| reply.take().unwrap_or(Reply::Never));
        let text = github.list(&bases()).await.expect_err("no list").to_string();
        assert!(!text.contains(TOKEN) && !text.contains('\n') && !text.contains('\u{1b}'), "{text:?}");
        assert!(text.chars().count() < 400, "{text}");
        let journal = journal.lock().expect("no test panics with the lock");
        assert!(journal.iter().all(|sent| sent.url.starts_with("https://api.example.com/")));
        assert_eq!(journal.len(), 1);
    }
}

#[tokio::test]
async fn a_missing_repository_is_named() {
    let error = list_error(|| {
        Reply::json(
            200,
            &json!({ "data": { "repository": null }, "errors": [
        { "type": "NOT_FOUND", "path": ["repository"], "message": "Could not resolve to a Repository" },
    ] }),
        )
    })
    .await;
    assert!(error.to_string().contains("Could not resolve"), "{error}");
    let error = list_error(|| Reply::json(200, &json!({ "data": { "repository": null } }))).await;
    assert!(error.to_string().contains("octo/demo"), "{error}");
}

#[tokio::test]
async fn an_error_outside_of_single_pull_requests_fails_the_list() {
    for path in [json!(null), json!([]), json!(["repository", "pullRequests"]), json!(["rateLimit"])] {
        let error = list_error(move || {
            let mut body = fake::list(&[fake::pull(1)]);
            body["errors"] = json!([{ "message": "Something went wrong", "path": path }]);
            if path.is_null() {
                body["errors"] = json!([{ "message": "Something went wrong" }]);
            }
            Reply::json(200, &body)
        })
        .await;
        assert!(error.to_string().contains("Something went wrong"), "{error}");
    }
}

/// The second of two pull requests, of which `field` has an error.
async fn torn(field: &'static str) -> crate::pull::Listing {
    let (github, _) = fake::github(move |_| {
        let mut body = fake::list(&[fake::pull(1), fake::pull(2)]);
        body["data"]["repository"]["pullRequests"]["nodes"][1][field] = Value::Null;
        body["errors"] = json!([{
            "type": "FORBIDDEN", "message": "Resource not accessible",
            "path": ["repository", "pullRequests", "nodes", 1, field],
        }]);
        Reply::json(200, &body)
    });
    github.list(&bases()).await.expect("the others can be judged").listing
}

#[tokio::test]
async fn a_hole_in_one_pull_request_fails_closed_for_that_one_alone() {
    let read = async |field| {
        let listing = torn(field).await;
        assert_eq!(listing.pulls[0].number, 1);
        assert!(matches!(listing.pulls[0].checks, Checks::Rollup(_)));
        listing.pulls[1].clone()
    };
    assert!(matches!(read("statusCheckRollup").await.checks, Checks::Unreadable(_)));
    assert!(!read("latestOpinionatedReviews").await.reviews.complete);
    assert_eq!(read("reviewDecision").await.review_decision, ReviewDecision::Unknown);
    assert!(!read("labels").await.labels.complete);
    assert_eq!(read("mergeable").await.mergeable, Mergeable::Unknown);
    assert_eq!(read("mergeStateStatus").await.merge_state, MergeState::Unknown);
    assert_eq!(read("isInMergeQueue").await.merge_queue, MergeQueue::Unknown);
}

#[tokio::test]
async fn a_hole_that_no_single_rule_covers_leaves_the_pull_request_unjudged() {
    for field in ["author", "title", "headRefOid", "baseRefName", "isDraft"] {
        let listing = torn(field).await;
        assert_eq!(listing.pulls.len(), 1, "{field}");
        assert_eq!(listing.unreadable[0].number, 2, "{field}");
    }
}

#[tokio::test]
async fn a_pull_request_that_is_null_is_counted_and_never_judged() {
    let (github, _) = fake::github(|_| Reply::json(200, &fake::list(&[fake::pull(1), Value::Null])));
    let listing = github.list(&bases()).await.expect("the other can be judged").listing;
    assert_eq!((listing.pulls.len(), listing.unreadable.len()), (1, 1));
}

#[tokio::test]
async fn words_that_are_not_known_fail_closed() {
    let (github, _) = fake::github(|_| {
        let mut pull = fake::pull(1);
        for field in ["state", "mergeable", "mergeStateStatus", "reviewDecision"] {
            pull[field] = json!("BRAND_NEW");
        }
        pull["statusCheckRollup"]["contexts"]["nodes"][0]["conclusion"] = json!("BRAND_NEW");
        Reply::json(200, &fake::list(&[pull]))
    });
    let listing = github.list(&bases()).await.expect("it can be read").listing;
    let pull = &listing.pulls[0];
    assert_eq!(pull.state, crate::pull::PullState::Unknown);
    assert_eq!(pull.mergeable, Mergeable::Unknown);
    assert_eq!(pull.merge_state, MergeState::Unknown);
    assert_eq!(pull.review_decision, ReviewDecision::Unknown);
    let Checks::Rollup(rollup) = &pull.checks else { panic!("there are checks") };
    assert!(matches!(rollup.rows.items[0].result, crate::pull::CheckResult::Failed(_)));
}

async fn listed(numbers: &[u64]) -> Vec<crate::pull::Pull> {
    let pulls: Vec<Value> = numbers.iter().map(|number| fake::pull(*number)).collect();
    let (github, _) = fake::github(move |_| Reply::json(200, &fake::list(&pulls)));
    github.list(&bases()).await.expect("a good list").listing.pulls
}

#[tokio::test]
async fn a_recheck_reads_all_rows_of_all_pull_requests_page_by_page() {
    let pulls = listed(&[1, 2]).await;
    let rows: Vec<Value> = (0..150).map(|id| fake::row(&format!("check {id}"), id, "SUCCESS")).collect();
    let answer = move |sent: &Sent| {
        let mut long = fake::pull(2);
        long["statusCheckRollup"] = fake::rollup("head-2", &rows, 100);
        let contexts = &mut long["statusCheckRollup"]["contexts"];
        if sent.body["variables"]["after_0"] == "row-100" {
            contexts["nodes"] = json!(rows[100..]);
            return Reply::json(200, &fake::recheck(&[long]));
        }
        contexts["pageInfo"] = json!({ "hasNextPage": true, "endCursor": "row-100" });
        Reply::json(200, &fake::recheck(&[fake::pull(1), long]))
    };
    let (github, _) = fake::github(answer);
    let answers = github.recheck(&pulls).await.expect("both can be read");
    assert_eq!(github.requests(), 2);
    let counts: Vec<(u64, usize, bool)> = answers
        .into_iter()
        .map(|answer| match answer.expect("readable") {
            crate::pull::Pull { number, checks: Checks::Rollup(it), .. } => {
                (number, it.rows.items.len(), it.rows.complete)
            }
            other => panic!("no checks in {other:?}"),
        })
        .collect();
    assert_eq!(counts, [(1, 1, true), (2, 150, true)]);
}

#[tokio::test]
async fn rows_without_an_end_stay_undecided_after_five_pages() {
    let pulls = listed(&[1]).await;
    let (github, _) = fake::github(|_| {
        let mut pull = fake::pull(1);
        let contexts = &mut pull["statusCheckRollup"]["contexts"];
        contexts["pageInfo"] = json!({ "hasNextPage": true, "endCursor": "more" });
        contexts["totalCount"] = json!(501);
        Reply::json(200, &fake::recheck(&[pull]))
    });
    let answers = github.recheck(&pulls).await.expect("it answers");
    assert_eq!(github.requests(), 5);
    let Ok(crate::pull::Pull { checks: Checks::Rollup(rollup), .. }) = &answers[0] else { panic!("checks") };
    assert!(!rollup.rows.complete);
}

#[tokio::test]
async fn an_answer_about_another_pull_request_is_none() {
    let pulls = listed(&[1]).await;
    let (github, _) = fake::github(|_| Reply::json(200, &fake::recheck(&[fake::pull(2)])));
    let answers = github.recheck(&pulls).await.expect("it answers");
    assert_eq!(answers[0].as_ref().map_err(|unreadable| unreadable.number), Err(1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_for_longer_than_a_call_may_take_sends_nothing_when_it_goes_on() {
    let (github, journal) = fake::github(|_| Reply::json(200, &json!({"merged": true})));
    let head = Sha("a".repeat(40));
    let call = MergeCall { number: 7, head, title: None, message: None };
    let mut merge = std::pin::pin!(github.merge(&call));
    assert!(futures_util::poll!(merge.as_mut()).is_pending());
    tokio::time::advance(Duration::from_secs(21)).await;
    assert!(matches!(merge.await, MergeAnswer::Lost(why) if why.contains("did not answer within 20 s")));
    assert_eq!(journal.lock().expect("no test panics with the lock").len(), 0);
}

#[tokio::test]
async fn a_merge_call_carries_the_judged_head_and_is_sent_once() {
    let call = MergeCall {
        number: 7,
        head: Sha("head-7".to_owned()),
        title: Some("Change 7 (#7)".to_owned()),
        message: Some(String::new()),
    };
    for (reply, expected) in [
        (Reply::json(200, &json!({ "merged": true, "sha": "c7", "message": "ok" })), None),
        (Reply::json(500, &json!({ "message": "Server Error" })), Some(500)),
        (Reply::json(403, &json!({ "message": "Resource not accessible" })), Some(403)),
    ] {
        let mut reply = Some(reply);
        let (github, journal) = fake::github(move |_| reply.take().unwrap_or(Reply::Reset));
        let MergeAnswer::Answered { status, merged, .. } = github.merge(&call).await else {
            panic!("an answer")
        };
        assert_eq!(expected.unwrap_or(200), status);
        assert_eq!(merged.is_some_and(|body| body.merged), expected.is_none());
        let journal = journal.lock().expect("no test panics with the lock");
        assert_eq!(journal.len(), 1);
        assert_eq!(journal[0].method, "PUT");
        assert_eq!(journal[0].url, "https://api.example.com/v3/repos/octo/demo/pulls/7/merge");
        let body = json!({
            "sha": "head-7", "merge_method": "squash", "commit_title": "Change 7 (#7)", "commit_message": "",
        });
        assert_eq!(journal[0].body, body);
    }
}

#[tokio::test]
async fn old_and_new_names_of_every_changed_file_are_read() {
    let (github, journal) = fake::github(|sent| {
        let file = |name: String| json!({ "filename": name, "status": "modified" });
        if sent.url.ends_with("&page=1") {
            return Reply::json(200, &(0..100).map(|index| file(format!("src/{index}"))).collect());
        }
        Reply::json(200, &json!([{ "filename": "b", "previous_filename": ".github/workflows/ci.yml" }]))
            .with("link", "<https://evil.example.com/?page=1>; rel=\"first\"")
    });
    let paths = github.changed_paths(7).await.expect("both pages");
    assert_eq!(paths.len(), 102);
    assert!(paths.contains(&".github/workflows/ci.yml".to_owned()));
    let journal = journal.lock().expect("no test panics with the lock");
    assert_eq!(journal.len(), 2);
    assert!(journal.iter().all(|sent| sent.url.starts_with("https://api.example.com/v3/repos/octo/demo/")));
}

#[tokio::test]
async fn more_files_than_github_lists_are_an_error() {
    let (github, _) = fake::github(|_| Reply::json(200, &json!(vec![json!({ "filename": "a" }); 100])));
    github.changed_paths(7).await.expect_err("there may be more");
    assert_eq!(github.requests(), 30);
}

#[tokio::test]
async fn doctor_grades_what_it_finds_and_says_what_to_do() {
    let grades = async |change: fn(&mut Value)| {
        let (github, _) = fake::github(move |_| {
            let mut body = json!({ "data": {
                "viewer": { "login": "octo-bot" },
                "repository": {
                    "isArchived": false, "squashMergeAllowed": true, "deleteBranchOnMerge": true,
                    "viewerPermission": "WRITE", "mergeQueue": null,
                    "defaultBranchRef": { "name": "main", "target": {}, "rules": { "nodes": [] } },
                },
            } });
            change(&mut body);
            Reply::json(200, &body)
        });
        let findings = github.diagnose(SystemTime::UNIX_EPOCH, LastPushApproval::Require).await;
        assert!(findings.iter().all(|finding| (finding.grade == Grade::Ok) == finding.remedy.is_none()));
        assert_eq!(github.requests(), 1);
        findings.into_iter().map(|finding| finding.grade).max().expect("there are findings")
    };
    assert_eq!(grades(|_| {}).await, Grade::Ok);
    assert_eq!(grades(|it| it["data"]["repository"]["viewerPermission"] = json!("ADMIN")).await, Grade::Warn);
    assert_eq!(
        grades(|it| it["data"]["repository"]["deleteBranchOnMerge"] = json!(false)).await,
        Grade::Warn
    );
    assert_eq!(grades(|it| it["data"]["repository"]["viewerPermission"] = json!("READ")).await, Grade::Fail);
    assert_eq!(grades(|it| it["data"]["repository"]["squashMergeAllowed"] = json!(false)).await, Grade::Fail);
    assert_eq!(grades(|it| it["data"]["repository"]["mergeQueue"] = json!({ "id": "q" })).await, Grade::Fail);
    assert_eq!(grades(|it| it["data"]["repository"] = Value::Null).await, Grade::Fail);
    let unreadable = |it: &mut Value| {
        it["errors"] = json!([{
            "type": "FORBIDDEN", "message": "Resource not accessible by personal access token",
            "path": ["repository", "defaultBranchRef", "target", "statusCheckRollup"],
        }]);
    };
    assert_eq!(grades(unreadable).await, Grade::Fail);
}

#[tokio::test]
async fn doctor_says_when_neither_github_nor_the_roster_asks_for_a_second_pair_of_eyes() {
    let grade = async |default_branch: Value, last_push: LastPushApproval| {
        let (github, _) = fake::github(move |_| {
            let repository = json!({ "defaultBranchRef": default_branch.clone() });
            Reply::json(200, &json!({ "data": { "repository": repository } }))
        });
        let findings = github.diagnose(SystemTime::UNIX_EPOCH, last_push).await;
        findings.last().expect("there are findings").grade
    };
    let rule = |on: bool| json!({ "rules": { "nodes": [{ "parameters": {} }, { "parameters": { "requireLastPushApproval": on } }] } });
    let classic = |on: bool| json!({ "branchProtectionRule": { "requireLastPushApproval": on } });
    for (branch, by_github) in [
        (json!({}), Grade::Warn),
        (Value::Null, Grade::Warn),
        (json!({ "branchProtectionRule": null }), Grade::Warn),
        (rule(false), Grade::Warn),
        (classic(false), Grade::Warn),
        (rule(true), Grade::Ok),
        (classic(true), Grade::Ok),
    ] {
        assert_eq!(grade(branch.clone(), LastPushApproval::Github).await, by_github, "{branch}");
        assert_eq!(grade(branch, LastPushApproval::Require).await, Grade::Ok);
    }
}

#[tokio::test]
async fn what_a_check_and_a_head_are_made_of_is_read() {
    let (github, _) = fake::github(|_| Reply::json(200, &fake::list(&[fake::pull(3)])));
    let listing = github.list(&bases()).await.expect("a good list").listing;
    let pull = &listing.pulls[0];
    assert_eq!(pull.created_at, humantime::parse_rfc3339("2026-01-01T00:00:00Z").ok());
    assert_eq!(pull.last_push, LastPush::By(vec![Actor::new(ActorKind::User, "agent-a"); 2]));
    let Checks::Rollup(rollup) = &pull.checks else { panic!("it has checks") };
    let source = RowSource::CheckRun {
        app: Some("github-actions".to_owned()),
        workflow: Some(1),
        event: Some("pull_request".to_owned()),
        suite: Some(7),
        id: Some(1),
    };
    assert_eq!(rollup.rows.items[0].source, source);
}

#[tokio::test]
async fn a_head_that_cannot_be_read_leaves_its_makers_unknown_and_the_rest_known() {
    let (github, _) = fake::github(|_| {
        let mut body = fake::list(&[fake::pull(3)]);
        body["data"]["repository"]["pullRequests"]["nodes"][0]["headRef"] = Value::Null;
        body["errors"] = json!([{
            "type": "FORBIDDEN", "message": "no", "path": ["repository", "pullRequests", "nodes", 0, "headRef"],
        }]);
        Reply::json(200, &body)
    });
    let listing = github.list(&bases()).await.expect("a good list").listing;
    assert!(listing.unreadable.is_empty() && listing.pulls[0].reviews.complete);
    assert!(matches!(listing.pulls[0].last_push, LastPush::Unknown(_)), "{:?}", listing.pulls[0].last_push);
}

#[tokio::test]
async fn commits_of_a_base_that_were_not_all_read_are_told_from_a_base_without_commits() {
    let complete = async |target: Value| {
        let (github, _) = fake::github(move |_| {
            let mut body = fake::list(&[]);
            body["data"]["repository"]["base_0"] = json!({ "target": target });
            body["data"]["repository"]["defaultBranchRef"] = Value::Null;
            Reply::json(200, &body)
        });
        let repository = github.list(&bases()).await.expect("a good list").listing.repository;
        repository.history("main").map(|commits| commits.complete)
    };
    assert_eq!(complete(json!(null)).await, Some(true));
    assert_eq!(complete(json!({ "history": { "nodes": [] } })).await, Some(true));
    assert_eq!(complete(json!({ "history": { "nodes": [null] } })).await, Some(false));
    assert_eq!(complete(json!({ "history": { "nodes": [{ "message": null }] } })).await, Some(false));
    assert_eq!(complete(json!({ "history": { "nodes": null } })).await, Some(false));
}
