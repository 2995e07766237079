//! FAULTS.md: the injected faults, how often, and the number of violations. `UPDATE_FAULTS=1`
//! writes it.

use std::path::Path;

use crate::table::Counts;

const HEAD: &str = "\
# Faults

The [simulation](proofs/simulation/README.md) runs whole cycles of the real program and injects the
faults below. A violation is a second agent in a slot, a live agent that was ended, a merge of an
unjudged commit, a pull request merged twice, a limit of the roster exceeded, or a false report.
`UPDATE_FAULTS=1 bash .ci/suites/simulation.sh` writes this page. Without the variable the suite
fails when a violation occurs, or when a row of this page is not tried any more.

Other tests of the same rules: a [model](proofs/model/README.md) searches every order of events in
small worlds, `cargo test --test it process_` uses real processes, signals and locks, and
`bash .ci/suites/kubernetes.sh` uses a real API server.

";

/// Writes the page, or checks that its rows are the faults that were tried.
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
        rows.iter().map(|[fault, place, ..]| format!("{fault} | {place}")).collect();
    let claimed: Vec<String> = claimed.collect();
    assert_eq!(claimed, tried, "FAULTS.md is old: UPDATE_FAULTS=1 bash .ci/suites/simulation.sh");
}

fn written(counts: &Counts, rows: &[[String; 3]]) -> String {
    let rows = rows.iter().map(|row| format!("| {} |\n", row.join(" | ")));
    let totals = counts.lines().into_iter().map(|line| format!("- {line}\n"));
    format!(
        "{HEAD}Violations: none.\n\n| Fault | Where | Times |\n|---|---|--:|\n{}\n\
         In these runs:\n\n{}",
        rows.collect::<String>(),
        totals.collect::<String>()
    )
}

fn first_two(line: &str) -> String {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    format!("{} | {}", cells[1], cells[2])
}
