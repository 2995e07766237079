//! How many requests a server gets at once; and one that speaks HTTP/2 frame by frame, and what is
//! sent to it again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower::ServiceExt;

use super::{Pace, Pauses};
use crate::cluster::api::{Answer, Api, Ask, NoAnswer};

/// What the server does about one request.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// 200, and the time.
    Answer,
    /// `GOAWAY`, with this stream as the last one that is processed; then the connection ends.
    GoAway { last: u32 },
    /// `RST_STREAM` with `REFUSED_STREAM`.
    Refuse,
    /// `RST_STREAM` with `INTERNAL_ERROR`.
    Reset,
    /// The connection breaks.
    Break,
}

const HEADERS: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:status: 200` and a `date`, by HPACK without a table of its own.
fn answer(stream: u32) -> Vec<u8> {
    const DATE: &[u8] = b"Fri, 15 Jan 2027 08:00:00 GMT";
    let head = [&[0x88, 0x0F, 0x12, DATE.len().to_le_bytes()[0]], DATE].concat();
    [frame(HEADERS, 4, stream, &head), frame(0, 1, stream, b"{\"kind\":\"Job\"}")].concat()
}

/// Serves one connection by this script; returns how many requests it read.
async fn serve(mut stream: TcpStream, script: &[Act]) -> usize {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("a preface");
    stream.write_all(&frame(4, 0, 0, &[])).await.expect("settings");
    let mut read = 0;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return read;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return read;
        }
        if head[3] != HEADERS {
            continue;
        }
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let act = script[read];
        read += 1;
        let reset = |code: u32| frame(3, 0, id, &code.to_be_bytes());
        let bytes = match act {
            Act::Answer => answer(id),
            Act::GoAway { last } => frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat()),
            Act::Refuse => reset(7),
            Act::Reset => reset(2),
            Act::Break => Vec::new(),
        };
        let _ = stream.write_all(&bytes).await;
        if matches!(act, Act::GoAway { .. }) {
            // Read to the end, so that the frame is not lost to a reset of the connection.
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        if matches!(act, Act::GoAway { .. } | Act::Break) {
            return read;
        }
    }
}

/// Two requests, one after the other, to a server whose connections go by these scripts: the second
/// answer, and how many requests each connection read.
async fn second(scripts: Vec<Vec<Act>>, method: Method) -> (Result<Answer, NoAnswer>, Vec<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let read = Rc::new(RefCell::new(Vec::new()));
    let counts = Rc::clone(&read);
    let server = async move {
        for script in scripts {
            let (stream, _) = listener.accept().await.expect("a connection");
            let count = serve(stream, &script).await;
            counts.borrow_mut().push(count);
        }
        std::future::pending::<()>().await;
    };
    let client = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let service = client.map_request(move |mut request: Request<Body>| {
        let whole = format!("http://{address}{}", request.uri());
        *request.uri_mut() = whole.parse::<Uri>().expect("a URI");
        request
    });
    let until = Instant::now() + Duration::from_secs(20);
    let api = Api::new(kube::Client::new(service, "agents"), "agents".to_owned(), until);
    let body = json!({ "metadata": { "name": "demo-a-s0" } });
    let client = async {
        let first = Ask { path: api.jobs(), ..Ask::default() };
        api.ask(&first).await.expect("the first is answered");
        api.ask(&Ask { method, path: api.jobs(), body: Some(&body), ..Ask::default() }).await
    };
    let answer =
        tokio::select! { answer = client => answer, () = server => unreachable!("it serves on") };
    let read = read.borrow().clone();
    (answer, read)
}

#[tokio::test]
async fn a_creation_that_a_goaway_or_a_refused_stream_left_unprocessed_is_sent_again() {
    let (answer, read) =
        second(vec![vec![Act::Answer, Act::GoAway { last: 1 }], vec![Act::Answer]], Method::POST)
            .await;
    assert_eq!(answer.expect("the second connection answers").status, StatusCode::OK);
    assert_eq!(read, [2], "the first connection read both");

    let (answer, _) =
        second(vec![vec![Act::Answer, Act::Refuse, Act::Answer]], Method::DELETE).await;
    assert_eq!(answer.expect("the next stream is answered").status, StatusCode::OK);
}

#[tokio::test]
async fn what_may_have_been_processed_is_never_sent_again() {
    // The GOAWAY names the request's own stream as the last one that is processed.
    for act in [Act::GoAway { last: 3 }, Act::Break, Act::Reset] {
        let (answer, read) = second(vec![vec![Act::Answer, act], vec![]], Method::POST).await;
        assert!(answer.is_err(), "{act:?}: {answer:?}");
        assert!(read.len() <= 1 && read.iter().all(|count| *count == 2), "{act:?}: {read:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_answered_is_not_waited_for_and_one_that_restarts_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let api = || {
        let client = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let service = client.map_request(move |mut request: Request<Body>| {
            *request.uri_mut() =
                format!("http://{address}{}", request.uri()).parse::<Uri>().expect("a URI");
            request
        });
        let until = Instant::now() + Duration::from_secs(20);
        Api::new(kube::Client::new(service, "agents"), "agents".to_owned(), until)
    };
    let get = |api: &Api| Ask { path: api.jobs(), ..Ask::default() };
    let server = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        serve(stream, &[Act::Answer, Act::GoAway { last: 1 }]).await;
        drop(listener);
        // Three requests find nobody.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let again = TcpListener::bind(address).await.expect("the same port");
        let (stream, _) = again.accept().await.expect("a connection");
        serve(stream, &[Act::Answer]).await
    };
    let known = api();
    let client = async {
        known.ask(&get(&known)).await.expect("the first is answered");
        known.ask(&get(&known)).await.map(|answer| answer.status)
    };
    let answer =
        tokio::select! { answer = client => answer, _ = server => unreachable!("it serves on") };
    assert_eq!(answer, Ok(StatusCode::OK));
    assert!(known.requests() > 3, "{} requests", known.requests());

    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nobody = closed.local_addr().expect("it is bound");
    drop(closed);
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let service = client.map_request(move |mut request: Request<Body>| {
        *request.uri_mut() =
            format!("http://{nobody}{}", request.uri()).parse::<Uri>().expect("a URI");
        request
    });
    let until = Instant::now() + Duration::from_secs(20);
    let unknown = Api::new(kube::Client::new(service, "agents"), "agents".to_owned(), until);
    unknown.ask(&get(&unknown)).await.expect_err("nobody is there");
    assert_eq!(unknown.requests(), 1);
}

#[test]
fn the_pauses_of_two_creations_differ_and_grow_to_a_second() {
    let pauses = |name: &str| {
        let body = json!({ "metadata": { "name": name } });
        let ask = Ask {
            method: Method::POST,
            path: "/jobs".to_owned(),
            body: Some(&body),
            ..Ask::default()
        };
        let mut pauses = Pauses::of(&ask);
        (0..12).map(|_| pauses.next()).collect::<Vec<_>>()
    };
    let (one, other) = (pauses("demo-a-s0"), pauses("demo-a-s1"));
    assert_eq!(one, pauses("demo-a-s0"));
    assert!(one.iter().zip(&other).all(|(one, other)| one != other), "{one:?} {other:?}");
    for (attempt, pause) in (0..).zip(&one) {
        let full = Duration::from_millis(50 << attempt.min(5)).min(Duration::from_secs(1));
        assert!(*pause >= full / 2 && *pause <= full * 3 / 2, "{attempt}: {pause:?}");
    }
}

fn paced(answers: usize, milliseconds: u64) -> Pace {
    let mut pace = Pace::default();
    answer_all(&mut pace, answers, milliseconds);
    pace
}

fn answer_all(pace: &mut Pace, answers: usize, milliseconds: u64) {
    for _ in 0..answers {
        pace.answered(Duration::from_millis(milliseconds));
    }
}

#[test]
fn a_server_far_away_gets_more_at_once_than_one_nearby() {
    let starts = [0, 1, 15, 80, 400].map(|milliseconds| paced(1, milliseconds).at_once());
    assert_eq!(starts, [8, 8, 15, 32, 32]);
}

#[test]
fn a_server_without_time_gets_half_as_many_and_more_again_when_it_answers() {
    let mut pace = paced(1, 80);
    pace.refused();
    assert_eq!(pace.at_once(), 16, "what was under way with it is refused as well");
    for _ in 0..15 {
        pace.refused();
    }
    assert_eq!(pace.at_once(), 16);
    pace.refused();
    assert_eq!(pace.at_once(), 8);
    for _ in 0..1_000 {
        pace.refused();
    }
    assert_eq!(pace.at_once(), 1, "it never comes to a standstill");
    answer_all(&mut pace, 200, 80);
    assert_eq!(pace.at_once(), 32);
}

#[test]
fn a_server_that_slows_down_gets_fewer() {
    let mut pace = paced(64, 80);
    answer_all(&mut pace, 64, 300);
    assert_eq!(pace.at_once(), 32, "some of that is the starts' own doing");
    answer_all(&mut pace, 200, 5_000);
    assert_eq!(pace.at_once(), 8);
    answer_all(&mut pace, 200, 80);
    assert_eq!(pace.at_once(), 32);
}
