//! Pictures of all cameras on their way to one router, on a thread of their own: a congested link blocks it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::messages::{ContextSender, SharedContext, put_picture};
use crate::hub::Taker;
use crate::recording::ImageEncoder;
use crate::sink::publish::camera::NumberedFrame;
use crate::sink::publish::outlet::Outlet;
use crate::sync::{locked, unpark_waker};

/// How often the thread looks for a change of subscribers while no frame arrives.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Time without subscribers after which the lanes ignore pictures. Until then they drop and count them: when a router restarts, its
/// subscribers are unknown for a moment, and see these frames as missing.
pub(super) const UNWANTED_AFTER: Duration = Duration::from_secs(1);

/// Notices when nobody has wanted something for a while.
#[derive(Debug)]
pub(super) struct Interest {
    /// Wanted at this time or since.
    last: Option<Instant>,
}

impl Interest {
    pub(super) const fn new() -> Self {
        Self { last: None }
    }

    /// Returns whether to keep items: they are wanted, or were a moment ago. `None` for `is_wanted`: without a router, this cannot be
    /// known.
    pub(super) fn lasts(&mut self, is_wanted: Option<bool>, now: Instant) -> bool {
        if is_wanted == Some(true) || (is_wanted.is_none() && self.last.is_some()) {
            self.last = Some(now);
        }
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= UNWANTED_AFTER) {
            self.last = None;
        }
        self.last.is_some()
    }
}

/// The pictures of one stream.
#[derive(Debug)]
pub(super) struct PictureStream {
    /// Name of the stream in frames; ignored for the first one.
    pub(super) stream: Option<Arc<str>>,
    pub(super) is_main: bool,
    pub(super) outlet: Outlet,
    /// Of the thread.
    context: Mutex<ContextSender>,
}

impl PictureStream {
    pub(super) fn new(stream: Option<Arc<str>>, is_main: bool, outlet: Outlet, context: &SharedContext) -> Self {
        Self { stream, is_main, outlet, context: Mutex::new(ContextSender::new(context)) }
    }

    fn is_of(&self, numbered: &NumberedFrame) -> bool {
        self.is_main == numbered.is_main && (self.is_main || self.stream == numbered.frame.stream)
    }
}

/// The pictures of one camera.
#[derive(Debug)]
pub(super) struct PictureCamera {
    /// Name of the camera, in the messages.
    name: String,
    /// Of the first stream, and of the others.
    lanes: [Taker<NumberedFrame>; 2],
    /// For each lane: whether it is of interest.
    interests: Mutex<[Interest; 2]>,
    streams: Mutex<Vec<Arc<PictureStream>>>,
}

impl PictureCamera {
    pub(super) fn new(name: &str, pictures: Taker<NumberedFrame>, other_pictures: Taker<NumberedFrame>) -> Self {
        Self {
            name: name.to_owned(),
            lanes: [pictures, other_pictures],
            interests: Mutex::new([Interest::new(), Interest::new()]),
            streams: Mutex::default(),
        }
    }

    /// Adds a stream whose key was declared.
    pub(super) fn add(&self, stream: PictureStream) {
        locked(&self.streams).push(Arc::new(stream));
    }

    /// Finds out who subscribes to the pictures, and opens or mutes the lanes.
    pub(super) async fn check(&self, is_connected: bool) {
        let streams = locked(&self.streams).clone();
        for stream in &streams {
            stream.outlet.check().await;
        }
        let now = Instant::now();
        let mut interests = locked(&self.interests);
        for (at, (lane, interest)) in self.lanes.iter().zip(&mut *interests).enumerate() {
            let is_wanted = is_connected.then(|| self.is_wanted(&streams, at == 0));
            let lasts = interest.lasts(is_wanted, now);
            lane.mute(!lasts);
            if !lasts {
                // An old picture is not for the next subscriber.
                while lane.try_take().is_some() {}
            }
        }
    }

    fn is_wanted(&self, streams: &[Arc<PictureStream>], is_main: bool) -> bool {
        streams.iter().any(|stream| stream.is_main == is_main && stream.outlet.is_wanted())
    }

    /// Publishes one picture of each lane. Returns `false` if there was none.
    fn publish(&self, encoder: &mut ImageEncoder) -> bool {
        let streams = locked(&self.streams).clone();
        let mut published = false;
        for (lane, is_main) in self.lanes.iter().zip([true, false]) {
            // Without subscribers, the lane drops and counts its pictures.
            if !self.is_wanted(&streams, is_main) {
                continue;
            }
            let Some(numbered) = lane.try_take() else { continue };
            published = true;
            let stream = streams.iter().find(|stream| stream.is_of(&numbered) && stream.outlet.is_wanted());
            if let Some(PictureStream { outlet, context, .. }) = stream.map(|stream| &**stream) {
                put_picture(outlet, &mut locked(context), encoder, &self.name, &numbered);
            }
        }
        published
    }
}

#[derive(Debug, Default)]
struct Shared {
    cameras: Mutex<Vec<Arc<PictureCamera>>>,
    ends: AtomicBool,
}

/// The thread that publishes pictures. Dropping it ends the thread, which may take as long as one picture waits.
#[derive(Debug)]
pub(super) struct Pictures {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Pictures {
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("publish pictures".to_owned()).spawn(move || run(&of_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn add(&self, camera: &Arc<PictureCamera>) {
        if let Some(thread) = &self.thread {
            camera.lanes.iter().for_each(|lane| lane.wake_on_item(unpark_waker(thread.thread().clone())));
        }
        locked(&self.shared.cameras).push(Arc::clone(camera));
    }

    pub(super) fn remove(&self, camera: &Arc<PictureCamera>) {
        locked(&self.shared.cameras).retain(|known| !Arc::ptr_eq(known, camera));
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let mut encoder = ImageEncoder::default();
    while !shared.ends.load(Ordering::SeqCst) {
        // Not locked while a picture is published.
        let cameras = locked(&shared.cameras).clone();
        let mut is_idle = true;
        for camera in &cameras {
            is_idle &= !camera.publish(&mut encoder);
        }
        drop(cameras);
        if is_idle {
            thread::park_timeout(IDLE_CHECK_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_lasts_for_a_moment_and_while_there_is_no_router() {
        let (start, mut interest) = (Instant::now(), Interest::new());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!interest.lasts(None, at(0)) && !interest.lasts(Some(false), at(0)), "nobody has asked yet");
        assert!(interest.lasts(Some(true), at(100)));
        assert!(interest.lasts(Some(false), at(500)), "a moment ago");
        assert!(interest.lasts(None, at(900)) && interest.lasts(None, at(60_000)), "they come back with the router");
        assert!(interest.lasts(Some(false), at(60_500)) && !interest.lasts(Some(false), at(61_000)));
        assert!(!interest.lasts(None, at(62_000)));
    }
}
