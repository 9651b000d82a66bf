//! Firmware for older models, which the vendor keeps as the difference to the newest one (`BSDIFF40`).
//!
//! ```text
//! magic 8, lengths of control and differences 8 each, length of the result 8, then three bzip2 streams:
//! control      triples: so many bytes are old ones plus differences, so many are new, then so far on in the old ones
//! differences
//! new bytes    (to the end)
//! ```
//!
//! This is the public format of Colin Percival's bsdiff 4. Numbers have 64 bits, little-endian, and a sign of their own in
//! the highest.

use std::io::{self, Read};

use bzip2::read::BzDecoder;

const MAGIC: &[u8] = b"BSDIFF40";
const HEADER: usize = 32;

/// Why a patch cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum PatchError {
    /// It is something else, or its beginning is damaged.
    #[error("expected a patch of the form BSDIFF40 with room for its parts in {len} bytes, found one that begins with \"{}\"", begins.escape_ascii())]
    NoPatch { begins: Vec<u8>, len: usize },
    /// What comes out would be longer than any firmware.
    #[error("it says that {found} bytes come out, expected {most} at most")]
    TooLarge { found: i64, most: usize },
    /// It cannot be unpacked.
    #[error("its {part} cannot be unpacked: it is damaged")]
    Unpack { part: &'static str, source: io::Error },
    /// It says something that makes no sense.
    #[error("at byte {at} of {len} it goes on with {found} bytes: it is damaged")]
    Control { at: usize, len: usize, found: i64 },
}

/// What comes out of `old` by the patch, of at most so many bytes.
pub(super) fn apply(patch: &[u8], old: &[u8], most: usize) -> Result<Vec<u8>, PatchError> {
    let no_patch = || PatchError::NoPatch { begins: patch[..patch.len().min(8)].to_vec(), len: patch.len() };
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
    let (control, differences, added, found) = parts.ok_or_else(no_patch)?;
    let len = usize::try_from(found).ok().filter(|len| *len <= most).ok_or(PatchError::TooLarge { found, most })?;

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
        // Where there are no old bytes, the differences are the bytes.
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

/// Takes so many bytes more, if there is room for them.
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

/// Numbers are told without their sign, which is the highest bit.
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

    fn told(number: i64) -> [u8; 8] {
        (number.unsigned_abs() | u64::from(number < 0) << 63).to_le_bytes()
    }

    /// A patch of these triples.
    pub(in super::super) fn patch(control: &[[i64; 3]], differences: &[u8], added: &[u8], len: i64) -> Vec<u8> {
        let packed = |bytes: &[u8]| {
            let mut writer = BzEncoder::new(Vec::new(), Compression::fast());
            writer.write_all(bytes).expect("memory");
            writer.finish().expect("memory")
        };
        let control: Vec<_> = control.iter().flatten().flat_map(|number| told(*number)).collect();
        let [control, differences, added] = [&control, differences, added].map(packed);
        let lengths = [control.len() as i64, differences.len() as i64, len].map(told).concat();
        [MAGIC, &lengths, &control, &differences, &added].concat()
    }

    const OLD: &[u8] = b"the old firmware";

    #[test]
    fn old_and_new_bytes_are_joined() {
        // The middle, something new, back to the beginning, and past both ends.
        let control = [[4, 3, -6], [4, 0, 0], [3, 0, -50], [2, 0, 0]];
        let differences = [&[0, 0, 0, 1], &[0; 4][..], &[7, 7, 7], &[9, 9]].concat();
        let mut first = control;
        first[0] = [4, 3, 8];
        let all = patch(&first, &differences, b"NEW", 16);
        assert_eq!(apply(&all, OLD, 99).expect("it fits"), b"the\x21NEWware\x07\x07\x07\x09\x09");
        // Before the beginning there is nothing, and then there is.
        let all = patch(&[[0, 0, -2], [4, 0, 0]], &[b'-', b'-', 0, 0], b"", 4);
        assert_eq!(apply(&all, OLD, 99).expect("it fits"), b"--th");
        assert_eq!(number(told(-77)), -77);
    }

    #[test]
    fn damage_is_told() {
        let error = |patch: &[u8]| apply(patch, OLD, 99).unwrap_err().to_string();
        assert!(error(b"BSDIFF41........................").contains("found one that begins with \"BSDIFF41\""));
        assert!(error(b"BSD").starts_with("expected a patch of the form BSDIFF40"));
        let whole = patch(&[[4, 0, 0]], &[0; 4], b"", 4);
        assert!(error(&patch(&[], &[], b"", 100)).starts_with("it says that 100 bytes come out, expected 99 at most"));
        assert!(error(&patch(&[], &[], b"", -1)).starts_with("it says that -1 bytes come out"));
        for found in [5, -1, i64::MAX] {
            let text = error(&patch(&[[1, 0, 0], [found, 0, 0]], &[0; 4], b"", 4));
            assert_eq!(text, format!("at byte 1 of 4 it goes on with {found} bytes: it is damaged"));
        }
        assert_eq!(error(&patch(&[[4, 0, 0]], &[0; 3], b"", 4)), "its differences cannot be unpacked: it is damaged");
        for len in 0..whole.len() {
            // The last stream has nothing that is needed.
            if let Ok(new) = apply(&whole[..len], OLD, 99) {
                assert_eq!(new, OLD[..4], "{len}");
            }
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            // Its bytes have a checksum of their own; whatever is said, nothing breaks.
            let _ = apply(&damaged, OLD, 99);
        }
    }
}
