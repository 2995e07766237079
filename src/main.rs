//! Parses the command line, starts the log, runs, prints, exits.

fn main() {}
