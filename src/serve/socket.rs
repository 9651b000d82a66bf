//! The WebSocket of the page: pictures of all cameras that it shows, each with the detections of its frame.
//!
//! | From | Message |
//! |---|---|
//! | page | `{"watch":[{"camera":NAME,"width":PIXELS,"video":BOOL}]}`: the cameras that it shows from now on, and whether it plays their H.264 |
//! | page | `{"drawn":NAME}`: it has drawn the oldest picture of this camera that was on the way, or has given its decoder the video; `null`: of the replay |
//! | page | `{"play":{"recording":NAME,"camera":NAME,"width":PIXELS}}`: the recording that it plays; `null`: none |
//! | page | `{"playback":CHANGE}`: a change of the replay ([`PlaybackChange`](super::page_message::PlaybackChange)) |
//! | server | text `{"records":BOOL,"cameras":[...]}`: state and counts |
//! | server | text `{"replay":{...}}`: state of the replay; `{"marks":{...}}`: its timeline |
//! | server | binary: length of a JSON object (4 bytes, little endian), the object, a JPEG file or, if the object has `video`, a fragment of MP4 |
//!
//! At most [`ON_THE_WAY_MAX`] pictures of a camera are on the way, so that the newest picture never waits after a queue of old
//! ones, however slow the network or the page is. Of video, [`VIDEO_ON_THE_WAY_MAX`] frames are, and a page that is further behind
//! continues at a key frame.

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
use super::fragments::Fragments;
use super::page_message::{PageMessage, Watch};
use super::page_video::{Playable, VideoItem};
use super::replay::{Replay, ReplayMessage};
use super::routes::Server;
use super::shot::{Shot, describe};
use super::viewer::{Viewer, ViewerKind};
use crate::frame::{Frame, Received};
use crate::net::clock::received_now;

/// Longest message of the page in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Pictures of a camera that the page has not drawn yet.
const ON_THE_WAY_MAX: u32 = 2;

/// Frames of video of a camera that the page has not given its decoder yet. With two, a connection with a round trip of 100 ms
/// would carry 20 frames per second.
const VIDEO_ON_THE_WAY_MAX: u32 = 8;

/// Longest time to send one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A camera that the page shows.
struct Watched {
    camera: Arc<ServedCamera>,
    size: ShotSize,
    plays_video: bool,
    /// `None` until it is known whether the camera sends video that the page plays.
    pictures: Option<Pictures>,
    on_the_way: u32,
}

/// Pictures of a camera in the form that the page shows.
enum Pictures {
    Jpeg(Viewer<Arc<Shot>>),
    Video(Video),
}

/// Frames of H.264 for the page.
struct Video {
    viewer: Viewer<VideoItem>,
    fragments: Fragments,
    /// Frames up to the next key frame depend on one that is missing.
    awaits_key_frame: bool,
}

/// A message for the page, and the bytes of its picture.
struct Outgoing {
    message: Bytes,
    picture: usize,
}

impl Video {
    /// Returns the message of the next frame that the page can decode.
    fn next(&mut self, camera: &ServedCamera) -> Option<Outgoing> {
        while let Some(item) = self.viewer.taker().try_take() {
            let VideoItem::Frame(frame, sets) = item else {
                self.awaits_key_frame = true;
                continue;
            };
            self.awaits_key_frame &= !frame.is_key_frame();
            if !self.awaits_key_frame {
                let outgoing = self.message(camera, &frame, &sets);
                if outgoing.is_some() {
                    return outgoing;
                }
                self.awaits_key_frame = true;
            }
            self.viewer.left_out(1);
        }
        None
    }

    fn message(&mut self, camera: &ServedCamera, frame: &Frame, sets: &[u8]) -> Option<Outgoing> {
        let fragment = self.fragments.fragment(frame, sets);
        let fragment = fragment.inspect_err(|error| tracing::debug!(camera = camera.name, %error, "video for a page"));
        let fragment = fragment.ok()?;
        // Strings and numbers: serializing them cannot fail.
        let video = serde_json::to_string(&fragment.head).unwrap_or_default();
        let about = format!("\"video\":{video},\"frame\":{}", describe(frame, &camera.style));
        let parts = [&fragment.boxes[..], &fragment.data];
        let picture = fragment.boxes.len() + fragment.data.len();
        let message = message(&camera.name, frame.received, self.viewer.superseded(), &about, &parts);
        Some(Outgoing { message, picture })
    }
}

impl Watched {
    /// Watches the pictures in the form that the camera and the page allow now, unless that is so.
    fn choose(&mut self, ready: &Arc<Ready>) {
        let playable = if self.plays_video { self.camera.video.playable() } else { Playable::No };
        self.pictures = match (playable, self.pictures.take()) {
            (Playable::Unknown, pictures) => pictures,
            (Playable::Yes, Some(Pictures::Video(video))) => Some(Pictures::Video(video)),
            (Playable::No, Some(Pictures::Jpeg(viewer))) => Some(Pictures::Jpeg(viewer)),
            (Playable::Yes, _) => {
                let viewer = self.camera.video.watch(&self.camera.viewers);
                viewer.taker().wake_on_item(Waker::from(Arc::clone(ready)));
                Some(Pictures::Video(Video { viewer, fragments: Fragments::default(), awaits_key_frame: false }))
            }
            (Playable::No, _) => self.camera.watch(ViewerKind::Page, &Form::plain(self.size)).map(|viewer| {
                viewer.taker().wake_on_item(Waker::from(Arc::clone(ready)));
                Pictures::Jpeg(viewer)
            }),
        };
    }

    /// Returns the message of the next picture, if the page is fast enough for it.
    fn next(&mut self) -> Option<Outgoing> {
        let outgoing = match self.pictures.as_mut()? {
            Pictures::Jpeg(viewer) if self.on_the_way < ON_THE_WAY_MAX => {
                let shot = viewer.taker().try_take()?;
                let about = format!("\"frame\":{}", shot.description);
                let parts = [&shot.file[..]];
                let message = message(&self.camera.name, shot.received, viewer.superseded(), &about, &parts);
                Outgoing { message, picture: shot.file.len() }
            }
            Pictures::Video(video) if self.on_the_way < VIDEO_ON_THE_WAY_MAX => video.next(&self.camera)?,
            _ => return None,
        };
        self.on_the_way += 1;
        Some(outgoing)
    }

    /// Counts a picture of this many bytes that was sent.
    fn sent(&self, bytes: usize) {
        match &self.pictures {
            Some(Pictures::Jpeg(viewer)) => viewer.sent(bytes),
            Some(Pictures::Video(video)) => video.viewer.sent(bytes),
            None => {}
        }
    }
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
        for Watch { camera, width, video } in list {
            let Some(camera) = self.server.camera(camera) else { continue };
            if self.watched.iter().any(|watched| watched.camera.name == camera.name) {
                continue;
            }
            let (size, plays_video) = (ShotSize::for_width(*width), *video);
            let known = before.iter().position(|watched| watched.camera.name == camera.name);
            let known = known.map(|at| before.swap_remove(at));
            let on_the_way = known.as_ref().map_or(0, |watched| watched.on_the_way);
            // Video has its own size.
            let keeps = |watched: &Watched| match &watched.pictures {
                Some(Pictures::Video(_)) => plays_video,
                _ => watched.size == size,
            };
            let pictures = known.filter(keeps).and_then(|watched| watched.pictures);
            self.watched.push(Watched { camera: Arc::clone(camera), size, plays_video, pictures, on_the_way });
        }
    }

    /// Returns the place of a camera with the message of its next picture.
    fn next(&mut self) -> Option<(usize, Outgoing)> {
        let cameras = self.watched.len();
        for step in 0..cameras {
            let at = (self.turn + step) % cameras;
            let watched = &mut self.watched[at];
            watched.choose(&self.ready);
            if let Some(outgoing) = watched.next() {
                self.turn = at + 1;
                return Some((at, outgoing));
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

/// Returns the message of a picture of a camera. `superseded`: pictures that newer ones replaced so far. `about`: further fields of
/// its object.
fn message(camera: &str, received: Received, superseded: u64, about: &str, parts: &[&[u8]]) -> Bytes {
    // Time from the arrival of the frame to now.
    let age_us = received_now().mono_ns.saturating_sub(received.mono_ns) / 1000;
    let camera = serde_json::to_string(camera).unwrap_or_default();
    let head = format!("{{\"camera\":{camera},\"age_us\":{age_us},\"superseded\":{superseded},{about}}}");
    picture(&head, parts)
}

/// Returns the message of a picture with this JSON object.
pub(super) fn picture(head: &str, parts: &[&[u8]]) -> Bytes {
    let mut bytes = Vec::with_capacity(4 + head.len() + parts.iter().map(|part| part.len()).sum::<usize>());
    // A head has a few kilobytes; the records of a frame bound it.
    bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(head.as_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
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
        if let Some((at, Outgoing { message, picture })) = next {
            if !send(&mut socket, Message::Binary(message)).await {
                return;
            }
            page.watched[at].sent(picture);
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
