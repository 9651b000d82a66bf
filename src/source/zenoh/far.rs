//! The far receiver: whether it and its camera are there, and its counts.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::sync::Notify;
use zenoh::sample::{Sample, SampleKind};

use super::ZenohSpec;
use crate::net::zenoh::keys::{Key, Topic};
use crate::stats::FarCounts;
use crate::sync::locked;

/// Largest state or ledger that is read, in bytes. A ledger has some 10 KB.
pub(super) const JSON_MAX_BYTES: usize = 1 << 20;

/// Longest text of a far receiver that is shown, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// What is known of the far receiver. Filled by the callbacks of Zenoh, and read by the session.
#[derive(Debug, Default)]
pub(super) struct Far {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// Whether the token of the receiver is there.
    receiver: bool,
    /// Whether the token of its camera is there.
    camera: bool,
    /// The last state; `None` until one arrived.
    state: Option<CameraState>,
    counts: Option<FarCounts>,
}

/// The fields of a published state that are used here. Another version may send more or fewer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CameraState {
    online: bool,
    text: String,
}

impl Far {
    /// Takes a message, a token or the answer to a query.
    pub(super) fn take(&self, sample: &Sample) {
        let is_there = sample.kind() == SampleKind::Put;
        let mut known = locked(&self.known);
        match Key::parse(sample.key_expr().as_str()) {
            Some(Key::HostAlive { .. }) => known.receiver = is_there,
            Some(Key::CameraAlive { .. }) => {
                known.camera = is_there;
                if !is_there {
                    known.state = None;
                }
            }
            Some(Key::Camera { topic: topic @ (Topic::State | Topic::Ledger), .. })
                if is_there && sample.payload().len() <= JSON_MAX_BYTES =>
            {
                let json = sample.payload().to_bytes();
                if topic == Topic::State {
                    known.state = serde_json::from_slice(&json).ok().or(known.state.take());
                } else {
                    known.counts = FarCounts::parse(&json).ok().or(known.counts);
                }
            }
            _ => return,
        }
        drop(known);
        self.changed.notify_one();
    }

    /// Waits until something has changed since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns the counts of the far receiver.
    pub(super) fn counts(&self) -> Option<FarCounts> {
        locked(&self.known).counts
    }

    /// Returns why frames of the camera cannot arrive; `None` if they should.
    pub(super) fn absence(&self, spec: &ZenohSpec) -> Option<Arc<str>> {
        let known = locked(&self.known).clone();
        let why = match known {
            Known { receiver: false, .. } => format!("no oaktap publishes as {}", spec.host),
            Known { camera: false, .. } => format!("{} does not publish a camera {}", spec.host, spec.camera),
            Known { state: Some(CameraState { online: false, text }), .. } => {
                let text: String = text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect();
                format!("{}: {text}", spec.place())
            }
            Known { .. } => return None,
        };
        Some(why.into())
    }
}
