//! H.265 by rusty_h265.

use rusty_h265::{Decoder, Error, Frame as Decoded};

use super::{Codec, DecodeError, Output, Planes};
use crate::frame::PayloadKind;

/// A slice that begins a picture, cut off in its header. The decoder finishes a picture when the next one begins; after this
/// it does not wait for the next access unit.
const END_OF_PICTURE: [u8; 3] = [0x02, 0x01, 0x80];

pub(super) struct H265 {
    decoder: Decoder,
    /// The frame that was rejected. Its picture is wrong.
    rejected: Option<u64>,
}

impl H265 {
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(), rejected: None }
    }

    /// Puts out the pictures whose place in the order of display is known, without that of a rejected frame.
    fn put_out(&mut self, out: &mut Output<'_>) {
        while let Ok(picture) = self.decoder.next_frame() {
            let number = picture.pts.and_then(|number| u64::try_from(number).ok());
            if let Some(number) = number.filter(|number| self.rejected != Some(*number)) {
                put_out(number, &picture, out);
            }
        }
    }
}

impl Codec for H265 {
    fn decode(&mut self, number: u64, unit: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
        let generated = self.decoder.stats.generated_refs;
        let result = self.decoder.push_annexb(unit, i64::try_from(number).ok());
        // Fails always.
        let _ = self.decoder.push_nal(&END_OF_PICTURE, None);
        let misses_reference = self.decoder.stats.generated_refs > generated;
        if result.is_err() || misses_reference {
            self.rejected = Some(number);
        }
        self.put_out(out);
        result.map_err(|error| match error {
            Error::Unsupported(why) => DecodeError::Unsupported { kind: PayloadKind::H265, why },
            error => damaged(error.to_string()),
        })?;
        if misses_reference {
            return Err(DecodeError::MissingReference);
        }
        Ok(())
    }

    fn is_delayed(&self) -> bool {
        true
    }

    fn flush(&mut self, out: &mut Output<'_>) {
        self.decoder.flush();
        self.put_out(out);
    }
}

fn put_out(number: u64, picture: &Decoded, out: &mut Output<'_>) {
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
