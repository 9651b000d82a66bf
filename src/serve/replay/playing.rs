//! A recording that is open: its session, and the picture that is made for the page.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use axum::extract::ws::Message;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::super::camera::{NoPicture, not_decoded};
use super::super::form::{Form, ShotSize};
use super::super::page_message::PlaybackChange;
use super::super::shot::{Shot, ShotError, ShotMaker};
use super::super::socket::picture;
use super::super::status::text_of;
use super::ReplayMessage;
use super::contents::{Contents, Problem};
use super::marks::{self, Marks, Read};
use crate::frame::Frame;
use crate::hub::{Policy, Taker, lane};
use crate::live::{Camera, Decoding, PictureLanes};
use crate::overlay::Style;
use crate::recording::playback::PlaybackStatus;
use crate::recording::{Playback, Speed};
use crate::source::{FileSpec, Session, SessionOptions, SessionState, SourceSpec};
use crate::sync::locked;

/// Speeds that a page may ask for, as multiples of the recorded one. As fast as possible would take a whole processor.
const SPEED_MIN: f64 = 0.125;
const SPEED_MAX: f64 = 16.0;

/// A maker of pictures that has made one, and the result.
type Made = (ShotMaker, Result<Option<Arc<Shot>>, ShotError>);

pub(super) struct Playing {
    contents: Contents,
    playback: Playback,
    session: Session,
    frames: Taker<Arc<Frame>>,
    /// `None` only while it is dropped.
    decoding: Option<Decoding>,
    no_picture: Arc<Mutex<Option<NoPicture>>>,
    style: Style,
    size: ShotSize,
    /// `None` while it makes a picture.
    maker: Option<ShotMaker>,
    making: Option<JoinHandle<Made>>,
    /// The last frame, to show it in another size.
    last: Option<Arc<Frame>>,
    /// Its picture has to be made again.
    again: bool,
    reading: Option<JoinHandle<Read>>,
    /// The reader of the file stops when it is gone.
    _replay: Arc<()>,
}

/// State for the page. Times are milliseconds since the start of the recording.
#[derive(Serialize)]
pub(super) struct PlayingState<'a> {
    camera: &'a str,
    cameras: &'a [String],
    start_unix_ms: i64,
    duration_ms: f64,
    /// `None` before the first frame.
    position_ms: Option<f64>,
    speed: f64,
    paused: bool,
    ended: bool,
    notes: &'a [String],
    /// Reason for a missing picture.
    text: Option<String>,
    help: Option<String>,
}

impl Playing {
    pub(super) fn start(contents: Contents, style: &Style, size: ShotSize) -> Result<Self, Problem> {
        let file = FileSpec { camera: Some(contents.camera.clone()), ..FileSpec::new(&contents.path) };
        let camera = Camera::new(format!("replay of {}", contents.camera), SourceSpec::File(file));
        let (provisional, frames) = lane("replay", Policy::DropOldest(1));
        let no_picture = Arc::<Mutex<Option<NoPicture>>>::default();
        let lanes = PictureLanes { provisional: Some(provisional), confirmed: None };
        let decoding = Decoding::start(&camera, lanes, not_decoded(Arc::clone(&no_picture)));
        let decoding = decoding.map_err(|error| Problem::of_system(&error))?;
        let playback = Playback::new(Speed::default(), false).waiting_at_end().covering(contents.span);
        let options =
            SessionOptions { playback: Some(playback.clone()), reconnect: false, ..SessionOptions::default() };
        let Camera { name, spec, outlets, .. } = camera;
        let session = Session::start(name, spec, options, outlets, &Handle::current());
        let replay = Arc::new(());
        let reading = Some(marks::read(&contents, Arc::downgrade(&replay)));
        Ok(Self {
            contents,
            playback,
            session,
            frames,
            decoding: Some(decoding),
            no_picture,
            style: style.clone(),
            size,
            maker: Some(ShotMaker::new(style.clone())),
            making: None,
            last: None,
            again: false,
            reading,
            _replay: replay,
        })
    }

    /// Applies a change of the page.
    pub(super) fn change(&mut self, change: PlaybackChange, size: ShotSize) {
        let PlaybackStatus { paused, ended, .. } = self.playback.status();
        let ns = |ms: i64| ms.saturating_mul(1_000_000);
        match change {
            PlaybackChange::Pause(false) if ended => {
                self.playback.pause(false);
                self.playback.seek(i64::MIN);
            }
            PlaybackChange::Pause(paused) => self.playback.pause(paused),
            PlaybackChange::Step if paused => self.playback.step(),
            PlaybackChange::Step => self.playback.pause(true),
            PlaybackChange::StepBack => {
                self.playback.pause(true);
                self.playback.step_back();
            }
            PlaybackChange::SeekMs(ms) => self.playback.seek(self.contents.span.0.saturating_add(ns(ms))),
            PlaybackChange::SeekByMs(ms) => self.playback.seek_by(ns(ms)),
            PlaybackChange::Speed(times) => self.playback.set_speed(Speed::Times(times.clamp(SPEED_MIN, SPEED_MAX))),
            PlaybackChange::Width(_) => {
                self.again |= self.size != size && self.last.is_some();
                self.size = size;
            }
        }
    }

    /// Returns the next picture, or the marks of the timeline. Losing the future loses nothing.
    pub(super) async fn next(&mut self, has_room: bool) -> ReplayMessage {
        loop {
            tokio::select! {
                made = finished(&mut self.making) => {
                    if let Some(message) = self.made(made) {
                        return ReplayMessage::Picture(message);
                    }
                }
                read = finished(&mut self.reading) => {
                    let Read { marks, notes } = read.unwrap_or_default();
                    self.contents.notes.extend(notes);
                    if let Some(marks) = marks {
                        return ReplayMessage::State(Message::Text(self.marks(&marks).into()));
                    }
                }
                frame = next_frame(&self.frames, self.last.as_ref().filter(|_| self.again)),
                    if has_room && self.making.is_none() => self.make(frame),
            }
        }
    }

    fn make(&mut self, frame: Arc<Frame>) {
        self.again = false;
        self.last = Some(Arc::clone(&frame));
        let mut maker = self.maker.take().unwrap_or_else(|| ShotMaker::new(self.style.clone()));
        let form = Form::plain(self.size);
        self.making = Some(spawn_blocking(move || {
            maker.begin(&frame);
            let shot = maker.shot(&frame, &form);
            (maker, shot)
        }));
    }

    /// Takes the result. Returns the message with the picture.
    fn made(&mut self, made: Result<Made, JoinError>) -> Option<Message> {
        // A panic was printed when it happened; the next picture gets another maker.
        let (maker, shot) = made.ok()?;
        self.maker = Some(maker);
        match shot {
            Ok(shot) => {
                *locked(&self.no_picture) = None;
                shot.map(|shot| Message::Binary(picture(&self.head(&shot), &[&shot.file[..]])))
            }
            Err(error) => {
                *locked(&self.no_picture) = Some(NoPicture { error: error.to_string(), help: None });
                None
            }
        }
    }

    fn head(&self, shot: &Shot) -> String {
        let position_ms = self.after_start_ms(shot.received.unix_ns);
        format!("{{\"replay\":true,\"position_ms\":{position_ms},\"frame\":{}}}", shot.description)
    }

    fn after_start_ms(&self, unix_ns: i64) -> f64 {
        unix_ns.saturating_sub(self.contents.span.0) as f64 / 1e6
    }

    fn marks(&self, marks: &Marks) -> String {
        #[derive(Serialize)]
        struct Message<'a> {
            marks: &'a Marks,
        }
        // Numbers: serializing them cannot fail.
        serde_json::to_string(&Message { marks }).unwrap_or_default()
    }

    pub(super) fn state(&self) -> PlayingState<'_> {
        let status = self.playback.status();
        let PlaybackStatus { speed, paused, ended, .. } = status;
        let Contents { cameras, camera, span, notes, .. } = &self.contents;
        let state = self.session.state();
        let no_picture = locked(&self.no_picture).clone();
        let (text, help) = match state {
            // The position says it.
            SessionState::Streaming | SessionState::Outside(crate::source::Outside::After) => (
                no_picture.as_ref().map(|why| why.error.clone()),
                no_picture.and_then(|why| why.help.map(str::to_owned)),
            ),
            state => {
                let (text, help) = text_of(&state);
                (Some(text), help)
            }
        };
        PlayingState {
            camera,
            cameras,
            start_unix_ms: span.0 / 1_000_000,
            duration_ms: self.after_start_ms(span.1),
            position_ms: status.time_ns().map(|ns| self.after_start_ms(ns)),
            speed: match speed {
                Speed::Times(times) => times,
                Speed::Max => SPEED_MAX,
            },
            paused,
            ended,
            notes,
            text,
            help,
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // It waits for the decoder, which the threads of the server must not.
        let decoding = self.decoding.take();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(decoding));
        }
    }
}

/// Returns the result of a task, and removes it. Waits for ever without one.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    let Some(running) = task else { return pending().await };
    let result = running.await;
    *task = None;
    result
}

/// Returns the newest frame, or else `again` if there is one.
async fn next_frame(frames: &Taker<Arc<Frame>>, again: Option<&Arc<Frame>>) -> Arc<Frame> {
    poll_fn(|cx| match (frames.poll_take(cx), again) {
        (Poll::Pending, Some(again)) => Poll::Ready(Arc::clone(again)),
        (frame, _) => frame,
    })
    .await
}
