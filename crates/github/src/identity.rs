//! The account behind a token, and its permission in the repository: `doctor` compares those of
//! builders and reviewers.

use serde_json::json;

use super::repository::permission;
use super::request::shown;
use super::{Error, Github, documents};
use coordinator_core::pull::{Actor, ActorKind, Permission};

/// The account that a token acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub actor: Actor,
    /// `ReadOnly` also where the repository is hidden from it.
    pub permission: Permission,
}

impl Github {
    /// The account of this client's token. Costs one request.
    pub async fn account(&self) -> Result<Account, Error> {
        let repository = self.repository();
        let variables = json!({ "owner": repository.owner, "name": repository.name });
        let response =
            self.graphql("read the account of a token", documents::IDENTITY, &variables).await?;
        let login = response.data["viewer"]["login"].as_str().map(shown).unwrap_or_default();
        if login.is_empty() {
            return Err(Error::Failed("GitHub does not show the account of the token".to_owned()));
        }
        let kind = if login.ends_with("[bot]") { ActorKind::Bot } else { ActorKind::User };
        let node = &response.data["repository"];
        let permission = if node.is_null() {
            Permission::ReadOnly
        } else {
            permission(&node["viewerPermission"])
        };
        Ok(Account { actor: Actor::new(kind, &login), permission })
    }
}
