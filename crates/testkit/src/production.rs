//! Production: one endpoint with a scripted answer and a journal of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpSocket;

use super::server::{Reply, Server};

/// A production endpoint; dropping it ends it.
#[derive(Debug)]
pub struct Production {
    server: Server,
    state: Arc<Mutex<Behaviour>>,
}

/// Its answer, and the requests so far.
#[derive(Debug)]
pub struct Behaviour {
    /// To everything but `/hop/<n>`, which redirects to `/hop/<n-1>`, and at 0 to `/healthz`.
    pub reply: Reply,
    /// Method and path of each request.
    pub journal: Vec<String>,
}

impl Production {
    /// Answers every request so.
    pub fn start(reply: Reply) -> Self {
        let state = Arc::new(Mutex::new(Behaviour { reply, journal: Vec::new() }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let mut behaviour = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            behaviour.journal.push(format!("{} {}", request.method(), request.uri().path()));
            let hop =
                request.uri().path().strip_prefix("/hop/").and_then(|hop| hop.parse::<u32>().ok());
            match hop {
                Some(0) => redirect("/healthz"),
                Some(hop) => redirect(&format!("/hop/{}", hop - 1)),
                None => behaviour.reply.clone(),
            }
        });
        Self { server, state }
    }

    /// One that is up.
    pub fn up() -> Self {
        Self::start(Reply::new(200, "ok"))
    }

    /// Its health page.
    pub fn url(&self) -> String {
        format!("{}/healthz", self.server.url())
    }

    /// A page that leads to the health page over this many redirects.
    pub fn url_over(&self, redirects: u32) -> String {
        format!("{}/hop/{}", self.server.url(), redirects - 1)
    }

    /// To look at or to change.
    pub fn state(&self) -> MutexGuard<'_, Behaviour> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn redirect(to: &str) -> Reply {
    Reply::new(302, "").header("location", to)
}

/// An address that refuses connections for as long as this lives.
#[derive(Debug)]
pub struct Refusing {
    #[expect(dead_code, reason = "it holds the port")]
    socket: TcpSocket,
    address: SocketAddr,
}

impl Refusing {
    /// Holds a port without listening on it.
    pub fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        Self { socket, address }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
