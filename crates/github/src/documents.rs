//! The GraphQL documents, assembled from the `.graphql` files beside this one.

use std::fmt::Write;

const CANDIDATES: &str = include_str!("candidates.graphql");
const RECHECK_PULL: &str = include_str!("recheck_pull.graphql");
const PULL: &str = include_str!("pull.graphql");

/// What `doctor` asks; variables `owner` and `name`.
pub const DOCTOR: &str = include_str!("doctor.graphql");

/// Numbers and titles of open pull requests; variables `owner`, `name`, `first`, `after`.
pub const NUMBERS: &str = include_str!("numbers.graphql");

/// The jobs of workflow runs; variable `ids`, at most 100 node ids.
pub const RUN_JOBS: &str = include_str!("run_jobs.graphql");

/// A page of open pull requests; variables `owner`, `name`, `first`, `after`, and per base `base_0`, `base_1`, ... its
/// full name (`refs/heads/main`), which comes back as `base_0`, `base_1`, ... of the repository.
pub fn candidates(bases: usize) -> String {
    let mut variables = String::new();
    let mut aliases = String::new();
    for index in 0..bases {
        // Writing to a String cannot fail.
        let _ = writeln!(variables, "$base_{index}: String!");
        let _ = writeln!(aliases, "base_{index}: ref(qualifiedName: $base_{index}) {{ ...Base }}");
    }
    let document = CANDIDATES.replace("#base-variables", &variables).replace("#bases", &aliases);
    format!("{document}\n{PULL}")
}

/// Pull requests read again, with their check rows; variables per pull request `id_0`, `after_0` (where its rows go
/// on, null at first), ...; the answers come back as `pull_0`, ...
pub fn recheck(pulls: usize) -> String {
    let mut variables = String::new();
    let mut selections = String::new();
    for index in 0..pulls {
        let _ = write!(variables, "$id_{index}: ID! $after_{index}: String ");
        selections.push_str(&RECHECK_PULL.replace("_N", &format!("_{index}")));
    }
    format!(
        "query Recheck({variables}) {{\n  rateLimit {{ cost remaining resetAt }}\n{selections}}}\n\n{PULL}"
    )
}
