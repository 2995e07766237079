//! Mistakes that people make: each with its place, the offending text and what to do, and all of
//! them at once.

use super::{Folder, Run};

/// A valid start, so that each row below has one mistake.
const FLEET: &str = "fleet = \"demo\"\n";
const ROLE: &str = "[[role]]\nkey = \"a\"\n";

pub(super) fn refused(roster: &str, place: &str, parts: &[&str]) {
    refused_in(&Folder::with_briefs(roster), place, parts);
}

pub(super) fn refused_in(folder: &Folder, place: &str, parts: &[&str]) {
    let run = folder.run(&["check"]);
    let roster = folder.read("roster.toml");
    assert_eq!(run.code, Some(2), "{roster}\n{}", run.stderr);
    assert_eq!(run.stdout, "", "{roster}");
    assert!(run.stderr.ends_with("\n1 problem; nothing was changed\n"), "{roster}\n{}", run.stderr);
    let place = format!("--> roster.toml:{place}\n");
    for part in parts.iter().copied().chain([place.as_str()]) {
        assert!(run.stderr.contains(part), "{part:?} is missing for\n{roster}\n{}", run.stderr);
    }
}

#[test]
fn every_mistake_of_a_roster_is_reported_in_one_run() {
    let run = Folder::bare(include_str!("mistakes.toml")).run(&["check"]);
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("every_mistake", run.stderr);
}

#[test]
fn the_mistakes_of_the_documentation_look_as_documented() {
    let lines = "\n".repeat(25);
    let roster =
        format!("{FLEET}{lines}[[role]]\nkey = \"ui_builder\"\nname = \"UI Builder\"\ncuont = 3\n");
    let run = Folder::bare(roster).run(&["check"]);
    insta::assert_snapshot!("documented", run.stderr);
}

#[test]
fn programs_get_file_line_column_message_and_hint() {
    let roster = format!("{FLEET}{ROLE}cuont = 3\n");
    let run = Folder::with_briefs(&roster).run(&["check", "-o", "json"]);
    assert_eq!(run.code, Some(2));
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    insta::assert_json_snapshot!("json", document);
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    refused(
        &format!("{FLEET}{ROLE}cuont = 3\n"),
        "4:1",
        &["unknown key `cuont`", "^^^^^ did you mean `count`?"],
    );
    refused(
        &format!("{FLEET}[platform]\ntime_limit = \"1h\"\n"),
        "3:1",
        &["belongs in [defaults] or [[role]]"],
    );
    refused(
        &format!("{FLEET}[zebra]\n"),
        "2:2",
        &["unknown key `zebra`", "not one of fleet, deadline"],
    );
    refused(&format!("{FLEET}[platform.docker]\n"), "2:11", &["unknown key `docker`"]);
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    refused(
        "fleet = \"a\"\nfleet = \"b\"\n",
        "2:1",
        &["duplicate key `fleet`", "it is set above already"],
    );
    refused(&format!("{FLEET}[merge]\n[merge]\n"), "3:2", &["duplicate key `merge`"]);
    refused(&format!("{FLEET}{ROLE}{ROLE}"), "5:7", &["role `a` is defined twice"]);
    let health = "[[health]]\nname = \"p\"\nurl = \"http://x/\"\n";
    refused(&format!("{FLEET}{health}{health}"), "6:8", &["endpoint \"p\" is defined twice"]);
}

#[test]
fn a_bad_value_is_refused_with_what_to_write() {
    let role = |line: &str| format!("{FLEET}{ROLE}{line}\n");
    refused(&role("count = -1"), "4:9", &["`count` is negative: -1", "0 to 10000"]);
    refused(&role("count = 1.5"), "4:9", &["`count` holds a float", "write a whole number"]);
    refused(&role("count = 99999999999999999999"), "4:9", &["out of bounds: 99999999999999999999"]);
    refused(&role("mode = \"task_driven\""), "4:8", &["bad `mode`", "did you mean `task-driven`?"]);
    refused(
        &role("mode = \"boss\""),
        "4:8",
        &["one of thinker, task-driven, self-directed, reviewer, sentinel"],
    );
    refused(&role("command = []"), "4:11", &["`command` has no program"]);
    refused(&role("command = \"claude\""), "4:11", &["`command` holds a string", "list of texts"]);
    refused(
        &role("time_limit = \"2 parsecs\""),
        "4:14",
        &["bad duration", "such as \"90s\" or \"2h\""],
    );
    refused(
        &role("time_limit = 90"),
        "4:14",
        &["`time_limit` holds an integer", "a duration in quotes"],
    );
    refused(&role("min_free = \"much\""), "4:12", &["bad size", "\"1GiB\""]);
    refused(&role("name = \"two\\nlines\""), "4:8", &["one line, without control characters"]);
    refused("fleet = \"de-mo\"\n", "1:9", &["\"de-mo\"", "1 to 16 characters of a-z and 0-9"]);
    refused(&format!("{FLEET}deadline = \"0s\"\n"), "2:12", &["out of bounds", "1s to 365days"]);
    refused(&format!("{FLEET}[[role]]\nkey = \"\"\n"), "3:7", &["a role's key is"]);
    refused(&format!("{FLEET}[[role]]\ncount = 1\n"), "2:1", &["[[role]] has no `key`"]);
    refused(
        &format!("{FLEET}[role]\nkey = \"a\"\n"),
        "2:1",
        &["`role` holds a table", "write `[[role]]`"],
    );
}

#[test]
fn a_bad_merge_policy_or_endpoint_is_refused() {
    let merge = |line: &str| format!("{FLEET}[merge]\n{line}\n");
    refused(&merge("min_approvals = 0"), "3:17", &["1 to 10000"]);
    refused(&merge("block_title = '(('"), "3:15", &["bad regular expression", "unclosed group"]);
    refused(&merge("protected_paths = ['a[']"), "3:20", &["bad glob", "unclosed character class"]);
    refused(
        &merge("required_checks = [{ app = 'x' }]"),
        "3:20",
        &["{ name = \"...\", app = \"...\" }"],
    );
    refused(&merge("required_checks = [{ name = 'x', ap = 'y' }]"), "3:34", &["unknown key `ap`"]);
    let health = |line: &str| format!("{FLEET}[[health]]\nname = \"p\"\n{line}\n");
    refused(&health("url = \"ftp://x\""), "4:7", &["write http:// or https://"]);
    refused(&health("url = \"http://x/\"\nexpect = [99]"), "5:11", &["100 to 599"]);
}

#[test]
fn a_token_never_travels_in_clear_except_to_this_machine() {
    let roster = |url: &str| format!("{FLEET}[repository]\nname = \"a/b\"\napi_url = \"{url}\"\n");
    for url in ["http://example.com", "http://localhost.example.com", "http://10.0.0.1"] {
        refused(&roster(url), "4:11", &["write https://: the token travels with each request"]);
    }
    for url in ["https://example.com", "http://localhost:1", "http://127.0.0.9:1", "http://[::1]:1"]
    {
        assert!(Folder::bare(roster(url)).load().is_ok(), "{url}");
    }
}

#[test]
fn credentials_in_an_address_are_refused_and_not_shown() {
    let roster = format!("{FLEET}[[health]]\nname = \"p\"\nurl = \"https://me:hunter2@x/\"\n");
    let run = Folder::bare(roster).run(&["check"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("must not hold credentials"), "{}", run.stderr);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn a_missing_or_empty_brief_is_refused_with_its_path() {
    let roster = format!(
        "{FLEET}{ROLE}[[role]]\nkey = \"b\"\nbrief = \"elsewhere.md\"\n[[role]]\nkey = \"c\"\n"
    );
    let folder = Folder::bare(roster);
    folder.write("briefs/a.md", " \n");
    folder.write("briefs/c.md", [0xff, 0xfe]);
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("briefs", run.stderr);
}

#[test]
fn a_prompt_that_fits_no_argument_is_refused() {
    let folder = Folder::bare(format!("{FLEET}{ROLE}"));
    folder.write("briefs/a.md", "x".repeat(96 * 1024 - 10));
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("the prompt of `a` is too long: "), "{}", run.stderr);
}

#[test]
fn what_the_system_would_refuse_at_the_start_is_refused_here() {
    let command = "command = [\"agent\", \"{prompt} {prompt}\"]";
    let folder = Folder::bare(format!(
        "{FLEET}{ROLE}{command}\nenv = {{ LONG = \"{}\" }}\n",
        "y".repeat(140_000)
    ));
    folder.write("briefs/a.md", "x".repeat(80 * 1024));
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(2));
    for part in
        ["argument 1 of the command of `a` is too long", "the variable LONG of `a` is too long"]
    {
        assert!(
            run.stderr.contains(part),
            "no {part}: {}",
            &run.stderr[..1000.min(run.stderr.len())]
        );
    }
}

#[test]
fn what_names_no_variable_is_refused_and_no_value_is_shown() {
    let roster = format!(
        "{FLEET}[defaults]\nenv = {{ A = \"${{ONE}}\", B = \"pa55word ${{TWO}}\" }}\n\
         {ROLE}env = {{ C = \"${{x\" }}\n"
    );
    let folder = Folder::with_briefs(&roster);
    let Run { stdout, stderr, code } = folder.run(&["check"]);
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    insta::assert_snapshot!("variables", stderr);
    assert!(!stderr.contains("pa55word"), "{stderr}");
}

#[test]
fn all_undefined_variables_are_warned_of_and_no_value_is_shown() {
    let env = "env = { A = \"${ONE}\", B = \"pa55word ${TWO}\", C = \"${ONE}\" }";
    let folder = Folder::with_briefs(&format!("{FLEET}[defaults]\n{env}\n{ROLE}"));
    let Run { stdout, stderr, code } = folder.run(&["check"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("1 role, 1 agent"), "{stdout}");
    insta::assert_snapshot!("undefined_variables", stderr);
    assert!(!stderr.contains("pa55word"), "{stderr}");
}

#[test]
fn role_keys_that_make_a_sessions_name_ambiguous_are_refused() {
    let roster = |other: &str| format!("{FLEET}{ROLE}[[role]]\nkey = \"{other}\"\n");
    refused(&roster("demo_a"), "5:7", &["sessions of `demo_a` would be named like those of `a`"]);
    assert!(Folder::with_briefs(&roster("demo_b")).load().is_ok());
}

#[test]
fn more_sessions_than_any_machine_holds_are_refused() {
    let roster = format!("{FLEET}{ROLE}count = 9000\n[[role]]\nkey = \"b\"\ncount = 1001\n");
    refused(&roster, "4:9", &["the counts add up to 10001 sessions"]);
}

#[test]
fn a_bad_roster_stops_reconcile_before_it_touches_anything() {
    let folder = Folder::with_briefs(&format!("{FLEET}{ROLE}cuont = 3\n"));
    let run = folder.run(&["reconcile"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("did you mean `count`?"), "{}", run.stderr);
    assert!(!folder.path().join(".local").exists(), "a state directory was made");
}

#[test]
fn colour_is_for_terminals_and_on_demand() {
    let folder = Folder::with_briefs(&format!("{FLEET}{ROLE}cuont = 3\n"));
    assert!(!folder.run(&["check"]).stderr.contains('\u{1b}'));
    assert!(
        folder.run(&["check", "--color", "always"]).stderr.contains("\u{1b}[1m\u{1b}[31merror")
    );
}
