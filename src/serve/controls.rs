//! Settings of the cameras: `/api/cameras/NAME/control`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path as Named, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::guard::refuse;
use super::recordings::blocking;
use super::routes::{Server, json};
use crate::device::settings::{SETTINGS, Setting};
use crate::error::with_causes;
use crate::source::control::{ControlAnswer, check_order, control_each, takes_controls};
use crate::source::{Session, SourceSpec};
use crate::sync::locked;

/// Longest wait for the connection to the camera, for its version, and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the settings of another client.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Most orders in a request: each setting once.
const ORDERS_MAX: usize = SETTINGS.len();

/// The last answers of a camera to its settings.
#[derive(Debug, Default)]
pub(super) struct CameraControls {
    /// Held while a client sets the camera, because each connection takes one of the few that the camera serves.
    turn: tokio::sync::Mutex<()>,
    /// The last answer for each setting.
    answers: Mutex<BTreeMap<&'static str, ControlAnswer>>,
}

impl CameraControls {
    /// Returns the last answer for each setting; `None` if the application on the camera does not support settings.
    pub(super) fn answers(&self, session: &Session) -> Option<Vec<ControlAnswer>> {
        takes(session).then(|| locked(&self.answers).values().cloned().collect())
    }
}

fn takes(session: &Session) -> bool {
    session.ledger().update(|stats| takes_controls(session.spec(), stats))
}

/// A setting of a camera.
#[derive(Serialize)]
struct Described {
    key: &'static str,
    /// Numbers that the application accepts; `None` if it only accepts `auto`.
    min: Option<u32>,
    max: Option<u32>,
    unit: &'static str,
    auto: bool,
}

impl From<&Setting> for Described {
    fn from(setting: &Setting) -> Self {
        let range = setting.range.as_ref();
        Self {
            key: setting.key,
            min: range.map(|range| *range.start()),
            max: range.map(|range| *range.end()),
            unit: setting.unit,
            auto: setting.has_auto,
        }
    }
}

/// `GET /api/cameras/NAME/control`: the settings of the camera, none if its application does not support any, and its last
/// answers.
pub(super) async fn settings(State(server): State<Arc<Server>>, Named(name): Named<String>) -> Response {
    #[derive(Serialize)]
    struct Settings {
        settings: Vec<Described>,
        answers: Vec<ControlAnswer>,
    }
    let (camera, session) = match server.session(&name) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let answers = camera.controls.answers(session);
    let settings = if answers.is_some() { SETTINGS.iter().map(Described::from).collect() } else { Vec::new() };
    json(&Settings { settings, answers: answers.unwrap_or_default() })
}

/// `POST /api/cameras/NAME/control`: sets the camera, and returns its answers.
pub(super) async fn set(State(server): State<Arc<Server>>, Named(name): Named<String>, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Orders {
        orders: Vec<String>,
    }
    #[derive(Serialize)]
    struct Answers {
        answers: Vec<ControlAnswer>,
    }
    let (camera, session) = match server.session(&name) {
        Ok((camera, session)) => (Arc::clone(camera), session.clone()),
        Err(response) => return *response,
    };
    let orders = match serde_json::from_slice::<Orders>(&body) {
        Ok(Orders { orders }) if (1..=ORDERS_MAX).contains(&orders.len()) => orders,
        Ok(Orders { orders }) => {
            let text = format!("found {} orders; expected 1 to {ORDERS_MAX}", orders.len());
            return refuse(StatusCode::BAD_REQUEST, text);
        }
        Err(error) => {
            return refuse(StatusCode::BAD_REQUEST, format!("expected {{\"orders\":[\"lens=120\"]}}: {error}"));
        }
    };
    if let Some(text) = orders.iter().find_map(|order| check_order(order).err()) {
        return refuse(StatusCode::BAD_REQUEST, text);
    }
    let SourceSpec::Tcp { host, port } = session.spec().clone() else { return unsupported(&name) };
    if !takes(&session) {
        return unsupported(&name);
    }
    let Ok(_turn) = timeout(TURN_TIMEOUT, camera.controls.turn.lock()).await else {
        return refuse(StatusCode::CONFLICT, format!("another client sets {name}; try again"));
    };
    let setting = Arc::clone(&camera);
    let work = move || {
        let mut answers = Vec::new();
        let result = control_each(&host, port, &orders, ANSWER_TIMEOUT, |answer| {
            if let Ok(found) = check_order(&answer.order) {
                locked(&setting.controls.answers).insert(found.key, answer.clone());
            }
            answers.push(answer);
        });
        result.map(|()| answers)
    };
    match blocking(work).await {
        Ok(Ok(answers)) => json(&Answers { answers }),
        Ok(Err(error)) => {
            let help = server.advice.for_camera(error.help().to_owned(), session.name());
            let text = format!("{}; {help}", with_causes(&error));
            tracing::warn!(camera = name, "cannot set the camera: {text}");
            refuse(StatusCode::BAD_GATEWAY, text)
        }
        Err(response) => *response,
    }
}

fn unsupported(name: &str) -> Response {
    let text = format!(
        "{name} does not support settings, or has not said so yet: its application has to be one that oaktap built, and its \
         source an address"
    );
    refuse(StatusCode::CONFLICT, text)
}
