//! Cameras at `rtsp://HOST:8554/NAME`, for players, recorders and other programs (RFC 2326).
//!
//! ```text
//! confirmed frames ------------------------------------------+--each player: DropToStart--> packets --> RTSP connection or UDP
//! provisional frames --DropOldest(1)--> thread "h264 NAME" --+   (RFC 6184, 7798, 2435)
//! ```
//!
//! H.264, H.265 and most JPEG files are sent as the camera encoded them. Other pictures are encoded as H.264, once for all
//! players and only while one plays. A player that is slow misses whole frames up to the next key frame, so that it always
//! gets complete ones. Packets over UDP go to the address of the RTSP connection only.

mod connection;
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
use std::time::Duration;

use tokio::net::TcpListener;

pub use self::name::url;
use super::feed::{Carried, FeedProtocol};
use super::http::Connections;
use super::routes::Server;
use super::viewer::ViewerKind;
use crate::frame::{Frame, PayloadKind};

/// Time that a player waits for the first frame: longer than between two key frames of usual encoders.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(5);

/// The frames that RTSP carries.
pub(super) const PROTOCOL: FeedProtocol =
    FeedProtocol { name: "RTSP", viewers: ViewerKind::Rtsp, is_immediate: false, carries };

fn carries(frame: &Frame) -> Carried {
    match frame.kind {
        PayloadKind::Raw => Carried::Encoded("raw pictures".into()),
        PayloadKind::Jpeg => match jpeg::scan(frame.payload()) {
            Ok(_) => Carried::Untouched,
            Err(jpeg::NotCarried::Damaged) => Carried::Unknown,
            Err(reason) => Carried::Encoded(reason.to_string().into()),
        },
        PayloadKind::H264 | PayloadKind::H265 => Carried::Untouched,
    }
}

/// Accepts players until its task is dropped.
pub(super) async fn accept(listener: TcpListener, server: Arc<Server>) {
    let serve = |stream, place| drop(tokio::spawn(connection::serve(stream, Arc::clone(&server), place)));
    Connections::default().accept(listener, "RTSP", serve).await;
}
