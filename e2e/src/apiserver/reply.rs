//! Answers: an object, a text or a stream, and how each becomes an HTTP response.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::failure::Failure;

#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    pub content_type: &'static str,
    pub body: Body,
    /// Shown by kubectl as `Warning: ...`.
    pub warnings: Vec<String>,
}

pub const JSON: &str = "application/json";

impl Reply {
    pub fn json(code: u16, value: &Value) -> Self {
        Self {
            code,
            content_type: JSON,
            body: Body::from(value.to_string()),
            warnings: Vec::new(),
        }
    }

    pub fn ok(value: &Value) -> Self {
        Self::json(200, value)
    }

    pub fn text(text: impl Into<String>) -> Self {
        let body = Body::from(text.into());
        Self {
            code: 200,
            content_type: "text/plain",
            body,
            warnings: Vec::new(),
        }
    }

    pub fn stream(content_type: &'static str, body: Body) -> Self {
        Self {
            code: 200,
            content_type,
            body,
            warnings: Vec::new(),
        }
    }

    pub fn failed(failure: &Failure) -> Self {
        Self::json(failure.code, &failure.status())
    }

    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        for warning in &self.warnings {
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        if self.code == 429 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
