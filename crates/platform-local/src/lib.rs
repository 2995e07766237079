//! Sessions on this machine: [`process`] keeps them itself, [`exec`] leaves them to a plugin.

#![deny(unsafe_code)]

pub mod exec;
pub mod process;

mod lock;
mod pause;
mod secure_fs;

pub use secure_fs::read_regular;
