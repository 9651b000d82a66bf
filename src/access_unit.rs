//! Converts H.264 and H.265 access units from Annex B to the form of MP4: parameter sets apart, and a length before
//! each NAL unit instead of a start code.

use shiguredo_mp4::bitstream::h264::LengthSize;
use shiguredo_mp4::bitstream::{h264, h265};
use shiguredo_mp4::boxes::SampleEntry;

use crate::frame::{PayloadKind, nal_units};

/// One picture in the form of MP4.
#[derive(Debug)]
pub(crate) struct AccessUnit {
    /// New parameter sets, valid from this picture on.
    pub(crate) entry: Option<SampleEntry>,
    /// A decoder can start here.
    pub(crate) key: bool,
    /// NAL units without parameter sets, each after its length in 4 bytes, big-endian.
    pub(crate) bytes: Vec<u8>,
}

/// Reason for rejecting an access unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessUnitError {
    #[error("the frame contains no picture")]
    NoPicture,
    #[error("a unit has {0} bytes; expected at most 4294967295")]
    TooLong(usize),
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
    /// Parses one access unit of H.264 or H.265 in Annex B format.
    ///
    /// # Errors
    /// The stream contains no picture.
    pub(crate) fn parse(kind: PayloadKind, stream: &[u8]) -> Result<Self, AccessUnitError> {
        let (mut key, mut picture) = (false, false);
        let mut sets = Vec::new();
        let mut bytes = Vec::with_capacity(stream.len() + 16);
        for unit in nal_units(stream) {
            let role = role(kind, unit[0]);
            match role {
                Role::Parameters => {
                    sets.extend_from_slice(&[0, 0, 0, 1]);
                    sets.extend_from_slice(unit);
                }
                Role::Padding => {}
                Role::Slice | Role::Other => {
                    key |= kind.is_key_unit(unit[0]);
                    picture |= matches!(role, Role::Slice);
                    let len = u32::try_from(unit.len()).map_err(|_| AccessUnitError::TooLong(unit.len()))?;
                    bytes.extend_from_slice(&len.to_be_bytes());
                    bytes.extend_from_slice(unit);
                }
            }
        }
        if !picture {
            return Err(AccessUnitError::NoPicture);
        }
        // `None` for an update of only some parameter sets: a sample entry needs all of them.
        let entry = if sets.is_empty() { None } else { entry(kind, &sets) };
        Ok(Self { entry, key, bytes })
    }

    /// Uses these parameter sets, in the form of Annex B, if the unit has none.
    pub(crate) fn add_parameter_sets(&mut self, kind: PayloadKind, sets: &[u8]) {
        self.entry = self.entry.take().or_else(|| entry(kind, sets));
    }
}

/// Types of NAL units: table 7-1 of ITU-T H.264, and table 7-1 of ITU-T H.265.
fn role(kind: PayloadKind, first: u8) -> Role {
    match kind {
        PayloadKind::H265 => match first >> 1 & 0x3f {
            0..=21 => Role::Slice,
            32..=34 => Role::Parameters,
            35..=38 => Role::Padding,
            _ => Role::Other,
        },
        _ => match first & 0x1f {
            1..=5 => Role::Slice,
            7 | 8 => Role::Parameters,
            9..=12 => Role::Padding,
            _ => Role::Other,
        },
    }
}

fn entry(kind: PayloadKind, sets: &[u8]) -> Option<SampleEntry> {
    let length_size = LengthSize::FourBytes;
    if kind == PayloadKind::H265 {
        let config = h265::H265SampleEntryConfig {
            length_size,
            avg_frame_rate: h265::H265SampleEntryConfig::AVG_FRAME_RATE_UNSPECIFIED,
            constant_frame_rate: h265::H265ConstantFrameRate::Unknown,
        };
        return h265::build_hvc1_box_from_annexb(sets, &config).ok().map(SampleEntry::Hvc1);
    }
    let config = h264::H264SampleEntryConfig { length_size };
    h264::build_avc1_box_from_annexb(sets, &config).ok().map(SampleEntry::Avc1)
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
        for kind in [PayloadKind::H264, PayloadKind::H265] {
            let format = kind.name();
            let [key, delta] = stills(&format!("size=96x64&format={format}"));
            let unit = AccessUnit::parse(kind, &key).expect("a unit");
            assert!(unit.key);
            let visual = match unit.entry.expect("parameters") {
                SampleEntry::Avc1(entry) => entry.visual,
                SampleEntry::Hvc1(entry) => entry.visual,
                other => panic!("{other:?}"),
            };
            assert_eq!((visual.width, visual.height), (96, 64), "{format}");
            let length = u32::from_be_bytes(*unit.bytes.first_chunk().unwrap());
            assert_eq!(length as usize + 4, unit.bytes.len(), "expected exactly one slice");
            let unit = AccessUnit::parse(kind, &delta).expect("a unit");
            assert!(!unit.key && unit.entry.is_none());
        }
    }

    #[test]
    fn a_stream_without_a_picture_is_an_error() {
        // Delimiters alone, of H.264 and of H.265.
        let delimiters = [(PayloadKind::H264, [0, 0, 0, 1, 9, 16]), (PayloadKind::H265, [0, 0, 0, 1, 0x46, 1])];
        for (kind, delimiter) in delimiters {
            for stream in [&b""[..], b"abc", &delimiter, &[0, 0, 1]] {
                assert_eq!(AccessUnit::parse(kind, stream).err(), Some(AccessUnitError::NoPicture), "{stream:?}");
            }
        }
    }
}
