//! What an answer means together with the exit code. Pure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Refusal;

/// What every answer has.
#[derive(Deserialize)]
struct Head {
    ok: bool,
    #[serde(default)]
    error: Option<Refusal>,
}

/// What an exit and the text before it say together; an error when they are no answer: in what way.
pub(in crate::exec) fn judge<T: DeserializeOwned>(
    status: ExitStatus,
    stdout: &[u8],
) -> Result<Result<T, Refusal>, String> {
    let Some(exit) = status.code() else {
        let signal = status.signal().map_or_else(|| status.to_string(), |number| number.to_string());
        return Err(format!("it was ended by signal {signal}"));
    };
    let text = str::from_utf8(stdout).map_err(|error| {
        format!("exit {exit} and an answer that is not UTF-8 from byte {} on", error.valid_up_to())
    })?;
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(format!("exit {exit} without an answer on stdout"));
    }
    let no_answer = |why: &str| format!("exit {exit} and no answer by the protocol: {why}: `{text}`");
    if !text.starts_with('{') {
        return Err(no_answer("it must be one JSON object"));
    }
    let parsed = |error: serde_json::Error| no_answer(&error.to_string());
    let Head { ok, error } = serde_json::from_str(text).map_err(parsed)?;
    match (ok, error, exit) {
        (true, _, 0) => serde_json::from_str(text).map(Ok).map_err(parsed),
        (true, _, _) => Err(format!("exit {exit} and \"ok\": true, which contradict each other")),
        (false, Some(refusal), 1..) => Ok(Err(refusal)),
        (false, Some(Refusal { code, message, .. }), _) => {
            Err(format!("exit 0 and \"ok\": false, which contradict each other ({}: {message})", code.word()))
        }
        (false, None, _) => Err(format!("exit {exit} and \"ok\": false without an `error`")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exec::protocol::{Code, Log};

    fn exited(code: i32, stdout: &str) -> Result<Result<Log, Refusal>, String> {
        judge(ExitStatus::from_raw(code << 8), stdout.as_bytes())
    }

    #[test]
    fn an_answer_and_its_exit_code_agree_or_are_no_answer() {
        assert_eq!(
            exited(0, "\n{\"ok\":true,\"text\":\"t\"}\n"),
            Ok(Ok(Log { text: "t".to_owned(), truncated: false }))
        );
        let refusal = r#"{"ok":false,"error":{"code":"quota","message":"m","retry_after_s":1.5}}"#;
        let expected = Refusal {
            code: Code::Quota,
            message: "m".to_owned(),
            retry_after: Some(Duration::from_millis(1500)),
        };
        assert_eq!(exited(9, refusal), Ok(Err(expected)));
        for (code, stdout) in
            [(0, refusal), (1, r#"{"ok":true,"text":"t"}"#), (1, r#"{"ok":false}"#), (0, "")]
        {
            assert!(exited(code, stdout).is_err(), "{code} {stdout}");
        }
    }

    #[test]
    fn a_signal_is_no_answer_whatever_was_said_before() {
        let killed: Result<Result<Log, Refusal>, String> =
            judge(ExitStatus::from_raw(9), br#"{"ok":true,"text":"t"}"#);
        assert!(killed.is_err_and(|why| why.contains("signal 9")));
    }

    #[test]
    fn an_absurd_wait_is_bounded() {
        for (wait, expected) in [("-5", 0), ("1e300", 365 * 86_400), ("null", 0)] {
            let text = format!(r#"{{"ok":false,"error":{{"code":"quota","retry_after_s":{wait}}}}}"#);
            let refusal = exited(1, &text).expect("an answer").expect_err("a refusal");
            assert_eq!(refusal.retry_after.unwrap_or_default(), Duration::from_secs(expected), "{wait}");
        }
    }
}
