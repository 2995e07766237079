//! Values that `coordinator init` writes as examples and a person must replace.

use std::collections::BTreeSet;

use coordinator_core::pull::Repository;

use crate::Roster;

/// An example value that is still in the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where: "`name` in `[repository]`".
    pub key: String,
    pub value: String,
}

const REPOSITORY: &str = "owner/repo";
const IMAGES: &str = "images.example.com/";
const HOST: &str = "app.example.com";

/// The example values of `init` that the roster still has.
pub fn leftover_placeholders(roster: &Roster) -> Vec<Leftover> {
    let mut found = Vec::new();
    let mut note = |is_left: bool, key: String, value: &str| {
        let value = value.to_owned();
        found.extend(is_left.then_some(Leftover { key, value }));
    };
    let containers = roster.roles.iter().filter_map(|role| role.spec.container.as_ref());
    let images: BTreeSet<&str> = containers.map(|container| container.image.as_str()).collect();
    for image in images {
        note(image.starts_with(IMAGES), "`image` of the agents".to_owned(), image);
    }
    if let Some(name) = roster.repository.as_ref().map(Repository::full_name) {
        note(name == REPOSITORY, "`name` in [repository]".to_owned(), &name);
    }
    for endpoint in &roster.health {
        let host = endpoint.url.split("://").nth(1).unwrap_or_default();
        let host = host.split(['/', ':']).next().unwrap_or_default();
        note(host == HOST, format!("`url` of {} in [[health]]", endpoint.name), &endpoint.url);
    }
    found
}
