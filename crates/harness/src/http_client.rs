//! Raw requests: what came back, whatever it was.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures::{AsyncBufRead, AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _, io::Lines};
use http::response::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// An answer of a server, good or bad.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; where it is none, its text as a JSON string.
    pub body: Value,
}

/// An open watch. Dropping it ends it.
pub struct Watch {
    lines: Lines<Box<dyn AsyncBufRead + Send + Unpin>>,
}

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends one request and reads the whole answer, within a minute for each. A `body` of null is
/// none.
///
/// `content_type` empty stands for `application/json`.
///
/// # Errors
///
/// Only where there is no answer: an answer 4xx or 5xx is an answer.
pub async fn send(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Result<Answer> {
    let headers: &[(&str, &str)] = if content_type.is_empty() {
        &[]
    } else {
        &[("content-type", content_type)]
    };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send_with(client, method, path, headers, body).await
}

/// As [`send`], with any headers and any body, which need not be JSON; an empty one is none.
///
/// JSON is asked for, and named as the body's type, unless the headers say otherwise.
///
/// # Errors
///
/// As [`send`].
pub async fn send_with(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer> {
    let what = format!("{method} {path}");
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let has = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    if !has("accept") {
        request = request.header("accept", "application/json");
    }
    if !body.is_empty() && !has("content-type") {
        request = request.header("content-type", "application/json");
    }
    let request = request
        .body(Body::from(body.into_bytes()))
        .with_context(|| format!("not a request: {what}"))?;
    let response = tokio::time::timeout(LIMIT, client.send(request))
        .await
        .map_err(|_| anyhow!("{what}: no answer within {LIMIT:?}"))?
        .with_context(|| what.clone())?;
    let (head, body) = response.into_parts();
    collect(head, body, &what).await
}

impl Answer {
    /// The body of a good answer.
    ///
    /// # Errors
    ///
    /// Any answer but 2xx.
    pub fn ok(self) -> Result<Value> {
        if (200..300).contains(&self.code) {
            Ok(self.body)
        } else {
            bail!("the server answered {}: {}", self.code, self.body)
        }
    }

    /// The `reason` of a `Status`; empty where there is none.
    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }
}

impl Watch {
    /// Opens a watch. `path` carries the parameters, `watch=1` among them.
    ///
    /// # Errors
    ///
    /// No answer, or any but 200.
    pub async fn open(client: &Client, path: &str) -> Result<Self> {
        match Self::open_or_answer(client, path).await? {
            Ok(watch) => Ok(watch),
            Err(answer) => bail!("watch {path}: {}: {}", answer.code, answer.body),
        }
    }

    /// As [`Watch::open`], with the answer in the place of a watch that was refused.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn open_or_answer(client: &Client, path: &str) -> Result<Result<Self, Answer>> {
        let what = format!("watch {path}");
        let request = Request::get(path)
            .header("accept", "application/json")
            .body(Body::from(Vec::new()))
            .with_context(|| what.clone())?;
        let response = tokio::time::timeout(LIMIT, client.send(request))
            .await
            .map_err(|_| anyhow!("{what}: no answer within {LIMIT:?}"))?
            .with_context(|| what.clone())?;
        let (head, body) = response.into_parts();
        if head.status.as_u16() != 200 {
            return Ok(Err(collect(head, body, &what).await?));
        }
        let bytes = body.into_data_stream().map_err(std::io::Error::other);
        let stream: Box<dyn AsyncBufRead + Send + Unpin> =
            Box::new(Box::pin(bytes).into_async_read());
        Ok(Ok(Self {
            lines: stream.lines(),
        }))
    }

    /// The next event; `None` when the watch ended.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, or the connection breaks.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped before it is ready.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Value>> {
        let line = tokio::time::timeout(limit, self.lines.next())
            .await
            .map_err(|_| anyhow!("no event within {limit:?}"))?;
        match line.transpose().context("the watch broke off")? {
            Some(line) => Ok(Some(
                serde_json::from_str(&line).context("an event that is no JSON")?,
            )),
            None => Ok(None),
        }
    }
}

async fn collect(head: Parts, body: Body, what: &str) -> Result<Answer> {
    let bytes = tokio::time::timeout(LIMIT, body.collect())
        .await
        .map_err(|_| anyhow!("{what}: no whole answer within {LIMIT:?}"))?
        .map_err(|error| anyhow!("{what}: the answer broke off: {error}"))?
        .to_bytes();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Ok(Answer {
        code: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}
