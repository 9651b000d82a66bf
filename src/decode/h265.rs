//! H.265 by rusty_h265.

use rusty_h265::{Decoder, Error, Frame as Decoded};

use super::{Codec, DecodeError, Output, Planes};
use crate::frame::PayloadKind;

/// A slice that begins a picture, cut off in its header. The decoder finishes a picture when the next one begins; after this
/// it does not wait for the next access unit.
const END_OF_PICTURE: [u8; 3] = [0x02, 0x01, 0x80];

pub(super) struct H265(Decoder);

impl H265 {
    pub(super) fn new() -> Self {
        Self(Decoder::new())
    }

    /// Puts out the pictures whose place in the order of display is known.
    fn put_out(&mut self, out: &mut Output<'_>) {
        while let Ok(picture) = self.0.next_frame() {
            put_out(&picture, out);
        }
    }
}

impl Codec for H265 {
    fn decode(&mut self, number: u64, unit: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
        let generated = self.0.stats.generated_refs;
        let result = self.0.push_annexb(unit, i64::try_from(number).ok());
        // Fails always.
        let _ = self.0.push_nal(&END_OF_PICTURE, None);
        self.put_out(out);
        result.map_err(|error| match error {
            Error::Unsupported(why) => DecodeError::Unsupported { kind: PayloadKind::H265, why },
            error => damaged(error.to_string()),
        })?;
        if self.0.stats.generated_refs > generated {
            return Err(damaged("it refers to a picture that is missing".to_owned()));
        }
        Ok(())
    }

    fn is_delayed(&self) -> bool {
        true
    }

    fn flush(&mut self, out: &mut Output<'_>) {
        self.0.flush();
        self.put_out(out);
    }
}

fn put_out(picture: &Decoded, out: &mut Output<'_>) {
    let Some(number) = picture.pts.and_then(|number| u64::try_from(number).ok()) else { return };
    let planes = &picture.picture;
    let (left, top, width, height) = planes.crop;
    let depths = [planes.bit_depth_luma, planes.bit_depth_chroma, planes.bit_depth_chroma];
    let row = |plane: usize, y: usize, into: &mut [u8]| {
        let (left, top) = if plane == 0 { (left, top) } else { (left / 2, top / 2) };
        let samples = &planes.planes[plane].row(top + y)[left..][..into.len()];
        match depths[plane].saturating_sub(8) {
            0 => into.iter_mut().zip(samples).for_each(|(out, sample)| *out = *sample as u8),
            more => into.iter_mut().zip(samples).for_each(|(out, sample)| *out = (sample >> more) as u8),
        }
    };
    out(Some(number), &Planes { width, height, row: &row });
}

fn damaged(why: String) -> DecodeError {
    DecodeError::Damaged { kind: PayloadKind::H265, why }
}
