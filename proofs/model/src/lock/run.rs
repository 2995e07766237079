//! One cycle's coordinator and the session that it starts: processes that share one open lock file.

use super::design::{Design, Inherit};
use crate::planning::End;

/// How far the coordinator is with its slot: `start` of
/// `crates/platform-local/src/process/start.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coordinator {
    Waiting,
    /// It has a plan and opens the lock file next.
    Planned,
    /// The file is open; it tries the lock next.
    Opened,
    /// It has the lock; it checks next whether the file still has its name.
    Locked,
    /// It reads the history next.
    InPlace,
    /// The slot may be filled; it starts the shim next.
    Decided,
    /// It waits for the agent, and still has its copy of the lock.
    Launched,
    /// It has ended, or was killed at any step.
    Gone,
}

/// `crates/platform-local/src/process/shim.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shim {
    None,
    /// It checks whether its lock is the slot's.
    Checking,
    /// It writes `start.json` next.
    Recording,
    /// It starts the exec stage next.
    Spawning,
    /// It watches the agent.
    Keeping,
    /// The agent has ended; it ends what is left of the session next.
    Sweeping(End),
    /// It writes `exit.json` next.
    Writing(End),
    /// It exits next.
    Leaving,
    Gone,
}

/// The agent's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Agent {
    None,
    /// `session-exec`, which becomes the agent only while its shim lives.
    Stage,
    Runs,
    Gone,
}

/// A process that the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Child {
    None,
    /// It inherited the agent's descriptors, the lock among them.
    WithLock,
    /// It did not: the children of Node and Python do not.
    WithoutLock,
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    pub coordinator: Coordinator,
    pub shim: Shim,
    pub agent: Agent,
    pub child: Child,
    /// Which file is open; 0 is none.
    pub file: u8,
    /// The slot's newest record is this session's.
    pub is_recorded: bool,
}

impl Run {
    pub const WAITING: Self = Self {
        coordinator: Coordinator::Waiting,
        shim: Shim::None,
        agent: Agent::None,
        child: Child::None,
        file: 0,
        is_recorded: false,
    };

    pub fn has_shim(self) -> bool {
        !matches!(self.shim, Shim::None | Shim::Gone)
    }

    pub fn has_agent(self) -> bool {
        matches!(self.agent, Agent::Stage | Agent::Runs)
    }

    pub fn has_child(self) -> bool {
        matches!(self.child, Child::WithLock | Child::WithoutLock)
    }

    /// The agent's program runs, or what it started.
    pub fn is_live(self) -> bool {
        self.agent == Agent::Runs || self.has_child()
    }

    /// A look through all processes finds one that carries the session's name.
    pub fn has_processes(self) -> bool {
        self.has_agent() || self.has_child()
    }

    /// Whether some process keeps the lock on the run's file: the kernel frees it with the last of
    /// them.
    pub fn holds(self, design: Design) -> bool {
        let coordinator = match self.coordinator {
            Coordinator::Locked
            | Coordinator::InPlace
            | Coordinator::Decided
            | Coordinator::Launched => true,
            Coordinator::Waiting
            | Coordinator::Planned
            | Coordinator::Opened
            | Coordinator::Gone => false,
        };
        let agent = self.has_agent() || self.child == Child::WithLock;
        coordinator
            || match design.inherit {
                Inherit::Everyone => self.has_shim() || agent,
                Inherit::Shim => self.has_shim(),
                Inherit::NoProcess => false,
            }
    }

    /// A run of which nothing is left is like any other.
    pub fn settle(&mut self) {
        if self.has_shim() || self.has_processes() {
            return;
        }
        match self.coordinator {
            Coordinator::Gone => *self = Self { coordinator: Coordinator::Gone, ..Self::WAITING },
            Coordinator::Waiting | Coordinator::Planned => self.file = 0,
            Coordinator::Opened
            | Coordinator::Locked
            | Coordinator::InPlace
            | Coordinator::Decided
            | Coordinator::Launched => {}
        }
    }
}
