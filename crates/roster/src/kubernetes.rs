//! `[platform.kubernetes]` and `[role.kubernetes]`: the settings of the Kubernetes platform.

mod credentials;
mod ownership;
pub(super) mod settings;
mod template;
