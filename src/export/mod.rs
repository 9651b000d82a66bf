//! Recordings -> what other programs read: pictures, video, tables of detections, data sets to train with.
//!
//! ```text
//! Player -> Frames (what was chosen) -+-> Ledger: JSON lines, CSV, Parquet
//!                                     +-> threads: convert > overlay > encode -+-> picture files (+ boxes of a data set)
//!                                                                              +-> Film: one MP4 for each camera
//! ```
//!
//! A plain loop: nothing is dropped, because the reader waits. However long a recording is, a few frames of it are in
//! memory.

mod album;
mod choice;
mod dataset;
mod encode;
mod error;
mod film;
mod frames;
mod pipeline;
mod place;
mod report;
mod rows;
mod still;
mod table;
mod units;
mod video;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use choice::{BadMoment, Choice, Moment, inside};
pub use error::ExportError;
pub use report::{Report, Skipped, Unread};

use album::Album;
use dataset::{Boxes, Classes, Coco, Yolo};
use frames::Frames;
use rows::Ledger;
use still::Coding;

/// What a recording becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A folder of PNG files.
    Png,
    /// A folder of JPEG files.
    Jpeg,
    /// H.264 in MP4: a file, or a folder with one for each camera. What the camera sent as H.264 or H.265 stays as it is.
    Mp4,
    /// A line of JSON for each frame.
    Jsonl,
    /// A line of CSV for each detection.
    Csv,
    /// A row of Parquet for each detection.
    Parquet,
    /// A folder as the trainers of YOLO load it: `images/train`, `labels/train`, `data.yaml`.
    Yolo,
    /// A folder with `images` and COCO's `instances.json`.
    Coco,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Png, Self::Jpeg, Self::Mp4, Self::Jsonl, Self::Csv, Self::Parquet, Self::Yolo, Self::Coco];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Mp4 => "mp4",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Yolo => "yolo",
            Self::Coco => "coco",
        }
    }

    /// Whether boxes can be drawn into it. They have no place in pictures that somebody is going to learn from.
    #[must_use]
    pub const fn can_have_boxes(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Mp4)
    }
}

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format: expected one of png, jpeg, mp4, jsonl, csv, parquet, yolo, coco")]
pub struct BadFormat(String);

impl FromStr for Format {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        let format = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name));
        format.ok_or_else(|| BadFormat(name.to_owned()))
    }
}

/// What to make of what.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it becomes.
    pub format: Format,
    /// The folder or file to write, which is not there yet; an empty folder is taken too.
    pub output: PathBuf,
    /// Which part of the recordings.
    pub choice: Choice,
    /// Draw the boxes of the chosen detections into the pictures, where [`Format::can_have_boxes`].
    pub boxes: bool,
    /// Threads that convert and encode.
    pub threads: NonZeroUsize,
}

/// How far an export is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Of the time in range, 0..=1.
    pub part: f64,
    /// Frames that are written.
    pub written: u64,
}

/// Is told how far an export is, and may end it.
pub type Tell<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Tells, and ends the export if that is wanted.
fn tell(progress: &mut Tell<'_>, part: f64, written: u64) -> Result<(), ExportError> {
    match progress(Progress { part, written }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ExportError::Stopped { written }),
    }
}

/// Exports recordings, in the order of their first frames, and tells what became of each frame.
///
/// `progress` is called with every picture, row or group of a video.
///
/// # Errors
/// A recording that cannot be opened, a choice that contradicts the recordings, a file that cannot be written, or that
/// `progress` ended it. What is not finished then is removed; finished pictures stay.
pub fn export(files: &[PathBuf], options: &Options, progress: &mut Tell<'_>) -> Result<Report, ExportError> {
    let mut report = Report::default();
    let frames = Frames::open(files, &options.choice, &mut report)?;
    let output = &options.output;
    match options.format {
        Format::Jsonl => ledger(frames, Ledger::jsonl(output)?, &mut report, progress)?,
        Format::Csv => ledger(frames, Ledger::csv(output)?, &mut report, progress)?,
        Format::Parquet => ledger(frames, Ledger::parquet(output)?, &mut report, progress)?,
        Format::Png => Album::plain(options, Coding::Png)?.fill(frames, options, &mut report, progress)?,
        Format::Jpeg => Album::plain(options, Coding::Jpeg)?.fill(frames, options, &mut report, progress)?,
        Format::Mp4 => video::write(frames.with_unseen(), options, &mut report, progress)?,
        Format::Yolo => {
            let boxes = |root: &Path, classes| Ok(Box::new(Yolo::new(root, classes)?) as Box<dyn Boxes>);
            let album = Album::with_boxes(options, Yolo::IMAGES, Classes::of(&frames.cameras()), boxes)?;
            album.fill(frames, options, &mut report, progress)?;
        }
        Format::Coco => {
            let boxes = |root: &Path, classes| Ok(Box::new(Coco::new(root, classes)?) as Box<dyn Boxes>);
            let album = Album::with_boxes(options, Coco::IMAGES, Classes::of(&frames.cameras()), boxes)?;
            album.fill(frames, options, &mut report, progress)?;
        }
    }
    Ok(report)
}

/// Reads, writes rows. Nothing is worth a second thread here.
fn ledger(
    mut frames: Frames,
    mut ledger: Ledger,
    report: &mut Report,
    progress: &mut Tell<'_>,
) -> Result<(), ExportError> {
    let cameras = frames.cameras();
    while let Some(shot) = frames.next(report)? {
        ledger.write(&shot, &cameras[shot.camera])?;
        report.written += 1;
        report.detections += shot.seen.len() as u64;
        tell(progress, shot.part, report.written)?;
    }
    report.files += 1;
    report.bytes += ledger.finish()?;
    Ok(())
}
