//! Faults that tests inject: late, lost and refused answers.
//!
//! A [`Fault`] names the requests that it strikes, and what happens to them. The first rule that
//! matches a request is used, in the order in which they were injected.
//!
//! ```
//! use std::time::Duration;
//! use tenure_apiserver::{ApiServer, Answer, Fault, FaultAction};
//!
//! let server = ApiServer::builder().build();
//! // The next two replaces of the lease `a` are applied, and their answers are lost.
//! server.inject(
//!     Fault::new(FaultAction::LoseAnswer).verb("update").resource("leases").name("a").times(2),
//! );
//! // Every list is refused.
//! let refused = Fault::new(FaultAction::Answer(Answer::too_many_requests(1))).verb("list");
//! let id = server.inject(refused);
//! server.heal(id);
//! ```

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::request::{RequestInfo, Target};
use crate::resources::qualify;

/// A rule: which requests are struck, how often, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    verb: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    user: Option<String>,
    user_agent: Option<String>,
    skip: u64,
    times: Option<u64>,
    action: FaultAction,
}

/// What happens to a request that a [`Fault`] strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// It waits that long before it is looked at, and is then handled as ever. A caller that goes
    /// away meanwhile takes the request with it: it is not applied.
    Delay(Duration),
    /// It is applied at once; its answer comes that much later.
    DelayAnswer(Duration),
    /// It never arrives: not applied, and the connection is lost.
    LoseRequest,
    /// It is applied; then the connection is lost without an answer.
    LoseAnswer,
    /// It is not applied, and no answer ever comes.
    Hang,
    /// It is applied, and no answer ever comes.
    HangAfter,
    /// It is not applied; this is the answer.
    Answer(Answer),
    /// It is applied, but this is the answer: a 504 of a proxy, for instance.
    AnswerAfter(Answer),
    /// A watch is accepted and then stays silent; other requests are handled as ever.
    MuteWatch,
    /// The events of a watch come that much later than they happened, as from a lagging server;
    /// other requests are handled as ever.
    DelayEvents(Duration),
    /// A watch ends after that long; other requests are handled as ever.
    EndWatch(Duration),
}

/// An answer that a test makes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) retry_after: Option<u32>,
    pub(crate) body: Bytes,
}

/// Names an injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub(crate) u64);

/// A fault as the server keeps it.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: FaultId,
    pub(crate) fault: Fault,
    pub(crate) seen: u64,
    pub(crate) struck: u64,
}

impl Fault {
    /// A fault that strikes every request, for ever, until narrowed down.
    pub fn new(action: FaultAction) -> Self {
        Self {
            verb: None,
            resource: None,
            subresource: None,
            namespace: None,
            name: None,
            user: None,
            user_agent: None,
            skip: 0,
            times: None,
            action,
        }
    }

    /// Only this verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`. `write` stands for the last five, `read` for the first three.
    #[must_use]
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self
    }

    /// Only this resource: its plural, with or without its group.
    #[must_use]
    pub fn resource(mut self, plural: impl Into<String>) -> Self {
        self.resource = Some(plural.into());
        self
    }

    /// Only this subresource, as `status`.
    #[must_use]
    pub fn subresource(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = Some(subresource.into());
        self
    }

    /// Only this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only the object of this name. Creates carry theirs in the body, and watches in a field
    /// selector: both are looked at.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only requests of this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Only requests whose `User-Agent` contains this text.
    #[must_use]
    pub fn user_agent(mut self, part: impl Into<String>) -> Self {
        self.user_agent = Some(part.into());
        self
    }

    /// Leaves the first `n` requests that match in peace.
    #[must_use]
    pub fn after(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// Strikes `n` requests, and then no more.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }
}

impl Answer {
    /// A `Status` with that code, reason and message.
    pub fn status(code: StatusCode, reason: &str, message: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code.as_u16(),
        });
        Self {
            code,
            content_type: "application/json",
            retry_after: None,
            body: Bytes::from(status.to_string()),
        }
    }

    /// The 403 of a right that is missing.
    pub fn forbidden(message: &str) -> Self {
        Self::status(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// The 429 of the real server: plain text with `Retry-After`, no `Status`.
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        let text = "Too many requests, please try again later.\n";
        let mut answer = Self::text(StatusCode::TOO_MANY_REQUESTS, text);
        answer.retry_after = Some(retry_after_seconds);
        answer
    }

    /// The 503 of a server that is starting or going.
    pub fn unavailable() -> Self {
        Self::status(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        )
    }

    /// The 504 of a request that took too long, and may have been applied.
    pub fn gateway_timeout() -> Self {
        Self::status(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            "Timeout: request did not complete within the allotted timeout",
        )
    }

    /// Plain text.
    pub fn text(code: StatusCode, text: impl Into<Bytes>) -> Self {
        let content_type = "text/plain; charset=utf-8";
        Self {
            code,
            content_type,
            retry_after: None,
            body: text.into(),
        }
    }

    /// HTML, as proxies answer.
    pub fn html(code: StatusCode, html: impl Into<Bytes>) -> Self {
        let content_type = "text/html; charset=utf-8";
        Self {
            code,
            content_type,
            retry_after: None,
            body: html.into(),
        }
    }

    /// Adds a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl Rule {
    /// What happens to this request by this rule; `None` when it is not struck.
    pub(crate) fn strike(
        &mut self,
        info: &RequestInfo,
        body_name: &str,
        user: &str,
        agent: &str,
    ) -> Option<FaultAction> {
        if !self.fault.matches(info, body_name, user, agent) {
            return None;
        }
        self.seen += 1;
        let spent = self.fault.times.is_some_and(|times| self.struck >= times);
        if self.seen <= self.fault.skip || spent {
            return None;
        }
        self.struck += 1;
        Some(self.fault.action.clone())
    }
}

impl Fault {
    fn matches(&self, info: &RequestInfo, body_name: &str, user: &str, agent: &str) -> bool {
        let none = Target::default();
        let target = info.target.as_ref().unwrap_or(&none);
        let is =
            |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|w| w == given);
        let verb = self.verb.as_deref().is_none_or(|wanted| {
            let reads = matches!(info.verb, "get" | "list" | "watch");
            match wanted {
                "read" => reads,
                "write" => !reads,
                verb => verb == info.verb,
            }
        });
        let qualified = qualify(&target.plural, &target.group);
        let resource = self
            .resource
            .as_deref()
            .is_none_or(|wanted| wanted == target.plural || wanted == qualified);
        let selected = format!("metadata.name={}", self.name.as_deref().unwrap_or_default());
        let named = is(&self.name, &target.name)
            || is(&self.name, body_name)
            || info
                .query
                .get("fieldSelector")
                .split(',')
                .any(|term| term == selected);
        let agent = self
            .user_agent
            .as_deref()
            .is_none_or(|part| agent.contains(part));
        verb && resource
            && named
            && agent
            && is(&self.subresource, &target.subresource)
            && is(&self.namespace, &target.namespace)
            && is(&self.user, user)
    }
}
