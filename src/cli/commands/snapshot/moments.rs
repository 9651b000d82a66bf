//! Pictures of several streams of a camera that show one moment.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use oaktap::frame::Frame;
use oaktap::sync::locked;

/// Frames of a further stream among which that of a moment is found. The first ten of a connection arrive at once, because later
/// ones decide whether they are stale.
pub(super) const KEPT: usize = 12;

/// The moments of which pictures are taken: those of pictures of the camera's first stream.
#[derive(Debug, Default)]
pub(super) struct Moments(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// All streams are known: pictures may be taken.
    is_open: bool,
    /// The first stream has its last picture.
    has_ended: bool,
    /// Capture times of the pictures of the first stream.
    times: Vec<i64>,
    /// Number of pictures of each further stream; `None` if it has its last one.
    further: Vec<Option<usize>>,
}

/// The moment of a picture of a further stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    At(i64),
    /// The first stream has no picture of it yet.
    NotYet,
    /// The first stream has no further picture.
    Any,
}

/// Returns the time of a frame's capture in microseconds: by the clock of the camera, if it has one.
fn capture_us(frame: &Frame) -> i64 {
    if frame.no_clock { frame.received.unix_ns / 1000 } else { frame.device_time.0 }
}

impl Moments {
    /// Lets the first stream take its pictures.
    pub(super) fn open(&self) {
        locked(&self.0).is_open = true;
    }

    /// Adds a further stream.
    pub(super) fn further(self: &Arc<Self>) -> FurtherStream {
        let mut state = locked(&self.0);
        state.further.push(Some(0));
        FurtherStream { moments: Arc::clone(self), number: state.further.len() - 1, written: 0, last: VecDeque::new() }
    }
}

/// The first stream of a camera. Dropping it lets the others go on without it.
#[derive(Debug)]
pub(super) struct FirstStream(Arc<Moments>);

impl FirstStream {
    pub(super) fn of(moments: &Arc<Moments>) -> Self {
        Self(Arc::clone(moments))
    }

    /// Returns whether a picture of this frame is taken: unless other streams still lack one of the moment before.
    pub(super) fn begins(&self, frame: &Frame) -> bool {
        let mut state = locked(&self.0.0);
        let count = state.times.len();
        let is_next = state.is_open && state.further.iter().flatten().all(|written| *written >= count);
        if is_next {
            state.times.push(capture_us(frame));
        }
        is_next
    }
}

impl Drop for FirstStream {
    fn drop(&mut self) {
        locked(&self.0.0).has_ended = true;
    }
}

/// The frames of a further stream. Dropping it lets the first stream go on without it.
#[derive(Debug)]
pub(super) struct FurtherStream {
    moments: Arc<Moments>,
    number: usize,
    written: usize,
    /// The last frames, at most [`KEPT`].
    last: VecDeque<Arc<Frame>>,
}

impl FurtherStream {
    /// Adds the next frame. Returns the frame of the next picture: that which was captured closest to the moment.
    pub(super) fn next(&mut self, frame: Arc<Frame>) -> Option<Arc<Frame>> {
        self.last.push_back(frame);
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
        let newest = self.last.back()?;
        match self.moment() {
            Moment::NotYet => None,
            Moment::Any => Some(Arc::clone(newest)),
            Moment::At(time) if capture_us(newest) < time => None,
            Moment::At(time) => self.closest(time),
        }
    }

    /// Returns the frame of the next picture after the last frame of the stream.
    pub(super) fn rest(&self) -> Option<Arc<Frame>> {
        match self.moment() {
            Moment::At(time) => self.closest(time),
            Moment::Any | Moment::NotYet => None,
        }
    }

    /// The picture was taken.
    pub(super) fn taken(&mut self) {
        self.written += 1;
        locked(&self.moments.0).further[self.number] = Some(self.written);
    }

    fn moment(&self) -> Moment {
        let state = locked(&self.moments.0);
        match state.times.get(self.written) {
            Some(time) => Moment::At(*time),
            None if state.has_ended => Moment::Any,
            None => Moment::NotYet,
        }
    }

    fn closest(&self, time: i64) -> Option<Arc<Frame>> {
        self.last.iter().min_by_key(|frame| capture_us(frame).abs_diff(time)).cloned()
    }
}

impl Drop for FurtherStream {
    fn drop(&mut self) {
        locked(&self.moments.0).further[self.number] = None;
    }
}

#[cfg(test)]
mod tests {
    use oaktap::frame::DeviceTime;

    use super::*;

    fn at(time: i64) -> Arc<Frame> {
        let mut frame = Frame::default();
        frame.device_time = DeviceTime(time);
        Arc::new(frame)
    }

    fn time(frame: Option<Arc<Frame>>) -> Option<i64> {
        frame.map(|frame| frame.device_time.0)
    }

    #[test]
    fn pictures_of_all_streams_show_one_moment() {
        let moments = Arc::new(Moments::default());
        let first = FirstStream::of(&moments);
        assert!(!first.begins(&at(0)), "the streams are not known");
        let mut depth = moments.further();
        assert_eq!(time(depth.next(at(5))), None);
        moments.open();
        assert!(first.begins(&at(100)));
        assert!(!first.begins(&at(200)), "the depth of 100 is missing");
        assert_eq!(time(depth.next(at(90))), None, "a later one may be closer");
        assert_eq!(time(depth.next(at(190))), Some(90));
        depth.taken();
        assert_eq!(time(depth.next(at(290))), None, "no moment yet");
        assert!(first.begins(&at(300)));
        assert_eq!(time(depth.next(at(390))), Some(290));
        depth.taken();
        // The first frames of a connection arrive at once.
        for moment in (600..1600).step_by(100) {
            assert_eq!(time(depth.next(at(moment))), None);
        }
        assert!(first.begins(&at(600)));
        assert_eq!(time(depth.next(at(1600))), Some(600));
        depth.taken();

        // A stream that stays behind at the end has its last picture.
        assert!(first.begins(&at(1700)));
        drop(first);
        assert_eq!(time(depth.rest()), Some(1600));
        depth.taken();
        assert_eq!(time(depth.rest()), None);
        assert_eq!(time(depth.next(at(1800))), Some(1800), "the first stream has ended");
    }

    #[test]
    fn the_first_stream_does_not_wait_for_a_stream_that_has_ended() {
        let moments = Arc::new(Moments::default());
        moments.open();
        let (first, depth) = (FirstStream::of(&moments), moments.further());
        assert!(first.begins(&at(100)));
        assert!(!first.begins(&at(200)));
        drop(depth);
        assert!(first.begins(&at(200)));
    }
}
