//! One step of a coordinator, the platform or the adversary, and how it is printed.

use std::fmt;

use super::state::Dispatch;
use crate::planning::End;

/// The fate of a dispatch and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    ReplyLost,
    Late,
    Twice,
    Refused,
}

/// One step. `run` is a place in the list of runs that are not over, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Plan {
        cycle: u8,
        starts: bool,
        generation: u8,
    },
    Ask {
        cycle: u8,
        generation: u8,
    },
    Send {
        cycle: u8,
        generation: u8,
        fate: Fate,
    },
    Arrive(Dispatch),
    /// GitHub begins a run that waited.
    Begin {
        run: usize,
    },
    Admission {
        run: usize,
        goes: bool,
    },
    /// The job `admit` fails, which counts as a failed session.
    AdmissionFails {
        run: usize,
    },
    /// A runner takes the agent's job.
    Start {
        run: usize,
    },
    AgentEnds {
        run: usize,
        end: End,
    },
    /// A person cancels a run that waits, or it has waited for a day.
    Cancel {
        run: usize,
    },
    /// Time passes.
    RunExpires {
        run: usize,
    },
    /// Time passes for a dispatch that is on its way.
    LateExpires {
        late: usize,
    },
    /// Time passes: the backoff is over.
    BackoffEnds,
    /// A person or the retention removes the slot's records.
    Forget,
    /// A person pauses the fleet; the second time, a long time has passed.
    Pause,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan { cycle, starts: true, generation } => {
                write!(f, "C{cycle} plans a start of g{generation}, whatever its list showed")
            }
            Self::Plan { cycle, starts: false, .. } => write!(f, "C{cycle} plans nothing"),
            Self::Ask { cycle, .. } => write!(f, "C{cycle} looks whether the slot's group is free"),
            Self::Send { cycle, generation, fate } => {
                write!(f, "C{cycle} dispatches g{generation}: {}", fate.words())
            }
            Self::Arrive(dispatch) => {
                write!(f, "a dispatch of g{} arrives late", dispatch.generation)
            }
            Self::Begin { run } => write!(f, "GitHub begins live run {run}"),
            Self::Admission { run, goes: true } => {
                write!(f, "run {run} is admitted: its session begins")
            }
            Self::Admission { run, goes: false } => write!(f, "run {run} is not admitted"),
            Self::Start { run } => write!(f, "a runner takes the agent's job of run {run}"),
            Self::AdmissionFails { run } => write!(f, "the job `admit` of run {run} fails"),
            Self::AgentEnds { run, end: End::Well } => {
                write!(f, "the agent of run {run} ends well")
            }
            Self::AgentEnds { run, end: End::Failed } => write!(f, "the agent of run {run} fails"),
            Self::Cancel { run } => write!(f, "run {run}, which waits, is cancelled"),
            Self::RunExpires { run } => write!(f, "time passes: the ticket of run {run} expires"),
            Self::LateExpires { .. } => {
                write!(f, "time passes: the ticket of a late dispatch expires")
            }
            Self::BackoffEnds => write!(f, "time passes: the backoff is over"),
            Self::Forget => write!(f, "a person removes the slot's records"),
            Self::Pause => {
                write!(f, "the fleet is paused, or has been for longer than a ticket lives")
            }
        }
    }
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ReplyLost => "applied, and the answer is lost",
            Self::Late => "no answer, and not applied yet",
            Self::Twice => "answered, and a copy is still on its way",
            Self::Refused => "refused",
        }
    }
}
