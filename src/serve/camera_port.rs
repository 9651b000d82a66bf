//! The camera's own protocol again, for any number of clients.
//!
//! Each client gets the bytes of the camera unchanged: its confirmed frames, with their records, headers and detections. A slow
//! client gets the newest frame; of video, it continues at a key frame. Clients that connect later first get the records of the
//! connection that are still valid, as those that connect to the camera do.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpListener;

use super::camera::ServedCamera;
use super::send_at_once;
use super::viewer::{Viewer, ViewerKind};
use crate::frame::Frame;
use crate::hub::{RecvTimeoutError, group_lane};
use crate::net::ACCEPT_RETRY;
use crate::net::serving::write_all;
use crate::recording::bytes_before_payload;
use crate::sync::locked;
use crate::wire::encode::MessageHead;

/// Clients of one camera at a time. Further ones are closed at once.
const MAX_CLIENTS: usize = 64;

/// Frames of video that wait for a slow client, before it continues at a key frame.
const VIDEO_WAITING: usize = 16;

/// How often a client's thread looks whether it has to end.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// The clients of one camera, each with a thread. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Clients {
    ends: Arc<AtomicBool>,
    threads: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

impl Clients {
    /// Accepts clients until its task is dropped.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, camera: Arc<ServedCamera>) {
        loop {
            let accepted = listener.accept().await;
            let started = accepted.and_then(|(stream, _)| self.start(stream.into_std()?, &camera));
            if let Err(error) = started {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }

    fn start(&self, stream: TcpStream, camera: &Arc<ServedCamera>) -> io::Result<()> {
        let mut threads = locked(&self.threads);
        threads.retain(|(_, thread)| !thread.is_finished());
        if threads.len() >= MAX_CLIENTS {
            tracing::debug!(camera = camera.name, "refused a client: too many");
            return Ok(());
        }
        stream.set_nonblocking(false)?;
        send_at_once(&SockRef::from(&stream));
        let handle = stream.try_clone()?;
        let (camera, ends) = (Arc::clone(camera), Arc::clone(&self.ends));
        let thread = thread::Builder::new().name(format!("serve {}", camera.name));
        threads.push((handle, thread.spawn(move || serve(&stream, &camera, &ends))?));
        Ok(())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        for (stream, thread) in std::mem::take(&mut *locked(&self.threads)) {
            // Ends a write to a client that does not read. Fails if the client has left.
            let _ = stream.shutdown(Shutdown::Both);
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Subscribes once it is known whether the camera sends video. `None` if the server ends before.
fn subscribe(camera: &ServedCamera, ends: &AtomicBool) -> Option<Viewer<Arc<Frame>>> {
    while !ends.load(Ordering::SeqCst) {
        if let Some(is_video) = camera.sends_video() {
            let waiting = if is_video { VIDEO_WAITING } else { 1 };
            let (lane, taker) = group_lane("client", waiting, |frame: &Arc<Frame>| frame.is_key_frame());
            let viewer = camera.viewers.add(ViewerKind::CameraPort, lane.counter(), taker);
            camera.confirmed(lane);
            return Some(viewer);
        }
        thread::sleep(STOP_INTERVAL);
    }
    None
}

fn serve(stream: &TcpStream, camera: &ServedCamera, ends: &AtomicBool) {
    let Some(viewer) = subscribe(camera, ends) else { return };
    let mut context = Some(camera.valid_records());
    while !ends.load(Ordering::SeqCst) {
        let frame = match viewer.taker().recv_timeout(STOP_INTERVAL) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut head = context.take().unwrap_or_default();
        head.extend(bytes_before_payload(frame.dialect, frame.payload().len(), MessageHead::of(&frame)));
        // In one piece, because the official host assumes that the 32 bytes of a header arrive in one read.
        if [&head[..], frame.payload()].into_iter().any(|bytes| write_all(stream, bytes).is_err()) {
            return;
        }
        viewer.sent(head.len() + frame.payload().len());
    }
}
