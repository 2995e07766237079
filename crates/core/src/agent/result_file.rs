//! The file `COORDINATOR_RESULT`, which an agent may write.

use serde_json::Value;

use super::number::{believed, count, usd};
use crate::fleet::{MAX_REASON, ResultStatus, SessionResult, Usage};
use crate::sanitize::one_line;

/// Bytes of the file that are read on the machine of the agent.
pub const MAX_RESULT_BYTES: u64 = 64 * 1024;

/// What the agent wrote; `None` where that is not a JSON object. An odd field is as if it were
/// absent.
pub fn read_result(bytes: &[u8]) -> Option<SessionResult> {
    let file: Value = serde_json::from_slice(bytes).ok()?;
    file.is_object().then(|| SessionResult {
        status: file["status"].as_str().and_then(status),
        reason: reason(&file["reason"]),
        usage: usage(&file["usage"]),
        ..SessionResult::default()
    })
}

fn status(word: &str) -> Option<ResultStatus> {
    [ResultStatus::Done, ResultStatus::Blocked, ResultStatus::NeedsHuman, ResultStatus::Failed]
        .into_iter()
        .find(|status| status.word() == word)
}

/// One line, at most [`MAX_REASON`] characters with the sign that it was cut.
fn reason(value: &Value) -> String {
    one_line(value.as_str().unwrap_or_default(), MAX_REASON - 1)
}

fn usage(value: &Value) -> Usage {
    let input_tokens = count(&value["input_tokens"]).unwrap_or_default();
    let output_tokens = count(&value["output_tokens"]).unwrap_or_default();
    let used_no_tokens = (input_tokens, output_tokens) == (Some(0), Some(0));
    Usage {
        cost_usd: believed(usd(&value["cost_usd"]).unwrap_or_default(), used_no_tokens),
        measured: false,
        input_tokens,
        output_tokens,
        turns: count(&value["turns"]).unwrap_or_default(),
    }
}

/// What the agent's output showed and what it wrote, as one. The output's usage counts, and the
/// file's where the output shows none.
pub fn combined(
    shown: Option<SessionResult>,
    written: Option<SessionResult>,
) -> Option<SessionResult> {
    let (shown, written) = match (shown, written) {
        (Some(shown), Some(written)) => (shown, written),
        (shown, written) => return shown.or(written),
    };
    let usage = Usage {
        cost_usd: shown.usage.cost_usd.or(written.usage.cost_usd),
        measured: shown.usage.cost_usd.is_some(),
        input_tokens: shown.usage.input_tokens.or(written.usage.input_tokens),
        output_tokens: shown.usage.output_tokens.or(written.usage.output_tokens),
        turns: shown.usage.turns.or(written.usage.turns),
    };
    Some(SessionResult { status: written.status, reason: written.reason, usage, ..shown })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fleet::Usd;

    fn read(file: &Value) -> SessionResult {
        read_result(file.to_string().as_bytes()).expect("an object")
    }

    fn costing(dollars: f64) -> SessionResult {
        let cost_usd = Some(Usd::from_dollars(dollars));
        let usage = Usage { cost_usd, measured: true, ..Usage::default() };
        SessionResult { usage, ..SessionResult::default() }
    }

    #[test]
    fn every_field_is_optional_and_unknown_ones_are_ignored() {
        assert_eq!(read(&json!({})), SessionResult::default());
        let whole = read(&json!({
            "status": "needs_human", "reason": "which \u{1b}[31mcolour\u{202e}?\nred or blue",
            "notes": "n", "files": ["a"], "later": {"x": 1},
            "usage": {"cost_usd": 0.5, "input_tokens": 7, "output_tokens": 9, "turns": 2},
        }));
        assert_eq!(whole.status, Some(ResultStatus::NeedsHuman));
        assert_eq!(whole.reason, "which [31mcolour? red or blue");
        let usage = Usage {
            cost_usd: Some(Usd::from_dollars(0.5)),
            measured: false,
            input_tokens: Some(7),
            output_tokens: Some(9),
            turns: Some(2),
        };
        assert_eq!(whole.usage, usage);
    }

    #[test]
    fn an_odd_field_is_as_if_it_were_absent_and_the_others_count() {
        let odd = json!({
            "status": "great", "reason": ["x"],
            "usage": {"cost_usd": -1, "input_tokens": "7", "output_tokens": 1.5, "turns": 3},
        });
        let usage = Usage { turns: Some(3), ..Usage::default() };
        assert_eq!(read(&odd), SessionResult { usage, ..SessionResult::default() });
        for odd in
            [json!({"usage": 7}), json!({"usage": {"cost_usd": "0.5"}}), json!({"status": 1})]
        {
            assert_eq!(read(&odd), SessionResult::default(), "{odd}");
        }
        for none in ["", "[]", "7", "null", "{", "{\"usage\":{\"cost_usd\":NaN}}"] {
            assert_eq!(read_result(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn no_cost_is_believed_only_of_a_session_without_tokens() {
        let cost = |usage: Value| read(&json!({ "usage": usage })).usage.cost_usd;
        assert_eq!(
            cost(json!({"cost_usd": 0, "input_tokens": 0, "output_tokens": 0})),
            Some(Usd::default())
        );
        for usage in [
            json!({"cost_usd": 0}),
            json!({"cost_usd": 0, "input_tokens": 0}),
            json!({"cost_usd": 0.0, "input_tokens": 5, "output_tokens": 0}),
        ] {
            assert_eq!(cost(usage.clone()), None, "{usage}");
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let long = read(&json!({"reason": "x".repeat(MAX_REASON + 1)})).reason;
        assert_eq!(long.chars().count(), MAX_REASON);
        assert!(long.ends_with('…'), "{long}");
    }

    #[test]
    fn the_file_never_changes_a_cost_that_the_output_shows() {
        let cost = |shown: Option<SessionResult>, written: Option<SessionResult>| {
            combined(shown, written).and_then(|result| result.usage.cost_usd)
        };
        for written in [0.1, 0.5, 0.9] {
            assert_eq!(
                cost(Some(costing(0.5)), Some(costing(written))),
                Some(Usd::from_dollars(0.5))
            );
        }
        let unpriced = SessionResult { denials: 1, ..SessionResult::default() };
        assert_eq!(cost(Some(unpriced), Some(costing(0.1))), Some(Usd::from_dollars(0.1)));
        assert_eq!(cost(None, Some(costing(0.1))), Some(Usd::from_dollars(0.1)));
        assert_eq!(combined(None, None), None);
    }

    #[test]
    fn the_agents_word_stands_beside_what_its_output_shows() {
        let shown = SessionResult {
            agent_session: Some("s1".to_owned()),
            context_exhausted: true,
            api_error: Some(429),
            ..costing(0.5)
        };
        let written = SessionResult {
            status: Some(ResultStatus::Blocked),
            reason: "no key".to_owned(),
            ..SessionResult::default()
        };
        let both = combined(Some(shown.clone()), Some(written.clone()));
        let expected = SessionResult { status: written.status, reason: written.reason, ..shown };
        assert_eq!(both, Some(expected));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_result(&bytes);
        }
    }
}
