//! One step of a coordinator, the platform or the adversary, and how it is printed.

use std::fmt;

use super::run::{Child, Coordinator, Shim};
use crate::planning::End;

/// One step. `run` numbers a cycle, and the session that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The cycle plans, by any list.
    Plan {
        run: u8,
        starts: bool,
    },
    /// The coordinator's next step.
    Coordinator {
        run: u8,
        at: Coordinator,
        may_start: bool,
    },
    /// The coordinator is killed, or its cycle ends.
    CoordinatorEnds {
        run: u8,
    },
    /// The shim's next step.
    Shim {
        run: u8,
        at: Shim,
    },
    /// A person, or the kernel, kills the shim; the kernel will kill its agent.
    ShimKilled {
        run: u8,
    },
    /// The exec stage becomes the agent, or finds that its shim is gone.
    Stage {
        run: u8,
    },
    AgentEnds {
        run: u8,
        end: End,
    },
    /// The kernel gets to the agent of a killed shim.
    AgentKilled {
        run: u8,
    },
    AgentForks {
        run: u8,
        child: Child,
    },
    ChildEnds {
        run: u8,
    },
    /// A person.
    RemoveRecord,
    /// A person.
    Unlink,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan { run, starts: true } => {
                write!(f, "C{run} plans a start, whatever its list showed")
            }
            Self::Plan { run, starts: false } => write!(f, "C{run} plans nothing"),
            Self::Coordinator { run, at: Coordinator::InPlace, may_start: false } => {
                write!(f, "C{run} reads the history and finds that the slot backs off")
            }
            Self::Coordinator { run, at, .. } => write!(f, "C{run} {}", coordinator(*at)),
            Self::CoordinatorEnds { run } => write!(f, "C{run}'s coordinator ends, or is killed"),
            Self::Shim { run, at } => write!(f, "C{run}'s shim {}", shim(*at)),
            Self::ShimKilled { run } => write!(f, "C{run}'s shim is killed"),
            Self::Stage { run } => {
                write!(f, "C{run}'s exec stage becomes the agent if its shim lives")
            }
            Self::AgentEnds { run, end: End::Well } => write!(f, "C{run}'s agent ends well"),
            Self::AgentEnds { run, end: End::Failed } => write!(f, "C{run}'s agent fails"),
            Self::AgentKilled { run } => {
                write!(f, "C{run}'s agent, whose shim is gone, is killed by the kernel")
            }
            Self::AgentForks { run, child: Child::WithLock } => {
                write!(f, "C{run}'s agent starts a child, which inherits the lock")
            }
            Self::AgentForks { run, .. } => {
                write!(f, "C{run}'s agent starts a child, which does not inherit the lock")
            }
            Self::ChildEnds { run } => write!(f, "C{run}'s child ends"),
            Self::RemoveRecord => write!(f, "a person removes the slot's records"),
            Self::Unlink => write!(f, "a person unlinks the lock file"),
        }
    }
}

fn coordinator(at: Coordinator) -> &'static str {
    match at {
        Coordinator::Planned => "opens the lock file",
        Coordinator::Opened => "tries the lock",
        Coordinator::Locked => "checks whether the file still has its name",
        Coordinator::InPlace => "reads the history and decides",
        Coordinator::Decided => "starts the shim",
        Coordinator::Waiting | Coordinator::Launched | Coordinator::Gone => "waits",
    }
}

fn shim(at: Shim) -> &'static str {
    match at {
        Shim::Checking => "checks whether its lock is the slot's",
        Shim::Recording => "writes start.json",
        Shim::Spawning => "starts the exec stage",
        Shim::Sweeping(_) => "ends what is left of the session",
        Shim::Writing(_) => "writes exit.json",
        Shim::Leaving => "exits",
        Shim::None | Shim::Keeping | Shim::Gone => "waits",
    }
}
