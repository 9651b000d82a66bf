//! Options of every command that receives a stream.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use oaktap::device::contract::Contract;
use oaktap::frame::{Frame, Interpreter, Overrides, PixelFormat, Pool};
use oaktap::overlay::Style;
use oaktap::recording::Playback;
use oaktap::source::{SessionOptions, Timeouts};
use oaktap::wire::Limits;

use super::label_file::read_labels;
use super::{OUTPUT, contract_arg, value_parsers};

const STREAM: &str = "Stream";

#[derive(Args, Clone, Debug)]
pub(crate) struct SourceArgs {
    /// Size of the pictures, if the stream does not announce it and the detected one is wrong
    #[arg(long, value_name = "WxH", value_parser = value_parsers::size, help_heading = STREAM)]
    pub(crate) size: Option<(u32, u32)>,

    /// Pixel format of the pictures; for a mosaic of colors (Bayer), append their order, as in RAW8:RGGB
    #[arg(long, value_name = "FORMAT", help_heading = STREAM,
          value_parser = value_parsers::one_of(PixelFormat::ALL.map(PixelFormat::name), pixel_format))]
    pub(crate) format: Option<PixelFormat>,

    /// Bytes from the start of one row to the start of the next, if rows are padded
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..), help_heading = STREAM)]
    pub(crate) stride: Option<u32>,

    /// File with the names of classes: one per line, data.yaml or JSON [default: the camera's names, or COCO]
    #[arg(long, value_name = "FILE", help_heading = STREAM)]
    pub(crate) labels: Option<PathBuf>,

    /// Ignore detections below this confidence, such as 0.6 or 60%
    #[arg(long, value_name = "CONFIDENCE", default_value = "0", value_parser = value_parsers::fraction, help_heading = STREAM)]
    pub(crate) threshold: f32,

    /// Ignore detections without this label, given by name or number; repeatable
    #[arg(long, value_name = "LABEL", help_heading = STREAM)]
    pub(crate) only: Vec<String>,

    /// Fail unless the camera runs this application: oaktap.toml, FILE.dap, or the contract stored in the package
    #[arg(long, value_name = "APPLICATION", help_heading = STREAM,
          value_parser = OsStringValueParser::new().try_map(|word| contract_arg::contract(&word)))]
    pub(crate) expect: Option<Contract>,

    /// Reject frames with a payload larger than this
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = value_parsers::bytes, help_heading = STREAM)]
    pub(crate) max_payload: usize,

    /// Memory for the frames of all cameras together. Further frames are dropped and counted
    #[arg(long, value_name = "BYTES", default_value = "512MB", value_parser = value_parsers::bytes, help_heading = STREAM)]
    pub(crate) buffer: usize,

    /// Reconnect after this time without data, such as 30s or 2h [default: 10s, or four times the longest recent interval
    /// between frames]
    #[arg(long, value_name = "TIME", value_parser = value_parsers::duration, help_heading = STREAM)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Exit with code 3 also if frames are only estimated to be missing (~), and after each reconnect
    #[arg(long, help_heading = STREAM)]
    pub(crate) strict: bool,

    /// Print the counts of each camera as a line of JSON on standard output, this often
    #[arg(long, value_name = "TIME", value_parser = value_parsers::duration, help_heading = OUTPUT)]
    pub(crate) status: Option<Duration>,

    /// The memory of `--buffer`.
    #[arg(skip)]
    pub(crate) frames: OnceLock<Pool<Frame>>,

    /// The clock that keeps the cameras of one recording together.
    #[arg(skip)]
    pub(crate) playback: Option<Playback>,
}

/// Parses the format of pictures. That of video needs no option.
fn pixel_format(text: &str) -> Result<PixelFormat, String> {
    text.parse().map_err(|error: <PixelFormat as FromStr>::Err| match text.to_ascii_uppercase().as_str() {
        video @ ("H264" | "H265") => format!("{video} is recognized by its content: leave out --format"),
        _ => error.to_string(),
    })
}

impl Default for SourceArgs {
    /// The values that clap fills in.
    fn default() -> Self {
        Self {
            size: None,
            format: None,
            stride: None,
            labels: None,
            threshold: 0.0,
            only: Vec::new(),
            expect: None,
            max_payload: Limits::default().payload,
            buffer: 512_000_000,
            idle_timeout: None,
            strict: false,
            status: None,
            frames: OnceLock::new(),
            playback: None,
        }
    }
}

impl SourceArgs {
    /// Returns what the user states about the payload.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { size: self.size, format: self.format, stride: self.stride }
    }

    /// Returns the options for a session. Clones share their frame pool.
    pub(crate) fn session_options(&self) -> SessionOptions {
        SessionOptions {
            limits: Limits { payload: self.max_payload, ..Limits::default() },
            frames: self.frames().clone(),
            interpreter: Interpreter::new(self.overrides()),
            playback: self.playback.clone(),
            expect: self.expect.clone(),
            timeouts: Timeouts { idle_fixed: self.idle_timeout, ..Timeouts::default() },
            ..SessionOptions::default()
        }
    }

    /// Returns the memory for the frames of all cameras.
    pub(crate) fn frames(&self) -> &Pool<Frame> {
        self.frames.get_or_init(|| Pool::bounded(self.buffer))
    }

    /// Returns these arguments with another size of the memory.
    pub(crate) fn with_buffer(&self, buffer: usize) -> Self {
        Self { buffer, frames: OnceLock::new(), ..self.clone() }
    }

    /// Returns the part of the memory in which frames may wait for a slow disk or reader. The rest is for frames that are
    /// being received and shown.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.buffer / 2
    }

    /// Returns which detections to show and their names. Reads the file of label names.
    pub(crate) fn style(&self) -> anyhow::Result<Style> {
        let names = self.labels.as_ref().map(|path| read_labels(path));
        Ok(Style { threshold: self.threshold, only: self.only.clone(), names: names.transpose()?, ..Style::default() })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(flatten)]
        source: SourceArgs,
    }

    #[test]
    fn the_default_is_what_clap_fills_in() {
        let parsed = Words::try_parse_from(["oaktap"]).expect("every option has a default").source;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", SourceArgs::default()));
    }
}
