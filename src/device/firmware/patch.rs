//! Applies patches in the format of Colin Percival's bsdiff 4 (`BSDIFF40`). The vendor's package has the firmware for older
//! models as patches to the newest firmware.
//!
//! ```text
//! magic 8, length of control 8, length of differences 8, length of the result 8, then three bzip2 streams:
//! control      triples: n bytes are old bytes plus differences, m bytes are new, then skip k old bytes
//! differences
//! new bytes    (to the end)
//! ```
//!
//! Numbers have 64 bits, little-endian; the highest bit is the sign (not two's complement).

use std::io::{self, Read};

use bzip2::read::BzDecoder;

const MAGIC: &[u8] = b"BSDIFF40";
const HEADER: usize = 32;

/// Reason for not applying a patch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum PatchError {
    /// Not a patch, or its header is damaged.
    #[error("expected a BSDIFF40 header with parts inside of {len} bytes, found a file that begins with \"{}\"", begins.escape_ascii())]
    Header { begins: Vec<u8>, len: usize },
    /// The result would be larger than any firmware.
    #[error("the result has {found} bytes, expected at most {max}")]
    TooLarge { found: i64, max: usize },
    /// A bzip2 stream is damaged.
    #[error("the stream of {part} cannot be decompressed: the patch is damaged")]
    Unpack { part: &'static str, source: io::Error },
    /// A control triple leads out of the result.
    #[error("{found} bytes follow at byte {at} of {len}: the patch is damaged")]
    Control { at: usize, len: usize, found: i64 },
}

/// Returns the result, of at most `max` bytes.
pub(super) fn apply(patch: &[u8], old: &[u8], max: usize) -> Result<Vec<u8>, PatchError> {
    let header_error = || PatchError::Header { begins: patch[..patch.len().min(8)].to_vec(), len: patch.len() };
    let length = |at: usize| Some(number(*patch.get(at..)?.first_chunk()?));
    let part = |from: usize, len: i64| {
        let to = from.checked_add(usize::try_from(len).ok()?)?;
        Some((patch.get(from..to)?, to))
    };
    let parts = || {
        let (control, end) = part(HEADER, length(8)?)?;
        let (differences, end) = part(end, length(16)?)?;
        Some((control, differences, patch.get(end..)?, length(24)?))
    };
    let parts = parts().filter(|_| patch.starts_with(MAGIC));
    let (control, differences, added, found) = parts.ok_or_else(header_error)?;
    let len = usize::try_from(found).ok().filter(|len| *len <= max).ok_or(PatchError::TooLarge { found, max })?;

    let [mut control, mut differences, mut added] = [control, differences, added].map(BzDecoder::new);
    let (mut new, mut from) = (Vec::with_capacity(len), 0_i64);
    while new.len() < len {
        let mut next = || {
            let mut bytes = [0; 8];
            control.read_exact(&mut bytes).map_err(|source| PatchError::Unpack { part: "control", source })?;
            Ok(number(bytes))
        };
        let (changed, fresh, on) = (next()?, next()?, next()?);
        let start = new.len();
        extend(&mut new, changed, len, &mut differences, "differences")?;
        // Outside of the old bytes, the differences are the result.
        let skipped = usize::try_from(from.saturating_neg()).unwrap_or(0);
        let old = usize::try_from(from.max(0)).ok().and_then(|from| old.get(from..)).unwrap_or_default();
        for (new, old) in new[start..].iter_mut().skip(skipped).zip(old) {
            *new = new.wrapping_add(*old);
        }
        extend(&mut new, fresh, len, &mut added, "new bytes")?;
        from = from.saturating_add(changed).saturating_add(on);
    }
    Ok(new)
}

/// Appends `count` bytes from a stream, up to a length of `len`.
fn extend(
    to: &mut Vec<u8>,
    count: i64,
    len: usize,
    from: &mut impl Read,
    part: &'static str,
) -> Result<(), PatchError> {
    let at = to.len();
    let end = usize::try_from(count).ok().and_then(|count| at.checked_add(count)).filter(|end| *end <= len);
    to.resize(end.ok_or(PatchError::Control { at, len, found: count })?, 0);
    from.read_exact(&mut to[at..]).map_err(|source| PatchError::Unpack { part, source })
}

/// Sign and magnitude.
fn number(bytes: [u8; 8]) -> i64 {
    let size = (u64::from_le_bytes(bytes) & !(1 << 63)).cast_signed();
    if bytes[7] & 0x80 == 0 { size } else { -size }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use bzip2::Compression;
    use bzip2::write::BzEncoder;

    use super::*;

    fn encoded(number: i64) -> [u8; 8] {
        (number.unsigned_abs() | u64::from(number < 0) << 63).to_le_bytes()
    }

    /// A patch with these control triples.
    pub(in super::super) fn patch(control: &[[i64; 3]], differences: &[u8], added: &[u8], len: i64) -> Vec<u8> {
        let packed = |bytes: &[u8]| {
            let mut writer = BzEncoder::new(Vec::new(), Compression::fast());
            writer.write_all(bytes).expect("memory");
            writer.finish().expect("memory")
        };
        let control: Vec<_> = control.iter().flatten().flat_map(|number| encoded(*number)).collect();
        let [control, differences, added] = [&control, differences, added].map(packed);
        let lengths = [control.len() as i64, differences.len() as i64, len].map(encoded).concat();
        [MAGIC, &lengths, &control, &differences, &added].concat()
    }

    const OLD: &[u8] = b"the old firmware";

    #[test]
    fn old_and_new_bytes_are_combined() {
        // The middle, new bytes, back to the beginning, and past both ends.
        let control = [[4, 3, -6], [4, 0, 0], [3, 0, -50], [2, 0, 0]];
        let differences = [&[0, 0, 0, 1], &[0; 4][..], &[7, 7, 7], &[9, 9]].concat();
        let mut first = control;
        first[0] = [4, 3, 8];
        let all = patch(&first, &differences, b"NEW", 16);
        assert_eq!(apply(&all, OLD, 99).expect("it fits"), b"the\x21NEWware\x07\x07\x07\x09\x09");
        // Two bytes before the beginning, then the first two.
        let all = patch(&[[0, 0, -2], [4, 0, 0]], &[b'-', b'-', 0, 0], b"", 4);
        assert_eq!(apply(&all, OLD, 99).expect("it fits"), b"--th");
        assert_eq!(number(encoded(-77)), -77);
    }

    #[test]
    fn damage_is_reported() {
        let error = |patch: &[u8]| apply(patch, OLD, 99).unwrap_err().to_string();
        assert!(error(b"BSDIFF41........................").contains("found a file that begins with \"BSDIFF41\""));
        assert!(error(b"BSD").starts_with("expected a BSDIFF40 header"));
        let whole = patch(&[[4, 0, 0]], &[0; 4], b"", 4);
        assert!(error(&patch(&[], &[], b"", 100)).starts_with("the result has 100 bytes, expected at most 99"));
        assert!(error(&patch(&[], &[], b"", -1)).starts_with("the result has -1 bytes"));
        for found in [5, -1, i64::MAX] {
            let text = error(&patch(&[[1, 0, 0], [found, 0, 0]], &[0; 4], b"", 4));
            assert_eq!(text, format!("{found} bytes follow at byte 1 of 4: the patch is damaged"));
        }
        assert_eq!(
            error(&patch(&[[4, 0, 0]], &[0; 3], b"", 4)),
            "the stream of differences cannot be decompressed: the patch is damaged"
        );
        for len in 0..whole.len() {
            // The last stream is not needed.
            if let Ok(new) = apply(&whole[..len], OLD, 99) {
                assert_eq!(new, OLD[..4], "{len}");
            }
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            // bzip2 has checksums, so most changes are errors. No change may panic.
            let _ = apply(&damaged, OLD, 99);
        }
    }
}
