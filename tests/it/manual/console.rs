//! Each command of the README and of Getting started is run, line by line, by a shell in a fresh
//! home, with a fake GitHub and an agent that only prints `ready`. An output that a page prints is
//! compared; `UPDATE_REFERENCE=1 cargo test --test it manual` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use testkit::{Account, GitHub, Production, Pull, Repository, TOKEN, Workplace};

use super::page::{Step, edited, steps};
use super::{path, read};

const PAGES: [&str; 2] = ["README.md", "docs/getting-started.md"];

/// What no test can run, and why.
const NOT_RUN: [(&str, &str); 4] = [
    ("cargo run -p demo", "it builds the workspace; .ci/suites/demo.sh runs it"),
    ("cargo test", "it runs this test"),
    ("crontab -e", "it opens an editor"),
    ("cargo install --path . --locked", "it builds the program, which this test has"),
];

const AGENT: &str = "#!/bin/sh\necho ready\n";

/// The tokens of three accounts.
const TOKENS: [(&str, &str); 3] = [
    ("AGENT_GITHUB_TOKEN", "token-of-the-builders-58d0"),
    ("REVIEWER_GITHUB_TOKEN", "token-of-the-reviewers-a417"),
    ("GITHUB_TOKEN", TOKEN),
];

/// Where the pages have a name that is a server here.
const PRODUCTION: &str = "https://app.example.com/healthz";

/// Ends the output of a command in the shell's own.
const MARK: &str = "@@@ ";

/// The machine of a reader.
struct Desk {
    github: GitHub,
    production: Production,
    workplace: Workplace,
    shell: Shell,
}

impl Desk {
    fn new() -> Self {
        let pulls = [
            Pull::eligible(7).titled("Add login form"),
            Pull { reviews: Vec::new(), ..Pull::eligible(12) }.titled("Bump serde"),
        ];
        let github =
            GitHub::start(Repository { name: "acme/shop".to_owned(), ..Repository::with(pulls) });
        for (login, token) in [("builders", TOKENS[0].1), ("reviewers", TOKENS[1].1)] {
            let account = Account { login: login.to_owned(), permission: Some("WRITE".to_owned()) };
            github.state().accounts.insert(token.to_owned(), account);
        }
        let workplace = Workplace::new("");
        let home = workplace.path().join("home");
        let bin = home.join(".local/bin");
        fs::create_dir_all(home.join("coordinator")).expect("a folder can be made");
        fs::create_dir_all(&bin).expect("a folder can be made");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_coordinator"), bin.join("coordinator"))
            .expect("a link can be made");
        write_program(&bin.join("claude"), AGENT);
        let shell = Shell::start(&home);
        Self { github, production: Production::up(), workplace, shell }
    }

    /// Takes a step of this page.
    fn follow(&mut self, page: &str, step: &Step) {
        match step {
            Step::Run { command, output } => {
                let printed = self.run(command);
                if normal(&printed) != normal(output)
                    && std::env::var_os("UPDATE_REFERENCE").is_some()
                {
                    print_anew(page, command, output, &printed);
                } else if !output.is_empty() {
                    assert_eq!(
                        normal(&printed),
                        normal(output),
                        "{command}\n{}",
                        printed.join("\n")
                    );
                }
            }
            Step::EditRoster(block) => {
                let roster = self.shell.folder.join("roster.toml");
                let text = fs::read_to_string(&roster).expect("the roster was written");
                let text = edited(&text, block).replace(PRODUCTION, &self.production.url());
                let api = format!("name = \"acme/shop\"\napi_url = \"{}\"", self.github.url());
                let api = if text.contains("\napi_url") { "name = \"acme/shop\"" } else { &api };
                let text = text.replace("name = \"acme/shop\"", api);
                fs::write(roster, text).expect("the roster can be written");
            }
            Step::WriteTokens(block) => {
                let tokens = self.shell.folder.join("coordinator.env");
                fs::write(tokens, with_tokens(block)).expect("the tokens can be written");
            }
        }
    }

    /// Runs a command, which must succeed, and returns its output as a page would print it.
    fn run(&mut self, command: &str) -> Vec<String> {
        let (code, output) = self.shell.run(&with_tokens(command));
        let printed = output
            .replace(&*self.workplace.path().join("home").to_string_lossy(), "~")
            .replace(&self.production.url(), PRODUCTION);
        assert_eq!(code, 0, "{command}\n{printed}");
        printed.lines().map(str::to_owned).collect()
    }
}

/// Writes the output below a command of the page anew, where the page has one.
fn print_anew(page: &str, command: &str, old: &[String], printed: &[String]) {
    let block = |output: &str| format!("$ {command}\n{}\n", output.trim());
    if !old.is_empty() {
        let text = read(page).replacen(&block(&old.join("\n")), &block(&printed.join("\n")), 1);
        fs::write(path(page), text).expect("the page can be written");
    }
}

/// With the tokens that a page leaves out: `GITHUB_TOKEN=...`.
fn with_tokens(text: &str) -> String {
    let with_token = |text: String, (name, token)| {
        text.replace(&format!("{name}=..."), &format!("{name}={token}"))
    };
    TOKENS.into_iter().fold(text.to_owned(), with_token)
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("a program can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
}

/// A shell that keeps folder and variables from one command to the next.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Shell {
    fn start(home: &Path) -> Self {
        let search_path = format!("{}:/usr/bin:/bin", home.join(".local/bin").display());
        let folder = home.join("coordinator");
        let mut command = Command::new("timeout");
        command.args(["60", "bash", "--noprofile", "--norc"]).current_dir(&folder).env_clear();
        command.env("HOME", home).env("PATH", search_path).env("COLUMNS", "80");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash starts");
        let mut input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        input.write_all(b"exec 2>&1\n").expect("bash reads");
        Self { child, input, output, folder }
    }

    /// The exit code of a command, and what it printed to stdout and stderr.
    fn run(&mut self, command: &str) -> (i32, String) {
        let line = format!("{{ {command}\n}} </dev/null\nprintf '\\n{MARK}%s %s\\n' $? \"$PWD\"\n");
        self.input.write_all(line.as_bytes()).expect("bash reads");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the output is text");
            assert!(read > 0, "bash ended during `{command}`:\n{printed}");
            if let Some(end) = line.strip_prefix(MARK) {
                let (code, folder) = end.trim_end().split_once(' ').expect("a code and a folder");
                self.folder = PathBuf::from(folder);
                return (code.parse().expect("a number"), printed);
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines to compare: without spaces at their ends and empty lines around them, columns of any
/// width, and each number and time unit as `#`.
fn normal(lines: &[String]) -> Vec<String> {
    let lines =
        lines.iter().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    let lines: Vec<String> = lines.map(|line| line.replace("# ms", "# s")).collect();
    let is_text = |line: &String| !line.is_empty();
    let first = lines.iter().position(is_text).unwrap_or_default();
    let end = lines.iter().rposition(is_text).map_or(0, |last| last + 1);
    lines[first..end].to_vec()
}

/// The word with `#` in place of each number: `#`, `#-#-#`, `s#`. A pull request keeps its number.
fn word(word: &str) -> String {
    if word.starts_with('#') {
        return word.to_owned();
    }
    let mut normal = String::new();
    let mut in_number = false;
    for c in word.chars() {
        let goes_on = c.is_ascii_digit() || (in_number && c == '.');
        if !goes_on {
            normal.push(c);
        } else if !in_number {
            normal.push('#');
        }
        in_number = goes_on;
    }
    normal
}

/// Without the remark behind it.
fn bare(command: &str) -> &str {
    command.split(" #").next().unwrap_or_default().trim()
}

#[test]
fn every_command_of_the_first_pages_does_what_they_print() {
    for page in PAGES {
        let mut desk = Desk::new();
        for step in steps(&read(page)) {
            let is_run =
                |command: &str| !NOT_RUN.iter().any(|(not_run, _)| *not_run == bare(command));
            if !matches!(&step, Step::Run { command, .. } if !is_run(command)) {
                desk.follow(page, &step);
            }
        }
        assert_eq!(desk.github.merged(), [7], "{page}: a cycle merges what is approved");
        assert_eq!(desk.shell.folder.file_name(), path("shop").file_name(), "{page}");
    }
}

#[test]
fn each_command_that_is_not_run_is_on_a_page() {
    let pages = PAGES.map(read);
    let steps: Vec<Step> = pages.iter().flat_map(|page| steps(page)).collect();
    let commands: BTreeSet<&str> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Run { command, .. } => Some(bare(command)),
            _ => None,
        })
        .collect();
    for (command, _) in NOT_RUN {
        assert!(commands.contains(command), "no page has `{command}`");
    }
}

#[test]
fn the_two_first_commands_are_printed_once() {
    let readme = read("README.md");
    for command in ["$ cargo run -p demo", "$ cargo test"] {
        assert_eq!(readme.matches(command).count(), 1, "{command}");
    }
}
