//! Numbers and ids of an agent, which must be what they should be: an odd one makes its line odd.

use serde_json::Value;

use crate::fleet::Usd;

/// No session costs more.
const MAX_USD: f64 = 1_000_000.0;

/// Characters of an agent's session id.
const MAX_ID: usize = 128;

/// The value is not of the kind that its name promises.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Odd;

/// An amount; absent and `null` are unknown.
pub(super) fn usd(value: &Value) -> Result<Option<Usd>, Odd> {
    match value {
        Value::Null => Ok(None),
        value => {
            let dollars = value.as_f64().filter(|dollars| (0.0..=MAX_USD).contains(dollars));
            dollars.map(|dollars| Some(Usd::from_dollars(dollars))).ok_or(Odd)
        }
    }
}

/// A whole number that is not negative; absent and `null` are unknown.
pub(super) fn count<T: TryFrom<u64>>(value: &Value) -> Result<Option<T>, Odd> {
    match value {
        Value::Null => Ok(None),
        value => value.as_u64().and_then(|count| T::try_from(count).ok()).map(Some).ok_or(Odd),
    }
}

/// An agent's session id, which may become an argument of its command.
pub(super) fn id(value: &Value) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id = value.as_str().filter(|id| id.len() <= MAX_ID && id.chars().all(is_plain))?;
    id.starts_with(|c: char| c.is_ascii_alphanumeric()).then_some(id)
}

/// Zero dollars are believed only of a session that used no tokens: an unknown model has no price.
pub(super) fn believed(cost: Option<Usd>, used_no_tokens: bool) -> Option<Usd> {
    cost.filter(|cost| *cost != Usd::default() || used_no_tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_never_an_option_and_never_a_path() {
        for odd in [json!("--debug"), json!("../x"), json!("a b"), json!(""), json!(7), json!(null)]
        {
            assert_eq!(id(&odd), None, "{odd}");
        }
        assert_eq!(id(&json!("a".repeat(129))), None);
        assert_eq!(id(&json!("0199a213-81c0")), Some("0199a213-81c0"));
    }

    #[test]
    fn an_amount_is_a_number_of_dollars_and_anything_else_is_odd() {
        assert_eq!(usd(&json!(0.25)), Ok(Some(Usd::from_dollars(0.25))));
        assert_eq!(usd(&Value::Null), Ok(None));
        for odd in [json!(-0.1), json!("0.1"), json!(1e7), json!([1]), json!(true)] {
            assert_eq!(usd(&odd), Err(Odd), "{odd}");
        }
        for odd in [json!(-1), json!("1"), json!(1.5), json!(u64::MAX)] {
            assert_eq!(count::<u32>(&odd), Err(Odd), "{odd}");
        }
        assert_eq!(count::<u32>(&json!(7)), Ok(Some(7)));
    }
}
