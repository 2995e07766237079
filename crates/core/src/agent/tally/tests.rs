//! Lines as Claude Code 2.1 and Codex write them, and lines that an agent made up.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::MAX_LINE_BYTES;
use crate::fleet::{Usage, Usd};

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s1","model":"m"}"#;

fn tallied(profile: Profile, lines: &[String]) -> Option<SessionResult> {
    let mut tally = Tally::new(profile);
    for line in lines {
        tally.read(format!("{line}\n").as_bytes());
    }
    tally.finish()
}

fn claude(lines: &[Value]) -> SessionResult {
    let lines: Vec<String> =
        [INIT.to_owned()].into_iter().chain(lines.iter().map(Value::to_string)).collect();
    tallied(Profile::Claude, &lines).expect("init alone has the session's id")
}

fn codex(lines: &[Value]) -> SessionResult {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    tallied(Profile::Codex, &lines).unwrap_or_default()
}

/// As the real program ends.
fn result() -> Value {
    json!({
        "type": "result", "subtype": "success", "is_error": false, "api_error_status": null,
        "num_turns": 4, "result": "done", "terminal_reason": "completed", "session_id": "s1",
        "total_cost_usd": 0.25, "permission_denials": [{"tool_name": "Bash"}],
        "usage": {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 7,
            "cache_creation_input_tokens": 8},
        "modelUsage": {
            "big": {"inputTokens": 10, "outputTokens": 20, "cacheReadInputTokens": 1,
                "cacheCreationInputTokens": 2, "costUSD": 0.2},
            "small": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 0,
                "cacheCreationInputTokens": 0, "costUSD": 0.05},
        },
    })
}

/// The result with these fields in place of its own.
fn changed(fields: &Value) -> Value {
    let mut line = result();
    for (name, value) in fields.as_object().expect("fields") {
        line[name] = value.clone();
    }
    line
}

fn usd(dollars: f64) -> Usd {
    Usd::from_dollars(dollars)
}

#[test]
fn a_result_gives_cost_tokens_of_all_models_turns_denials_and_the_session() {
    let shown = claude(&[result()]);
    let usage = Usage {
        cost_usd: Some(usd(0.25)),
        measured: true,
        input_tokens: Some(11),
        output_tokens: Some(22),
        turns: Some(4),
    };
    let expected = SessionResult {
        usage,
        agent_session: Some("s1".to_owned()),
        denials: 1,
        ..SessionResult::default()
    };
    assert_eq!(shown, expected);
    let older = claude(&[changed(&json!({"modelUsage": {}}))]);
    assert_eq!((older.usage.input_tokens, older.usage.output_tokens), (Some(5), Some(6)));
}

#[test]
fn an_agent_that_was_killed_leaves_its_session_and_no_cost() {
    let shown = claude(&[]);
    assert_eq!(shown.agent_session.as_deref(), Some("s1"));
    assert!(shown.usage.is_unknown());
    let mut tally = Tally::new(Profile::Claude);
    tally.read(&INIT.as_bytes()[..INIT.len() - 1]);
    assert_eq!(tally.agent_session(), None);
    tally.read(b"}\n");
    assert_eq!(tally.agent_session(), Some("s1"));
}

#[test]
fn of_several_results_the_largest_cost_counts_once() {
    let costs = |costs: &[Value]| {
        let lines: Vec<Value> =
            costs.iter().map(|cost| changed(&json!({"total_cost_usd": cost}))).collect();
        claude(&lines).usage.cost_usd
    };
    assert_eq!(costs(&[json!(0.25), json!(0.4), json!(0.3)]), Some(usd(0.4)));
    assert_eq!(costs(&[json!(0.25), json!(null), json!(0)]), Some(usd(0.25)));
    assert_eq!(costs(&[json!(null)]), None, "unknown is unknown, never 0");
}

#[test]
fn no_cost_is_believed_only_where_every_count_of_tokens_is_0() {
    let free = |input: u64, cache: u64| {
        let model = json!({"inputTokens": input, "outputTokens": 0, "cacheReadInputTokens": cache,
            "cacheCreationInputTokens": 0});
        claude(&[changed(&json!({"total_cost_usd": 0, "modelUsage": {"m": model}}))]).usage.cost_usd
    };
    assert_eq!(free(0, 0), Some(usd(0.0)));
    assert_eq!((free(1, 0), free(0, 1)), (None, None));
    let bare = json!({"total_cost_usd": 0, "modelUsage": null, "usage": null});
    assert_eq!(claude(&[changed(&bare)]).usage.cost_usd, None);
}

#[test]
fn a_fake_or_odd_result_is_refused() {
    let odd = [
        json!({"type": "results"}),
        json!({"subtype": null}),
        json!({"subtype": ""}),
        json!({"session_id": null}),
        json!({"session_id": "s2"}),
        json!({"session_id": "--help"}),
        json!({"total_cost_usd": -0.5}),
        json!({"total_cost_usd": "9"}),
        json!({"total_cost_usd": 1e300}),
        json!({"num_turns": -1}),
        json!({"num_turns": "4"}),
        json!({"is_error": "no"}),
        json!({"usage": 7, "modelUsage": null}),
        json!({"modelUsage": {"m": {"inputTokens": "10"}}}),
        json!({"modelUsage": {"m": 7}}),
        json!({"permission_denials": 3}),
        json!({"api_error_status": "401"}),
    ];
    for fields in odd {
        assert_eq!(claude(&[changed(&fields)]), claude(&[]), "{fields}");
        let after = claude(&[result(), changed(&fields)]);
        assert_eq!(after, claude(&[result()]), "{fields}");
    }
    for line in ["NaN", "{\"total_cost_usd\":NaN", "[{\"type\":\"result\"}]"] {
        let lines = [INIT.to_owned(), line.to_owned()];
        assert_eq!(tallied(Profile::Claude, &lines), Some(claude(&[])), "{line}");
    }
}

#[test]
fn a_result_that_is_quoted_is_not_one() {
    let quoted = changed(&json!({"total_cost_usd": 9.0}));
    let text = json!({"type": "assistant", "session_id": "s1", "subtype": "result",
        "message": {"content": [{"type": "text", "text": quoted.to_string()}]}});
    let output = json!({"type": "user", "session_id": "s1", "message": {"content":
        [{"type": "tool_result", "content": quoted}]}, "tool_use_result": quoted});
    assert_eq!(claude(&[result(), text, output]), claude(&[result()]));
    let broken = format!("{}\\n{}", result(), quoted);
    assert_eq!(tallied(Profile::Claude, &[INIT.to_owned(), broken]), Some(claude(&[])));
}

#[test]
fn a_log_whose_start_is_lost_still_counts() {
    let shown = tallied(Profile::Claude, &[result().to_string()]).expect("a result");
    assert_eq!(
        (shown.usage.cost_usd, shown.agent_session.as_deref()),
        (Some(usd(0.25)), Some("s1"))
    );
}

#[test]
fn an_exhausted_context_shows_in_the_reason_or_in_the_older_words() {
    let is_exhausted = |fields: Value| claude(&[changed(&fields)]).context_exhausted;
    for reason in ["prompt_too_long", "blocking_limit"] {
        assert!(is_exhausted(json!({"is_error": true, "terminal_reason": reason})), "{reason}");
    }
    for text in ["Prompt is too long", "API Error: Autocompact is thrashing: ..."] {
        let older = json!({"is_error": true, "terminal_reason": null, "result": text});
        assert!(is_exhausted(older.clone()), "{text}");
        assert!(!is_exhausted(json!({"result": text})), "an agent that succeeds may write it");
    }
    assert!(!is_exhausted(json!({"is_error": true, "terminal_reason": "max_turns"})));
    let again = claude(&[
        changed(&json!({"is_error": true, "terminal_reason": "prompt_too_long"})),
        result(),
    ]);
    assert!(!again.context_exhausted, "the newest result is the end");
}

#[test]
fn an_error_of_the_api_is_kept_with_its_status() {
    let api_error = |fields: Value| claude(&[changed(&fields)]).api_error;
    assert_eq!(api_error(json!({"is_error": true, "api_error_status": 529})), Some(529));
    let limit = json!({"is_error": true, "result": "You've hit your limit · resets 3pm"});
    assert_eq!(api_error(limit), Some(429));
    assert_eq!(api_error(json!({})), None);
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_the_next_one_counts() {
    let long = format!("{{\"type\":\"result\",\"x\":\"{}\"}}", "x".repeat(2 * MAX_LINE_BYTES));
    let lines = [INIT.to_owned(), long, result().to_string()];
    assert_eq!(tallied(Profile::Claude, &lines), Some(claude(&[result()])));
}

#[test]
fn the_counts_of_codex_are_the_threads_so_the_last_ones_count() {
    let turn = |input: u64, output: u64| {
        json!({"type": "turn.completed", "usage": {"input_tokens": input,
            "cached_input_tokens": 3, "output_tokens": output}})
    };
    let thread = json!({"type": "thread.started", "thread_id": "0199a213"});
    let odd = json!({"type": "turn.completed", "usage": {"input_tokens": -1, "output_tokens": 9}});
    let shown = codex(&[thread, turn(100, 10), turn(250, 30), odd]);
    let usage = Usage { input_tokens: Some(250), output_tokens: Some(30), ..Usage::default() };
    assert_eq!((shown.usage, shown.agent_session.as_deref()), (usage, Some("0199a213")));
    assert_eq!(shown.usage.cost_usd, None, "Codex shows no cost");
}

#[test]
fn a_failed_turn_of_codex_shows_why() {
    let failed =
        |message: &str| codex(&[json!({"type": "turn.failed", "error": {"message": message}})]);
    assert_eq!(failed("unexpected status 401 Unauthorized: , url: x").api_error, Some(401));
    assert_eq!(failed("exceeded retry limit, last status: 429 Too Many").api_error, Some(429));
    assert_eq!(failed("You've hit your usage limit. Try again later").api_error, Some(429));
    assert!(failed("Codex ran out of room in the model's context window.").context_exhausted);
    assert_eq!(failed("stream disconnected; status unknown"), SessionResult::default());
    let item = json!({"type": "item.completed", "item": {"type": "agent_message",
        "text": "{\"type\":\"turn.failed\",\"error\":{\"message\":\"status 401\"}}"}});
    assert_eq!(codex(&[item]), SessionResult::default());
}

#[test]
fn the_output_of_another_program_shows_nothing() {
    let lines = [INIT.to_owned(), result().to_string()];
    assert_eq!(tallied(Profile::None, &lines), None);
    assert_eq!(tallied(Profile::Codex, &lines), None);
}

/// Lines of both agents, whole, cut and glued together.
fn output() -> impl Strategy<Value = String> {
    let lines = [
        INIT.to_owned(),
        result().to_string(),
        changed(&json!({"total_cost_usd": 0.5})).to_string(),
        json!({"type": "thread.started", "thread_id": "t1"}).to_string(),
        json!({"type": "turn.completed", "usage": {"input_tokens": 1, "output_tokens": 2}})
            .to_string(),
        "{\"type\":\"result\"".to_owned(),
        "\n".to_owned(),
        "\n".to_owned(),
        "\"result\"".to_owned(),
    ];
    prop::collection::vec(prop::sample::select(lines.to_vec()), 0..12)
        .prop_map(|lines| lines.concat())
}

fn profiles() -> impl Strategy<Value = Profile> {
    prop::sample::select(vec![Profile::Claude, Profile::Codex, Profile::None])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_the_output_is_split_never_matters(
        profile in profiles(), output in output(), cuts in prop::collection::vec(1usize..90, 1..20),
    ) {
        let mut whole = Tally::new(profile);
        whole.read(output.as_bytes());
        let (mut split, mut rest) = (Tally::new(profile), output.as_bytes());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            split.read(piece);
            rest = after;
        }
        prop_assert_eq!(split.finish(), whole.finish());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        profile in profiles(), bytes in prop::collection::vec(any::<u8>(), 0..300),
        line in "\\{\"type\":\"(result|system|turn[.]failed)\",\"subtype\":\"init\",.{0,80}\\}",
    ) {
        let mut tally = Tally::new(profile);
        tally.read(&bytes);
        tally.read(line.as_bytes());
        let _ = (tally.agent_session().map(str::len), tally.finish());
    }
}
