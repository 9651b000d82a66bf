//! Where the next trustworthy header is.
//!
//! After a frame stands something that is no header. Two explanations (wire.md section 5.1): bytes of the frame were
//! lost, so that the next header was taken for payload; or the frame is whole and junk follows. A header inside the
//! payload proves the first. For the second, the frame's own length must speak: a raw frame is as long as its
//! neighbours, a JPEG ends with its end marker.
//!
//! What no receiver can see without a checksum: a raw frame that lost exactly as many bytes as of the junk behind it
//! were taken for payload. Two faults in a row can make that; one cannot.

use memchr::{memchr_iter, memmem};

use super::event::Limits;
use super::header::{self, LINE};
use crate::frame::{Dialect, Frame};

/// Bytes at the end of what is known in which a header can begin without being recognisable yet.
pub(super) const BLIND: usize = LINE - 1;

const MAGICS: [&[u8]; 4] = [b"IMG ", b"ABCDE ", b"FRAME ", b"DETECT"];
const LONGEST_MAGIC: usize = 6;

/// The first place in `bytes` at or after `from` where a header or a record begins.
///
/// The last [`BLIND`] bytes are not searched.
pub(super) fn find(bytes: &[u8], from: usize, limits: &Limits) -> Option<usize> {
    // All of them are looked for in one growing window, so that the search ends soon behind what it finds.
    let mut from = from.min(bytes.len());
    let mut window = 1 << 10;
    loop {
        let end = bytes.len().min(from + window);
        // A magic may straddle the end of the window; `begins` looks beyond it.
        let text = &bytes[from..bytes.len().min(end + LONGEST_MAGIC - 1)];
        let is_one = |at: &usize| header::begins(&bytes[*at..], limits);
        let headers = MAGICS.iter().filter_map(|magic| memmem::find_iter(text, magic).map(|at| from + at).find(is_one));
        let record = memchr_iter(b'@', text).map(|at| from + at).find(is_one);
        if let Some(first) = headers.chain(record).min() {
            return Some(first);
        }
        if end == bytes.len() {
            return None;
        }
        from = end;
        window *= 2;
    }
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
    let jpeg = is_jpeg(payload);
    match frame.dialect {
        Dialect::Img if !jpeg => usual == Some(payload.len()) || next == Some(payload.len()),
        // What is encoded has no usual length. A JPEG ends with its end marker, video with nothing of its own.
        _ if jpeg => has_end(payload),
        Dialect::Img | Dialect::Abcde | Dialect::Abcde256 | Dialect::Frame => foreign,
    }
}

/// Whether a frame that another one follows may have been put together from two: it begins like a JPEG and does not
/// end like one.
pub(super) fn is_suspicious(frame: &Frame) -> bool {
    is_jpeg(frame.payload()) && frame.dialect != Dialect::Img && !has_end(frame.payload())
}

fn is_jpeg(payload: &[u8]) -> bool {
    payload.starts_with(&[0xff, 0xd8])
}

/// Whether there is an end marker behind which nothing but zeros stands.
fn has_end(payload: &[u8]) -> bool {
    let end = payload.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    payload[..end].ends_with(&[0xff, 0xd9])
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
    fn records_are_found_too() {
        let lines = format!("junk{:32}{:32}{:32}", "@F x 2", "@F 2 3", "IMG 12.5 9216 0");
        assert_eq!(find_in(lines.as_bytes()), Some(36));
        assert_eq!(find(lines.as_bytes(), 37, &Limits::default()), Some(68));
    }

    #[test]
    fn the_first_one_wins_in_whatever_window_it_lies() {
        for before in [0, 1000, 1023, 1024, 3071, 3072, 100_000] {
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(format!("{:32}{:32}", "FRAME  1.5  77", "IMG 12.5 9216 0").as_bytes());
            bytes[before..before + LINE].copy_from_slice(b"FRAME        1.5             77 ");
            assert_eq!(find_in(&bytes), Some(before));
        }
    }

    #[test]
    fn words_of_a_header_are_no_header() {
        assert_eq!(find_in(b"the IMG tag, ABCDE and FRAME are words; DETECT too, with more text behind them."), None);
    }
}
