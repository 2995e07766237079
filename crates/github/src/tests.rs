use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::fake::{self, Reply, Sent, TOKEN};
use super::{Error, Github, ListHead, MergeOutcome, Rereads};
use coordinator_core::finding::Grade;
use coordinator_core::merge::LastPushApproval;
use coordinator_core::merge::reason::{Reason, Skip};
use coordinator_core::merge::title::CommitText;
use coordinator_core::pull::{
    Actor, ActorKind, Checks, Gap, GapCause, LastPush, MergeQueue, MergeState, Mergeable,
    Permission, Pull, ReviewDecision, RowSource, Sha, Unreadable,
};

fn bases() -> Vec<String> {
    vec!["main".to_owned()]
}

/// All pages together.
struct Listed {
    pulls: Vec<Pull>,
    unreadable: Vec<Unreadable>,
    unnamed: Vec<Gap>,
    head: ListHead,
}

async fn list(github: &Github) -> Result<Listed, Error> {
    let mut pages = github.pages(&bases());
    let (mut pulls, mut unreadable, mut unnamed) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(mut page) = pages.next().await? {
        pulls.append(&mut page.pulls);
        unreadable.append(&mut page.unreadable);
        unnamed.append(&mut page.unnamed);
    }
    let head = pages.head().expect("a page was read").clone();
    Ok(Listed { pulls, unreadable, unnamed, head })
}

async fn recheck(github: &Github, pulls: Vec<Pull>) -> Rereads {
    github.recheck(pulls, || false).await
}

/// The error of a list that is answered like this.
async fn list_error(reply: impl Fn() -> Reply + Send + 'static) -> Error {
    let (github, _) = fake::github(move |_| reply());
    list(&github).await.err().expect("the list fails")
}

#[tokio::test]
async fn a_list_is_one_request_with_the_token_to_the_graphql_address() {
    let (github, journal) = fake::github(|_| {
        Reply::json(200, &fake::list(&[fake::pull(3)]))
            .with("date", "Thu, 01 Jan 2026 00:10:00 GMT")
            .with("github-authentication-token-expiration", "2026-01-08 00:00:00 UTC")
    });
    let snapshot = list(&github).await.expect("a good list");
    let journal = journal.lock().expect("no test panics with the lock").clone();
    assert_eq!(journal.len(), 1);
    assert_eq!(github.requests(), 1);
    assert_eq!(journal[0].url, "https://api.example.com/graphql");
    assert_eq!(journal[0].authorization, format!("Bearer {TOKEN}"));
    assert_eq!(journal[0].body["variables"]["base_0"], "refs/heads/main");
    assert_eq!(snapshot.head.repository.permission, Permission::Write);
    assert_eq!(snapshot.head.repository.history("main").map(|page| page.items.len()), Some(2));
    assert_eq!(snapshot.pulls.len(), 1);
    let at = |text| humantime::parse_rfc3339(text).expect("a time");
    assert_eq!(snapshot.head.clock.time, at("2026-01-01T00:10:00Z"));
    assert_eq!(snapshot.head.token_expires_at, Some(at("2026-01-08T00:00:00Z")));
}

#[tokio::test]
async fn every_page_is_read() {
    let (github, _) = fake::github(|sent| match sent.body["variables"]["after"].as_str() {
        None => Reply::json(200, &fake::page(&[fake::pull(1), fake::pull(2)], Some("c2"))),
        Some("c2") => Reply::json(200, &fake::page(&[fake::pull(2), fake::pull(3)], None)),
        Some(_) => Reply::Reset,
    });
    let snapshot = list(&github).await.expect("a good list");
    let numbers: Vec<u64> = snapshot.pulls.iter().map(|pull| pull.number).collect();
    assert_eq!(numbers, [1, 2, 2, 3], "who reads the pages takes the later one");
    assert_eq!(github.requests(), 2);
}

#[tokio::test]
async fn a_list_of_which_a_page_fails_is_no_list() {
    let (github, _) = fake::github(|sent| match sent.body["variables"]["after"].as_str() {
        None => Reply::json(200, &fake::page(&[fake::pull(1)], Some("c2"))),
        Some(_) => Reply::json(500, &json!({ "message": "Server Error" })),
    });
    let error = list(&github).await.err().expect("half a list is none");
    assert_eq!(
        error.to_string(),
        "could not list the open pull requests: GitHub answered 500: Server Error"
    );
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

/// The pull requests that a question about a list of `total` asks for, and where the next page
/// starts.
fn window(sent: &Sent, total: u64) -> (Vec<u64>, Option<String>) {
    let variables = &sent.body["variables"];
    let start: u64 =
        variables["after"].as_str().map_or(0, |after| after.parse().expect("a cursor"));
    let end = total.min(start + variables["first"].as_u64().expect("a size"));
    ((start + 1..=end).collect(), (end < total).then(|| end.to_string()))
}

/// Whether numbers alone are asked for.
fn asks_numbers(sent: &Sent) -> bool {
    sent.body["query"].as_str().is_some_and(|query| query.contains("query Numbers"))
}

/// A list of `total` that shows every page as it is.
fn shown(sent: &Sent, total: u64) -> Value {
    let (numbers, next) = window(sent, total);
    let pulls: Vec<Value> = numbers.into_iter().map(fake::pull).collect();
    fake::page(&pulls, next.as_deref())
}

fn sizes(journal: &fake::Journal) -> Vec<u64> {
    let journal = journal.lock().expect("no test panics with the lock");
    journal.iter().filter_map(|sent| sent.body["variables"]["first"].as_u64()).collect()
}

/// The same page with its pull requests null.
fn nulls(mut page: Value, kind: Option<&str>) -> Value {
    let nodes = page["data"]["repository"]["pullRequests"]["nodes"].as_array_mut().expect("nodes");
    let errors: Vec<Value> = (0..nodes.len())
        .map(|index| {
            let path = json!(["repository", "pullRequests", "nodes", index]);
            let message = match kind {
                Some("FORBIDDEN") => "Resource not accessible by integration",
                _ => "Resource limits for this query exceeded.",
            };
            json!({ "type": kind, "path": path, "message": message })
        })
        .collect();
    nodes.fill(Value::Null);
    if kind.is_some() {
        page["errors"] = json!(errors);
    }
    page
}

#[tokio::test]
async fn a_page_that_is_too_large_is_halved_down_to_one_and_nothing_else_is_repeated() {
    for (status, requests) in [(502, 7), (504, 7), (500, 1), (503, 1), (401, 1), (404, 1)] {
        let (github, _) = fake::github(move |_| Reply::json(status, &json!({ "message": "no" })));
        list(&github).await.err().expect("no answer is a list");
        assert_eq!(github.requests(), requests, "{status}");
    }
}

#[tokio::test]
async fn the_size_that_worked_is_kept_for_the_rest_of_the_list() {
    let (github, journal) = fake::github(|sent| match window(sent, 30).0.len() {
        0..=10 => Reply::json(200, &shown(sent, 30)),
        _ => Reply::Answer(504, Vec::new(), "<html>".to_owned()),
    });
    assert_eq!(list(&github).await.expect("small pages work").pulls.len(), 30);
    assert_eq!(sizes(&journal), [50, 25, 12, 6, 6, 6, 6, 6]);
}

#[tokio::test]
async fn every_way_to_say_that_too_much_was_asked_for_asks_for_less() {
    let limits = |path: Value| {
        let message = "Resource limits exceeded.";
        json!([{ "type": "RESOURCE_LIMITS_EXCEEDED", "path": path, "message": message }])
    };
    let answers: [fn(Value, Value) -> Value; 5] = [
        |page, _| nulls(page, Some("RESOURCE_LIMITS_EXCEEDED")),
        |page, _| nulls(page, None),
        |mut page, errors| {
            page["data"]["repository"]["pullRequests"]["nodes"][3]["statusCheckRollup"] =
                Value::Null;
            page["errors"] = errors;
            page
        },
        |_, _| {
            json!({ "data": { "repository": null }, "errors": [
                { "type": "RESOURCE_LIMITS_EXCEEDED", "path": ["repository"],
                    "message": "too much" },
            ] })
        },
        |_, _| {
            let message = "Something went wrong while executing your query. This may be the \
                result of a timeout";
            json!({ "data": null, "errors": [{ "message": message }] })
        },
    ];
    for answer in answers {
        let errors = limits(json!(["repository", "pullRequests", "nodes", 3, "statusCheckRollup"]));
        let (github, journal) = fake::github(move |sent| match window(sent, 30).0.len() {
            0..=25 => Reply::json(200, &shown(sent, 30)),
            _ => Reply::json(200, &answer(shown(sent, 30), errors.clone())),
        });
        let listed = list(&github).await.expect("half a page works");
        assert_eq!((listed.pulls.len(), listed.unreadable.len(), listed.unnamed.len()), (30, 0, 0));
        assert_eq!(sizes(&journal), [50, 25, 25]);
    }
}

#[tokio::test]
async fn what_cannot_be_read_alone_is_named_and_does_not_make_the_other_pages_small() {
    for whole in [true, false] {
        let (github, journal) = fake::github(move |sent| {
            let (numbers, next) = window(sent, 120);
            let pulls = numbers.iter().map(|number| match number {
                60 if asks_numbers(sent) => json!({ "number": 60, "title": "Huge" }),
                60 => Value::Null,
                number => fake::pull(*number),
            });
            let page = fake::page(&pulls.collect::<Vec<_>>(), next.as_deref());
            let is_hidden = numbers.contains(&60) && !asks_numbers(sent);
            if whole && is_hidden {
                Reply::Answer(502, Vec::new(), String::new())
            } else {
                Reply::json(200, &page)
            }
        });
        let listed = list(&github).await.expect("the others can be read");
        assert_eq!((listed.pulls.len(), listed.unnamed.len()), (119, 0));
        let [unreadable] = &listed.unreadable[..] else { panic!("one cannot be read") };
        assert_eq!((unreadable.number, unreadable.title.as_str()), (60, "Huge"));
        let sentence = if whole { "GitHub answered 502" } else { "GitHub does not show it" };
        assert_eq!(unreadable.gap.sentence, sentence);
        assert_eq!(sizes(&journal).last(), Some(&50), "{:?}", sizes(&journal));
        assert!(github.requests() < 20, "{:?}", sizes(&journal));
    }
}

#[tokio::test]
async fn where_nothing_can_be_read_each_is_counted_and_the_requests_stay_few() {
    let (github, _) = fake::github(|sent| {
        Reply::json(200, &nulls(shown(sent, 30), Some("RESOURCE_LIMITS_EXCEEDED")))
    });
    let listed = list(&github).await.expect("the list has an end");
    assert_eq!((listed.pulls.len(), listed.unreadable.len(), listed.unnamed.len()), (0, 0, 30));
    assert_eq!(listed.unnamed[0].cause, GapCause::TooLarge);
    assert!(github.requests() <= 60, "{} requests", github.requests());
}

#[tokio::test]
async fn pull_requests_that_the_token_may_not_see_are_named_at_once_and_not_asked_for_again() {
    let (github, _) = fake::github(|sent| {
        let page = shown(sent, 60);
        Reply::json(200, &if asks_numbers(sent) { page } else { nulls(page, Some("FORBIDDEN")) })
    });
    let listed = list(&github).await.expect("the list has an end");
    let numbers: Vec<u64> = listed.unreadable.iter().map(|pull| pull.number).collect();
    assert_eq!((numbers, listed.unnamed.len()), ((1..=60).collect(), 0));
    assert_eq!(listed.unreadable[0].gap.cause, GapCause::Refused);
    assert_eq!(github.requests(), 4, "two pages, and the numbers of each");
}

#[tokio::test]
async fn rereads_that_are_too_large_are_halved_and_what_was_shown_is_not_asked_for_again() {
    let asked = |sent: &Sent| -> Vec<u64> {
        let variables = sent.body["variables"].as_object().expect("variables");
        let ids = (0..).map_while(|place| variables.get(&format!("id_{place}")));
        ids.map(|id| {
            id.as_str().and_then(|id| id.strip_prefix("PR_")?.parse().ok()).expect("an id")
        })
        .collect()
    };
    let numbers: Vec<u64> = (1..=12).collect();
    let pulls = listed(&numbers).await;
    let (github, journal) = fake::github(move |sent| match asked(sent) {
        numbers if numbers.len() > 5 => Reply::Answer(504, Vec::new(), String::new()),
        numbers => {
            let pulls = numbers
                .iter()
                .map(|number| if *number == 7 { Value::Null } else { fake::pull(*number) });
            Reply::json(200, &fake::recheck(&pulls.collect::<Vec<_>>()))
        }
    });
    let rereads = recheck(&github, pulls.clone()).await;
    let read: Vec<u64> = rereads.read.iter().map(|(pull, _)| pull.number).collect();
    assert_eq!(read, [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]);
    assert_eq!(rereads.unreadable.iter().map(|pull| pull.number).collect::<Vec<_>>(), [7]);
    let sent: Vec<usize> = journal
        .lock()
        .expect("no test panics with the lock")
        .iter()
        .map(|sent| asked(sent).len())
        .collect();
    assert_eq!(sent[..3], [12, 6, 3]);
    assert!(github.reread_size() < 6);
}

#[tokio::test]
async fn every_form_of_a_rate_limit_is_recognised_with_its_end() {
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let at =
        |seconds: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + seconds));
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
        (
            Reply::json(403, &json!({})).with("retry-after", "Thu, 01 Jan 2026 00:02:00 GMT"),
            at(120),
        ),
        (Reply::json(403, &limited()).with("retry-after", "18446744073709551615"), None),
        (Reply::json(429, &limited()).with("x-ratelimit-reset", "18446744073709551615"), None),
        (
            used_up(200, json!({ "errors": [{ "type": "RATE_LIMITED", "message": "limit" }] })),
            at(1800),
        ),
    ] {
        let mut reply = Some(reply);
        let (github, _) = fake::github(move |_| reply.take().unwrap_or(Reply::Reset));
        let error = list(&github).await.err().expect("a list that meets a rate limit fails");
        let limit = error.rate_limit().expect("a rate limit");
        assert_eq!(limit.resets_at, resets_at, "{error}");
        assert_eq!(github.requests(), 1);
    }
}

#[tokio::test]
async fn a_plain_403_is_no_rate_limit() {
    let error =
        list_error(|| Reply::json(403, &json!({ "message": "Resource not accessible" }))).await;
    assert_eq!(error.rate_limit(), None);
}

#[tokio::test]
async fn errors_are_one_line_and_tell_neither_token_nor_body() {
    let hostile =
        json!({ "message": format!("no\n\u{1b}[31m{}", "x".repeat(5000)), "body": TOKEN })
            .to_string();
    for reply in [
        Reply::Answer(500, Vec::new(), hostile),
        Reply::Answer(200, Vec::new(), format!("<html>{TOKEN}</html>")),
        Reply::Answer(
            301,
            vec![("location", "https://elsewhere.example.com/".to_owned())],
            String::new(),
        ),
        Reply::json(200, &json!({ "data": { "repository": { "pullRequests": TOKEN } } })),
        Reply::Reset,
    ] {
        let mut reply = Some(reply);
        let (github, journal) = fake::github(move |_| reply.take().unwrap_or(Reply::Never));
        let text = list(&github).await.err().expect("no list").to_string();
        assert!(
            !text.contains(TOKEN) && !text.contains('\n') && !text.contains('\u{1b}'),
            "{text:?}"
        );
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
        { "type": "NOT_FOUND", "path": ["repository"],
            "message": "Could not resolve to a Repository" },
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
    for path in
        [json!(null), json!([]), json!(["repository", "pullRequests"]), json!(["rateLimit"])]
    {
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
async fn torn(field: &'static str) -> Listed {
    let (github, _) = fake::github(move |_| {
        let mut body = fake::list(&[fake::pull(1), fake::pull(2)]);
        body["data"]["repository"]["pullRequests"]["nodes"][1][field] = Value::Null;
        body["errors"] = json!([{
            "type": "FORBIDDEN", "message": "Resource not accessible",
            "path": ["repository", "pullRequests", "nodes", 1, field],
        }]);
        Reply::json(200, &body)
    });
    list(&github).await.expect("the others can be judged")
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
async fn words_that_are_not_known_fail_closed() {
    let (github, _) = fake::github(|_| {
        let mut pull = fake::pull(1);
        for field in ["state", "mergeable", "mergeStateStatus", "reviewDecision"] {
            pull[field] = json!("BRAND_NEW");
        }
        pull["statusCheckRollup"]["contexts"]["nodes"][0]["conclusion"] = json!("BRAND_NEW");
        Reply::json(200, &fake::list(&[pull]))
    });
    let listing = list(&github).await.expect("it can be read");
    let pull = &listing.pulls[0];
    assert_eq!(pull.state, coordinator_core::pull::PullState::Unknown);
    assert_eq!(pull.mergeable, Mergeable::Unknown);
    assert_eq!(pull.merge_state, MergeState::Unknown);
    assert_eq!(pull.review_decision, ReviewDecision::Unknown);
    let Checks::Rollup(rollup) = &pull.checks else { panic!("there are checks") };
    assert!(matches!(rollup.rows.items[0].result, coordinator_core::pull::CheckResult::Failed(_)));
}

async fn listed(numbers: &[u64]) -> Vec<Pull> {
    let pulls: Vec<Value> = numbers.iter().map(|number| fake::pull(*number)).collect();
    let (github, _) = fake::github(move |_| Reply::json(200, &fake::list(&pulls)));
    list(&github).await.expect("a good list").pulls
}

#[tokio::test]
async fn a_recheck_reads_all_rows_of_all_pull_requests_page_by_page() {
    let pulls = listed(&[1, 2]).await;
    let rows: Vec<Value> =
        (0..150).map(|id| fake::row(&format!("check {id}"), id, "SUCCESS")).collect();
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
    let rereads = recheck(&github, pulls).await;
    assert_eq!(github.requests(), 2);
    let counts: Vec<(u64, usize, bool)> = rereads
        .read
        .into_iter()
        .map(|(pull, _)| match pull {
            Pull { number, checks: Checks::Rollup(it), .. } => {
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
    let rereads = recheck(&github, pulls).await;
    assert_eq!(github.requests(), 5);
    let Some((Pull { checks: Checks::Rollup(rollup), .. }, _)) = rereads.read.first() else {
        panic!("checks")
    };
    assert!(!rollup.rows.complete);
}

#[tokio::test]
async fn an_answer_about_another_pull_request_is_none() {
    let pulls = listed(&[1]).await;
    let (github, _) = fake::github(|_| Reply::json(200, &fake::recheck(&[fake::pull(2)])));
    let rereads = recheck(&github, pulls).await;
    assert_eq!(rereads.unreadable.iter().map(|pull| pull.number).collect::<Vec<_>>(), [1]);
    assert!(rereads.read.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_past_the_deadline_of_a_call_sends_nothing_afterwards() {
    let (github, journal) = fake::github(|_| Reply::json(200, &json!({"merged": true})));
    let head = Sha("a".repeat(40));
    let text = CommitText { title: None, message: None };
    let mut merge = std::pin::pin!(github.merge(7, &head, &text));
    assert!(futures_util::poll!(merge.as_mut()).is_pending());
    tokio::time::advance(Duration::from_secs(21)).await;
    let MergeOutcome::NotMerged(skip) = merge.await else { panic!("nothing was merged") };
    assert_eq!(skip.reason, Reason::MergeOutcomeUnknown);
    assert!(skip.detail.contains("did not answer within 20 s"), "{}", skip.detail);
    assert_eq!(journal.lock().expect("no test panics with the lock").len(), 0);
}

#[tokio::test]
async fn a_merge_call_carries_the_judged_head_and_is_sent_once() {
    let head = Sha("head-7".to_owned());
    let text = CommitText { title: Some("Change 7 (#7)".to_owned()), message: Some(String::new()) };
    let refused = |reason, status: &str| MergeOutcome::NotMerged(Skip::new(reason, status));
    for (reply, expected) in [
        (
            Reply::json(200, &json!({ "merged": true, "sha": "c7", "message": "ok" })),
            MergeOutcome::Merged(Some("c7".to_owned())),
        ),
        (
            Reply::json(500, &json!({ "message": "Server Error" })),
            refused(
                Reason::MergeOutcomeUnknown,
                "unknown whether it was merged: GitHub answered 500: Server Error; \
                 the next cycle checks",
            ),
        ),
        (
            Reply::json(403, &json!({ "message": "Resource not accessible" })),
            refused(Reason::Forbidden, "GitHub answered 403: Resource not accessible"),
        ),
    ] {
        let mut reply = Some(reply);
        let (github, journal) = fake::github(move |_| reply.take().unwrap_or(Reply::Reset));
        assert_eq!(github.merge(7, &head, &text).await, expected);
        let journal = journal.lock().expect("no test panics with the lock");
        assert_eq!(journal.len(), 1);
        assert_eq!(journal[0].method, "PUT");
        assert_eq!(journal[0].url, "https://api.example.com/v3/repos/octo/demo/pulls/7/merge");
        let body = json!({
            "sha": "head-7", "merge_method": "squash", "commit_title": "Change 7 (#7)",
            "commit_message": "",
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
        Reply::json(
            200,
            &json!([{ "filename": "b", "previous_filename": ".github/workflows/ci.yml" }]),
        )
        .with("link", "<https://evil.example.com/?page=1>; rel=\"first\"")
    });
    let paths = github.changed_paths(7).await.expect("both pages");
    assert_eq!(paths.len(), 102);
    assert!(paths.contains(&".github/workflows/ci.yml".to_owned()));
    let journal = journal.lock().expect("no test panics with the lock");
    assert_eq!(journal.len(), 2);
    assert!(
        journal
            .iter()
            .all(|sent| sent.url.starts_with("https://api.example.com/v3/repos/octo/demo/"))
    );
}

#[tokio::test]
async fn more_files_than_github_lists_are_an_error() {
    let (github, _) =
        fake::github(|_| Reply::json(200, &json!(vec![json!({ "filename": "a" }); 100])));
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
        assert!(
            findings.iter().all(|finding| (finding.grade == Grade::Ok) == finding.remedy.is_none())
        );
        assert_eq!(github.requests(), 1);
        findings.into_iter().map(|finding| finding.grade).max().expect("there are findings")
    };
    assert_eq!(grades(|_| {}).await, Grade::Ok);
    assert_eq!(
        grades(|it| it["data"]["repository"]["viewerPermission"] = json!("ADMIN")).await,
        Grade::Warn
    );
    assert_eq!(
        grades(|it| it["data"]["repository"]["deleteBranchOnMerge"] = json!(false)).await,
        Grade::Warn
    );
    assert_eq!(
        grades(|it| it["data"]["repository"]["viewerPermission"] = json!("READ")).await,
        Grade::Fail
    );
    assert_eq!(
        grades(|it| it["data"]["repository"]["squashMergeAllowed"] = json!(false)).await,
        Grade::Fail
    );
    assert_eq!(
        grades(|it| it["data"]["repository"]["mergeQueue"] = json!({ "id": "q" })).await,
        Grade::Fail
    );
    assert_eq!(grades(|it| it["data"]["repository"] = Value::Null).await, Grade::Fail);
    let unreadable = |it: &mut Value| {
        it["errors"] = json!([{
            "type": "FORBIDDEN", "message": "Resource not accessible by personal access token",
            "path": ["repository", "defaultBranchRef", "target", "statusCheckRollup"],
        }]);
    };
    assert_eq!(grades(unreadable).await, Grade::Fail);
}

/// What `doctor` finds where GitHub answers this.
async fn findings(answer: Value) -> String {
    let (github, _) = fake::github(move |_| Reply::json(200, &answer));
    let findings = github.diagnose(SystemTime::UNIX_EPOCH, LastPushApproval::Github).await;
    let lines =
        findings.iter().map(|it| format!("{} {}; {:?}", it.grade.word(), it.what, it.remedy));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn doctor_repeats_the_words_of_github_and_names_the_remedy_that_fits() {
    let saml =
        "Resource protected by organization SAML enforcement. You must grant your token access.";
    let error = |path: Value| json!([{ "type": "FORBIDDEN", "path": path, "message": saml }]);
    let null = json!({ "data": { "repository": null }, "errors": error(json!(["repository"])) });
    let told = findings(null).await;
    assert!(told.contains(saml) && told.contains("single sign-on"), "{told}");
    let part = json!({
        "data": { "repository": { "nameWithOwner": "octo/demo", "isArchived": false,
            "mergeQueue": null } },
        "errors": error(json!(["repository", "mergeQueue"])),
    });
    let told = findings(part).await;
    assert!(told.contains(saml) && told.contains("single sign-on"), "{told}");
    let limited = json!({ "errors": [{ "message": "You have exceeded a secondary rate limit." }] });
    let told = findings(limited).await;
    assert!(told.contains("You have exceeded a secondary rate limit."), "{told}");
}

#[tokio::test]
async fn a_renamed_repository_is_found_by_doctor_and_merged_into_under_its_new_name() {
    let told =
        findings(json!({ "data": { "repository": { "nameWithOwner": "acme/gadgets" } } })).await;
    assert!(told.contains("warn the repository octo/demo is now `acme/gadgets`"), "{told}");
    let same =
        findings(json!({ "data": { "repository": { "nameWithOwner": "Octo/Demo" } } })).await;
    assert!(!same.contains("is now"), "{same}");

    let (github, journal) = fake::github(|_| {
        let mut page = fake::list(&[fake::pull(1)]);
        page["data"]["repository"]["nameWithOwner"] = json!("acme/gadgets");
        Reply::json(200, &page)
    });
    list(&github).await.expect("a list");
    assert_eq!(github.renamed_to().as_deref(), Some("acme/gadgets"));
    let text = CommitText { title: None, message: None };
    github.merge(1, &Sha("head-1".to_owned()), &text).await;
    let urls: Vec<String> = journal
        .lock()
        .expect("no test panics with the lock")
        .iter()
        .map(|sent| sent.url.clone())
        .collect();
    assert_eq!(urls[1], "https://api.example.com/v3/repos/acme/gadgets/pulls/1/merge");
}

#[tokio::test]
async fn fields_that_an_older_github_enterprise_lacks_are_left_out_and_reported() {
    let (github, journal) = fake::github(|sent| {
        let query = sent.body["query"].as_str().unwrap_or_default();
        let lacking: Vec<Value> =
            ["isInMergeQueue", "isMergeQueueEnabled", "checkRunCountsByState"]
                .into_iter()
                .filter(|field| query.contains(field))
                .map(|field| {
                    json!({
                        "message": format!("Field '{field}' doesn't exist on type 'PullRequest'"),
                        "path": ["fragment Pull", field],
                        "extensions": { "code": "undefinedField", "typeName": "PullRequest",
                            "fieldName": field },
                    })
                })
                .collect();
        if !lacking.is_empty() {
            return Reply::json(200, &json!({ "errors": lacking }));
        }
        let mut pull = fake::pull(1);
        for field in ["isInMergeQueue", "isMergeQueueEnabled"] {
            pull[field].take();
        }
        Reply::json(200, &fake::list(&[pull]))
    });
    let listed = list(&github).await.expect("a list without them");
    assert_eq!(listed.pulls[0].merge_queue, MergeQueue::None);
    list(&github).await.expect("and once more");
    assert_eq!(journal.lock().expect("no test panics with the lock").len(), 3);
    assert_eq!(github.unavailable().len(), 3, "{:?}", github.unavailable());
}

#[tokio::test]
async fn a_field_that_no_cycle_can_do_without_is_named_in_the_words_of_github() {
    let message = "Field 'latestOpinionatedReviews' doesn't exist on type 'PullRequest'";
    let (github, _) =
        fake::github(move |_| Reply::json(200, &json!({ "errors": [{ "message": message }] })));
    let error = list(&github).await.err().expect("no list");
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(github.requests(), 1);
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
    let rule = |on: bool| {
        let approval = json!({ "parameters": { "requireLastPushApproval": on } });
        json!({ "rules": { "nodes": [{ "parameters": {} }, approval] } })
    };
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
    let listing = list(&github).await.expect("a good list");
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
            "type": "FORBIDDEN", "message": "no",
            "path": ["repository", "pullRequests", "nodes", 0, "headRef"],
        }]);
        Reply::json(200, &body)
    });
    let listing = list(&github).await.expect("a good list");
    assert!(listing.unreadable.is_empty() && listing.pulls[0].reviews.complete);
    assert!(
        matches!(listing.pulls[0].last_push, LastPush::Unknown(_)),
        "{:?}",
        listing.pulls[0].last_push
    );
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
        let repository = list(&github).await.expect("a good list").head.repository;
        repository.history("main").map(|commits| commits.complete)
    };
    assert_eq!(complete(json!(null)).await, Some(true));
    assert_eq!(complete(json!({ "history": { "nodes": [] } })).await, Some(true));
    assert_eq!(complete(json!({ "history": { "nodes": [null] } })).await, Some(false));
    assert_eq!(
        complete(json!({ "history": { "nodes": [{ "message": null }] } })).await,
        Some(false)
    );
    assert_eq!(complete(json!({ "history": { "nodes": null } })).await, Some(false));
}
