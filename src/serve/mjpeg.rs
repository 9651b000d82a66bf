//! `/stream/NAME.mjpg`: pictures as `multipart/x-mixed-replace`, for players and other programs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame as Piece;

use super::camera::ServedCamera;
use super::form::Form;
use super::shot::Shot;
use super::viewer::{Viewer, ViewerKind};

/// Boundary between two pictures.
const BOUNDARY: &str = "oaktap";

/// A body that takes the newest picture whenever the connection can take one.
struct Pictures {
    viewer: Viewer<Arc<Shot>>,
    /// Rest of the current picture.
    pieces: VecDeque<Bytes>,
    /// Bytes of the picture that is on the way.
    on_the_way: Option<usize>,
}

impl hyper::body::Body for Pictures {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Piece<Bytes>, Infallible>>> {
        if self.pieces.is_empty() {
            // The connection asks for more when it has written what it had.
            if let Some(bytes) = self.on_the_way.take() {
                self.viewer.sent(bytes);
            }
            let shot = ready!(self.viewer.poll_next(cx));
            let head = format!(
                "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: {:.6}\r\n\r\n",
                shot.file.len(),
                shot.received.unix_ns as f64 / 1e9
            );
            self.on_the_way = Some(shot.file.len());
            self.pieces.extend([head.into(), shot.file.clone(), Bytes::from_static(b"\r\n")]);
        }
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Piece::data(piece))))
    }
}

/// Answers with the pictures of a camera until the client leaves. `None`: there are too many forms.
pub(super) fn stream(camera: &ServedCamera, form: &Form) -> Option<Response> {
    let viewer = camera.watch(ViewerKind::Mjpeg, form)?;
    let body = Body::new(Pictures { viewer, pieces: VecDeque::new(), on_the_way: None });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    Some(([(header::CONTENT_TYPE, kind)], body).into_response())
}
