//! The session that a plugin is to start. Pure.

use std::time::SystemTime;

use super::Settings;
use super::protocol::{SlotKey, Spawn, Spec};
use super::start::NewSession;
use coordinator_core::environment::Identity;
use coordinator_core::fleet::{FleetName, Seat, Slot, Want};
use coordinator_core::placeholders::{command, takes_prompt};
use coordinator_core::platform::CycleId;

/// The request for one session.
pub(super) fn request<'a>(
    settings: &'a Settings,
    want: &'a Want,
    new: &'a NewSession,
    ticket: Ticket<'a>,
) -> Spawn<'a> {
    let (fleet, slot) = (&settings.fleet, &want.slot);
    Spawn {
        slot: SlotKey::new(fleet, slot, want.item.as_ref()),
        generation: new.generation,
        expected_predecessor: new.predecessor.as_deref(),
        follows: new.follows,
        item: want.item_run(),
        idempotency_key: idempotency_key(fleet, slot, new.generation),
        cycle: &ticket.cycle.0,
        expires_at: ticket.expires_at,
        spec: spec(settings, want, new, ticket.cycle),
        dry_run: ticket.dry_run,
    }
}

fn idempotency_key(fleet: &FleetName, slot: &Slot, generation: u64) -> String {
    let group = &slot.group;
    match &slot.seat {
        Seat::Index(index) => format!("{fleet}/{group}/{index}/{generation}"),
        seat @ Seat::Item(_) => format!("{fleet}/{group}/{seat}/{generation}"),
    }
}

/// Who asks, until when, and in earnest or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket<'a> {
    pub(super) cycle: &'a CycleId,
    pub(super) expires_at: SystemTime,
    pub(super) dry_run: bool,
}

fn spec<'a>(settings: &'a Settings, want: &'a Want, new: &NewSession, cycle: &CycleId) -> Spec<'a> {
    let (spec, repository) = (&want.spec, settings.repository.as_deref());
    let session = want.slot.session_name(&settings.fleet);
    let identity = Identity {
        fleet: &settings.fleet,
        slot: &want.slot,
        role: &want.role,
        item: want.item.as_ref(),
        generation: new.generation,
        cycle: &cycle.0,
        prompt: &spec.prompt,
        repository,
    };
    let role = spec.env.iter().map(|(name, value)| (name.clone(), value.clone()));
    Spec {
        session,
        role: want.role.as_str(),
        command: command(want, &settings.fleet),
        stdin: (!takes_prompt(&spec.command)).then_some(spec.prompt.as_str()),
        prompt: &spec.prompt,
        env: role.chain(identity.variables()).collect(),
        time_limit_s: spec.time_limit.as_secs().max(1),
        repository,
    }
}
