//! What a section of the roster takes, by its values.

use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator_core::section::{
    ApiUrl, Argument, Count, DnsLabel, FilePath, FromText, Glob, Image, Line, LoadContext, Pattern,
    Placed, RepositoryName, Size, Table, Text, Time, Url, VariableName, VariableValue, nearest,
    quoted, state_dir,
};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, I64Deserializer, StrDeserializer};

/// Each of these texts is a value, and is shown as it was written.
fn takes<T: FromText + Display>(texts: &[&str]) {
    for text in texts {
        assert_eq!(T::from_text(text).map(|value| value.to_string()), Ok((*text).to_owned()));
    }
}

/// None of these texts is a value; the error says so in these words.
fn refuses<T: FromText + Display>(texts: &[&str], why: &str) {
    for text in texts {
        let error = T::from_text(text).map(|value| value.to_string()).expect_err(text);
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

fn from_toml_text<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    let text: StrDeserializer<'a, Error> = text.into_deserializer();
    T::deserialize(text).map_err(|error| error.to_string())
}

fn from_toml_number<'a, T: Deserialize<'a>>(number: i64) -> Result<T, String> {
    let number: I64Deserializer<Error> = number.into_deserializer();
    T::deserialize(number).map_err(|error| error.to_string())
}

#[test]
fn a_line_has_no_control_characters_and_no_more_than_200_characters() {
    let (longest, longer) = ("ü".repeat(200), "ü".repeat(201));
    takes::<Line>(&["", "UI Builder", &longest]);
    refuses::<Line>(&["a\nb", "a\u{7}"], "control characters");
    refuses::<Line>(&[&longer], "at most 200");
    takes::<Text>(&["UI Builder"]);
    refuses::<Text>(&[""], "empty");
}

#[test]
fn a_path_an_argument_and_a_value_hold_what_the_system_can_hold() {
    takes::<FilePath>(&["~/state", "a b"]);
    refuses::<FilePath>(&["", "a\nb", "a\0"], "write a path");
    takes::<Argument>(&["", "two\nlines"]);
    refuses::<Argument>(&["a\0"], "NUL");
    takes::<VariableValue>(&["", "two\nlines"]);
    refuses::<VariableValue>(&["a\0"], "NUL");
}

#[test]
fn a_repository_is_an_owner_and_a_name_in_githubs_alphabet() {
    let (owner, name) = ("o".repeat(39), "n".repeat(100));
    takes::<RepositoryName>(&[
        "acme/app",
        "a-b_c/d.e-f_g",
        "acme/.github",
        &format!("{owner}/{name}"),
    ]);
    let (long_owner, long_name) = (format!("{owner}o/app"), format!("acme/{name}n"));
    let others =
        ["", "acme", "acme/", "/app", "acme/app/x", "a.b/app", "acme/a b", "acme/.", "acme/.."];
    refuses::<RepositoryName>(&others, "owner/repo");
    refuses::<RepositoryName>(&[&long_owner, &long_name], "owner/repo");
}

#[test]
fn an_address_is_http_and_holds_no_credentials() {
    takes::<Url>(&["https://example.com/healthz?deep=1", "http://example.com"]);
    refuses::<Url>(&["example.com", ""], "such as https://");
    refuses::<Url>(&["ftp://example.com"], "http:// or https://");
    refuses::<Url>(&["https://me@example.com", "https://:secret@example.com"], "credentials");
}

#[test]
fn a_token_travels_in_the_clear_to_this_machine_alone() {
    takes::<ApiUrl>(&[
        "https://api.example.com/v3",
        "http://localhost:80",
        "http://127.9.9.9",
        "http://[::1]:1",
    ]);
    refuses::<ApiUrl>(&["http://example.com", "http://10.0.0.1", "http://[::2]"], "write https://");
    refuses::<ApiUrl>(&["https://example.com/?a", "https://example.com/#a"], "without");
    refuses::<ApiUrl>(&["ftp://localhost"], "http:// or https://");
}

#[test]
fn a_variable_has_a_name_that_is_not_the_coordinators() {
    takes::<VariableName>(&["A", "_a", "A_1", "MY_COORDINATOR_X"]);
    refuses::<VariableName>(&["", "1A", "A-B", "Ä"], "letters, digits");
    refuses::<VariableName>(&["COORDINATOR_SLOT"], "reserved");
}

#[test]
fn a_pattern_and_a_glob_match_as_they_say() {
    let matches =
        |pattern: &Pattern, text| pattern.regex.as_ref().map(|regex| regex.is_match(text));
    let wip = Pattern::from_text("^wip").expect("a pattern");
    assert_eq!((matches(&wip, "wip: x"), matches(&wip, "x")), (Some(true), Some(false)));
    takes::<Pattern>(&["^wip", ""]);
    refuses::<Pattern>(&["("], "unclosed group");
    assert_eq!(matches(&Pattern::from_text("").expect("none"), "x"), None);
    assert_eq!(matches(&Pattern::of("^a"), "abc"), Some(true));
    assert_eq!(matches(&Pattern::of("("), "("), None);
    takes::<Glob>(&[".github/*"]);
    refuses::<Glob>(&["[a"], "bad glob");
    let glob = Glob::from_text(".github/*").expect("a glob").0.compile_matcher();
    assert!(glob.is_match(".github/workflows/ci.yml") && !glob.is_match("src/.github/x"));
}

#[test]
fn a_duration_has_bounds_and_is_shown_in_the_largest_unit_that_needs_no_second_one() {
    refuses::<Time<1000>>(&["999ms", "0s", "366days"], "is out of bounds\n1s to 365days");
    refuses::<Time<1000>>(&["5", "soon", ""], "bad duration");
    let shown =
        ["0s", "1s", "60s", "61s", "90s", "2m", "1h", "90m", "24h", "8760h", "1500ms", "1ms"];
    takes::<Time>(&shown);
    assert_eq!(Time::<0>::from_text("1h 30m").map(Time::get), Ok(Duration::from_secs(5400)));
    assert_eq!(Time::<0>::seconds(120).get(), Duration::from_secs(120));
}

#[test]
fn a_count_is_a_number_within_its_bounds() {
    for (number, expected) in
        [(1, Some(1)), (9, Some(9)), (0, None), (10, None), (-1, None), (1 << 40, None)]
    {
        let count = from_toml_number::<Count<1, 9>>(number);
        assert_eq!(count.as_ref().ok().map(|count| count.get()), expected, "{count:?}");
        let error = format!("invalid value: integer `{number}`, expected 1 to 9");
        assert!(count.map_or_else(|said| said == error, |_| true));
    }
    assert_eq!(
        from_toml_text::<Count<1, 9>>("5"),
        Err("invalid type: string \"5\", expected 1 to 9".to_owned())
    );
    assert_eq!(Count::<1, 9>::of(5).get(), 5);
}

#[test]
fn a_size_is_in_units_of_1000_or_1024() {
    let size = |text| Size::from_text(text).ok().map(Size::get);
    for (text, expected) in [
        ("0", 0),
        ("7B", 7),
        (" 5 kB ", 5_000),
        ("5KB", 5_000),
        ("5MB", 5_000_000),
        ("5GB", 5_000_000_000),
        ("5TB", 5_000_000_000_000),
        ("3KiB", 3_072),
        ("3MiB", 3_145_728),
        ("3GiB", 3_221_225_472),
        ("3TiB", 3_298_534_883_328),
    ] {
        assert_eq!(size(text), Some(expected), "{text}");
    }
    refuses::<Size>(&["", "5", "GiB", "5GiBs", "-1B", "20000000TiB"], "bad size");
    takes::<Size>(&["0", "2GiB", "1500B"]);
    assert_eq!(Size::gib(2).get(), 2_147_483_648);
}

#[test]
fn a_text_of_a_platform_follows_its_rules_and_names_the_likely_mistake() {
    let (longest, longer) = ("a".repeat(63), "a".repeat(64));
    takes::<DnsLabel>(&["agent-0", &longest]);
    refuses::<DnsLabel>(&[&longer], "at most 63 characters");
    refuses::<DnsLabel>(&["-a", "A", ""], "a letter or digit at both ends");
    takes::<Image>(&["images.example.com:5000/team/agent:1.0"]);
    refuses::<Image>(&["team/Agent"], "lower case");
    refuses::<Image>(&["https://example.com/agent"], "without `https://`");
}

#[test]
fn a_text_is_read_from_a_text_alone() {
    let line = from_toml_text::<Line>("UI Builder").map(String::from);
    assert_eq!(line, Ok("UI Builder".to_owned()));
    assert_eq!(
        from_toml_number::<Line>(5).map(String::from),
        Err("invalid type: integer `5`, expected text in quotes".to_owned())
    );
    assert_eq!(from_toml_text::<Text>("").map(String::from), Err("empty".to_owned()));
}

#[test]
fn a_table_is_empty_by_default_and_gives_its_texts() {
    let mut table = Table::<VariableName, VariableValue>::default();
    assert!(table.texts().is_empty());
    table.0.insert("LANG".into(), "C".into());
    assert_eq!(
        table.texts().into_iter().collect::<Vec<_>>(),
        [("LANG".to_owned(), "C".to_owned())]
    );
}

#[test]
fn the_nearest_candidate_is_at_most_a_third_away() {
    let near = |text| nearest(["count", "command", "brief"].into_iter(), text);
    for (text, expected) in [
        ("count", Some("count")),
        ("cont", Some("count")),
        ("comand", Some("command")),
        ("cammund", Some("command")),
        ("cammond", Some("command")),
        ("cammxxd", None),
        ("brxxf", None),
        ("", None),
    ] {
        assert_eq!(near(text), expected, "{text}");
    }
    assert_eq!(nearest(["a", "b"].into_iter(), "x"), Some("a"), "one letter may always be wrong");
}

#[test]
fn a_quoted_text_is_one_short_line() {
    assert_eq!(quoted("a\nb"), "\"a b\"");
    assert_eq!(quoted(&"x".repeat(61)), format!("\"{}…\"", "x".repeat(60)));
}

fn around<T: Debug>(
    home: Option<&str>,
    state: Option<&str>,
    then: impl FnOnce(LoadContext<'_>) -> T,
) -> T {
    let environment = |name: &str| match name {
        "HOME" => home.map(str::to_owned),
        "XDG_STATE_HOME" => state.map(str::to_owned),
        _ => None,
    };
    then(LoadContext { folder: Path::new("/fleet"), environment: &environment })
}

#[test]
fn a_path_starts_at_the_roster_or_at_home() {
    let home = Some("/home/someone");
    for (home, text, expected) in [
        (home, "briefs/a.md", Some("/fleet/briefs/a.md")),
        (home, "/etc/x", Some("/etc/x")),
        (home, "~", Some("/home/someone")),
        (home, "~/x", Some("/home/someone/x")),
        (home, "~x", Some("/fleet/~x")),
        (None, "x", Some("/fleet/x")),
        (None, "~", None),
        (None, "~/x", None),
        (Some("relative"), "~/x", None),
    ] {
        let found = around(home, None, |around| around.resolve(text));
        assert_eq!(found, expected.map(PathBuf::from), "{text}");
    }
}

#[test]
fn records_are_kept_where_the_roster_says_or_where_the_system_keeps_state() {
    let given = Placed { value: FilePath::from("state"), span: Some(3..8) };
    let find = |given: Option<&Placed<FilePath>>, home, state| {
        around(home, state, |around| state_dir(given, "[local]", around))
    };
    let home = Some("/home/someone");
    for (given, state, expected) in [
        (Some(&given), Some("/state"), "/fleet/state"),
        (None, Some("/state"), "/state/coordinator"),
        (None, Some("state"), "/home/someone/.local/state/coordinator"),
        (None, None, "/home/someone/.local/state/coordinator"),
    ] {
        assert_eq!(find(given, home, state), Ok(PathBuf::from(expected)));
    }
    let problem = find(None, None, None).expect_err("HOME is not set");
    assert_eq!(problem.hint.as_deref(), Some("set `state_dir` in [local] to an absolute path"));
}
