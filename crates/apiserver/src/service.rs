//! From an HTTP request to its answer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT, WARNING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tower::Service;

use crate::body::{ConnectionLost, ResponseBody};
use crate::fault::{Answer, FaultAction};
use crate::print::Form;
use crate::request::{RequestInfo, Target};
use crate::resources::{NAMESPACES, is_builtin_group, qualify};
use crate::server::{FOREVER, Inner};
use crate::state::State;
use crate::status::{Outcome, Refusal, RefusalBody};
use crate::watch::{Trouble, Watch};
use crate::write::{Applied, Call, Shown};
use crate::{delete, discovery, rbac, read, reviews, write};

/// The largest body that is read: the real server's limit.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The server as a `tower::Service`, in process: see
/// [`ApiServer::service`](crate::ApiServer::service).
///
/// It never fails as a service. A lost connection is an answer 200 whose body fails with
/// [`ConnectionLost`], because kube's client takes nothing else from an infallible service; use
/// [`ApiService::connection`] where the failure itself is wanted.
///
/// # Cancel safety
///
/// A request whose future is dropped is either applied as a whole or not at all. It is applied in
/// the first poll after its body has arrived, unless an injected fault holds it back before that.
#[derive(Clone)]
pub struct ApiService {
    connection: Connection,
}

/// As [`ApiService`], but a lost connection is the service's error.
#[derive(Clone)]
pub struct Connection {
    pub(crate) inner: Arc<Inner>,
    /// Who acts where a request brings no token; without one such requests get 401.
    pub(crate) user: Option<String>,
}

type ResponseFuture<E> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, E>> + Send + 'static>>;

impl ApiService {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The same service, with lost connections as errors.
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }
}

impl<B> Service<Request<B>> for ApiService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let connection = self.connection.clone();
        Box::pin(async move {
            let answer = connection.answer(request).await;
            Ok(answer.unwrap_or_else(|ConnectionLost| Response::new(ResponseBody::lost())))
        })
    }
}

impl<B> Service<Request<B>> for Connection
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = ConnectionLost;
    type Future = ResponseFuture<ConnectionLost>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionLost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let connection = self.clone();
        Box::pin(async move { connection.answer(request).await })
    }
}

impl std::fmt::Debug for ApiService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ApiService").field(&self.connection).finish()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Connection {
    async fn answer<B>(self, request: Request<B>) -> Result<Response<ResponseBody>, ConnectionLost>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !*self.inner.reachable.borrow() {
            return Err(ConnectionLost);
        }
        let (parts, body) = request.into_parts();
        let info = RequestInfo::parse(&parts.method, &parts.uri);
        let read = Limited::new(body, BODY_LIMIT).collect().await;
        let Ok(body) = read.map(http_body_util::Collected::to_bytes) else {
            let told = "Request entity too large: limit is 3145728";
            let code = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(refuse(&Refusal::other(code, "RequestEntityTooLarge", told)));
        };

        let user = self.user_of(&parts.headers);
        let known = user.as_deref().unwrap_or_default();
        let fault = self.fault(&info, &body, known, agent(&parts.headers));
        let mut trouble = Trouble::default();
        match fault.clone() {
            Some(FaultAction::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(FaultAction::LoseRequest) => {
                self.count(&info, 0);
                return Err(ConnectionLost);
            }
            Some(FaultAction::Hang) => self.hang(&info).await?,
            Some(FaultAction::Answer(answer)) => {
                self.count(&info, answer.code.as_u16());
                return Ok(made_up(answer));
            }
            Some(FaultAction::MuteWatch) => trouble.mute = true,
            Some(FaultAction::DelayEvents(lag)) => trouble.lag = lag,
            Some(FaultAction::EndWatch(after)) => trouble.end = Some(after),
            _ => {}
        }
        let response = self.apply(&parts, &info, &body, user.as_deref(), trouble);
        self.count(&info, response.status().as_u16());
        match fault {
            Some(FaultAction::DelayAnswer(delay)) => tokio::time::sleep(delay).await,
            Some(FaultAction::LoseAnswer) => return Err(ConnectionLost),
            Some(FaultAction::HangAfter) => self.hang(&info).await?,
            Some(FaultAction::AnswerAfter(answer)) => return Ok(made_up(answer)),
            _ => {}
        }
        Ok(response)
    }

    /// Applies a request. Nothing here waits.
    fn apply(
        &self,
        parts: &Parts,
        info: &RequestInfo,
        body: &Bytes,
        user: Option<&str>,
        trouble: Trouble,
    ) -> Response<ResponseBody> {
        // The real server is asked this before it asks who is there.
        if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
            return Response::new(ResponseBody::whole(Bytes::new()));
        }
        let Some(user) = user else {
            return refuse(&Refusal::unauthorized());
        };
        let outcome = match &info.target {
            None => self
                .inner
                .change(|state| discovery::answer(state, parts, info)),
            Some(target) => {
                let caller = Caller {
                    parts,
                    info,
                    target,
                    user,
                    body,
                    trouble,
                };
                self.inner.change(|state| caller.handle(&self.inner, state))
            }
        };
        outcome.unwrap_or_else(|refusal| refuse(&refusal))
    }

    /// The user that a request's token stands for, or the one that the service acts as.
    fn user_of(&self, headers: &HeaderMap) -> Option<String> {
        let user = match headers.get(AUTHORIZATION) {
            None => self.user.clone(),
            Some(value) => {
                let token = token(value.to_str().ok()?)?;
                self.inner.lock().tokens.get(&token).cloned()
            }
        }?;
        let acted = headers
            .get("impersonate-user")
            .and_then(|v| v.to_str().ok());
        Some(acted.map_or(user, str::to_owned))
    }

    fn fault(
        &self,
        info: &RequestInfo,
        body: &Bytes,
        user: &str,
        agent: &str,
    ) -> Option<FaultAction> {
        let mut state = self.inner.lock();
        if state.faults.is_empty() {
            return None;
        }
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = crate::meta::name(&parsed);
        state
            .faults
            .iter_mut()
            .find_map(|rule| rule.strike(info, name, user, agent))
    }

    /// Waits until the server is made unreachable, or for good.
    async fn hang(&self, info: &RequestInfo) -> Result<(), ConnectionLost> {
        self.count(info, 0);
        let mut reachable = self.inner.reachable.subscribe();
        tokio::select! {
            _ = reachable.wait_for(|reachable| !reachable) => {}
            () = tokio::time::sleep(FOREVER) => {}
        }
        Err(ConnectionLost)
    }

    fn count(&self, info: &RequestInfo, code: u16) {
        let resource = match &info.target {
            Some(target) => qualify(&target.plural, &target.group),
            None => info.path.clone(),
        };
        self.inner
            .lock()
            .recorder
            .answered(info.verb, &resource, code);
    }
}

/// One request for a resource, with all that is known about it.
struct Caller<'a> {
    parts: &'a Parts,
    info: &'a RequestInfo,
    target: &'a Target,
    user: &'a str,
    body: &'a Bytes,
    trouble: Trouble,
}

impl Caller<'_> {
    fn handle(&self, server: &Arc<Inner>, state: &mut State) -> Outcome<Response<ResponseBody>> {
        let Self {
            parts,
            info,
            target,
            user,
            ..
        } = *self;
        if state
            .denials
            .iter()
            .any(|denial| denial.matches(info.verb, target, user))
        {
            return Err(rbac::refusal(info, target, user));
        }
        if let Some(review) = reviews::answer(info, target, user, self.body, state) {
            return Ok(json_response(StatusCode::CREATED, review.to_string()));
        }
        let resource = state
            .registry
            .find(&target.group, &target.version, &target.plural)
            .ok_or_else(|| {
                // Custom groups are served by another part of the real server, which answers in
                // plain text.
                if is_builtin_group(&target.group, &target.version) {
                    Refusal::no_such_resource()
                } else {
                    Refusal::no_such_path()
                }
            })?;
        let missing = || {
            if resource.is_custom() && target.subresource == "status" {
                Refusal::not_found(&resource.qualified, &target.name)
            } else if resource.is_custom() {
                Refusal::no_such_path()
            } else {
                Refusal::no_such_resource()
            }
        };
        if !resource.namespaced && !target.namespace.is_empty() {
            return Err(missing());
        }
        match target.subresource.as_str() {
            "" => {}
            "status" if resource.has_status => {}
            "finalize" if resource.plural == "namespaces" => {}
            _ => return Err(missing()),
        }
        let form = Form::negotiate(&parts.headers, &info.query)?;
        let call = Call {
            info,
            target,
            resource: &resource,
            user,
            agent: agent(&parts.headers),
            headers: &parts.headers,
            body: self.body,
        };
        let now = state.clock.now();
        let named = !target.name.is_empty();
        let applied = match parts.method {
            Method::GET | Method::HEAD if info.verb == "watch" => {
                let watch = Watch::begin(server, state, &call, form, self.trouble)?;
                let mut response = Response::new(ResponseBody::events(watch.stream()));
                set_json(&mut response);
                return Ok(response);
            }
            Method::GET | Method::HEAD if named => read::get(state, &call)?,
            Method::GET | Method::HEAD => {
                let listed = read::list(state, &call)?;
                return Ok(json_response(
                    StatusCode::OK,
                    form.list(&resource, &listed, now),
                ));
            }
            Method::POST if !named => write::create(state, &call)?,
            Method::PUT if named => write::update(state, &call)?,
            Method::PATCH if named => write::patch(state, &call)?,
            Method::DELETE if named && target.subresource.is_empty() => delete::one(state, &call)?,
            Method::DELETE if !named && !resource.is(NAMESPACES) => {
                let listed = read::delete_collection(state, &call)?;
                return Ok(json_response(
                    StatusCode::OK,
                    form.list(&resource, &listed, now),
                ));
            }
            _ => return Err(Refusal::method_not_allowed()),
        };
        Ok(show(&call, form, &applied, now))
    }
}

/// The token of an `Authorization` header: a bearer token, or the password of basic
/// authentication, as which a kubeconfig hides it in the server's URL.
fn token(header: &str) -> Option<String> {
    if let Some(token) = header.strip_prefix("Bearer ") {
        return Some(token.trim().to_owned());
    }
    let pair = BASE64_STANDARD
        .decode(header.strip_prefix("Basic ")?.trim())
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

fn show(
    call: &Call<'_>,
    form: Form,
    applied: &Applied,
    now: std::time::SystemTime,
) -> Response<ResponseBody> {
    let resource = call.resource;
    let in_form = |value: &Value| {
        let converted = read::converted(resource, value);
        form.object(resource, converted.as_ref().unwrap_or(value), now)
            .to_string()
    };
    let body = match &applied.object {
        Shown::Status(status) => Bytes::from(status.to_string()),
        Shown::Value(value) => Bytes::from(in_form(value)),
        Shown::Stored(stored) => {
            let as_stored =
                form == Form::Json && read::converted(resource, &stored.value).is_none();
            if as_stored {
                stored.json()
            } else {
                Bytes::from(in_form(&stored.value))
            }
        }
    };
    let mut response = json_response(applied.code, body);
    for warning in &applied.warnings {
        let text = format!("299 - {warning:?}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

fn agent(headers: &HeaderMap) -> &str {
    headers
        .get(USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
}

pub(crate) fn json_response(code: StatusCode, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(body));
    *response.status_mut() = code;
    set_json(&mut response);
    response
}

fn set_json(response: &mut Response<ResponseBody>) {
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

fn refuse(refusal: &Refusal) -> Response<ResponseBody> {
    let mut response = match &refusal.body {
        RefusalBody::Status(status) => json_response(refusal.code, status.to_string()),
        RefusalBody::Text(text) => made_up(Answer::text(refusal.code, text.clone())),
    };
    if let Some(seconds) = refusal.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn made_up(answer: Answer) -> Response<ResponseBody> {
    let mut response = json_response(answer.code, answer.body);
    let content_type = HeaderValue::from_static(answer.content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    if let Some(seconds) = answer.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
