//! Where logs are kept: a server of another authority, which GitHub only points to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::server::{Reply, Server};

/// Where the logs are fetched from.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// The part of the path before a job's id.
    pub address: String,
}

/// The other server; dropping it ends it.
#[derive(Debug)]
pub struct LogStore {
    server: Server,
    shelves: Arc<Mutex<Shelves>>,
}

/// The logs that it serves, and the requests for them.
#[derive(Debug, Default)]
pub struct Shelves {
    /// By job id.
    pub logs: BTreeMap<u64, String>,
    /// The headers of each request.
    pub asked: Vec<HeaderMap>,
}

impl LogStore {
    /// One without logs.
    pub fn start() -> Self {
        let shelves: Arc<Mutex<Shelves>> = Arc::default();
        let shared = Arc::clone(&shelves);
        let server = Server::start(move |request| {
            let mut shelves = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shelves.asked.push(request.headers().clone());
            let id = request.uri().path().trim_start_matches("/log/").parse().unwrap_or_default();
            match shelves.logs.get(&id) {
                Some(log) => Reply::new(200, log.clone()).header("content-type", "text/plain"),
                None => Reply::new(404, "no such blob"),
            }
        });
        Self { server, shelves }
    }

    /// The address that GitHub redirects to.
    pub fn shelf(&self) -> Shelf {
        Shelf { address: format!("{}/log/", self.server.url()) }
    }

    /// To look at or to fill.
    pub fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
