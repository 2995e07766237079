//! The HTTP services of a coordinator: each request meets its fate on a task of its own, which the
//! client's death does not end.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Iter};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use octocrab::OctoBody;
use tokio::sync::oneshot;
use tower::{BoxError, Service};

use crate::facts::Facts;
use crate::fate::{Ending, Fate};
use crate::scene::{Scene, Shared, lock};
use crate::table::Place;
use crate::{api_server, hub};
use testkit::Reply;
use testkit::clock::http_date;

type Chunks = Iter<std::vec::IntoIter<Result<Frame<Bytes>, io::Error>>>;

/// The body of an answer, as it arrives.
pub(crate) type Arriving = StreamBody<Chunks>;

/// A server's answer, with the facts in it.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) facts: Facts,
}

/// GitHub, as this coordinator reaches it.
pub(crate) fn github(
    scene: &Shared,
    who: usize,
) -> impl Service<
    Request<OctoBody>,
    Response = Response<Arriving>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Arriving>, BoxError>> + Send + 'static,
> + Send
+ 'static {
    let scene = Shared::clone(scene);
    tower::service_fn(move |request: Request<OctoBody>| {
        let scene = Shared::clone(&scene);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            exchange(Line { scene, place: Place::GitHub, who }, Request::from_parts(head, body))
                .await
        }
    })
}

/// The API server, as this coordinator reaches it.
pub(crate) fn kubernetes(
    scene: &Shared,
    who: usize,
) -> impl Service<
    Request<Body>,
    Response = Response<Arriving>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Arriving>, BoxError>> + Send + 'static,
> + Send
+ 'static {
    let scene = Shared::clone(scene);
    tower::service_fn(move |request: Request<Body>| {
        let scene = Shared::clone(&scene);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            exchange(Line { scene, place: Place::Kubernetes, who }, Request::from_parts(head, body))
                .await
        }
    })
}

/// A coordinator's way to a server.
#[derive(Clone)]
struct Line {
    scene: Shared,
    place: Place,
    who: usize,
}

async fn exchange(line: Line, request: Request<Bytes>) -> Result<Response<Arriving>, BoxError> {
    let Line { scene, place, who } = line.clone();
    let fate = {
        let mut scene = lock(&scene);
        scene.note(&format_args!("{who} > {} {}", request.method(), request.uri()));
        scene.counts.total("requests");
        let purpose = match place {
            Place::Kubernetes => api_server::sent(&mut scene, who, &request),
            Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
                hub::sent(&mut scene, who, &request)
            }
        };
        Fate::draw(&mut scene, place, purpose)
    };
    let (ending, early, back) = (fate.ending.clone(), fate.early, fate.back);
    let (send, answer) = oneshot::channel();
    tokio::spawn(carry_out(line.clone(), request, fate, send));
    if matches!(ending, Ending::Silence) {
        return std::future::pending().await;
    }
    let answered = if early {
        tokio::time::sleep(back).await;
        Answered { reply: Reply::new(500, ""), facts: Facts::default() }
    } else {
        answer.await?
    };
    arrive(&line, ending, answered)
}

/// The server's side.
async fn carry_out(
    line: Line,
    request: Request<Bytes>,
    fate: Fate,
    send: oneshot::Sender<Answered>,
) {
    let Line { scene, place, who } = line;
    sleep(fate.there).await;
    let mut answered = Answered { reply: Reply::new(500, ""), facts: Facts::default() };
    for _ in 0..fate.times {
        let mut scene = lock(&scene);
        answered = match place {
            Place::Kubernetes => api_server::carry_out(&mut scene, who, &request, fate.twist),
            Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
                hub::carry_out(&mut scene, who, &request, fate.twist)
            }
        };
        let status = answered.reply.status;
        scene.note(&format_args!("{who} = {} {} {status}", request.method(), request.uri().path()));
        scene.inspect();
    }
    sleep(fate.back).await;
    // The client has given up, or died.
    let _ = send.send(answered);
}

/// Not even a turn of the scheduler where there is nothing to wait for.
async fn sleep(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// The client's side.
fn arrive(line: &Line, ending: Ending, answered: Answered) -> Result<Response<Arriving>, BoxError> {
    let (place, who) = (line.place, line.who);
    let mut scene = lock(&line.scene);
    let (reply, facts, whole) = match ending {
        Ending::Whole => (answered.reply, answered.facts, true),
        Ending::CutOff => (answered.reply, Facts::default(), false),
        Ending::Instead(reply) => {
            let facts = match place {
                Place::Kubernetes => Facts::default(),
                Place::GitHub | Place::Store | Place::World | Place::Coordinator => {
                    hub::facts_of_reply(&reply)
                }
            };
            (reply, facts, true)
        }
        Ending::Silence | Ending::Reset => return Err(reset()),
    };
    let status = reply.status;
    scene.note(&format_args!("{who} < {status}{}", if whole { "" } else { ", cut off" }));
    if let Some(watched) = scene.watched.get_mut(&who) {
        watched.record(facts);
    }
    Ok(response(&scene, place, reply, whole))
}

fn reset() -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer").into()
}

/// An answer of the world has its own date; one that comes from the wire has the date of now.
fn response(scene: &Scene, place: Place, reply: Reply, whole: bool) -> Response<Arriving> {
    let mut response = Response::builder().status(reply.status);
    let now = match place {
        Place::Kubernetes => scene.cluster.now(),
        Place::GitHub | Place::Store | Place::World | Place::Coordinator => scene.github.now(),
    };
    let date = http_date(now);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    if !reply.headers.iter().any(|(name, _)| name == "date") {
        response = response.header("date", date);
    }
    let half = reply.body.slice(..reply.body.len() / 2);
    let chunks = if whole {
        vec![Ok(Frame::data(reply.body))]
    } else {
        vec![
            Ok(Frame::data(half)),
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended")),
        ]
    };
    response.body(StreamBody::new(stream::iter(chunks))).expect("an answer")
}
