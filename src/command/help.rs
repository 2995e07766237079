//! `coordinator help` and `coordinator man`.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use clap_mangen::Man;

use super::Refused;
use crate::cli;
use coordinator_core::section::nearest;

/// The help of the program, of one command, or of `all` commands.
pub fn help(command: Option<&str>, all: bool) -> anyhow::Result<String> {
    match command {
        _ if all => Ok(everything()),
        None => Ok(cli::command().render_help().to_string()),
        Some(name) => Ok(find(cli::command(), name)?.render_help().to_string()),
    }
}

/// The manual page of the program or of one command.
pub fn man(command: Option<&str>) -> anyhow::Result<String> {
    let page = match command {
        None => cli::without_notes(),
        Some(name) => find(cli::without_notes(), name)?,
    };
    let mut roff = Vec::new();
    Man::new(page).render(&mut roff).context("write the manual page")?;
    String::from_utf8(roff).context("write the manual page")
}

fn everything() -> String {
    let mut root = cli::without_notes();
    root.build();
    let mut text = root.render_help().to_string();
    for command in root.get_subcommands_mut() {
        let help = std::mem::take(command).render_help();
        let _ = write!(text, "\n\n{help}");
    }
    text
}

fn find(mut root: clap::Command, name: &str) -> anyhow::Result<clap::Command> {
    root.build();
    if let Some(command) = root.find_subcommand(name) {
        return Ok(command.clone());
    }
    let names = root.get_subcommands().map(clap::Command::get_name);
    let near = nearest(names, name).map_or_else(
        || "`coordinator --help` lists the commands".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    bail!(Refused::Usage(format!("no command named `{name}`; {near}")))
}
