//! Frames of one camera -> pictures with boxes, on a thread of its own.
//!
//! ```text
//! live frames --DropOldest(1)--> convert > boxes --DropOldest(1)--> whoever looks
//! ```
//!
//! What nobody looks at is not converted, and no frame is held longer than it takes to convert it, except while
//! the view is paused: then the frame that is shown is kept, to be drawn again with other boxes.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use std::{io, thread};

use crate::convert::Converter;
use crate::frame::inference::Overrides;
use crate::frame::{Frame, Geometry, Interpreter, PayloadKind, Picture, Pool};
use crate::hub::{Lane, Policy, RecvTimeoutError, Taker, lane};
use crate::net::clock::received_now;
use crate::overlay::{Overlay, Style};
use crate::sink::snapshot::{self, About, Place};
use crate::stats::Ledger;

/// How long a view sleeps at most before it looks what it is asked for, while no frame comes.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a snapshot waits for a frame: 2 s.
const NOTHING_NS: u64 = 2_000_000_000;

/// What is asked of a view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// Whether anybody looks.
    pub seen: bool,
    /// Whether the picture stands still.
    pub paused: bool,
    /// Counted up for one more picture while paused.
    pub steps: u64,
    /// Counted up for a snapshot.
    pub snapshots: u64,
    /// Boxes are drawn.
    pub boxes: bool,
    /// Labels are drawn.
    pub labels: bool,
    /// Least confidence that is drawn, 0 to 1.
    pub threshold: f32,
}

impl Wish {
    fn of(style: &Style) -> Self {
        let Style { boxes, labels, threshold, .. } = *style;
        Self { seen: true, paused: false, steps: 0, snapshots: 0, boxes, labels, threshold }
    }

    /// What decides how a frame is drawn.
    fn look(&self) -> (bool, bool, f32) {
        (self.boxes, self.labels, self.threshold)
    }
}

/// What a view makes of the frames.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Frames that could not be turned into a picture.
    pub failed: u64,
    /// Why the last frame could not; `None` when it could.
    pub error: Option<String>,
    /// What the last frame was.
    pub last: Option<Look>,
}

/// What a frame looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Kind of header.
    pub dialect: &'static str,
    /// Kind of payload.
    pub kind: PayloadKind,
    /// Layout, when it is known.
    pub geometry: Option<Geometry>,
}

/// The newest frame that has proved to be intact, held only while a view wants one: that is no lane, because most of what
/// is offered is not for it, and would look like drops.
#[derive(Clone, Debug, Default)]
pub struct Intact(Arc<Mutex<Wanted>>);

#[derive(Debug, Default)]
struct Wanted {
    wanted: bool,
    /// A recording stands still by itself: what it showed last is wanted then, and whatever it shows while it is paused.
    follows: bool,
    frame: Option<Arc<Frame>>,
}

impl Intact {
    /// For a recording. A paused view of it shows every frame that comes, because it was stepped to or sought.
    #[must_use]
    pub fn of_recording() -> Self {
        Self(Arc::new(Mutex::new(Wanted { follows: true, ..Wanted::default() })))
    }

    /// What is to be called with every intact frame.
    pub fn tap(&self) -> impl FnMut(&Arc<Frame>) + Send + use<> {
        let slot = Arc::clone(&self.0);
        move |frame| {
            let mut slot = locked(&slot);
            if slot.wanted || slot.follows {
                slot.frame = Some(Arc::clone(frame));
            }
        }
    }

    /// What has come since it was wanted, if it still is.
    fn take(&self, wanted: bool) -> Option<Arc<Frame>> {
        let mut slot = locked(&self.0);
        slot.wanted = wanted;
        if wanted || !slot.follows { slot.frame.take().filter(|_| wanted) } else { None }
    }

    fn follows(&self) -> bool {
        locked(&self.0).follows
    }
}

/// What a view is made of.
#[derive(Debug)]
pub struct Parts {
    /// The camera's name.
    pub name: String,
    /// Frames as they come; what waits too long is dropped before it is converted.
    pub live: Taker<Arc<Frame>>,
    /// The same frames once they have proved to be intact. Snapshots are made of these.
    pub intact: Intact,
    /// What is drawn at first.
    pub style: Style,
    /// What the user said of the payload.
    pub overrides: Overrides,
    /// Where pictures come from.
    pub pool: Pool<Picture>,
    /// Where pictures and their latency are counted.
    pub ledger: Ledger,
    /// Where snapshots go.
    pub snapshots: Place,
    /// Who hears of snapshots.
    pub notes: Sender<String>,
    /// Who is woken for each picture.
    pub wake: Thread,
}

/// A camera's frames as pictures. Dropping it ends its thread.
#[derive(Debug)]
pub struct View {
    /// The pictures, the newest only.
    pub pictures: Taker<Arc<Picture>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    // No wish: the view is to end.
    wish: Mutex<Option<Wish>>,
    health: Mutex<Health>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values, written as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl View {
    /// Begins to convert.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let (out, pictures) = lane("window", Policy::DropOldest(1));
        parts.ledger.watch(out.counter());
        let wish = Wish::of(&parts.style);
        let shared = Arc::new(Shared { wish: Mutex::new(Some(wish)), health: Mutex::default() });
        let worker = Worker {
            shared: Arc::clone(&shared),
            out,
            converter: Converter::new(),
            overlay: Overlay::new(parts.style.clone()),
            held: None,
            look: wish.look(),
            shown_ns: 0,
            steps: 0,
            snapshots: 0,
            waits_since_ns: None,
            bytes: 0,
            writers: Vec::new(),
            parts,
        };
        let thread = thread::Builder::new().name(format!("view {}", worker.parts.name)).spawn(move || worker.run())?;
        Ok(Self { pictures, shared, thread: Some(thread) })
    }

    /// Changes what is asked for.
    pub fn wish(&self, change: impl FnOnce(&mut Wish)) {
        if let Some(wish) = &mut *locked(&self.shared.wish) {
            change(wish);
        }
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn wished(&self) -> Wish {
        locked(&self.shared.wish).expect("a view has its wish until it is dropped")
    }

    /// What became of the frames.
    #[must_use]
    pub fn health(&self) -> Health {
        locked(&self.shared.health).clone()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        *locked(&self.shared.wish) = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has told its panic already.
            let _ = thread.join();
        }
    }
}

/// The frame that is shown while the view is paused.
struct Held {
    frame: Arc<Frame>,
    drawn: bool,
}

struct Worker {
    parts: Parts,
    shared: Arc<Shared>,
    out: Lane<Arc<Picture>>,
    converter: Converter,
    overlay: Overlay,
    held: Option<Held>,
    /// How the last picture was drawn.
    look: (bool, bool, f32),
    /// When the last byte of the newest frame that was shown came.
    shown_ns: u64,
    /// Steps and snapshots that were asked for and are done.
    steps: u64,
    snapshots: u64,
    /// Since when a snapshot waits for a frame.
    waits_since_ns: Option<u64>,
    /// Size of the last picture.
    bytes: usize,
    writers: Vec<JoinHandle<()>>,
}

impl Worker {
    fn run(mut self) {
        let mut ended = false;
        loop {
            let frame = if ended {
                thread::park_timeout(PATIENCE);
                None
            } else {
                let next = self.parts.live.recv_timeout(PATIENCE);
                ended = matches!(next, Err(RecvTimeoutError::Disconnected));
                next.ok()
            };
            let Some(wish) = *locked(&self.shared.wish) else { break };
            let stops = wish.paused && self.moves_on(wish);
            let confirmed = self.parts.intact.take(stops || wish.snapshots != self.snapshots);
            match (frame, &confirmed) {
                (_, Some(frame)) if wish.paused => self.stand_still(Arc::clone(frame), wish),
                (Some(frame), _) if !wish.paused => {
                    self.held = None;
                    self.show(&frame, wish);
                }
                _ => {}
            }
            if wish.snapshots != self.snapshots {
                self.snapshot(confirmed, wish);
            }
            self.redraw(wish);
        }
        for writer in self.writers {
            // A snapshot that was asked for is finished; a panic has been told.
            let _ = writer.join();
        }
    }

    /// Whether a paused view takes the next intact frame.
    fn moves_on(&self, wish: Wish) -> bool {
        self.held.is_none() || wish.steps != self.steps || self.parts.intact.follows()
    }

    /// Shows a frame that has just come, if anybody looks.
    fn show(&mut self, frame: &Frame, wish: Wish) {
        self.steps = wish.steps;
        self.shown_ns = frame.received.mono_ns;
        if wish.seen
            && let Some(picture) = self.picture(frame, wish)
        {
            let latency_us = received_now().mono_ns.saturating_sub(frame.received.mono_ns) / 1000;
            self.parts.ledger.update(|stats| stats.picture(frame.stale, latency_us));
            self.offer(picture);
        }
    }

    /// A paused view stands still at an intact frame, so that what is looked at can be saved; never at an older one than
    /// was shown before.
    fn stand_still(&mut self, frame: Arc<Frame>, wish: Wish) {
        if frame.received.mono_ns < self.shown_ns || !self.moves_on(wish) {
            return;
        }
        if frame.received.mono_ns > self.shown_ns {
            self.show(&frame, wish);
        }
        self.steps = wish.steps;
        self.held = Some(Held { frame, drawn: wish.seen });
    }

    /// Draws the frame that is held again when it is to look different.
    fn redraw(&mut self, wish: Wish) {
        let Some(held) = &mut self.held else { return };
        if wish.seen && (!held.drawn || wish.look() != self.look) {
            held.drawn = true;
            let frame = Arc::clone(&held.frame);
            if let Some(picture) = self.picture(&frame, wish) {
                self.offer(picture);
            }
        }
    }

    /// Writes what is shown, or the next intact frame while the picture moves.
    fn snapshot(&mut self, confirmed: Option<Arc<Frame>>, wish: Wish) {
        let Some(frame) = self.held.as_ref().map(|held| Arc::clone(&held.frame)).or(confirmed) else {
            let now_ns = received_now().mono_ns;
            if now_ns - *self.waits_since_ns.get_or_insert(now_ns) > NOTHING_NS {
                self.waits_since_ns = None;
                self.snapshots = wish.snapshots;
                self.note(format!("{}: nothing saved, no intact picture comes", self.parts.name));
            }
            return;
        };
        self.waits_since_ns = None;
        self.snapshots = wish.snapshots;
        let Some(picture) = self.picture(&frame, wish) else { return };
        let Parts { name, style, overrides, snapshots, notes, wake, .. } = &self.parts;
        let (name, style, overrides) = (name.clone(), style.clone(), *overrides);
        let (place, notes, wake) = (snapshots.clone(), notes.clone(), wake.clone());
        let write = move || {
            let about = About { camera: &name, names: style.names(frame.labels.as_deref()), overrides };
            let note = match snapshot::write_picture(&place, &picture, &frame, about) {
                Ok(path) => format!("saved {}", path.display()),
                Err(error) => error.to_string(),
            };
            // Nobody reads notes once the window is gone.
            let _ = notes.send(note);
            wake.unpark();
        };
        // Putting a large picture into a PNG takes longer than a frame.
        match thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            Ok(writer) => {
                self.writers.retain(|writer| !writer.is_finished());
                self.writers.push(writer);
            }
            Err(error) => self.note(format!("no snapshot: {error}")),
        }
    }

    /// Says what payloads are taken for, and why.
    fn explain(&self, frame: &Frame) {
        let (interpreter, same) = Interpreter::of(self.parts.overrides, frame);
        // A recording may know it better.
        if same && !interpreter.because().is_empty() {
            self.note(format!("{}: {}", self.parts.name, interpreter.because()));
        }
    }

    fn note(&self, note: String) {
        // Nobody reads notes once the window is gone.
        let _ = self.parts.notes.send(note);
        self.parts.wake.unpark();
    }

    fn offer(&mut self, picture: Arc<Picture>) {
        self.out.offer(picture);
        self.parts.wake.unpark();
    }

    /// The frame with its boxes; `None`, and the reason in the health, when nobody knows how.
    fn picture(&mut self, frame: &Frame, wish: Wish) -> Option<Arc<Picture>> {
        let mut picture = self.parts.pool.lease(self.bytes);
        let converted = self.converter.picture(frame, &mut picture);
        let look = Look { dialect: frame.dialect, kind: frame.kind, geometry: frame.geometry };
        let news = {
            let mut health = locked(&self.shared.health);
            health.failed += u64::from(converted.is_err());
            health.error = converted.as_ref().err().map(ToString::to_string);
            health.last.replace(look) != Some(look)
        };
        if news {
            self.explain(frame);
        }
        converted.ok()?;
        self.bytes = size_of_val(picture.words());
        self.look = wish.look();
        let style = self.overlay.style_mut();
        (style.boxes, style.labels, style.threshold) = self.look;
        self.overlay.draw(&mut picture, &frame.detections, frame.labels.as_deref());
        Some(picture.seal())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::field_reassign_with_default)] // A frame's payload is private, so there is no other way.

    use super::*;
    use crate::frame::{BBox, Detection, PixelFormat, Received};
    use std::sync::mpsc::{Receiver, channel};

    struct Bench {
        live: Lane<Arc<Frame>>,
        intact: Intact,
        view: View,
        notes: Receiver<String>,
        ledger: Ledger,
        folder: tempfile::TempDir,
        sent: u64,
    }

    impl Bench {
        fn new() -> Self {
            let (live, live_end) = lane("view", Policy::DropOldest(1));
            let intact = Intact::default();
            let (notes_in, notes) = channel();
            let (ledger, folder) = (Ledger::default(), tempfile::tempdir().expect("a folder"));
            let view = View::start(Parts {
                name: "cam".to_owned(),
                live: live_end,
                intact: intact.clone(),
                style: Style { labels: false, ..Style::default() },
                overrides: Overrides::default(),
                pool: Pool::default(),
                ledger: ledger.clone(),
                snapshots: Place::Folder(folder.path().to_owned()),
                notes: notes_in,
                wake: thread::current(),
            })
            .expect("a thread");
            Self { live, intact, view, notes, ledger, folder, sent: 0 }
        }

        /// A grey frame of 160x120 with a box around the middle, sent to the view; it proves to be intact.
        fn send(&mut self) -> Arc<Frame> {
            let frame = self.send_provisional();
            self.intact.tap()(&frame);
            frame
        }

        /// As [`Self::send`], and nobody knows yet whether it is intact.
        fn send_provisional(&mut self) -> Arc<Frame> {
            self.sent += 1;
            let mut frame = Frame::default();
            frame.id = self.sent;
            frame.received = Received { mono_ns: self.sent, unix_ns: 0 };
            frame.geometry = Some(Geometry::tight(PixelFormat::Gray8, 160, 120).expect("a usual geometry"));
            frame.payload_mut(160 * 120).fill(self.sent as u8);
            let bbox = BBox { xmin: 0.25, ymin: 0.25, xmax: 0.75, ymax: 0.75 };
            frame.detections.push(Detection { label: 0, confidence: 0.5, bbox });
            let frame = Arc::new(frame);
            self.live.offer(Arc::clone(&frame));
            frame
        }

        /// The view wants an intact frame now.
        fn wants_one(&self) {
            while !locked(&self.intact.0).wanted {
                thread::yield_now();
            }
        }

        /// The next note that is not about the layout.
        fn noted(&self) -> String {
            loop {
                let note = self.notes.recv_timeout(Duration::from_secs(60)).expect("a note");
                if !note.starts_with("cam: ") {
                    return note;
                }
            }
        }

        fn seen(&self) -> Arc<Picture> {
            self.view.pictures.recv_timeout(Duration::from_secs(60)).expect("a picture")
        }
    }

    const CORNER: usize = 30 * 160 + 40;

    #[test]
    fn a_paused_view_stands_still_and_is_drawn_again_and_stepped() {
        let mut bench = Bench::new();
        bench.send();
        let moving = bench.seen();
        assert_eq!((moving.frame_id, moving.words()[0]), (1, 0x0001_0101));
        assert_ne!(moving.words()[CORNER], 0x0001_0101, "the box");

        bench.view.wish(|wish| wish.paused = true);
        bench.wants_one();
        bench.send();
        assert_eq!(bench.seen().frame_id, 2, "the one that it stands still at");
        let passed = bench.send();
        while Arc::strong_count(&passed) > 1 {
            thread::yield_now();
        }
        bench.view.wish(|wish| wish.boxes = false);
        let again = bench.seen();
        assert_eq!((again.frame_id, again.words()[CORNER]), (2, 0x0002_0202), "the same, without its box");

        bench.view.wish(|wish| wish.steps += 1);
        bench.wants_one();
        bench.send();
        assert_eq!(bench.seen().frame_id, 4);
        bench.view.wish(|wish| wish.paused = false);
        bench.send();
        assert_eq!(bench.seen().frame_id, 5);
        assert_eq!(bench.ledger.snapshot().frames.pictures, 4, "drawn again is no other picture");
    }

    #[test]
    fn what_nobody_sees_is_not_converted() {
        let mut bench = Bench::new();
        bench.view.wish(|wish| wish.seen = false);
        let unseen = bench.send();
        while Arc::strong_count(&unseen) > 1 {
            thread::yield_now();
        }
        bench.view.wish(|wish| wish.seen = true);
        bench.send();
        assert_eq!(bench.seen().frame_id, 2);
        assert_eq!(bench.ledger.snapshot().frames.pictures, 1);
        assert!(bench.ledger.snapshot().balances());
    }

    #[test]
    fn snapshots_are_of_intact_frames() {
        let mut bench = Bench::new();
        bench.view.wish(|wish| wish.snapshots += 1);
        bench.wants_one();
        let provisional = bench.send_provisional();
        bench.seen();
        assert!(bench.folder.path().read_dir().expect("a folder").next().is_none(), "nothing is intact yet");
        bench.intact.tap()(&provisional);
        let note = bench.noted();
        let path = note.strip_prefix("saved ").expect("a path");
        assert!(path.starts_with(bench.folder.path().to_str().unwrap()));
        assert_eq!(image::open(path).expect("a picture").into_rgb8().get_pixel(0, 0).0, [1; 3]);

        bench.view.wish(|wish| wish.paused = true);
        bench.wants_one();
        bench.send_provisional();
        let intact = bench.send();
        assert_eq!(bench.seen().frame_id, intact.id, "it does not stand still at what may be damaged");
        bench.view.wish(|wish| wish.snapshots += 1);
        let path = bench.noted().replace("saved ", "");
        assert_eq!(image::open(path).expect("a picture").into_rgb8().get_pixel(0, 0).0, [intact.id as u8; 3]);
    }

    #[test]
    fn what_cannot_be_shown_is_told() {
        let mut bench = Bench::new();
        let mut video = Frame::default();
        video.kind = PayloadKind::H264;
        bench.live.offer(Arc::new(video));
        while bench.view.health().failed == 0 {
            thread::yield_now();
        }
        assert!(bench.view.health().error.expect("a reason").contains("H264"));
        bench.send();
        bench.seen();
        assert_eq!((bench.view.health().failed, bench.view.health().error), (1, None));
    }
}
