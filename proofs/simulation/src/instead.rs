//! What comes back instead of the server's answer.

use crate::dice::Dice;
use crate::fate::Purpose;
use crate::table::Place;
use testkit::kubernetes::status;
use testkit::{Fault, Reply};

fn reply(fault: Fault) -> Reply {
    fault.reply.expect("a fault with an answer")
}

pub(crate) fn login_page() -> Reply {
    reply(Fault::html())
}

pub(crate) fn broken(place: Place) -> Reply {
    match place {
        Place::Kubernetes => status::internal("etcdserver: leader changed"),
        Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
            reply(Fault::status(500, "Server Error"))
        }
    }
}

pub(crate) fn gateway(place: Place) -> Reply {
    match place {
        Place::Kubernetes => status::timeout(),
        Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
            reply(Fault::status(502, "Server Error"))
        }
    }
}

pub(crate) fn busy(place: Place, dice: &mut Dice) -> Reply {
    let seconds = dice.between(1, 60);
    match place {
        Place::Kubernetes if dice.percent(50) => status::unavailable(Some(seconds)),
        Place::Kubernetes => status::too_many_requests(seconds),
        Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
            reply(Fault::secondary_rate_limit(*dice.pick(&[403, 429]), seconds))
        }
    }
}

/// GraphQL alone sends it with status 200.
pub(crate) fn used_up(place: Place, purpose: Purpose, dice: &mut Dice) -> Reply {
    let is_graphql = matches!(purpose, Purpose::List | Purpose::Page);
    match place {
        Place::Kubernetes => status::unavailable(None),
        Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
            match dice.between(0, 2) {
                0 => reply(Fault::primary_rate_limit(403, 1_200)),
                1 if is_graphql => reply(Fault::graphql_rate_limit(1_200)),
                _ => reply(Fault::secondary_rate_limit_without_time(403)),
            }
        }
    }
}

/// GitHub has done nothing, and the error gives the reason.
pub(crate) fn base_moved() -> Reply {
    reply(Fault::status(405, "Base branch was modified. Review and try the merge again."))
}
