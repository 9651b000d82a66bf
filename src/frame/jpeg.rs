//! Checks JPEG files for their end without decoding them.

use memchr::memchr;

/// Most pixels per byte of a scan: a block of 64 pixels takes at least one bit.
const PIXELS_PER_BYTE_MAX: usize = 512;

/// Part of a JPEG file that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegDefect {
    /// The end of the file is missing, and with it the lower part of the picture.
    #[error("JPEG ends early: {}", self.found())]
    CutShort {
        /// Length of the file in bytes.
        file: usize,
    },
    /// The file ends properly, but has too few bytes for its pixels.
    #[error("JPEG ends early: {}", self.found())]
    NoPicture {
        /// Bytes of all scans.
        scan: usize,
        /// Length of the file in bytes.
        file: usize,
    },
}

impl JpegDefect {
    /// Returns the content of the file that shows the defect, in words.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::CutShort { file } => format!("no end marker in its {file} bytes"),
            Self::NoPicture { scan, file } => format!("{scan} bytes of pixels in its {file} bytes"),
        }
    }
}

/// Returns what is missing in a JPEG file, as far as its markers show it (ITU-T T.81, B.1 and B.2). A file that was cut in
/// its pixels and then given an end marker passes if it has a byte for each 512 pixels: only decoding finds that, and damage
/// inside the pixels.
#[must_use]
pub fn jpeg_defect(file: &[u8]) -> Option<JpegDefect> {
    let cut = Some(JpegDefect::CutShort { file: file.len() });
    let (mut at, mut scan, mut pixels) = (0usize, 0usize, 0usize);
    loop {
        // Up to the next marker. Between segments there is nothing but fill bytes.
        let Some(skipped) = file.get(at..).and_then(|rest| memchr(0xff, rest)) else { return cut };
        at += skipped + 1;
        let Some(&marker) = file.get(at) else { return cut };
        match marker {
            0xff => continue,
            0xd9 if scan == 0 || scan.saturating_mul(PIXELS_PER_BYTE_MAX) < pixels => {
                return Some(JpegDefect::NoPicture { scan, file: file.len() });
            }
            0xd9 => return None,
            // Markers without a segment.
            0x00 | 0x01 | 0xd0..=0xd8 => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let Some(&[l1, l0]) = file.get(at + 1..at + 3) else { return cut };
        let segment = at + 3;
        at += 1 + usize::from(u16::from_be_bytes([l1, l0])).max(2);
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let Some(&[_precision, h1, h0, w1, w0]) = file.get(segment..segment + 5) else { return cut };
                let side = |bytes| usize::from(u16::from_be_bytes(bytes));
                pixels = side([h1, h0]) * side([w1, w0]);
            }
            0xda => {
                let from = at;
                loop {
                    let Some(next) = file.get(at..).and_then(|rest| memchr(0xff, rest)) else { return cut };
                    at += next;
                    match file.get(at + 1) {
                        None => return cut,
                        // An escaped byte, a restart marker, a fill byte.
                        Some(0x00 | 0xd0..=0xd7) => at += 2,
                        Some(0xff) => at += 1,
                        Some(_) => break,
                    }
                }
                scan += at - from;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::magic::tests::jpeg;

    /// A file with this many bytes of pixels.
    fn file(scan: usize) -> Vec<u8> {
        let mut file = jpeg(64, 48);
        let end = file.len() - 5;
        file.truncate(end);
        file.extend((0..scan).map(|n| (n % 200) as u8));
        file.extend([0xff, 0xd9]);
        file
    }

    #[test]
    fn files_that_end_early_are_found_without_decoding() {
        let whole = file(700);
        assert_eq!(jpeg_defect(&whole), None);
        assert_eq!(jpeg_defect(&[&whole[..], &[0; 9]].concat()), None, "padding after the end");
        for cut in 0..whole.len() - 1 {
            assert_eq!(jpeg_defect(&whole[..cut]), Some(JpegDefect::CutShort { file: cut }), "{cut}");
        }
        for scan in [0, 1, 5] {
            let short = file(scan);
            assert_eq!(jpeg_defect(&short), Some(JpegDefect::NoPicture { scan, file: short.len() }));
        }
        // The end marker, but no scan at all.
        let headers = [&whole[..whole.len() - 706], &[0xff, 0xd9]].concat();
        assert!(matches!(jpeg_defect(&headers), Some(JpegDefect::NoPicture { scan: 0, .. })), "{headers:x?}");
    }

    #[test]
    fn end_markers_of_thumbnails_and_escaped_bytes_are_not_the_end() {
        let mut with_thumbnail = vec![0xff, 0xd8, 0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 1, 2];
        with_thumbnail.extend(&file(700)[2..]);
        assert_eq!(jpeg_defect(&with_thumbnail), None);
        let cut = &with_thumbnail[..with_thumbnail.len() - 2];
        assert!(matches!(jpeg_defect(cut), Some(JpegDefect::CutShort { .. })));
        let mut restarts = file(700);
        let end = restarts.len() - 2;
        restarts.truncate(end);
        restarts.extend([0xff, 0, 0xff, 0xd3, 7, 0xff, 0xff, 0xd9]);
        assert_eq!(jpeg_defect(&restarts), None);
    }
}
