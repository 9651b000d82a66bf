//! Sizes of the pictures of video, which only key frames and announcements state.

use std::sync::Arc;

use crate::frame::{PayloadKind, Sequence, Size};

/// Streams whose sizes are kept: a camera has a few. Bounds the memory of one that names many.
const MAX_STREAMS: usize = 16;

/// The sizes of the streams of video of one camera, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct VideoSizes(Vec<VideoStream>);

#[derive(Clone, Debug)]
struct VideoStream {
    /// Name of the stream; `None` for the first one of a camera.
    name: Option<Arc<str>>,
    kind: PayloadKind,
    /// Size in the last announcement (`@D`).
    announced: Option<Size>,
    /// Size by the last sequence parameter set, or by an announcement of another size after it.
    size: Size,
}

impl VideoSizes {
    /// Sets the size of a stream, as announced by `@D`. It holds until the next sequence parameter set.
    pub(super) fn announce(&mut self, stream: Option<&Arc<str>>, kind: PayloadKind, size: Size) {
        let video = self.stream(stream, kind, size);
        // Cameras repeat announcements, and a sequence parameter set is right where it differs from them.
        if video.announced.replace(size) != Some(size) {
            video.size = size;
        }
    }

    /// Returns the size of the pictures of a payload, if it is known: by the sequence parameter set in it, by the recording
    /// (`restored`), or as before. `None` for payloads that are not video.
    pub(super) fn of_payload(
        &mut self,
        stream: Option<&Arc<str>>,
        kind: PayloadKind,
        payload: &[u8],
        restored: Option<Size>,
    ) -> Option<Size> {
        if !kind.is_video() {
            return None;
        }
        match Sequence::in_payload(kind, payload).map(|sequence| sequence.size()).or(restored) {
            Some(size) => {
                self.stream(stream, kind, size).size = size;
                Some(size)
            }
            None => Some(self.0[self.position(stream, kind)?].size),
        }
    }

    fn position(&self, name: Option<&Arc<str>>, kind: PayloadKind) -> Option<usize> {
        self.0.iter().position(|known| known.kind == kind && known.name.as_ref() == name)
    }

    /// Returns the entry of a stream. A new one has this size.
    fn stream(&mut self, name: Option<&Arc<str>>, kind: PayloadKind, size: Size) -> &mut VideoStream {
        let at = self.position(name, kind).unwrap_or_else(|| {
            if self.0.len() == MAX_STREAMS {
                self.0.remove(0);
            }
            self.0.push(VideoStream { name: name.cloned(), kind, announced: None, size });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PayloadKind::{H264, H265, Jpeg};

    /// A unit of a frame that is not a key frame.
    const DELTA: &[u8] = &[0, 0, 0, 1, 0x61, 0x9a, 0x24];
    const SMALL: Size = Size::new(320, 176);
    const LARGE: Size = Size::new(640, 352);

    #[test]
    fn each_stream_has_the_size_of_its_last_announcement() {
        let (mut sizes, depth) = (VideoSizes::default(), Arc::<str>::from("side"));
        assert_eq!(sizes.of_payload(None, H264, DELTA, None), None);
        sizes.announce(None, H264, SMALL);
        sizes.announce(Some(&depth), H264, LARGE);
        assert_eq!(sizes.of_payload(None, H264, DELTA, None), Some(SMALL));
        assert_eq!(sizes.of_payload(Some(&depth), H264, DELTA, None), Some(LARGE));
        assert_eq!(sizes.of_payload(None, H265, DELTA, None), None, "another coding");
        assert_eq!(sizes.of_payload(None, Jpeg, DELTA, Some(SMALL)), None, "JPEG has its own size");
    }

    #[test]
    fn a_repeated_announcement_does_not_replace_the_size_in_the_stream() {
        let mut sizes = VideoSizes::default();
        sizes.announce(None, H264, LARGE);
        assert_eq!(sizes.of_payload(None, H264, DELTA, Some(SMALL)), Some(SMALL), "stored in the recording");
        sizes.announce(None, H264, LARGE);
        assert_eq!(sizes.of_payload(None, H264, DELTA, None), Some(SMALL));
        let other = Size::new(64, 48);
        sizes.announce(None, H264, other);
        assert_eq!(sizes.of_payload(None, H264, DELTA, None), Some(other), "the camera has changed it");
    }

    #[test]
    fn memory_is_bounded() {
        let mut sizes = VideoSizes::default();
        for number in 0..1000 {
            sizes.announce(Some(&format!("s{number}").into()), H264, SMALL);
        }
        assert_eq!(sizes.0.len(), MAX_STREAMS);
    }
}
