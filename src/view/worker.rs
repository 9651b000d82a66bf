//! The thread of a view.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use super::{Drawing, FrameKind, Shared, Showing, Snapshot, ViewControls, ViewOptions};
use crate::convert::{Converter, Placement};
use crate::frame::{Frame, LayoutNotes, Picture};
use crate::hub::{Hub, Lane, Policy, RecvTimeoutError, Taker, lane};
use crate::live::{Camera, DecodeFailed, Decoding, PictureLanes};
use crate::net::clock::received_now;
use crate::overlay::Overlay;
use crate::source::IncidentEvent;
use crate::stats::Ledger;
use crate::sync::locked;

/// Interval at which the controls are read while no frame arrives.
const CONTROL_INTERVAL: Duration = Duration::from_millis(20);

/// Time that a snapshot waits for a confirmed frame: 2 s.
const SNAPSHOT_TIMEOUT_NS: u64 = 2_000_000_000;

pub(super) struct Worker {
    name: String,
    options: ViewOptions,
    provisional: Taker<Arc<Frame>>,
    confirmed: ConfirmedFrames,
    /// Puts the pictures of video into the lanes of both.
    decoding: Decoding,
    withdrawn: Taker<Withdrawn>,
    /// The last frame that was withdrawn. Its picture may follow.
    last_withdrawn: Option<Withdrawn>,
    ledger: Ledger,
    shared: Arc<Shared>,
    pictures: Hub<Arc<Picture>>,
    converter: Converter,
    overlay: Overlay,
    held: Option<Held>,
    /// The class that the overlay is limited to.
    class: Option<u32>,
    /// The controls with which the last picture was drawn.
    drawing: Drawing,
    /// When the last byte of the newest frame that was shown arrived.
    shown_ns: u64,
    /// Steps and snapshots that are done.
    steps: u64,
    snapshots: u64,
    /// Since when a snapshot waits for a frame.
    snapshot_since_ns: Option<u64>,
    /// Size of the last picture in bytes.
    picture_bytes: usize,
    layout_notes: LayoutNotes,
}

/// A frame that proved to be damaged.
#[derive(Clone, Copy)]
struct Withdrawn {
    id: u64,
    /// When this was revealed: numbers are unique only within a connection.
    mono_ns: u64,
}

impl Withdrawn {
    fn subscribe(camera: &Camera) -> Taker<Self> {
        let (lane, taker) = lane("withdrawn", Policy::DropOldest(1));
        camera.outlets.incidents.add_mapped(lane, |incident| match incident.event {
            IncidentEvent::Withdrawn { id, .. } => Some(Self { id, mono_ns: incident.received.mono_ns }),
            _ => None,
        });
        taker
    }

    fn is(&self, frame: &Frame) -> bool {
        self.id == frame.id && self.mono_ns >= frame.received.mono_ns
    }
}

/// Reports frames of video that are not decoded, until there is a picture again. Waiting for a key frame is a failure only
/// before the first picture.
fn not_decoded(shared: Arc<Shared>) -> DecodeFailed {
    Box::new(move |frame, error| {
        let is_wait = error.is_skip();
        if is_wait && locked(&shared.frame).is_some() {
            return;
        }
        let mut health = locked(&shared.health);
        health.failed += 1;
        // The frame before may have a reason that explains more.
        if !is_wait || health.error.is_none() {
            (health.error, health.help) = (Some(error.to_string()), error.help());
        }
        health.last =
            Some(FrameKind { dialect: frame.dialect, payload: frame.kind, geometry: None, size: frame.size() });
    })
}

/// The frame that is shown while the view is paused.
struct Held {
    frame: Arc<Frame>,
    drawn: bool,
}

/// The newest confirmed frame, taken only while one is wanted. Not counted in the ledger: frames that no one asked for
/// would look like drops.
struct ConfirmedFrames {
    taker: Taker<Arc<Frame>>,
    /// Takes frames all the time. A paused recording delivers no further frame, so the frame that was delivered last must
    /// be at hand; and a paused view shows every frame that a step or seek delivers.
    always: bool,
    wanted: bool,
}

impl ConfirmedFrames {
    fn of(camera: &Camera) -> (Lane<Arc<Frame>>, Self) {
        let (lane, taker) = lane("confirmed", Policy::DropOldest(1));
        let always = camera.spec.recording().is_some();
        taker.mute(!always);
        (lane, Self { taker, always, wanted: false })
    }

    /// Returns the newest frame that was confirmed since one was wanted.
    fn take(&mut self, wanted: bool) -> Option<Arc<Frame>> {
        if !self.always && wanted != self.wanted {
            self.wanted = wanted;
            self.taker.mute(!wanted);
            if !wanted {
                drop(self.taker.try_take());
            }
        }
        if wanted { self.taker.try_take() } else { None }
    }
}

impl Worker {
    pub(super) fn new(
        camera: &Camera,
        options: ViewOptions,
        shared: Arc<Shared>,
        pictures: Hub<Arc<Picture>>,
        controls: ViewControls,
    ) -> io::Result<Self> {
        let (view, provisional) = lane("view", Policy::DropOldest(1));
        camera.outlets.ledger.watch(view.counter());
        let (kept, confirmed) = ConfirmedFrames::of(camera);
        let lanes = PictureLanes { provisional: Some(view), confirmed: Some(kept) };
        let decoding = Decoding::start(camera, lanes, not_decoded(Arc::clone(&shared)))?;
        Ok(Self {
            name: camera.name.clone(),
            provisional,
            confirmed,
            decoding,
            withdrawn: Withdrawn::subscribe(camera),
            last_withdrawn: None,
            ledger: camera.outlets.ledger.clone(),
            shared,
            pictures,
            converter: Converter::new(),
            overlay: Overlay::new(options.style.clone()),
            options,
            held: None,
            class: None,
            drawing: controls.drawing(),
            shown_ns: 0,
            steps: 0,
            snapshots: 0,
            snapshot_since_ns: None,
            picture_bytes: 0,
            layout_notes: LayoutNotes::default(),
        })
    }

    pub(super) fn run(mut self) {
        let mut ended = false;
        loop {
            let frame = if ended {
                thread::park_timeout(CONTROL_INTERVAL);
                None
            } else {
                let next = self.provisional.recv_timeout(CONTROL_INTERVAL);
                ended = matches!(next, Err(RecvTimeoutError::Disconnected));
                next.ok()
            };
            let Some(controls) = *locked(&self.shared.controls) else { break };
            self.decoding.mute(self.pictures.is_empty() && controls.snapshots == self.snapshots);
            let takes_next = controls.paused && self.takes_next(controls);
            let confirmed = self.confirmed.take(takes_next || controls.snapshots != self.snapshots);
            match (frame, &confirmed) {
                (_, Some(frame)) if controls.paused => self.hold(Arc::clone(frame), controls),
                (Some(frame), _) if !controls.paused => {
                    self.held = None;
                    self.show(&frame, controls);
                }
                _ => {}
            }
            if controls.snapshots != self.snapshots {
                self.snapshot(confirmed, controls);
            }
            self.redraw(controls);
            self.mark_damaged();
        }
    }

    /// Publishes whether the frame that is shown has been withdrawn.
    fn mark_damaged(&mut self) {
        self.last_withdrawn = self.withdrawn.try_take().or(self.last_withdrawn);
        let Some(withdrawn) = self.last_withdrawn else { return };
        let shown = locked(&self.shared.frame).clone();
        if let Some(frame) = shown.filter(|frame| withdrawn.is(frame)) {
            *locked(&self.shared.damaged) = Some((frame.id, frame.received.mono_ns));
            self.last_withdrawn = None;
        }
    }

    /// Returns whether a paused view takes the next confirmed frame.
    fn takes_next(&self, controls: ViewControls) -> bool {
        self.held.is_none() || controls.steps != self.steps || self.confirmed.always
    }

    /// Shows a frame that has just arrived, if the hub has an open lane.
    fn show(&mut self, frame: &Arc<Frame>, controls: ViewControls) {
        self.steps = controls.steps;
        self.shown_ns = frame.received.mono_ns;
        if !self.pictures.is_empty()
            && let Some(picture) = self.picture(frame, controls, controls.showing)
        {
            self.drawing = controls.drawing();
            *locked(&self.shared.frame) = Some(Arc::clone(frame));
            let latency_us = received_now().mono_ns.saturating_sub(frame.received.mono_ns) / 1000;
            self.ledger.update(|stats| stats.picture(frame.is_stale(), latency_us));
            self.pictures.offer(&picture);
        }
    }

    /// Holds a confirmed frame while paused, so that a snapshot saves exactly what is shown. Never goes back to a frame
    /// older than the one that was shown before.
    fn hold(&mut self, frame: Arc<Frame>, controls: ViewControls) {
        if frame.received.mono_ns < self.shown_ns || !self.takes_next(controls) {
            return;
        }
        if frame.received.mono_ns > self.shown_ns {
            self.show(&frame, controls);
        }
        self.steps = controls.steps;
        self.held = Some(Held { frame, drawn: !self.pictures.is_empty() });
    }

    /// Draws the frame that is shown again when the controls have changed.
    fn redraw(&mut self, controls: ViewControls) {
        let is_new = self.held.as_ref().is_some_and(|held| !held.drawn);
        if self.pictures.is_empty() || (!is_new && controls.drawing() == self.drawing) {
            return;
        }
        let frame = match &mut self.held {
            Some(held) => {
                held.drawn = true;
                Some(Arc::clone(&held.frame))
            }
            None => locked(&self.shared.frame).clone(),
        };
        self.drawing = controls.drawing();
        if let Some(frame) = frame
            && let Some(picture) = self.picture(&frame, controls, controls.showing)
        {
            *locked(&self.shared.frame) = Some(frame);
            self.pictures.offer(&picture);
        }
    }

    /// Hands out the held frame, or the next confirmed one while the view runs.
    fn snapshot(&mut self, confirmed: Option<Arc<Frame>>, controls: ViewControls) {
        let Some(frame) = self.held.as_ref().map(|held| Arc::clone(&held.frame)).or(confirmed) else {
            let now_ns = received_now().mono_ns;
            if now_ns - *self.snapshot_since_ns.get_or_insert(now_ns) > SNAPSHOT_TIMEOUT_NS {
                self.snapshot_since_ns = None;
                self.snapshots = controls.snapshots;
                (self.options.notify)(format!("{}: no snapshot: no confirmed frame within 2 s", self.name).into());
            }
            return;
        };
        self.snapshot_since_ns = None;
        self.snapshots = controls.snapshots;
        if let Some(picture) = self.picture(&frame, controls, None) {
            (self.options.snapshot)(Snapshot { camera: self.name.clone(), picture, frame });
        }
    }

    /// Converts a frame to the size in which it is shown, and draws its boxes. Returns `None` and sets the error in the
    /// health if that is impossible.
    fn picture(&mut self, frame: &Frame, controls: ViewControls, showing: Option<Showing>) -> Option<Arc<Picture>> {
        let mut picture = self.options.pool.lease(self.picture_bytes);
        let place = |size: (usize, usize)| match showing {
            Some(showing) => showing.place(size),
            None => Placement::whole(size.0, size.1),
        };
        let converted = self.converter.scaled(frame, place, &mut picture);
        let (payload, geometry) = (frame.sent().kind, frame.geometry);
        let kind = FrameKind { dialect: frame.dialect, payload, geometry, size: frame.size() };
        let changed = {
            let mut health = locked(&self.shared.health);
            health.failed += u64::from(converted.is_err());
            (health.error, health.help) = (converted.as_ref().err().map(ToString::to_string), None);
            health.last.replace(kind) != Some(kind)
        };
        if changed {
            tracing::info!(camera = %self.name, "{}", frame.because);
            let note = self.layout_notes.of(frame);
            note.inspect(|note| (self.options.notify)(format!("{}: {note}", self.name).into()));
        }
        converted.ok()?;
        self.picture_bytes = size_of_val(picture.words());
        let style = self.overlay.style_mut();
        let detections = showing.is_none_or(|showing| showing.detections);
        style.boxes = controls.boxes && detections;
        style.labels = controls.labels && detections;
        style.trails = controls.trails && detections;
        style.threshold = controls.threshold;
        if controls.class != self.class {
            self.class = controls.class;
            // A number selects a class whatever its name is.
            let given = || self.options.style.only.clone();
            style.only = controls.class.map_or_else(given, |class| vec![class.to_string()]);
        }
        self.overlay.set_strokes(showing.map(|showing| showing.strokes));
        self.overlay.set_covered(showing.map_or(0, |showing| showing.covered_of(picture.height)));
        self.overlay.follow(frame);
        self.overlay.draw(&mut picture, &frame.detections, frame.labels.as_deref());
        Some(picture.seal())
    }
}
