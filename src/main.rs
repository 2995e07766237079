//! Parses the command line, runs, prints, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    coordinator::run()
}
