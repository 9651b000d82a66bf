//! H.264 and H.265 as a stream has them (Annex B) -> as an MP4 has them: parameter sets apart, lengths before units.

use shiguredo_mp4::bitstream::h264::LengthSize;
use shiguredo_mp4::bitstream::{h264, h265};
use shiguredo_mp4::boxes::SampleEntry;

use super::report::Skip;
use crate::frame::PayloadKind;

/// What a video is made of. Frames of one kind cannot follow those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// H.264 that was made here of pictures.
    Encoded,
    /// H.264 of the camera.
    H264,
    /// H.265 of the camera.
    H265,
}

/// One picture.
#[derive(Debug)]
pub(super) struct Unit {
    /// Parameter sets that hold from here on.
    pub(super) entry: Option<SampleEntry>,
    /// Whether a decoder can begin here.
    pub(super) key: bool,
    /// Without parameter sets; each unit with its length in four bytes before it.
    pub(super) bytes: Vec<u8>,
}

/// What kind of unit it is.
enum Role {
    /// Of a picture.
    Slice,
    /// For the sample entry.
    Parameters,
    /// Says only that a picture begins, or fills space: an MP4 has no use for it.
    Padding,
    Other,
}

impl Unit {
    /// Reads one access unit.
    pub(super) fn of(codec: Codec, stream: &[u8]) -> Result<Self, Skip> {
        let damaged = |why: String| Skip { kind: "video that cannot be read", why };
        let bodies: Vec<&[u8]> = match codec {
            Codec::Encoded | Codec::H264 => h264::parse_annexb_nal_units(stream)
                .map(|units| units.iter().map(|unit| unit.data).collect())
                .map_err(|error| damaged(error.to_string()))?,
            Codec::H265 => h265::parse_annexb_nal_units(stream)
                .map(|units| units.iter().map(|unit| unit.data).collect())
                .map_err(|error| damaged(error.to_string()))?,
        };
        let kind = match codec {
            Codec::Encoded | Codec::H264 => PayloadKind::H264,
            Codec::H265 => PayloadKind::H265,
        };
        let (mut key, mut picture, mut parameters) = (false, false, false);
        let mut bytes = Vec::with_capacity(stream.len());
        for body in bodies {
            let role = role(codec, body);
            match role {
                Role::Parameters => parameters = true,
                Role::Padding => {}
                Role::Slice | Role::Other => {
                    key |= body.first().is_some_and(|first| kind.is_key_unit(*first));
                    picture |= matches!(role, Role::Slice);
                    let len = u32::try_from(body.len()).map_err(|error| damaged(error.to_string()))?;
                    bytes.extend_from_slice(&len.to_be_bytes());
                    bytes.extend_from_slice(body);
                }
            }
        }
        if !picture {
            return Err(damaged("no picture in a frame of video".to_owned()));
        }
        // Those of an update that is no complete set are of no use.
        let entry = parameters.then(|| entry(codec, stream)).flatten();
        Ok(Self { entry, key, bytes })
    }
}

/// H.264: table 7-1. H.265: table 7-1.
fn role(codec: Codec, body: &[u8]) -> Role {
    let first = body.first().copied().unwrap_or(0);
    match codec {
        Codec::Encoded | Codec::H264 => match first & 0x1f {
            1..=5 => Role::Slice,
            7 | 8 => Role::Parameters,
            9..=12 => Role::Padding,
            _ => Role::Other,
        },
        Codec::H265 => match first >> 1 & 0x3f {
            0..=21 => Role::Slice,
            32..=34 => Role::Parameters,
            35..=38 => Role::Padding,
            _ => Role::Other,
        },
    }
}

fn entry(codec: Codec, stream: &[u8]) -> Option<SampleEntry> {
    let length_size = LengthSize::FourBytes;
    match codec {
        Codec::Encoded | Codec::H264 => {
            let config = h264::H264SampleEntryConfig { length_size };
            h264::build_avc1_box_from_annexb(stream, &config).ok().map(SampleEntry::Avc1)
        }
        Codec::H265 => {
            let config = h265::H265SampleEntryConfig {
                length_size,
                avg_frame_rate: h265::H265SampleEntryConfig::AVG_FRAME_RATE_UNSPECIFIED,
                constant_frame_rate: h265::H265ConstantFrameRate::Unknown,
            };
            h265::build_hvc1_box_from_annexb(stream, &config).ok().map(SampleEntry::Hvc1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Reel, SimConfig};

    fn stills(config: &str) -> [Vec<u8>; 2] {
        let config: SimConfig = config.parse().expect("a configuration");
        let reel = Reel::new(&config).expect("a reel");
        [0, 1].map(|index| reel.still(index).payload.to_vec())
    }

    #[test]
    fn parameters_are_apart_and_lengths_add_up() {
        for (format, codec) in [("H264", Codec::H264), ("H265", Codec::H265)] {
            let [key, delta] = stills(&format!("size=96x64&format={format}"));
            let unit = Unit::of(codec, &key).expect("a unit");
            assert!(unit.key);
            let visual = match unit.entry.expect("parameters") {
                SampleEntry::Avc1(entry) => entry.visual,
                SampleEntry::Hvc1(entry) => entry.visual,
                other => panic!("{other:?}"),
            };
            assert_eq!((visual.width, visual.height), (96, 64), "{format}");
            let length = u32::from_be_bytes(*unit.bytes.first_chunk().unwrap());
            assert_eq!(length as usize + 4, unit.bytes.len(), "one slice and nothing else");
            let unit = Unit::of(codec, &delta).expect("a unit");
            assert!(!unit.key && unit.entry.is_none());
        }
    }

    #[test]
    fn what_is_no_picture_is_told() {
        for stream in [&b""[..], b"abc", &[0, 0, 0, 1, 9, 16], &[0, 0, 1]] {
            for codec in [Codec::H264, Codec::H265] {
                assert!(Unit::of(codec, stream).is_err(), "{stream:?}");
            }
        }
    }
}
