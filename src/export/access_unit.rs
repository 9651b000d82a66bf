//! Converts H.264 and H.265 access units from Annex B to the form of MP4: parameter sets apart, and a length before
//! each NAL unit instead of a start code.

use shiguredo_mp4::bitstream::h264::LengthSize;
use shiguredo_mp4::bitstream::{h264, h265};
use shiguredo_mp4::boxes::SampleEntry;

use super::report::Skip;
use crate::frame::PayloadKind;

/// Source and codec of access units. A file contains one kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// H.264 encoded by [`GroupEncoder`](super::group_encoder::GroupEncoder).
    Encoded,
    /// H.264 from the camera.
    H264,
    /// H.265 from the camera.
    H265,
}

/// One picture in the form of MP4.
#[derive(Debug)]
pub(super) struct AccessUnit {
    /// New parameter sets, valid from this picture on.
    pub(super) entry: Option<SampleEntry>,
    /// A decoder can start here.
    pub(super) key: bool,
    /// NAL units without parameter sets, each after its length in 4 bytes, big-endian.
    pub(super) bytes: Vec<u8>,
}

/// Use of a NAL unit in an MP4 file.
enum Role {
    /// Part of a picture.
    Slice,
    /// Parameter set: belongs in the sample entry.
    Parameters,
    /// Delimiter, end of sequence or filler: left out.
    Padding,
    /// Kept, such as supplemental information.
    Other,
}

impl AccessUnit {
    /// Parses one access unit in Annex B format.
    ///
    /// # Errors
    /// The stream is malformed or contains no picture.
    pub(super) fn parse(codec: Codec, stream: &[u8]) -> Result<Self, Skip> {
        let damaged = |why: String| Skip { kind: "invalid video", why };
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
            return Err(damaged("the frame contains no picture".to_owned()));
        }
        // `None` for an update of only some parameter sets: a sample entry needs all of them.
        let entry = parameters.then(|| entry(codec, stream)).flatten();
        Ok(Self { entry, key, bytes })
    }

    /// Uses these parameter sets, in the form of Annex B, if the unit has none.
    pub(super) fn add_parameter_sets(&mut self, codec: Codec, sets: &[u8]) {
        self.entry = self.entry.take().or_else(|| entry(codec, sets));
    }
}

/// Types of NAL units: table 7-1 of ITU-T H.264, and table 7-1 of ITU-T H.265.
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
        let config: SimConfig = config.parse().expect("a valid configuration");
        let reel = Reel::new(&config).expect("a reel");
        [0, 1].map(|index| reel.still(index).payload.to_vec())
    }

    #[test]
    fn parameter_sets_are_separated_and_units_get_lengths() {
        for (format, codec) in [("H264", Codec::H264), ("H265", Codec::H265)] {
            let [key, delta] = stills(&format!("size=96x64&format={format}"));
            let unit = AccessUnit::parse(codec, &key).expect("a unit");
            assert!(unit.key);
            let visual = match unit.entry.expect("parameters") {
                SampleEntry::Avc1(entry) => entry.visual,
                SampleEntry::Hvc1(entry) => entry.visual,
                other => panic!("{other:?}"),
            };
            assert_eq!((visual.width, visual.height), (96, 64), "{format}");
            let length = u32::from_be_bytes(*unit.bytes.first_chunk().unwrap());
            assert_eq!(length as usize + 4, unit.bytes.len(), "expected exactly one slice");
            let unit = AccessUnit::parse(codec, &delta).expect("a unit");
            assert!(!unit.key && unit.entry.is_none());
        }
    }

    #[test]
    fn a_stream_without_a_picture_is_an_error() {
        for stream in [&b""[..], b"abc", &[0, 0, 0, 1, 9, 16], &[0, 0, 1]] {
            for codec in [Codec::H264, Codec::H265] {
                assert!(AccessUnit::parse(codec, stream).is_err(), "{stream:?}");
            }
        }
    }
}
