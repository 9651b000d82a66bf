//! Inputs of the screen: pictures, state and ledger of each camera, and notes for the user.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tokio::sync::watch;

use super::numbers::Numbers;
use crate::frame::Picture;
use crate::hub::{Policy, Taker, lane};
use crate::live;
use crate::recording::playback::Playback;
use crate::source::{FileSpec, Outside, Session, SessionState, SourceSpec};
use crate::stats::Ledger;
use crate::sync::unpark_waker;
use crate::view::{Note, Notify, View, Views};

#[derive(Debug)]
pub(super) struct CameraInput {
    pub(super) name: String,
    pub(super) spec: SourceSpec,
    pub(super) ledger: Ledger,
    state: watch::Receiver<SessionState>,
    pub(super) playback: Option<Playback>,
    pub(super) pictures: Taker<Arc<Picture>>,
    pub(super) numbers: Numbers,
    /// Name of a further stream, and the index of the camera that sends it.
    pub(super) stream: Option<Arc<str>>,
    pub(super) stream_of: Option<usize>,
}

/// Data of one camera for the screen.
#[derive(Debug)]
pub struct Subscription {
    pictures: Taker<Arc<Picture>>,
    numbers: Numbers,
}

impl CameraInput {
    pub(super) fn new(session: &Session, subscription: Subscription) -> Self {
        let Subscription { pictures, numbers } = subscription;
        Self {
            name: session.name().to_owned(),
            spec: session.spec().clone(),
            ledger: session.ledger().clone(),
            state: session.changes(),
            playback: session.playback().cloned(),
            pictures,
            numbers,
            stream: None,
            stream_of: None,
        }
    }

    /// Returns the input of a further stream of this camera, which has this index, from the view of the stream. The numbers
    /// are those of the camera, which has them in its own tile.
    pub(super) fn of_stream(&self, index: usize, stream: &live::Camera, view: &View) -> Self {
        Self {
            name: stream.name.clone(),
            spec: self.spec.clone(),
            ledger: self.ledger.clone(),
            state: self.state.clone(),
            playback: self.playback.clone(),
            pictures: pictures(stream, view),
            numbers: Numbers::default(),
            stream: stream.stream.clone(),
            stream_of: Some(index),
        }
    }

    /// Returns the files of the recording that is played.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let files = |file: &FileSpec| std::iter::once(&file.path).chain(&file.later).cloned().collect();
        self.spec.recording().map(files).unwrap_or_default()
    }

    pub(super) fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// Returns whether the playback is at a time before the recording of this camera: its last frame is of a later time.
    pub(super) fn is_before_start(&self) -> bool {
        matches!(*self.state.borrow(), SessionState::Outside(Outside::Before { .. }))
    }
}

/// Subscribes the screen to the pictures of a view. Each wakes the calling thread.
fn pictures(camera: &live::Camera, view: &View) -> Taker<Arc<Picture>> {
    let (lane, pictures) = lane("window", Policy::DropOldest(1));
    camera.outlets.ledger.watch(lane.counter());
    pictures.wake_on_item(unpark_waker(thread::current()));
    view.pictures().add(lane);
    pictures
}

/// Subscribes the screen to the pictures of views, and to the numbers beside them: before the sessions start, so that the
/// first picture is not missed. Each picture wakes the calling thread.
#[must_use]
pub fn subscribe(cameras: &[live::Camera], views: &Views) -> Vec<Subscription> {
    let subscribe = |(camera, view): (&live::Camera, &View)| {
        let pictures = pictures(camera, view);
        let numbers = Numbers::default();
        let received = numbers.clone();
        camera.outlets.incidents.tap(move |incident| {
            if let Some(measurement) = incident.event.measurement() {
                received.add(measurement);
            }
        });
        Subscription { pictures, numbers }
    };
    cameras.iter().zip(views.views()).map(subscribe).collect()
}

/// Creates a channel for notes to the screen; each note wakes the calling thread.
#[must_use]
pub fn note_channel() -> (Notify, Receiver<Note>) {
    let (tx, rx) = channel();
    let window = thread::current();
    let notify = move |note| {
        // Fails after the screen was dropped.
        let _ = tx.send(note);
        window.unpark();
    };
    (Arc::new(notify), rx)
}
