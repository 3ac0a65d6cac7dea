//! The answer to a watch as events: one line each, read no further than an object is long, and
//! only those of the object that was asked for, where it was one.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body, core::Status};
use serde_json::Value;

use super::head::{Head, Line};
use crate::{
    call::{shorten, with_causes},
    object,
};

/// The longest line that is read. An object has at most about 1.5 MiB in etcd.
pub(super) const LONGEST_LINE: usize = 4 << 20;
/// How much of a refusal is read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// What a watch shows.
#[derive(Debug)]
pub(super) enum Shown {
    Seen(Heard),
    Gone(Heard),
    /// Everything up to its resourceVersion was shown.
    Bookmark(Heard),
}

/// An event that was read so far as to tell whose it is.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) name: Option<Box<str>>,
    pub(super) resource_version: Option<Box<str>>,
    line: Bytes,
}

/// The object of an event, whole.
#[derive(Clone, Debug)]
pub(crate) struct Sent(Bytes);

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
    read: BytesMut,
    /// How much of it is known to have no end of line in it.
    searched: usize,
    /// None for all objects.
    name: Option<String>,
}

impl Heard {
    #[cfg(test)]
    pub(super) fn of(object: &Value) -> Self {
        let line = serde_json::json!({"type": "ADDED", "object": object}).to_string();
        match understand(&line.into()) {
            Ok(Shown::Seen(heard)) => heard,
            other => panic!("{other:?}"),
        }
    }

    /// One that ends in the middle.
    #[cfg(test)]
    pub(super) fn broken(name: &str, version: &str) -> Self {
        Self {
            name: Some(name.into()),
            resource_version: Some(version.into()),
            line: Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{"),
        }
    }

    fn with(head: Head, line: &Bytes) -> Self {
        Self {
            name: head.name,
            resource_version: head.resource_version,
            line: line.clone(),
        }
    }

    /// Its object.
    pub(super) fn whole(&self) -> Result<Sent, End> {
        let line = line(&self.line)?;
        Ok(Sent(self.line.slice_ref(line.object.get().as_bytes())))
    }
}

impl Sent {
    /// As it was sent.
    pub(super) fn json(&self) -> &[u8] {
        &self.0
    }

    /// Taken apart.
    pub(super) fn object(&self) -> Value {
        object::parse(&self.0).unwrap_or_default()
    }
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
            read: BytesMut::new(),
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
                    let rest = self.read.split().freeze();
                    self.searched = 0;
                    if Line::of(&rest).is_err() {
                        return Ok(None);
                    }
                    return Ok(self.understand(&rest).unwrap_or_default());
                }
            }
        }
    }

    /// The next whole line that was read.
    fn line(&mut self) -> Option<Bytes> {
        let unsearched = self.read.get(self.searched..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', unsearched) else {
            self.searched = self.read.len();
            return None;
        };
        let line = self.read.split_to(self.searched + at + 1).freeze();
        self.searched = 0;
        Some(line)
    }

    /// What a line says; nothing for objects of other names, which a server that knows no field
    /// selectors would send.
    fn understand(&self, line: &Bytes) -> Result<Option<Shown>, End> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let shown = understand(line)?;
        let mine = match &shown {
            Shown::Seen(heard) | Shown::Gone(heard) => {
                self.name.is_none() || self.name.as_deref() == heard.name.as_deref()
            }
            Shown::Bookmark(_) => true,
        };
        Ok(Some(shown).filter(|_| mine))
    }
}

fn understand(text: &Bytes) -> Result<Shown, End> {
    // Nearly all lines are read so far: what is no head of an object is looked at again.
    if let Some((kind, head)) = Head::of(text)
        && let Some(shown) = shown(&kind)
    {
        return Ok(shown(Heard::with(head, text)));
    }
    let line = line(text)?;
    if let Some(shown) = shown(&line.kind) {
        // What has no such head has no name either: it is nobody's.
        return Ok(shown(Heard::with(Head::default(), text)));
    }
    if line.kind == "ERROR" {
        let status: Value = serde_json::from_str(line.object.get()).unwrap_or_default();
        let told = status.get("message").and_then(Value::as_str);
        let code = status.get("code").and_then(Value::as_u64);
        let code = code.map_or_else(String::new, |code| format!(" {code}"));
        let told = shorten(told.unwrap_or("no reason is given"));
        return Err(End::because(format!(
            "the server ended it with{code}: {told}"
        )));
    }
    let other = shorten(&line.kind);
    Err(End::because(format!("{other:?} is no event of a watch")))
}

/// The line, read to its end.
fn line(text: &Bytes) -> Result<Line<'_>, End> {
    Line::of(text).map_err(|error| {
        let begins = String::from_utf8_lossy(&text[..text.len().min(1024)]);
        let begins = shorten(begins.trim());
        End::because(format!("this is no event of a watch ({error}): {begins}"))
    })
}

/// What an event of that type shows of its object.
fn shown(kind: &str) -> Option<fn(Heard) -> Shown> {
    match kind {
        "ADDED" | "MODIFIED" => Some(Shown::Seen),
        "DELETED" => Some(Shown::Gone),
        "BOOKMARK" => Some(Shown::Bookmark),
        _ => None,
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
                Ok(Some(Shown::Seen(heard))) => match heard.whole() {
                    Ok(_) => kinds.push('s'),
                    Err(end) => return (kinds, Some(end.error)),
                },
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
        let head = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"mine\",\"resourceVersion\":\"5\"";
        for piece in ["{\"type\":\"MODI", head] {
            let cut = Bytes::from(event("ADDED", "mine") + piece);
            assert_eq!(all(vec![cut]).await, ("s".to_owned(), None));
        }
        let last = event("ADDED", "mine") + "{\"type\":\"ERROR\",\"object\":{}}";
        assert_eq!(all(vec![last.into()]).await, ("s".to_owned(), None));
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
            (
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"mine\",\"resourceVersion\":\"5\"}]",
                "no event",
            ),
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
