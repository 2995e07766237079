//! The five steps of a cycle. None imports another; each decides in a pure function and acts below it.

pub mod inventory;
pub mod spawn;
pub mod merge;
pub mod health;
pub mod report;
