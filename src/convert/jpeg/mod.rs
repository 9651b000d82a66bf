//! Decodes JPEG to interleaved RGB, in a buffer that is reused.
//!
//! Two decoders with the same functions: libjpeg-turbo with the feature `turbojpeg`, otherwise zune-jpeg. The first takes
//! 0.65 to 0.75 of the time of the second, can decode to a half, a quarter or an eighth of the size, and finds pixels that
//! are missing although the file ends properly.

#[cfg(feature = "turbojpeg")]
mod turbo;
// Tests compare both.
#[cfg(any(test, not(feature = "turbojpeg")))]
mod zune;

#[cfg(feature = "turbojpeg")]
use turbo::{Decoder, REDUCTIONS};
#[cfg(not(feature = "turbojpeg"))]
use zune::{Decoder, REDUCTIONS};

use super::ConvertError;
use crate::frame::{JpegDefect, jpeg_defect};

/// Most pixels of a picture. The largest sensor of an OAK camera has 5312x6000 (IMX582).
const MAX_PIXELS: usize = 1 << 25;

/// Most pixels per byte of a file: a block of 64 pixels takes at least one bit. Prevents a small file from making us
/// allocate much memory.
const MAX_PIXELS_PER_BYTE: usize = 512;

/// Returns the largest number by which a decoder can divide both sides and still give at least one pixel per pixel shown.
/// `ratio` is the number of pixels of the file per pixel shown, across and down.
pub(super) fn reduction(ratio: (f64, f64)) -> usize {
    let fits = |by: &usize| ratio.0.min(ratio.1) >= *by as f64;
    REDUCTIONS.iter().copied().filter(fits).max().unwrap_or(1)
}

#[derive(Debug, Default)]
pub(super) struct Jpeg {
    decoder: Decoder,
    rgb: Vec<u8>,
}

impl Jpeg {
    /// Returns the pixels of the last decoded picture, possibly followed by unused bytes.
    pub(super) fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Returns width and height of a file without decoding it.
    pub(super) fn size(&mut self, file: &[u8]) -> Result<(usize, usize), ConvertError> {
        self.size_with(file, jpeg_defect(file))
    }

    /// Returns width and height of a file with this defect.
    fn size_with(&mut self, file: &[u8], defect: Option<JpegDefect>) -> Result<(usize, usize), ConvertError> {
        // libjpeg-turbo returns the size of the file before one that has no pixels.
        if let Some(defect @ JpegDefect::NoPicture { scan: 0, .. }) = defect {
            return Err(defect.into());
        }
        let (width, height) = self.decoder.size(file).map_err(ConvertError::Jpeg)?;
        // Sides are at most 65535, so the product fits.
        if width * height > MAX_PIXELS.min(file.len().saturating_mul(MAX_PIXELS_PER_BYTE)) {
            return Err(ConvertError::JpegTooLarge { width, height, file: file.len() });
        }
        Ok((width, height))
    }

    /// Decodes a file as far as that finds damage: to the smallest size that the decoder offers.
    pub(super) fn check(&mut self, file: &[u8]) -> Result<(), ConvertError> {
        let smallest = REDUCTIONS.iter().copied().max().unwrap_or(1);
        self.decode(file, smallest).map(drop)
    }

    /// Decodes a file into [`Self::rgb`], both sides divided by `reduction` and rounded up. Returns width and height of the
    /// result. `reduction` is 1 or from [`reduction`].
    ///
    /// The pixel buffer only grows. The decoders allocate rows of coefficients every time (all coefficients for a
    /// progressive file).
    pub(super) fn decode(&mut self, file: &[u8], reduction: usize) -> Result<(u32, u32), ConvertError> {
        let defect = jpeg_defect(file);
        let (width, height) = self.size_with(file, defect)?;
        if let Some(defect) = defect {
            return Err(defect.into());
        }
        let (width, height) = (width.div_ceil(reduction), height.div_ceil(reduction));
        let len = width * height * 3;
        if self.rgb.len() < len {
            self.rgb = vec![0; len];
        }
        self.decoder.decode(file, reduction, (width, height), &mut self.rgb[..len]).map_err(ConvertError::Jpeg)?;
        Ok((width as u32, height as u32))
    }
}

#[cfg(all(test, feature = "turbojpeg"))]
mod tests {
    use super::{Jpeg, JpegDefect, zune};

    /// Encodes waves of color with a chroma plane of half or full width.
    fn file(width: u16, height: u16, sampling: jpeg_encoder::SamplingFactor, progressive: bool) -> Vec<u8> {
        let wave = |at: f64, scale: f64| ((at / scale).sin() * 90.0 + 128.0) as u8;
        let rgb: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (f64::from(x), f64::from(y))))
            .flat_map(|(x, y)| [wave(x, 31.0), wave(y, 23.0), wave(x + y, 47.0)])
            .collect();
        let mut file = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, 92);
        encoder.set_sampling_factor(sampling);
        encoder.set_progressive(progressive);
        encoder.encode(&rgb, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
        file
    }

    #[test]
    fn both_decoders_give_the_same_pixels() {
        use jpeg_encoder::SamplingFactor::{F_1_1, F_2_1, F_2_2};
        for (width, height) in [(1, 1), (7, 3), (64, 48), (131, 97)] {
            for (sampling, progressive) in [(F_1_1, false), (F_2_1, false), (F_2_2, false), (F_2_2, true)] {
                let file = file(width, height, sampling, progressive);
                let (mut ours, mut theirs) = (Jpeg::default(), zune::Decoder);
                let size = ours.decode(&file, 1).unwrap();
                assert_eq!(size, (u32::from(width), u32::from(height)));
                let mut expected = vec![0; usize::from(width) * usize::from(height) * 3];
                theirs.decode(&file, 1, (width.into(), height.into()), &mut expected).unwrap();
                let far = ours.rgb().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
                // Rounding of the transform, and of chroma between its samples.
                assert!(far <= Some(6), "{width}x{height} {sampling:?}, progressive {progressive}: {far:?}");
            }
        }
    }

    #[test]
    fn a_file_without_pixels_has_no_size() {
        let mut jpeg = Jpeg::default();
        assert_eq!(jpeg.size(&file(64, 48, jpeg_encoder::SamplingFactor::F_2_2, false)), Ok((64, 48)));
        let empty = Err(JpegDefect::NoPicture { scan: 0, file: 4 }.into());
        assert_eq!(jpeg.size(b"\xff\xd8\xff\xd9"), empty, "not the size of the file before it");
        assert_eq!(jpeg.check(b"\xff\xd8\xff\xd9"), empty.map(drop));
    }

    /// An error in a header leaves libjpeg-turbo's decoder in the middle of that file, and the next file would fail too.
    #[test]
    fn an_intact_file_is_decoded_after_each_damaged_one() {
        let file = file(64, 48, jpeg_encoder::SamplingFactor::F_2_2, false);
        let mut jpeg = Jpeg::default();
        jpeg.decode(&file, 1).unwrap();
        let expected = jpeg.rgb().to_vec();
        let mut rejected = 0;
        for at in 2..file.len() {
            for byte in [0x00, 0x44, 0xc3, 0xf3, 0xff] {
                let mut damaged = file.clone();
                damaged[at] = byte;
                rejected += u32::from(jpeg.decode(&damaged, 1).is_err());
                assert_eq!(jpeg.decode(&file, 1), Ok((64, 48)), "after {byte:#x} at {at}");
                assert_eq!(jpeg.rgb()[..expected.len()], expected, "after {byte:#x} at {at}");
            }
        }
        assert!(rejected > 500, "{rejected} files were rejected");
    }

    #[test]
    fn reduced_pictures_are_the_means_of_their_pixels() {
        let file = file(160, 97, jpeg_encoder::SamplingFactor::F_1_1, false);
        let (mut whole, mut reduced) = (Jpeg::default(), Jpeg::default());
        whole.decode(&file, 1).unwrap();
        for by in [2, 4, 8] {
            let (width, height) = reduced.decode(&file, by).unwrap();
            assert_eq!((width, height), (160 / by as u32, 97_u32.div_ceil(by as u32)));
            // The last row has fewer rows of pixels.
            for (x, y) in (0..height as usize - 1).flat_map(|y| (0..width as usize).map(move |x| (x, y))) {
                for channel in 0..3 {
                    let at = |x: usize, y: usize| u32::from(whole.rgb()[(y * 160 + x) * 3 + channel]);
                    let sum: u32 = (0..by * by).map(|n| at(x * by + n % by, y * by + n / by)).sum();
                    let mean = sum / (by * by) as u32;
                    let found = u32::from(reduced.rgb()[(y * width as usize + x) * 3 + channel]);
                    assert!(mean.abs_diff(found) <= 4, "{x},{y} of 1/{by}: {found}, expected {mean}");
                }
            }
        }
    }

    #[test]
    fn a_scan_that_ends_early_is_found_although_the_file_has_its_end_marker() {
        let file = file(320, 176, jpeg_encoder::SamplingFactor::F_2_2, false);
        let mut jpeg = Jpeg::default();
        for percent in [50, 75, 90] {
            let cut = [&file[..file.len() * percent / 100], &[0xff, 0xd9]].concat();
            let error = jpeg.decode(&cut, 1).expect_err("pixels are missing").to_string();
            assert_eq!(error, "cannot decode JPEG: Corrupt JPEG data: premature end of data segment", "{percent}");
            jpeg.decode(&cut, 8).expect_err("pixels are missing");
        }
        jpeg.decode(&file, 1).expect("the decoder goes on after an error");
    }

    #[test]
    fn bytes_between_scan_and_marker_are_accepted() {
        let file = file(64, 48, jpeg_encoder::SamplingFactor::F_2_2, false);
        let padded = [&file[..file.len() - 2], &[0; 40], &[0xff, 0xd9]].concat();
        Jpeg::default().decode(&padded, 1).expect("cameras pad their scans");
    }
}
