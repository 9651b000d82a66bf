//! The configuration of a simulated stream, and its text form: `size=640x352&fps=40&fault=short:0.01`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::faults::Faults;
use super::random::Random;
use crate::frame::{DeviceTime, LabelMap, PixelFormat, Size};
use crate::wire::{DetectionSyntax, Dialect};

/// The format of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Pixels in one of the camera's layouts, or a JPEG file.
    Pixels(PixelFormat),
    /// H.264 in Annex B form, baseline, with a key frame every 30 frames. Like [`Self::H265`] in sizes that the encoder does
    /// not support, and without the feature `export`, which has the encoder.
    H264,
    /// H.265 in Annex B form: well-formed units with the right picture size, but slices of noise. A receiver can store
    /// and split them, but not decode them.
    H265,
}

impl Coding {
    pub(super) const JPEG: Self = Self::Pixels(PixelFormat::Jpeg);

    /// Returns `true` for JPEG, H.264 and H.265, whose payloads carry their own headers.
    #[must_use]
    pub fn is_encoded(self) -> bool {
        !matches!(self, Self::Pixels(format) if format != PixelFormat::Jpeg)
    }

    /// Returns `true` if neither the length nor the last bytes of a payload show that it is complete.
    pub(super) fn has_no_end(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}

/// A simulated stream. [`Default`] is the stream of Luxonis' standalone page: 640x352 planar BGR at 40 frames per second
/// in the `IMG` dialect.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Frames per second, 0 to 1,000,000. 0 sends as fast as the client reads, with device times of 40 frames per second.
    pub fps: f64,
    /// Payload format.
    pub format: Coding,
    /// Header dialect. `ABCDE` and `FRAME` carry encoded pictures only, because the real programs send nothing else.
    pub dialect: Dialect,
    /// Number of objects in the picture, each with a box; at most 10,000.
    pub boxes: u32,
    /// Sends the position of each object in millimeters, as spatial networks do. Only in dialects that have detections.
    pub spatial: bool,
    /// Also sends a depth picture with each picture, as a stream of its own on the same connection: RAW16, in millimeters.
    pub depth: bool,
    /// Sends the extension records of wire.md section 7.
    pub records: bool,
    /// A folder of PNG and JPEG files that replace the drawn background. They are sorted by name and scaled to `size`.
    pub images: Option<PathBuf>,
    /// Seed of the objects and of the faults.
    pub seed: u64,
    /// Faults and their rates.
    pub faults: Faults,
    /// Sets `TCP_NODELAY`. The official programs leave it unset.
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
            spatial: false,
            depth: false,
            records: false,
            images: None,
            seed: 1,
            faults: Faults::default(),
            no_delay: false,
        }
    }
}

/// Error in the configuration of a simulated camera.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// Unknown key in the text form of a stream.
    #[error("unknown option `{0}`; expected one of {known}{hint}", known = KEYS.join(", "), hint = did_you_mean(.0, KEYS))]
    UnknownKey(String),
    /// Unknown key in the text form of a whole camera.
    #[error("unknown option `{key}`; expected one of {of_the_stream}, {known}", of_the_stream = KEYS.join(", "))]
    UnknownCameraKey {
        /// The unknown key.
        key: String,
        /// The keys of a camera in addition to those of its stream, separated by commas.
        known: &'static str,
    },
    /// Invalid value of a known key.
    #[error("`{key}={value}`: expected {expected}")]
    BadValue {
        /// The key.
        key: String,
        /// The value found.
        value: String,
        /// Description of the valid values.
        expected: String,
    },
    /// A value is out of range or contradicts another value. Carries the whole message.
    #[error("{0}")]
    Contradiction(String),
    /// The folder of pictures cannot be used.
    #[error("{path}: {why}")]
    Images {
        /// The folder, or a file in it.
        path: PathBuf,
        /// The cause.
        why: String,
    },
}

impl From<SimError> for std::io::Error {
    fn from(error: SimError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

/// Returns a question for a word that is misspelled, or nothing.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: LabelMap = known.into_iter().collect();
    known.nearest(word).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

const KEYS: [&str; 13] = [
    "size", "fps", "format", "dialect", "boxes", "spatial", "depth", "records", "images", "seed", "fault", "fragment",
    "nodelay",
];

/// Above the resolution of every sensor, and still within the decoder's hard limit for payloads.
const MAX_PIXELS: u64 = 40_000_000;

/// The decoder's default limit for boxes.
const MAX_BOXES: u32 = 10_000;

impl SimConfig {
    /// Microseconds between two frames on the camera's clock.
    pub(super) fn period_us(&self) -> f64 {
        1e6 / if self.fps == 0.0 { 40.0 } else { self.fps }
    }

    /// Returns whether a receiver can decode the payloads.
    #[must_use]
    pub fn is_decodable(&self) -> bool {
        match self.format {
            Coding::Pixels(_) => true,
            Coding::H264 => super::bitstream::encodes_h264(self.size),
            Coding::H265 => false,
        }
    }

    /// Returns what a camera does whose payloads nothing decodes, to follow its name; `None` if they can be decoded.
    #[must_use]
    pub fn noise(&self) -> Option<String> {
        let format = self.format;
        (self.images.is_none() && !self.is_decodable()).then(|| {
            format!(
                "sends noise in the form of {format}, which nothing decodes; for pictures, give it a file of video: \
                 `sim:?format={format}&images=FILE`"
            )
        })
    }

    /// Returns [`Self::noise`] of the camera with this source, as recordings have it; `None` if it is not simulated.
    #[must_use]
    pub fn noise_of(source: &str) -> Option<String> {
        source.strip_prefix("sim:?")?.parse::<Self>().ok()?.noise()
    }

    /// Checks ranges, and that the values fit each other.
    ///
    /// # Errors
    /// [`SimError::Contradiction`] if a value is out of range or two values contradict each other.
    pub fn check(&self) -> Result<(), SimError> {
        let contradiction = |text: String| Err(SimError::Contradiction(text));
        let (width, height) = self.size;
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return contradiction(format!("size is {width}x{height}: expected 1x1 to {MAX_PIXELS} pixels"));
        }
        if !(self.fps >= 0.0 && self.fps <= 1e6) {
            return contradiction(format!("fps is {}: expected 0 (as fast as the client reads) to 1000000", self.fps));
        }
        if self.boxes > MAX_BOXES {
            return contradiction(format!("boxes is {}: expected at most {MAX_BOXES}", self.boxes));
        }
        if !self.dialect.carries_raw_pixels() && !self.format.is_encoded() {
            return contradiction(format!(
                "dialect {} carries JPEG, H264 or H265, but the format is {}; use dialect IMG for pixels",
                self.dialect, self.format
            ));
        }
        if self.spatial && self.dialect.detections() == DetectionSyntax::None {
            return contradiction(format!(
                "dialect {} has no detections that could have a position; use dialect IMG or FRAME with spatial",
                self.dialect
            ));
        }
        if self.depth && !self.dialect.carries_raw_pixels() {
            return contradiction(format!(
                "dialect {} carries no raw pixels, so no depth; use dialect IMG with depth",
                self.dialect
            ));
        }
        if let Coding::Pixels(format) = self.format {
            let (x, y) = super::pixels::grain(format);
            if !width.is_multiple_of(x) || !height.is_multiple_of(y) {
                return contradiction(format!(
                    "size is {width}x{height}, but {} requires a width that is a multiple of {x} and a height that is a \
                     multiple of {y}",
                    self.format
                ));
            }
            if format == PixelFormat::Jpeg && (width > 65_535 || height > 65_535) {
                return contradiction(format!("size is {width}x{height}: a JPEG has at most 65535 pixels per side"));
            }
        }
        Ok(())
    }
}

impl FromStr for SimConfig {
    type Err = SimError;

    /// Parses `key=value` pairs separated by `&`. Missing keys keep their value in [`Default`], with one exception: if
    /// only one of `format` and `dialect` is given, the other follows it (JPEG, H.264 and H.265 select `ABCDE`; a dialect
    /// other than `IMG` selects JPEG).
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
                    let Size { width, height } = value.parse().map_err(|_| bad("WIDTHxHEIGHT, at least 1x1"))?;
                    config.size = (width, height);
                }
                "fps" => config.fps = value.parse().map_err(|_| bad("a number of frames per second"))?,
                "format" => {
                    config.format = value.parse().map_err(|expected: String| bad(&expected))?;
                    format_given = true;
                }
                "dialect" => {
                    config.dialect = value.parse().map_err(|_| bad(&Dialect::ALL.map(Dialect::name).join(", ")))?;
                    dialect_given = true;
                }
                "boxes" => config.boxes = value.parse().map_err(|_| bad("a number of boxes"))?,
                "spatial" => config.spatial = switch(value).ok_or_else(|| bad("on or off"))?,
                "depth" => config.depth = switch(value).ok_or_else(|| bad("on or off"))?,
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
    /// Writes the complete text form, which parses to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        write!(
            f,
            "size={width}x{height}&fps={}&format={}&dialect={}&boxes={}&seed={}",
            self.fps, self.format, self.dialect, self.boxes, self.seed
        )?;
        if self.spatial {
            f.write_str("&spatial=on")?;
        }
        if self.depth {
            f.write_str("&depth=on")?;
        }
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

/// The time of a frame since the camera's boot. Frame 0 is at 50 µs, which Python prints with an exponent (`5e-05`). The
/// others are up to 1/64 of a period late, as in real captures, except those on a full second.
pub(super) fn device_time(config: &SimConfig, index: u64) -> DeviceTime {
    let period = config.period_us();
    let beat = (index as f64 * period).round() as i64;
    if index == 0 {
        return DeviceTime(50);
    }
    let off_beat = if beat % 1_000_000 == 0 { 0 } else { Random::new(index).below((period / 64.0) as usize + 1) };
    DeviceTime(beat + off_beat as i64)
}

/// Parses `on` and `off`; a key without a value is `on`.
pub(super) fn switch(value: &str) -> Option<bool> {
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
    /// Description of the valid values.
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
    fn text_form_parses_to_the_same_value() {
        for text in [
            "",
            "size=1920x1080&fps=0",
            "format=nv12&boxes=0&records=on&nodelay=on&seed=99",
            "format=jpeg",
            "dialect=abcde-256",
            "dialect=FRAME&format=h265&spatial=on",
            "size=64x48&depth=on",
            "fault=short:0.01,junk:0.5&fragment=7&images=/tmp/x",
        ] {
            let config: SimConfig = text.parse().expect(text);
            assert_eq!(config.to_string().parse::<SimConfig>().expect("displayed text parses"), config, "{text}");
        }
    }

    #[test]
    fn format_selects_dialect_and_dialect_selects_format() {
        let config = |text: &str| text.parse::<SimConfig>().expect(text);
        assert_eq!(config("format=jpeg").dialect, Dialect::Abcde);
        assert_eq!(config("dialect=abcde").format, Coding::JPEG);
        assert_eq!(config("format=jpeg&dialect=img").dialect, Dialect::Img);
    }

    #[test]
    fn errors_name_the_valid_values() {
        let error = |text: &str| text.parse::<SimConfig>().expect_err(text).to_string();
        assert_eq!(error("size=640"), "`size=640`: expected WIDTHxHEIGHT, at least 1x1");
        assert!(error("sise=1x1").starts_with("unknown option `sise`; expected one of size, fps, "));
        assert!(error("format=png").contains("BGR888p"));
        assert!(error("sise=1x1").ends_with("; did you mean `size`?"));
        assert!(error("frames=3").ends_with(", fragment, nodelay"));
        assert!(error("fault=sort:1").ends_with("; did you mean `short`?"));
        assert!(error("fault=short:2").contains("0 to 1"));
        assert!(error("fragment=0").contains("at least 1"));
        assert!(error("size=0x1").contains("0x1"));
        assert_eq!(error("fps=-1"), "fps is -1: expected 0 (as fast as the client reads) to 1000000");
        assert!(error("format=nv12&size=63x48").contains("multiple of 2"));
        assert!(error("format=nv12&dialect=abcde").contains("use dialect IMG"));
        assert!(error("format=jpeg&spatial=on").contains("use dialect IMG or FRAME with spatial"));
    }
}
