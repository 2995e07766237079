//! One HTTP server on 127.0.0.1 and a free port, on a thread of its own, that can misbehave on the
//! wire.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// An answer, and how it is sent.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside `content-type` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// From the request to the first byte; `Duration::MAX` means no answer.
    pub delay: Duration,
    /// The fault on the wire.
    pub ending: Ending,
    /// The answer is sent when it opens.
    pub gate: Option<Gate>,
    /// Sent instead of the body: a text that grows.
    pub growing: Option<Box<Growing>>,
}

/// A text that is sent from byte `from` on, until its sender is dropped.
#[derive(Debug, Clone)]
pub struct Growing {
    pub text: watch::Receiver<Vec<u8>>,
    pub from: usize,
}

/// Holds an answer back until it is opened.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Gate {
    /// Lets all that wait pass, and all that come later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        let opened = self.0.subscribe().wait_for(|open| *open).await.map(drop);
        opened.expect("the gate that is waited for exists");
    }
}

/// A fault in the bytes of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ending {
    /// All arrive.
    #[default]
    Whole,
    /// The connection is reset before the first byte.
    Reset,
    /// The connection ends in the middle of the body.
    Truncated,
    /// These bytes come instead, and the connection ends.
    Garbage(Vec<u8>),
    /// One byte of the body a second.
    Trickle,
}

impl Reply {
    /// An answer that arrives whole and at once.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let (headers, delay, ending) = (Vec::new(), Duration::ZERO, Ending::Whole);
        Self { status, headers, body, delay, ending, gate: None, growing: None }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string())
            .header("content-type", "application/json; charset=utf-8")
    }

    /// With this header, instead of an earlier one of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(earlier, _)| earlier != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// After this time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Ruined on the wire.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// A running server; dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves with `handler` on a free port.
    pub fn start(handler: impl Fn(Request<Bytes>) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_async(move |request| std::future::ready(handler(request)))
    }

    /// Serves with a `handler` that may wait, on a free port. Its future ends early when the client
    /// goes away.
    pub fn start_async<F>(handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let serving = async {
                let listener =
                    TcpListener::from_std(listener).expect("a listener moves into the runtime");
                tokio::select! { () = accept(listener, Arc::new(handler)) => {} _ = stopped => {} }
            };
            runtime.expect("a runtime").block_on(serving);
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a server of the world panicked");
        }
    }
}

async fn accept<H, F>(listener: TcpListener, handler: Arc<H>)
where
    H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let ending = Arc::new(Mutex::new(Ending::Whole));
            let wire = Wire { stream, ending: Arc::clone(&ending) };
            let service = service_fn(move |request: Request<Incoming>| {
                answer(request, Arc::clone(&handler), Arc::clone(&ending))
            });
            // Many tests break the connection on purpose.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(wire), service)
                .await;
        });
    }
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

async fn answer<H, F>(
    request: Request<Incoming>,
    handler: Arc<H>,
    ending: Arc<Mutex<Ending>>,
) -> Result<Response<Body>, Infallible>
where
    H: Fn(Request<Bytes>) -> F,
    F: Future<Output = Reply>,
{
    let arrived_at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let reply = handler(Request::from_parts(parts, body)).await;
    if reply.delay == Duration::MAX {
        std::future::pending::<()>().await;
    }
    // However long the world took over it: a server's latency includes its work.
    tokio::time::sleep_until(arrived_at + reply.delay).await;
    if let Some(gate) = &reply.gate {
        gate.pass().await;
    }
    *ending.lock().expect("no holder of this lock panics") = reply.ending.clone();
    let mut response = Response::new(body_of(&reply));
    *response.status_mut() = reply.status.try_into().expect("a valid status");
    for (name, value) in &reply.headers {
        let name: HeaderName = name.parse().expect("a valid header name");
        response
            .headers_mut()
            .append(name, HeaderValue::from_str(value).expect("a valid header value"));
    }
    Ok(response)
}

fn body_of(reply: &Reply) -> Body {
    if reply.ending == Ending::Trickle {
        return StreamBody::new(trickle(reply.body.clone())).boxed_unsync();
    }
    if let Some(growing) = reply.growing.clone() {
        return StreamBody::new(grow(*growing)).boxed_unsync();
    }
    http_body_util::Full::new(reply.body.clone())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn trickle(body: Bytes) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    stream::iter(body).then(|byte| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Frame::data(Bytes::copy_from_slice(&[byte])))
    })
}

fn grow(growing: Growing) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
    stream::unfold((growing, true), |(Growing { mut text, from }, first)| async move {
        if !first {
            text.changed().await.ok()?;
        }
        let news = Bytes::copy_from_slice(&text.borrow_and_update()[from..]);
        let from = from + news.len();
        Some((Ok(Frame::data(news)), (Growing { text, from }, false)))
    })
}

/// A connection that ends as the reply prescribes.
struct Wire {
    stream: TcpStream,
    ending: Arc<Mutex<Ending>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let ending = self.ending.lock().expect("no holder of this lock panics").clone();
        let sent = match ending {
            Ending::Whole | Ending::Trickle => {
                return Pin::new(&mut self.stream).poll_write(cx, buf);
            }
            Ending::Reset => {
                self.stream.set_zero_linger()?;
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            // The last two bytes are always of the body: every ruined answer has one.
            Ending::Truncated => buf[..buf.len().saturating_sub(2)].to_vec(),
            Ending::Garbage(bytes) => bytes,
        };
        ready!(Pin::new(&mut self.stream).poll_write(cx, &sent))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
