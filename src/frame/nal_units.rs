//! The units of H.264 and H.265 streams.

use memchr::memmem;

/// Returns the units between the start codes of Annex B, without padding.
pub(crate) fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = memmem::find_iter(stream, &[0, 0, 1]).map(|at| at + 3).peekable();
    std::iter::from_fn(move || {
        let from = starts.next()?;
        let unit = &stream[from..starts.peek().map_or(stream.len(), |next| next - 3)];
        // The next start code may have four bytes.
        Some(&unit[..unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)])
    })
    .filter(|unit| !unit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_empty_units_are_left_out() {
        let stream = [0, 0, 1, 0x65, 9, 0, 0, 0, 0, 1, 0, 0, 1, 0x41, 0, 0];
        assert_eq!(nal_units(&stream).collect::<Vec<_>>(), [&[0x65, 9][..], &[0x41]]);
        assert_eq!(nal_units(&[0, 0, 1]).count() + nal_units(&[]).count() + nal_units(&[1, 2, 3]).count(), 0);
    }
}
