//! The five steps of a cycle. None imports another; each decides in a pure function and acts below it.

pub mod inventory;
pub mod spawn;
pub mod merge;
pub mod health;
pub mod report;

/// What a panic says of itself.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
