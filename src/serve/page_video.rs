//! The H.264 of one camera for pages, which play it as it is.

use std::sync::{Arc, Mutex};

use super::viewer::{Viewer, ViewerKind, Viewers};
use crate::frame::{Frame, PayloadKind, Sequence};
use crate::hub::group_lane;
use crate::live::Camera;
use crate::source::Outlets;
use crate::sync::locked;

/// Frames that wait for a slow page, before it continues at a key frame: 0.3 s at 30 frames per second.
const WAITING: usize = 8;

/// Whether browsers play the frames of a camera as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Playable {
    /// No frame that says so has arrived.
    #[default]
    Unknown,
    Yes,
    No,
}

/// An item for a page.
pub(super) enum VideoItem {
    /// A frame of H.264, and the last parameter sets of the camera.
    Frame(Arc<Frame>, Arc<[u8]>),
    /// Frames before the next one are missing.
    Broken,
}

impl VideoItem {
    /// Returns whether a decoder can start here.
    fn starts(&self) -> bool {
        match self {
            Self::Frame(frame, _) => frame.is_key_frame(),
            Self::Broken => false,
        }
    }
}

/// Facts about the camera's video.
#[derive(Default)]
struct Known {
    playable: Playable,
    /// The last parameter sets in the form of Annex B.
    sets: Arc<[u8]>,
    /// A B-frame came with these sets: browsers show pictures in their order of decoding only.
    has_b_frames: bool,
}

impl Known {
    fn observe(&mut self, frame: &Frame) {
        if frame.kind != PayloadKind::H264 {
            self.playable = Playable::No;
            return;
        }
        if frame.is_key_frame() {
            let found = frame.parameter_sets();
            if found.has_sequence && *found.bytes != *self.sets {
                *self = Self { playable: Playable::Unknown, sets: found.bytes.clone().into(), has_b_frames: false };
            }
            if found.has_sequence || self.playable != Playable::Yes {
                let sequence = Sequence::of(PayloadKind::H264, &found);
                let plays = sequence.as_ref().is_some_and(is_played) && !self.has_b_frames;
                self.playable = if plays { Playable::Yes } else { Playable::No };
            }
        } else if self.playable == Playable::Yes && frame.is_b_frame() {
            (self.playable, self.has_b_frames) = (Playable::No, true);
        }
    }
}

/// Returns whether browsers decode such pictures: 8 bits, 4:2:0, frames. A page checks the profile by itself.
const fn is_played(sequence: &Sequence) -> bool {
    sequence.chroma == 1 && matches!(sequence.bits, (8, 8)) && !sequence.interlaced
}

/// Follows the video of a camera.
pub(super) struct PageVideo {
    known: Arc<Mutex<Known>>,
    outlets: Outlets,
    stream: Option<Arc<str>>,
}

impl PageVideo {
    /// Looks at each frame, on the thread that receives it.
    pub(super) fn follow(camera: &Camera) -> Self {
        let known = Arc::<Mutex<Known>>::default();
        let (observed, stream) = (Arc::clone(&known), camera.stream.clone());
        camera.outlets.provisional.tap(move |frame: &Arc<Frame>| {
            if frame.stream == stream {
                locked(&observed).observe(frame);
            }
        });
        Self { known, outlets: camera.outlets.clone(), stream: camera.stream.clone() }
    }

    /// Returns whether browsers play the frames.
    pub(super) fn playable(&self) -> Playable {
        locked(&self.known).playable
    }

    /// Adds a page, which begins at the next key frame.
    pub(super) fn watch(&self, viewers: &Arc<Viewers>) -> Viewer<VideoItem> {
        let (lane, taker) = group_lane("page video", WAITING, VideoItem::starts);
        // In one order with the frames. Not counted: a break is not a frame.
        self.outlets.continuity.add_mapped(lane.sibling(), |_| Some(VideoItem::Broken));
        let viewer = viewers.add(ViewerKind::Page, lane.counter(), taker);
        let (known, stream, mut begun) = (Arc::clone(&self.known), self.stream.clone(), false);
        self.outlets.provisional.add_mapped(lane, move |frame| {
            let is_video = frame.stream == stream && frame.kind == PayloadKind::H264;
            begun |= is_video && frame.is_key_frame();
            (is_video && begun).then(|| VideoItem::Frame(Arc::clone(frame), Arc::clone(&locked(&known).sets)))
        });
        viewer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Reel, SimConfig};

    fn video(config: &str, index: u64) -> Frame {
        let reel = Reel::new(&config.parse::<SimConfig>().expect(config)).expect("a reel");
        let mut frame = Frame::with_payload(reel.still(index).payload.to_vec());
        frame.kind = PayloadKind::H264;
        frame
    }

    /// A slice of this kind (ITU-T H.264, table 7-6) that begins at the first macroblock.
    fn slice(slice_type: u8) -> Frame {
        // Exp-Golomb: 0 is 1, 5 is 00110, 6 is 00111.
        let first = 0b1001_1000 | (slice_type - 5) << 2;
        let mut frame = Frame::with_payload([0, 0, 0, 1, 0x41, first, 0xff]);
        frame.kind = PayloadKind::H264;
        frame
    }

    #[test]
    fn video_is_playable_from_its_first_key_frame_until_a_b_frame() {
        let mut known = Known::default();
        known.observe(&slice(5));
        assert_eq!(known.playable, Playable::Unknown, "no parameter sets yet");
        let key = video("size=96x64&format=h264", 0);
        known.observe(&key);
        known.observe(&slice(5));
        assert_eq!(known.playable, Playable::Yes);
        assert_eq!(*known.sets, *key.parameter_sets().bytes);
        known.observe(&slice(6));
        assert_eq!(known.playable, Playable::No);
        known.observe(&key);
        assert_eq!(known.playable, Playable::No, "the same encoder sends B-frames again");
        known.observe(&video("size=64x48&format=h264", 0));
        assert_eq!(known.playable, Playable::Yes, "another encoder");
        known.observe(&Frame::with_payload([0; 12]));
        assert_eq!(known.playable, Playable::No, "raw pixels");
    }

    #[test]
    fn a_key_frame_without_parameter_sets_is_not_playable_before_there_are_some() {
        let mut bare = Frame::with_payload([0, 0, 0, 1, 0x65, 0x88, 0xff]);
        bare.kind = PayloadKind::H264;
        let mut known = Known::default();
        known.observe(&bare);
        assert_eq!(known.playable, Playable::No);
        known.observe(&video("size=96x64&format=h264", 0));
        known.observe(&bare);
        assert_eq!(known.playable, Playable::Yes);
    }
}
