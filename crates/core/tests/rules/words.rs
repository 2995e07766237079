//! The words of reports and records: each is the name of what it stands for.

use std::collections::BTreeSet;
use std::fmt::Debug;

use coordinator_core::finding::Grade;
use coordinator_core::fleet::{HoldReason, Mode, Outcome, State, StuckReason};
use coordinator_core::merge::reason::Reason;
use coordinator_core::report::{
    CertificateFault, HealthVerdict, Interrupt, SourceOutcome, Status, StepOutcome,
};
use coordinator_core::source::{EffectOutcome, WaitReason};

/// Hyphens, underscores and letter case aside.
fn assert_names<T: Debug, const N: usize>(variants: [T; N], word: impl Fn(&T) -> &'static str) {
    for variant in variants {
        let name = format!("{variant:?}");
        let name = name.split('(').next().unwrap_or_default();
        assert!(
            word(&variant).replace(['-', '_'], "").eq_ignore_ascii_case(name),
            "{}",
            word(&variant)
        );
    }
}

#[test]
fn every_word_is_the_name_of_what_it_stands_for() {
    assert_names([State::Starting, State::Running, State::Finished], |it| it.word());
    assert_names([Outcome::Succeeded, Outcome::TimedOut, Outcome::Lost], |it| it.word());
    assert_names(HoldReason::ALL, |it| it.word());
    assert_names(StuckReason::ALL, |it| it.word());
    assert_names(Mode::ALL, |it| it.word());
    assert_names([Reason::NotOpen, Reason::CiFailed, Reason::MergeOutcomeUnknown], |it| it.word());
    assert_names([Interrupt::Sigint, Interrupt::Sigterm], |it| it.word());
    assert_names([Status::Healthy, Status::Degraded, Status::Broken], |it| it.word());
    assert_names([StepOutcome::Ok, StepOutcome::Failed(String::new())], StepOutcome::word);
    assert_names([SourceOutcome::Ok, SourceOutcome::Partial(String::new())], SourceOutcome::word);
    assert_names([HealthVerdict::Up, HealthVerdict::PotentialOutage], |it| it.word());
    assert_names([Grade::Ok, Grade::Warn, Grade::Fail], |it| it.word());
    assert_names([EffectOutcome::Written, EffectOutcome::Already], |it| it.word());
    assert_names([WaitReason::UnknownBlocker, WaitReason::NeedsHuman], |it| it.word());
}

#[test]
fn an_outcome_is_read_back_from_its_word() {
    for outcome in [
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Lost,
        Outcome::Stopped,
        Outcome::Idle,
    ] {
        assert_eq!(Outcome::from_word(outcome.word()), Some(outcome));
    }
    assert_eq!(Outcome::from_word(""), None);
}

#[test]
fn a_person_looks_at_a_failed_merge_call_and_reviews_what_waits_for_a_review() {
    for (reason, is_failure, waits) in [
        (Reason::Forbidden, true, false),
        (Reason::MergeOutcomeUnknown, true, false),
        (Reason::NotApproved, false, true),
        (Reason::StaleApproval, false, true),
        (Reason::CiPending, false, false),
    ] {
        assert_eq!(
            (reason.is_failure(), reason.waits_for_review()),
            (is_failure, waits),
            "{reason:?}"
        );
    }
}

#[test]
fn only_what_failed_has_an_error() {
    let failed = StepOutcome::Failed("no answer".to_owned());
    assert_eq!((failed.error(), StepOutcome::Skipped.error()), (Some("no answer"), None));
    for read in [
        SourceOutcome::Partial("no answer".to_owned()),
        SourceOutcome::Failed("no answer".to_owned()),
    ] {
        assert_eq!(read.error(), Some("no answer"));
    }
    assert_eq!(SourceOutcome::Ok.error(), None);
}

#[test]
fn every_fault_of_a_certificate_has_a_remedy_of_its_own() {
    let faults = [
        CertificateFault::Expired(None),
        CertificateFault::NotYetValid(None),
        CertificateFault::OtherName,
        CertificateFault::UnknownIssuer,
        CertificateFault::OwnAuthority,
        CertificateFault::NoRoots,
        CertificateFault::Other,
    ];
    let remedies = BTreeSet::from(faults.map(CertificateFault::remedy));
    assert!(remedies.len() == faults.len() && !remedies.contains(""));
}
