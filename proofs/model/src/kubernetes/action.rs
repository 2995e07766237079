//! One step of a coordinator, the platform or the adversary, and how it is printed.

use std::fmt;

use super::cluster::{GONE, Write};
use super::cycle::{Fate, Look};
use crate::planning::{Choice, End, MAX_SLOTS, Seen};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The list that the cycle will get is made now.
    Promise { cycle: u8 },
    /// Lists, which may fail, and plans.
    Begin { cycle: u8, looks: Option<[Look; MAX_SLOTS]>, choice: Choice },
    /// Looks up one slot.
    LookUp { cycle: u8, slot: u8, may_start: bool },
    /// Looks it up after a deletion without an answer.
    LookAgain { cycle: u8, slot: u8 },
    /// Writes.
    Send { cycle: u8, write: Write, fate: Fate },
    /// A late write, or the second copy of one.
    Arrive(Write),
    /// A session ends, by itself or at its time limit.
    End { slot: u8, job: usize, end: End },
    /// The process of a session that was called over exits.
    Exit { slot: u8, job: usize },
    /// A TTL, a collector or a person removes a record.
    Remove { slot: u8, job: usize, fate: Fate },
    /// The finalizer of a deleted Job is done.
    Release { slot: u8, job: usize },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise { cycle } => {
                write!(f, "the list that C{cycle} will get is made, before C{cycle} begins")
            }
            Self::Begin { cycle, looks, choice } => {
                match looks {
                    None => write!(f, "C{cycle}'s list fails; it")?,
                    Some(looks) => write!(f, "C{cycle} lists {{{}}} and", shown(*looks))?,
                }
                let starts = (0u8..).zip(choice.starts).filter(|(_, starts)| *starts);
                let starts: Vec<String> = starts.map(|(slot, _)| format!("s{slot}")).collect();
                if starts.is_empty() {
                    write!(f, " plans nothing")
                } else {
                    write!(f, " plans a start of {}", starts.join(" and "))
                }
            }
            Self::LookUp { cycle, slot, may_start: true } => write!(f, "C{cycle} looks up s{slot}"),
            Self::LookUp { cycle, slot, may_start: false } => {
                write!(f, "C{cycle} looks up s{slot}, which backs off")
            }
            Self::LookAgain { cycle, slot } => {
                write!(f, "C{cycle} looks up s{slot}, having heard nothing")
            }
            Self::Send { cycle, write, fate } => {
                write!(f, "C{cycle} sends {write}: {}", fate.words())
            }
            Self::Arrive(write) => write!(f, "{write} arrives late"),
            Self::End { slot, end: End::Well, .. } => write!(f, "the session in s{slot} ends well"),
            Self::End { slot, end: End::Failed, .. } => write!(f, "the session in s{slot} fails"),
            Self::Exit { slot, .. } => write!(f, "the process of the session in s{slot} is gone"),
            Self::Remove { slot, job, fate: Fate::Held } => {
                write!(f, "record {job} of s{slot} is deleted, and a finalizer keeps it")
            }
            Self::Remove { slot, job, .. } => {
                write!(
                    f,
                    "TTL, collector or person: record {job} of s{slot} (0 is the oldest) is removed"
                )
            }
            Self::Release { slot, .. } => {
                write!(f, "the finalizer of the record in s{slot} is done")
            }
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { slot, name: 0 } => write!(f, "CREATE s{slot}"),
            Self::Create { slot, name } => write!(f, "CREATE s{slot}-g{name}"),
            Self::Delete { slot, uid: GONE } => {
                write!(f, "DELETE s{slot} (meant: a Job that is gone)")
            }
            Self::Delete { slot, .. } => write!(f, "DELETE s{slot} (meant: the Job that is there)"),
            Self::Record { slot, .. } => write!(f, "the ledger's write for s{slot}"),
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
            Self::Held => "answered, and a finalizer keeps the Job",
            Self::Refused => "refused",
        }
    }
}

fn shown(looks: [Look; MAX_SLOTS]) -> String {
    let slots = (0..).zip(looks).filter_map(|(slot, look): (u8, _)| {
        let word = match look.seen() {
            Seen::Nothing => return None,
            Seen::Live => "live",
            Seen::Ended(_) => "ended",
        };
        Some(match look.greatest {
            0 => format!("s{slot} {word}"),
            greatest => format!("s{slot} {word}, g{greatest}"),
        })
    });
    slots.collect::<Vec<_>>().join(", ")
}
