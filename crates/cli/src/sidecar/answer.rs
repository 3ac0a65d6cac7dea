//! Answers that are not what was hoped for: JSON with what is wrong and what to do, and nothing of
//! what was sent in it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    code: StatusCode,
    error: String,
    what_to_do: String,
}

#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    what_to_do: &'a str,
}

impl Refusal {
    pub(super) fn new(
        code: StatusCode,
        error: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        Self {
            code,
            error: error.into(),
            what_to_do: what_to_do.into(),
        }
    }

    pub(super) fn not_leading() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "this candidate does not lead",
            "ask the leader's own sidecar, which GET / names, or run `tenure step-down`",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let told = Told {
            error: &self.error,
            what_to_do: &self.what_to_do,
        };
        let mut response = (self.code, Json(told)).into_response();
        if self.code == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
