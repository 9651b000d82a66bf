//! libjpeg-turbo.

use turbojpeg::{Decompressor, Error, Image, PixelFormat, ScalingFactor};

/// Numbers by which both sides can be divided while decoding.
pub(super) const REDUCTIONS: &[usize] = &[2, 4, 8];

/// Most scans of a progressive file. A file with thousands of empty scans takes minutes otherwise. Encoders write about ten.
const MAX_SCANS: u32 = 100;

/// The warning about bytes after the last pixel, which are padding. libjpeg-turbo reports warnings and errors alike.
const PADDING: &str = "extraneous bytes before marker";

/// Returns the library's own words.
fn message(error: Error) -> String {
    match error {
        Error::TurboJpegError(text) => text,
        error => error.to_string(),
    }
}

/// Decodes files. Keeps the decoder's memory for the next file.
#[derive(Debug, Default)]
pub(super) struct Decoder(Option<Decompressor>);

impl Decoder {
    /// Calls `work` with the decoder. After an error the next file gets a new one: libjpeg-turbo stays in the middle of a file
    /// whose header is damaged, and rejects every file after it (one in six damaged files).
    fn turbo<T>(&mut self, work: impl FnOnce(&mut Decompressor) -> Result<T, Error>) -> Result<T, String> {
        let mut turbo = match self.0.take() {
            Some(turbo) => turbo,
            None => {
                let mut turbo = Decompressor::new().map_err(message)?;
                turbo.set_scan_limit(MAX_SCANS).map_err(message)?;
                turbo
            }
        };
        let done = work(&mut turbo).map_err(message)?;
        self.0 = Some(turbo);
        Ok(done)
    }

    /// Returns width and height.
    pub(super) fn size(&mut self, file: &[u8]) -> Result<(usize, usize), String> {
        let header = self.turbo(|turbo| turbo.read_header(file))?;
        Ok((header.width, header.height))
    }

    /// Decodes a file to `size`, which is its own divided by `reduction` and rounded up.
    pub(super) fn decode(
        &mut self,
        file: &[u8],
        reduction: usize,
        (width, height): (usize, usize),
        rgb: &mut [u8],
    ) -> Result<(), String> {
        self.turbo(|turbo| {
            turbo.set_scaling_factor(ScalingFactor::new(1, reduction))?;
            let image = Image { pixels: rgb, width, pitch: width * 3, height, format: PixelFormat::RGB };
            match turbo.decompress(file, image) {
                Err(Error::TurboJpegError(warning)) if warning.contains(PADDING) => Ok(()),
                result => result,
            }
        })
    }
}
