//! One step of a cycle, the platform or a person, and how it reads.

use std::fmt;

use super::Platform;
use super::source::{Decision, Record};
use crate::planning::End;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<P: Platform> {
    /// Lists. `seen` is what the last of its lists shows.
    List {
        cycle: u8,
        seen: Option<Record>,
    },
    ListFails {
        cycle: u8,
    },
    /// Reads the source, before the list.
    ReadFirst {
        cycle: u8,
    },
    /// Reads the source, unless that was done before, and plans. `task` is the start that it leads
    /// to.
    Plan {
        cycle: u8,
        decision: Decision,
        task: Option<P::Task>,
    },
    /// The next step of a start.
    Start {
        cycle: u8,
        step: P::Step,
    },
    /// Writes the effect; `again`: a copy is still on its way.
    Write {
        cycle: u8,
        again: bool,
    },
    /// The platform, or time.
    Platform(P::Step),
    /// A person opens the item anew, in any state.
    Open,
}

impl<P: Platform> fmt::Display for Action<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { cycle, seen: None } => {
                write!(f, "C{cycle} makes the first of its two lists")
            }
            Self::List { cycle, seen: Some(seen) } => write!(f, "C{cycle} lists {{{seen}}}"),
            Self::ListFails { cycle } => write!(f, "C{cycle}'s list fails; it starts nothing"),
            Self::ReadFirst { cycle } => write!(f, "C{cycle} reads the source, before its list"),
            Self::Plan { cycle, decision: Decision::Start { attempt }, task: Some(_) } => {
                write!(f, "C{cycle} reads the source and plans attempt {attempt}")
            }
            Self::Plan { cycle, decision: Decision::Start { .. }, task: None } => {
                write!(f, "C{cycle} reads the source and waits: a start may be under way")
            }
            Self::Plan { cycle, decision: Decision::Escalate, .. } => {
                write!(f, "C{cycle} reads the source and decides: the attempts are used up")
            }
            Self::Plan { cycle, decision: Decision::Nothing, .. } => {
                write!(f, "C{cycle} reads the source and plans nothing")
            }
            Self::Start { cycle, step } => write!(f, "C{cycle}: {step}"),
            Self::Write { cycle, again: false } => {
                write!(f, "C{cycle} writes that a person must look")
            }
            Self::Write { cycle, again: true } => {
                write!(f, "C{cycle} writes that a person must look, and a copy is still on its way")
            }
            Self::Platform(step) => write!(f, "{step}"),
            Self::Open => write!(f, "a person opens the item anew"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_live, last, newest } = self;
        match (is_live, last) {
            (true, _) => write!(f, "live"),
            (false, None) => write!(f, "no session"),
            (false, Some(last)) => {
                let end = if last.end == End::Well { "ended well" } else { "failed" };
                write!(f, "g{} {end} as attempt {}", last.generation, last.attempt)
            }
        }?;
        write!(f, ", newest generation {newest}")
    }
}
