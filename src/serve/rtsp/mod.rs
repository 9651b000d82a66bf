//! Cameras at `rtsp://HOST:8554/NAME`, for players, recorders and other programs (RFC 2326).
//!
//! ```text
//! confirmed frames --------------------------------------+--each player: DropToStart--> packets --> RTSP connection or UDP
//!                  --DropOldest(1)--> thread "rtsp NAME" --+   (RFC 6184, 7798, 2435)
//! ```
//!
//! H.264, H.265 and most JPEG files are sent as the camera encoded them. Other pictures are encoded as H.264, once for all
//! players and only while one plays. A player that is slow misses whole frames up to the next key frame, so that it always
//! gets complete ones. Packets over UDP go to the address of the RTSP connection only.

mod connection;
mod encoder;
mod feed;
mod jpeg;
mod message;
mod nal;
mod name;
mod packet;
mod reply;
mod sdp;
mod session;
mod transport;

use std::sync::Arc;

use tokio::net::TcpListener;

pub(super) use self::feed::Feed;
pub use self::name::url;
use super::http::Connections;
use super::routes::Server;

/// Accepts players until its task is dropped.
pub(super) async fn accept(listener: TcpListener, server: Arc<Server>) {
    let serve = |stream, place| drop(tokio::spawn(connection::serve(stream, Arc::clone(&server), place)));
    Connections::default().accept(listener, "RTSP", serve).await;
}

/// Returns a number that others cannot guess.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // The keys of each state are random.
    RandomState::new().hash_one(0)
}
