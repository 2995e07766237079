//! Parses the command line, runs, prints, exits.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    coordinator::command::main(&coordinator::cli::Cli::parse())
}
