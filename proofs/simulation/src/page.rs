//! FAULTS.md: what was tried, how often, and what it cost in all. `UPDATE_FAULTS=1` writes it.

use std::path::Path;

use crate::table::Counts;

const HEAD: &str = "\
# Faults

What was done to whole cycles of the real program, by the [simulation](proofs/simulation/README.md), and what was lost by it. A
loss is a second agent in a slot, a live agent ended, a merge of what was not judged, a pull request merged twice, a limit of the roster
exceeded, or a report that says what is not so. `UPDATE_FAULTS=1 bash .ci/suites/simulation.sh` writes this page; without the variable
the suite fails when a row of it is not tried any more, or anything is lost.

The orders in which all this can happen are searched [exhaustively](proofs/model/README.md) in small worlds. With real processes,
signals and locks: `cargo test --test it process_`. With a real API server: `bash .ci/suites/kubernetes.sh`.

";

/// Writes the page, or sees that it still says what is tried.
pub(crate) fn check(counts: &Counts) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../FAULTS.md"));
    let rows = counts.rows();
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        std::fs::write(path, written(counts, &rows)).expect("the page can be written");
        return;
    }
    let page = std::fs::read_to_string(path).expect("the page is there");
    let claimed = page.lines().filter(|line| line.starts_with("| ")).skip(1).map(first_two);
    let tried: Vec<String> =
        rows.iter().map(|[fault, how, ..]| format!("{fault} | {how}")).collect();
    let claimed: Vec<String> = claimed.collect();
    assert_eq!(claimed, tried, "FAULTS.md is old: UPDATE_FAULTS=1 bash .ci/suites/simulation.sh");
}

fn written(counts: &Counts, rows: &[[String; 3]]) -> String {
    let rows = rows.iter().map(|row| format!("| {} |\n", row.join(" | ")));
    let totals = counts.lines().into_iter().map(|line| format!("- {line}\n"));
    format!(
        "{HEAD}Lost in all of it: nothing.\n\n| Fault | How | Times |\n|---|---|--:|\n{}\nAnd in the course of it:\n\n{}",
        rows.collect::<String>(),
        totals.collect::<String>()
    )
}

fn first_two(line: &str) -> String {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    format!("{} | {}", cells[1], cells[2])
}
