//! Video of a file, as a camera would send it: one access unit in each message.

use std::fs;
use std::path::Path;

use super::config::{Coding, SimError};
use crate::frame::{PayloadKind, Sequence, Size, nal_units};

/// Access units of a stream in the form of Annex B.
#[derive(Debug)]
pub(super) struct VideoFile {
    pub(super) units: Vec<Vec<u8>>,
    /// Size of the pictures, by the first sequence parameter set.
    pub(super) size: Size,
}

impl VideoFile {
    /// Reads a file of H.264 or H.265.
    pub(super) fn read(path: &Path, coding: Coding, bytes_max: usize) -> Result<Self, SimError> {
        let refused = |why: String| SimError::Images { path: path.to_owned(), why };
        let kind = match coding {
            Coding::H264 => PayloadKind::H264,
            Coding::H265 => PayloadKind::H265,
            Coding::Pixels(format) => {
                return Err(refused(format!("a file of video needs the format H264 or H265, not {format}")));
            }
        };
        let len = fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
        if len > bytes_max as u64 {
            return Err(refused(format!("{len} bytes: expected at most {bytes_max}")));
        }
        let units = access_units(kind, &fs::read(path).map_err(|error| refused(error.to_string()))?);
        let name = kind.name();
        let Some(first) = units.first() else {
            return Err(refused(format!(
                "no start code of {name} (Annex B), such as `ffmpeg -f {}` writes",
                match kind {
                    PayloadKind::H265 => "hevc",
                    _ => "h264",
                }
            )));
        };
        let Some(sequence) = Sequence::in_payload(kind, first) else {
            return Err(refused(format!("the stream does not begin with the parameter sets of {name}")));
        };
        Ok(Self { size: sequence.size(), units })
    }
}

/// Splits a stream into access units: ITU-T H.264, 7.4.1.2.3, and ITU-T H.265, 7.4.2.4.4, for streams without lost slices.
fn access_units(kind: PayloadKind, stream: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut has_slice = true;
    for body in nal_units(stream) {
        let first = body[0];
        let (is_slice, begins_picture, precedes_picture) = match kind {
            PayloadKind::H265 => {
                let unit = first >> 1 & 0x3f;
                (unit < 32, body.get(2).is_some_and(|byte| byte & 0x80 != 0), matches!(unit, 32..=35 | 39))
            }
            _ => {
                let unit = first & 0x1f;
                (matches!(unit, 1..=5), body.get(1).is_some_and(|byte| byte & 0x80 != 0), matches!(unit, 6..=9))
            }
        };
        if has_slice && (precedes_picture || (is_slice && begins_picture)) {
            units.push(Vec::new());
            has_slice = false;
        }
        let Some(unit) = units.last_mut() else { continue };
        unit.extend_from_slice(&[0, 0, 0, 1]);
        unit.extend_from_slice(body);
        has_slice |= is_slice;
    }
    if !has_slice {
        units.pop();
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_units_begin_with_what_precedes_their_first_slice() {
        let start = |bytes: &[u8]| [&[0, 0, 1], bytes].concat();
        // Parameter sets and two slices; a slice alone; a message and a slice; parameter sets without a picture.
        let h264 = [
            &[0x67, 66, 1][..],
            &[0x68, 1],
            &[0x65, 0x88],
            &[0x65, 0x40],
            &[0x41, 0x9a],
            &[6, 5],
            &[0x41, 0x9b],
            &[0x67, 66],
        ];
        let stream: Vec<u8> = h264.iter().flat_map(|unit| [start(unit), vec![0, 0]].concat()).collect();
        let units = access_units(PayloadKind::H264, &stream);
        let lens: Vec<usize> = units.iter().map(Vec::len).collect();
        assert_eq!(lens, [4 + 3 + 4 + 2 + 4 + 2 + 4 + 2, 4 + 2, 4 + 2 + 4 + 2]);
        let h265 =
            [&[0x40, 1, 1][..], &[0x42, 1, 1], &[0x44, 1, 1], &[0x26, 1, 0x80], &[0x26, 1, 0x20], &[0x02, 1, 0x80]];
        let stream: Vec<u8> = h265.iter().flat_map(|unit| start(unit)).collect();
        let lens: Vec<usize> = access_units(PayloadKind::H265, &stream).iter().map(Vec::len).collect();
        assert_eq!(lens, [5 * 7, 7]);
        assert!(access_units(PayloadKind::H264, &[1, 2, 3]).is_empty());
    }
}
