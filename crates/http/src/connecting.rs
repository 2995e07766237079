//! Whether a request that timed out was still waiting for its connection: then no server was
//! reached.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tower::Service;

tokio::task_local! {
    static UNDER_WAY: Arc<AtomicUsize>;
}

/// Counts the connections that the requests of one future are waiting for.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    under_way: Arc<AtomicUsize>,
}

impl Attempt {
    /// Counts for this future.
    pub async fn of<F: Future>(&self, requests: F) -> F::Output {
        UNDER_WAY.scope(Arc::clone(&self.under_way), requests).await
    }

    /// Whether a connection has begun that is neither made nor refused.
    pub fn is_connecting(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }
}

/// Makes a client's connections count in the [`Attempt`] that waits for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer;

impl<S> tower::Layer<S> for Layer {
    type Service = Counted<S>;

    fn layer(&self, connector: S) -> Self::Service {
        Counted { connector }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    connector: S,
}

impl<S, R> Service<R> for Counted<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let connection = self.connector.call(destination);
        // Outside an attempt the count is not read.
        let under_way = UNDER_WAY.try_with(Arc::clone).unwrap_or_default();
        under_way.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let made = connection.await;
            under_way.fetch_sub(1, Ordering::Relaxed);
            made
        })
    }
}
