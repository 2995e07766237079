//! The roster's parser.

use super::chance::Chance;
use super::stage::{furnish, load};
use super::{Verdict, shown};

/// One key of every kind.
const ROSTER: &str = r#"fleet = "demo"
deadline = "200s"
[platform]
kind = "kubernetes"
max_running = 3
[platform.kubernetes]
image = "example.com/agent:1"
namespace = "agents"
node_selector = { a = "b" }
[defaults]
command = ["agent", "-p", "{prompt}"]
time_limit = "2h"
min_free = "1GiB"
env = { A = "b" }
[[role]]
key = "builder"
name = "Builder"
count = 3
department = "Engineering"
mode = "task-driven"
[repository]
name = "demo/app"
api_url = "https://api.example.com"
[merge]
required_checks = ["build", { name = "lint", app = "ci" }]
ignored_checks = ["docs/*"]
block_title = '(?i)^wip'
settle = "60s"
[[health]]
name = "production"
url = "https://app.example.com/healthz"
expect = [200]
"#;

/// Parts of a roster's lines.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "{",
    "}",
    "[[",
    "\"",
    "'''",
    "\"\"\"",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\u{feff}",
    "\\u001b",
    "\\U00110000",
    "1e999",
    "99999999999999999999",
    "-1",
    "1979-05-27T07:32:00Z",
    "true",
    "(((((",
    "${HOME}",
    "../../etc/passwd",
];

/// Loads it.
pub(crate) fn roster(bytes: &[u8]) -> Verdict {
    let chance = &mut Chance::of(bytes);
    let mut lines: Vec<String> = ROSTER.lines().map(str::to_owned).collect();
    for _ in 0..chance.below(5) {
        let at = chance.below(lines.len());
        damage(chance, &mut lines, at);
    }
    let mut text = lines.join("\n").into_bytes();
    if chance.below(8) == 7 {
        let at = chance.below(256) * text.len() / 256;
        text[at] = u8::try_from(chance.below(256)).unwrap_or_default();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    furnish(folder.path(), &text);
    let loaded = load(folder.path());
    if let Err(told) = &loaded {
        shown::is_tame(told);
        assert!(told.ends_with(" nothing was changed\n"), "{told}");
    }
    Verdict::of(&loaded)
}

fn damage(chance: &mut Chance, lines: &mut Vec<String>, at: usize) {
    let (key, value) = lines[at].split_once(" = ").unwrap_or((&lines[at], ""));
    let (key, value) = (key.to_owned(), value.to_owned());
    lines[at] = match chance.below(10) {
        0 => format!("{key} = {}{value}", chance.one_of(&PIECES)),
        1 => format!("{key} = {value}{}", chance.one_of(&PIECES)),
        2 => format!("{key} = {}", chance.one_of(&PIECES)),
        3 => format!("{key} = {}{}", "[".repeat(3000), "]".repeat(3000)),
        4 => format!("{key} = {}1{}", "{a=".repeat(3000), "}".repeat(3000)),
        5 => format!("{key} = \"{}\"", chance.text().replace(['"', '\\', '\n', '\r'], "")),
        6 => format!("{} = {value}", chance.text()),
        7 => {
            let copy = lines[at].clone();
            lines.push(copy);
            return;
        }
        8 => format!("[{}]", "a.".repeat(2000)),
        _ => {
            lines.remove(at);
            return;
        }
    };
}
