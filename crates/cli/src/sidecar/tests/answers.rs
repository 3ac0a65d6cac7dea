//! Answers, held against the OpenAPI file.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::sidecar::routes::OPENAPI;

/// What was answered, held against the file.
pub(super) struct Answers {
    pub(super) file: Value,
    /// Paths, and the codes that they were seen to answer.
    pub(super) seen: BTreeSet<(String, String)>,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            file: serde_json::from_str(OPENAPI).unwrap(),
            seen: BTreeSet::new(),
        }
    }

    /// Asks, and holds the answer against the file.
    pub(super) async fn ask(&mut self, router: &Router, request: Request<Body>) -> (u16, Value) {
        let path = request.uri().path().to_owned();
        let method = request.method().as_str().to_lowercase();
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let kind = response.headers()["content-type"].to_str().unwrap();
        let kind = kind.split(';').next().unwrap().to_owned();
        assert_eq!(response.headers()["cache-control"], "no-store");
        let told = &self.file["paths"][&path][&method]["responses"][code.to_string()];
        let told = resolved(&self.file, told);
        assert!(
            told.is_object(),
            "{method} {path} {code} is not in the file"
        );
        let shape = &told["content"][&kind]["schema"];
        assert!(
            shape.is_object(),
            "{method} {path} {code} {kind} is not in the file"
        );
        for (header, _) in told["headers"].as_object().into_iter().flatten() {
            assert!(
                response.headers().contains_key(header),
                "{path} {code}: {header}"
            );
        }
        self.seen.insert((path.clone(), code.to_string()));
        if kind == "text/event-stream" {
            return (code, Value::Null);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        if kind != "application/json" {
            return (code, String::from_utf8(body.to_vec()).unwrap().into());
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        if let Err(why) = fits(&self.file, shape, &body) {
            panic!("{method} {path} {code}: {why}: {body}");
        }
        (code, body)
    }

    /// Asks again and again until `code` is answered: files are looked at now and then.
    pub(super) async fn until(
        &mut self,
        router: &Router,
        request: impl Fn() -> Request<Body>,
        code: u16,
    ) {
        let answered = async {
            while self.ask(router, request()).await.0 != code {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(30), answered).await;
        within.unwrap_or_else(|_| panic!("{code} was not answered within 30 s"));
    }

    pub(super) async fn get(&mut self, router: &Router, path: &str) -> (u16, Value) {
        let request = Request::get(path).header("host", "localhost");
        self.ask(router, request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(
        &mut self,
        router: &Router,
        path: &str,
        body: impl Into<Body>,
    ) -> (u16, Value) {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        self.ask(router, request.body(body.into()).unwrap()).await
    }

    /// Holds what was told otherwise against one of the file's shapes.
    pub(super) fn hold(&self, shape: &str, value: &Value) {
        let told = &self.file["components"]["schemas"][shape];
        if let Err(why) = fits(&self.file, told, value) {
            panic!("{shape}: {why}: {value}");
        }
    }
}

fn resolved<'a>(file: &'a Value, shape: &'a Value) -> &'a Value {
    match shape["$ref"].as_str() {
        Some(reference) => file
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} is not in the file")),
        None => shape,
    }
}

/// The part of JSON Schema that the file uses.
fn fits(file: &Value, shape: &Value, value: &Value) -> Result<(), String> {
    let shape = resolved(file, shape);
    for (word, told) in shape.as_object().ok_or("no schema")? {
        let holds = match word.as_str() {
            "description" => true,
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap_or_default() {
                    "object" => value.is_object(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                told.as_array()
                    .map_or_else(|| is(told), |kinds| kinds.iter().any(is))
            }
            "enum" => told.as_array().is_some_and(|all| all.contains(value)),
            "const" => told == value,
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.len() as u64 >= told.as_u64().unwrap()),
            "minimum" => value
                .as_i64()
                .is_none_or(|number| number >= told.as_i64().unwrap()),
            "required" => {
                let names = told.as_array().ok_or("required is no list")?;
                names
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, shape) in told.as_object().ok_or("properties is no object")? {
                    if let Some(value) = value.get(name) {
                        fits(file, shape, value).map_err(|why| format!("{name}: {why}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(told, &json!(false));
                let known = |name: &String| shape["properties"].get(name).is_some();
                value
                    .as_object()
                    .is_none_or(|value| value.keys().all(known))
            }
            "allOf" => {
                for shape in told.as_array().ok_or("allOf is no list")? {
                    fits(file, shape, value)?;
                }
                true
            }
            "anyOf" => {
                let shapes = told.as_array().ok_or("anyOf is no list")?;
                shapes.iter().any(|shape| fits(file, shape, value).is_ok())
            }
            other => panic!("a word that is not checked here: {other}"),
        };
        if !holds {
            return Err(format!("it is not so that {word} is {told}"));
        }
    }
    Ok(())
}
