//! Recognizes encoded payloads (JPEG, H.264, H.265) by their structure.
//!
//! Raw pixels can begin with any bytes, so a magic number alone proves nothing: the structure after it must be valid
//! too.

use super::PayloadKind;

/// Bytes of an Annex B payload that are examined: enough for all parameter sets and a part of the picture.
const ANNEX_B_WINDOW_BYTES: usize = 4096;

/// An encoded payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    /// Never [`PayloadKind::Raw`].
    pub(super) kind: PayloadKind,
    /// Width and height in pixels, for a JPEG.
    pub(super) size: Option<(u32, u32)>,
}

/// Recognizes JPEG, H.264 and H.265. The cost does not depend on the length of the payload.
pub(super) fn recognize(payload: &[u8]) -> Option<Encoded> {
    if let Some(size) = jpeg_size(payload) {
        return Some(Encoded { kind: PayloadKind::Jpeg, size: Some(size) });
    }
    let kind = annex_b(payload)?;
    Some(Encoded { kind, size: None })
}

/// Returns the size of a JPEG whose segments are contiguous up to the first scan (ITU-T T.81, B.1 and B.2).
pub(super) fn jpeg_size(file: &[u8]) -> Option<(u32, u32)> {
    let mut rest = file.strip_prefix(&[0xff, 0xd8])?;
    let mut size = None;
    loop {
        let (&[0xff, marker], segment) = rest.split_first_chunk()? else { return None };
        if marker == 0xff {
            rest = &rest[1..]; // A marker may be preceded by any number of fill bytes.
            continue;
        }
        let (&len, body) = segment.split_first_chunk()?;
        let body = body.get(..usize::from(u16::from_be_bytes(len)).checked_sub(2)?)?;
        match marker {
            // A frame header: all of SOF0..SOF15 but DHT, JPG and DAC, which share the range.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let &[_precision, h1, h0, w1, w0, ..] = body else { return None };
                let of = |bytes| u32::from(u16::from_be_bytes(bytes));
                size = Some((of([w1, w0]), of([h1, h0]))).filter(|(w, h)| *w > 0 && *h > 0);
            }
            0xda => return size,
            0xc4 | 0xcc | 0xdb..=0xdf | 0xe0..=0xef | 0xfe => {}
            _ => return None,
        }
        rest = &segment[2 + body.len()..];
    }
}

/// Recognizes H.264 or H.265 with start codes: every unit has a type that cameras send, and no unit contains a byte
/// sequence that must be escaped (H.264 and H.265, 7.4.1: 00 00 00, 00 00 01 and 00 00 02).
fn annex_b(payload: &[u8]) -> Option<PayloadKind> {
    let unit = payload.strip_prefix(&[0, 0, 0, 1]).or_else(|| payload.strip_prefix(&[0, 0, 1]))?;
    let kind = match unit {
        [first, second, ..] if is_h265_unit(*first, *second) => PayloadKind::H265,
        [first, ..] if is_h264_unit(*first) => PayloadKind::H264,
        _ => return None,
    };
    let mut at = payload.len() - unit.len();
    let end = payload.len().min(ANNEX_B_WINDOW_BYTES);
    // Zeros may extend beyond the window.
    while let Some(found) = payload.get(at..end).and_then(|rest| rest.windows(2).position(|pair| pair == [0, 0])) {
        at += found;
        let after = payload[at..].iter().position(|byte| *byte != 0);
        let Some(zeros) = after else { return Some(kind) }; // Zeros to the end pad the last unit.
        match (zeros, payload[at + zeros]) {
            (_, 1) => {
                let known = match (kind, &payload[at + zeros + 1..]) {
                    (PayloadKind::H265, [first, second, ..]) => is_h265_unit(*first, *second),
                    (PayloadKind::H264, [first, ..]) => is_h264_unit(*first),
                    _ => false,
                };
                if !known {
                    return None;
                }
            }
            (2, 2) => return None,
            (2, _) => {}
            _ => return None,
        }
        at += zeros + 1;
    }
    Some(kind)
}

/// Returns whether an access unit is a key frame: IDR of H.264, IRAP of H.265.
pub(super) fn has_key_unit(kind: PayloadKind, payload: &[u8]) -> bool {
    // The units before the first slice are small, so the window reaches it.
    let units = payload[..payload.len().min(ANNEX_B_WINDOW_BYTES)].windows(4).filter(|unit| unit[..3] == [0, 0, 1]);
    units.map(|unit| unit[3]).any(|first| kind.is_key_unit(first))
}

/// Parameter sets of video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundSets {
    /// The units in the form of Annex B; empty without any.
    pub bytes: Vec<u8>,
    /// A sequence parameter set is among them, which a decoder needs to start.
    pub has_sequence: bool,
    /// A slice of a picture follows them.
    pub has_picture: bool,
}

/// Returns the parameter sets before the first slice of an access unit.
pub(super) fn parameter_sets(kind: PayloadKind, payload: &[u8]) -> FoundSets {
    let mut found = FoundSets::default();
    let mut rest = payload;
    let start = |bytes: &[u8]| bytes.windows(3).position(|window| window == [0, 0, 1]);
    while let Some(at) = start(rest) {
        rest = &rest[at + 3..];
        let Some(&first) = rest.first() else { break };
        let (is_set, is_sequence, is_slice) = match kind {
            PayloadKind::H264 => (matches!(first & 0x1f, 7 | 8), first & 0x1f == 7, matches!(first & 0x1f, 1..=5)),
            PayloadKind::H265 => {
                let unit = first >> 1 & 0x3f;
                (matches!(unit, 32..=34), unit == 33, unit < 32)
            }
            PayloadKind::Raw | PayloadKind::Jpeg => return found,
        };
        if is_slice {
            found.has_picture = true;
            break;
        }
        if is_set {
            let unit = &rest[..start(rest).unwrap_or(rest.len())];
            // The next start code may have four bytes.
            let len = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            found.bytes.extend_from_slice(&[0, 0, 0, 1]);
            found.bytes.extend_from_slice(&unit[..len]);
            found.has_sequence |= is_sequence;
        }
    }
    found
}

impl PayloadKind {
    /// Returns whether frames refer to earlier ones: H.264 and H.265.
    #[must_use]
    pub const fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }

    /// Returns whether a unit that begins with this byte belongs to a key frame, where a decoder can start (H.264 and
    /// H.265, table 7-1).
    #[must_use]
    pub const fn is_key_unit(self, first: u8) -> bool {
        match self {
            Self::H264 => first & 0x1f == 5,
            Self::H265 => matches!(first >> 1 & 0x3f, 16..=21),
            Self::Raw | Self::Jpeg => false,
        }
    }
}

/// Accepts slices, SEI, parameter sets, access unit delimiters and filler (H.264, table 7-1).
fn is_h264_unit(first: u8) -> bool {
    let (forbidden, importance, kind) = (first >> 7, first >> 5 & 3, first & 0x1f);
    forbidden == 0
        && match kind {
            1 => true,
            5 | 7 | 8 => importance > 0,
            6 | 9 | 10 | 11 | 12 => importance == 0,
            _ => false,
        }
}

/// Accepts the same of H.265 (table 7-1), in the base layer.
fn is_h265_unit(first: u8, second: u8) -> bool {
    let (forbidden, kind) = (first >> 7, first >> 1);
    let layer = (first & 1) << 5 | second >> 3;
    forbidden == 0 && layer == 0 && second & 7 > 0 && matches!(kind, 0..=9 | 16..=21 | 32..=40)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds the segments of a JPEG up to its scan.
    pub(in crate::frame) fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xdb, 0, 3, 9, 0xff, 0xc0, 0, 8, 8];
        file.extend(height.to_be_bytes());
        file.extend(width.to_be_bytes());
        file.extend([3, 0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9]);
        file
    }

    #[test]
    fn jpeg_size_is_read_from_the_frame_header() {
        assert_eq!(recognize(&jpeg(640, 352)), Some(Encoded { kind: PayloadKind::Jpeg, size: Some((640, 352)) }));
        assert_eq!(jpeg_size(&jpeg(0, 352)), None);
    }

    #[test]
    fn magic_bytes_without_the_structure_are_not_a_jpeg() {
        let file = jpeg(640, 352);
        let scan = file.len() - 5;
        for cut in 0..scan {
            assert_eq!(recognize(&file[..cut]), None, "cut at {cut}");
        }
        let mut pixels = vec![0xff, 0xd8, 0xff, 0xe0];
        pixels.extend((0..10_000u32).map(|n| (n * 31) as u8));
        assert_eq!(recognize(&pixels), None);
    }

    /// A run of zeros crosses the end of the part that is examined.
    #[test]
    fn zeros_at_the_end_of_the_window_do_not_panic() {
        for zeros_at in ANNEX_B_WINDOW_BYTES - 4..ANNEX_B_WINDOW_BYTES + 2 {
            let mut payload = vec![9; ANNEX_B_WINDOW_BYTES + 100];
            payload[..5].copy_from_slice(&[0, 0, 0, 1, 0x65]);
            payload[zeros_at..zeros_at + 3].copy_from_slice(&[0, 0, 3]);
            assert_eq!(annex_b(&payload), Some(PayloadKind::H264), "zeros at {zeros_at}");
        }
    }

    #[test]
    fn annex_b_is_recognized_by_its_unit_types() {
        let h264 = [&[0, 0, 0, 1, 0x67, 0x42, 0, 10][..], &[0, 0, 0, 1, 0x68, 0xce], &[0, 0, 1, 0x65, 0, 0, 3, 1, 9]];
        assert_eq!(recognize(&h264.concat()).unwrap().kind, PayloadKind::H264);
        let h265 = [&[0, 0, 0, 1, 0x40, 1, 12][..], &[0, 0, 0, 1, 0x42, 1, 7], &[0, 0, 1, 0x26, 1, 0, 0, 3, 0, 0]];
        assert_eq!(recognize(&h265.concat()).unwrap().kind, PayloadKind::H265);
        for lone in [0x41, 0x61, 0x21, 0x01] {
            assert_eq!(recognize(&[0, 0, 0, 1, lone, 0x9a, 0x24]).unwrap().kind, PayloadKind::H264);
        }
        assert_eq!(recognize(&[0, 0, 0, 1, 0x02, 1, 0xd0]).unwrap().kind, PayloadKind::H265);
    }

    #[test]
    fn key_frames_are_found_by_their_unit_type() {
        // As the first unit of the payload, and after another one.
        let key = |kind, unit: u8| {
            [&[0, 0, 0, 1, unit, 1, 12][..], &[0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, unit]]
                .map(|payload| has_key_unit(kind, payload))
        };
        for (kind, units, expected) in [
            (PayloadKind::H264, &[0x65, 0x25][..], true),
            (PayloadKind::H264, &[0x41, 0x67, 0x68, 0x01], false),
            (PayloadKind::H265, &[16 << 1, 19 << 1, 20 << 1, 21 << 1], true),
            (PayloadKind::H265, &[0, 1 << 1, 9 << 1, 32 << 1, 33 << 1], false),
        ] {
            for unit in units {
                assert_eq!(key(kind, *unit), [expected; 2], "{kind:?} {unit:#04x}");
            }
        }
        assert!(!has_key_unit(PayloadKind::H264, &[]) && !has_key_unit(PayloadKind::H264, &[0, 0, 1]));
    }

    #[test]
    fn parameter_sets_are_those_before_the_first_slice() {
        let h264 = [
            &[0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 66, 0, 10][..],
            &[0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65, 0x88, 0, 0, 1, 0x67, 1],
        ];
        let found = parameter_sets(PayloadKind::H264, &h264.concat());
        assert_eq!(found.bytes, [0, 0, 0, 1, 0x67, 66, 0, 10, 0, 0, 0, 1, 0x68, 0xce]);
        assert!(found.has_sequence);
        let h265 = [&[0, 0, 0, 1, 0x40, 1, 12][..], &[0, 0, 0, 1, 0x44, 1, 7], &[0, 0, 1, 0x26, 1, 0]].concat();
        let found = parameter_sets(PayloadKind::H265, &h265);
        assert_eq!((found.bytes.len(), found.has_sequence), (14, false), "a picture parameter set only");
        for none in [&[][..], &[0, 0, 1], &[0, 0, 1, 0x41, 0x9a], &[0, 0, 1, 0x65, 1, 0, 0, 1, 0x67, 5]] {
            let found = parameter_sets(PayloadKind::H264, none);
            assert_eq!((found.bytes.len(), found.has_sequence, found.has_picture), (0, false, none.len() > 3));
        }
    }

    #[test]
    fn dark_raw_pixels_are_not_annex_b() {
        let start = [0, 0, 0, 1, 0x65];
        for tail in [&[7, 0, 0, 0, 2, 9][..], &[0, 0, 2], &[1, 0, 0, 0, 9], &[9, 0, 0, 1, 0xff], &[9, 0, 0, 1]] {
            assert_eq!(recognize(&[&start[..], tail].concat()), None, "{tail:?}");
        }
        let mut black = vec![0; 9216];
        black[3] = 1;
        black[4] = 0x41;
        black[9000] = 200;
        assert_eq!(recognize(&black), None);
    }
}
