//! Takes from the lanes of several cameras in turn.

use std::future::poll_fn;
use std::task::{Context, Poll};

/// Waits for the next item of any of `cameras` cameras, and returns the place of the camera. `first`: the place to begin at, so that
/// a fast camera does not keep others waiting. `poll`: polls the lanes of one camera.
pub(super) async fn next_in_turn<T>(
    cameras: usize,
    first: usize,
    poll: impl Fn(usize, &mut Context<'_>) -> Poll<T>,
) -> (usize, T) {
    poll_fn(|cx| {
        for step in 0..cameras {
            let at = (first + step) % cameras;
            if let Poll::Ready(item) = poll(at, cx) {
                return Poll::Ready((at, item));
            }
        }
        Poll::Pending
    })
    .await
}
