//! What becomes of one request: when it arrives, how often, and what comes back.

use std::time::Duration;

use crate::dice::Dice;
use crate::instead::{base_moved, broken, busy, gateway, login_page, used_up};
use crate::scene::Scene;
use crate::table::Place;
use testkit::Reply;
use testkit::kubernetes::status;

/// The purpose of a request, as far as its fate depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first page of a list.
    List,
    /// A further page.
    Page,
    /// One object, or a few.
    Look,
    /// A Job is created.
    Create,
    /// The Job of a work item is created: what comes late must start nothing.
    Start,
    /// A Job is deleted, the ledger is written.
    Write,
    /// A merge call.
    Merge,
}

/// The answer that the client gets.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// The server's answer.
    Whole,
    /// No answer at all.
    Silence,
    /// The connection breaks.
    Reset,
    /// The first half of the server's answer.
    CutOff,
    /// Something else.
    Instead(Reply),
}

/// How the server carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    /// As it should.
    None,
    /// A list shows the state of some changes ago.
    Stale,
    /// A page holds two rows.
    SmallPages,
    /// All but the first pull request of a page or a reread are null: the query was too expensive.
    Nulls,
    /// The token of a further page is too old.
    Expired,
    /// The commit is put on the base, and then the server breaks: the pull request stays open.
    HalfMerged,
    /// As it should, and once more.
    Doubled,
}

/// The fate of one request.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    /// Until the server has it.
    pub(crate) there: Duration,
    /// How often the server carries it out.
    pub(crate) times: u32,
    pub(crate) twist: Twist,
    /// Until the answer is back.
    pub(crate) back: Duration,
    pub(crate) ending: Ending,
    /// The client sees the connection end at once, while the request is still under way.
    pub(crate) early: bool,
}

impl Fate {
    /// No fault.
    fn good(dice: &mut Dice) -> Self {
        let there = dice.millis(1, 80);
        let back = dice.millis(1, 80);
        Self { there, times: 1, twist: Twist::None, back, ending: Ending::Whole, early: false }
    }

    pub(crate) fn draw(scene: &mut Scene, place: Place, purpose: Purpose) -> Self {
        let mut fate = Self::good(&mut scene.dice);
        if !scene.dice.percent(rate(place, purpose, scene.fault_rate)) {
            return fate;
        }
        let share = match (place, purpose) {
            (Place::Kubernetes, Purpose::Page) => 90,
            (_, Purpose::Merge) => 70,
            (Place::Kubernetes, Purpose::List | Purpose::Start) => 50,
            _ => 33,
        };
        let is_special = scene.dice.percent(share);
        let name = if is_special { fate.special(&mut scene.dice, place, purpose) } else { None };
        let name = match name {
            Some(name) => name,
            None => fate.spoil(&mut scene.dice, place, purpose),
        };
        scene.fault(place, name);
        fate
    }

    /// Faults that only some requests can have.
    fn special(&mut self, dice: &mut Dice, place: Place, purpose: Purpose) -> Option<&'static str> {
        let (twist, name) = match (place, purpose) {
            (Place::GitHub, Purpose::List) if dice.percent(50) => {
                (Twist::SmallPages, "a list comes in many small pages")
            }
            (Place::GitHub, Purpose::List | Purpose::Look | Purpose::Page) if dice.percent(40) => {
                (Twist::Nulls, "most of an answer is null: the query was too expensive")
            }
            (Place::GitHub, Purpose::List | Purpose::Look | Purpose::Page) => {
                (Twist::Stale, "an answer shows the state of some changes ago")
            }
            (Place::GitHub, Purpose::Merge) => return Some(self.special_merge(dice)),
            (_, Purpose::List) => (Twist::SmallPages, "a list comes in many small pages"),
            (_, Purpose::Page) => (Twist::Expired, "a list expires between two pages (410)"),
            (_, Purpose::Start) => return Some(self.very_late(dice, place)),
            (_, Purpose::Create) if dice.percent(50) => {
                let conflict = Ending::Instead(status::quota_conflict());
                return Some(self.lost(
                    conflict,
                    "creation lost the race for its quota (409 Conflict), nothing done",
                ));
            }
            (_, Purpose::Create | Purpose::Write) => return Some(self.twice()),
            _ => return None,
        };
        self.twist = twist;
        Some(name)
    }

    fn special_merge(&mut self, dice: &mut Dice) -> &'static str {
        match dice.between(0, 4) {
            0..=1 => {
                self.twist = Twist::HalfMerged;
                self.ends(
                    Ending::Instead(gateway(Place::GitHub)),
                    "half a merge: the commit is on the base, the pull request stays open",
                )
            }
            2..=3 => self.twice(),
            _ => self.lost(
                Ending::Instead(base_moved()),
                "merge refused: base branch was modified (405)",
            ),
        }
    }

    fn twice(&mut self) -> &'static str {
        self.times = 2;
        self.twist = Twist::Doubled;
        "request carried out twice, the second answer comes back"
    }

    fn spoil(&mut self, dice: &mut Dice, place: Place, purpose: Purpose) -> &'static str {
        let writes =
            matches!(purpose, Purpose::Create | Purpose::Start | Purpose::Write | Purpose::Merge);
        let is_very_late = purpose == Purpose::Merge && dice.percent(50);
        match if is_very_late { 11 } else { dice.between(0, 12) } {
            0 => self.lost(Ending::Silence, "request lost, no answer"),
            1 => self.lost(Ending::Reset, "connection reset before the request arrives"),
            2 => self.ends(Ending::Silence, "answer lost"),
            3 => self.ends(Ending::Reset, "connection reset before the answer"),
            4 => self.ends(Ending::CutOff, "answer cut off"),
            5 => {
                self.back = dice.seconds(5, 40);
                "answer late"
            }
            6 => {
                self.there = dice.seconds(5, 40);
                "request late"
            }
            7 => self.lost(Ending::Instead(broken(place)), "server error (500), nothing done"),
            8 => {
                self.ends(Ending::Instead(gateway(place)), "gateway error (502, 504), carried out")
            }
            9 => self.lost(
                Ending::Instead(busy(place, dice)),
                "rate limit (429, 403, 503) with Retry-After",
            ),
            10 => self.lost(
                Ending::Instead(used_up(place, purpose, dice)),
                "rate limit without Retry-After",
            ),
            11 if writes => self.very_late(dice, place),
            _ => self.lost(Ending::Instead(login_page()), "login page of a proxy (200)"),
        }
    }

    fn very_late(&mut self, dice: &mut Dice, place: Place) -> &'static str {
        self.there = dice.seconds(20, 1_800);
        self.early = dice.percent(50);
        self.ending = if self.early { Ending::Instead(gateway(place)) } else { Ending::Silence };
        "write carried out long after its client gave up"
    }

    fn lost(&mut self, ending: Ending, name: &'static str) -> &'static str {
        self.times = 0;
        self.ends(ending, name)
    }

    fn ends(&mut self, ending: Ending, name: &'static str) -> &'static str {
        self.ending = ending;
        name
    }
}

/// Percent of such requests that go wrong in a world where so many of all do.
fn rate(place: Place, purpose: Purpose, usual: u64) -> u64 {
    // Few requests are like these, and much can go wrong with each.
    let least = match (place, purpose) {
        _ if usual == 0 => 0,
        (_, Purpose::Merge) => 60,
        (Place::Kubernetes, Purpose::Page | Purpose::Start) => 30,
        (Place::Kubernetes, Purpose::List) => 20,
        _ => 0,
    };
    usual.max(least)
}
