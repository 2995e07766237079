//! The command line as Markdown.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// Every command that people run, then the options of all commands.
pub(super) fn markdown(mut cli: Command) -> String {
    cli.build();
    let mut page = String::new();
    for command in cli.get_subcommands().filter(|command| is_shown(command)) {
        write_command(&mut page, command);
    }
    page.push_str("## Options of every command\n\n");
    write_options(&mut page, cli.get_arguments().filter(|arg| arg.is_global_set()));
    page
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn write_command(page: &mut String, command: &Command) {
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = command.get_name();
    let operands = command.get_positionals().map(|arg| format!(" {arg}"));
    let _ = writeln!(page, "## `coordinator {name}`\n\n{}.\n", about.trim_end_matches('.'));
    let _ = writeln!(
        page,
        "```text\ncoordinator {name}{}{}\n```\n",
        if command.get_arguments().any(|arg| is_own(arg) && !arg.is_positional()) {
            " [OPTIONS]"
        } else {
            ""
        },
        operands.collect::<String>()
    );
    write_options(page, command.get_arguments().filter(|arg| is_own(arg)));
}

fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set()
        && !arg.is_hide_set()
        && !["help", "version"].contains(&arg.get_id().as_str())
}

fn write_options<'a>(page: &mut String, options: impl Iterator<Item = &'a Arg>) {
    let rows: Vec<_> = options.map(row).collect();
    if !rows.is_empty() {
        let _ =
            writeln!(page, "| Option | Meaning | Default |\n|---|---|---|\n{}\n", rows.join("\n"));
    }
}

fn row(arg: &Arg) -> String {
    let mut meaning = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
    let words: Vec<_> =
        arg.get_possible_values().iter().map(|word| format!("`{}`", word.get_name())).collect();
    if arg.get_action().takes_values() && !words.is_empty() {
        let meaning = meaning.get_or_insert_default();
        let _ = write!(meaning, ": {}", words.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let meaning = meaning.get_or_insert_default();
        let _ = write!(meaning, "; else the variable `{}`", variable.display());
    }
    let meaning = meaning.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let default = arg.get_default_values().first().map(|value| format!("`{}`", value.display()));
    let default = default.filter(|_| arg.get_action().takes_values()).unwrap_or_default();
    format!("| {} | {} | {default} |", spelling(arg), meaning.replace('|', "\\|"))
}

/// `-f`, `--follow`, `--only STEP`.
fn spelling(arg: &Arg) -> String {
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = value.and_then(|names| names.first());
    let Some(long) = arg.get_long() else {
        return format!("`{}`", value.map_or(arg.get_id().as_str(), |name| name.as_str()));
    };
    let value = value.map(|name| format!(" {name}")).unwrap_or_default();
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    format!("{short}`--{long}{value}`")
}
