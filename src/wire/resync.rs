//! Finding the next header after a loss of synchronization.
//!
//! When no header follows a frame, there are two explanations (wire.md section 5.1). Either bytes of the frame were
//! lost, and the next header was read as payload: then that header is inside the payload. Or the frame is complete and
//! junk follows: then its length has to fit, which a raw frame shows by the length of its neighbors and a JPEG by its
//! end marker.
//!
//! One case is undetectable without a checksum: a raw frame that lost as many bytes as the junk after it filled up.
//! This takes two faults in a row.

use memchr::{memchr_iter, memmem};

use super::header::{self, Dialect, LONGEST_MAGIC, MAGICS};
use super::limits::Limits;
use super::text::LINE;
use super::work::Work;
use crate::frame::Frame;

/// Bytes at the end of the input in which a header may start without being recognizable yet.
pub(super) const PARTIAL_LINE: usize = LINE - 1;

/// Returns the first position in `bytes`, at or after `from`, where a header or record starts.
///
/// Does not search the last [`PARTIAL_LINE`] bytes.
pub(super) fn find(bytes: &[u8], from: usize, limits: &Limits, work: &mut Work) -> Option<usize> {
    // One growing window for all magics, so that the search for a rare one does not run far past a frequent one. It
    // begins small, because a header may follow in the next line, and the next one in the line after that.
    let mut from = from.min(bytes.len());
    let mut window = 2 * LINE;
    loop {
        let end = bytes.len().min(from + window);
        // A magic may straddle the end of the window; `is_plausible` reads beyond it.
        let text = &bytes[from..bytes.len().min(end + LONGEST_MAGIC - 1)];
        work.examined(text.len());
        let is_plausible = |at: &usize| header::is_plausible(&bytes[*at..], limits);
        let found = MAGICS.iter().filter_map(|(magic, _)| match magic {
            [byte] => memchr_iter(*byte, text).map(|at| from + at).find(is_plausible),
            _ => memmem::find_iter(text, magic).map(|at| from + at).find(is_plausible),
        });
        if let Some(first) = found.min() {
            return Some(first);
        }
        if end == bytes.len() {
            return None;
        }
        from = end;
        window *= 2;
    }
}

/// Returns the first position in a message, counted from the end of its header, where another header starts: in the
/// detections, in the payload, or across their border.
pub(super) fn find_inside(text: &[u8], payload: &[u8], limits: &Limits, work: &mut Work) -> Option<usize> {
    find(text, 0, limits, work)
        .or_else(|| find_across(text, payload, limits, work))
        .or_else(|| find(payload, 0, limits, work).map(|at| text.len() + at))
}

/// Returns the position in `before` of a header that starts there and ends in `after`.
pub(super) fn find_across(before: &[u8], after: &[u8], limits: &Limits, work: &mut Work) -> Option<usize> {
    let tail = before.len() - before.len().min(PARTIAL_LINE);
    let seam = [&before[tail..], &after[..after.len().min(LINE)]].concat();
    find(&seam, 0, limits, work).map(|at| tail + at).filter(|at| *at < before.len())
}

/// Returns whether a frame is complete although no header follows it.
///
/// `previous` is the payload length of the frame before, `next` the one in the header found after the junk.
/// `foreign_lines`: the junk consists of whole printable lines.
pub(super) fn is_complete(
    frame: &Frame,
    dialect: Dialect,
    previous: Option<usize>,
    next: Option<usize>,
    foreign_lines: bool,
) -> bool {
    let payload = frame.payload();
    if is_jpeg(payload) {
        ends_as_jpeg(payload)
    } else if dialect.carries_raw_pixels() {
        previous == Some(payload.len()) || next == Some(payload.len())
    } else {
        // Access units vary in length and have no end marker.
        foreign_lines
    }
}

/// Returns whether a frame may consist of parts of two, although a header follows it: it starts as a JPEG but does not
/// end as one.
pub(super) fn may_be_spliced(frame: &Frame, dialect: Dialect) -> bool {
    !dialect.carries_raw_pixels() && is_jpeg(frame.payload()) && !ends_as_jpeg(frame.payload())
}

fn is_jpeg(payload: &[u8]) -> bool {
    payload.starts_with(&[0xff, 0xd8])
}

/// Returns whether the last bytes other than zeros are the end marker.
fn ends_as_jpeg(payload: &[u8]) -> bool {
    let end = payload.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    payload[..end].ends_with(&[0xff, 0xd9])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(bytes: &[u8]) -> Option<usize> {
        find(bytes, 0, &Limits::default(), &mut Work::new())
    }

    #[test]
    fn complete_header_is_found_at_any_position() {
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
    fn records_are_found() {
        let lines = format!("junk{:32}{:32}{:32}", "@F x 2", "@F 2 3", "IMG 12.5 9216 0");
        assert_eq!(find_in(lines.as_bytes()), Some(36));
        assert_eq!(find(lines.as_bytes(), 37, &Limits::default(), &mut Work::new()), Some(68));
    }

    #[test]
    fn first_header_is_found_across_search_windows() {
        for before in [0, 1000, 1023, 1024, 3071, 3072, 100_000] {
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(format!("{:32}{:32}", "FRAME  1.5  77", "IMG 12.5 9216 0").as_bytes());
            bytes[before..before + LINE].copy_from_slice(b"FRAME        1.5             77 ");
            assert_eq!(find_in(&bytes), Some(before));
        }
    }

    #[test]
    fn magic_words_in_text_are_not_headers() {
        assert_eq!(find_in(b"the IMG tag, ABCDE and FRAME are words; DETECT too, with more text after them."), None);
    }
}
