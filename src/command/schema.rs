//! `coordinator schema`: the JSON schema of the roster.

use coordinator_roster::reference;

/// The schema as it is published in `roster.schema.json`.
pub fn run() -> String {
    format!("{:#}\n", reference::schema())
}
