//! What a user can say about a stream, for every command that receives one.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use oaktap::device::contract::Contract;
use oaktap::frame::{Interpreter, LabelMap, Overrides, PixelFormat};
use oaktap::overlay::Style;
use oaktap::recording::Playback;
use oaktap::source::SessionOptions;
use oaktap::wire::Limits;

use super::{contract_arg, present, value_parsers};

/// A file of names is not larger than this; it is read as a whole.
const LABELS_BYTES: u64 = 1 << 20;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The stream")]
pub(crate) struct SourceArgs {
    /// Size of the pictures, when the stream does not say it and the guess is wrong
    #[arg(long, value_name = "WxH", value_parser = value_parsers::size)]
    pub(crate) size: Option<(u32, u32)>,

    /// Layout of the pictures, such as BGR888p, NV12, GRAY8 or RAW16
    #[arg(long, value_name = "TYPE")]
    pub(crate) format: Option<PixelFormat>,

    /// Bytes from one row of the picture to the next, when rows are padded
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) stride: Option<u32>,

    /// File with the names of the labels, one per line, the first for label 0; COCO's by default
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// Least confidence of a detection: 0 to 1, or in per cent
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = value_parsers::share)]
    pub(crate) threshold: f32,

    /// Detections with this label only, by name or number; can be given several times
    #[arg(long, value_name = "LABEL")]
    pub(crate) only: Vec<String>,

    /// The application that should be on the camera: oaktap.toml, app.dap, or the text that stands in the package for it
    #[arg(long, value_name = "APPLICATION", value_parser = contract_arg::contract)]
    pub(crate) expect: Option<Contract>,

    /// Largest payload that a frame may have
    #[arg(long, value_name = "AMOUNT", default_value = "64MiB", value_parser = value_parsers::bytes)]
    pub(crate) max_payload: usize,

    /// What the cameras of a recording take part in
    #[arg(skip)]
    pub(crate) playback: Option<Playback>,
}

impl SourceArgs {
    /// What the user says of the payload.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { size: self.size, format: self.format, stride: self.stride }
    }

    /// What a session is to be started with. Clones share their memory.
    pub(crate) fn session_options(&self) -> SessionOptions {
        SessionOptions {
            limits: Limits { payload: self.max_payload, ..Limits::default() },
            interpreter: Interpreter::new(self.overrides()),
            playback: self.playback.clone(),
            expect: self.expect.clone(),
            ..SessionOptions::default()
        }
    }

    /// Which detections count, and what they are called. Reads the file of names.
    pub(crate) fn style(&self) -> anyhow::Result<Style> {
        let names = self.labels.as_ref().map(|path| {
            let read = || {
                let size = std::fs::metadata(path)?.len();
                if size > LABELS_BYTES {
                    return Err(std::io::Error::other(format!("{size} bytes are no list of names")));
                }
                std::fs::read_to_string(path)
            };
            let text = read()
                .with_context(|| format!("the names of the labels cannot be read from {}", path.display()))
                .map_err(|error| present::advised(error, "--labels wants a text file with one name per line"))?;
            anyhow::Ok(LabelMap::from_lines(&text))
        });
        Ok(Style { threshold: self.threshold, only: self.only.clone(), names: names.transpose()?, ..Style::default() })
    }
}
