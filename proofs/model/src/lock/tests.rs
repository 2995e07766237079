//! The searches: shipped designs, variants that hold, and mutants.

use super::Lock;
use super::design::{Design, Inherit, Orphans, Place, Removal, Unlink};
use crate::check::{hold, prove, refute};

#[test]
fn the_slot_holds_for_five_cycles() {
    prove("local lock, 5 cycles", Lock::shipped(Design::shipped(5)));
}

#[test]
fn the_slot_holds_when_the_shim_unlinks_the_lock_file_and_each_process_checks_the_name() {
    let design = Design { unlink: Unlink::ByShim, ..Design::shipped(3) };
    hold("local lock, unlinked by its holder, name checked", Lock::mutant(design));
}

#[test]
fn the_lock_that_only_the_shim_holds_and_the_look_for_orphans_make_up_for_each_other() {
    let design = Design { inherit: Inherit::Shim, ..Design::shipped(3) };
    hold("local lock, agent does not inherit it, orphans looked for", Lock::mutant(design));
}

fn two_live(name: &str, design: Design) {
    refute(name, Lock::mutant(design));
}

#[test]
fn a_lock_that_no_process_inherits_leaves_two_live() {
    let design = Design { inherit: Inherit::NoProcess, ..Design::shipped(2) };
    two_live("lock given back before the session's end", design);
}

#[test]
fn a_lock_that_the_agent_does_not_inherit_leaves_two_live() {
    let design = Design { inherit: Inherit::Shim, orphans: Orphans::Ignored, ..Design::shipped(2) };
    two_live("agent does not inherit the lock", design);
}

#[test]
fn orphans_that_a_start_ignores_leave_two_live() {
    let design = Design { orphans: Orphans::Ignored, ..Design::shipped(2) };
    two_live("orphans not looked for", design);
}

#[test]
fn a_lock_file_that_its_holder_unlinks_leaves_two_live() {
    let design = Design { unlink: Unlink::ByShim, place: Place::Ignored, ..Design::shipped(3) };
    two_live("lock file unlinked by its holder, name not checked", design);
}

#[test]
fn a_lock_file_that_a_person_unlinks_leaves_two_live() {
    let design = Design { unlink: Unlink::ByPerson, ..Design::shipped(2) };
    two_live("a limit: lock file unlinked by a person", design);
}

#[test]
fn the_record_of_an_orphan_that_a_person_removes_leaves_two_live() {
    let design = Design { removal: Removal::OfOrphaned, ..Design::shipped(3) };
    two_live("a limit: records of an orphan removed by a person", design);
}
