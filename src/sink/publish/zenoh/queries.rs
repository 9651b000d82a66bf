//! Answers queries: state, counts, settings and recording of a camera.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zenoh::bytes::Encoding;
use zenoh::query::Query;

use super::camera::BusCamera;
use crate::device::settings::SETTINGS;
use crate::error::with_causes;
use crate::net::zenoh::keys::Topic;
use crate::sink::publish::{RecordedCamera, state};
use crate::sink::record::RecordingStatus;
use crate::source::control::{ControlAnswer, check_order, control, takes_controls};
use crate::source::{Session, SourceSpec};

/// Longest wait for the connection to the camera, for its version, and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the settings of another client.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Most orders in a query: each setting once.
const ORDERS_MAX: usize = SETTINGS.len();

/// A query that arrived. Dropping it ends it.
#[derive(Debug)]
pub(super) struct BusQuery {
    /// Name of the camera in keys.
    pub(super) camera: String,
    pub(super) topic: Topic,
    /// The key of the answer, also for a query of several cameras.
    pub(super) key: String,
    pub(super) query: Query,
}

/// Held while a client sets the camera, because each connection takes one of the few that the camera serves.
#[derive(Debug, Default)]
pub(super) struct Controls(Mutex<()>);

impl BusQuery {
    /// Answers a query of this camera. A query of settings is answered by a task, because the camera may be slow.
    pub(super) async fn answer(self, camera: &BusCamera) {
        match self.topic {
            Topic::State => self.reply(Ok(state::describe(&camera.session))).await,
            Topic::Ledger => self.reply(Ok(camera.ledger_json())).await,
            Topic::Recording => {
                let recorded = camera.recording.clone();
                tokio::spawn(async move {
                    let text = self.text();
                    // Starting one creates a folder.
                    let answer = spawn_blocking(move || recording(&text, recorded.as_ref())).await;
                    let answer = answer.unwrap_or_else(|error| Err(format!("the attempt failed: {error}")));
                    self.reply(answer).await;
                });
            }
            Topic::Control => {
                let (session, controls) = (camera.session.clone(), Arc::clone(&camera.controls));
                tokio::spawn(async move {
                    let answer = set(&session, &controls, &self.text()).await;
                    self.reply(answer).await;
                });
            }
            // They are not queryables.
            Topic::Frame | Topic::Detections => {}
        }
    }

    /// Returns its payload as text; empty if it has none.
    fn text(&self) -> String {
        let bytes = self.query.payload().map(|payload| payload.to_bytes());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).trim().to_owned()
    }

    /// Sends JSON, or the reason why there is none.
    async fn reply(&self, answer: Result<String, String>) {
        let sent = match answer {
            Ok(json) => self.query.reply(&self.key, json).encoding(Encoding::APPLICATION_JSON).await,
            Err(why) => self.query.reply_err(why).encoding(Encoding::TEXT_PLAIN).await,
        };
        if let Err(error) = sent {
            tracing::debug!("cannot answer a query of {}: {error}", self.camera);
        }
    }
}

/// Sets a camera: one order in each line. Returns its answers.
async fn set(session: &Session, controls: &Controls, text: &str) -> Result<String, String> {
    #[derive(Serialize)]
    struct Answers {
        answers: Vec<ControlAnswer>,
    }
    let orders = orders(text)?;
    let (host, port) = match session.spec() {
        SourceSpec::Tcp { host, port } if session.ledger().update(|stats| takes_controls(session.spec(), stats)) => {
            (host.clone(), *port)
        }
        _ => return Err(unsupported(session.name())),
    };
    let Ok(_turn) = timeout(TURN_TIMEOUT, controls.0.lock()).await else {
        return Err(format!("another client sets {}; try again", session.name()));
    };
    match spawn_blocking(move || control(&host, port, &orders, ANSWER_TIMEOUT)).await {
        Ok(Ok(answers)) => Ok(serde_json::to_string(&Answers { answers }).unwrap_or_default()),
        Ok(Err(error)) => Err(format!("{}; {}", with_causes(&error), error.help())),
        Err(error) => Err(format!("the attempt to set {} failed: {error}", session.name())),
    }
}

/// Parses the orders of a query.
fn orders(text: &str) -> Result<Vec<String>, String> {
    let orders: Vec<String> = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    if !(1..=ORDERS_MAX).contains(&orders.len()) {
        return Err(format!(
            "found {} orders in the payload; expected 1 to {ORDERS_MAX}, one in each line, such as lens=120",
            orders.len()
        ));
    }
    orders.iter().try_for_each(|order| check_order(order).map(|_| ()))?;
    Ok(orders)
}

fn unsupported(name: &str) -> String {
    format!(
        "{name} does not support settings, or has not said so yet: its application has to be one that oaktap built, and its source \
         an address"
    )
}

/// Starts or stops the recording of a camera, if the query asks for it, and returns its state.
fn recording(text: &str, recorded: Option<&RecordedCamera>) -> Result<String, String> {
    #[derive(Serialize)]
    struct RecordingAnswer {
        is_recording: bool,
        /// Time since it was started.
        seconds: Option<u64>,
        #[serde(flatten)]
        status: Option<RecordingStatus>,
    }
    let switch = recorded.and_then(|recorded| recorded.switch.as_ref());
    match (text, switch) {
        ("", _) => {}
        ("start", Some(switch)) => switch.start().map_err(|error| with_causes(&error))?,
        ("stop", Some(switch)) => switch.stop(),
        ("start" | "stop", None) => {
            return Err(
                "this oaktap does not start or stop recordings for clients: `oaktap serve --recordings DIR --publish TARGET` does"
                    .to_owned(),
            );
        }
        (other, _) => {
            return Err(format!(
                "invalid payload `{}`; expected start, stop, or none for the state",
                other.escape_debug()
            ));
        }
    }
    let observed = recorded.and_then(|recorded| {
        Some((recorded.recorders.duration(recorded.camera)?, recorded.recorders.status(recorded.camera)?))
    });
    let (seconds, status) = observed.map(|(since, status)| (since.as_secs(), status)).unzip();
    let answer = RecordingAnswer { is_recording: seconds.is_some(), seconds, status };
    Ok(serde_json::to_string(&answer).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_checked_before_the_camera_is_asked() {
        assert_eq!(orders("lens=120\n\n lens=300 \n").unwrap_err(), check_order("lens=300").unwrap_err());
        assert_eq!(orders(" lens=120\r\n").expect("an order"), ["lens=120"]);
        assert!(orders("").unwrap_err().starts_with("found 0 orders in the payload; expected 1 to "));
        let many = "lens=1\n".repeat(ORDERS_MAX + 1);
        assert!(orders(&many).unwrap_err().starts_with(&format!("found {} orders", ORDERS_MAX + 1)));
    }

    #[test]
    fn a_camera_that_nobody_records_says_so() {
        let answer: serde_json::Value = serde_json::from_str(&recording("", None).expect("a state")).expect("JSON");
        assert_eq!(answer, serde_json::json!({"is_recording": false, "seconds": null}));
        assert!(recording("start", None).unwrap_err().contains("`oaktap serve --recordings DIR"));
        assert_eq!(
            recording("x", None).unwrap_err(),
            "invalid payload `x`; expected start, stop, or none for the state"
        );
    }
}
