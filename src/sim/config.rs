//! What to simulate, and its text form: `size=640x352&fps=40&fault=short:0.01`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::faults::Faults;
use crate::frame::{PixelFormat, Size};
use crate::wire::Dialect;

/// What the camera puts into a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Pixels in one of the camera's layouts, or a JPEG file.
    Pixels(PixelFormat),
    /// H.264, Annex B: well-formed units with the right size in their headers, but slices that are noise. They can be
    /// received, not decoded.
    H264,
    /// H.265, Annex B: as for H.264.
    H265,
}

impl Coding {
    pub(super) const JPEG: Self = Self::Pixels(PixelFormat::Jpeg);

    /// Whether the payload says itself what it is.
    #[must_use]
    pub fn is_encoded(self) -> bool {
        !matches!(self, Self::Pixels(format) if format != PixelFormat::Jpeg)
    }

    /// Whether neither its length nor its last bytes show that a payload is whole.
    pub(super) fn has_no_end(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}

/// A camera that does not exist. [`Default`] is the camera of Luxonis' standalone page: 640x352 planar BGR at 40 frames
/// a second in the `IMG` dialect.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Frames a second; 0 for as fast as the client takes them (device time then runs at 40).
    pub fps: f64,
    /// Kind of payload.
    pub format: Coding,
    /// Kind of header. `ABCDE` and `FRAME` carry encoded pictures only, as those programs do.
    pub dialect: Dialect,
    /// Objects in the picture, each with its box.
    pub boxes: u32,
    /// Whether the extension records of wire.md section 7 are sent.
    pub records: bool,
    /// PNG and JPEG files to show instead of the drawn background, in the order of their names, scaled to `size`.
    pub images: Option<PathBuf>,
    /// Decides what the objects are and where and how faults strike.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether `TCP_NODELAY` is set. The official programs do not.
    pub no_delay: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            size: (640, 352),
            fps: 40.0,
            format: Coding::Pixels(PixelFormat::Bgr888p),
            dialect: Dialect::Img,
            boxes: 3,
            records: false,
            images: None,
            seed: 1,
            faults: Faults::default(),
            no_delay: false,
        }
    }
}

/// Why something cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The text form has a name in it that is none of ours.
    #[error("`{0}` is nothing that can be simulated; known: {known}", known = KEYS.join(", "))]
    UnknownKey(String),
    /// The same, where a whole camera is described.
    #[error("`{key}` is nothing that can be simulated; known: {of_the_stream}, {known}", of_the_stream = KEYS.join(", "))]
    UnknownCameraKey {
        /// The name.
        key: String,
        /// The names that a camera has beside those of its stream.
        known: &'static str,
    },
    /// A value does not fit its name.
    #[error("`{key}={value}`: expected {expected}")]
    BadValue {
        /// Name of the parameter.
        key: String,
        /// What was given.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// Two values do not go together.
    #[error("{0}")]
    Contradiction(String),
    /// The folder of pictures could not be used.
    #[error("{path}: {why}")]
    Images {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl From<SimError> for std::io::Error {
    fn from(error: SimError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

const KEYS: [&str; 11] =
    ["size", "fps", "format", "dialect", "boxes", "records", "images", "seed", "fault", "fragment", "nodelay"];

/// The largest picture: more than any sensor has, and a payload of it still fits the decoder's hard limit.
const MAX_PIXELS: u64 = 40_000_000;

/// The decoder's default limit for boxes.
const MAX_BOXES: u32 = 10_000;

impl SimConfig {
    /// Microseconds from frame to frame on the camera's clock.
    pub(super) fn period_us(&self) -> f64 {
        1e6 / if self.fps == 0.0 { 40.0 } else { self.fps }
    }

    /// Whether all this can be simulated.
    ///
    /// # Errors
    /// What contradicts what, and what to change.
    pub fn check(&self) -> Result<(), SimError> {
        let contradiction = |text: String| Err(SimError::Contradiction(text));
        let (width, height) = self.size;
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return contradiction(format!("a picture of {width}x{height} pixels: expected 1x1 to {MAX_PIXELS} pixels"));
        }
        if !(self.fps >= 0.0 && self.fps <= 1e6) {
            return contradiction(format!("{} frames a second: expected 0 (as fast as it goes) to 1000000", self.fps));
        }
        if self.boxes > MAX_BOXES {
            return contradiction(format!("{} boxes: expected at most {MAX_BOXES}", self.boxes));
        }
        if !self.dialect.carries_raw_pixels() && !self.format.is_encoded() {
            return contradiction(format!(
                "{} carries JPEG, H264 or H265 and not {}; use dialect IMG for pixels",
                self.dialect, self.format
            ));
        }
        if let Coding::Pixels(format) = self.format {
            let (x, y) = super::pixels::grain(format);
            if !width.is_multiple_of(x) || !height.is_multiple_of(y) {
                return contradiction(format!(
                    "{} needs a width that is a multiple of {x} and a height that is one of {y}, not {width}x{height}",
                    self.format
                ));
            }
            if format == PixelFormat::Jpeg && (width > 65_535 || height > 65_535) {
                return contradiction(format!("a JPEG of {width}x{height}: expected at most 65535 a side"));
            }
        }
        Ok(())
    }
}

impl FromStr for SimConfig {
    type Err = SimError;

    /// `key=value` pairs with `&` between them; what is not named is as in [`Default`], but a format that does not fit
    /// the default dialect chooses the one that is usual for it, and the other way round.
    fn from_str(text: &str) -> Result<Self, SimError> {
        let mut config = Self::default();
        let (mut format_given, mut dialect_given) = (false, false);
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bad = |expected: &str| SimError::BadValue {
                key: key.to_owned(),
                value: value.to_owned(),
                expected: expected.to_owned(),
            };
            match key {
                "size" => {
                    let Size { width, height } = value.parse().map_err(|_| bad("WIDTHxHEIGHT"))?;
                    config.size = (width, height);
                }
                "fps" => config.fps = value.parse().map_err(|_| bad("a number; 0 is as fast as it goes"))?,
                "format" => {
                    config.format = value.parse().map_err(|expected: String| bad(&expected))?;
                    format_given = true;
                }
                "dialect" => {
                    config.dialect = value.parse().map_err(|_| bad(&Dialect::ALL.map(Dialect::name).join(", ")))?;
                    dialect_given = true;
                }
                "boxes" => config.boxes = value.parse().map_err(|_| bad("a number of boxes"))?,
                "records" => config.records = switch(value).ok_or_else(|| bad("on or off"))?,
                "images" => config.images = (!value.is_empty()).then(|| PathBuf::from(value)),
                "seed" => config.seed = value.parse().map_err(|_| bad("a whole number"))?,
                "fault" => config.faults.add(value).map_err(|expected| bad(&expected))?,
                "fragment" => {
                    config.faults.fragment = Some(value.parse().map_err(|_| bad("a number of bytes, at least 1"))?);
                }
                "nodelay" => config.no_delay = switch(value).ok_or_else(|| bad("on or off"))?,
                _ => return Err(SimError::UnknownKey(key.to_owned())),
            }
        }
        match (format_given, dialect_given) {
            (true, false) if config.format.is_encoded() => config.dialect = Dialect::Abcde,
            (false, true) if !config.dialect.carries_raw_pixels() => config.format = Coding::JPEG,
            _ => {}
        }
        config.check()?;
        Ok(config)
    }
}

impl fmt::Display for SimConfig {
    /// The text form, complete: it reads back to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        write!(
            f,
            "size={width}x{height}&fps={}&format={}&dialect={}&boxes={}&seed={}",
            self.fps, self.format, self.dialect, self.boxes, self.seed
        )?;
        if self.records {
            f.write_str("&records=on")?;
        }
        if self.no_delay {
            f.write_str("&nodelay=on")?;
        }
        if let Some(images) = &self.images {
            write!(f, "&images={}", images.display())?;
        }
        if let Some(fragment) = self.faults.fragment {
            write!(f, "&fragment={fragment}")?;
        }
        let faults = self.faults.to_string();
        if faults.is_empty() { Ok(()) } else { write!(f, "&fault={faults}") }
    }
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "" | "on" | "true" | "1" => Some(true),
        "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(format) => format.fmt(f),
            Self::H264 => f.write_str("H264"),
            Self::H265 => f.write_str("H265"),
        }
    }
}

impl FromStr for Coding {
    /// What was expected instead.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "H264" => Ok(Self::H264),
            "H265" => Ok(Self::H265),
            _ => text
                .parse()
                .map(Self::Pixels)
                .map_err(|_| format!("{}, H264 or H265", PixelFormat::ALL.map(PixelFormat::name).join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_reads_back() {
        for text in [
            "",
            "size=1920x1080&fps=0",
            "format=nv12&boxes=0&records=on&nodelay=on&seed=99",
            "format=jpeg",
            "dialect=abcde-256",
            "dialect=FRAME&format=h265",
            "fault=short:0.01,junk:0.5&fragment=7&images=/tmp/x",
        ] {
            let config: SimConfig = text.parse().expect(text);
            assert_eq!(config.to_string().parse::<SimConfig>().expect("its own text"), config, "{text}");
        }
    }

    #[test]
    fn formats_and_dialects_choose_each_other() {
        let config = |text: &str| text.parse::<SimConfig>().expect(text);
        assert_eq!(config("format=jpeg").dialect, Dialect::Abcde);
        assert_eq!(config("dialect=abcde").format, Coding::JPEG);
        assert_eq!(config("format=jpeg&dialect=img").dialect, Dialect::Img);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let error = |text: &str| text.parse::<SimConfig>().expect_err(text).to_string();
        assert_eq!(error("size=640"), "`size=640`: expected WIDTHxHEIGHT");
        assert!(error("sise=1x1").contains("known: size, fps"), "{}", error("sise=1x1"));
        assert!(error("format=png").contains("BGR888p"));
        assert!(error("fault=sort:1").contains("short"));
        assert!(error("fault=short:2").contains("0 to 1"));
        assert!(error("fragment=0").contains("at least 1"));
        assert!(error("size=0x1").contains("0x1"));
        assert!(error("fps=-1").contains("-1"));
        assert!(error("format=nv12&size=63x48").contains("multiple of 2"));
        assert!(error("format=nv12&dialect=abcde").contains("use dialect IMG"));
    }
}
