//! Faults between the coordinator and the cluster, by kind of request.

use crate::fault::Fault;
use crate::server::{Gate, Reply};

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// The list of Jobs, or its first page.
    ListJobs,
    /// A further page of Jobs.
    MoreJobs,
    /// The list of pods, or its first page.
    ListPods,
    /// A further page of pods.
    MorePods,
    /// A page of events.
    ListEvents,
    /// One Job.
    Get,
    /// A Job is made.
    Create,
    /// A Job is removed.
    Delete,
    /// A pod's log.
    Log,
    /// The list of the ledger's `ConfigMap`s.
    ReadLedger,
    /// A `ConfigMap` is made or replaced.
    WriteLedger,
    /// A `ConfigMap` is removed.
    DropLedger,
    /// The list of the registers of work items, or the look at one.
    ListRegisters,
    /// A register is made or replaced.
    WriteRegister,
    /// A register is removed.
    DropRegister,
    /// A Job is changed in place.
    Patch,
    /// Anything else.
    Other,
}

/// The requests that get a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Any,
    /// All of this kind.
    Of(Call),
    /// Requests that name this object.
    At(Call, String),
}

impl From<Call> for Route {
    fn from(call: Call) -> Self {
        Self::Of(call)
    }
}

impl From<(Call, &str)> for Route {
    fn from((call, name): (Call, &str)) -> Self {
        Self::At(call, name.to_owned())
    }
}

/// The fault of one request.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// A fault that any server has.
    Wire(Fault),
    /// Answered at once with 504, and carried out when [`super::Kubernetes::land`] is called.
    Late,
    /// It arrives twice, and the second answer is the one that comes back.
    Twice,
    /// Carried out at once, and answered when the gate opens.
    Held(Gate),
    /// A list shows the state at the last [`super::cluster::Cluster::remember`].
    Stale,
    /// A further page has expired.
    Expired,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Wire(fault)
    }
}

/// This answer, and nothing is carried out.
impl From<Reply> for Trouble {
    fn from(reply: Reply) -> Self {
        Self::Wire(Fault::reply(reply))
    }
}
