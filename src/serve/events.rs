//! `/events/NAME`: the detections of each confirmed frame as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame as Piece;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::camera::ServedCamera;
use super::viewer::Viewer;
use crate::frame::FrameNumbers;
use crate::sink::detections::{DetectedFrame, DetectionRecord};

/// A comment this often keeps proxies from ending a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Events {
    camera: Arc<ServedCamera>,
    viewer: Viewer<DetectedFrame>,
    numbers: FrameNumbers,
    keep_alive: Interval,
    /// Bytes of the event that is on the way.
    on_the_way: Option<usize>,
}

impl Events {
    fn event(&mut self, detected: &DetectedFrame) -> String {
        let number = self.numbers.number(detected.frame.id);
        let record = DetectionRecord::new(detected, number, &self.camera.style);
        let record = DetectionRecord { camera: Some(&self.camera.name), ..record };
        // Strings and numbers: serializing them cannot fail.
        format!("data: {}\n\n", serde_json::to_string(&record).unwrap_or_default())
    }
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Piece<Bytes>, Infallible>>> {
        if let Some(bytes) = self.on_the_way.take() {
            self.viewer.sent(bytes);
        }
        let text = if let Poll::Ready(detected) = self.viewer.poll_next(cx) {
            let event = self.event(&detected);
            self.on_the_way = Some(event.len());
            self.keep_alive.reset();
            event
        } else {
            ready!(self.keep_alive.poll_tick(cx));
            ":\n\n".to_owned()
        };
        Poll::Ready(Some(Ok(Piece::data(text.into()))))
    }
}

/// Answers with the detections of a camera until the client leaves.
pub(super) fn events(camera: Arc<ServedCamera>) -> Response {
    let viewer = camera.watch_detections();
    // The first tick is at once: the client then knows that it is connected.
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = Body::new(Events { camera, viewer, numbers: FrameNumbers::default(), keep_alive, on_the_way: None });
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}
