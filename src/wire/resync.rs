//! Where the next trustworthy header is.
//!
//! After a frame stands something that is no header. Two explanations (wire.md section 5.1): bytes of the frame were
//! lost, so that the next header was taken for payload; or the frame is whole and junk follows. A header inside the
//! payload proves the first. For the second, the frame's own length must speak: a raw frame is as long as its
//! neighbours, a JPEG ends with its end marker.
//!
//! What no receiver can see without a checksum: a raw frame that lost exactly as many bytes as of the junk behind it
//! were taken for payload. Two faults in a row can make that; one cannot.

use memchr::memmem;

use super::event::Limits;
use super::header::{self, LINE};
use crate::frame::{Dialect, Frame, PayloadKind};

/// Bytes at the end of what is known in which a header can begin without being recognisable yet.
pub(super) const BLIND: usize = LINE - 1;

/// Most records before a header that are found with it.
const RECORDS: usize = 8;

/// Bytes in front of what comes next that may belong to it, so that it does not matter in which pieces it comes.
pub(super) const KEPT: usize = RECORDS * LINE + BLIND;

const MAGICS: [&[u8]; 4] = [b"IMG ", b"ABCDE ", b"FRAME ", b"DETECT"];
const LONGEST_MAGIC: usize = 6;

/// The first place in `bytes` where a header begins at or after `from`, or a record before such a header.
///
/// The last [`BLIND`] bytes are not searched.
pub(super) fn find(bytes: &[u8], from: usize, limits: &Limits) -> Option<usize> {
    // All dialects are looked for in one growing window, so that the search ends soon behind what it finds.
    let mut from = from.min(bytes.len());
    let mut window = 1 << 10;
    let first = loop {
        let end = bytes.len().min(from + window);
        // A magic may straddle the end of the window; `begins` looks beyond it.
        let text = &bytes[from..bytes.len().min(end + LONGEST_MAGIC - 1)];
        let hits = MAGICS.iter().filter_map(|magic| {
            memmem::find_iter(text, magic).map(|at| from + at).find(|at| header::begins(&bytes[*at..], limits))
        });
        if let Some(first) = hits.min() {
            break first;
        }
        if end == bytes.len() {
            return None;
        }
        from = end;
        window *= 2;
    };
    // Records announce the frame that they stand before, so they belong to it.
    let before = (1..=RECORDS).map_while(|n| first.checked_sub(n * LINE));
    let records = before.take_while(|at| bytes[*at] == b'@' && header::begins(&bytes[*at..], limits));
    Some(records.last().unwrap_or(first))
}

/// The first place in a message behind its header where another header begins: in the detections, in the payload, or
/// in the last bytes of the payload when `ahead` completes it.
pub(super) fn find_inside(text: &[u8], payload: &[u8], ahead: &[u8], limits: &Limits) -> Option<usize> {
    let seam = |before: &[u8], behind: &[u8]| {
        let tail = before.len() - before.len().min(BLIND);
        let seam = [&before[tail..], &behind[..behind.len().min(LINE)]].concat();
        find(&seam, 0, limits).map(|at| tail + at).filter(|at| *at < before.len())
    };
    find(text, 0, limits)
        .or_else(|| seam(text, payload))
        .or_else(|| find(payload, 0, limits).map(|at| text.len() + at))
        .or_else(|| seam(payload, ahead).map(|at| text.len() + at))
}

/// Whether a frame may be believed although no header follows it.
///
/// `usual` is the length of the payload before it, `next` that of the header that was found after the junk, and
/// `foreign` says that the junk is whole printable lines.
pub(super) fn is_whole(frame: &Frame, usual: Option<usize>, next: Option<usize>, foreign: bool) -> bool {
    let payload = frame.payload();
    match frame.kind {
        PayloadKind::Raw => {
            // Encoded streams have no usual length, so a payload there that is no JPEG proves nothing.
            frame.dialect == Dialect::Img && (usual == Some(payload.len()) || next == Some(payload.len()))
        }
        PayloadKind::Jpeg => payload.trim_ascii_end().ends_with(&[0xff, 0xd9]) || ends_padded(payload),
        PayloadKind::H264 | PayloadKind::H265 => foreign,
    }
}

/// A JPEG whose end marker is followed by zeros.
fn ends_padded(payload: &[u8]) -> bool {
    payload.iter().rposition(|byte| *byte != 0).is_some_and(|last| payload[..=last].ends_with(&[0xff, 0xd9]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(bytes: &[u8]) -> Option<usize> {
        find(bytes, 0, &Limits::default())
    }

    #[test]
    fn a_header_is_found_anywhere_and_only_whole() {
        let header = b"IMG 12.5 9216 0                 ";
        for before in 0..70 {
            let mut bytes = vec![b'I'; before];
            bytes.extend_from_slice(header);
            assert_eq!(find_in(&bytes), Some(before));
            bytes.pop();
            assert_eq!(find_in(&bytes), None);
        }
    }

    #[test]
    fn records_before_it_belong_to_it() {
        let lines = format!("junk{:32}{:32}{:32}", "@F 1 2", "@F 2 3", "IMG 12.5 9216 0");
        assert_eq!(find_in(lines.as_bytes()), Some(4));
        assert_eq!(find(lines.as_bytes(), 68, &Limits::default()), Some(4));
        let broken = format!("junk{:32}{:32}{:32}", "@F 1 2", "@F x 3", "IMG 12.5 9216 0");
        assert_eq!(find_in(broken.as_bytes()), Some(68));
    }

    #[test]
    fn words_of_a_header_are_no_header() {
        assert_eq!(find_in(b"the IMG tag, ABCDE and FRAME are words; DETECT too, with more text behind them."), None);
    }
}
