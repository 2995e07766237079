use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

#[test]
fn without_expectations_any_2xx_is_up_and_5xx_is_down() {
    let verdicts = [199, 200, 204, 299, 301, 404, 500, 599].map(|status| judge(status, &[]).word());
    let word = ["unexpected", "up", "up", "up", "unexpected", "unexpected", "down", "down"];
    assert_eq!(verdicts, word);
}

#[test]
fn what_is_expected_is_up_whatever_it_is_and_nothing_else() {
    assert_eq!(judge(503, &[503]), HealthVerdict::Up);
    assert_eq!(judge(301, &[200, 301]), HealthVerdict::Up);
    assert_eq!(judge(200, &[204]), HealthVerdict::Unexpected);
    assert_eq!(judge(500, &[204]), HealthVerdict::Down);
}

#[test]
fn credentials_of_a_url_are_never_shown() {
    for (url, shown) in [
        ("https://u:p@host/x", "https://***@host/x"),
        ("https://token@host", "https://***@host"),
        ("https://u:p@ss@host:1/?a=b@c", "https://***@host:1/?a=b@c"),
        ("https://host/a@b", "https://host/a@b"),
        ("u:p@host", "***@host"),
    ] {
        assert_eq!(without_credentials(url), shown);
    }
}

/// Production on loopback: gives each connection to `answer` with the path that was asked, and
/// notes the path.
struct Production {
    address: SocketAddr,
    asked: mpsc::Receiver<String>,
}

impl Production {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (note, asked) = mpsc::channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let path = asked_for(&stream);
                // The receiver is gone: the test is over.
                if note.send(path.clone()).is_err() {
                    return;
                }
                answer(&path, &mut stream);
            }
        });
        Self { address, asked }
    }

    fn endpoint(&self, name: &str, path: &str, expect: &[u16]) -> Endpoint {
        let url = format!("http://{}{path}", self.address);
        Endpoint {
            name: name.to_owned(),
            url,
            expect: expect.to_vec(),
            timeout: Duration::from_secs(20),
            redirects: Redirects::default(),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

impl Drop for Production {
    /// Wakes the thread, which then ends because the receiver is gone.
    fn drop(&mut self) {
        let (_, closed) = mpsc::channel();
        self.asked = closed;
        let _ = TcpStream::connect(self.address);
    }
}

fn asked_for(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next().and_then(|line| Some(line.split(' ').nth(1)?.to_owned()));
    lines.find(String::is_empty);
    path.unwrap_or_default()
}

/// `/503` answers 503, `/redirect/2` redirects twice and then answers 200.
fn by_path(path: &str, stream: &mut TcpStream) {
    let head = match path.strip_prefix("/redirect/").map(str::parse::<u32>) {
        Some(Ok(0)) => "HTTP/1.1 200 OK".to_owned(),
        Some(Ok(left)) => format!("HTTP/1.1 302 Found\r\nlocation: /redirect/{}", left - 1),
        Some(Err(_)) | None => format!("HTTP/1.1 {} X", &path[1..]),
    };
    let answer = format!("{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).expect("the client reads the head");
}

async fn check(endpoints: &[Endpoint]) -> HealthReport {
    let (mut body, requests) = (HealthReport::default(), Cell::new(0));
    run(&mut body, &Client::new().expect("a client"), endpoints, &requests).await;
    assert_eq!(requests.get(), endpoints.len() as u64);
    body
}

#[tokio::test]
async fn each_endpoint_is_asked_once_and_answers_stand_in_roster_order() {
    let production = Production::start(by_path);
    let paths = [("a", "/200"), ("b", "/503"), ("c", "/404"), ("d", "/204")];
    let endpoints = paths.map(|(name, path)| production.endpoint(name, path, &[]));
    let body = check(&endpoints).await;
    let seen: Vec<_> =
        body.endpoints.iter().map(|e| (e.name.as_str(), e.status, e.verdict.word())).collect();
    let expected = [
        ("a", Some(200), "up"),
        ("b", Some(503), "down"),
        ("c", Some(404), "unexpected"),
        ("d", Some(204), "up"),
    ];
    assert_eq!(seen, expected);
    let mut asked = production.asked();
    asked.sort();
    assert_eq!(asked, ["/200", "/204", "/404", "/503"]);
}

#[tokio::test]
async fn eight_redirects_are_followed_and_a_ninth_is_not() {
    let production = Production::start(by_path);
    let endpoints =
        ["/redirect/8", "/redirect/9"].map(|path| production.endpoint("production", path, &[]));
    let body = check(&endpoints).await;
    assert_eq!(
        (body.endpoints[0].status, body.endpoints[0].verdict),
        (Some(200), HealthVerdict::Up)
    );
    let one_too_many = &body.endpoints[1];
    assert_eq!((one_too_many.status, one_too_many.verdict), (Some(302), HealthVerdict::Unexpected));
    let to = format!("http://{}/redirect/0", production.address);
    let error = format!("redirects more than 8 times, last to {to}");
    assert_eq!(one_too_many.error, Some(error));
    assert_eq!(production.asked().len(), 9 + 9);
}

#[test]
fn only_the_host_without_a_leading_www_decides_whether_a_redirect_stays() {
    let start = "https://app.example/healthz";
    for (next, stays) in [
        ("https://app.example/other", true),
        ("https://www.app.example/", true),
        ("http://APP.example:8080/", true),
        ("https://app.example./", true),
        ("https://app.example.evil/", false),
        ("https://login.app.example/", false),
        ("https://example/", false),
    ] {
        let url = |text| Url::parse(text).expect("a URL");
        let why = stray(&url(next), &[url(start)], Redirects::SameHost);
        assert_eq!(why.is_none(), stays, "{next}: {why:?}");
        assert_eq!(stray(&url(next), &[url(start)], Redirects::Follow), None, "{next}");
        assert!(stray(&url(next), &[url(start)], Redirects::None).is_some(), "{next}");
    }
}

#[test]
fn neither_the_query_nor_the_credentials_of_where_a_redirect_leads_are_shown() {
    let url =
        Url::parse("https://u:hunter22@sso.example/login?state=hunter22#hunter22").expect("a URL");
    assert_eq!(shown(&url), "https://***@sso.example/login");
}

#[tokio::test]
async fn an_expected_redirect_is_not_followed() {
    let production = Production::start(by_path);
    let body = check(&[production.endpoint("production", "/redirect/1", &[302])]).await;
    assert_eq!(
        (body.endpoints[0].status, body.endpoints[0].verdict),
        (Some(302), HealthVerdict::Up)
    );
    assert_eq!(production.asked(), ["/redirect/1"]);
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_an_unexpected_answer() {
    let production = Production::start(|_, stream| {
        let answer =
            "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).expect("the client reads the head");
    });
    let body = check(&[production.endpoint("production", "/", &[])]).await;
    assert_eq!(
        (body.endpoints[0].status, body.endpoints[0].verdict),
        (Some(302), HealthVerdict::Unexpected)
    );
}

#[tokio::test]
async fn a_body_without_end_is_not_waited_for() {
    let production = Production::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        // Writes until the client hangs up, so a client that reads on is never answered.
        let mut sent = stream.write_all(head.as_bytes());
        while sent.is_ok() {
            sent = stream.write_all(&[b'x'; 4096]);
        }
    });
    let body = check(&[production.endpoint("production", "/", &[])]).await;
    assert_eq!(body.endpoints[0].verdict, HealthVerdict::Up);
}

#[tokio::test]
async fn no_connection_is_a_potential_outage_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let endpoint = Endpoint {
        name: "production".to_owned(),
        url: format!("http://user:hunter22@{address}/"),
        expect: Vec::new(),
        timeout: Duration::from_secs(20),
        redirects: Redirects::default(),
    };
    let body = check(&[endpoint]).await;
    let health = &body.endpoints[0];
    assert_eq!((health.status, health.verdict), (None, HealthVerdict::PotentialOutage));
    assert_eq!(health.error.as_deref(), Some("no connection: connection refused"));
    assert!(!format!("{health:?}").contains("hunter22"), "{health:?}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_connection_that_is_never_made_reaches_nothing() {
    // Linux leaves a connection unanswered when the queue of those to be accepted is full.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let listener = socket.listen(0).expect("it listens");
    let address = listener.local_addr().expect("an address");
    let wait = Duration::from_millis(100);
    let mut held = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, wait) {
        held.push(connection);
    }
    let endpoint = Endpoint {
        name: "production".to_owned(),
        url: format!("http://{address}/"),
        expect: Vec::new(),
        timeout: wait,
        redirects: Redirects::default(),
    };
    let body = check(&[endpoint]).await;
    let health = &body.endpoints[0];
    assert_eq!((health.verdict, health.reached), (HealthVerdict::PotentialOutage, false));
    assert_eq!(health.cause, Some(Cause::Unreachable));
    assert_eq!(health.error.as_deref(), Some("no connection within 100ms"));
}

#[tokio::test]
async fn silence_is_a_potential_outage() {
    // The system accepts the connection; no process answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = Endpoint {
        name: "production".to_owned(),
        url: format!("http://{}/", listener.local_addr().expect("an address")),
        expect: Vec::new(),
        timeout: Duration::from_millis(50),
        redirects: Redirects::default(),
    };
    let body = check(&[endpoint]).await;
    assert_eq!(body.endpoints[0].verdict, HealthVerdict::PotentialOutage);
    assert_eq!(body.endpoints[0].error.as_deref(), Some("no answer within 50ms"));
    assert_eq!(
        (&body.endpoints[0].cause, body.endpoints[0].reached),
        (&Some(Cause::Timeout), true)
    );
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_potential_outage() {
    let production = Production::start(|_, stream| {
        stream.write_all(b"\x16\x03\x01 certainly not HTTP\r\n\r\n").expect("the client reads");
    });
    let body = check(&[production.endpoint("production", "/", &[])]).await;
    assert_eq!(body.endpoints[0].verdict, HealthVerdict::PotentialOutage);
    let error = body.endpoints[0].error.as_deref().expect("a cause");
    assert!(error.starts_with("no HTTP answer: "), "{error}");
}

#[tokio::test]
async fn what_was_answered_stays_when_the_step_is_dropped() {
    let (tell, mut hung_up) = tokio::sync::mpsc::unbounded_channel();
    let production = Production::start(move |_, stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
            .expect("the client reads the head");
        // The client hangs up as soon as it has noted the answer.
        let _ = stream.read_to_end(&mut Vec::new());
        let _ = tell.send(());
    });
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let slow = Endpoint {
        name: "slow".to_owned(),
        url,
        expect: Vec::new(),
        timeout: Duration::from_secs(600),
        redirects: Redirects::default(),
    };
    let endpoints = [slow, production.endpoint("fast", "/", &[])];
    let (mut body, requests) = (HealthReport::default(), Cell::new(0));
    let client = Client::new().expect("a client");
    tokio::select! {
        () = run(&mut body, &client, &endpoints, &requests) => {
            panic!("the slow endpoint cannot have answered")
        }
        note = hung_up.recv() => assert!(note.is_some()),
    }
    let names: Vec<_> = body.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    assert_eq!(names, ["fast"]);
}
