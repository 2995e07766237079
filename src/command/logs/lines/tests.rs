//! The tail of a log, and the end of one that breaks off.

use coordinator_core::agent::Profile;
use coordinator_core::secrets::Secrets;
use futures_util::stream;

use super::*;

type Portion = anyhow::Result<Bytes>;

#[expect(clippy::unnecessary_wraps, reason = "a log gives results")]
fn bytes(text: &'static str) -> Portion {
    Ok(Bytes::from_static(text.as_bytes()))
}

/// All that is given, and the error at its end.
async fn all(
    portions: LocalBoxStream<'static, Portion>,
    tail: Option<usize>,
    follow: bool,
) -> (Vec<String>, Option<String>) {
    let secrets = Secrets::default();
    let rendering = Rendering::readable(Profile::None, false, &secrets);
    let (mut given, mut error) = (Vec::new(), None);
    let mut lines = Box::pin(of(portions, rendering, tail, follow));
    while let Some(next) = lines.next().await {
        match next {
            Ok(lines) => given.push(String::from_utf8(lines).expect("text")),
            Err(why) => error = Some(why.to_string()),
        }
    }
    (given, error)
}

fn there(portions: Vec<Portion>) -> LocalBoxStream<'static, Portion> {
    stream::iter(portions).boxed_local()
}

#[tokio::test]
async fn the_last_lines_are_counted_as_they_are_shown() {
    let portions = || there(vec![bytes("one\ntw"), bytes("o\nthr"), bytes("ee\rfour\nfive")]);
    let whole = |given: Vec<String>| given.concat();
    assert_eq!(whole(all(portions(), None, false).await.0), "one\ntwo\nthree\nfour\nfive\n");
    for (count, expected) in [(0, ""), (1, "five\n"), (2, "four\nfive\n"), (9, "one\ntwo\n")] {
        let (given, error) = all(portions(), Some(count), false).await;
        assert!(whole(given).starts_with(expected), "{count}");
        assert_eq!(error, None);
    }
    assert_eq!(whole(all(portions(), Some(2), false).await.0), "four\nfive\n");
    assert_eq!(whole(all(portions(), Some(0), false).await.0), "");
}

#[tokio::test]
async fn what_came_before_a_log_broke_off_is_given_and_the_break_is_an_error() {
    for tail in [None, Some(5)] {
        let portions = there(vec![bytes("one\ntw"), Err(anyhow::anyhow!("cut"))]);
        let (given, error) = all(portions, tail, false).await;
        assert_eq!((given.concat().as_str(), error.as_deref()), ("one\ntw\n", Some("cut")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_followed_log_begins_with_its_last_lines_and_goes_on_whole() {
    let first = stream::iter([bytes("one\ntwo\n"), bytes("three\n")]);
    let later = stream::once(async {
        tokio::time::sleep(PAUSE * 4).await;
        bytes("four\nfive\n")
    });
    let portions = first.chain(later).boxed_local();
    let (given, error) = all(portions, Some(1), true).await;
    assert_eq!((given, error), (vec!["three\n".to_owned(), "four\nfive\n".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_comes_late_is_not_taken_for_an_empty_one() {
    let late = stream::once(async {
        tokio::time::sleep(PAUSE * 4).await;
        bytes("one\ntwo\n")
    });
    let (given, _) = all(late.boxed_local(), Some(1), true).await;
    assert_eq!(given, ["two\n"]);
}
