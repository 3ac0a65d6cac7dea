//! The answer to a watch as events: one line each, read no further than an object is long, and
//! only those of the object that was asked for, where it was one.

use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body, core::Status};
use serde::Deserialize;
use serde_json::Value;

use crate::call::{shorten, with_causes};

/// The longest line that is read. An object has at most about 1.5 MiB in etcd.
pub(super) const LONGEST_LINE: usize = 4 << 20;
/// How much of a refusal is read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// What a watch shows.
#[derive(Debug, PartialEq)]
pub(super) enum Shown {
    Seen(Value),
    Gone(Value),
    /// Everything up to its resourceVersion was shown.
    Bookmark(Value),
}

/// Why a watch ended, for people, and whether it was refused for want of a right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) error: String,
    pub(super) forbidden: bool,
}

/// An open watch.
pub(super) struct Events {
    body: Body,
    /// What was read and is no whole line yet.
    read: Vec<u8>,
    /// How much of it is known to have no end of line in it.
    searched: usize,
    /// None for all objects.
    name: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

impl Events {
    /// Open the watch that `request` asks for, on the object `name`.
    pub(super) async fn of_one(
        client: &Client,
        request: http::Request<Vec<u8>>,
        name: &str,
    ) -> Result<Self, End> {
        let body = open(client, request).await?;
        Ok(Self::new(body, Some(name.to_owned())))
    }

    /// Open the watch that `request` asks for, on whatever objects there are.
    pub(super) async fn of_all(
        client: &Client,
        request: http::Request<Vec<u8>>,
    ) -> Result<Self, End> {
        Ok(Self::new(open(client, request).await?, None))
    }

    fn new(body: Body, name: Option<String>) -> Self {
        Self {
            body,
            read: Vec::new(),
            searched: 0,
            name,
        }
    }

    /// The next event; none when the server has closed the watch, as it does in the end.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read stays.
    pub(super) async fn next(&mut self) -> Result<Option<Shown>, End> {
        loop {
            if let Some(line) = self.line() {
                if let Some(shown) = self.understand(&line)? {
                    return Ok(Some(shown));
                }
                continue;
            }
            if self.read.len() > LONGEST_LINE {
                return Err(End::because(format!(
                    "an event is longer than {LONGEST_LINE} bytes"
                )));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(End::because(with_causes(&error))),
                None => {
                    // A last event without its end of line may be whole; a piece of one is not.
                    let rest = std::mem::take(&mut self.read);
                    self.searched = 0;
                    return Ok(self.understand(&rest).unwrap_or_default());
                }
            }
        }
    }

    /// The next whole line that was read.
    fn line(&mut self) -> Option<Vec<u8>> {
        let unsearched = self.read.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.read.len();
            return None;
        };
        let rest = self.read.split_off(self.searched + at + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.read, rest))
    }

    /// What a line says; nothing for objects of other names, which a server that knows no field
    /// selectors would send.
    fn understand(&self, line: &[u8]) -> Result<Option<Shown>, End> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(line).map_err(|error| {
            let begins = String::from_utf8_lossy(&line[..line.len().min(1024)]);
            let begins = shorten(begins.trim());
            End::because(format!("this is no event of a watch ({error}): {begins}"))
        })?;
        let kind = line.kind.as_str();
        let name = line
            .object
            .pointer("/metadata/name")
            .and_then(Value::as_str);
        match kind {
            "ADDED" | "MODIFIED" | "DELETED"
                if self.name.is_some() && name != self.name.as_deref() =>
            {
                Ok(None)
            }
            "ADDED" | "MODIFIED" => Ok(Some(Shown::Seen(line.object))),
            "DELETED" => Ok(Some(Shown::Gone(line.object))),
            "BOOKMARK" => Ok(Some(Shown::Bookmark(line.object))),
            "ERROR" => {
                let told = line.object.get("message").and_then(Value::as_str);
                let code = line.object.get("code").and_then(Value::as_u64);
                let code = code.map_or_else(String::new, |code| format!(" {code}"));
                let told = shorten(told.unwrap_or("no reason is given"));
                Err(End::because(format!(
                    "the server ended it with{code}: {told}"
                )))
            }
            other => {
                let other = shorten(other);
                Err(End::because(format!("{other:?} is no event of a watch")))
            }
        }
    }
}

async fn open(client: &Client, request: http::Request<Vec<u8>>) -> Result<Body, End> {
    let answer = client
        .send(request.map(Body::from))
        .await
        .map_err(|error| End::because(with_causes(&error)))?;
    let status = answer.status();
    if !status.is_success() {
        let body = Limited::new(answer.into_body(), LONGEST_REFUSAL);
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        let told = match serde_json::from_slice::<Status>(&body) {
            Ok(status) => status.message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        return Err(End {
            error: format!("{status}: {}", shorten(told.trim())),
            forbidden: status == http::StatusCode::FORBIDDEN,
        });
    }
    Ok(answer.into_body())
}

impl End {
    pub(super) fn because(error: String) -> Self {
        Self {
            error,
            forbidden: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;
    use http_body::Frame;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, name: &str) -> String {
        json!({"type": kind, "object": {"metadata": {"name": name}}}).to_string() + "\n"
    }

    /// Events out of these pieces of a body.
    async fn events(pieces: Vec<Bytes>) -> Events {
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let pieces = pieces.clone().into_iter();
            let frames = pieces.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
            let body = http_body_util::StreamBody::new(stream::iter(frames));
            std::future::ready(Ok::<_, std::io::Error>(http::Response::new(body)))
        });
        let request = http::Request::new(Vec::new());
        Events::of_one(&Client::new(service, "default"), request, "mine")
            .await
            .unwrap()
    }

    /// The kinds of what came before the end, and the end's error.
    async fn all(pieces: Vec<Bytes>) -> (String, Option<String>) {
        let mut events = events(pieces).await;
        let mut kinds = String::new();
        loop {
            match events.next().await {
                Ok(Some(Shown::Seen(_))) => kinds.push('s'),
                Ok(Some(Shown::Gone(_))) => kinds.push('g'),
                Ok(Some(Shown::Bookmark(_))) => kinds.push('b'),
                Ok(None) => return (kinds, None),
                Err(end) => return (kinds, Some(end.error)),
            }
        }
    }

    #[tokio::test]
    async fn events_are_read_wherever_they_are_cut() {
        let text = event("ADDED", "mine") + "\r\n" + &event("BOOKMARK", "mine");
        let text = text + &event("DELETED", "mine") + event("MODIFIED", "mine").trim_end();
        for size in 1..text.len() {
            let pieces = text.as_bytes().chunks(size).map(Bytes::copy_from_slice);
            let told = all(pieces.collect()).await;
            assert_eq!(told, ("sbgs".to_owned(), None), "{size}");
        }
        let cut = Bytes::from(event("ADDED", "mine") + "{\"type\":\"MODI");
        assert_eq!(all(vec![cut]).await, ("s".to_owned(), None));
    }

    #[tokio::test]
    async fn events_of_other_objects_are_passed_over() {
        let mut text = String::new();
        for kind in ["ADDED", "MODIFIED", "DELETED"] {
            text += &event(kind, "another");
            for object in [json!({"metadata": {}}), json!(5)] {
                text += &json!({"type": kind, "object": object}).to_string();
                text.push('\n');
            }
        }
        text += &event("ADDED", "mine");
        assert_eq!(all(vec![text.into()]).await, ("s".to_owned(), None));
    }

    #[tokio::test]
    async fn what_is_no_event_ends_the_watch_and_says_so() {
        for (line, says) in [
            ("{\"type\":\"NEW\",\"object\":{}}", "NEW"),
            ("<html>", "<html>"),
            ("\u{1}[[[", "no event"),
            ("{\"type\":\"ERROR\",\"object\":null}", "no reason"),
            (
                "{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}",
                "410: too old",
            ),
        ] {
            let text = event("ADDED", "mine") + line + "\n";
            let (kinds, error) = all(vec![text.into()]).await;
            assert_eq!(kinds, "s");
            assert!(error.as_deref().unwrap().contains(says), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_given_up() {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let (_, error) = all(vec![piece; 64]).await;
        assert!(error.unwrap().contains("longer than"));
    }
}
