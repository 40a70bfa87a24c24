//! Requests to Hetzner's APIs and answers from them, as values.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::plan::Trouble;
use crate::client::excerpt;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: Method,
    /// What comes after the endpoint: path and query.
    pub(super) path: String,
    pub(super) body: Body,
    /// How long the answer may take, where that is longer than usual.
    pub(super) patience: Duration,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Nothing,
    /// `application/x-www-form-urlencoded`.
    Form(String),
    Json(Value),
}

impl Call {
    /// A question.
    pub(super) const fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Body::Nothing, patience: Duration::ZERO }
    }

    /// A request that changes something.
    pub(super) const fn post(path: String, body: Body) -> Self {
        Self { method: Method::POST, path, body, patience: Duration::ZERO }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// `Retry-After`, where it is a number of seconds.
    pub(super) retry_after: Option<Duration>,
    /// `RateLimit-Reset`: seconds after 1970.
    pub(super) reset_at: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// What both APIs say of an error.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fault {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    /// Robot: so many requests are allowed.
    #[serde(default)]
    pub(super) max_request: Option<u64>,
    /// Robot: in so many seconds.
    #[serde(default)]
    pub(super) interval: Option<u64>,
}

impl Reply {
    /// The answer as what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        let why = |error| format!("the API's answer to a request is not understood: {error}");
        serde_json::from_slice(&self.body).map_err(|error| Trouble::Passing { why: why(error), after: None })
    }

    /// The error that it is.
    pub(super) fn fault(&self) -> Fault {
        #[derive(Deserialize)]
        struct Error {
            error: Fault,
        }
        match serde_json::from_slice(&self.body) {
            Ok(Error { error }) => error,
            Err(_) => {
                let text = String::from_utf8_lossy(&self.body);
                Fault { message: excerpt(&text), ..Fault::default() }
            }
        }
    }

    /// What is not said otherwise about an error: it may be over later, unless the request was wrong.
    pub(super) fn trouble(&self, fault: &Fault) -> Trouble {
        let why = describe(self.status, fault);
        if self.status.is_client_error() && !matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
        {
            let remedy = "compare the entry with what Hetzner shows".to_owned();
            return Trouble::Operator { why, remedy };
        }
        Trouble::Passing { why, after: self.retry_after }
    }
}

/// What the API has said, as a clause.
pub(super) fn describe(status: StatusCode, fault: &Fault) -> String {
    let Fault { code, message, .. } = fault;
    let code = if code.is_empty() { String::new() } else { format!(" {code}") };
    let message = if message.is_empty() { String::new() } else { format!(" ({message})") };
    let message: String = message.chars().filter(|char| !char.is_control()).collect();
    format!("the API answers {}{code}{message}", status.as_u16())
}

/// `text` as a value in a query or a form.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
