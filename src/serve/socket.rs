//! The WebSocket of the page: pictures of all cameras that it shows, each with the detections of its frame.
//!
//! | From | Message |
//! |---|---|
//! | page | `{"watch":[{"camera":NAME,"width":PIXELS}]}`: the cameras that it shows from now on |
//! | page | `{"drawn":NAME}`: it has drawn the oldest picture of this camera that was on the way; `null`: of the replay |
//! | page | `{"play":{"recording":NAME,"camera":NAME,"width":PIXELS}}`: the recording that it plays; `null`: none |
//! | page | `{"playback":CHANGE}`: a change of the replay ([`PlaybackChange`](super::page_message::PlaybackChange)) |
//! | server | text `{"records":BOOL,"cameras":[...]}`: state and counts |
//! | server | text `{"replay":{...}}`: state of the replay; `{"marks":{...}}`: its timeline |
//! | server | binary: length of a JSON object (4 bytes, little endian), the object, a JPEG file |
//!
//! At most [`ON_THE_WAY_MAX`] pictures of a camera are on the way, so that the newest picture never waits after a queue of old
//! ones, however slow the network or the page is.

use std::future::pending;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::camera::ServedCamera;
use super::form::{Form, ShotSize};
use super::page_message::{PageMessage, Watch};
use super::replay::{Replay, ReplayMessage};
use super::routes::Server;
use super::shot::Shot;
use super::viewer::{Viewer, ViewerKind};
use crate::net::clock::received_now;

/// Longest message of the page in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Pictures of a camera that the page has not drawn yet.
const ON_THE_WAY_MAX: u32 = 2;

/// Longest time to send one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A camera that the page shows.
struct Watched {
    camera: Arc<ServedCamera>,
    size: ShotSize,
    viewer: Viewer<Arc<Shot>>,
    on_the_way: u32,
}

/// Wakes the task of a socket when one of its cameras has a picture.
struct Ready(Notify);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

struct Page<'a> {
    server: &'a Server,
    ready: Arc<Ready>,
    watched: Vec<Watched>,
    /// The camera that is looked at first, so that each has its turn.
    turn: usize,
    replay: Option<Replay>,
    /// Pictures of replays that the page has not drawn yet.
    replayed: u32,
}

impl Page<'_> {
    /// Applies a message of the page. Returns whether it is valid.
    fn apply(&mut self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(PageMessage::Watch(list)) => {
                self.watch(&list);
                true
            }
            Ok(PageMessage::Drawn(None)) => {
                self.replayed = self.replayed.saturating_sub(1);
                true
            }
            Ok(PageMessage::Play(play)) => {
                self.replay = play.map(|play| Replay::open(self.server, play));
                true
            }
            Ok(PageMessage::Playback(change)) => {
                if let Some(replay) = &mut self.replay {
                    replay.change(change);
                }
                true
            }
            Ok(PageMessage::Drawn(Some(name))) => {
                if let Some(watched) = self.watched.iter_mut().find(|watched| watched.camera.name == name) {
                    watched.on_the_way = watched.on_the_way.saturating_sub(1);
                }
                true
            }
            Err(error) => {
                tracing::debug!(%error, "message of a page");
                false
            }
        }
    }

    /// Shows these cameras from now on. Unknown names and repeated ones are ignored.
    fn watch(&mut self, list: &[Watch]) {
        let mut before = std::mem::take(&mut self.watched);
        for Watch { camera, width } in list {
            let Some(camera) = self.server.camera(camera) else { continue };
            if self.watched.iter().any(|watched| watched.camera.name == camera.name) {
                continue;
            }
            let size = ShotSize::for_width(*width);
            let known = before.iter().position(|watched| watched.camera.name == camera.name);
            let known = known.map(|at| before.swap_remove(at));
            let on_the_way = known.as_ref().map_or(0, |watched| watched.on_the_way);
            let watched = known.filter(|watched| watched.size == size).or_else(|| {
                let viewer = camera.watch(ViewerKind::Page, &Form::plain(size))?;
                viewer.taker().wake_on_item(Waker::from(Arc::clone(&self.ready)));
                Some(Watched { camera: Arc::clone(camera), size, viewer, on_the_way })
            });
            self.watched.extend(watched);
        }
    }

    /// Returns the place and the picture of a camera that has one, and whose pictures the page draws fast enough.
    fn next(&mut self) -> Option<(usize, Arc<Shot>)> {
        let cameras = self.watched.len();
        for step in 0..cameras {
            let at = (self.turn + step) % cameras;
            let watched = &mut self.watched[at];
            if watched.on_the_way < ON_THE_WAY_MAX
                && let Some(shot) = watched.viewer.taker().try_take()
            {
                watched.on_the_way += 1;
                self.turn = at + 1;
                return Some((at, shot));
            }
        }
        None
    }

    /// Returns the next message of the replay. Waits for ever without one.
    async fn replayed(&mut self) -> Message {
        let Some(replay) = &mut self.replay else { return pending().await };
        match replay.next(self.replayed < ON_THE_WAY_MAX).await {
            ReplayMessage::Picture(message) => {
                self.replayed += 1;
                message
            }
            ReplayMessage::State(message) => message,
        }
    }
}

/// Returns the message of a picture of a camera. `age_us`: time from the arrival of the frame to now. `superseded`: pictures that newer ones
/// replaced so far.
fn message(camera: &str, shot: &Shot, superseded: u64) -> Bytes {
    let age_us = received_now().mono_ns.saturating_sub(shot.received.mono_ns) / 1000;
    let camera = serde_json::to_string(camera).unwrap_or_default();
    let head = format!(
        "{{\"camera\":{camera},\"age_us\":{age_us},\"superseded\":{superseded},\"frame\":{}}}",
        shot.description
    );
    picture(&head, &shot.file)
}

/// Returns the message of a picture with this JSON object.
pub(super) fn picture(head: &str, file: &Bytes) -> Bytes {
    let mut bytes = Vec::with_capacity(4 + head.len() + file.len());
    // A head has a few kilobytes; the records of a frame bound it.
    bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(file);
    bytes.into()
}

/// Serves one page until it leaves, or until it does not read for [`SEND_TIMEOUT`].
pub(super) async fn serve(mut socket: WebSocket, server: &Server) {
    let ready = Arc::new(Ready(Notify::new()));
    let mut page = Page { server, ready: Arc::clone(&ready), watched: Vec::new(), turn: 0, replay: None, replayed: 0 };
    let mut status = server.status.subscribe();
    status.mark_changed();
    loop {
        let next = page.next();
        if let Some((at, shot)) = next {
            let watched = &page.watched[at];
            let bytes = message(&watched.camera.name, &shot, watched.viewer.superseded());
            if !send(&mut socket, Message::Binary(bytes)).await {
                return;
            }
            watched.viewer.sent(shot.file.len());
            // Another camera may have a picture, too. Messages of the page are read first.
            ready.0.notify_one();
        }
        tokio::select! {
            biased;
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) if page.apply(&text) => {}
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return,
            },
            changed = status.changed() => {
                let text = status.borrow_and_update().to_string();
                if changed.is_err() || !send(&mut socket, Message::Text(text.into())).await {
                    return;
                }
            }
            () = ready.0.notified() => {}
            message = page.replayed() => {
                if !send(&mut socket, message).await {
                    return;
                }
            }
        }
    }
}

/// Sends a message. Returns `false` if the page has left or does not read.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}
