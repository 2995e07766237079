//! `coordinator prompt`: what a session of a role is given to read.

use super::{Finished, slots};
use crate::cli::Prompt;
use coordinator_core::fleet::{Role, Slot};
use coordinator_core::placeholders::{Values, filled, takes_prompt};
use coordinator_core::secrets::Secrets;
use coordinator_roster::Roster;

/// Prints the prompt of one slot: the arguments of the command that carry it, else what the agent
/// reads on standard input.
pub fn run(options: &Prompt, roster: &Roster, secrets: &Secrets) -> anyhow::Result<Finished> {
    let role = slots::role(roster, &options.role)?;
    let prompt = prompt(roster, role, &Slot::of_role(&role.key, options.slot));
    let end = if prompt.ends_with('\n') { "" } else { "\n" };
    Ok(Finished::ok(secrets.mask(&(prompt + end)).into_owned()))
}

fn prompt(roster: &Roster, role: &Role, slot: &Slot) -> String {
    let spec = &role.spec;
    let carries = |argument: &&String| takes_prompt(std::slice::from_ref(argument));
    let arguments: Vec<String> = spec.command.iter().filter(carries).cloned().collect();
    if arguments.is_empty() {
        return spec.prompt.clone();
    }
    let values = Values {
        fleet: &roster.fleet,
        slot,
        role: &role.key,
        item: "",
        prompt: &spec.prompt,
        brief: &spec.brief,
    };
    filled(&arguments, values).join("\n")
}
