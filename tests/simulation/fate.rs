//! What becomes of one request: when it arrives, how often, and what comes back.

use std::time::Duration;

use crate::dice::Dice;
use crate::scene::Scene;
use crate::table::Place;
use crate::world::kubernetes::status;
use crate::world::{Fault, Reply};

/// What a request is for, as far as its fate depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first page of a list.
    List,
    /// A further page.
    Page,
    /// One object, or a few.
    Look,
    /// A Job is created or deleted.
    Write,
    /// A merge call.
    Merge,
}

/// What comes back.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// The server's answer.
    Whole,
    /// Nothing, ever.
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
    /// A list shows what was some changes ago.
    Stale,
    /// A page holds two rows.
    SmallPages,
    /// The token of a further page is too old.
    Expired,
    /// The commit is put on the base, and then the server breaks: the pull request stays open.
    HalfMerged,
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
    /// The client hears the end at once, while the request is still under way.
    pub(crate) early: bool,
}

impl Fate {
    /// Nothing goes wrong.
    fn good(dice: &mut Dice) -> Self {
        let there = dice.millis(1, 80);
        let back = dice.millis(1, 80);
        Self { there, times: 1, twist: Twist::None, back, ending: Ending::Whole, early: false }
    }

    pub(crate) fn draw(scene: &mut Scene, place: Place, purpose: Purpose) -> Self {
        let mut fate = Self::good(&mut scene.dice);
        let rate = scene.fault_rate;
        if !scene.dice.percent(rate) {
            return fate;
        }
        let name = match scene.dice.between(0, 2) {
            0 => fate.special(&mut scene.dice, place, purpose),
            _ => None,
        };
        let name = match name {
            Some(name) => name,
            None => fate.spoil(&mut scene.dice, place, purpose),
        };
        scene.fault(place, name);
        fate
    }

    /// Faults that only some requests can have.
    fn special(&mut self, dice: &mut Dice, place: Place, purpose: Purpose) -> Option<&'static str> {
        let (twist, name) = match (place, purpose, dice.percent(50)) {
            (_, Purpose::List, true) => (Twist::SmallPages, "a list comes in many small pages"),
            (Place::GitHub, Purpose::List | Purpose::Look | Purpose::Page, _) => {
                (Twist::Stale, "an answer shows what was some changes ago")
            }
            (Place::Kubernetes, Purpose::Page, _) => {
                (Twist::Expired, "a list expires between two pages (410)")
            }
            (_, Purpose::Merge, true) => {
                self.ending = Ending::Instead(Fault::status(502, "Server Error").reply?);
                (Twist::HalfMerged, "half a merge: the commit is on the base, the pull request stays open")
            }
            (_, Purpose::Merge, false) => {
                let said = "Base branch was modified. Review and try the merge again.";
                self.times = 0;
                self.ending = Ending::Instead(Fault::status(405, said).reply?);
                (Twist::None, "merge refused: base branch was modified (405)")
            }
            (_, Purpose::Write, _) => {
                self.times = 2;
                (Twist::None, "request carried out twice, the second answer comes back")
            }
            _ => return None,
        };
        self.twist = twist;
        Some(name)
    }

    fn spoil(&mut self, dice: &mut Dice, place: Place, purpose: Purpose) -> &'static str {
        let writes = matches!(purpose, Purpose::Write | Purpose::Merge);
        match dice.between(0, 12) {
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
            8 => self.ends(Ending::Instead(gateway(place)), "gateway error (502, 504), carried out"),
            9 => self.lost(Ending::Instead(busy(place, dice)), "rate limit (429, 403, 503) with Retry-After"),
            10 => self.lost(Ending::Instead(used_up(place, purpose, dice)), "rate limit without Retry-After"),
            11 if writes => {
                self.there = dice.seconds(20, 1_800);
                self.early = dice.percent(50);
                self.ending = if self.early { Ending::Instead(gateway(place)) } else { Ending::Silence };
                "write carried out long after its client gave up"
            }
            _ => self.lost(Ending::Instead(login_page()), "login page of a proxy (200)"),
        }
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

fn reply(fault: Fault) -> Reply {
    fault.reply.expect("a fault with an answer")
}

fn login_page() -> Reply {
    reply(Fault::html())
}

fn broken(place: Place) -> Reply {
    match place {
        Place::Kubernetes => status::internal("etcdserver: leader changed"),
        Place::GitHub | Place::World | Place::Coordinator => reply(Fault::status(500, "Server Error")),
    }
}

fn gateway(place: Place) -> Reply {
    match place {
        Place::Kubernetes => status::timeout(),
        Place::GitHub | Place::World | Place::Coordinator => reply(Fault::status(502, "Server Error")),
    }
}

fn busy(place: Place, dice: &mut Dice) -> Reply {
    let seconds = dice.between(1, 60);
    match place {
        Place::Kubernetes if dice.percent(50) => status::unavailable(Some(seconds)),
        Place::Kubernetes => status::too_many_requests(seconds),
        Place::GitHub | Place::World | Place::Coordinator => {
            reply(Fault::secondary_rate_limit(*dice.pick(&[403, 429]), seconds))
        }
    }
}

/// GraphQL alone says it with status 200.
fn used_up(place: Place, purpose: Purpose, dice: &mut Dice) -> Reply {
    let is_graphql = matches!(purpose, Purpose::List | Purpose::Page);
    match place {
        Place::Kubernetes => status::unavailable(None),
        Place::GitHub | Place::World | Place::Coordinator => match dice.between(0, 2) {
            0 => reply(Fault::primary_rate_limit(403, 1_200)),
            1 if is_graphql => reply(Fault::graphql_rate_limit(1_200)),
            _ => reply(Fault::secondary_rate_limit_without_time(403)),
        },
    }
}
