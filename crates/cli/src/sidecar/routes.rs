//! Paths, and what they answer.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json};
use tenure::{Kind, Released};
use tokio::sync::oneshot;

use super::{
    answer::Refusal,
    desk::Desk,
    metrics,
    security::{PROBES, Security},
    stand::{Ask, Outcome},
    watch::Watchers,
};

/// All that answers are made with.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) desk: Arc<Desk>,
    pub(super) security: Security,
    pub(super) watchers: Watchers,
    /// How long the body of a request may take.
    pub(super) body_limit: Duration,
}

type App = Arc<Front>;

/// The file that describes all of this.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The most that a request's body may be.
pub(super) const MOST_BODY: usize = 4096;
/// In characters: an identity may have 1024 bytes.
const LONGEST_NAME: usize = 256;

/// Every path, with the one method that it takes; HEAD is answered as GET.
fn table() -> [(&'static str, &'static str, MethodRouter<App>); 11] {
    [
        ("get", "/", get(name)),
        ("get", "/v1/status", get(status)),
        ("get", "/leader", get(leader)),
        ("get", "/replica", get(replica)),
        ("get", "/healthz", get(healthz)),
        ("get", "/readyz", get(readyz)),
        ("get", "/metrics", get(figures)),
        ("get", "/v1/watch", get(watch)),
        ("post", "/v1/step-down", post(step_down)),
        ("post", "/v1/hand-over", post(hand_over)),
        ("get", "/openapi.json", get(openapi)),
    ]
}

/// Methods and paths.
pub(super) static PATHS: LazyLock<Vec<(&str, &str)>> =
    LazyLock::new(|| table().map(|(method, path, _)| (method, path)).to_vec());

pub(super) fn router(front: App) -> Router {
    let mut router = Router::new();
    for (_, path, methods) in table() {
        router = router.route(path, methods);
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&front), guarded))
        .layer(middleware::from_fn_with_state(Arc::clone(&front), noted))
        .with_state(front)
}

/// What is answered to whoever asks, and nothing else.
pub(super) fn probes(front: App) -> Router {
    let mut router = Router::new();
    for (_, path, methods) in table() {
        if PROBES.contains(&path) {
            router = router.route(path, methods);
        }
    }
    router
        .fallback(no_probe)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&front), noted))
        .with_state(front)
}

async fn guarded(State(front): State<App>, request: Request, next: Next) -> Response {
    let checked = front
        .security
        .check(request.method(), request.uri(), request.headers());
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn noted(State(front): State<App>, request: Request, next: Next) -> Response {
    let asked = request.uri().path();
    let known = PATHS.iter().find(|(_, path)| *path == asked);
    let path = known.map_or("other", |(_, path)| path);
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    let code = response.status().as_u16();
    front.desk.counters.answered(path, code);
    response
}

async fn name(State(front): State<App>) -> Json<Value> {
    Json(json!({"name": front.desk.name()}))
}

async fn status(State(front): State<App>) -> Response {
    Json(front.desk.promise()).into_response()
}

async fn leader(State(front): State<App>) -> Response {
    let said = front.desk.promise();
    (yes(said.leading), Json(said)).into_response()
}

async fn replica(State(front): State<App>) -> Response {
    let said = front.desk.promise();
    (yes(!said.leading), Json(said)).into_response()
}

async fn healthz(State(front): State<App>) -> Response {
    let healthy = front.desk.is_healthy();
    (yes(healthy), Json(json!({"healthy": healthy}))).into_response()
}

async fn readyz(State(front): State<App>) -> Response {
    let ready = front.desk.has_seen();
    (yes(ready), Json(json!({"ready": ready}))).into_response()
}

async fn figures(State(front): State<App>) -> Response {
    let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (kind, metrics::text(&front.desk)).into_response()
}

async fn watch(State(front): State<App>) -> Response {
    front.watchers.watch(&front.desk)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn not_found() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this path",
        "GET /openapi.json lists the paths",
    )
}

async fn no_probe() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "nothing but /healthz and /readyz is answered here",
        "ask at the address of --http",
    )
}

async fn not_allowed() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take this method",
        "take the method that the header Allow names; GET /openapi.json lists all",
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepDown {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOver {
    to: String,
}

async fn step_down(State(front): State<App>, headers: HeaderMap, body: Body) -> Answer {
    read::<StepDown>(&front, &headers, body, true).await?;
    leave(&front.desk, None).await
}

async fn hand_over(State(front): State<App>, headers: HeaderMap, body: Body) -> Answer {
    let asked: Option<HandOver> = read(&front, &headers, body, false).await?;
    let to = asked.map(|asked| asked.to).unwrap_or_default();
    if to.trim().is_empty() || to.chars().count() > LONGEST_NAME || to.chars().any(char::is_control)
    {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!(
                "\"to\" can be nobody's name: it is empty, longer than {LONGEST_NAME} characters, or has \
                 control characters in it"
            ),
            "give a Pod's name or uid, or a candidate's identity",
        ));
    }
    if front.desk.facts.kind != Kind::Lease {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a lock for life is deleted when it is given up, and can name nobody",
            "take /v1/step-down, or a sidecar with --lock lease",
        ));
    }
    leave(&front.desk, Some(to)).await
}

type Answer = Result<Response, Refusal>;

#[derive(Serialize)]
struct Left {
    released: bool,
    term: u64,
    token: String,
    to: Option<String>,
}

/// Has the term left, and waits until it is.
async fn leave(desk: &Desk, to: Option<String>) -> Answer {
    let lead = desk.gate.look().ok_or_else(Refusal::not_leading)?;
    let (term, token) = (lead.handle.term(), lead.token());
    let (sender, answer) = oneshot::channel();
    let ask = Ask {
        to: to.clone(),
        token: token.clone(),
        answer: sender,
    };
    desk.asks.try_send(ask).map_err(|_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many ask for the same just now",
            "look at /v1/status, and ask again if it still leads",
        )
    })?;
    match answer.await {
        Ok(Outcome::Left(Released::Failed(why))) => Err(Refusal::new(
            StatusCode::BAD_GATEWAY,
            format!("it leads no more, but the lock could not be freed ({why})"),
            "nothing: the lock runs out by itself, as after a crash",
        )),
        Ok(Outcome::Left(released)) => {
            let released = released == Released::Free;
            let left = Left {
                released,
                term,
                token,
                to,
            };
            Ok(Json(left).into_response())
        }
        Ok(Outcome::Refused(why)) => Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            why,
            "give a Pod's name or uid, or a candidate's identity",
        )),
        Ok(Outcome::NotLeading) | Err(_) => Err(Refusal::not_leading()),
    }
}

/// The body, which has to be a JSON object of that shape; none where it is empty and may be.
async fn read<T: DeserializeOwned>(
    front: &Front,
    headers: &HeaderMap,
    body: Body,
    may_be_empty: bool,
) -> Result<Option<T>, Refusal> {
    let bytes = match tokio::time::timeout(front.body_limit, to_bytes(body, MOST_BODY)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {MOST_BODY} bytes, or was broken off"),
                "send less; /openapi.json shows what is taken",
            ));
        }
        Err(_) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not come within {:?}", front.body_limit),
                "send it at once",
            ));
        }
    };
    let kind = headers.get(header::CONTENT_TYPE);
    if bytes.is_empty() && may_be_empty && kind.is_none() {
        return Ok(None);
    }
    if !kind.is_some_and(is_json) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is not called JSON",
            "send `Content-Type: application/json`",
        ));
    }
    if bytes.is_empty() && may_be_empty {
        return Ok(None);
    }
    let _: IgnoredAny = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body is no JSON ({error})"),
            "send a JSON object; /openapi.json shows which",
        )
    })?;
    let shaped = |error: String| {
        Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the body is not what is taken here ({error})"),
            "see /openapi.json",
        )
    };
    // A list would be taken for the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(shaped("it is no object".to_owned()));
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| shaped(error.to_string()))
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn yes(is: bool) -> StatusCode {
    if is {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
