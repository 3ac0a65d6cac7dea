//! One talk with a server: requests that are written down as they are made.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WARNING};
use kube::{Client, Config};
use serde_json::{Value, json};
use tenure_harness::{Answer, TestServer, Watch, send_with};

use super::render::{self, Names, Step};

/// A talk in a namespace of its own.
pub struct Talk {
    pub server: TestServer,
    pub ns: String,
    client: Client,
    steps: Vec<Step>,
    names: Names,
}

/// A watch of a talk.
pub struct Listener {
    watch: Watch,
}

/// Begins what is written down when a talk does not go as it must: no golden holds it.
pub const FAILED: &str = "FAILED:";

/// How long an event that must come may take.
const SOON: Duration = Duration::from_secs(20);

impl Talk {
    pub async fn begin(server: &TestServer, area: &str) -> Self {
        let ns = server.namespace(area).await.unwrap();
        Self {
            client: client(server.config()),
            names: vec![(ns.clone(), "NS".to_owned())],
            steps: vec![Step::Case("to begin with".to_owned())],
            server: server.clone(),
            ns,
        }
    }

    /// All that was written down.
    pub fn text(&self) -> String {
        // Not everything begins before its first case.
        let from = usize::from(matches!(self.steps.get(1), Some(Step::Case(_))));
        render::text(&self.steps[from..], &self.names)
    }

    /// Begins a case: uids and resourceVersions are counted anew.
    pub fn case(&mut self, name: &str) {
        self.steps.push(Step::Case(name.to_owned()));
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Note(text.into()));
    }

    /// Lets `stand_in` stand for a text that differs from run to run.
    pub fn name(&mut self, text: &str, stand_in: &str) {
        // Longer texts first: one may be a part of another.
        self.names.push((text.to_owned(), stand_in.to_owned()));
        self.names
            .sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    /// Another client for the rest of the talk.
    pub fn act_as(&mut self, config: Config, who: &str) {
        self.client = client(config);
        self.note(format!("from here on as {who}"));
    }

    pub fn leases(&self, rest: &str) -> String {
        format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases{rest}",
            self.ns
        )
    }

    pub fn maps(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/configmaps{rest}", self.ns)
    }

    pub fn pods(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/pods{rest}", self.ns)
    }

    pub fn locks(&self, rest: &str) -> String {
        format!(
            "/apis/coralogix.com/v1/namespaces/{}/leaderlocks{rest}",
            self.ns
        )
    }

    pub async fn get(&mut self, path: &str) -> Value {
        self.ask(Method::GET, path, "", &Value::Null).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, "", &body).await
    }

    pub async fn put(&mut self, path: &str, body: &Value) -> Value {
        self.ask(Method::PUT, path, "", body).await
    }

    pub async fn delete(&mut self, path: &str, options: Value) -> Value {
        self.ask(Method::DELETE, path, "", &options).await
    }

    pub async fn merge(&mut self, path: &str, patch: Value) -> Value {
        self.ask(Method::PATCH, path, "application/merge-patch+json", &patch)
            .await
    }

    pub async fn strategic(&mut self, path: &str, patch: Value) -> Value {
        self.ask(
            Method::PATCH,
            path,
            "application/strategic-merge-patch+json",
            &patch,
        )
        .await
    }

    pub async fn json_patch(&mut self, path: &str, patch: Value) -> Value {
        self.ask(Method::PATCH, path, "application/json-patch+json", &patch)
            .await
    }

    /// A request with a content type, its answer written down.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Value {
        let headers: &[(&str, &str)] = if content_type.is_empty() {
            &[]
        } else {
            &[("content-type", content_type)]
        };
        self.ask_with(method, path, headers, &bytes(body)).await
    }

    /// A request as it is to be, its answer written down.
    pub async fn ask_with(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Value {
        let answer = self.quiet(method.clone(), path, headers, body).await;
        self.write_down(&method, path, headers, body, answer)
    }

    /// As [`Talk::ask`], with only a part of the answer written down.
    pub async fn get_part(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        part: impl FnOnce(&Value) -> Value,
    ) -> Value {
        let mut answer = self.quiet(Method::GET, path, headers, "").await;
        let part = part(&answer.body);
        let whole = std::mem::replace(&mut answer.body, part);
        self.write_down(&Method::GET, path, headers, "", answer);
        whole
    }

    /// A request of which nothing is written down.
    pub async fn quiet(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        send_with(&self.client, method, path, headers, body.to_owned())
            .await
            .unwrap()
    }

    /// Waits until an object is as wanted, and writes it down as it is then.
    pub async fn wait_for(
        &mut self,
        path: &str,
        what: &str,
        wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        self.steps
            .push(Step::Asked(format!("wait for {path}: {what}")));
        match self.server.wait_for(path, wanted).await {
            Ok(found) => {
                self.steps
                    .push(Step::Answered("200".to_owned(), found.clone()));
                found
            }
            Err(error) => {
                self.failed(&error.to_string());
                Value::Null
            }
        }
    }

    /// Waits until there is no object.
    pub async fn gone(&mut self, path: &str) {
        match self.server.wait_until_gone(path).await {
            Ok(()) => self.note(format!("{path} is gone")),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// Opens a watch; a refusal is written down and gives none.
    pub async fn watch(&mut self, path: &str) -> Option<Listener> {
        let opened = Watch::open_or_answer(&self.client, path).await.unwrap();
        match opened {
            Ok(watch) => {
                self.steps.push(Step::Asked(format!("WATCH {path}")));
                Some(Listener { watch })
            }
            Err(answer) => {
                self.write_down(&Method::GET, path, &[], "", answer);
                None
            }
        }
    }

    /// The next event of a watch, which must come.
    pub async fn event(&mut self, listener: &mut Option<Listener>) -> Value {
        if let Some(event) = self.next(listener).await {
            return event;
        }
        self.failed("there is no event");
        *listener = None;
        Value::Null
    }

    /// All events to the watch's own end.
    pub async fn events_to_end(&mut self, listener: &mut Option<Listener>) {
        while self.next(listener).await.is_some() {}
        self.note("the watch ended");
    }

    async fn next(&mut self, listener: &mut Option<Listener>) -> Option<Value> {
        let Some(open) = listener.as_mut() else {
            self.failed("there is no watch");
            return None;
        };
        match open.watch.next(SOON).await {
            Ok(event) => {
                let event = event?;
                self.write_event(&event);
                Some(event)
            }
            Err(error) => {
                self.failed(&error.to_string());
                *listener = None;
                None
            }
        }
    }

    /// Writes down that the talk did not go as it must.
    fn failed(&mut self, why: &str) {
        self.steps.push(Step::Note(format!("{FAILED} {why}")));
    }

    /// Runs kubectl in the talk's namespace.
    pub async fn kubectl(&mut self, arguments: &[&str], stdin: &str) -> String {
        let all = [&["-n", self.ns.as_str()][..], arguments].concat();
        let output = self.server.kubectl(&all, stdin).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        self.steps
            .push(Step::Asked(format!("kubectl {}", arguments.join(" "))));
        self.note(format!("exit {}", output.status.code().unwrap_or(-1)));
        match serde_json::from_str(&out) {
            Ok(json @ Value::Object(_)) => {
                self.steps
                    .push(Step::Answered("JSON".to_owned(), shown(json)));
            }
            _ => self.steps.push(Step::Printed(out.clone())),
        }
        // Another talk's definition comes and goes while kubectl looks what there is.
        let about_it = |line: &&str| !line.contains(".example.com/v1");
        let err = err.lines().filter(about_it).collect::<Vec<_>>().join("\n");
        if !err.is_empty() {
            self.steps.push(Step::Printed(format!("stderr:\n{err}")));
        }
        out
    }

    /// `kubectl edit`, with a program in the editor's place.
    pub async fn kubectl_edit(&mut self, resource: &str, from: &str, to: &str) {
        let editor = format!("sed -i s/{from}/{to}/");
        let arguments = ["-n", &self.ns, "edit", resource];
        let environment = [("KUBE_EDITOR", editor.as_str())];
        let output = self
            .server
            .kubectl_with(&arguments, "", &environment)
            .await
            .unwrap();
        self.steps.push(Step::Asked(format!(
            "kubectl edit {resource}: {from} becomes {to}"
        )));
        self.note(format!("exit {}", output.status.code().unwrap_or(-1)));
        self.steps.push(Step::Printed(
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ));
    }

    fn write_event(&mut self, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        let mut object = event["object"].clone();
        if kind == "BOOKMARK" {
            object["metadata"]["resourceVersion"] = json!("NOW");
        }
        self.steps.push(Step::Asked(format!("event {kind}")));
        self.steps.push(Step::Answered(String::new(), object));
    }

    fn write_down(
        &mut self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        answer: Answer,
    ) -> Value {
        let headers: Vec<String> = headers
            .iter()
            .map(|(k, v)| format!(" [{k}: {v}]"))
            .collect();
        let body = if body.is_empty() {
            String::new()
        } else {
            format!(" {body}")
        };
        self.steps.push(Step::Asked(format!(
            "{method} {path}{}{body}",
            headers.concat()
        )));
        let mut told = answer.code.to_string();
        let content_type = answer
            .headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        if content_type != Some("application/json") {
            told += &format!(" {}", content_type.unwrap_or("(no content type)"));
        }
        for name in [RETRY_AFTER, WARNING] {
            for value in answer.headers.get_all(&name) {
                told += &format!(" [{name}: {}]", value.to_str().unwrap_or_default());
            }
        }
        let mut body = answer.body;
        if let Some(metadata) = body.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            // A replace keeps those of the object when it brings none.
            metadata.remove("managedFields");
        }
        self.steps.push(Step::Answered(told, shown(body.clone())));
        body
    }
}

/// A body as text; none for null.
pub fn bytes(body: &Value) -> String {
    if body.is_null() {
        String::new()
    } else {
        body.to_string()
    }
}

/// A list's own resourceVersion says how far the whole server is, which others move, too.
fn shown(mut body: Value) -> Value {
    let lists = body["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List") || kind == "Table");
    if lists
        && body["metadata"]["resourceVersion"]
            .as_str()
            .is_some_and(|v| v.parse::<u64>().is_ok())
    {
        body["metadata"]["resourceVersion"] = json!("NOW");
    }
    if let Some(token) = body
        .pointer_mut("/metadata/continue")
        .filter(|token| token.is_string())
    {
        *token = json!("TOKEN");
    }
    body
}

fn client(mut config: Config) -> Client {
    // What the server said is wanted, not what came after several tries.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}
