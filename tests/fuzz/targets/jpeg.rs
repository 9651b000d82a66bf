//! JPEG payloads, intact and damaged: a picture of the right size or an error, in bounded memory.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use libfuzzer_sys::{Corpus, fuzz_target};
use oaktap::convert::Converter;
use oaktap::frame::{Frame, PayloadKind, Picture};
use oaktap_fuzz::memory;

#[derive(Arbitrary, Debug)]
struct Jpeg {
    width: u8,
    height: u8,
    grey: bool,
    sampling: u8,
    progressive: bool,
    optimised: bool,
    quality: u8,
    restart: u8,
    seed: u8,
    damage: Damage,
}

#[derive(Arbitrary, Debug)]
struct Damage {
    /// The size in its header.
    claims: Option<(u16, u16)>,
    flips: Vec<(u16, u8)>,
    cut: u16,
}

impl Jpeg {
    fn size(&self) -> (u16, u16) {
        (u16::from(self.width).max(1), u16::from(self.height).max(1))
    }

    fn encode(&self) -> Vec<u8> {
        use SamplingFactor::*;
        const SAMPLINGS: [SamplingFactor; 8] = [F_1_1, F_2_1, F_1_2, F_2_2, F_4_1, F_4_2, F_1_4, F_2_4];
        let (width, height) = self.size();
        let channels = if self.grey { 1 } else { 3 };
        let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * channels)
            .map(|n| (n as u8).wrapping_mul(self.seed))
            .collect();
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.quality.clamp(1, 100));
        encoder.set_sampling_factor(SAMPLINGS[usize::from(self.sampling) % SAMPLINGS.len()]);
        encoder.set_progressive(self.progressive);
        // The encoder panics on some pictures with optimized tables and progressive scans or restarts.
        encoder.set_optimized_huffman_tables(self.optimised && !self.progressive && self.restart == 0);
        encoder.set_restart_interval(u16::from(self.restart));
        let colour = if self.grey { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(&pixels, width, height, colour).expect("a small picture can be encoded");
        file
    }
}

impl Damage {
    fn is_none(&self) -> bool {
        self.claims.is_none() && self.cut == 0 && self.flips.iter().all(|(_, with)| *with == 0)
    }

    fn apply(&self, file: &mut Vec<u8>) {
        let start = file.windows(4).position(|marker| matches!(marker, [0xff, 0xc0..=0xc2, 0, _]));
        if let (Some((width, height)), Some(at)) = (self.claims, start) {
            file[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
            file[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
        }
        for (at, with) in &self.flips {
            let at = usize::from(*at) % file.len();
            file[at] ^= with;
        }
        file.truncate(file.len().saturating_sub(usize::from(self.cut)));
    }
}

/// Inputs that begin like a JPEG file are used as they are; all others generate one. Returns the expected size with it.
fn read(input: &[u8]) -> arbitrary::Result<(Vec<u8>, Option<(u16, u16)>)> {
    if input.starts_with(&[0xff, 0xd8]) {
        return Ok((input.to_vec(), None));
    }
    let jpeg = Jpeg::arbitrary_take_rest(Unstructured::new(input))?;
    let mut file = jpeg.encode();
    jpeg.damage.apply(&mut file);
    Ok((file, jpeg.damage.is_none().then(|| jpeg.size())))
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok((file, size)) = read(input) else { return Corpus::Reject };
    let bytes = file.len();
    let mut frame = Frame::with_payload(file);
    frame.kind = PayloadKind::Jpeg;
    let mut picture = Picture::default();
    let (result, held) = memory::peak(|| Converter::new().picture(&frame, &mut picture));
    assert!(held <= 1 << 30, "{held} bytes were held for a file of {bytes}");
    if result.is_ok() {
        assert_eq!(picture.words().len(), picture.width * picture.height);
    }
    if let Some((width, height)) = size {
        result.expect("an undamaged picture");
        assert_eq!((picture.width, picture.height), (usize::from(width), usize::from(height)));
    }
    Corpus::Keep
});
