//! A model on loopback that speaks just enough of the messages API for the real Claude Code to
//! work.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// What the model answers.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    /// Calls this shell command, reads its result, and ends.
    Work { command: &'static str },
    /// Calls this shell command, and never answers its result.
    WorkThenHang { command: &'static str },
    /// Refuses with this status and error type.
    Refuse { status: StatusCode, kind: &'static str },
}

/// A model that answers until the test program ends.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) url: String,
    conversations: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    pub(crate) fn start(script: Script) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let conversations = Arc::default();
        let received = Arc::clone(&conversations);
        thread::spawn(move || serve(listener, &script, &received));
        Self { url: format!("http://{address}"), conversations }
    }

    /// Whether some request that reached the model carries the text.
    pub(crate) fn has_received(&self, text: &str) -> bool {
        let conversations = self.conversations.lock().expect("no request handler panicked");
        conversations.iter().any(|request| request.to_string().contains(text))
    }

    /// Whether one conversation has both texts.
    pub(crate) fn has_received_both(&self, one: &str, other: &str) -> bool {
        let conversations = self.conversations.lock().expect("no request handler panicked");
        let texts = conversations.iter().map(Value::to_string);
        texts.into_iter().any(|text| text.contains(one) && text.contains(other))
    }
}

fn serve(listener: TcpListener, script: &Script, received: &Arc<Mutex<Vec<Value>>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let listener =
            tokio::net::TcpListener::from_std(listener).expect("the runtime takes the socket");
        loop {
            let (stream, _): (_, SocketAddr) = listener.accept().await.expect("the socket accepts");
            let (script, received) = (script.clone(), Arc::clone(received));
            tokio::spawn(async move {
                let service = service_fn(|request| answer(request, &script, &received));
                // A client that hangs up is not a failure of the model.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

async fn answer(
    request: Request<Incoming>,
    script: &Script,
    received: &Mutex<Vec<Value>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    if path != "/v1/messages" {
        return Ok(error(StatusCode::NOT_FOUND, "not_found_error"));
    }
    received.lock().expect("no request handler panicked").push(asked.clone());
    match script {
        Script::Refuse { status, kind } => Ok(error(*status, kind)),
        Script::Work { command } | Script::WorkThenHang { command } if may_work(&asked) => {
            Ok(message(&asked, &tool_call(command)))
        }
        Script::WorkThenHang { .. } if has_result(&asked) => std::future::pending().await,
        Script::Work { .. } | Script::WorkThenHang { .. } => {
            Ok(message(&asked, &json!({"type": "text", "text": "Done: one file written."})))
        }
    }
}

/// The agent offers its shell, and no command has run yet.
fn may_work(asked: &Value) -> bool {
    let offers_shell = asked["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "Bash"));
    offers_shell && !has_result(asked)
}

fn has_result(asked: &Value) -> bool {
    asked["messages"].to_string().contains(r#""type":"tool_result""#)
}

fn tool_call(command: &str) -> Value {
    let input = json!({"command": command, "description": "Does the work"});
    json!({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": input})
}

fn error(status: StatusCode, kind: &str) -> Response<Full<Bytes>> {
    let body = json!({"type": "error", "error": {"type": kind, "message": "refused by the test"}});
    respond(status, "application/json", body.to_string())
}

/// One content block, whole or, where the client set `stream`, as a stream of events.
fn message(asked: &Value, block: &Value) -> Response<Full<Bytes>> {
    let calls_tool = block["type"] == "tool_use";
    let stop_reason = if calls_tool { "tool_use" } else { "end_turn" };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let mut whole = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "model": asked["model"],
        "content": [block], "stop_reason": stop_reason, "stop_sequence": null, "usage": usage});
    if asked["stream"] != true {
        return respond(StatusCode::OK, "application/json", whole.to_string());
    }
    whole["content"] = json!([]);
    whole["stop_reason"] = Value::Null;
    let (opening, delta) = if calls_tool {
        let mut opening = block.clone();
        opening["input"] = json!({});
        (opening, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
    } else {
        (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
    };
    let stop = json!({"stop_reason": stop_reason, "stop_sequence": null});
    let events = [
        json!({"type": "message_start", "message": whole}),
        json!({"type": "content_block_start", "index": 0, "content_block": opening}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    let stream = events.iter().map(|event| {
        let name = event["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    });
    respond(StatusCode::OK, "text/event-stream", stream.collect())
}

fn respond(status: StatusCode, content_type: &str, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(Full::new(Bytes::from(body))).expect("status and header are valid")
}
