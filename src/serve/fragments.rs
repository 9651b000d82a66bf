//! H.264 as fragments of MP4, one access unit in each, for Media Source Extensions of browsers (ISO/IEC 14496-12, 8.8).

use std::num::NonZeroU32;

use serde::Serialize;
use shiguredo_mp4::boxes::{MfhdBox, MoofBox, SampleEntry, TfdtBox, TfhdBox, TrafBox, TrunBox, TrunSample};
use shiguredo_mp4::mux::{Fmp4SegmentMuxer, MuxError, Sample};
use shiguredo_mp4::{Encode as _, SampleFlags, TrackKind, codec_string};

use crate::access_unit::{AccessUnit, AccessUnitError};
use crate::frame::{Frame, PayloadKind};

/// Time scale: a tick is a microsecond, so that the page finds the frame of a presented picture by its time.
const TICKS_PER_S: u32 = 1_000_000;

/// Stated duration of a picture, in ticks. The real one is known only when the next picture arrives, and waiting for that would
/// delay each by one interval. A browser stops its clock at the end of the last picture, and skips to a key frame after a
/// distance of twice the duration (Media Source Extensions, coded frame processing). So it is longer than usual intervals.
const DURATION_TICKS: u32 = 10 * TICKS_PER_S;

/// Number of the only track.
const TRACK_ID: u32 = 1;

/// Flags of samples (ISO/IEC 14496-12, 8.8.3.1): does not depend on others.
const KEY_FLAGS: SampleFlags = SampleFlags::new(0x0200_0000);

/// Depends on others, and is not a sync sample.
const DELTA_FLAGS: SampleFlags = SampleFlags::new(0x0101_0000);

/// Bytes of the header of `mdat`.
const MDAT_HEADER_BYTES: usize = 8;

/// Reason why a frame is not sent as a fragment.
#[derive(Debug, thiserror::Error)]
pub(super) enum FragmentError {
    #[error(transparent)]
    Unit(#[from] AccessUnitError),
    #[error("a key frame without parameter sets")]
    NoSets,
    #[error("an access unit of {0} bytes; expected at most 2147483647")]
    TooLong(usize),
    #[error("cannot write MP4: {0}")]
    Mp4(#[from] shiguredo_mp4::Error),
    #[error("cannot write the header of MP4: {0}")]
    Header(#[from] MuxError),
}

/// Fields about a fragment in the message of a frame.
#[derive(Debug, Serialize)]
pub(super) struct FragmentHead {
    /// Time of the picture in the media, in microseconds.
    pub(super) time_us: u64,
    /// Codec in the form of RFC 6381, at key frames. Their fragment begins with an initialization segment, so that the page can
    /// start with any of them.
    pub(super) codec: Option<String>,
}

/// One frame for a media source.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) head: FragmentHead,
    /// The boxes before the media data.
    pub(super) boxes: Vec<u8>,
    /// The media data: the units of the camera, each after its length.
    pub(super) data: Vec<u8>,
}

/// Makes the fragments for one viewer.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// Number of the last fragment.
    number: u32,
    /// Time of the last fragment.
    last_us: Option<u64>,
}

impl Fragments {
    /// Returns the fragment of a frame of H.264. `sets`: the last parameter sets of the camera, in the form of Annex B.
    pub(super) fn fragment(&mut self, frame: &Frame, sets: &[u8]) -> Result<Fragment, FragmentError> {
        let mut unit = AccessUnit::parse(PayloadKind::H264, frame.payload())?;
        let (mut boxes, mut codec) = (Vec::new(), None);
        if unit.key {
            unit.add_parameter_sets(PayloadKind::H264, sets);
            let entry = unit.entry.ok_or(FragmentError::NoSets)?;
            codec = Some(codec_string::from_sample_entry(&entry)?);
            boxes = initialization(entry)?;
        }
        // Frames that were received together would have the same time.
        let received_us = frame.received.mono_ns / 1000;
        let time_us = self.last_us.map_or(received_us, |last_us| received_us.max(last_us + 1));
        self.last_us = Some(time_us);
        self.number = self.number.wrapping_add(1);
        let len = unit.bytes.len();
        let too_long = |_| FragmentError::TooLong(len);
        let moof = |offset: usize| {
            let data_offset = i32::try_from(offset).map_err(too_long)?;
            moof(self.number, time_us, unit.key, data_offset, u32::try_from(len).map_err(too_long)?)
        };
        // Its length does not depend on the offset.
        let moof = moof(moof(0)?.len() + MDAT_HEADER_BYTES)?;
        boxes.extend_from_slice(&moof);
        boxes.extend_from_slice(&u32::try_from(len + MDAT_HEADER_BYTES).map_err(too_long)?.to_be_bytes());
        boxes.extend_from_slice(b"mdat");
        Ok(Fragment { head: FragmentHead { time_us, codec }, boxes, data: unit.bytes })
    }
}

/// Returns the boxes before all fragments.
fn initialization(entry: SampleEntry) -> Result<Vec<u8>, FragmentError> {
    let sample = Sample {
        track_kind: TrackKind::Video,
        sample_entry: Some(entry),
        keyframe: true,
        timescale: NonZeroU32::MIN.saturating_add(TICKS_PER_S - 1),
        duration: DURATION_TICKS,
        composition_time_offset: None,
        data_offset: 0,
        data_size: 0,
    };
    // The muxer learns the track from a fragment. It keeps an index of all its fragments, so the others are written here.
    let mut muxer = Fmp4SegmentMuxer::new()?;
    muxer.create_media_segment_metadata(&[sample])?;
    Ok(muxer.init_segment_bytes()?)
}

fn moof(number: u32, time_us: u64, key: bool, data_offset: i32, len: u32) -> Result<Vec<u8>, FragmentError> {
    let sample = TrunSample {
        duration: Some(DURATION_TICKS),
        size: Some(len),
        flags: Some(if key { KEY_FLAGS } else { DELTA_FLAGS }),
        composition_time_offset: None,
    };
    let fragment = TrafBox {
        tfhd_box: TfhdBox {
            track_id: TRACK_ID,
            base_data_offset: None,
            sample_description_index: None,
            default_sample_duration: None,
            default_sample_size: None,
            default_sample_flags: None,
            duration_is_empty: false,
            default_base_is_moof: true,
        },
        tfdt_box: Some(TfdtBox { version: 1, base_media_decode_time: time_us }),
        trun_boxes: vec![TrunBox { data_offset: Some(data_offset), first_sample_flags: None, samples: vec![sample] }],
        unknown_boxes: Vec::new(),
    };
    let moof = MoofBox {
        mfhd_box: MfhdBox { sequence_number: number },
        traf_boxes: vec![fragment],
        unknown_boxes: Vec::new(),
    };
    Ok(moof.encode_to_vec()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Received, nal_units};
    use crate::sim::{Reel, SimConfig};

    fn frames(config: &str) -> [Frame; 2] {
        let reel = Reel::new(&config.parse::<SimConfig>().expect(config)).expect("a reel");
        [0, 1].map(|index| {
            let mut frame = Frame::with_payload(reel.still(index).payload.to_vec());
            frame.kind = PayloadKind::H264;
            frame.received = Received { mono_ns: 7_000_000_000_000, unix_ns: 0 };
            frame
        })
    }

    /// Names and bodies of the boxes on one level.
    fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
        let mut found = Vec::new();
        while let Some((len, _)) = bytes.split_first_chunk() {
            let (one, rest) = bytes.split_at(u32::from_be_bytes(*len) as usize);
            found.push((String::from_utf8_lossy(&one[4..8]).into_owned(), &one[8..]));
            bytes = rest;
        }
        found
    }

    #[test]
    fn a_fragment_has_the_units_of_the_camera_where_its_header_says() {
        let mut fragments = Fragments::default();
        let mut last_us = 0;
        for (frame, is_key) in frames("size=96x64&format=h264").iter().zip([true, false]) {
            let Fragment { head, boxes: before, data } = fragments.fragment(frame, &[]).expect("a fragment");
            assert_eq!(head.codec.as_deref().map(|codec| &codec[..5]), is_key.then_some("avc1."));
            assert!(head.time_us >= 7_000_000_000 && head.time_us > last_us, "{head:?}");
            last_us = head.time_us;
            let all = [before, data].concat();
            let found = boxes(&all);
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            let expected: &[&str] = if is_key { &["ftyp", "moov", "moof", "mdat"] } else { &["moof", "mdat"] };
            assert_eq!(names, expected);
            let (_, moof) = found[found.len() - 2];
            let traf = boxes(boxes(moof)[1].1);
            let [_, (_, tfdt), (_, trun)] = &traf[..] else { panic!("{traf:?}") };
            assert_eq!(tfdt[4..], head.time_us.to_be_bytes());
            // Flags, count, offset, duration, size, flags.
            let field = |at: usize| u32::from_be_bytes(trun[4 * at..][..4].try_into().expect("four bytes"));
            assert_eq!((field(1), field(2) as usize, field(3)), (1, moof.len() + 16, DURATION_TICKS));
            let (_, mdat) = found[found.len() - 1];
            assert_eq!(field(4) as usize, mdat.len());
            let slices = nal_units(frame.payload()).filter(|unit| matches!(unit[0] & 0x1f, 1 | 5));
            let expected: Vec<u8> =
                slices.flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), unit].concat()).collect();
            assert_eq!(mdat, expected);
        }
    }

    #[test]
    fn a_key_frame_without_parameter_sets_uses_those_before() {
        let [key, _] = frames("size=96x64&format=h264");
        let sets = key.parameter_sets().bytes;
        let slices: Vec<u8> = nal_units(key.payload())
            .filter(|unit| unit[0] & 0x1f == 5)
            .flat_map(|unit| [&[0, 0, 0, 1], unit].concat())
            .collect();
        let whole = Fragments::default().fragment(&key, &[]).expect("a fragment");
        let mut bare = Frame::with_payload(slices);
        (bare.kind, bare.received) = (PayloadKind::H264, key.received);
        assert!(matches!(Fragments::default().fragment(&bare, &[]), Err(FragmentError::NoSets)));
        let fragment = Fragments::default().fragment(&bare, &sets).expect("a fragment");
        assert_eq!((fragment.boxes, fragment.data), (whole.boxes, whole.data));
    }
}
